# SPDX-License-Identifier: Apache-2.0
"""Clips of events as a task: fitness is the negative cross-entropy of what a network says of a batch that the whole generation shares.

MTS-XOR asks at many timesteps of a clip, keyword spotting at its last. No gradient is formed anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...edge import frontend
from ...edge.clips import read_clips
from ...edge.errors import DataError
from ...edge.evaluation import evaluate_clips
from ...edge.network import Network
from ...edge.runtime import Runtime
from ..mts_xor import draw_mts_xor, scored_timesteps
from .config import TaskConfig
from .control import EVALUATE, TRAIN
from .normalizer import Normalizer
from .populations import BooleanPopulation

__all__ = ["ClipTask", "keyword_task", "mts_xor_task"]

Batch = tuple[np.ndarray, np.ndarray]  # events int16 [n, n_frames, n_inputs], labels int64 [n, n_asked]


class ClipTask:
    """Batches of labelled clips.

    Parameters
    ----------
    config : TaskConfig
    seed : int
    draw : function (purpose, rng, n) -> Batch
        Clips of a split, at random.
    asked : int64 [n_asked]
        Frames at which a label is asked for.
    labels : tuple of str
        One an output.
    payload_bits : int
        Width of payloads, unsigned.
    metadata : dict
        For the exported network.
    deployed : function (network, n) -> (figures, clips)
        Accuracy of a network file, and some of the clips.

    Attributes
    ----------
    steps : int
        Frames shown so far, in training.
    """

    def __init__(
        self, config: TaskConfig, seed: int, draw: Callable[[int, np.random.Generator, int], Batch], asked: np.ndarray, labels: tuple[str, ...], *,
        payload_bits: int, metadata: dict[str, Any], deployed: Callable[[Network, int], tuple[dict[str, Any], list[np.ndarray]]],
    ) -> None:  # fmt: skip
        self.config, self.seed, self.labels, self.payload_bits, self.metadata, self.deployed = config, seed, labels, payload_bits, metadata, deployed
        self._draw, self._asked = draw, asked
        events, _ = draw(TRAIN, np.random.default_rng(0), 1)
        self.n_frames, self.n_inputs = events.shape[1:]
        self.n_outputs = len(labels)
        self.payload_unit = 1.0
        self.steps = 0

    def warm_up(self, normalizer: Normalizer) -> None:
        """Nothing: events have their scale."""

    def fitness(
        self, population: BooleanPopulation, genomes: np.ndarray, individuals: np.ndarray, generation: int, normalizer: Normalizer
    ) -> tuple[np.ndarray, np.ndarray]:
        """Negative cross-entropy of some individuals on the batch of the generation; parameters as ``ControlTask.fitness``."""
        events, labels = self._draw(TRAIN, np.random.default_rng([self.seed, TRAIN, generation]), self.config.episodes)
        population.load(genomes, 1)
        outputs = np.zeros((*events.shape[:2], self.n_outputs), np.float32)
        fitness = np.zeros(len(individuals))
        for i in range(len(individuals)):
            population.listen(i, events, outputs)
            scores = outputs[:, self._asked].astype(np.float64) * self.config.loss_gain
            top = scores.max(axis=2, keepdims=True)
            said = np.take_along_axis(scores - top, labels[:, :, None], axis=2)[..., 0] - np.log(np.exp(scores - top).sum(axis=2))
            fitness[i] = said.mean()
            self.steps += events.shape[0] * events.shape[1]
        return fitness, np.zeros((len(individuals), 1 + 2 * self.n_inputs))

    def evaluate(
        self, population: BooleanPopulation, genome: np.ndarray, purpose: int, generation: int, episodes: np.ndarray, normalizer: Normalizer
    ) -> np.ndarray:
        """Share of right answers in each of some clips, float64 [n]; parameters as ``ControlTask.evaluate``."""
        rng = np.random.default_rng([self.seed, purpose, generation])
        events, labels = self._draw(purpose, rng, int(self.config.evaluation if purpose == EVALUATE else self.config.final))
        events, labels = events[episodes], labels[episodes]
        population.load(genome, 1)
        outputs = np.zeros((*events.shape[:2], self.n_outputs), np.float32)
        population.listen(0, events, outputs)
        share: np.ndarray = (outputs[:, self._asked].argmax(axis=2) == labels).mean(axis=1)
        return share


def mts_xor_task(config: TaskConfig, seed: int) -> ClipTask:
    """MTS-XOR: two outputs, the larger answers."""
    asked = np.flatnonzero(scored_timesteps())

    def draw(purpose: int, rng: np.random.Generator, n: int) -> Batch:
        drawn = draw_mts_xor(n, rng)
        return drawn.events, drawn.targets[:, asked]

    def deployed(network: Network, n: int) -> tuple[dict[str, Any], list[np.ndarray]]:
        events, labels = draw(EVALUATE, np.random.default_rng([seed, EVALUATE]), n)
        runtime = Runtime(network)
        right = [(runtime.stream().push(clip)[asked].argmax(axis=1) == answers).mean() for clip, answers in zip(events, labels, strict=True)]
        return {"mean": float(np.mean(right)), "spread": float(np.std(right)), "episodes": n}, list(events[:3])

    return ClipTask(config, seed, draw, asked, ("0", "1"), payload_bits=1, metadata={}, deployed=deployed)


def keyword_task(config: TaskConfig, seed: int, data: Path) -> ClipTask:
    """Keywords of a corpus, through the front end; the label is asked for at the last timestep.

    Raises
    ------
    DataError
        If the folder holds no corpus.
    """
    front_end = {"fft": frontend.fft_front_end, "bank": frontend.bank_front_end}[config.front_end]()
    splits = {purpose: read_clips(data, split) for purpose, split in ((TRAIN, "train"), (EVALUATE, "valid"))}
    held: dict[int, Batch] = {}
    classes = splits[TRAIN].classes
    if len(classes) < 2:
        raise DataError(f"{data} must hold at least 2 classes, not {len(classes)}: make the corpus again")
    for purpose, clips in splits.items():
        held[purpose] = np.asarray(front_end.payloads(clips.pcm), np.int16), np.asarray(clips.labels, np.int64)[:, None]

    def draw(purpose: int, rng: np.random.Generator, n: int) -> Batch:
        events, labels = held[TRAIN if purpose == TRAIN else EVALUATE]
        chosen = rng.permutation(len(events))[:n]
        return events[chosen], labels[chosen]

    def deployed(network: Network, n: int) -> tuple[dict[str, Any], list[np.ndarray]]:
        found = evaluate_clips(network, read_clips(data, "test"))
        per_second = {name: getattr(found.counters, name) / found.seconds for name in ("spikes", "synaptic_operations", "neuron_updates")}
        figures = {"mean": found.accuracy, "spread": 0.0, "episodes": len(found.labels), "split": "test", "corpus": found.clips.digest}
        return figures | {"per_second_of_audio": per_second}, list(held[EVALUATE][0][:3])

    metadata = {"front_end": front_end.to_dict()}
    asked = np.array([held[TRAIN][0].shape[1] - 1])
    return ClipTask(config, seed, draw, asked, tuple(classes), payload_bits=front_end.payload_bits, metadata=metadata, deployed=deployed)
