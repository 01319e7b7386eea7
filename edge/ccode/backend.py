# SPDX-License-Identifier: Apache-2.0
"""The generated C as a backend: compiled by the host's compiler, loaded as a shared library, run clip by clip, from events or from audio.

What runs it is apart from what it is asked: ``RecordingMachine`` is the same on a host and on an emulated core.
"""

from __future__ import annotations

import ctypes
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..backend import Clip
from ..coverage import Coverage
from ..detector import Detection
from ..errors import DataError, LengthError, MissingTool, UsageError
from ..network import Network
from ..trace import Counters, Trace, check_events
from .build import build_library, find_compiler
from .codes import BRANCHES, COUNTERS, MEANINGS, NO_KEYWORD, Code, refusal
from .emit import Sources, emit

__all__ = ["CBackend", "CMachine", "Record", "RecordingMachine"]

EVENT = np.dtype([("channel", np.uint16), ("payload", np.int16)])  # ormia_event
DETECTION = np.dtype([("timestep", np.uint32), ("label", np.uint32), ("score", np.int32), ("margin", np.int32)])  # ormia_detection


class CBackend:
    """``edge/ccode``: generated C99 on this machine.

    Parameters
    ----------
    folder : path, optional
        Where builds are kept; with the process unless given.
    """

    name = "c"

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def available(self) -> str | None:
        """None, or that a compiler is missing."""
        try:
            find_compiler()
        except MissingTool as error:
            return str(error)
        return None

    def load(self, network: Network) -> CMachine:
        """Generate, compile and load ``network``. Raises ``MissingTool`` or ``TargetError``."""
        return CMachine(network, emit(network, clips=()), self._folder)


class Record:
    """Arrays that the driver fills, in the order of its ``driver_record``."""

    def __init__(self, net: Network, n_timesteps: int) -> None:
        shape = (n_timesteps, net.n_neurons)
        self.membranes, self.raster = np.zeros(shape, np.int32), np.zeros(shape, np.uint8)
        self.payloads = np.zeros((n_timesteps, net.n_inputs), np.int16)
        self.detections = np.zeros(n_timesteps, DETECTION)
        self.scores, self.label = np.zeros(net.n_classes, np.int32), np.zeros(1, np.uint32)
        self.counters, self.coverage = np.zeros(len(COUNTERS), np.uint64), np.zeros(len(BRANCHES), np.uint64)
        self.arrays: tuple[np.ndarray, ...] = (
            self.membranes,
            self.raster,
            self.payloads,
            self.detections,
            self.scores,
            self.label,
            self.counters,
            self.coverage,
        )

    def trace(self) -> Trace:
        """As a trace."""
        work = Counters(**dict(zip(COUNTERS, self.counters.tolist(), strict=True)))
        return Trace(self.membranes, self.raster.astype(bool), self.scores.astype(np.int64), int(self.label[0]), work)


