# SPDX-License-Identifier: Apache-2.0
"""MTS-XOR learnt by the integers that are deployed: no float32 network, no normalization but at the start, a loss at every scored timestep.

It starts from ``integers.to_integers`` of an untrained network, so that every neuron is driven about as far as its threshold, and trains weights, biases
and time constants of the network file through the fused kernels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ...edge.errors import UsageError
from ...edge.network import Network
from ..fused import FusedNetwork
from ..mts_xor import scored_timesteps
from ..quantize import round_clamp
from ..surrogate import Boxcar
from .integers import score_steps, to_integers
from .paper import Chunks, PaperConfig, PaperNetwork, Trained, freeze

__all__ = ["StepConfig", "StepNetwork", "fit_steps"]


@dataclass(frozen=True, kw_only=True)
class StepConfig:
    """A training.

    Attributes
    ----------
    start : PaperConfig
        Network, sequences and seed; how ``paper.py`` would train it does not count.
    learning_rate : float
        Peak step of biases in thresholds; of weights, that times a third of the largest.
    decay_rate : float
        Of decays, as a share of that.
    biases : bool
        Whether neurons have biases.
    """

    start: PaperConfig = PaperConfig(hidden=(10,), recurrent=True, mean_ms=100.0, jitter=0.5)
    epochs: int = 25
    batch: int = 256
    learning_rate: float = 0.01
    decay_rate: float = 0.1
    biases: bool = True

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch) < 1 or not self.learning_rate > 0 or not self.decay_rate >= 0:
            raise UsageError(
                "epochs and batch must be at least 1, learning_rate above 0 and decay_rate at least 0, not "
                f"{self.epochs}, {self.batch}, {self.learning_rate} and {self.decay_rate}"
            )


class StepNetwork(nn.Module):
    """Weights, biases and decays of a network file as parameters; every pass rounds them and runs the integers.

    Parameters
    ----------
    net : Network
        Firing neurons subtract; the last two neurons are the readout.
    biases : bool
        Whether there are any.
    """

    def __init__(self, net: Network, *, biases: bool = True) -> None:
        super().__init__()
        net = dataclasses.replace(net, initial_membrane=np.zeros(net.n_neurons, np.int64))  # those of before would be for other biases
        self.net, self._fused = net, FusedNetwork(net, Boxcar(1.0), through_reset=True)
        self._unit = torch.from_numpy(np.where(net.threshold > 0, net.threshold, np.abs(net.bias).max(initial=1)).astype(np.float32))
        self.weights = nn.Parameter(torch.from_numpy(net.synapse_weight.astype(np.float32)))
        self.biases = nn.Parameter(torch.from_numpy(net.bias * biases / self._unit.numpy()).float(), requires_grad=biases)
        self.decays = nn.Parameter(torch.from_numpy(net.kind_membrane_decay / 2.0**net.formats.decay_bits).float())
        self._fires = torch.tensor(net.kind_firing)
        self.gain = nn.Parameter(torch.tensor(1.0))  # of the margin before the loss; the decision does not depend on it

    def integers(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Weights, biases, decays of kinds and amounts of reset, as they run; the first three differentiable."""
        formats = self.net.formats
        most, highest, full = (1 << (formats.weight_bits - 1)) - 1, formats.membrane.hi, 1 << formats.decay_bits
        trained = round_clamp(self.decays * full, round(0.1 * full), round(0.98 * full))
        decays = torch.where(self._fires, trained, trained.detach())
        kept = decays.detach()[torch.from_numpy(self.net.neuron_kind.astype(np.int64))] / full
        reset = torch.from_numpy(self.net.threshold.astype(np.float32)) / kept
        return round_clamp(self.weights, -most, most), round_clamp(self.biases * self._unit, -highest, highest), decays, reset.round().clamp(max=highest)

    def forward(self, events: np.ndarray) -> torch.Tensor:
        """Readout of class 1 less that of class 0, float32 [T, n], aligned with int16 events [n, T, n_inputs]."""
        fused = self._fused
        fused.weight, fused.bias, decays, fused.reset_by = self.integers()
        fused.membrane_decay = decays[torch.from_numpy(self.net.neuron_kind.astype(np.int64))]
        found = fused.run(torch.from_numpy(np.ascontiguousarray(events.transpose(1, 0, 2))).float()).membranes[self.net.formats.flush :]
        return found[:, :, -1] - found[:, :, -2]

    @torch.no_grad()
    def network(self) -> Network:
        """As a file has it: synapses of weight 0 left out."""
        weights, biases, decays, reset = (x.numpy().astype(np.int64) for x in self.integers())
        stays = weights != 0
        start = np.concatenate([[0], np.cumsum(stays)])[self.net.synapse_start]
        return dataclasses.replace(
            self.net, synapse_start=start, synapse_target=self.net.synapse_target[stays], synapse_weight=weights[stays], bias=biases, reset_by=reset,
            kind_membrane_decay=decays,
        )  # fmt: skip


def fit_steps(config: StepConfig, report: Callable[[dict[str, Any]], None] = lambda _: None) -> tuple[Network, dict[str, Any]]:
    """Train to the last epoch, export, score what was exported.

    Parameters
    ----------
    config : StepConfig
    report : callable
        Takes each epoch's entry.

    Returns
    -------
    network : Network
    figures : dict
        ``test`` (share of scored timesteps of 1024 sequences that the exported integers tell right), ``n_weights`` (decays apart), ``history`` (loss and
        share by epoch).
    """
    rng = np.random.default_rng([config.start.seed, 2])
    chunks, tests = (Chunks(n, rng) for n in (config.start.sequences, 1024))
    untrained = PaperNetwork(config.start)
    net = to_integers(Trained(untrained, freeze(untrained, chunks), {}, tests.sequences()))
    model, train = StepNetwork(net, biases=config.biases), chunks.sequences()
    rate, scored = config.learning_rate, torch.from_numpy(scored_timesteps())
    groups = [(model.weights, rate * (1 << (net.formats.weight_bits - 1)) / 3), (model.decays, rate * config.decay_rate), (model.gain, 3 * rate)]
    groups += [(model.biases, rate)] if config.biases else []
    optimizer = torch.optim.Adam([{"params": [parameter], "lr": step} for parameter, step in groups])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.epochs * -(-len(train.events) // config.batch))
    with torch.no_grad():
        size = float(model(train.events[: config.batch]).std()) or 1.0
    history: list[dict[str, Any]] = []
    for epoch in range(config.epochs):
        order, losses, right = rng.permutation(len(train.events)), [], []
        for begin in range(0, len(order), config.batch):
            chosen = order[begin : begin + config.batch]
            signs = torch.from_numpy(2.0 * train.targets[chosen].T - 1.0).float()[scored]
            margin = model(train.events[chosen])[scored] * (model.gain / size)
            loss = nn.functional.softplus(-margin * signs).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
            right.append(float((margin.detach() * signs > 0).float().mean()))
        history.append({"epoch": epoch, "loss": float(np.mean(losses)), "train": float(np.mean(right))})
        report(history[-1])
    exported = model.network()
    return exported, {"test": score_steps(exported, tests.sequences()), "n_weights": untrained.n_weights, "history": history}
