# SPDX-License-Identifier: Apache-2.0
"""What a design takes of a device, from the figures of generator, synthesis and routing, and the sentence when it is too much.

Knows figures only; ``hdl/build.py`` runs the tools that make them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..edge.errors import TargetError
from ..edge.network import Network
from ..edge.target import Target
from .config import block_rams

__all__ = ["RESOURCES", "Memory", "check_fits", "check_memories", "memories_of", "routed", "routing_figures", "synthesized"]


@dataclass(frozen=True)
class Resource:
    """A kind of block of the device: what it is called, its cells in Yosys' netlist and its name in nextpnr."""

    shown: str
    cells: tuple[str, ...]
    bel: str


# keys are fields of ``Target`` too
RESOURCES = {
    "logic_cells": Resource("logic cells", ("SB_LUT4",), "ICESTORM_LC"),
    "block_rams": Resource("block RAMs (EBR)", ("SB_RAM40_4K", "SB_RAM40_4KNR", "SB_RAM40_4KNW", "SB_RAM40_4KNRNW"), "ICESTORM_RAM"),
    "large_rams": Resource("SPRAM", ("SB_SPRAM256KA",), "ICESTORM_SPRAM"),
    "multipliers": Resource("multipliers (DSP)", ("SB_MAC16",), "ICESTORM_DSP"),
}
BLOCK_BITS = 4096
SURE_BITS = 2048  # Yosys puts memories from this size on into block RAMs; smaller ones may become logic
SYNAPSES = ("walker.targets", "walker.weights", "walker.bitmap")  # memories of the walker that grow with the synapses


@dataclass(frozen=True)
class Memory:
    """A memory of the generated core."""

    name: str
    rows: int
    bits: int

    @property
    def blocks(self) -> int:
        """Block RAMs that it takes unless it is small."""
        return block_rams(self.rows, self.bits)


def memories_of(rtlil: str) -> list[Memory]:
    """Every memory in the text of a design, named after its block and itself."""
    found, block = [], ""
    for line in rtlil.splitlines():
        if line.startswith("module "):
            block = line.rsplit(".", 1)[-1]
        elif declared := re.match(r"\s*memory width (\d+) size (\d+) \\(\S+)", line):
            found.append(Memory(f"{block}.{declared[3]}", int(declared[2]), int(declared[1])))
    return found


def check_memories(network: Network, target: Target, memories: Sequence[Memory], others: Mapping[str, Sequence[Memory]]) -> None:
    """Refuse, before any tool runs, a core whose large memories alone are too many.

    Parameters
    ----------
    network : Network
        What was generated.
    target : Target
        The device.
    memories : sequence of Memory
        Of the core.
    others : mapping of str to sequence of Memory
        The same with other packings, to say which would fit.

    Raises
    ------
    TargetError
        With how many too many, which memories take them, and what would fit.
    """
    available = target.block_rams or 0
    taken = _surely_blocks(memories)
    if taken <= available:
        return
    largest = sorted(memories, key=lambda m: -m.blocks)
    listed = ", ".join(f"{m.name} {m.blocks} ({m.rows} rows of {m.bits} bits)" for m in largest[:3])
    lines = [f"its memories take {taken} of {available} block RAMs (EBR), {taken - available} too many: {listed}"]
    lines += [
        f"--packing {packing} would fit: {_surely_blocks(found)} of {available}" for packing, found in others.items() if _surely_blocks(found) <= available
    ]
    growing = [m for m in memories if m.name in SYNAPSES]
    room = available - taken + sum(m.blocks for m in growing)
    taken_by_synapses = sum(m.rows * m.bits for m in growing)
    if room > 0 and taken_by_synapses:
        lines.append(
            f"beside its other memories about {network.n_synapses * room * BLOCK_BITS // taken_by_synapses} of its {network.n_synapses} synapses would fit"
        )
    else:
        lines.append("memories other than those of synapses alone are too many: fewer neurons or shorter delays would fit")
    raise _refusal(network, target, lines)


def _surely_blocks(memories: Sequence[Memory]) -> int:
    return sum(m.blocks for m in memories if m.rows * m.bits >= SURE_BITS)


def check_fits(network: Network, target: Target, used: Mapping[str, int]) -> None:
    """Raise ``TargetError`` with every resource of which ``used`` takes more than the target has, and by how much."""
    lines = []
    for name, resource in RESOURCES.items():
        available = getattr(target, name)
        if available is not None and used.get(name, 0) > available:
            lines.append(f"it takes {used[name]} of {available} {resource.shown}, {used[name] - available} too many")
    if lines:
        share = min(getattr(target, name) / used[name] for name in RESOURCES if used.get(name, 0) > (getattr(target, name) or used.get(name, 0)))
        lines.append(f"a network of about {int(network.n_neurons * share)} of its {network.n_neurons} neurons, or with fewer kinds and readouts, would fit")
        raise _refusal(network, target, lines)


def _refusal(network: Network, target: Target, lines: Sequence[str]) -> TargetError:
    return TargetError("\n".join([f"network {network.name!r} must fit {target.name} ({target.device}):", *(f"  {line}" for line in lines)]))


def synthesized(stat: Path) -> dict[str, int]:
    """Resources of the netlist, from ``stat -json`` of Yosys: logic cells as look-up tables, a lower bound."""
    cells = json.loads(stat.read_text())["design"]["num_cells_by_type"]
    return {name: sum(cells.get(kind, 0) for kind in resource.cells) for name, resource in RESOURCES.items()}


def routing_figures(log: str) -> dict[str, int]:
    """Resources as nextpnr's log states them before placement, also where placement then fails."""
    found = {bel: int(used) for bel, used in re.findall(r"Info:\s+(\w+):\s+(\d+)/\s*\d+", log)}
    return {name: found.get(resource.bel, 0) for name, resource in RESOURCES.items()}


def routed(report: Path, target: Target) -> dict[str, Any]:
    """Used and available of each resource and ``fmax_mhz``, from nextpnr's report."""
    content = json.loads(report.read_text())
    figures: dict[str, Any] = {"fmax_mhz": round(min(clock["achieved"] for clock in content["fmax"].values()), 2)}
    for name, resource in RESOURCES.items():
        entry = content["utilization"].get(resource.bel, {"used": 0, "available": getattr(target, name)})
        figures[name] = {"used": entry["used"], "available": entry["available"]}
    return figures
