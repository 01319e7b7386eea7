# SPDX-License-Identifier: Apache-2.0
"""The naive oracle: docs/semantics.md as dense arrays and plain loops, sentence by sentence.

Written from the document alone, for obviousness. It shares no code with the package and reads nothing of a
network but its fields. Everything is int64: the widest product, a 24-bit state times a factor of 2**15, has 39 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ZERO, SUBTRACT = 0, 1  # resets (N2)
SUM, LAST, SPIKES = 0, 1, 2  # readout modes (S8)


@dataclass
class Result:
    """What the document says about one clip of ``steps`` timesteps."""

    membranes: np.ndarray  # int64 [steps, n_neurons], after S6
    raster: np.ndarray  # bool [steps, n_neurons]
    emitted: np.ndarray  # int64 [steps, n_readouts] (S8)
    scores: list[int]  # [n_classes]
    label: int
    counters: dict[str, int]  # C1
    branches: dict[str, int]  # names of edge/coverage.py


def toward_zero(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient truncated toward zero; the denominator is positive."""
    return np.sign(numerator) * (np.abs(numerator) // denominator)


def saturate(x: np.ndarray, bits: int) -> np.ndarray:
    """D2: the nearest number of the two's complement range."""
    return np.minimum(np.maximum(x, -(2 ** (bits - 1))), 2 ** (bits - 1) - 1)


def dense_axons(network) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The axons as dense tables.

    Returns ``strength`` [source, delay, compartment, target], the sum of weight * 2**shift, and for each
    (source, delay) the number of axons and the number of synapses.
    """
    n_sources = network.n_inputs + len(network.neuron_kind)
    n_compartments = network.kind_current_decay.shape[1]
    n_delays = 1 + max((int(delay) for delay in network.axon_delay), default=0)
    strength = np.zeros((n_sources, n_delays, n_compartments, len(network.neuron_kind)), np.int64)
    axons = np.zeros((n_sources, n_delays), np.int64)
    synapses = np.zeros((n_sources, n_delays), np.int64)
    for a in range(len(network.axon_source)):
        source, delay = int(network.axon_source[a]), int(network.axon_delay[a])
        compartment, shift = int(network.axon_compartment[a]), int(network.axon_shift[a])
        axons[source, delay] += 1
        for i in range(int(network.synapse_start[a]), int(network.synapse_start[a + 1])):
            strength[source, delay, compartment, int(network.synapse_target[i])] += int(network.synapse_weight[i]) * 2**shift
            synapses[source, delay] += 1
    return strength, axons, synapses


def simulate(network, payloads: np.ndarray, flush: int | None = None) -> Result:
    """Run one clip from its start.

    Parameters
    ----------
    network : Network
    payloads : integers [T, n_inputs]
        Payload of each channel at each input timestep; 0 is no event (A7).
    flush : int, optional
        Timesteps without input after the last; the declared ones unless given (0 for a stream, S9.1).
    """
    f = network.formats
    n_inputs, n_neurons = network.n_inputs, len(network.neuron_kind)
    n_compartments = network.kind_current_decay.shape[1]
    input_steps = len(payloads)
    steps = input_steps + (f.flush if flush is None else flush)  # S9
    strength, axons, synapses = dense_axons(network)
    n_delays = strength.shape[1]

    # N2, looked up for every neuron
    kind = network.neuron_kind.astype(np.int64)
    current_decay = network.kind_current_decay[kind].T.astype(np.int64)  # [compartment, neuron]
    membrane_decay = network.kind_membrane_decay[kind].astype(np.int64)
    firing = network.kind_firing[kind].astype(bool)
    resets = network.kind_reset[kind].astype(np.int64)
    refractory = network.kind_refractory[kind].astype(np.int64)
    drive_scale = 2 ** network.kind_drive_shift[kind].astype(np.int64)
    current_scale = 2 ** network.kind_current_shift[kind].astype(np.int64)
    threshold = network.threshold.astype(np.int64)
    reset_by = network.reset_by.astype(np.int64)
    bias = network.bias.astype(np.int64)
    one = 2**f.decay_bits

    # S9: clip start
    current = np.zeros((n_compartments, n_neurons), np.int64)
    membrane = network.initial_membrane.astype(np.int64)
    r = np.zeros(n_neurons, np.int64)
    sent = np.zeros((steps, n_inputs + n_neurons), np.int64)  # payload of every source at every timestep
    sent[:input_steps, :n_inputs] = payloads  # A5

    membranes = np.zeros((steps, n_neurons), np.int64)
    raster = np.zeros((steps, n_neurons), bool)
    count = dict.fromkeys(("spikes", "synaptic_operations", "axon_activations"), 0)
    branch = dict.fromkeys(
        (
            "current_saturated_high",
            "current_saturated_low",
            "membrane_saturated_high",
            "membrane_saturated_low",
            "truncated_negative",
            "refractory_hold",
            "threshold_equal",
            "reset_zero",
            "reset_subtract",
            "delayed_axon",
            "payload_above_1",
            "payload_negative",
        ),
        0,
    )

    for t in range(steps):
        # which payload arrives now, by source and delay: inputs of t - delay (A5), neurons of t - 1 - delay (A6)
        arriving = np.zeros((n_inputs + n_neurons, n_delays), np.int64)
        for delay in range(n_delays):
            if t - delay >= 0:
                arriving[:n_inputs, delay] = sent[t - delay, :n_inputs]
            if t - 1 - delay >= 0:
                arriving[n_inputs:, delay] = sent[t - 1 - delay, n_inputs:]
        active = arriving != 0
        count["axon_activations"] += int(axons[active].sum())
        count["synaptic_operations"] += int(synapses[active].sum())
        branch["delayed_axon"] += int(axons[:, 1:][active[:, 1:]].sum())
        branch["payload_above_1"] += int(axons[arriving > 1].sum())
        branch["payload_negative"] += int(axons[arriving < 0].sum())

        # S1
        drive = np.tensordot(arriving, strength, axes=([0, 1], [0, 1]))
        # S2
        product = current * current_decay
        branch["truncated_negative"] += int(((product < 0) & (product % one != 0)).sum())
        exact = toward_zero(product, one) + drive * drive_scale
        current = saturate(exact, f.current_bits)
        branch["current_saturated_high"] += int((exact > current).sum())
        branch["current_saturated_low"] += int((exact < current).sum())
        # S4 decides who does S3, S5, S6
        held = r > 0
        branch["refractory_hold"] += int(held.sum())
        # S3
        product = membrane * membrane_decay
        branch["truncated_negative"] += int((~held & (product < 0) & (product % one != 0)).sum())
        exact = toward_zero(product, one) + toward_zero(current, current_scale).sum(axis=0) + bias
        integrated = saturate(exact, f.membrane_bits)
        branch["membrane_saturated_high"] += int((~held & (exact > integrated)).sum())
        branch["membrane_saturated_low"] += int((~held & (exact < integrated)).sum())
        membrane = np.where(held, membrane, integrated)
        # S5
        fired = ~held & firing & (membrane >= threshold)
        branch["threshold_equal"] += int((~held & firing & (membrane == threshold)).sum())
        # S6
        to_zero, by_subtraction = fired & (resets == ZERO), fired & (resets == SUBTRACT)
        branch["reset_zero"] += int(to_zero.sum())
        branch["reset_subtract"] += int(by_subtraction.sum())
        membrane = np.where(to_zero, 0, np.where(by_subtraction, membrane - reset_by, membrane))
        r = np.where(held, r - 1, np.where(fired, refractory, r))
        # S7
        sent[t, n_inputs:] = fired
        # T1, C1
        membranes[t], raster[t] = membrane, fired
        count["spikes"] += int(fired.sum())

    count["neuron_updates"] = n_neurons * steps
    emitted, scores, label = read_out(network, membranes, raster)
    return Result(membranes, raster, emitted, scores, label, count, branch)


def read_out(network, membranes: np.ndarray, raster: np.ndarray) -> tuple[np.ndarray, list[int], int]:
    """S8 and S8.1: emitted values, scores and label. A clip of no timestep scores 0 in every class."""
    values = raster if int(network.readout) == SPIKES else membranes
    emitted = values[:, network.readout_neuron].astype(np.int64)
    scores = [0] * len(network.labels)
    for column, its_class in enumerate(network.readout_class):
        if int(network.readout) == LAST:
            scores[its_class] += int(emitted[-1, column]) if len(emitted) else 0
        else:
            scores[its_class] += int(emitted[:, column].sum())
    label = scores.index(max(scores))
    return emitted, scores, label


def gathered_bounds(network) -> tuple[int, int]:
    """P1: the lowest ``lo`` and the highest ``hi`` over all neurons and compartments."""
    f = network.formats
    p_min, p_max = (-(2 ** (f.payload_bits - 1)), 2 ** (f.payload_bits - 1) - 1) if f.payload_signed else (0, 2**f.payload_bits - 1)
    lo: dict[tuple[int, int], int] = {}
    hi: dict[tuple[int, int], int] = {}
    for a in range(len(network.axon_source)):
        low, high = (p_min, p_max) if network.axon_source[a] < network.n_inputs else (0, 1)
        scale = 2 ** int(network.axon_shift[a])
        for i in range(int(network.synapse_start[a]), int(network.synapse_start[a + 1])):
            place = (int(network.synapse_target[i]), int(network.axon_compartment[a]))
            w = int(network.synapse_weight[i])
            hi[place] = hi.get(place, 0) + max(0, w * high, w * low) * scale
            lo[place] = lo.get(place, 0) + min(0, w * high, w * low) * scale
    return min(lo.values(), default=0), max(hi.values(), default=0)
