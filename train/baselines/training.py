# SPDX-License-Identifier: Apache-2.0
"""Train a non-spiking baseline to the last epoch, make it int8 and fine-tune that where it lost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from ...edge.errors import UsageError
from ..config import Config
from .features import Features
from .int8 import quantized
from .networks import BASELINES
from .trained import CHUNK, BaselineConfig, TrainedBaseline

__all__ = ["AudioEpochs", "baseline_config", "fit_baseline", "score_baseline"]

LOSS_TO_MEND = 0.005  # fine-tune where int8 loses more than this share of the valid clips
CALIBRATION_CLIPS = 512


class AudioEpochs(Protocol):
    """Where a baseline gets its audio: int16 [n_clips, n_samples] and labels int64 [n_clips]."""

    classes: tuple[str, ...]

    def train_audio(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Augmented training clips in random order."""

    def fixed_audio(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Clips of a split as they are."""


class Judge(Protocol):
    """A teacher, as a baseline needs it."""

    def logits(self, clips: np.ndarray) -> np.ndarray:
        """Log-probabilities float32 [n_clips, n_classes] of int16 clips [n_clips, n_samples]."""


def fit_baseline(
    source: AudioEpochs, config: BaselineConfig, *, teacher: Judge | None = None, report: Callable[[int, float, float], None] | None = None
) -> TrainedBaseline:
    """Train a baseline to the last epoch and make it int8.

    Parameters
    ----------
    source : AudioEpochs
    config : BaselineConfig
    teacher : Judge, optional
        For distillation, as a spiking network has it.
    report : callable (epoch, loss, accuracy on ``valid``), optional
        Called after each epoch.

    Returns
    -------
    TrainedBaseline
        Its int8 form is the better on ``valid`` of what rounding after training gave and what fine-tuning made of that, if it was needed.
    """
    torch.manual_seed(config.seed)
    plan = BASELINES[config.network]
    features, network = Features(plan.coefficients), plan.build(len(source.classes))
    clips, _ = source.train_audio(np.random.default_rng([config.seed, 0]))
    n_samples = source.fixed_audio("valid")[0].shape[1]
    features.calibrate(clips[:CALIBRATION_CLIPS, -n_samples:])  # a pre-roll of noise, if there is one, comes before the clip
    valid = source.fixed_audio("valid")

    def judge(trained: nn.Module) -> float:
        trained.eval()
        with torch.no_grad():
            found = [trained(features(valid[0][i : i + CHUNK])).argmax(1).numpy() for i in range(0, len(valid[0]), CHUNK)]
        trained.train()
        return float((np.concatenate(found) == valid[1]).mean())

    def after(epoch: int, loss: float) -> None:
        if report:
            report(epoch, loss, judge(network))

    _descend(network, features, source, config, teacher, n_samples, range(config.epochs), after)
    result = TrainedBaseline(config, features, network, quantized(network.eval()))
    calm = features(source.train_audio(np.random.default_rng([config.seed, config.epochs]))[0][:CALIBRATION_CLIPS, -n_samples:])
    result.integer.calibrate(calm)
    plain, goal = result.accuracy(*valid, integer=True), result.accuracy(*valid) - LOSS_TO_MEND
    if plain < goal and config.tune_epochs:
        tuned = _to_tune(result)
        slower = replace(config, learning_rate=config.learning_rate * config.tune_rate)
        _descend(tuned.integer, features, source, slower, teacher, n_samples, range(config.epochs, config.epochs + config.tune_epochs), lambda *_: None)
        if tuned.accuracy(*valid, integer=True) > plain:
            return tuned
    return result


def baseline_config(network: str, recipe: Config, *, seed: int = 0, **changes: Any) -> BaselineConfig:
    """The configuration that gives a baseline what a recipe gives a spiking network: epochs, batch, label smoothing and masks.

    Raises
    ------
    UsageError
        For an unknown network.
    """
    if network not in BASELINES:
        raise UsageError(f"a baseline must be one of {', '.join(BASELINES)}, not {network!r}")
    base = BaselineConfig(
        network=network, seed=seed, epochs=recipe.epochs, batch=recipe.batch, label_smoothing=recipe.label_smoothing,
        time_mask=recipe.augment.time_mask, channel_mask=recipe.augment.channel_mask,
        teacher_weight=recipe.teacher_weight, teacher_temperature=recipe.teacher_temperature,
    )  # fmt: skip
    return replace(base, **changes)


def score_baseline(trained: TrainedBaseline, source: AudioEpochs, form: str, splits: tuple[str, ...]) -> dict[str, float]:
    """Accuracy of one ``form``, ``float`` or ``int8``, on each split."""
    return {split: trained.accuracy(*source.fixed_audio(split), integer=form == "int8") for split in splits}


def _to_tune(trained: TrainedBaseline) -> TrainedBaseline:
    """The same with an int8 network of its own to fine-tune, grids kept."""
    copy = quantized(trained.network)
    copy.grids = list(trained.integer.grids)
    return replace(trained, integer=copy, tuned=True)


def _descend(
    network: nn.Module,
    features: Features,
    source: AudioEpochs,
    config: BaselineConfig,
    teacher: Judge | None,
    n_samples: int,
    epochs: range,
    after: Callable[[int, float], None],
) -> None:
    """Epochs of AdamW under a one-cycle schedule, in place."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule: Any = None
    network.train()
    for epoch in epochs:
        rng = np.random.default_rng([config.seed, epoch])
        clips, labels = source.train_audio(rng)
        if schedule is None:
            steps = math.ceil(len(labels) / config.batch) * len(epochs)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps)
        total = 0.0
        for start in range(0, len(labels), config.batch):
            chosen, truth = clips[start : start + config.batch, -n_samples:], torch.from_numpy(labels[start : start + config.batch])
            logits = network(features(chosen, rng, config.time_mask, config.channel_mask))
            loss = nn.functional.cross_entropy(logits, truth, label_smoothing=config.label_smoothing)
            if teacher is not None:  # Hinton et al. 2015 (arXiv 1503.02531), as in ``loop``
                heat, share, opinion = config.teacher_temperature, config.teacher_weight, torch.from_numpy(teacher.logits(chosen))
                distance = nn.functional.kl_div((logits / heat).log_softmax(1), (opinion / heat).log_softmax(1), reduction="batchmean", log_target=True)
                loss = (1 - share) * loss + share * heat**2 * distance
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(truth)
        after(epoch, total / len(labels))
