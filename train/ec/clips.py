# SPDX-License-Identifier: Apache-2.0
"""Clips of events as a task: fitness is the negative cross-entropy of what a network says of a batch that the whole generation shares.

MTS-XOR asks at many timesteps of a clip, keyword spotting at its last. No gradient is formed anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
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

AUGMENTED_AS = "gsc12"  # recipe of training whose augmentation evolution takes
AUGMENTED = 5  # purpose of random numbers, beside those of control.py
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
    families : int
        Of individuals that share all but the readout: a label is asked for at the last frame and outputs forget nothing. 0: none do.
    all_clips : int16 [n, n_frames, n_inputs], optional
        Over which a standardized network is centred.
    most : int, optional
        Clips there are to evaluate on.

    Attributes
    ----------
    steps : int
        Frames shown so far, in training.
    """

    def __init__(
        self, config: TaskConfig, seed: int, draw: Callable[[int, np.random.Generator, int], Batch], asked: np.ndarray, labels: tuple[str, ...], *,
        payload_bits: int, metadata: dict[str, Any], deployed: Callable[[Network, int], tuple[dict[str, Any], list[np.ndarray]]],
        families: int = 0, all_clips: np.ndarray | None = None, most: int | None = None,
    ) -> None:  # fmt: skip
        self.config, self.seed, self.labels, self.payload_bits, self.metadata, self.deployed = config, seed, labels, payload_bits, metadata, deployed
        self._draw, self._asked, self._families, self._all_clips = draw, asked, families, all_clips
        events, _ = draw(TRAIN, np.random.default_rng(0), 1)
        self.n_frames, self.n_inputs = events.shape[1:]
        self.n_outputs = len(labels)
        self.payload_unit = 1.0
        self.most = most
        self.steps = 0

    def warm_up(self, normalizer: Normalizer) -> None:
        """Nothing: events have their scale."""

    def fitness(
        self, population: BooleanPopulation, genomes: np.ndarray, individuals: np.ndarray, generation: int, normalizer: Normalizer
    ) -> tuple[np.ndarray, np.ndarray]:
        """Negative cross-entropy of some individuals on the batch of the generation; parameters as ``ControlTask.fitness``.

        Families give float64 [m, 1 + n_outputs] in place of [m]: that of the family's mean output, and of each output of an individual beside the
        family's mean of the others, for a connection of the readout acts on its own output only.
        """
        events, labels = self._batch(generation)
        population.load(genomes, 1)
        fitness = np.zeros((len(individuals), 1 + self.n_outputs) if self._families else len(individuals))
        if self._families:
            which = individuals % self._families
            for family in np.unique(which):
                members = np.flatnonzero(which == family)
                scores = population.sums(members, population.count(int(members[0]), events)).astype(np.float64)
                fitness[members] = _judge_apart(self._scaled(scores), labels[:, 0])
                self.steps += events.shape[0] * events.shape[1]
        else:
            outputs = np.zeros((*events.shape[:2], self.n_outputs), np.float32)
            for i in range(len(individuals)):
                population.listen(i, events, outputs)
                fitness[i] = _judge(self._scaled(outputs[:, self._asked].astype(np.float64)), labels)
                self.steps += events.shape[0] * events.shape[1]
        return fitness, np.zeros((len(individuals), 1 + 2 * self.n_inputs))

    def follow(self, population: BooleanPopulation, method: Any, generation: int) -> tuple[np.ndarray, np.ndarray]:
        """As ``fitness``, of the one network that ``method`` (``gradient.StraightThrough``) draws in a ``generation`` and keeps the gradient of."""
        events, labels = self._batch(generation)
        fitness, spikes = method.hear(population.config, population.scale.payload, events, labels[:, 0], self._scaled, generation)
        frames = events.shape[0] * events.shape[1]
        self.steps += frames
        population.spikes += spikes
        population.timesteps += frames * population.config.sub_steps
        return np.array([fitness]), np.zeros((1, 1 + 2 * self.n_inputs))

    def _batch(self, generation: int) -> Batch:
        return self._draw(TRAIN, np.random.default_rng([self.seed, TRAIN, generation]), self.config.episodes)

    def _scaled(self, scores: Any) -> Any:
        """Scores [n_clips, ..., n_outputs] before the softmax; arrays float64 of numpy or tensors of torch."""
        if self.config.standardize:
            scores = scores - scores.mean(axis=0)
            deviation = scores.std() if isinstance(scores, np.ndarray) else scores.std(correction=0)
            scores = scores / deviation if deviation > 0 else scores
        return scores * self.config.loss_gain

    def offsets(self, population: BooleanPopulation, genome: np.ndarray) -> np.ndarray:
        """What the deployed network (uint64 [1, rows, words]) loses of its outputs, float64 [n_outputs]: their means over the training clips, or nothing."""
        if not self.config.standardize or self._all_clips is None:
            return np.zeros(self.n_outputs)
        population.load(genome, 1)
        outputs = np.zeros((*self._all_clips.shape[:2], self.n_outputs), np.float32)
        population.listen(0, self._all_clips, outputs)
        means: np.ndarray = outputs[:, -1].mean(axis=0, dtype=np.float64)
        return means

    def evaluate(
        self, population: BooleanPopulation, genome: np.ndarray, purpose: int, generation: int, episodes: np.ndarray, normalizer: Normalizer
    ) -> np.ndarray:
        """Share of right answers in each of some clips, float64 [n]; parameters as ``ControlTask.evaluate``."""
        rng = np.random.default_rng([self.seed, purpose, generation])
        events, labels = self._draw(purpose, rng, int(self.config.evaluation if purpose == EVALUATE else self.config.final))
        events, labels = events[episodes], labels[episodes]
        offsets = self.offsets(population, genome)
        population.load(genome, 1)
        outputs = np.zeros((*events.shape[:2], self.n_outputs), np.float32)
        population.listen(0, events, outputs)
        share: np.ndarray = ((outputs[:, self._asked] - offsets).argmax(axis=2) == labels).mean(axis=1)
        return share


