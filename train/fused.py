# SPDX-License-Identifier: Apache-2.0
"""Any network of docs/semantics.md through the fused kernels: same attributes and results as ``plain.PlainNetwork``, trainable at speed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..edge.network import Network, Readout, Reset
from .ops import layer_op
from .surrogate import FastSigmoid, Surrogate

__all__ = ["FusedNetwork", "FusedOutputs"]


@dataclass
class FusedOutputs:
    """What a batch of clips gives.

    Attributes
    ----------
    membranes, spikes : float32 [n_timesteps, n_samples, n_neurons]
        After S6; 0 or 1.
    scores : float64 [n_samples, n_classes]
    saturated : int64 [2]
        How many currents and membranes saturated.
    """

    membranes: torch.Tensor
    spikes: torch.Tensor
    scores: torch.Tensor
    saturated: torch.Tensor


class FusedNetwork:
    """A network whose synapses, delays and compartments the kernel reads as the file has them.

    Parameters
    ----------
    network : Network
    surrogate : Surrogate
        For S5.
    through_reset : bool
        Whether gradients flow through S6 into the spike.

    Attributes
    ----------
    weight : float32 [n_synapses]
        Stored weights; set ``requires_grad`` to differentiate. Likewise ``threshold``, ``reset_by``, ``bias``, ``membrane_decay`` [n_neurons] and
        ``current_decay`` [n_compartments, n_neurons]. Integers all: round through ``quantize.round_clamp`` when training them.
    """

    def __init__(self, network: Network, surrogate: Surrogate | None = None, *, through_reset: bool = False) -> None:
        self.network, self.surrogate, self.through_reset = network, surrogate or FastSigmoid(2.0), through_reset

        def tensor(values: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(values.astype(np.float32))

        kind = network.neuron_kind
        self.weight, self.threshold, self.reset_by, self.bias = (tensor(x) for x in (network.synapse_weight, network.threshold, network.reset_by, network.bias))
        self.membrane_decay = tensor(network.kind_membrane_decay[kind])
        self.current_decay = tensor(network.kind_current_decay[kind].T)
        rows = [network.kind_firing[kind], network.kind_reset[kind] == Reset.SUBTRACT, network.kind_refractory[kind], network.initial_membrane]
        rows += [network.kind_drive_shift[kind], network.kind_current_shift[kind]]
        self._fixed = torch.from_numpy(np.stack([row.astype(np.int64) for row in rows]))
        order = np.argsort(network.axon_source, kind="stable")  # the kernel wants the axons of a source together
        fan_out = np.diff(network.synapse_start).astype(np.int64)
        start = np.concatenate([[0], np.cumsum(fan_out[order])])
        moved = np.repeat(network.synapse_start[:-1][order] - start[:-1], fan_out[order]) + np.arange(network.n_synapses)
        self._order = torch.from_numpy(moved.astype(np.int64))
        self._scale = tensor(2.0 ** np.repeat(network.axon_shift[order].astype(np.int64), fan_out[order]))
        first = np.searchsorted(network.axon_source[order], np.arange(network.n_sources + 1))
        none = np.zeros(0, np.int64)
        wiring = (none, none, first, network.axon_delay[order], network.axon_compartment[order], start, network.synapse_target[moved])
        self._wiring = [torch.from_numpy(np.ascontiguousarray(x.astype(np.int64))) for x in wiring]

    def run(self, payloads: torch.Tensor) -> FusedOutputs:
        """Run clips of equal length from reset, flush included.

        Parameters
        ----------
        payloads : float32 [n_timesteps, n_samples, n_inputs]
            Checked payloads; differentiable.
        """
        net, formats = self.network, self.network.formats
        source = torch.cat([payloads, payloads.new_zeros(formats.flush, *payloads.shape[1:])])
        neuron = torch.cat([torch.stack([self.threshold, self.reset_by, self.bias, self.membrane_decay]), self.current_decay])
        dense, intra, lateral = torch.zeros(0, net.n_neurons), torch.zeros(0, 1, 1), torch.zeros(0, net.n_neurons)
        bits = [formats.membrane_bits, formats.current_bits, formats.decay_bits]
        decays = self.membrane_decay.requires_grad or self.current_decay.requires_grad
        spikes, membranes, _, _, _, counts = layer_op(
            source, dense, intra, lateral, self.weight[self._order] * self._scale, neuron, self._fixed, self._wiring, 0, bits,
            self.surrogate.code, self.surrogate.scale, self.through_reset, True, decays, net.name,
        )  # fmt: skip
        return FusedOutputs(membranes, spikes, self._scores(membranes, spikes), counts[:, :2].sum(0))

    def _scores(self, membranes: torch.Tensor, spikes: torch.Tensor) -> torch.Tensor:
        """S8, in float64."""
        net = self.network
        emitted = (spikes if net.readout == Readout.SPIKES else membranes)[:, :, torch.from_numpy(net.readout_neuron.astype(np.int64))].double()
        scores = torch.zeros(membranes.shape[1], net.n_classes, dtype=torch.float64)
        return scores.index_add(1, torch.from_numpy(net.readout_class.astype(np.int64)), (emitted[-1:] if net.readout == Readout.LAST else emitted).sum(0))
