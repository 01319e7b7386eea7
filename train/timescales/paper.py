# SPDX-License-Identifier: Apache-2.0
"""The network and training of arXiv 2407.18838 on MTS-XOR, in float32: batch normalization, leaky neurons, Adam with its bias correction by epochs.

A reproduction to hold our own results against; it exports nothing. Readings of what the paper leaves open are in docs/timescales.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ...edge.errors import UsageError
from ..mts_xor import CHANNELS, TIMESTEPS, MtsXor, draw_mts_xor, scored_timesteps
from .hierarchy import Timescales, layer_means
from .paper_kernels import LANES, moments, neurons

__all__ = ["Chunks", "PaperAdam", "PaperConfig", "PaperNetwork", "Trained", "evaluate", "fit_paper", "freeze", "train_paper"]

TIMESTEP_MS = 10.0
GAINS = ("none", "rate", "relative", "root")
EPSILON = 1e-5  # of batch normalization
Moments = tuple[torch.Tensor, torch.Tensor]  # mean [K] and covariance [K, K] of channels
DROPPED = 26  # of 256: a dropout of 0.1, from one random byte an element


@dataclass(frozen=True, kw_only=True)
class PaperConfig:
    """A training.

    Attributes
    ----------
    hidden : tuple of int
        Neurons of each hidden layer.
    mean_ms, spread_ms : float
        Of the hierarchy (``hierarchy.Timescales``).
    shape : str
    jitter : float
        Standard deviation within a layer, as a share of its time constant; 0 makes neurons equal.
    gain : str
        What multiplies the drive: ``none`` as the paper; ``rate`` is (1 - decay), at which hardly a neuron fires; ``relative`` is that over (1 - decay) at
        ``mean_ms``, so that without hierarchy nothing changes; ``root`` is sqrt(1 - decay**2) / 0.6.
    train_decays : bool
        Decays of hidden neurons trained, one each.
    spread_penalty : float
        Of the decays within a layer, where they are trained.
    recurrent : bool
        Links within hidden layers, none to itself.
    delays : tuple of int
        Axons into each hidden layer, one set of weights each.
    steps_by : str
        ``epoch``: Adam's bias correction counts epochs, as theirs; ``iteration``: as the textbook.
    schedule : str
        ``late`` (x 0.75 after epochs 25, 35, 45, 55), ``half`` (x 0.5 after 25, 30, ...) or ``cosine`` (over all epochs, to 1 %).
    loss_on : str
        ``all`` timesteps, or the ``scored`` ones.
    sequences : int
        Training set, drawn once; valid and test have 1024 each.
    """

    hidden: tuple[int, ...] = (10, 10)
    mean_ms: float = 300.0
    spread_ms: float = 0.0
    shape: str = "tanh"
    jitter: float = 0.1
    gain: str = "none"
    train_decays: bool = False
    spread_penalty: float = 1e-3
    recurrent: bool = False
    delays: tuple[int, ...] = (0,)
    readout_ms: float = 50.0
    steps_by: str = "epoch"
    schedule: str = "late"
    loss_on: str = "all"
    epochs: int = 60
    batch: int = 512
    learning_rate: float = 0.01
    dropout: bool = True
    sequences: int = 10_240
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("gain", GAINS), ("steps_by", ("epoch", "iteration")), ("schedule", ("late", "half", "cosine")), ("loss_on", ("all", "scored"))):
            if getattr(self, name) not in known:
                raise UsageError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        if self.batch % LANES or self.sequences % self.batch:
            raise UsageError(f"batch must be a multiple of {LANES}, and sequences of batch, not {self.batch} and {self.sequences}")


class Chunks:
    """Sequences in the layout of the kernels.

    Parameters
    ----------
    n : int
        A multiple of ``LANES``.
    rng : numpy.random.Generator

    Attributes
    ----------
    events : uint8 [n_chunks, 100, 40, LANES]
    signs : int8 [n_chunks, 100, LANES]
        Targets as -1 and 1.
    """

    def __init__(self, n: int, rng: np.random.Generator) -> None:
        drawn = draw_mts_xor(n, rng)
        split = (n // LANES, LANES)
        self.events = np.ascontiguousarray(drawn.events.astype(np.uint8).reshape(*split, TIMESTEPS, CHANNELS).transpose(0, 2, 3, 1))
        self.signs = np.ascontiguousarray((2 * drawn.targets - 1).astype(np.int8).reshape(*split, TIMESTEPS).transpose(0, 2, 1))
        found = [moments(torch.from_numpy(chunk[None].astype(np.float32))) for chunk in self.events]
        self._means = np.stack([mean.numpy() for mean, _ in found])
        self._second = np.stack([covariance.numpy() + np.outer(mean, mean) for mean, covariance in found])

    def sequences(self) -> MtsXor:
        """The sequences as they were drawn."""
        events = self.events.transpose(0, 3, 1, 2).reshape(-1, TIMESTEPS, CHANNELS)
        return MtsXor(events.astype(np.int16), (self.signs.transpose(0, 2, 1).reshape(-1, TIMESTEPS) > 0).astype(np.int64))

    def batches(self, size: int, rng: np.random.Generator | None = None) -> Iterator[tuple[torch.Tensor, torch.Tensor, Moments]]:
        """Events, signs, and the moments of the events, float32; chunks in random order where ``rng`` is given."""
        order = np.arange(len(self.events)) if rng is None else rng.permutation(len(self.events))
        step = size // LANES
        for start in range(0, len(order), step):
            chosen = order[start : start + step]
            mean = self._means[chosen].mean(0)
            covariance = self._second[chosen].mean(0) - np.outer(mean, mean)
            arrays = self.events[chosen].astype(np.float32), self.signs[chosen].astype(np.float32), mean, covariance
            events, signs, *found = map(torch.from_numpy, arrays)
            yield events, signs, (found[0], found[1])


class PaperNetwork(nn.Module):
    """Linear, batch normalization, leaky neurons, layer by layer; then a leaky readout of two classes."""

    def __init__(self, config: PaperConfig) -> None:
        super().__init__()
        self.config = config
        rng = np.random.default_rng([config.seed, 1])
        self.weights, self.scales, self.offsets, self.recurrent = nn.ParameterList(), nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        self.decays = nn.ParameterList()
        scales = Timescales(shape=config.shape, mean=config.mean_ms, spread=config.spread_ms)
        three = len(config.hidden) == 3  # theirs: the list of widths is made once, for 700 inputs and three hidden layers of 128
        fan_in = CHANNELS
        for number, n in enumerate((*config.hidden, 2)):
            hidden = number < len(config.hidden)
            fan_in *= len(config.delays) if hidden else 1
            limit = (700 if number == 0 else 128) ** -0.5 if three else 0.0757
            self.weights.append(nn.Parameter(torch.from_numpy(rng.uniform(-limit, limit, (fan_in, n)).astype(np.float32))))
            self.scales.append(nn.Parameter(torch.ones(n)))
            self.offsets.append(nn.Parameter(torch.zeros(n)))
            linked = n if hidden and config.recurrent else 0
            self.recurrent.append(nn.Parameter(torch.from_numpy(rng.uniform(-1, 1, (linked, linked)).astype(np.float32) / math.sqrt(max(1, linked)))))
            mean = layer_means(scales, len(config.hidden))[number] if hidden else config.readout_ms
            tau = mean * (1 + config.jitter * rng.standard_normal(n)) if hidden else np.full(n, mean)
            decay = np.clip(np.exp(-TIMESTEP_MS / np.maximum(tau, 1e-3)), 0.1, 0.99).astype(np.float32)
            self.decays.append(nn.Parameter(torch.from_numpy(decay), requires_grad=hidden and config.train_decays))
            fan_in = n

    @property
    def n_weights(self) -> int:
        """Weights and, where they are trained, decays; those of normalization, which deployment folds into weights and thresholds, not counted."""
        off_diagonal = sum(w.numel() - len(w) for w in self.recurrent)
        return sum(w.numel() for w in self.weights) + off_diagonal + sum(d.numel() for d in self.decays if d.requires_grad)

    def time_constants(self) -> list[np.ndarray]:
        """Of each hidden layer, in ms; decays clipped at 0.99, as theirs."""
        return [-TIMESTEP_MS / np.log(np.clip(d.detach().numpy(), 1e-5, 0.99)) for d in self.decays[: len(self.config.hidden)]]

    def forward(
        self, events: torch.Tensor, known: Moments | None = None, rng: np.random.Generator | None = None, frozen: list[Moments] | None = None
    ) -> torch.Tensor:
        """Readout of class 1 less that of class 0.

        Parameters
        ----------
        events : float32 [n_chunks, T, 40, LANES]
        known : tuple of Tensor, optional
            Moments of the events, where they are known.
        rng : numpy.random.Generator, optional
            For dropout.
        frozen : list, optional
            Mean and covariance of the input of each layer in place of the batch's; an empty list is filled with the batch's.

        Returns
        -------
        float32 [n_chunks, T, LANES]
        """
        source, collect = events, frozen == []
        for number in range(len(self.weights)):
            hidden = number < len(self.config.hidden)
            if hidden and self.config.delays != (0,):
                source = torch.cat([nn.functional.pad(source, (0, 0, 0, 0, d, 0))[:, : source.shape[1]] for d in self.config.delays], 2)
            if frozen is not None and not collect:
                mean, covariance = frozen[number]
            else:
                mean, covariance = known if known is not None and source is events else moments(source)
            if frozen is not None and collect:
                frozen.append((mean, covariance))
            source = neurons(source, *self.folded(number, mean, covariance), fires=hidden)
            if hidden and rng is not None and self.config.dropout:
                kept = np.frombuffer(rng.bytes(source.numel()), np.uint8).reshape(source.shape) >= DROPPED
                source = source * torch.from_numpy(np.multiply(kept, np.float32(256 / (256 - DROPPED))))
        return source[:, :, 1] - source[:, :, 0]

    def folded(self, number: int, mean: torch.Tensor, covariance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """What a layer (the readout is the last) computes with once the moments of its input are given.

        Returns
        -------
        weights [fan_in, n], shift [n], recurrent [n, n] or [0, 0], decay [n]
            As ``paper_kernels.forward_layer`` takes them: normalization and input gain included.
        """
        weights, hidden = self.weights[number], number < len(self.config.hidden)
        scale = self.scales[number] / (((covariance @ weights) * weights).sum(0) + EPSILON).sqrt()
        decay = self.decays[number].clamp(1e-5, 0.98)
        gain = self._gain(decay) if hidden else 1 - decay
        shift = (self.offsets[number] - (mean @ weights) * scale) * gain
        recurrent = self.recurrent[number]
        return weights * (scale * gain), shift, recurrent * (1 - torch.eye(len(recurrent))), decay

    def penalty(self) -> torch.Tensor:
        """What theirs adds to the loss where decays are trained."""
        trained = [d for d in self.decays if d.requires_grad]
        spread = sum((((d - d.mean()) ** 2).sum() + 1e-12).sqrt() for d in trained)
        return torch.as_tensor(self.config.spread_penalty * spread + 0.1 * sum((nn.functional.relu(d - 0.95).square().sum() + 1e-12).sqrt() for d in trained))

    def _gain(self, decay: torch.Tensor) -> torch.Tensor:
        least = -math.expm1(-TIMESTEP_MS / self.config.mean_ms)
        found = {"none": torch.ones_like(decay), "rate": 1 - decay, "relative": (1 - decay) / least, "root": (1 - decay**2).sqrt() / 0.6}
        return found[self.config.gain]


class PaperAdam:
    """Adam whose bias correction may count epochs: moments move each batch, their correction each epoch (what the paper's code does).

    Parameters
    ----------
    parameters : list of Tensor
    """

    def __init__(self, parameters: list[torch.Tensor]) -> None:
        self.parameters = parameters
        self.first, self.second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))

    @torch.no_grad()
    def step(self, learning_rate: float, count: int) -> None:
        """Move by the gradients; ``count`` from 1 up is what the bias correction goes by."""
        for p, m, v in zip(self.parameters, self.first, self.second, strict=True):
            assert p.grad is not None
            m.mul_(0.9).add_(p.grad, alpha=0.1)
            v.mul_(0.999).addcmul_(p.grad, p.grad, value=0.001)
            p.addcdiv_(m, (v / (1 - 0.999**count)).sqrt_().add_(1e-8), value=-learning_rate / (1 - 0.9**count))
            p.grad = None


@torch.no_grad()
def evaluate(network: PaperNetwork, chunks: Chunks, frozen: list[Moments] | None = None) -> float:
    """Share of scored timesteps told right, under statistics of the batch or ``frozen`` ones."""
    scored, right = torch.from_numpy(scored_timesteps()), []
    for events, signs, known in chunks.batches(network.config.batch):
        right.append(((network(events, known, frozen=frozen) > 0) == (signs > 0))[:, scored].float().mean())
    return float(torch.stack(right).mean())


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Attributes
    ----------
    network : PaperNetwork
        Of the epoch that is best on valid.
    frozen : list of (mean, covariance)
        Statistics of 2048 training sequences at the input of each layer.
    figures : dict
        What ``train_paper`` returns.
    test : MtsXor
        What it was tested on.
    """

    network: PaperNetwork
    frozen: list[Moments]
    figures: dict[str, Any]
    test: MtsXor


def train_paper(config: PaperConfig, report: Callable[[dict[str, Any]], None] = lambda _: None) -> dict[str, Any]:
    """Train a network, keep the epoch that is best on valid, test it: the figures of ``fit_paper``."""
    return fit_paper(config, report).figures


def fit_paper(config: PaperConfig, report: Callable[[dict[str, Any]], None] = lambda _: None) -> Trained:
    """Train a network, keep the epoch that is best on valid, test it.

    Parameters
    ----------
    config : PaperConfig
    report : callable
        Takes each epoch's entry.

    Returns
    -------
    Trained
        Its figures: ``test`` with statistics of the batch, ``test_frozen`` with those of training sequences, ``valid``, ``epoch`` (the one kept),
        ``n_weights``, ``history`` (loss, valid accuracy and quantiles of the time constants of each layer, by epoch) and ``tau_ms``.
    """
    rng = np.random.default_rng([config.seed, 0])
    train, valid, test = (Chunks(n, rng) for n in (config.sequences, 1024, 1024))
    network = PaperNetwork(config)
    adam = PaperAdam([p for p in network.parameters() if p.requires_grad and p.numel()])
    mask = torch.from_numpy(scored_timesteps() if config.loss_on == "scored" else np.ones(TIMESTEPS, bool))
    best: tuple[float, int, dict[str, torch.Tensor]] = (-1.0, 0, {})
    history: list[dict[str, Any]] = []
    count = 0
    for epoch in range(config.epochs):
        losses = []
        for events, signs, known in train.batches(config.batch, rng):
            margin = network(events, known, rng)
            loss = nn.functional.softplus(-margin * signs)[:, mask].mean()
            (loss + network.penalty() if config.train_decays else loss).backward()  # type: ignore[no-untyped-call]
            count += 1
            adam.step(_rate(config, epoch), epoch + 1 if config.steps_by == "epoch" else count)
            losses.append(float(loss.detach()))
        found = evaluate(network, valid)
        quantiles = [np.quantile(tau, (0.15, 0.5, 0.85)).tolist() for tau in network.time_constants()]
        history.append({"epoch": epoch, "loss": float(np.mean(losses)), "valid": found, **({"tau_ms": quantiles} if config.train_decays else {})})
        report(history[-1])
        if found > best[0]:
            best = found, epoch, {key: value.clone() for key, value in network.state_dict().items()}
    network.load_state_dict(best[2])
    frozen = freeze(network, train)
    figures = {
        "test": evaluate(network, test), "test_frozen": evaluate(network, test, frozen), "valid": best[0], "epoch": best[1], "n_weights": network.n_weights,
        "history": history, "tau_ms": [np.round(tau, 2).tolist() for tau in network.time_constants()],
    }  # fmt: skip
    return Trained(network, frozen, figures, test.sequences())


def _rate(config: PaperConfig, epoch: int) -> float:
    if config.schedule == "cosine":
        return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * epoch / config.epochs)))
    factor, every = (0.75, 10) if config.schedule == "late" else (0.5, 5)
    return config.learning_rate * factor ** sum(epoch > boundary for boundary in range(25, config.epochs, every))


@torch.no_grad()
def freeze(network: PaperNetwork, train: Chunks) -> list[Moments]:
    """Statistics of 2048 training sequences, of one pass without dropout."""
    events = next(train.batches(min(2048, network.config.sequences)))[0]
    frozen: list[Moments] = []
    network(events, frozen=frozen)
    return frozen
