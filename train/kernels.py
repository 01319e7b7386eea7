# SPDX-License-Identifier: Apache-2.0
"""The time loop of one group of neurons, forward, as one compiled kernel that knows every construct of docs/semantics.md.

One sample at a time from first to last timestep, so that its state stays in the first-level cache; samples in parallel. Event-driven: what is silent
costs nothing. It computes exactly S1 to S7; ``train/plain.py`` is the readable definition it is held to, ``kernels_backward.py`` its gradient.

A group is driven by three sorts of links, each of which may be absent: a *dense* matrix from what arrives from outside (one block of rows a delay),
the *motif* block with its lateral links, and a list of *axons* with delays and compartments, as the file has them. Layout: time-major
[n_timesteps, n_samples, n_neurons], motif neuron (m, j) = m * size + j. Sums of S1 are float32, exact because ``layer.py`` proves them below 2**23.
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["AT_HIGH", "AT_LOW", "HELD", "SPIKE", "arrivals", "layer_forward"]

# status of a neuron at a timestep: fired; refractory (its membrane kept its value); current of compartment c at its limit: AT_HIGH << 2c, AT_LOW << 2c
SPIKE, HELD, AT_HIGH, AT_LOW = 1, 2, 4, 8


@numba.njit(inline="always")
def _truncate(product: int, bits: int) -> int:
    """``toward_zero(product / 2**bits)`` (D1)."""
    return (product + ((product >> 63) & ((1 << bits) - 1))) >> bits


@numba.njit
def arrivals(source, where, amount, count):  # type: ignore[no-untyped-def]
    """Events of one sample, source [T, S]: channels and payloads of timestep t in ``where[t, :count[t]]`` and ``amount[t, :count[t]]``.

    Returns the largest magnitude of a payload, -1 where one is no integer below 2**24.
    """
    largest, whole = 0.0, True
    for t in range(source.shape[0]):
        n = 0
        for s in range(source.shape[1]):
            payload = source[t, s]
            if payload != 0:
                where[t, n], amount[t, n] = s, payload
                n += 1
                largest = max(largest, abs(payload))
                whole &= payload == np.rint(payload)
        count[t] = n
    return np.int64(largest) if whole and largest < 2**24 else np.int64(-1)


@numba.njit
def _gather_dense(drive, dense, first, where, amount, count):  # type: ignore[no-untyped-def]
    """Add the rows ``first + where`` of ``dense`` to ``drive``, four in a pass so that the sums stay in registers."""
    done = 0
    while done + 4 <= count:
        a, b, c, d = dense[first + where[done]], dense[first + where[done + 1]], dense[first + where[done + 2]], dense[first + where[done + 3]]
        p, q, r, s = amount[done], amount[done + 1], amount[done + 2], amount[done + 3]
        for k in range(len(drive)):
            drive[k] += (p * a[k] + q * b[k]) + (r * c[k] + s * d[k])
        done += 4
    for e in range(done, count):
        row, p = dense[first + where[e]], amount[e]
        for k in range(len(drive)):
            drive[k] += p * row[k]


@numba.njit
def _gather_motif(drive, intra, lateral, deltas, fired, n_fired):  # type: ignore[no-untyped-def]
    n_motifs, size = intra.shape[:2]
    for f in range(n_fired):
        source = fired[f]
        m, j = source // size, source % size
        for k in range(size):
            drive[m * size + k] += intra[m, j, k]
        for d in range(len(deltas)):
            target = m + deltas[d]
            if 0 <= target < n_motifs:
                drive[target * size + j] += lateral[d, source]


@numba.njit
def _gather_axons(ring, t, source, payload, axon_first, axon_delay, axon_compartment, synapse_start, target, weight):  # type: ignore[no-untyped-def]
    """Add ``payload`` times the weights of all axons of a source to the drive of the timesteps at which they arrive."""
    for axon in range(axon_first[source], axon_first[source + 1]):
        drive = ring[(t + axon_delay[axon]) % len(ring), axon_compartment[axon]]
        for synapse in range(synapse_start[axon], synapse_start[axon + 1]):
            drive[target[synapse]] += payload * weight[synapse]


@numba.njit
def _synapse(current, drive, decay, drive_shift, bits, lo, hi):  # type: ignore[no-untyped-def]
    """S2 of one compartment, in place. Returns how many currents saturated."""
    saturated = 0
    for k in range(len(current)):
        exact = _truncate(current[k] * decay[k], bits) + (np.int64(drive[k]) << drive_shift[k])
        current[k] = min(hi, max(lo, exact))
        saturated += exact != current[k]
    return saturated


@numba.njit
def _membrane(v, current, decay, current_shift, bias, threshold, firing, wait, bits, lo, hi, exact, status):  # type: ignore[no-untyped-def]
    """S3 to S5, ``v`` in place. Returns how many membranes saturated."""
    saturated = 0
    for k in range(len(v)):
        exact[k] = _truncate(v[k] * decay[k], bits) + bias[k]
    for c in range(len(current)):
        for k in range(len(v)):
            exact[k] += _truncate(current[c, k], current_shift[k])
    for k in range(len(v)):
        free = wait[k] == 0
        u = min(hi, max(lo, exact[k]))
        saturated += free & (exact[k] != u)
        v[k] = u if free else v[k]
        status[k] = SPIKE * (free & firing[k] & (u >= threshold[k])) + HELD * (not free)
    return saturated


@numba.njit
def _limits(current, lo, hi, place, status):  # type: ignore[no-untyped-def]
    """Mark currents at a limit, where the backward pass lets gradients through only inward."""
    high, low = AT_HIGH << place, AT_LOW << place
    for k in range(len(current)):
        status[k] |= high * (current[k] >= hi) + low * (current[k] <= lo)


# loops where numpy would do with one line: array expressions take numba many times as long to compile
@numba.njit(nogil=True)
def _sample(b, source, lag, delays, dense, intra, lateral, deltas, axon_first, axon_delay, axon_compartment, synapse_start, target, weight,
            neuron, fixed, bits, spikes, after, membrane, current, status, counts):  # fmt: skip  # type: ignore[no-untyped-def]
    """Sample ``b`` of ``layer_forward``, whose parameters it has."""
    n_steps, _, n_sources = source.shape
    n, k_compartments = neuron.shape[1], len(neuron) - 4
    threshold, reset_by, bias, membrane_decay = neuron[0], neuron[1], neuron[2], neuron[3]
    firing, subtract, refractory, initial, drive_shift, current_shift = fixed[0] > 0, fixed[1] > 0, fixed[2], fixed[3], fixed[4], fixed[5]
    membrane_bits, current_bits, decay_bits = bits
    v_hi, i_hi = (1 << (membrane_bits - 1)) - 1, (1 << (current_bits - 1)) - 1
    any_held, n_axons = refractory.max() > 0, len(axon_delay)
    longest = 0
    for axon in range(n_axons):
        longest = max(longest, axon_delay[axon])
    n_slots = longest + 1
    v, i, exact = initial.copy(), np.zeros((k_compartments, n), np.int64), np.zeros(n, np.int64)
    wait, fired, n_fired = np.zeros(n, np.int64), np.zeros(n, np.int64), 0
    ring = np.zeros((n_slots, k_compartments, n), np.float32)  # drive of the coming timesteps
    where, amount = np.zeros((n_steps, n_sources), np.int32), np.zeros((n_steps, n_sources), np.float32)
    count = np.zeros(n_steps, np.int64)
    counts[b, 2] = arrivals(source[:, b], where, amount, count)
    i_saturated, v_saturated = 0, 0
    for t in range(n_steps):
        drive = ring[t % n_slots]
        if len(dense):
            for d in range(len(delays)):
                then = t - lag - delays[d]
                if then >= 0:
                    _gather_dense(drive[0], dense, d * n_sources, where[then], amount[then], count[then])
        _gather_motif(drive[0], intra, lateral, deltas, fired, n_fired if len(intra) else 0)
        if n_axons:
            if t >= lag:
                for e in range(count[t - lag]):
                    _gather_axons(ring, t, where[t - lag, e], amount[t - lag, e], axon_first, axon_delay, axon_compartment, synapse_start, target, weight)
            for f in range(n_fired):
                _gather_axons(ring, t, n_sources + fired[f], np.float32(1), axon_first, axon_delay, axon_compartment, synapse_start, target, weight)
        now = status[t, b]
        for c in range(k_compartments):
            i_saturated += _synapse(i[c], drive[c], neuron[4 + c], drive_shift, decay_bits, -i_hi - 1, i_hi)
        v_saturated += _membrane(v, i, membrane_decay, current_shift, bias, threshold, firing, wait, decay_bits, -v_hi - 1, v_hi, exact, now)
        drive[:] = 0
        n_fired = 0
        for k in range(n):
            membrane[t, b, k] = v[k]
            spikes[t, b, k] = np.float32(now[k] & SPIKE)
        for k in range(n):
            fired[n_fired] = k
            n_fired += now[k] & SPIKE
        for f in range(n_fired):
            k = fired[f]
            v[k] = v[k] - reset_by[k] if subtract[k] else 0
        if any_held:
            for k in range(n):
                wait[k] = refractory[k] if now[k] == SPIKE else max(0, wait[k] - 1)
        for c in range(k_compartments):
            _limits(i[c], -i_hi - 1, i_hi, 2 * c, now)
        if len(current):
            for c in range(k_compartments):
                for k in range(n):
                    current[t, b, c, k] = i[c, k]
        if len(after):
            for k in range(n):
                after[t, b, k] = v[k]
    counts[b, 0], counts[b, 1] = i_saturated, v_saturated


@numba.njit(parallel=True, nogil=True, cache=True)
def layer_forward(source, lag, delays, dense, intra, lateral, deltas, axon_first, axon_delay, axon_compartment, synapse_start, target, weight,
                  neuron, fixed, bits, spikes, after, membrane, current, status, counts):  # fmt: skip  # type: ignore[no-untyped-def]
    """Run a group of neurons over whole sequences from reset.

    Parameters
    ----------
    source : float32 [T, B, S]
        What arrives from outside: payloads, or spikes of the group below.
    lag : int, 0 or 1
        Timesteps every arrival is late: 1 for spikes (S7).
    delays : int64 [D]
        Delay of each block of ``dense``.
    dense : float32 [D * S, N] or [0, N]
        Effective weight (shift included) into compartment 0; row ``d * S + s`` is source s after ``delays[d]``.
    intra : float32 [M, size, size], lateral : float32 [n_deltas, N], deltas : int64 [n_deltas]
        Effective weight from neuron i to j of motif m; from neuron n to ``n + deltas[d] * size``. M = 0 is no motif.
    axon_first : int64 [S + N + 1] or [1]; axon_delay, axon_compartment : int64 [n_axons]
        Axons in order of their source: arrivals 0..S-1, then the group's own neurons. [1] is none.
    synapse_start : int64 [n_axons + 1]; target : int64 [n_synapses]; weight : float32 [n_synapses]
        Their synapses, effective weights.
    neuron : int64 [4 + K, N]
        Rows threshold, reset_by, bias, membrane_decay, current_decay of each compartment.
    fixed : int64 [6, N]
        Rows firing, subtract, refractory, initial, drive_shift, current_shift.
    bits : tuple (membrane_bits, current_bits, decay_bits)
    spikes : float32 [T, B, N], out
    after : float32 [T, B, N] or [0, 0, 0], out
        Membranes after S6, where wanted.
    membrane : int16 or int32 [T, B, N], out
        After S3, before reset (kept value where refractory).
    current : like ``membrane`` [T, B, K, N] or [0, 0, 0, 0], out
        After S2, where gradients by decays are wanted.
    status : uint8 (K <= 3) or int16 [T, B, N], out
    counts : int64 [B, 3], out
        How many currents and membranes saturated; largest magnitude of a payload, -1 where one is no integer.
    """
    for b in numba.prange(source.shape[1]):
        _sample(b, source, lag, delays, dense, intra, lateral, deltas, axon_first, axon_delay, axon_compartment, synapse_start, target, weight,
                neuron, fixed, bits, spikes, after, membrane, current, status, counts)  # fmt: skip
