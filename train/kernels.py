# SPDX-License-Identifier: Apache-2.0
"""The time loop of one group of neurons, forward, as one compiled kernel that knows every construct of docs/semantics.md.

One sample at a time from first to last timestep, so that its state stays in the first-level cache; samples in parallel. Event-driven: what is silent
costs nothing. It computes exactly S1 to S7; ``train/plain.py`` is the readable definition it is held to, ``kernels_backward.py`` its gradient.

A group is driven by three sorts of links, each of which may be absent: a *dense* matrix from what arrives from outside (one block of rows a delay),
links *between* neurons of the group (blocks of motifs, and links of one distance), and *axons* with delays and compartments, as the file has them.
Layout: time-major [n_timesteps, n_samples, n_neurons], motif neuron (m, j) = m * size + j. Sums of S1 are float32, exact because ``ops.py`` proves them
to stay within 2**24.
"""

from __future__ import annotations

import numba
import numpy as np
from numba.extending import overload

from .vectors import FOUR, WIDTH, add_product, load, load_four, shift_right, splat, store, store_four

__all__ = ["AT_HIGH", "AT_LOW", "HELD", "NEVER", "SPIKE", "arrivals", "layer_forward"]

# status of a neuron at a timestep: fired; refractory (its membrane kept its value); current of compartment c at its limit: AT_HIGH << 2c, AT_LOW << 2c
SPIKE, HELD, AT_HIGH, AT_LOW = 1, 2, 4, 8
NEVER = np.int32(2**31 - 1)  # threshold of a neuron that does not fire, in the narrow form


@numba.njit(inline="always")
def _truncate(product: int, bits: int) -> int:
    """``toward_zero(product / 2**bits)`` (D1)."""
    return (product + ((product >> 63) & ((1 << bits) - 1))) >> bits


@numba.njit(inline="always")
def _truncate_narrow(product, bits):  # type: ignore[no-untyped-def]
    """``_truncate`` of int32; each np.int32 keeps LLVM from widening to 64 bits, in which half as many neurons fit a vector."""
    low = np.int32((1 << bits) - 1)
    return shift_right(np.int32(product + np.int32(shift_right(product, np.int32(31)) & low)), np.int32(bits))


@numba.njit
def arrivals(source, where, amount, count):  # type: ignore[no-untyped-def]
    """Events of one sample, source [T, S]: channels and payloads of timestep t in ``where[t, :count[t]]`` and ``amount[t, :count[t]]``.

    Returns the largest magnitude of a payload, -1 where one is no integer below 2**24.
    """
    largest, whole = np.float32(0), True
    for t in range(source.shape[0]):
        n = 0
        for s in range(source.shape[1]):  # without a branch: which channel has an event cannot be predicted
            where[t, n] = s
            n += source[t, s] != 0
        for e in range(n):
            amount[t, e] = source[t, where[t, e]]
            largest = max(largest, abs(amount[t, e]))
            whole &= amount[t, e] == np.rint(amount[t, e])
        count[t] = n
    return np.int64(largest) if whole and largest < 2**24 else np.int64(-1)


@numba.njit
def _gather_dense(drive, dense, first, where, amount, count):  # type: ignore[no-untyped-def]
    """Add ``amount`` times the rows ``first + where`` of ``dense`` to ``drive``."""
    n, k = len(drive), 0
    while k + FOUR <= n:
        p, q, r, u = load_four(drive, k)
        for e in range(count):
            row, a = dense[first + where[e]], splat(amount[e])
            p, q = add_product(p, a, load(row, k)), add_product(q, a, load(row, k + WIDTH))
            r, u = add_product(r, a, load(row, k + 2 * WIDTH)), add_product(u, a, load(row, k + 3 * WIDTH))
        store_four(drive, k, p, q, r, u)
        k += FOUR
    while k + WIDTH <= n:
        p = load(drive, k)
        for e in range(count):
            p = add_product(p, splat(amount[e]), load(dense[first + where[e]], k))
        store(drive, k, p)
        k += WIDTH
    for e in range(count if k < n else 0):
        for j in range(k, n):
            drive[j] += amount[e] * dense[first + where[e], j]