def _judge(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean log-likelihood of ``labels`` int64 [n_clips, n_asked] under ``scores`` float64 [n_clips, n_asked, n_outputs]."""
    scores = scores - scores.max(axis=2, keepdims=True)
    right = np.take_along_axis(scores, labels[:, :, None], axis=2)[..., 0]
    return float((right - np.log(np.exp(scores).sum(axis=2))).mean())


def _judge_apart(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean log-likelihoods of ``labels`` int64 [n_clips], float64 [m, 1 + n_outputs]: under the mean of the m ``scores`` float64 [n_clips, m, n_outputs],
    and under that mean with one output of one of the m in its place."""
    scores = scores - scores.max(axis=(1, 2), keepdims=True)
    mean = scores.mean(axis=1)
    weight, right = np.exp(mean), np.take_along_axis(mean, labels[:, None], axis=1)
    all_weight = weight.sum(axis=1, keepdims=True)
    others = np.maximum(all_weight - weight, 0)  # where one has almost all weight the difference may round below 0
    own = np.arange(scores.shape[2]) == labels[:, None]
    apart = np.where(own[:, None], scores, right[:, None]) - np.log(others[:, None] + np.exp(scores))
    family = (right - np.log(all_weight)).mean()
    return np.concatenate([np.full((scores.shape[1], 1), family), apart.mean(axis=0)], axis=1)


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


def keyword_task(config: TaskConfig, seed: int, data: Path, families: int = 0) -> ClipTask:
    """Keywords of a corpus, through the front end; the label is asked for at the last timestep. ``families`` as of ``ClipTask``.

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
    plain = held[TRAIN][0]  # a deployed network is centred over the clips as they are
    if config.augmented:
        from ..config import load_recipe
        from ..corpora.corpus import Corpus
        from ..dataset import CorpusSource  # torch comes with it

        source = CorpusSource(Corpus.load(data), front_end, replace(load_recipe(AUGMENTED_AS).augment, carry=1))
        copies = [source.train_epoch(np.random.default_rng([seed, AUGMENTED, copy])) for copy in range(config.augmented)]
        events = np.concatenate([plain, *(copy.payloads for copy in copies)])
        held[TRAIN] = events, np.concatenate([held[TRAIN][1], *(copy.labels[:, None] for copy in copies)])

    def draw(purpose: int, rng: np.random.Generator, n: int) -> Batch:
        events, labels = held[TRAIN if purpose == TRAIN else EVALUATE]
        chosen = rng.permutation(len(events))[:n]
        return events[chosen], labels[chosen]

    def deployed(network: Network, n: int) -> tuple[dict[str, Any], list[np.ndarray]]:
        found = evaluate_clips(network, read_clips(data, "test"))
        per_second = {name: getattr(found.counters, name) / found.seconds for name in ("spikes", "synaptic_operations", "axon_activations", "neuron_updates")}
        figures = {"mean": found.accuracy, "spread": 0.0, "episodes": len(found.labels), "split": "test", "corpus": found.clips.digest}
        return figures | {"per_second_of_audio": per_second}, list(held[EVALUATE][0][:3])

    metadata = {"front_end": front_end.to_dict()}
    asked = np.array([held[TRAIN][0].shape[1] - 1])
    return ClipTask(config, seed, draw, asked, tuple(classes), payload_bits=front_end.payload_bits, metadata=metadata, deployed=deployed,
                    families=families, all_clips=plain, most=len(held[EVALUATE][0]))  # fmt: skip