class RecordingMachine(ABC):
    """A network in C, whatever runs it, behind the functions of its driver.

    Parameters
    ----------
    network : Network
        What the text was generated from.
    sources : Sources
        Generated text; a test may have changed it.

    Attributes
    ----------
    coverage : Coverage
        Branches reached since it was loaded, as the C counted them.
    hears : bool
        Whether it runs from audio.
    """

    def __init__(self, network: Network, sources: Sources) -> None:
        self.coverage = Coverage()
        self.hears = sources.hears
        self._network = network

    @abstractmethod
    def invoke(self, function: str, arguments: Sequence[int | np.ndarray], record: Record) -> int:
        """Call a function of the driver with a state, ``arguments`` (numbers, or arrays that it reads) and the record that it fills; what it returns."""

    def run_many(self, clips: Sequence[Clip]) -> list[Trace]:
        """Run each clip from reset.

        Raises
        ------
        DataError
            For events that break A7, before anything runs.
        """
        for clip in clips:
            check_events(self._network, clip, whole_clip=True)
        return [self._run_clip(clip) for clip in clips]

    def run_audio(self, pcm: np.ndarray, chunks: Sequence[int] = (1 << 16,)) -> tuple[np.ndarray, Trace]:
        """Run a clip of audio from reset, front end included.

        Parameters
        ----------
        pcm : int16 [n_samples]
            Audio at the sample rate of the front end.
        chunks : sequence of int, 0..2**32 - 1, not all 0
            Samples to push at a time, by turns.

        Returns
        -------
        payloads : int16 [n_timesteps, n_inputs]
            Events of the front end, as ``FrontEnd.payloads`` returns them.
        trace : Trace
            What ``run_many`` returns for these events.

        Raises
        ------
        DataError
            For a clip longer than max_timesteps.
        UsageError
            For a network whose C has no front end.
        """
        longest = self._network.formats.max_timesteps
        record, n_timesteps = self._hear(pcm, chunks, limit=longest)
        return record.payloads[:n_timesteps], record.trace()

    def detect_audio(self, pcm: np.ndarray, chunks: Sequence[int] = (1 << 16,)) -> list[Detection]:
        """What is detected in a stream of any length, from its start; parameters and errors as of ``run_audio``."""
        found = self._hear(pcm, chunks)[0].detections
        return [Detection(*map(int, detection)) for detection in found[found["label"] != NO_KEYWORD]]

    def _run_clip(self, clip: Clip) -> Trace:
        start = np.cumsum([0, *(len(events) for events in clip)], dtype=np.uint32)
        events = np.array([event for at_t in clip for event in sorted(at_t)] or [(0, 0)], EVENT)
        record = Record(self._network, len(clip) + self._network.formats.flush)
        self._call("driver_run", "events that obey A7", record, len(clip), start, events)
        return record.trace()

    def _hear(self, pcm: np.ndarray, chunks: Sequence[int], limit: int | None = None) -> tuple[Record, int]:
        if not self.hears:
            raise UsageError(f"a network must carry an fft front end to hear audio in generated C; {self._network.name!r} does not")
        if pcm.dtype != np.int16 or pcm.ndim != 1:
            raise DataError(f"audio must be int16 [n_samples], not {pcm.dtype} of {pcm.ndim} dimensions")
        n_timesteps = len(pcm) // int(self._network.metadata["front_end"]["hop_samples"])
        if limit is not None and n_timesteps > limit:
            raise LengthError(f"a clip must have at most max_timesteps = {limit} timesteps, not {n_timesteps}")
        samples, sizes = np.ascontiguousarray(pcm), np.array(chunks, np.uint32)
        if not sizes.any():
            raise UsageError("chunks must be sizes of which one is not 0")
        record = Record(self._network, n_timesteps + (self._network.formats.flush if limit is not None else 0))
        self._call("driver_hear", "audio", record, len(samples), samples, len(sizes), sizes, int(limit is not None))
        return record, n_timesteps

    def _call(self, function: str, what: str, record: Record, *arguments: int | np.ndarray) -> None:
        code = Code(self.invoke(function, arguments, record))
        if code > Code.STEP:
            raise refusal(code)(f"the generated C must accept {what}, but returned {code.c_name}: {MEANINGS[code]}")
        self.coverage += Coverage(**dict(zip(BRANCHES, record.coverage.tolist(), strict=True)))


class CMachine(RecordingMachine):
    """A network as a loaded library.

    Parameters
    ----------
    network, sources
        As of ``RecordingMachine``.
    folder : path, optional
        As of ``CBackend``.
    """

    def __init__(self, network: Network, sources: Sources, folder: Path | None = None) -> None:
        super().__init__(network, sources)
        self._library = ctypes.CDLL(str(build_library(sources, folder)))
        self._library.driver_state_bytes.restype = ctypes.c_uint32
        self._state = np.zeros(-(-self._library.driver_state_bytes() // 8), np.uint64)  # aligned for any field

    def invoke(self, function: str, arguments: Sequence[int | np.ndarray], record: Record) -> int:
        """By pointers into this process."""
        pointers = np.array([array.ctypes.data for array in record.arrays], np.uintp)  # driver_record
        given = [ctypes.c_void_p(a.ctypes.data) if isinstance(a, np.ndarray) else ctypes.c_uint32(a) for a in (self._state, *arguments, pointers)]
        return int(getattr(self._library, function)(*given))
