# SPDX-License-Identifier: Apache-2.0
"""Memory of evolved networks with one bit a connection: flash of the generated C and memories of the core, beside the same network without hints.

python bench/ec_memory.py RUN/net.ormia [...] [--yosys] [--verify numba,c,cxxrtl] [--output bench/results/ec_memory.json]

With --verify backends run a controller's observations of the first windows of an episode, recorded in the closed loop on the integer runtime, and every
spike, membrane and counter must be the reference's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ormia.edge.ccode.emit import emit
from ormia.edge.ccode.layout import lay_out
from ormia.edge.console import write_line
from ormia.edge.errors import CheckFailed
from ormia.edge.events import events_from_payloads
from ormia.edge.files import write_whole
from ormia.edge.netfile import network_digest, read_network
from ormia.edge.network import Network
from ormia.edge.provenance import provenance
from ormia.edge.verification import ClipSet, run_backends
from ormia.hdl.boards import BoardTop, get_board
from ormia.hdl.build import TOP, find_tool
from ormia.hdl.config import CoreConfig, Geometry
from ormia.hdl.pack import PACKINGS, pack
from ormia.hdl.utilization import synthesized
from ormia.train.ec.config import TaskConfig
from ormia.train.ec.control import FINAL, ControlTask, episode_seed
from ormia.train.ec.controller import run_controller

RESULTS = Path(__file__).parent / "results/ec_memory.json"
WINDOWS = 8


def core(net: Network, packing: str) -> dict[str, Any]:
    """Memories and clocks of the core in one packing."""
    geometry = Geometry(net, CoreConfig(packing=packing))
    memories = geometry.memories
    return {
        "synapse_bits": geometry.packed.memory_bits,
        "memory_bits": sum(rows * bits for rows, bits in memories.values()),
        "block_rams": geometry.block_rams,
        "worst_clocks_a_timestep": geometry.cycles.worst_step(),
    }


def c_bytes(net: Network) -> dict[str, int]:
    """Tables of the generated C: all, and those that hold connections."""
    tables = {t.name: t.n_bytes for t in lay_out(net).tables}
    held = ("bitmap_", "boolean_", "axon_place", "axon_first", "row_", "chunk_", "synapse_", "target_offset", "list_start")
    return {"flash_bytes": sum(tables.values()), "connection_bytes": sum(size for name, size in tables.items() if name.startswith(held))}


def netlist(net: Network, packing: str) -> dict[str, int]:
    """What Yosys makes of the core with its board for an iCE40, before placement: look-up tables, block RAMs, multipliers."""
    board = get_board("icebreaker")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        board.make_platform().prepare(BoardTop(net, CoreConfig(packing=packing), board), TOP).extract(folder)
        script = f"read_rtlil {TOP}.il; synth_ice40 -dsp -top {TOP}; tee -q -o stat.json stat -json"
        subprocess.run([find_tool("yosys").command, "-q", "-p", script], cwd=folder, check=True)
        return synthesized(folder / "stat.json")


def verified(net: Network, backends: list[str]) -> dict[str, Any]:
    """Compare backends with the reference on the windows of one episode. Raises ``CheckFailed`` at a difference."""
    about = net.metadata["controller"]
    task = ControlTask(TaskConfig(env=about["environment"], options=about["options"]), 0, net.formats.payload_bits)
    returns, recorded, _ = run_controller(net, task, [episode_seed(0, FINAL, 0, 0)])
    clip = events_from_payloads(recorded[0][: WINDOWS * about["timesteps"]])
    outcomes = run_backends(net, ClipSet([clip], ("recording",), {"recorded": 1}, ""), backends)
    for outcome in outcomes:
        if outcome.differences:
            raise CheckFailed(f"{outcome.backend} must equal the reference: {outcome.differences} differences, first {outcome.first}")
    kept = ("backend", "available", "timesteps", "membranes", "cycles", "differences")
    return {"return": float(returns[0]), "backends": [{key: outcome.as_dict().get(key) for key in kept} for outcome in outcomes]}


def figures(path: Path, *, yosys: bool, backends: list[str]) -> dict[str, Any]:
    """Of one network file."""
    net = read_network(path)
    unhinted = replace(net, axon_boolean=np.zeros(net.n_axons, bool))
    packings = {packing: core(net, packing) for packing in PACKINGS}
    chosen = pack(net).packing
    result = {
        "network": network_digest(net),
        "neurons": net.n_neurons,
        "inputs": net.n_inputs,
        "axons": net.n_axons,
        "synapses": net.n_synapses,
        "c": {"without_hints": c_bytes(unhinted), "with_hints": c_bytes(net), "chosen": emit(net, clips=()).boolean},
        "core": {"without_hints": pack(unhinted).packing, "with_hints": chosen, "packings": packings},
    }
    if yosys:
        result["ice40"] = {packing: netlist(net, packing) for packing in dict.fromkeys([pack(unhinted).packing, chosen])}
    if backends and "controller" in net.metadata:
        result["verified"] = verified(net, backends)
    return result


def section() -> str:
    """Markdown of what was measured, for docs/results/ec.md."""
    networks = json.loads(RESULTS.read_text())["networks"] if RESULTS.exists() else {}
    lines = [
        "| network | synapses | C, bytes of connections | C, all tables | core, kbit plain | shared | indices | bitmap | chosen | its block RAMs |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|---:|",
    ]
    for name, found in networks.items():
        before, after = found["c"]["without_hints"], found["c"]["with_hints"]
        chosen = found["core"]["with_hints"]
        bits = [f"{found['core']['packings'][packing]['memory_bits'] / 1000:.0f}" for packing in PACKINGS]
        sizes = [f"{before[key]:,} -> {after[key]:,}" for key in ("connection_bytes", "flash_bytes")]
        lines.append(" | ".join([f"| {name}", f"{found['synapses']:,}", *sizes, *bits, chosen, f"{found['core']['packings'][chosen]['block_rams']} |"]))
    lines += ["", "| network | backend | timesteps | membranes compared | differences |", "|---|---|---:|---:|---:|"]
    for name, found in networks.items():
        for row in found.get("verified", {}).get("backends", []):
            lines.append(f"| {name} | {row['backend']} | {row['timesteps']} | {row['membranes']:,} | {row['differences']} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="+", type=Path)
    parser.add_argument("--yosys", action="store_true", help="Synthesize the core before and after as well.")
    parser.add_argument("--verify", default="", help="Backends, with commas between.")
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    backends = [name for name in given.verify.split(",") if name]
    for path in given.networks:  # networks that were measured before are kept
        found = json.loads(given.output.read_text())["networks"] if given.output.exists() else {}
        measured, before = figures(path, yosys=given.yosys, backends=backends), found.get(path.parent.name, {})
        found[path.parent.name] = (before if before.get("network") == measured["network"] else {}) | measured
        write_whole(given.output, json.dumps({"networks": found, **provenance()}, indent=1) + "\n")
    write_line(str(given.output))


if __name__ == "__main__":
    main()