@numba.njit
def _gather_blocks(drive, intra, fired, n_fired):  # type: ignore[no-untyped-def]
    size = intra.shape[1]
    for f in range(n_fired):
        m, j = fired[f] // size, fired[f] % size
        for k in range(size):
            drive[m * size + k] += intra[m, j, k]


@numba.njit
def _gather_distances(drive, link, sent, deltas, margin):  # type: ignore[no-untyped-def]
    """``drive[k] += sum over d of link[d, k] * sent[margin + k + deltas[d]]``.

    Sixteen neurons at a time beat one fired neuron at a time down to a rate of a few percent.
    """
    n, k = len(drive), 0
    while k + FOUR <= n:
        p, q, r, u = load_four(drive, k)
        for d in range(len(deltas)):
            row, at = link[d], margin + deltas[d] + k
            p, q = add_product(p, load(row, k), load(sent, at)), add_product(q, load(row, k + WIDTH), load(sent, at + WIDTH))
            r = add_product(r, load(row, k + 2 * WIDTH), load(sent, at + 2 * WIDTH))
            u = add_product(u, load(row, k + 3 * WIDTH), load(sent, at + 3 * WIDTH))
        store_four(drive, k, p, q, r, u)
        k += FOUR
    while k + WIDTH <= n:
        total = load(drive, k)
        for d in range(len(deltas)):
            total = add_product(total, load(link[d], k), load(sent, margin + deltas[d] + k))
        store(drive, k, total)
        k += WIDTH
    for d in range(len(deltas)):
        for j in range(k, n):
            drive[j] += link[d, j] * sent[margin + deltas[d] + j]


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


@numba.njit
def _reset(v, status, subtract, reset_by, membrane, spikes):  # type: ignore[no-untyped-def]
    """Keep the membranes of S3 and the spikes, then S6."""
    for k in range(len(v)):
        membrane[k] = v[k]
    for k in range(len(v)):
        spikes[k] = np.float32(status[k] & SPIKE)
    for k in range(len(v)):
        left = v[k] - reset_by[k] if subtract[k] else 0
        v[k] = left if status[k] & SPIKE else v[k]


def advance(i, v, exact, wait, drive, current_decay, membrane_decay, bias, threshold, reset_by, drive_shift, current_shift, firing, subtract, refractory,
            bits, spikes, membrane, status):  # fmt: skip  # type: ignore[no-untyped-def]
    """S2 to S6 of all neurons of a sample at one timestep; the type of ``v`` chooses the form.

    int32 is the narrow form, for what most layers are: one compartment, no refractory period, no shifts, 16-bit formats (``ops._state_form``). Its
    products stay within 32 bits, and one loop of vector instructions does everything. int64 is the form of everything else.

    Returns
    -------
    i_saturated, v_saturated : int
    """
    raise NotImplementedError("for compiled code")


@overload(advance)
def _advance(i, v, exact, wait, drive, current_decay, membrane_decay, bias, threshold, reset_by, drive_shift, current_shift, firing, subtract, refractory,
             bits, spikes, membrane, status):  # fmt: skip  # type: ignore[no-untyped-def]
    return _advance_narrow if v.dtype == numba.int32 else _advance_wide


