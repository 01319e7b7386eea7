# SPDX-License-Identifier: Apache-2.0
"""The training program, top to bottom: epochs of augmented events through the exact integer network.

Every epoch draws from its own seeded generator, so a resumed run ends with the same weights as an uninterrupted one.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import nn

from ..edge.errors import DataError, Error, UsageError
from .config import Config, from_dict, to_dict
from .model import SCMLModel
from .scoring import clip_scores, in_rows

__all__ = [
    "Epoch",
    "EventSource",
    "Progress",
    "TrainingStopped",
    "accuracy",
    "calibrate",
    "check_classes",
    "class_weights",
    "draw_epoch",
    "fit",
    "load_model",
    "parameter_group",
    "predict",
    "teacher_of",
    "to_input",
    "train_step_loss",
]

CHECKPOINT = "checkpoint.pt"


class Epoch(NamedTuple):
    """Training clips of an epoch.

    Attributes
    ----------
    payloads : int16 [n_clips, n_timesteps, n_inputs]
        Or what has a length and gives that when it is sliced.
    labels : int64 [n_clips]
    opinions : float32 [n_clips, n_classes], optional
        A teacher's log-probabilities.
    """

    payloads: np.ndarray
    labels: np.ndarray
    opinions: np.ndarray | None = None


class EventSource(Protocol):
    """Where a loop gets its events. ``digest`` names the clips, ``teacher_digest`` the teacher ("" for none): a run resumes on the same ones only."""

    n_inputs: int
    payload_max: int
    classes: tuple[str, ...]
    scored_timesteps: int
    digest: str
    teacher_digest: str

    def train_epoch(self, rng: np.random.Generator) -> Epoch:
        """Augmented training clips in random order."""

    def fixed(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Payloads and labels of a split as they are."""


@dataclass(frozen=True)
class Progress:
    """One epoch, as logged; ``saturated`` is the share of currents and membranes at a limit of their format (D2), in the worst layer."""

    epoch: int
    loss: float
    train_accuracy: float
    valid_accuracy: float
    rate: float
    learning_rate: float
    saturated: float


class TrainingStopped(Error):
    """Training that cannot go on: the loss is no longer a number."""


