# SPDX-License-Identifier: Apache-2.0
"""``ormia build`` and ``ormia emit verilog``. Imports at module level nothing that is slow to load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["build", "emit_verilog"]

PACKING = "Memory packing: plain, shared, indices, bitmap, or auto: the smallest of a network with boolean axons, else shared where it has motifs, else plain."


def build(
    network: Annotated[Path, typer.Argument(help="The .ormia file.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write; made where it does not exist.", show_default=False)],
    *,
    board: Annotated[str, typer.Option(help="Board to build for.")] = "icebreaker",
    packing: Annotated[str, typer.Option(help=PACKING)] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of place and route.", min=0)] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print the utilization as JSON.")] = False,
) -> None:
    """Build an FPGA bitstream of a network, and say what it takes."""
    from ..edge.console import stderr, write_json, write_line
    from ..edge.netfile import read_network
    from .boards import get_board
    from .build import build_bitstream

    net = read_network(network)
    chosen = get_board(board)
    with stderr.status("starting") as status:
        report = build_bitstream(net, chosen, output, packing=packing, seed=seed, progress=status.update)
    if json:
        write_json(report)
        return
    write_line(f"{output / report['bitstream']}: network {report['network']} for {report['board']}, {report['packing']} packing, {report['fmax_mhz']} MHz")
    for name in ("logic_cells", "block_rams", "large_rams", "multipliers"):
        write_line(f"  {name.replace('_', ' '):<12} {report[name]['used']:>5} of {report[name]['available']}")
    if report["considered_memory_bits"]:
        sizes = ", ".join(f"{name} {bits}" for name, bits in report["considered_memory_bits"].items())
        write_line(f"  bits of synapses by packing: {sizes}")


def emit_verilog(
    network: Annotated[Path, typer.Argument(help="The .ormia file.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write; made where it does not exist.", show_default=False)],
    *,
    packing: Annotated[str, typer.Option(help=PACKING)] = "auto",
    trace: Annotated[bool, typer.Option("--trace", help="With the port that shows every membrane, for your own benches.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the files as JSON.")] = False,
) -> None:
    """Write a network as SystemVerilog: the core, weights in its memories, with a README of its ports."""
    from ..edge.console import write_json, write_line
    from ..edge.netfile import network_digest, read_network
    from .emit import emit, write_package
    from .pack import pack

    net = read_network(network)
    files = emit(net, packing=packing, trace=trace)
    written = [str(path) for path in write_package(files, output)]
    if json:
        packed = pack(net, packing)
        sizes = {"packing": packed.packing, "synapse_memory_bits": packed.memory_bits, "considered_memory_bits": dict(packed.considered)}
        write_json({"network": net.name, "network_digest": network_digest(net), **sizes, "files": written})
        return
    for path in written:
        write_line(path)
