# SPDX-License-Identifier: Apache-2.0
"""An event corpus as a training loop sees it: the same clips every epoch, in another order. Knows neither models nor files."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..loop import Epoch
from .clips import EventClips
from .corpus import EventCorpus

__all__ = ["EventCorpusSource"]


class EventCorpusSource:
    """Events of an event corpus; an ``EventSource`` of ``loop`` whose payloads are sparse until they are sliced.

    Parameters
    ----------
    corpus : EventCorpus
    """

    teacher_digest = ""

    def __init__(self, corpus: EventCorpus) -> None:
        self.corpus = corpus
        self.classes, self.digest = corpus.classes, corpus.digest
        self.payload_bits, self.payload_max = corpus.payload_bits, corpus.payload_max
        self.n_inputs, self.scored_timesteps = corpus.clips.n_inputs, corpus.clips.n_timesteps

    def train_epoch(self, rng: np.random.Generator) -> Epoch:
        """Training clips in random order."""
        order = rng.permutation(self.corpus.indices("train"))
        return Epoch(self.corpus.clips.select(order), self.corpus.labels[order])

    def fixed(self, split: str) -> tuple[EventClips, np.ndarray]:
        """Events of a split, and labels."""
        chosen = self.corpus.indices(split)
        return self.corpus.clips.select(chosen), self.corpus.labels[chosen]

    def metadata(self) -> dict[str, Any]:
        """What a network file says of its inputs."""
        corpus = self.corpus
        shared = list(corpus.shared_speakers)
        return {"events": {"corpus": corpus.name, "timestep_ms": corpus.timestep_ms, "shared_speakers": shared, **corpus.provenance}}
