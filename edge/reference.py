# SPDX-License-Identifier: Apache-2.0
"""docs/semantics.md as a program: plain Python integers, no cleverness. What it computes is right by definition.

Slow on purpose. Twins: ``edge/runtime`` (Numba), ``edge/ccode`` (C), ``hdl/core.py`` (gateware), ``train/plain.py`` (torch).
"""

from __future__ import annotations

from collections.abc import Sequence

from .coverage import Coverage
from .fixedpoint import decay, shift_toward_zero
from .network import Network, Readout, Reset
from .trace import Counters, Trace, check_events, make_trace

__all__ = ["Reference"]

Event = tuple[int, int]  # (channel, payload)


class Reference:
    """A machine that runs one clip or one stream of a network.

    Parameters
    ----------
    network : Network
        Any network.

    Attributes
    ----------
    membrane, current : list of int, list of list of int
        State after the last timestep: [n_neurons] and [n_neurons][n_compartments].
    counters : Counters
        C1, since the last reset.
    coverage : Coverage
        Branches of the semantics reached since construction.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.coverage = Coverage()
        axons = range(network.n_axons)
        self._synapses = [[(int(t), int(w)) for t, w in zip(*network.synapses(a), strict=True)] for a in axons]
        self._axons = [(int(network.axon_source[a]), int(network.axon_delay[a]), int(network.axon_shift[a]), int(network.axon_compartment[a])) for a in axons]
        self.reset()

    def reset(self) -> None:
        """Start a clip (S9)."""
        net = self.network
        self.membrane = [int(v) for v in net.initial_membrane]
        self.current = [[0] * net.n_compartments for _ in range(net.n_neurons)]
        self.refractory = [0] * net.n_neurons
        self.history: list[dict[int, int]] = []  # per past timestep: source -> payload, as axons see it without delay
        self._fired: list[int] = []
        self.counters = Counters()

    def step(self, events: Sequence[Event]) -> list[int]:
        """Advance one timestep.

        Parameters
        ----------
        events : sequence of (channel, payload)
            Input events of this timestep, checked (A7).

        Returns
        -------
        list of int
            Neurons that fired, ascending.
        """
        net = self.network
        check_events(net, [events])
        visible = {n + net.n_inputs: 1 for n in self._fired} | {c: p for c, p in events if p != 0}
        self.history = [*self.history[-net.max_delay :], visible] if net.max_delay else [visible]
        drive = self._gather()
        self._fired = [n for n in range(net.n_neurons) if self._update(n, drive[n])]
        self.counters.spikes += len(self._fired)
        self.counters.neuron_updates += net.n_neurons
        return list(self._fired)

    def emitted(self) -> list[int]:
        """Emitted value of every readout neuron in its declared order (S8)."""
        net = self.network
        if net.readout == Readout.SPIKES:
            return [int(n in self._fired) for n in net.readout_neuron]
        return [self.membrane[n] for n in net.readout_neuron]

    def run(self, events: Sequence[Sequence[Event]]) -> Trace:
        """Run one clip from reset, flush included (S8, S9)."""
        self.reset()
        net = self.network
        steps = [*events, *([[]] * net.formats.flush)]
        check_events(net, events, whole_clip=True)
        membranes, raster, scores = [], [], [0] * net.n_classes
        for t, at_t in enumerate(steps):
            raster.append(self.step(at_t))
            membranes.append(list(self.membrane))
            for value, label in zip(self.emitted(), net.readout_class, strict=True):
                if net.readout != Readout.LAST or t == len(steps) - 1:
                    scores[label] += value
        return make_trace(net, membranes, raster, scores, self.counters)

    def _gather(self) -> list[list[int]]:
        """S1 over all active axons (A5, A6)."""
        net, cover = self.network, self.coverage
        drive = [[0] * net.n_compartments for _ in range(net.n_neurons)]
        for axon, (source, delay, shift, compartment) in enumerate(self._axons):
            payload = self.history[-1 - delay].get(source, 0) if delay < len(self.history) else 0
            if payload == 0:
                continue
            self.counters.axon_activations += 1
            self.counters.synaptic_operations += len(self._synapses[axon])
            cover.delayed_axon += delay > 0
            cover.payload_above_1 += payload > 1
            cover.payload_negative += payload < 0
            for target, weight in self._synapses[axon]:
                drive[target][compartment] += (payload * weight) << shift
        return drive

    def _update(self, n: int, drive: list[int]) -> bool:
        """S2 to S6 of neuron ``n``; whether it fired."""
        net, formats, cover = self.network, self.network.formats, self.coverage
        kind = int(net.neuron_kind[n])
        for k in range(net.n_compartments):  # S2
            factor = int(net.kind_current_decay[kind, k])
            exact = decay(self.current[n][k], factor, formats.decay_bits) + (drive[k] << int(net.kind_drive_shift[kind]))
            cover.truncated_negative += self.current[n][k] < 0 and self.current[n][k] * factor % (1 << formats.decay_bits) != 0
            self.current[n][k] = formats.current.saturate(exact)
            cover.current_saturated_high += exact > formats.current.hi
            cover.current_saturated_low += exact < formats.current.lo
        if self.refractory[n] > 0:  # S4
            self.refractory[n] -= 1
            cover.refractory_hold += 1
            return False
        factor = int(net.kind_membrane_decay[kind])  # S3
        cover.truncated_negative += self.membrane[n] < 0 and self.membrane[n] * factor % (1 << formats.decay_bits) != 0
        exact = decay(self.membrane[n], factor, formats.decay_bits) + int(net.bias[n])
        exact += sum(shift_toward_zero(c, int(net.kind_current_shift[kind])) for c in self.current[n])
        self.membrane[n] = formats.membrane.saturate(exact)
        cover.membrane_saturated_high += exact > formats.membrane.hi
        cover.membrane_saturated_low += exact < formats.membrane.lo
        if not net.kind_firing[kind] or self.membrane[n] < net.threshold[n]:  # S5
            return False
        cover.threshold_equal += self.membrane[n] == int(net.threshold[n])
        if net.kind_reset[kind] == Reset.ZERO:  # S6
            self.membrane[n] = 0
            cover.reset_zero += 1
        else:
            self.membrane[n] -= int(net.reset_by[n])
            cover.reset_subtract += 1
        self.refractory[n] = int(net.kind_refractory[kind])
        return True