def _advance_wide(i, v, exact, wait, drive, current_decay, membrane_decay, bias, threshold, reset_by, drive_shift, current_shift, firing, subtract, refractory,
                  bits, spikes, membrane, status):  # fmt: skip  # type: ignore[no-untyped-def]
    membrane_bits, current_bits, decay_bits = bits
    v_hi, i_hi, i_saturated = (1 << (membrane_bits - 1)) - 1, (1 << (current_bits - 1)) - 1, 0
    for c in range(len(i)):
        i_saturated += _synapse(i[c], drive[c], current_decay[c], drive_shift, decay_bits, -i_hi - 1, i_hi)
    v_saturated = _membrane(v, i, membrane_decay, current_shift, bias, threshold, firing, wait, decay_bits, -v_hi - 1, v_hi, exact, status)
    _reset(v, status, subtract, reset_by, membrane, spikes)
    for k in range(len(v)):
        wait[k] = refractory[k] if status[k] == SPIKE else max(0, wait[k] - 1)
    for c in range(len(i)):
        _limits(i[c], -i_hi - 1, i_hi, 2 * c, status)
    return i_saturated, v_saturated


def _advance_narrow(i, v, exact, wait, drive, current_decay, membrane_decay, bias, threshold, reset_by, drive_shift, current_shift, firing, subtract,
                    refractory, bits, spikes, membrane, status):  # fmt: skip  # type: ignore[no-untyped-def]
    membrane_bits, current_bits, decay_bits = bits
    v_hi, i_hi = np.int32((1 << (membrane_bits - 1)) - 1), np.int32((1 << (current_bits - 1)) - 1)
    v_lo, i_lo = np.int32(-v_hi - 1), np.int32(-i_hi - 1)
    one, i_saturated, v_saturated = i[0], np.int32(0), np.int32(0)
    decay, arrived = current_decay[0], drive[0]
    for k in range(len(v)):
        sum_i = np.int32(_truncate_narrow(np.int32(one[k] * decay[k]), decay_bits) + np.int32(arrived[k]))
        new_i = min(i_hi, max(i_lo, sum_i))
        sum_v = np.int32(np.int32(_truncate_narrow(np.int32(v[k] * membrane_decay[k]), decay_bits) + bias[k]) + new_i)
        u = min(v_hi, max(v_lo, sum_v))
        i_saturated = np.int32(i_saturated + np.int32(sum_i != new_i))
        v_saturated = np.int32(v_saturated + np.int32(sum_v != u))
        fires = u >= threshold[k]
        one[k] = new_i
        membrane[k] = u
        spikes[k] = np.float32(fires)
        status[k] = np.uint8(SPIKE * fires) | np.uint8(AT_HIGH * (new_i >= i_hi)) | np.uint8(AT_LOW * (new_i <= i_lo))
        left = np.int32(u - reset_by[k]) if subtract[k] else np.int32(0)
        v[k] = left if fires else u
    return i_saturated, v_saturated


