# SPDX-License-Identifier: Apache-2.0
"""Any network of docs/semantics.md in plain torch: the readable, differentiable definition the fused kernels are held to.

``plain_layer`` is one SC-ML layer the same way, for devices that have no fused kernel.

Integers in float64, exact below 2**53. Gradients: straight through truncation, through saturation where they point back
inside, a surrogate at S5. Slow; knows every construct of the file format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..edge.coverage import Coverage
from ..edge.network import Network, Readout, Reset
from .surrogate import FastSigmoid, Surrogate

if TYPE_CHECKING:
    from .layer import LayerConstants

__all__ = ["PlainNetwork", "PlainOutputs", "delayed", "plain_layer"]


class _TowardZero(torch.autograd.Function):
    """Truncation toward zero; identity backward."""

    @staticmethod
    def forward(ctx, x):  # type: ignore[no-untyped-def]
        return torch.trunc(x)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        return grad


class _Saturate(torch.autograd.Function):
    """D2; at a limit the gradient passes only where it points back inside."""

    @staticmethod
    def forward(ctx, x, lo, hi):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x >= hi, x <= lo)
        return x.clamp(lo, hi)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        at_hi, at_lo = ctx.saved_tensors
        return grad.masked_fill((at_hi & (grad < 0)) | (at_lo & (grad > 0)), 0), None, None


class _Fire(torch.autograd.Function):
    """S5; backward by a surrogate of (membrane - threshold) / threshold."""

    @staticmethod
    def forward(ctx, membrane, threshold, able, surrogate):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(membrane, threshold, able)
        ctx.surrogate = surrogate
        return ((membrane >= threshold) & able).to(membrane.dtype)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        membrane, threshold, able = ctx.saved_tensors
        scale = torch.where(able, 1 / threshold.clamp(min=1), 0)
        slope = grad * ctx.surrogate.slope(membrane * scale - 1) * scale
        return slope, (-slope * membrane * scale).sum(0), None, None


@dataclass
class PlainOutputs:
    """Tensors float64 of a batch of clips.

    Attributes
    ----------
    membranes, spikes : [n_timesteps, n_samples, n_neurons]
        After S6; 0 or 1.
    scores : [n_samples, n_classes]
    activations, operations : int64 [n_samples]
        C1: active axons, synaptic operations.
    """

    membranes: torch.Tensor
    spikes: torch.Tensor
    scores: torch.Tensor
    activations: torch.Tensor
    operations: torch.Tensor


class PlainNetwork:
    """A network as dense float64 tensors.

    Parameters
    ----------
    network : Network
    surrogate : Surrogate
        For S5.
    through_reset : bool
        Whether gradients flow through S6 into the spike.

    Attributes
    ----------
    weight : float64 [n_synapses]
        Stored weights; set ``requires_grad`` to differentiate. Likewise ``threshold``, ``reset_by``, ``bias``, ``membrane_decay`` [n_neurons] and
        ``current_decay`` [n_compartments, n_neurons].
    coverage : Coverage
        Branches reached by ``run`` since construction.
    """

    def __init__(self, network: Network, surrogate: Surrogate | None = None, *, through_reset: bool = False) -> None:
        self.network, self.surrogate, self.through_reset = network, surrogate or FastSigmoid(2.0), through_reset
        self.coverage = Coverage()

        def tensor(values: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(values.astype(np.float64))

        kind = network.neuron_kind
        self.weight, self.threshold = tensor(network.synapse_weight), tensor(network.threshold)
        self.reset_by, self.bias, self.initial = tensor(network.reset_by), tensor(network.bias), tensor(network.initial_membrane)
        self.current_decay = tensor(network.kind_current_decay[kind]).T  # [K, n]
        self.membrane_decay = tensor(network.kind_membrane_decay[kind])
        self.drive_scale = 2.0 ** tensor(network.kind_drive_shift[kind])
        self.current_scale = 2.0 ** tensor(network.kind_current_shift[kind])
        self.firing = torch.from_numpy(network.kind_firing[kind])
        self.subtract = torch.from_numpy(network.kind_reset[kind] == Reset.SUBTRACT)
        self.refractory = tensor(network.kind_refractory[kind])
        axon = np.repeat(np.arange(network.n_axons), np.diff(network.synapse_start))
        place = network.axon_compartment[axon].astype(np.int64) * network.n_neurons + network.synapse_target
        self._place = torch.from_numpy(axon * (network.n_compartments * network.n_neurons) + place)
        self._scale = tensor(2 ** network.axon_shift[axon].astype(np.int64))
        self._source = torch.from_numpy(network.axon_source.astype(np.int64))
        self._delay = torch.from_numpy(network.axon_delay.astype(np.int64))
        self._fan_out = torch.from_numpy(np.diff(network.synapse_start).astype(np.int64))

    def run(self, payloads: torch.Tensor) -> PlainOutputs:
        """Run clips of equal length from reset, flush included.

        Parameters
        ----------
        payloads : float64 [n_timesteps, n_samples, n_inputs]
            Checked payloads.
        """
        net, formats = self.network, self.network.formats
        n, k = net.n_neurons, net.n_compartments
        links = torch.zeros(net.n_axons * k * n, dtype=torch.float64).index_add(0, self._place, self.weight * self._scale).reshape(net.n_axons, k * n)
        steps, samples = len(payloads) + formats.flush, payloads.shape[1]
        quiet = torch.zeros(samples, net.n_sources, dtype=torch.float64)
        history = [quiet] * (net.max_delay + 1)
        membrane = self.initial.expand(samples, n)
        current = torch.zeros(samples, k, n, dtype=torch.float64)
        wait = torch.zeros(samples, n, dtype=torch.float64)
        fired = torch.zeros(samples, n, dtype=torch.float64)
        membranes, raster = [], []
        activations, operations = torch.zeros(samples, dtype=torch.int64), torch.zeros(samples, dtype=torch.int64)
        for t in range(steps):
            arriving = payloads[t] if t < len(payloads) else payloads.new_zeros(samples, net.n_inputs)
            history = [torch.cat([arriving, fired], 1), *history[:-1]]
            active = torch.stack(history)[self._delay, :, self._source].T if net.n_axons else quiet[:, :0]  # [samples, n_axons]
            activations += (active != 0).sum(1)
            operations += (active != 0).long() @ self._fan_out
            drive = (active @ links).reshape(samples, k, n)  # S1
            exact = _TowardZero.apply(current * self.current_decay / 2**formats.decay_bits) + drive * self.drive_scale
            self._count_synapse(current, exact, active)
            current = _Saturate.apply(exact, formats.current.lo, formats.current.hi)  # S2
            exact = _TowardZero.apply(membrane * self.membrane_decay / 2**formats.decay_bits) + self.bias
            exact = exact + _TowardZero.apply(current / self.current_scale).sum(1)
            held = wait > 0  # S4
            updated = torch.where(held, membrane, _Saturate.apply(exact, formats.membrane.lo, formats.membrane.hi))  # S3
            fired = _Fire.apply(updated, self.threshold, self.firing & ~held, self.surrogate)  # S5
            self._count_neuron(membrane, exact, updated, held, fired)
            gate = fired if self.through_reset else fired.detach()
            membrane = torch.where(self.subtract, updated - gate * self.reset_by, updated * (1 - gate))  # S6
            wait = torch.where(fired.detach() > 0, self.refractory, (wait - 1).clamp(min=0))
            membranes.append(membrane)
            raster.append(fired)
        empty = torch.zeros(0, samples, n, dtype=torch.float64)
        v = torch.stack(membranes) if membranes else empty
        s = torch.stack(raster) if raster else empty
        return PlainOutputs(v, s, self._scores(v, s), activations, operations)

    def _scores(self, membranes: torch.Tensor, spikes: torch.Tensor) -> torch.Tensor:
        """S8."""
        net = self.network
        emitted = (spikes if net.readout == Readout.SPIKES else membranes)[:, :, torch.from_numpy(net.readout_neuron.astype(np.int64))]
        if net.readout == Readout.LAST:
            emitted = emitted[-1:]
        scores = torch.zeros(membranes.shape[1], net.n_classes, dtype=torch.float64)
        return scores.index_add(1, torch.from_numpy(net.readout_class.astype(np.int64)), emitted.sum(0))

    @torch.no_grad()
    def _count_synapse(self, current: torch.Tensor, exact: torch.Tensor, active: torch.Tensor) -> None:
        cover, formats = self.coverage, self.network.formats
        cover.current_saturated_high += int((exact > formats.current.hi).sum())
        cover.current_saturated_low += int((exact < formats.current.lo).sum())
        cover.truncated_negative += int(((current < 0) & (torch.remainder(current * self.current_decay, 2**formats.decay_bits) != 0)).sum())
        cover.delayed_axon += int(((active != 0) & (self._delay > 0)).sum())
        cover.payload_above_1 += int((active > 1).sum())
        cover.payload_negative += int((active < 0).sum())

    @torch.no_grad()
    def _count_neuron(self, before: torch.Tensor, exact: torch.Tensor, updated: torch.Tensor, held: torch.Tensor, fired: torch.Tensor) -> None:
        cover, formats = self.coverage, self.network.formats
        cover.refractory_hold += int(held.sum())
        cover.membrane_saturated_high += int((~held & (exact > formats.membrane.hi)).sum())
        cover.membrane_saturated_low += int((~held & (exact < formats.membrane.lo)).sum())
        remainder = torch.remainder(before * self.membrane_decay, 2**formats.decay_bits) != 0
        cover.truncated_negative += int((~held & (before < 0) & remainder).sum())
        cover.threshold_equal += int(((fired > 0) & (updated == self.threshold)).sum())
        cover.reset_subtract += int(((fired > 0) & self.subtract).sum())
        cover.reset_zero += int(((fired > 0) & ~self.subtract).sum())


def delayed(events: torch.Tensor, delays: tuple[int, ...]) -> torch.Tensor:
    """What axons of several delays carry: [n_timesteps, n_samples, len(delays) * n_sources], one block a delay, history empty at clip start."""
    steps = len(events)
    return torch.cat([torch.cat([events.new_zeros(min(d, steps), *events.shape[1:]), events[: max(0, steps - d)]]) for d in delays], -1)


def plain_layer(
    source: torch.Tensor, dense: torch.Tensor, intra: torch.Tensor, lateral: torch.Tensor, neuron: torch.Tensor, constants: LayerConstants, emit: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """An SC-ML layer step by step in float64 on the device of ``source``; parameters as ``layer.scml_layer`` has them, ``neuron`` its stacked rows."""
    c, n = constants, neuron.shape[1]
    threshold, reset_by, bias, membrane_decay, current_decay = neuron.double()
    firing, subtract, refractory, initial, drive_shift, current_shift = c.fixed.to(source.device)
    able, full = firing > 0, 2.0**c.decay_bits
    v_hi, i_hi = (1 << (c.membrane_bits - 1)) - 1, (1 << (c.current_bits - 1)) - 1
    n_motifs, size = intra.shape[:2]
    drives = delayed(source.double(), tuple(c.lag + d for d in c.delays)) @ dense.double() if len(dense) else source.new_zeros(1).double().expand(len(source))
    v, i = initial.double().expand(source.shape[1], n), source.new_zeros(source.shape[1], n).double()
    wait = fired = torch.zeros_like(i)
    spikes, after = [], []
    for drive in drives.unbind(0):
        if n_motifs:
            own = torch.einsum("bmi,mij->bmj", fired.reshape(-1, n_motifs, size), intra.double()).reshape(-1, n)
            for d, delta in enumerate(c.deltas.tolist()):
                sent = (fired * lateral[d].double()).roll(delta * size, 1)
                kept = torch.arange(n, device=source.device) - delta * size
                own = own + sent * ((kept >= 0) & (kept < n))
            drive = drive + own
        i = _Saturate.apply(_TowardZero.apply(i * current_decay / full) + drive * 2.0**drive_shift, -i_hi - 1, i_hi)
        exact = _TowardZero.apply(v * membrane_decay / full) + bias + _TowardZero.apply(i / 2.0**current_shift)
        held = wait > 0
        updated = torch.where(held, v, _Saturate.apply(exact, -v_hi - 1, v_hi))
        fired = _Fire.apply(updated, threshold, able & ~held, c.surrogate)
        gate = fired if c.through_reset else fired.detach()
        v = torch.where(subtract > 0, updated - gate * reset_by, updated * (1 - gate))
        wait = torch.where(fired.detach() > 0, refractory, (wait - 1).clamp(min=0))
        spikes.append(fired)
        after.append(v)
    raster = torch.stack(spikes).float()
    return raster, torch.stack(after).float() if emit else source.new_zeros(0), torch.zeros(2, dtype=torch.int64, device=source.device)
