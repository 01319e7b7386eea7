# SPDX-License-Identifier: Apache-2.0
"""Many streams of audio at once, each with its own front end, network state and detector: the same bits as so many listeners alone.

``detect`` is the compiled twin of ``Detector.step`` (``edge/detector.py``), which says what it computes.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

from .clips import front_end_of
from .detector import DECAY_BITS, Detection, DetectorConfig, detector_config
from .errors import SizeError
from .network import Network
from .runtime import Runtime, shares

__all__ = ["DetectorBank", "Listeners"]

TIMESTEP, PASSED, CANDIDATE, REST = range(4)


@njit(cache=True, nogil=True)
def detect(
    emitted: np.ndarray, classes: np.ndarray, background: np.ndarray, config: np.ndarray, scores: np.ndarray, memory: np.ndarray, found: np.ndarray
) -> int:
    """Advance a detector; the number of detections.

    Parameters
    ----------
    emitted : int32 [n_timesteps, n_readouts]
        Emitted values (S8).
    classes : int64 [n_readouts]
    background : bool [n_classes]
    config : int64 [6]
        Smoothing, threshold, margin, consecutive, refractory, warm-up.
    scores : int64 [n_classes], changed
        Smoothed scores. They fit: below smoothing 4096 they stay under 2**38, and with it they are not multiplied.
    memory : int64 [4], changed
        Timestep, timesteps passed in a row, their candidate, timesteps of rest left.
    found : int64 [n_timesteps, 4], written
        Timestep, label, score and margin of each detection.
    """
    smoothing, threshold, margin, consecutive, refractory, warm_up = config
    n_found = 0
    for t in range(len(emitted)):
        if smoothing != 1 << DECAY_BITS:
            for c in range(len(scores)):
                magnitude = (abs(scores[c]) * smoothing) >> DECAY_BITS
                scores[c] = magnitude if scores[c] >= 0 else -magnitude
        for r in range(len(classes)):
            scores[classes[r]] += emitted[t, r]
        best = 0
        for c in range(1, len(scores)):
            if scores[c] > scores[best]:
                best = c
        second = np.int64(0) if len(scores) == 1 else scores[0 if best != 0 else 1]
        for c in range(len(scores)):
            if c != best:
                second = max(second, scores[c])
        lead = scores[best] - second
        if background[best] or scores[best] < threshold or lead < margin:
            memory[PASSED] = 0
        else:
            memory[PASSED] = memory[PASSED] + 1 if best == memory[CANDIDATE] else 1
        memory[CANDIDATE] = best
        timestep = memory[TIMESTEP]
        memory[TIMESTEP] += 1
        if memory[REST] > 0:
            memory[REST] -= 1
        elif memory[PASSED] >= consecutive and timestep >= warm_up:
            memory[REST], memory[PASSED] = refractory, 0
            found[n_found, 0], found[n_found, 1], found[n_found, 2], found[n_found, 3] = timestep, best, scores[best], lead
            n_found += 1
    return n_found


class DetectorBank:
    """Detectors of ``n_streams`` streams, compiled; each finds what a ``Detector`` finds.

    Parameters
    ----------
    network : Network
        Gives classes and readouts.
    n_streams : int
    config : DetectorConfig, optional
        Default ``detector_config(network)``.
    """

    def __init__(self, network: Network, n_streams: int = 1, config: DetectorConfig | None = None) -> None:
        self.config = detector_config(network) if config is None else config
        given = self.config
        self._numbers = np.array([given.smoothing, given.threshold, given.margin, given.consecutive, given.refractory, given.warm_up], np.int64)
        self._classes = network.readout_class.astype(np.int64)
        self._background = np.isin(np.arange(network.n_classes), given.background)
        self._scores = np.zeros((n_streams, network.n_classes), np.int64)
        self._memory = np.zeros((n_streams, 4), np.int64)
        self._memory[:, CANDIDATE] = -1

    def push(self, emitted: np.ndarray, stream: int = 0) -> list[Detection]:
        """Advance one stream by int32 [n_timesteps, n_readouts] emitted values."""
        found = np.empty((len(emitted), 4), np.int64)
        n = detect(emitted, self._classes, self._background, self._numbers, self._scores[stream], self._memory[stream], found)
        return [Detection(*row) for row in found[:n].tolist()]


class Listeners:
    """``n_streams`` streams of audio: push samples of all of them, get what is detected in each.

    Parameters
    ----------
    network : Network
        With a front end in its metadata.
    n_streams : int, >= 1
    threads : int, >= 1
        Threads that share the streams; no result depends on it.
    """

    def __init__(self, network: Network, n_streams: int, *, threads: int = 1) -> None:
        self.front_end = front_end_of(network)
        self.n_streams = n_streams
        self.samples = 0
        runtime = Runtime(network, count=False)
        self._hearing = [self.front_end.stream() for _ in range(n_streams)]
        self._detectors = DetectorBank(network, n_streams)
        self._parts = [(part, runtime.open_streams(part.stop - part.start)) for part in shares(n_streams, threads)]

    @property
    def seconds(self) -> float:
        """Audio heard so far, of each stream."""
        return self.samples / self.front_end.sample_rate

    def push(self, pcm: np.ndarray) -> list[list[tuple[float, Detection]]]:
        """Hear the next samples of every stream.

        Parameters
        ----------
        pcm : int16 [n_streams, n_samples]
            Any number of samples.

        Returns
        -------
        list of list of (float, Detection)
            For each stream, seconds since the start and what is detected.
        """
        if pcm.ndim != 2 or len(pcm) != self.n_streams:
            raise SizeError(f"audio must be int16 [n_streams = {self.n_streams}, n_samples], not {list(pcm.shape)}")
        if len(self._parts) == 1:
            found = self._push_part(pcm, 0)
        else:
            with ThreadPoolExecutor(len(self._parts)) as pool:
                found = [each for part in pool.map(lambda p: self._push_part(pcm, p), range(len(self._parts))) for each in part]
        self.samples += pcm.shape[1]
        return found

    def _push_part(self, pcm: np.ndarray, number: int) -> list[list[tuple[float, Detection]]]:
        part, streams = self._parts[number]
        members = range(part.start, part.stop)
        emitted = streams.push(np.stack([self._hearing[i].push(pcm[i]) for i in members]))
        hop = self.front_end.hop_samples / self.front_end.sample_rate
        return [[((d.timestep + 1) * hop, d) for d in self._detectors.push(values, i)] for i, values in zip(members, emitted, strict=True)]