def fit(config: Config, source: EventSource, output: Path, *, report: Callable[[Progress], None] = lambda _: None, stop_after: int | None = None) -> SCMLModel:
    """Train a model to the last epoch, or resume one.

    Parameters
    ----------
    config : Config
    source : EventSource
    output : Path
        Folder for ``checkpoint.pt``, ``log.csv``, ``config.json`` and TensorBoard events.
    report : callable
        Called after each epoch.
    stop_after : int, optional
        Leave after this many epochs in all, as an interruption would.

    Returns
    -------
    SCMLModel
        The model of the last epoch (its moving average where ``config.ema`` is set).

    Raises
    ------
    DataError
        If a class has no training clip.
    UsageError
        If ``batch`` is no multiple of ``augment.carry``, ``detector_timesteps`` is below 1, or ``output`` holds a checkpoint of another configuration.
    TrainingStopped
        If the loss is not finite; the last good checkpoint stays.
    """
    if config.augment.carry < 1 or config.batch % config.augment.carry:
        raise UsageError(f"batch must be a whole number of rows of augment.carry clips, not {config.batch} with rows of {config.augment.carry}")
    if not config.detector_timesteps >= 1:
        raise UsageError(f"detector_timesteps must be at least 1, not {config.detector_timesteps:g}: a detector averages over one timestep or more")
    torch.manual_seed(config.seed)
    model = SCMLModel(config.model, source.n_inputs, len(source.classes), source.payload_max)
    valid_payloads, valid_labels = source.fixed("valid")
    first_payloads, first_labels, _ = source.train_epoch(_generator(config, 0))
    check_classes(source, first_labels)
    steps = math.ceil(len(first_labels) / config.batch)
    balance = class_weights(config, source, first_labels)
    calibrate(model, first_payloads[: 2 * config.batch], target=config.rate_target)
    gain = nn.Parameter(torch.tensor(1.0))  # scale of the scores before the softmax; the decision does not depend on it
    optimizer = torch.optim.AdamW(_parameter_groups(config, model, gain), weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _one_cycle(step, steps * config.epochs, config.warmup))
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(config.ema)) if config.ema else None
    state = {"model": model, "optimizer": optimizer, "schedule": schedule, **({"average": average} if average else {})}
    done = _resume(output, config, source, state, gain)
    output.mkdir(parents=True, exist_ok=True)  # not before: what is refused leaves nothing behind
    # audio becomes events on a second core while the network trains on the epoch before
    with _Log(output, config, fresh=done == 0) as log, ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(draw_epoch, config, source, done)
        for epoch in range(done, config.epochs):
            seed, (payloads, labels, opinions) = coming.result()
            if epoch + 1 < config.epochs:
                coming = ahead.submit(draw_epoch, config, source, epoch + 1)
            torch.manual_seed(seed)
            loss_sum, correct, rates, limits = 0.0, 0, [], []
            for start in range(0, len(labels), config.batch):
                part = slice(start, start + config.batch)
                truth = torch.from_numpy(labels[part])
                opinion = None if opinions is None else torch.from_numpy(opinions[part])
                loss, logits, rate, limit = train_step_loss(model, gain, config, payloads[part], truth, source.scored_timesteps, balance, opinion)
                if not torch.isfinite(loss):
                    raise TrainingStopped(
                        f"the loss must be finite; it is not at epoch {epoch}, step {start // config.batch}{_first_lost(model)}. "
                        f"Lower learning_rate (now {config.learning_rate}) or grad_clip; {output / CHECKPOINT} holds the last good epoch"
                    )
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(model.parameters(), config.grad_clip)
                optimizer.step()
                schedule.step()
                model.constrain()
                if average:
                    average.update_parameters(model)
                loss_sum += float(loss.detach()) * len(truth)
                correct += int((logits.argmax(1) == truth).sum())
                rates.append(rate)
                limits.append(limit)
            judged = average.module if average else model
            progress = Progress(
                epoch,
                loss_sum / len(labels),
                correct / len(labels),
                accuracy(judged, valid_payloads, valid_labels),
                float(np.mean(rates)),
                config.learning_rate * schedule.lr_lambdas[0](schedule.last_epoch),
                float(np.mean(limits)),
            )
            _save(output, config, source, state, gain, epoch + 1)
            log.write(progress)
            report(progress)
            if stop_after is not None and epoch + 1 >= stop_after:
                break
    return average.module if average else model  # type: ignore[return-value]


def load_model(config: Config, source: EventSource, output: Path) -> SCMLModel:
    """The model of the checkpoint in ``output`` (its moving average where ``config.ema`` is set).

    Raises
    ------
    DataError
        If there is no checkpoint, or it is of another configuration.
    """
    model = SCMLModel(config.model, source.n_inputs, len(source.classes), source.payload_max)
    saved = _read_checkpoint(output / CHECKPOINT, config, source, any_teacher=True)
    weights = saved["average"] if config.ema else saved["model"]
    model.load_state_dict({key.removeprefix("module."): value for key, value in weights.items() if key != "n_averaged"})
    return model


def teacher_of(output: Path, config: Config, source: EventSource) -> str:
    """Digest of the teacher of the checkpoint in ``output``, "" for none."""
    saved = _read_checkpoint(output / CHECKPOINT, config, source, any_teacher=True)
    return str(json.loads(saved["config"]).get("teacher", ""))


def train_step_loss(
    model: SCMLModel,
    gain: torch.Tensor,
    config: Config,
    payloads: np.ndarray,
    truth: torch.Tensor,
    scored: int,
    balance: torch.Tensor,
    opinion: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, float, float]:
    """Loss of one batch: cross-entropy on the class scores, a teacher's share of it, and a pull of every layer's firing rate toward the target.

    Returns
    -------
    loss : scalar; logits : float32 [n_samples, n_classes]; rate, saturated : float
        Mean firing rate over layers; share of saturated currents or membranes in the layer that has most.
    """
    flush = len(model.constants)
    out = model(to_input(in_rows(payloads, config.augment.carry), flush))
    scores = clip_scores(out.emitted, len(payloads), scored, flush, config.detector_timesteps)
    logits = gain * scores * (4.0 / (model.config.nominal_threshold * scored))
    loss = nn.functional.cross_entropy(logits, truth, weight=balance, label_smoothing=config.label_smoothing)
    if opinion is not None:  # Hinton et al. 2015: softened distributions, weighted by the temperature's square to keep the size of the gradient
        heat, share = config.teacher_temperature, config.teacher_weight
        distance = nn.functional.kl_div((logits / heat).log_softmax(1), (opinion / heat).log_softmax(1), reduction="batchmean", log_target=True)
        loss = (1 - share) * loss + share * heat**2 * distance
    rates = [s.mean((0, 1)) for s in out.spikes]
    for rate in rates:
        excess = rate.mean() - config.rate_target
        silent = (0.01 - rate).clamp(min=0)
        loss = loss + config.rate_weight * (excess.clamp(min=0) ** 2 * 20 + silent.mean() * 5)
    return loss, logits.detach(), float(torch.cat(rates).mean().detach()), float(out.saturated.max())


