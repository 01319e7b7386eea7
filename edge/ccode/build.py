# SPDX-License-Identifier: Apache-2.0
"""Compile generated C with the host's compiler, warnings being errors: a shared library to run, or an executable to check.

Builds are kept by a digest of text, flags and compiler, in a folder of the caller or one that goes with the process.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from ..errors import CheckFailed, MissingTool, TargetError
from .codes import MEANINGS, Code, refusal
from .emit import Sources
from .template import load_template, render

__all__ = [
    "FLAGS",
    "LINK",
    "RECORDING",
    "SANITIZERS",
    "build",
    "build_executable",
    "build_library",
    "check_selftest",
    "driver_files",
    "find_compiler",
    "process_folder",
]

FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-pedantic", "-Werror", "-O2")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-g")
COMPILERS = ("cc", "gcc", "clang")
LINK = "core.ld"  # the linker script of emulated cores
RECORDING = ("-DORMIA_COUNTERS", "-DORMIA_COVERAGE")  # what the driver needs
TIMEOUT_S = 600


def find_compiler() -> str:
    """Path of the C compiler: what ``CC`` names, else the first of cc, gcc and clang. Raises ``MissingTool``."""
    chosen = os.environ.get("CC")
    for name in [chosen] if chosen else COMPILERS:
        path = shutil.which(name)
        if path:
            return path
    wanted = f"the compiler that CC names ({chosen})" if chosen else "a C compiler (cc, gcc or clang)"
    raise MissingTool(f"{wanted} must be found on PATH: install one, for example with `apt install gcc`")


@cache
def _version(compiler: str) -> str:
    return subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False).stdout


@cache
def process_folder() -> Path:
    """A folder that is removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="ormia-ccode-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def build_library(sources: Sources, folder: Path | None = None) -> Path:
    """Compile a network with counters, branch counts and the driver that ``edge/ccode/backend.py`` calls.

    Parameters
    ----------
    sources : Sources
        Generated text.
    folder : path, optional
        Where builds are kept; with the process unless given.

    Raises
    ------
    MissingTool
        Without a compiler.
    TargetError
        If the compiler refuses the text.
    """
    return _host_build(driver_files(sources), (f"{sources.prefix}.c", "driver.c"), (*FLAGS, "-fPIC", "-shared", *RECORDING), "network.so", folder)


def driver_files(sources: Sources) -> dict[str, str]:
    """The generated files, and ``driver.c`` that runs whole clips and records them."""
    firing = f"{sources.macro}_N_FIRING 0u" not in sources.files[f"{sources.prefix}.h"]
    values = {"prefix": sources.prefix, "MACRO": sources.macro, "firing": firing, "hears": sources.hears, "detects": sources.detects}
    return {**sources.files, "driver.c": render(load_template("driver.c"), values)}


def build_executable(sources: Sources, main: str, folder: Path | None = None, options: Sequence[str] = ()) -> Path:
    """Compile a network with a ``main.c`` of the given text."""
    files = {**sources.files, "main.c": main}
    return _host_build(files, (f"{sources.prefix}.c", "main.c"), (*FLAGS, *options), "main", folder)


def check_selftest(sources: Sources, folder: Path | None = None, *, sanitize: bool = True) -> None:
    """Compile the self test, with address and undefined-behavior sanitizers unless told, and run it.

    Raises
    ------
    CheckFailed
        If a golden vector, a table or a sanitizer disagrees.
    MissingTool
        Without a compiler, or where it has no sanitizers.
    """
    main = render(load_template("selftest_main.c"), {"prefix": sources.prefix})
    options = ("-DORMIA_SELFTEST", *(SANITIZERS if sanitize else ()))
    try:
        executable = build_executable(sources, main, folder, options)
    except TargetError as error:
        if not sanitize:
            raise
        build_executable(sources, main, folder, ("-DORMIA_SELFTEST",))  # the text is at fault where this fails too
        raise MissingTool(f"{find_compiler()} must have the address and undefined-behavior sanitizers: install its libasan and libubsan") from error
    ran = subprocess.run([executable], capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    if ran.returncode == Code.OK:
        return
    if not ran.stderr and ran.returncode in set(Code):
        code = Code(ran.returncode)
        raise refusal(code)(f"the self test of {sources.prefix}.c must pass, but returned {code.c_name}: {MEANINGS[code]}")
    first = next((line for line in ran.stderr.splitlines() if "error" in line.lower()), f"exit status {ran.returncode}")
    raise CheckFailed(f"the self test of {sources.prefix}.c must run clean under sanitizers, but: {first.strip()}")


def _host_build(files: Mapping[str, str], units: Sequence[str], flags: Sequence[str], product: str, folder: Path | None) -> Path:
    compiler = find_compiler()
    return build((compiler,), _version(compiler), files, units, flags, product, folder if folder is not None else process_folder())


def build(
    compiler: Sequence[str],
    release: str,
    files: Mapping[str, str],
    units: Sequence[str],
    flags: Sequence[str],
    product: str,
    home: Path,
    environment: Mapping[str, str] | None = None,
) -> Path:
    """Compile ``units`` of ``files`` into ``product``, once for each digest of all that is given but ``environment``; whole or not at all.

    Parameters
    ----------
    compiler, release : sequence of str, str
        Its command, and its version.
    files : mapping of str to str
        File name to text.
    units, flags : sequence of str
        File names, and options before them.
    product : str
        Name of the file to make.
    home : path
        Where builds are kept.
    environment : mapping of str to str, optional
        In place of the process's own.

    Raises
    ------
    TargetError
        If the compiler refuses the text.
    """
    key = hashlib.sha256(repr((tuple(compiler), release, tuple(flags), tuple(units), sorted(files.items()))).encode()).hexdigest()[:24]
    built = home / key
    if (built / product).exists():
        return built / product
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{key}.", dir=home) as scratch:
        for name, text in files.items():
            (Path(scratch) / name).write_text(text, encoding="utf-8")
        command = [*compiler, *flags, "-o", product, *units]
        ran = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=environment)
        if ran.returncode != 0:
            first = next((line for line in ran.stderr.splitlines() if "error" in line), ran.stderr.strip()[:200] or f"exit status {ran.returncode}")
            raise TargetError(f"{' '.join(compiler)} must accept the generated C, but: {first}")
        built.mkdir(exist_ok=True)
        for name in files:
            os.replace(Path(scratch) / name, built / name)
        os.replace(Path(scratch) / product, built / product)  # last: what exists is whole
    return built / product
