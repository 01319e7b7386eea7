# SPDX-License-Identifier: Apache-2.0
"""A clip as the core's host sees it: words in, and what comes out as a ``Trace``. Knows no simulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..edge.errors import CheckFailed
from ..edge.network import Network
from ..edge.trace import Counters, Trace
from .core import COUNTERS
from .words import Words

__all__ = ["Record", "Run", "clip_words"]


@dataclass(frozen=True)
class Run:
    """One clip on a core.

    Attributes
    ----------
    trace : Trace
        Membranes, spikes, scores, label and counters; ``counters.cycles`` is what the core counted.
    emitted : int64 [n_timesteps, n_readouts]
        Emitted values, as the stream had them.
    step_cycles : int64 [n_timesteps]
        Clocks of each timestep, as the host counted them: from the first clock in which a word of it could be taken to ``step_done``.
    queue_full, queue_peak : int
        Clocks in which an event waited for room in the queue; most events that it held.
    """

    trace: Trace
    emitted: np.ndarray
    step_cycles: np.ndarray
    queue_full: int
    queue_peak: int


def clip_words(network: Network, clip: Sequence[Sequence[tuple[int, int]]]) -> tuple[np.ndarray, np.ndarray]:
    """Words of a clip, flush included.

    Returns
    -------
    offsets : int64 [n_timesteps + 1]
        Words ``offsets[t] .. offsets[t + 1] - 1`` are those of timestep t.
    words : uint64 [n_words]
        Events in their order, then the word that ends the timestep.
    """
    layout = Words(network)
    steps = [*clip, *([[]] * network.formats.flush)]
    words = [[*(layout.event(channel, payload) for channel, payload in events), layout.end_of_step] for events in steps]
    offsets = np.cumsum([0, *map(len, words)], dtype=np.int64)
    return offsets, np.array([word for at_t in words for word in at_t], np.uint64)


class Record:
    """Arrays that a host fills during a clip: membranes, raster and emitted words and clocks of each timestep, score words."""

    def __init__(self, network: Network, n_steps: int) -> None:
        self.network = network
        self.membranes = np.zeros((n_steps, network.n_neurons), np.int32)
        self.raster = np.zeros((n_steps, network.n_neurons), np.uint8)
        self.emitted = np.zeros((n_steps, len(network.readout_neuron)), np.uint64)
        self.step_cycles = np.zeros(n_steps, np.int64)
        self.scores = np.zeros(network.n_classes, np.uint64)

    def finish(self, label: int, counters: Sequence[int]) -> Run:
        """The clip's result from the recorded words, the core's label and its counters in the order of ``COUNTERS``."""
        net, layout = self.network, Words(self.network)
        emitted = self._values(self.emitted, layout.emitted, "emitted")
        scores = self._values(self.scores[None], layout.score, "score")[0]
        counted = dict(zip(COUNTERS, counters, strict=True))
        queue_full, queue_peak = counted.pop("queue_full"), counted.pop("queue_peak")
        work = Counters(**counted, neuron_updates=self.raster.size)
        trace = Trace(self.membranes, self.raster.astype(bool), scores, label, work)
        if label >= net.n_classes:
            raise CheckFailed(f"the core's label must be below {net.n_classes}, not {label}")
        return Run(trace, emitted, self.step_cycles, queue_full, queue_peak)

    @staticmethod
    def _values(words: np.ndarray, read: object, what: str) -> np.ndarray:
        """Values of words that must count upward and end with ``last``."""
        values = np.zeros(words.shape, np.int64)
        for t, row in enumerate(words.tolist()):
            for i, word in enumerate(row):
                values[t, i], index, last = read(word)
                if index != i or last != (i == len(row) - 1):
                    raise CheckFailed(f"{what} word {i} of timestep {t} must have index {i} and last only at the end, not index {index}, last {last}")
        return values