def _first_lost(model: SCMLModel) -> str:
    """Where the first parameter that is no longer finite is, for a message."""
    lost = [name for name, parameter in model.named_parameters() if not torch.isfinite(parameter).all()]
    return f", after {lost[0]} was lost" if lost else ""


def to_input(payloads: np.ndarray, flush: int) -> torch.Tensor:
    """Time-major float32 [n_timesteps + flush, n_samples, n_inputs] of int16 [n_samples, n_timesteps, n_inputs]."""
    x = torch.from_numpy(np.ascontiguousarray(payloads.transpose(1, 0, 2))).float()
    return torch.cat([x, x.new_zeros(flush, *x.shape[1:])])


@torch.no_grad()
def accuracy(model: SCMLModel, payloads: np.ndarray, labels: np.ndarray, batch: int = 256) -> float:
    """Share of clips whose label (S8.1) is right."""
    return float((predict(model, payloads, batch) == labels).mean())


@torch.no_grad()
def predict(model: SCMLModel, payloads: np.ndarray, batch: int = 256) -> np.ndarray:
    """Labels int64 [n_clips] of the exact integer network."""
    flush = len(model.constants)
    found = [model(to_input(payloads[i : i + batch], flush)).emitted.double().sum(0).argmax(1).numpy() for i in range(0, len(payloads), batch)]
    return np.concatenate(found)


@torch.no_grad()
def calibrate(model: SCMLModel, payloads: np.ndarray, *, target: float, rounds: int = 8) -> None:
    """Scale the feed-forward weights of each layer in turn (its thresholds, where its drive is normalized) until its firing rate is near the target,
    then by its drive factor, and fix the grids.
    """
    x = to_input(payloads, len(model.constants))
    for number in range(len(model.constants)):
        lo, hi = 0.05, 20.0
        scaled, power = model.feed_forward[number], 1
        if model.config.normalize:
            model.normalize_weights(number, model(x).spikes[number - 1] if number else x)
            scaled, power = model.threshold[number], -1
        start = scaled.clone()
        for _ in range(rounds):
            factor = math.sqrt(lo * hi)
            scaled.copy_(start * factor**power)
            model.set_shifts()
            rate = float(model(x).spikes[number].mean())
            lo, hi = (factor, hi) if rate < target else (lo, factor)
    for weights, factor in zip(model.feed_forward, model.drive, strict=True):
        weights.mul_(factor)
    model.set_shifts()


def _generator(config: Config, epoch: int) -> np.random.Generator:
    return np.random.default_rng([config.seed, epoch])


def _parameter_groups(config: Config, model: SCMLModel, gain: torch.Tensor) -> list[dict[str, Any]]:
    """One group a weight matrix, its rate in units of its spread: Adam's steps have one size, the matrices have spreads a factor of ten apart."""
    return [parameter_group(config, name, parameter) for name, parameter in [*model.named_parameters(), ("gain", gain)]]


def parameter_group(config: Config, name: str, parameter: torch.Tensor) -> dict[str, Any]:
    """Settings of the optimizer for one parameter."""
    spread = float(parameter.detach().std()) if parameter.numel() > 1 and parameter.ndim > 1 else 0.3
    return {"params": [parameter], "lr": config.learning_rate * spread, "weight_decay": config.weight_decay if parameter.ndim > 1 else 0.0, "name": name}


def draw_epoch(config: Config, source: EventSource, epoch: int) -> tuple[int, Epoch]:
    """Everything random of an epoch, from its own generator: a seed for torch, and the clips."""
    rng = _generator(config, epoch)
    seed = int(rng.integers(1 << 62))
    return seed, source.train_epoch(rng)