# loops where numpy would do with one line: array expressions take numba many times as long to compile
@numba.njit(nogil=True)
def _part(part, parts, source, lag, delays, dense, intra, lateral, deltas, axon_first, axon_delay, axon_compartment, synapse_start, target, weight,
            neuron, fixed, bits, spikes, after, membrane, current, status, counts):  # fmt: skip  # type: ignore[no-untyped-def]
    """Piece ``part`` of the samples of ``layer_forward``, whose parameters it has; what it allocates serves all of them."""
    n_steps, n_samples, n_sources = source.shape
    n, k_compartments = neuron.shape[1], len(neuron) - 4
    threshold, reset_by, bias, membrane_decay = neuron[0], neuron[1], neuron[2], neuron[3]
    firing, subtract, refractory, initial, drive_shift, current_shift = fixed[0] > 0, fixed[1] > 0, fixed[2], fixed[3], fixed[4], fixed[5]
    n_axons = len(axon_delay)
    longest = 0
    for axon in range(n_axons):
        longest = max(longest, axon_delay[axon])
    n_slots = longest + 1
    v, i, exact, wait = np.zeros(n, neuron.dtype), np.zeros((k_compartments, n), neuron.dtype), np.zeros(n, neuron.dtype), np.zeros(n, neuron.dtype)
    fired = np.zeros(n + 1, np.int64)
    ring = np.zeros((n_slots, k_compartments, n), np.float32)  # drive of the coming timesteps
    where, amount = np.zeros((n_steps, n_sources + 1), np.int32), np.zeros((n_steps, n_sources), np.float32)
    count = np.zeros(n_steps, np.int64)
    backward, margin = -deltas, np.abs(deltas).max() if len(deltas) else 0
    arriving, sent = np.zeros((len(deltas), n), np.float32), np.zeros(n + 2 * margin, np.float32)  # weights in order of the target; spikes between zeros
    for d in range(len(deltas)):
        for k in range(max(0, -deltas[d]), min(n, n - deltas[d])):
            arriving[d, k + deltas[d]] = lateral[d, k]
    listed = n_axons > 0 or len(intra) > 0
    for b in range(part * n_samples // parts, (part + 1) * n_samples // parts):
        counts[b, 2] = arrivals(source[:, b], where, amount, count)
        i_saturated, v_saturated, n_fired = 0, 0, 0
        i[:] = 0
        wait[:] = 0
        ring[:] = 0
        for k in range(n):
            v[k] = initial[k]
        for t in range(n_steps):
            drive = ring[t % n_slots]
            if len(dense):
                for d in range(len(delays)):
                    then = t - lag - delays[d]
                    if then >= 0:
                        _gather_dense(drive[0], dense, d * n_sources, where[then], amount[then], count[then])
            if t > 0 and len(deltas):
                _gather_distances(drive[0], arriving, sent, backward, margin)
            _gather_blocks(drive[0], intra, fired, n_fired if len(intra) else 0)
            if n_axons:
                if t >= lag:
                    for e in range(count[t - lag]):
                        _gather_axons(ring, t, where[t - lag, e], amount[t - lag, e], axon_first, axon_delay, axon_compartment, synapse_start, target, weight)
                for f in range(n_fired):
                    _gather_axons(ring, t, n_sources + fired[f], np.float32(1), axon_first, axon_delay, axon_compartment, synapse_start, target, weight)
            now = status[t, b]
            i_more, v_more = advance(
                i, v, exact, wait, drive, neuron[4:], membrane_decay, bias, threshold, reset_by, drive_shift, current_shift, firing, subtract, refractory,
                bits, spikes[t, b], membrane[t, b], now,
            )  # fmt: skip
            i_saturated += i_more
            v_saturated += v_more
            for k in range(n if len(deltas) else 0):  # here, and not where it is read: a processor waits for what was written just before
                sent[margin + k] = spikes[t, b, k]
            drive[:] = 0
            if listed:
                n_fired = 0
                for k in range(n):
                    fired[n_fired] = k
                    n_fired += now[k] & SPIKE
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
                  neuron, fixed, bits, parts, spikes, after, membrane, current, status, counts):  # fmt: skip  # type: ignore[no-untyped-def]
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
    intra : float32 [M, size, size], M may be 0
        Effective weight from neuron i to j of motif m.
    lateral : float32 [n_deltas, N], deltas : int64 [n_deltas]
        Effective weight from neuron n to ``n + deltas[d]``; none where that is outside.
    axon_first : int64 [S + N + 1] or [1]; axon_delay, axon_compartment : int64 [n_axons]
        Axons in order of their source: arrivals 0..S-1, then the group's own neurons. [1] is none.
    synapse_start : int64 [n_axons + 1]; target : int64 [n_synapses]; weight : float32 [n_synapses]
        Their synapses, effective weights.
    neuron : int64 [4 + K, N], or int32 for the narrow form (``advance``)
        Rows threshold, reset_by, bias, membrane_decay, current_decay of each compartment.
    fixed : int64 [6, N]
        Rows firing, subtract, refractory, initial, drive_shift, current_shift.
    bits : tuple (membrane_bits, current_bits, decay_bits)
    parts : int
        Pieces into which the samples are cut, each run by one thread.
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
    for part in numba.prange(parts):
        _part(part, parts, source, lag, delays, dense, intra, lateral, deltas, axon_first, axon_delay, axon_compartment, synapse_start, target, weight,
                neuron, fixed, bits, spikes, after, membrane, current, status, counts)  # fmt: skip
