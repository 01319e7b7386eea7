# SPDX-License-Identifier: Apache-2.0
"""The generated C as backends on emulated cores: Cortex-M0+, M4 and M7, and RISC-V; the same driver and the same record as on the host.

Cores run side by side in threads, as the emulator lets go of the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..backend import Clip
from ..coverage import Coverage
from ..errors import CheckFailed
from ..network import Network
from ..trace import Trace, first_difference
from .backend import Record, RecordingMachine
from .build import RECORDING, driver_files
from .cores import CORES, Core, cross_compile, missing_tools
from .emit import Sources, emit
from .emulator import BUFFERS, Emulated

__all__ = ["CortexMBackend", "EmulatedMachine", "RiscvBackend"]

ALIGNMENT = 16
T = TypeVar("T")


class EmulatedMachine(RecordingMachine):
    """A network on one emulated core.

    Parameters
    ----------
    network, sources
        As of ``RecordingMachine``.
    core : Core
        Which.
    folder : path, optional
        Where builds are kept; with the process unless given.
    """

    def __init__(self, network: Network, sources: Sources, core: Core, folder: Path | None = None) -> None:
        super().__init__(network, sources)
        self.core = core
        self._program = Emulated(core, cross_compile(core, driver_files(sources), (f"{sources.prefix}.c", "driver.c"), folder, RECORDING))
        self._state_bytes = self._program.call("driver_state_bytes")

    def invoke(self, function: str, arguments: Sequence[int | np.ndarray], record: Record) -> int:
        """By copies in the memory of the core: state, arrays to read, arrays to fill, pointers to those."""
        end = BUFFERS + self._state_bytes

        def place(content: np.ndarray) -> int:
            nonlocal end
            address = -(-end // ALIGNMENT) * ALIGNMENT
            self._program.write(address, content.tobytes())
            end = address + content.nbytes
            return address

        self._program.write(BUFFERS, bytes(self._state_bytes))
        given = [place(a) if isinstance(a, np.ndarray) else a for a in arguments]
        filled = [place(array) for array in record.arrays]
        code = self._program.call(function, BUFFERS, *given, place(np.array(filled, np.uint32)))
        for address, array in zip(filled, record.arrays, strict=True):
            array[...] = np.frombuffer(self._program.read(address, array.nbytes), array.dtype).reshape(array.shape)
        return code


class _Together:
    """Machines that must agree in every integer; the first answers."""

    def __init__(self, machines: Sequence[EmulatedMachine]) -> None:
        self._machines = machines
        self.hears = machines[0].hears

    @property
    def coverage(self) -> Coverage:
        """Of the first; the others count the same."""
        return self._machines[0].coverage

    def run_many(self, clips: Sequence[Clip]) -> list[Trace]:
        """Run each clip from reset on every core. Raises ``CheckFailed`` where two cores differ."""
        traces, *others = self._each(lambda machine: machine.run_many(clips))
        for machine, found in zip(self._machines[1:], others, strict=True):
            self._compare(machine, traces, found)
        return traces

    def run_audio(self, pcm: np.ndarray) -> tuple[np.ndarray, Trace]:
        """As ``run_many``, from audio, front end included."""
        (payloads, trace), *others = self._each(lambda machine: machine.run_audio(pcm))
        for machine, (heard, found) in zip(self._machines[1:], others, strict=True):
            if not np.array_equal(heard, payloads):
                raise CheckFailed(f"{machine.core.name} must hear what {self._machines[0].core.name} hears, but its front end made other events")
            self._compare(machine, [trace], [found])
        return payloads, trace

    def _each(self, run: Callable[[EmulatedMachine], T]) -> list[T]:
        with ThreadPoolExecutor(len(self._machines)) as threads:
            return list(threads.map(run, self._machines))

    def _compare(self, other: EmulatedMachine, expected: Sequence[Trace], got: Sequence[Trace]) -> None:
        differences = [(clip, first_difference(one, two)) for clip, (one, two) in enumerate(zip(expected, got, strict=True))]
        told = [f"clip {clip}, {difference}" for clip, difference in differences if difference is not None]
        if self.coverage != other.coverage or any(one.counters != two.counters for one, two in zip(expected, got, strict=True)):
            told.append("the work that they counted")
        if told:
            raise CheckFailed(f"{other.core.name} must give the integers of {self._machines[0].core.name}, but they differ: {told[0]}")


class _EmulatedBackend:
    name = ""
    cores: tuple[str, ...] = ()

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def available(self) -> str | None:
        """None, or what to install."""
        return missing_tools()

    def load(self, network: Network) -> _Together:
        """Generate, compile and load ``network`` for every core. Raises ``TargetError``."""
        sources = emit(network, clips=())
        return _Together([EmulatedMachine(network, sources, CORES[core], self._folder) for core in self.cores])


class CortexMBackend(_EmulatedBackend):
    """Cortex-M4 with its DSP extension, and Cortex-M0+ and M7, which must give the same.

    Parameters
    ----------
    folder : path, optional
        Where builds are kept; with the process unless given.
    """

    name = "cortex-m"
    cores = ("cortex-m4", "cortex-m0plus", "cortex-m7")


class RiscvBackend(_EmulatedBackend):
    """RV32IMC.

    Parameters
    ----------
    folder : path, optional
        Where builds are kept; with the process unless given.
    """

    name = "riscv"
    cores = ("rv32imc",)