def _one_cycle(step: int, total: int, warmup: float) -> float:
    """Linear warm-up, then half a cosine to 1 % of the peak."""
    rise = max(1, int(total * warmup))
    if step < rise:
        return (step + 1) / rise
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, total - rise))))


def class_weights(config: Config, source: EventSource, labels: np.ndarray) -> torch.Tensor:
    """Weights inverse to the square root of class counts, mean 1."""
    counts = np.bincount(labels, minlength=len(source.classes)).astype(np.float64)
    weights = 1 / np.sqrt(counts)
    if "_unknown_" in source.classes:
        weights[source.classes.index("_unknown_")] *= config.unknown_weight
    return torch.from_numpy((weights / weights.mean()).astype(np.float32))


def check_classes(source: EventSource, labels: np.ndarray) -> None:
    """Refuse training clips that lack a class."""
    missing = sorted(set(range(len(source.classes))) - set(labels.tolist()))
    if missing:
        raise DataError(f"every class must have training clips; {source.classes[missing[0]]!r} has none: add recordings or leave the class out")


def _fingerprint(config: Config, source: EventSource) -> str:
    """All that a run depends on, as JSON."""
    return json.dumps({**to_dict(config), "corpus": source.digest, "teacher": source.teacher_digest}, sort_keys=True)


def _save(output: Path, config: Config, source: EventSource, state: dict[str, Any], gain: torch.Tensor, epoch: int) -> None:
    beside = output / (CHECKPOINT + ".part")
    saved = {name: part.state_dict() for name, part in state.items()}
    torch.save({**saved, "gain": gain.detach(), "epoch": epoch, "config": _fingerprint(config, source)}, beside)
    os.replace(beside, output / CHECKPOINT)


def _resume(output: Path, config: Config, source: EventSource, state: dict[str, Any], gain: torch.Tensor) -> int:
    """Load the checkpoint of ``output``, if any; epochs done."""
    if not (output / CHECKPOINT).exists():
        return 0
    saved = _read_checkpoint(output / CHECKPOINT, config, source)
    for name, part in state.items():
        part.load_state_dict(saved[name])
    gain.data.copy_(saved["gain"])
    return int(saved["epoch"])


def _read_checkpoint(path: Path, config: Config, source: EventSource, *, any_teacher: bool = False) -> dict[str, Any]:
    try:
        saved: dict[str, Any] = torch.load(path, weights_only=True)
        theirs, ours = json.loads(saved["config"]), json.loads(_fingerprint(config, source))
        known = {key: value for key, value in theirs.items() if key not in ("corpus", "teacher")}
        theirs |= json.loads(json.dumps(to_dict(from_dict(Config, known, path.name))))  # keys it did not know have their defaults
    except Exception as error:
        raise DataError(f"{path} must be a readable checkpoint of this program: remove it to start anew ({type(error).__name__})") from None
    if any_teacher:
        ours["teacher"] = theirs.get("teacher")
    if theirs != ours:
        keys = ", ".join(_differing(theirs, ours))
        raise DataError(f"{path} must be of the same configuration to resume; these keys differ: {keys}. Choose another --output or remove it")
    return saved


def _differing(a: Any, b: Any, prefix: str = "") -> list[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        return [k for key in sorted(set(a) | set(b)) for k in _differing(a.get(key), b.get(key), f"{prefix}.{key}" if prefix else key)]
    return [] if a == b else [prefix]


class _Log:
    """CSV and TensorBoard logs, and the resolved configuration."""

    def __init__(self, output: Path, config: Config, *, fresh: bool) -> None:
        self._path, self._fresh = output / "log.csv", fresh
        (output / "config.json").write_text(json.dumps(to_dict(config), indent=1))

    def __enter__(self) -> _Log:
        from torch.utils.tensorboard import SummaryWriter

        self._file = self._path.open("w" if self._fresh else "a", newline="")
        self._csv = csv.writer(self._file)
        if self._fresh:
            self._csv.writerow(Progress.__dataclass_fields__)
        self._board = SummaryWriter(str(self._path.parent / "tensorboard"))  # type: ignore[no-untyped-call]
        return self

    def write(self, progress: Progress) -> None:
        row = vars(progress)
        self._csv.writerow(row.values())
        self._file.flush()
        for name, value in row.items():
            if name != "epoch":
                self._board.add_scalar(name, value, progress.epoch)  # type: ignore[no-untyped-call]

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._board.close()  # type: ignore[no-untyped-call]
