# SPDX-License-Identifier: Apache-2.0
"""Accuracy and work of a network file on labelled clips, by the integer runtime. The only source of accuracy figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .clips import Clips, front_end_of
from .errors import DataError
from .netfile import network_digest
from .network import Network
from .provenance import provenance
from .runtime import Runtime
from .trace import Counters

__all__ = ["Evaluation", "evaluate_clips"]

CHUNK = 256  # clips whose events are in memory at once


@dataclass(frozen=True)
class Evaluation:
    """What a network made of a split.

    Attributes
    ----------
    network : Network
    clips : Clips
    labels, predicted : int64 [n_clips]
        Classes of the network.
    scores : int64 [n_clips, n_classes]
    counters : Counters
        C1 over all clips, flush included.
    seconds : float
        Audio in all.
    """

    network: Network
    clips: Clips
    labels: np.ndarray
    predicted: np.ndarray
    scores: np.ndarray
    counters: Counters
    seconds: float
    confusion: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        n = self.network.n_classes
        object.__setattr__(self, "confusion", np.bincount(self.labels * n + self.predicted, minlength=n * n).reshape(n, n))

    @property
    def accuracy(self) -> float:
        """Share of clips with the right label."""
        return float(np.trace(self.confusion) / len(self.labels))

    def as_dict(self) -> dict[str, Any]:
        """JSON-able: figures with everything that made them."""
        present = self.confusion.sum(axis=1)
        recall = {label: float(self.confusion[i, i] / present[i]) if present[i] else None for i, label in enumerate(self.network.labels)}
        rates = {name: getattr(self.counters, name) for name in ("spikes", "synaptic_operations", "axon_activations", "neuron_updates")}
        return {
            "network": {"name": self.network.name, "digest": network_digest(self.network)},
            "corpus": {"digest": self.clips.digest, "split": self.clips.split},
            "clips": len(self.labels),
            "correct": int(np.trace(self.confusion)),
            "accuracy": self.accuracy,
            "labels": list(self.network.labels),
            "recall": recall,
            "confusion": self.confusion.tolist(),
            "seconds_of_audio": self.seconds,
            "per_second_of_audio": {name: count / self.seconds for name, count in rates.items()},
            "provenance": provenance(),
        }


def evaluate_clips(net: Network, clips: Clips, *, threads: int = 1, progress: Callable[[int, int], None] | None = None) -> Evaluation:
    """Run every clip of a split from reset.

    Parameters
    ----------
    net : Network
        With a front end in its metadata.
    clips : Clips
        What to run.
    threads : int
        For the runtime.
    progress : function (done, total), optional
        Called after each chunk of clips.

    Raises
    ------
    DataError
        If network and clips do not go together.
    """
    labels, front_end = clips.labels_of(net), front_end_of(net)
    if clips.sample_rate != front_end.sample_rate:
        raise DataError(f"a corpus must have the sample rate of the front end, {front_end.sample_rate} Hz, not {clips.sample_rate} Hz: make it again")
    runtime, counters = Runtime(net, threads=threads), Counters()
    scores = np.zeros((len(clips.pcm), net.n_classes), np.int64)
    for start in range(0, len(clips.pcm), CHUNK):
        chunk = slice(start, start + CHUNK)
        scores[chunk] = runtime.run(front_end.payloads(clips.pcm[chunk]))
        for name in ("spikes", "synaptic_operations", "axon_activations", "neuron_updates"):
            setattr(counters, name, getattr(counters, name) + getattr(runtime.counters, name))
        if progress is not None:
            progress(min(start + CHUNK, len(clips.pcm)), len(clips.pcm))
    return Evaluation(net, clips, labels, scores.argmax(axis=1), scores, counters, clips.pcm.size / clips.sample_rate)
