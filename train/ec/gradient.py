# SPDX-License-Identifier: Apache-2.0
"""The search of ``evolution.Connectivity`` with a gradient in the place of ranks, for comparison: same probabilities, network, clips and score.

A generation is one network drawn from the probabilities that hears a batch. Back through time and spikes (a surrogate for their derivative) goes the
gradient by each of its connections, and is taken for that by the connection's probability (straight-through, arXiv 1308.3432).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..model import ModelConfig
from ..surrogate import step
from .evolution import Connectivity, MethodConfig
from .model import Layout, NetworkConfig, unpack_rows
from .topology import Topology

__all__ = ["StraightThrough", "listen"]

SURROGATE = ModelConfig().derivative  # that of training


def listen(config: NetworkConfig, layout: Layout, rows: torch.Tensor, events: torch.Tensor, unit: float) -> tuple[torch.Tensor, torch.Tensor]:
    """What ``BooleanPopulation.listen`` computes, differentiable; no gradient passes a reset.

    Parameters
    ----------
    config : NetworkConfig
    layout : Layout
    rows : float [rows, neurons]
        Connections, 0 or 1.
    events : float [n_clips, n_frames, n_inputs]
        Payloads.
    unit : float
        Payload that means one unit of input.

    Returns
    -------
    outputs : float [n_clips, n_outputs]
        After the last timestep.
    spikes : float [n_clips, neurons]
        Of the whole clip.
    """
    sign = torch.where(torch.arange(layout.neurons) < config.n_excitatory, 1.0, -1.0).to(rows.dtype)
    inputs = rows[0 : layout.recurrent : 2] - rows[1 : layout.recurrent : 2]
    recurrent = config.recurrent_gain * sign[:, None] * rows[layout.recurrent : layout.readout]
    shown = config.membrane_share * config.input_gain(layout.n_inputs) / unit * (events @ inputs)
    synapse_decay, membrane_decay, readout_decay = (config.decay(tau) for tau in (config.tau_synapse_ms, config.tau_membrane_ms, config.tau_readout_ms))
    current = membrane = spikes = seen = total = torch.zeros(len(events), layout.neurons, dtype=rows.dtype)
    for frame in shown.unbind(1):
        for _ in range(config.sub_steps):
            before = spikes
            current = synapse_decay * current + before @ recurrent
            membrane = membrane_decay * membrane + (config.membrane_share * current + frame)
            spikes = step(membrane - 1, SURROGATE)
            membrane = membrane * (1 - spikes.detach())
            seen = readout_decay * seen + (before if config.readout_delay else spikes)
            total = total + spikes.detach()
    return config.readout_step * ((sign * seen) @ rows[layout.readout :].T), total


class StraightThrough(Connectivity):
    """Connection probabilities that follow a gradient; parameters and attributes are those of ``Connectivity``.

    Parameters
    ----------
    config : MethodConfig
    topology : Topology
        Where every connection is searched.
    seed : int
    """

    def __init__(self, config: MethodConfig, topology: Topology, seed: int) -> None:
        super().__init__(config, topology, seed)
        self._ascent = np.zeros(topology.bits)

    def hear(
        self, network: NetworkConfig, unit: float, events: np.ndarray, labels: np.ndarray, scaled: Callable[[Any], Any], generation: int
    ) -> tuple[float, int]:
        """Fitness and spikes of the network that is drawn in a ``generation``; its gradient is kept for ``learn``.

        Parameters
        ----------
        network : NetworkConfig
        unit : float
            Payload that means one unit of input.
        events : int16 [n_clips, n_frames, n_inputs]
        labels : int64 [n_clips]
        scaled : function
            From outputs to scores before the softmax.
        generation : int
        """
        words = self.draw(np.zeros(1, np.int64), generation)[0]
        rows = torch.from_numpy(unpack_rows(words).astype(np.float32)).requires_grad_()
        outputs, spikes = listen(network, self.topology.layout, rows, torch.from_numpy(events.astype(np.float32)), unit)
        loss = torch.nn.functional.cross_entropy(scaled(outputs), torch.from_numpy(labels))
        (gradient,) = torch.autograd.grad(loss, rows)
        self._ascent = -gradient.numpy().astype(np.float64).ravel()
        return -float(loss.detach()), int(spikes.sum())

    def learn(self, fitness: np.ndarray, generation: int) -> None:
        """Ascend along the gradient that ``hear`` kept; ``fitness`` and ``generation`` are not needed."""
        self._move(self._ascent)
