# SPDX-License-Identifier: Apache-2.0
"""Processor cores that generated C is compiled for and executed on here: by Zig's clang and the emulator Unicorn, both from PyPI."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from .build import LINK, build, process_folder
from .template import load_template

__all__ = ["CORES", "CROSS_FLAGS", "Core", "cross_compile", "missing_tools"]

MODULES = {"ziglang": "ziglang", "unicorn": "unicorn", "elftools": "pyelftools"}  # module: distribution
CROSS_FLAGS = (
    *("-std=c99", "-O2", "-ffreestanding", "-nostdlib", "-fomit-frame-pointer", "-fno-sanitize=all", "-Wall", "-Wextra", "-Wconversion", "-Werror"),
    *(f"-Wl,-T,{LINK}", "-Wl,--no-gc-sections"),
)


@dataclass(frozen=True)
class Core:
    """A core.

    Attributes
    ----------
    name, device : str
        What options take, and what it is.
    target, cpu : str
        As the compiler calls them.
    model : str or None
        ARM model of the emulator; None for RISC-V. It has no Cortex-M0+, whose instructions are those of the Cortex-M0.
    options : tuple of str
        More of the compiler's options.
    """

    name: str
    device: str
    target: str
    cpu: str
    model: str | None
    options: tuple[str, ...] = ()


ARM = "thumb-freestanding-eabi"
CORES = {
    core.name: core
    for core in (
        Core("cortex-m0plus", "Cortex-M0+ (ARMv6-M)", ARM, "cortex_m0plus", "UC_CPU_ARM_CORTEX_M0"),
        Core("cortex-m4", "Cortex-M4 (ARMv7E-M, DSP extension)", ARM, "cortex_m4", "UC_CPU_ARM_CORTEX_M4"),
        Core("cortex-m7", "Cortex-M7 (ARMv7E-M, DSP extension)", ARM, "cortex_m7", "UC_CPU_ARM_CORTEX_M7"),
        Core("rv32imc", "RISC-V RV32IMC", "riscv32-freestanding-none", "generic_rv32+m+c", None, ("-mabi=ilp32",)),
    )
}


def missing_tools() -> str | None:
    """None where cores can be compiled for and emulated, else what to install."""
    missing = [name for module, name in MODULES.items() if find_spec(module) is None]
    return f"compiling for microcontrollers and emulating them needs {', '.join(missing)}: pip install 'ormia[mcu]'" if missing else None


@cache
def _compiler_version() -> str:
    try:
        return version("ziglang")
    except PackageNotFoundError:
        return ""


def cross_compile(core: Core, files: Mapping[str, str], units: Sequence[str], folder: Path | None = None, options: Sequence[str] = ()) -> Path:
    """An ELF file of all that ``units`` define, for a core and without any library: a symbol that is missing is an error.

    Parameters
    ----------
    core : Core
        For which.
    files : mapping of str to str
        File name to text.
    units : sequence of str
        Which of them to compile.
    folder : path, optional
        Where builds are kept; with the process unless given.
    options : sequence of str
        More of the compiler's options.

    Raises
    ------
    TargetError
        If the compiler refuses the text.
    """
    home = folder if folder is not None else process_folder()
    cache_of_zig = str(home / "zig")
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": cache_of_zig, "ZIG_LOCAL_CACHE_DIR": cache_of_zig}
    flags = ("-target", core.target, f"-mcpu={core.cpu}", *core.options, *CROSS_FLAGS, *options)
    command = (sys.executable, "-m", "ziglang", "cc")
    return build(command, _compiler_version(), {**files, LINK: load_template(LINK)}, units, flags, "program.elf", home, environment)
