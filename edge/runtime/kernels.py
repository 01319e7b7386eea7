# SPDX-License-Identifier: Apache-2.0
"""The compiled kernel: clips and streams through every timestep of a network (S1 to S9 of docs/semantics.md).

What a network lacks costs a branch outside the loops over neurons. Those loops have no branches inside, so that they become vector
instructions. Arithmetic is in 64 bits, or in 32 bits where 16-bit states prove that it fits; saturation is explicit. Interpreted, it
computes the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ..network import Readout
from .lean import sweep_lean
from .plan import LIST, TOGETHER, WINDOW, Lists, Plan, State
from .rows import add_rows, add_short_rows

__all__ = ["CLIPS", "GATHER", "STREAMS", "SWEEP", "run"]

CLIPS, STREAMS, GATHER, SWEEP = range(4)  # whole clips by turns; streams side by side; streams up to S1, and from S2 on
SPIKES, SYNAPTIC_OPERATIONS, AXON_ACTIVATIONS, NEURON_UPDATES = range(4)
LAST, BY_SPIKE = int(Readout.LAST), int(Readout.SPIKES)


@njit(cache=True, nogil=True)
def run(plan: Plan, states: State, way: int, payloads: np.ndarray, emitted: np.ndarray, scores: np.ndarray) -> bool:
    """Run clips or streams, int16 [n, n_timesteps, n_inputs]; False, and nothing run, if a payload breaks A7.

    CLIPS runs each from reset, on the one stream of ``states``: ``emitted`` is scratch, int32 [1, n_timesteps + flush, n_readouts], and
    ``scores`` int64 [n, n_classes] receives S8. The other ways advance each stream of ``states`` and hand out its ``emitted`` values, int32
    [n, n_timesteps, n_readouts].
    """
    if not _within(payloads, plan.payload_lo, plan.payload_hi):
        return False
    n_inputs, n_neurons, n_sources, readout = plan.n_inputs, plan.n_neurons, plan.n_inputs + plan.n_neurons, plan.readout
    delays, work, matrix, lists, readout_neuron, readout_class = plan.delays, plan.work, plan.matrix, plan.lists, plan.readout_neuron, plan.readout_class
    drive_shift, current_shift, current_decay, membrane_decay = plan.drive_shift, plan.current_shift, plan.current_decay, plan.membrane_decay
    bias, threshold, keep, reset_by, refractory = plan.bias, plan.threshold, plan.keep, plan.reset_by, plan.refractory
    lean, places, emitted_sum = plan.lean, plan.places, np.zeros(len(plan.readout_class), np.int64)
    bits, current_limit, membrane_limit, wide = plan.decay_bits, plan.current_limit, plan.membrane_limit, plan.wide
    for i in range(len(payloads)):
        own = 0 if way == CLIPS else i
        membrane, current, drive, hold, spiked = states.membrane[own], states.current[own], states.drive[own], states.hold[own], states.spiked[own]
        ring_size, ring_source, slot, counters = states.ring_size[own], states.ring_source[own], states.slot[own], states.counters[own]
        ring_channel, ring_payload, total = states.ring_channel[own], states.ring_payload[own], states.total[own]
        out = emitted[own]
        if way == CLIPS:  # S9
            membrane[:] = plan.initial_membrane
            current[:] = 0
            drive[:] = 0
            hold[:] = 0
            ring_size[:] = 0
        for t in range(len(out)):
            if way != SWEEP:
                row = slot[0]  # it holds the spikes of the timestep before (S7)
                if t < payloads.shape[1]:
                    _open(payloads, i, t, plan.unit, ring_size, ring_source, ring_channel, ring_payload, row, n_sources)
                else:
                    _pad(ring_source, row, ring_size[row, 0], n_sources)
                for g in range(len(delays)):  # S1
                    row = (slot[0] - delays[g]) % len(ring_size)
                    size, others = ring_size[row, 0], ring_size[row, 1]
                    if plan.dense:
                        for k in range(len(drive)):
                            base = (g * len(drive) + k) * (n_sources + 1)
                            if plan.short:
                                add_short_rows(matrix, base, ring_source, row, size, drive, k)
                            else:
                                add_rows(matrix, base, ring_source, row, size, drive, k)
                            for j in range(others):
                                _add_row(matrix, base + ring_channel[row, j], np.int64(ring_payload[row, j]), drive, k)
                    else:
                        for j in range(size):
                            _add_list(lists, g * n_sources + ring_source[row, j], 1, drive)
                        for j in range(others):
                            _add_list(lists, g * n_sources + ring_channel[row, j], np.int64(ring_payload[row, j]), drive)
                    if plan.counts:
                        _count(work, g * n_sources, ring_source, row, size, counters)
                        _count(work, g * n_sources, ring_channel, row, others, counters)
            if way == GATHER:
                continue
            row = (slot[0] + 1) % len(ring_size)
            if len(lean):
                size = sweep_lean(lean, places, drive, membrane, spiked, ring_source, row, n_inputs, current_limit, membrane_limit)
            else:
                if plan.memory:
                    total[:] = 0
                    for k in range(len(drive)):
                        _decay_currents(k, drive, drive_shift, current, current_decay, current_shift, bits, current_limit, wide, total)
                else:
                    _drive_alone(drive, drive_shift, current_shift, current_limit, wide, total)
                if plan.rests:
                    _fire_and_rest(membrane, membrane_decay, total, bias, threshold, keep, reset_by, bits, membrane_limit, wide, hold, refractory, spiked)
                else:
                    _fire(membrane, membrane_decay, total, bias, threshold, keep, reset_by, bits, membrane_limit, wide, spiked)
                size = _collect(spiked, n_neurons, n_inputs, ring_source, row)
            ring_size[row, 0] = size
            ring_size[row, 1] = 0
            slot[0] = row
            if plan.counts:
                counters[SPIKES] += size
                counters[NEURON_UPDATES] += n_neurons
            for r in range(len(readout_neuron)):  # S8
                out[t, r] = spiked[readout_neuron[r]] if readout == BY_SPIKE else membrane[readout_neuron[r]]
        if way == CLIPS:
            emitted_sum[:] = 0
            for t in range(max(0, len(out) - 1) if readout == LAST else 0, len(out)):
                for r in range(len(emitted_sum)):
                    emitted_sum[r] += out[t, r]
            scores[i] = 0
            for r in range(len(readout_class)):
                scores[i, readout_class[r]] += emitted_sum[r]
    return True


@njit(cache=True, nogil=True, forceinline=True)
def _within(payloads: np.ndarray, lo: int, hi: int) -> bool:
    least, most = 0, 0
    for payload in payloads.ravel():
        least = min(least, payload)
        most = max(most, payload)
    return lo <= least and most <= hi


@njit(cache=True, nogil=True, forceinline=True)
def _open(
    payloads: np.ndarray,
    i: int,
    t: int,
    unit: bool,
    ring_size: np.ndarray,
    ring_source: np.ndarray,
    ring_channel: np.ndarray,
    ring_payload: np.ndarray,
    row: int,
    n_sources: int,
) -> None:
    """A5: put the input events of a timestep into its row of the ring."""
    ones, others = ring_size[row, 0], 0
    if unit:
        for c in range(payloads.shape[2]):
            ring_source[row, ones] = c
            ones += payloads[i, t, c] != 0
    else:
        for c in range(payloads.shape[2]):
            ring_channel[row, others] = c
            ring_payload[row, others] = payloads[i, t, c]
            others += payloads[i, t, c] != 0
    ring_size[row, 0], ring_size[row, 1] = ones, others
    _pad(ring_source, row, ones, n_sources)


@njit(cache=True, nogil=True, forceinline=True)
def _pad(ring_source: np.ndarray, row: int, size: int, n_sources: int) -> None:
    """Rows are added several at a time; those that are none are the row of zeros."""
    for i in range(TOGETHER):
        ring_source[row, size + i] = n_sources


@njit(cache=True, nogil=True, forceinline=True)
def _add_row(matrix: np.ndarray, row: int, payload: Any, drive: np.ndarray, k: int) -> None:
    for n in range(drive.shape[1]):
        drive[k, n] += payload * matrix[row, n]


@njit(cache=True, nogil=True, forceinline=True)
def _add_list(lists: Lists, place: int, payload: Any, drives: np.ndarray) -> None:
    for s in range(lists.first[place], lists.first[place + 1]):
        size, kind = lists.size[s], lists.kind[s]
        drive = drives[lists.compartment[s], lists.target[s] :]
        weight = lists.weight[lists.weight_start[s] :]
        if kind == WINDOW:
            for j in range(size):
                drive[j] += payload * weight[j]
            continue
        offset = lists.offset[lists.offset_start[s] :]
        if kind == LIST:
            for j in range(size):
                drive[offset[j]] += payload * weight[j]
        else:
            step = payload * weight[0]
            for j in range(size):
                drive[offset[j]] += step


@njit(cache=True, nogil=True, forceinline=True)
def _count(work: np.ndarray, base: int, ring: np.ndarray, row: int, size: int, counters: np.ndarray) -> None:
    axons, synapses = 0, 0
    for i in range(size):
        axons += work[base + ring[row, i], 0]
        synapses += work[base + ring[row, i], 1]
    counters[AXON_ACTIVATIONS] += axons
    counters[SYNAPTIC_OPERATIONS] += synapses


@njit(cache=True, nogil=True, forceinline=True)
def _whole(x: Any, wide: int | None) -> Any:
    """``x`` in the width that arithmetic is done in; Numba would widen 32 bits to 64 at every operation."""
    if wide is None:
        return np.int32(x)
    return np.int64(x)


@njit(cache=True, nogil=True, forceinline=True)
def _scale(x: Any, factor: Any, bits: Any, wide: int | None) -> Any:
    """``toward_zero(x * factor / 2**bits)`` (D1); with factor 1 the shift of S3. A product of 16-bit states fits 32 bits."""
    magnitude = _whole(_whole(_whole(abs(x), wide) * factor, wide) >> (bits & 31), wide)
    return magnitude if x >= 0 else _whole(-magnitude, wide)


@njit(cache=True, nogil=True, forceinline=True)
def _saturate(x: Any, limit: int, wide: int | None) -> Any:
    """Nearest number of ``-limit .. limit - 1`` (D2)."""
    below = _whole(min(x, _whole(limit - 1, wide)), wide)
    return _whole(max(below, _whole(-limit, wide)), wide)


@njit(cache=True, nogil=True, forceinline=True)
def _drive_alone(drive: np.ndarray, drive_shift: np.ndarray, current_shift: np.ndarray, limit: int, wide: int | None, total: np.ndarray) -> None:
    """S2 of a compartment without memory, and its part of S3."""
    for n in range(len(total)):
        exact = _whole(_whole(drive[0, n], wide) << (_whole(drive_shift[n], wide) & 31), wide)
        total[n] = _scale(_saturate(exact, limit, wide), 1, _whole(current_shift[n], wide), wide)
        drive[0, n] = 0


@njit(cache=True, nogil=True, forceinline=True)
def _decay_currents(
    k: int,
    drive: np.ndarray,
    drive_shift: np.ndarray,
    current: np.ndarray,
    decay: np.ndarray,
    current_shift: np.ndarray,
    bits: int,
    limit: int,
    wide: int | None,
    total: np.ndarray,
) -> None:
    """S2 of a compartment, and its part of S3."""
    for n in range(len(total)):
        driven = _whole(_whole(drive[k, n], wide) << (_whole(drive_shift[n], wide) & 31), wide)
        decayed = _scale(_whole(current[k, n], wide), _whole(decay[k, n], wide), bits, wide)
        value = _saturate(_whole(decayed + driven, wide), limit, wide)
        current[k, n] = value
        total[n] += _scale(value, 1, _whole(current_shift[n], wide), wide)
        drive[k, n] = 0


@njit(cache=True, nogil=True, forceinline=True)
def _integrate(membrane: Any, decay: Any, total: Any, bias: Any, bits: int, limit: int, wide: int | None) -> Any:
    """S3."""
    decayed = _scale(_whole(membrane, wide), _whole(decay, wide), bits, wide)
    return _saturate(_whole(_whole(decayed + total, wide) + _whole(bias, wide), wide), limit, wide)


@njit(cache=True, nogil=True, forceinline=True)
def _fire(
    membrane: np.ndarray,
    decay: np.ndarray,
    total: np.ndarray,
    bias: np.ndarray,
    threshold: np.ndarray,
    keep: np.ndarray,
    reset_by: np.ndarray,
    bits: int,
    limit: int,
    wide: int | None,
    spiked: np.ndarray,
) -> None:
    """S3, S5 and S6."""
    for n in range(len(membrane)):
        value = _integrate(membrane[n], decay[n], total[n], bias[n], bits, limit, wide)
        fires = value >= threshold[n]
        membrane[n] = _whole((value & keep[n]) - reset_by[n], wide) if fires else value
        spiked[n] = fires


@njit(cache=True, nogil=True, forceinline=True)
def _fire_and_rest(
    membrane: np.ndarray,
    decay: np.ndarray,
    total: np.ndarray,
    bias: np.ndarray,
    threshold: np.ndarray,
    keep: np.ndarray,
    reset_by: np.ndarray,
    bits: int,
    limit: int,
    wide: int | None,
    hold: np.ndarray,
    refractory: np.ndarray,
    spiked: np.ndarray,
) -> None:
    """S3 to S6."""
    for n in range(len(membrane)):
        before, rests = _whole(membrane[n], wide), hold[n] > 0
        value = _integrate(before, decay[n], total[n], bias[n], bits, limit, wide)
        fires = (value >= threshold[n]) & (not rests)
        after = _whole((value & keep[n]) - reset_by[n], wide) if fires else value
        membrane[n] = before if rests else after
        spiked[n] = fires
        hold[n] = np.int64(hold[n]) - 1 if rests else (np.int64(refractory[n]) if fires else np.int64(0))


@njit(cache=True, nogil=True, forceinline=True)
def _collect(spiked: np.ndarray, n_neurons: int, n_inputs: int, ring_source: np.ndarray, row: int) -> int:
    """S7: list the neurons that fired as sources, ascending."""
    size = 0
    for n in range(n_neurons):
        ring_source[row, size] = n_inputs + n
        size += spiked[n]
    return size
