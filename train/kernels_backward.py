# SPDX-License-Identifier: Apache-2.0
"""The gradient of ``kernels.layer_forward``: backward through time, sample by sample, as one compiled kernel.

Truncation passes gradients as identity, saturation only where they point back inside, S5 through a surrogate. Weight gradients are gathered where
events were: a silent source costs nothing.
"""

from __future__ import annotations

import numba
import numpy as np

from .kernels import AT_HIGH, AT_LOW, HELD, SPIKE, arrivals
from .surrogate import surrogate_slope
from .vectors import FOUR, TILE_COLUMNS, TILE_ROWS, WIDTH, add_product, load, load_four, multiply_tile, splat, store, store_four

__all__ = ["layer_backward"]

# no reassociation and no fused multiply-add: results must not depend on where an array happens to lie or on the number of threads
FLAGS = {"nnan", "ninf", "nsz"}


@numba.njit(fastmath=FLAGS, error_model="numpy")
def _slopes(code, scale, u, inverse, slope):  # type: ignore[no-untyped-def]
    """Surrogate slopes of all neurons; the choice of surrogate outside the loop, so that each loop becomes vector instructions."""
    one = np.float32(1)
    width = np.float32(scale)
    if code == 2:
        for k in range(len(slope)):
            x = one + width * abs(np.float32(u[k]) * inverse[k] - one)
            slope[k] = inverse[k] / (x * x)
    elif code == 0:
        for k in range(len(slope)):
            slope[k] = inverse[k] * width if abs(np.float32(u[k]) * inverse[k] - one) * width < np.float32(0.5) else np.float32(0)
    else:
        for k in range(len(slope)):
            slope[k] = np.float32(surrogate_slope(code, scale, np.float32(u[k]) * inverse[k] - one)) * inverse[k]


@numba.njit(fastmath=FLAGS)
def _through_blocks(gs, gd, now, back, by_intra):  # type: ignore[no-untyped-def]
    """Links within motifs carried spikes into the drive of the next timestep, whose gradient is ``gd``."""
    n_motifs, size = back.shape[:2]
    for m in range(n_motifs):
        base = m * size
        for k in range(size):
            for j in range(size):
                gs[base + j] += back[m, k, j] * gd[base + k]
        for j in range(size):
            if now[base + j] & SPIKE:
                for k in range(size):
                    by_intra[m, j, k] += gd[base + k]


@numba.njit(fastmath=FLAGS)
def _through_distances(gs, later, place, fired, lateral, deltas, by_lateral):  # type: ignore[no-untyped-def]
    """As ``_through_blocks`` for links of one distance; ``later[place]`` is the drive gradient of neuron 0, between zeros for targets that are outside."""
    n, k = len(gs), 0
    while k + FOUR <= n:
        p, q, r, u = load_four(gs, k)
        e, f, g, h = load_four(fired, k)
        for d in range(len(deltas)):
            link, by, at = lateral[d], by_lateral[d], place + deltas[d] + k
            arrived = load(later, at)
            p = add_product(p, load(link, k), arrived)
            store(by, k, add_product(load(by, k), e, arrived))
            arrived = load(later, at + WIDTH)
            q = add_product(q, load(link, k + WIDTH), arrived)
            store(by, k + WIDTH, add_product(load(by, k + WIDTH), f, arrived))
            arrived = load(later, at + 2 * WIDTH)
            r = add_product(r, load(link, k + 2 * WIDTH), arrived)
            store(by, k + 2 * WIDTH, add_product(load(by, k + 2 * WIDTH), g, arrived))
            arrived = load(later, at + 3 * WIDTH)
            u = add_product(u, load(link, k + 3 * WIDTH), arrived)
            store(by, k + 3 * WIDTH, add_product(load(by, k + 3 * WIDTH), h, arrived))
        store_four(gs, k, p, q, r, u)
        k += FOUR
    while k + WIDTH <= n:
        total, spikes = load(gs, k), load(fired, k)
        for d in range(len(deltas)):
            arrived, by = load(later, place + deltas[d] + k), by_lateral[d]
            total = add_product(total, load(lateral[d], k), arrived)
            store(by, k, add_product(load(by, k), spikes, arrived))
        store(gs, k, total)
        k += WIDTH
    for d in range(len(deltas)):
        for j in range(k, n):
            arrived_one = later[place + deltas[d] + j]
            gs[j] += lateral[d, j] * arrived_one
            by_lateral[d, j] += fired[j] * arrived_one


@numba.njit(fastmath=FLAGS)
def _through_axons(ring, t, source, payload, axon_first, axon_delay, axon_compartment, synapse_start, target, weight, by_weight):  # type: ignore[no-untyped-def]
    """Gradient by the payload of a source whose axons arrive from timestep t on; adds to that by their weights."""
    total = np.float32(0)
    for axon in range(axon_first[source], axon_first[source + 1]):
        gd = ring[(t + axon_delay[axon]) % len(ring), axon_compartment[axon]]
        for synapse in range(synapse_start[axon], synapse_start[axon + 1]):
            total += gd[target[synapse]] * weight[synapse]
        if payload != 0:
            for synapse in range(synapse_start[axon], synapse_start[axon + 1]):
                by_weight[synapse] += payload * gd[target[synapse]]
    return total


@numba.njit(fastmath=FLAGS)
def _membrane(gv, gs, u, state, slope, inverse, kept, amount, subtract, through_reset, v_keep, lo, hi, gu, by_threshold, by_reset, by_bias):  # type: ignore[no-untyped-def]
    """S6 to S3: from ``gv`` (by the membrane after S6) and ``gs`` (by the spike) to ``gu`` (by the exact sum) and ``gv`` (by the old membrane)."""
    zero = np.float32(0)
    for k in range(len(gv)):
        x, g = np.float32(u[k]), gv[k]
        spike, held = (state[k] & SPIKE) != 0, (state[k] & HELD) != 0
        through = g * kept[k] if spike else g
        s = gs[k]
        if through_reset:
            s -= g * (amount[k] if subtract[k] else x)
        s = zero if held else s * slope[k]
        inner = through + s
        outward = held | ((x >= hi) & (inner < zero)) | ((x <= lo) & (inner > zero))
        inner = zero if outward else inner
        by_threshold[k] -= s * x * inverse[k]
        by_reset[k] -= through if spike else zero
        by_bias[k] += inner
        gv[k] = g if held else inner * v_keep[k]
        gu[k] = inner


@numba.njit(fastmath=FLAGS)
def _synapse(gi, gu, state, place, to_current, to_drive, i_keep, gd):  # type: ignore[no-untyped-def]
    """S3 to S2 of one compartment: from ``gu`` to ``gd`` (by the drive) and ``gi`` (by the old current)."""
    zero, high, low = np.float32(0), AT_HIGH << place, AT_LOW << place
    for k in range(len(gi)):
        x = gi[k] + gu[k] * to_current[k]
        outward = (((state[k] & high) != 0) & (x < zero)) | (((state[k] & low) != 0) & (x > zero))
        x = zero if outward else x
        gi[k] = x * i_keep[k]
        gd[k] = x * to_drive[k]


@numba.njit(fastmath=FLAGS)
def _by_dense(gd, margin, stride, delays, lag, where, amount, count, by_dense, times, amounts, lengths):  # type: ignore[no-untyped-def]
    """Add the gradient by the dense weights of one sample: for each source the sum of drive gradients over its events, 64 columns at a time.

    ``gd`` holds the drive gradient of neuron 0 at timestep t at ``t * stride + margin``.
    """
    n_sources, n = len(lengths), by_dense.shape[1]
    n_steps = len(count)
    lengths[:] = 0
    for t in range(n_steps):
        for e in range(count[t]):
            s = where[t, e]
            times[s, lengths[s]], amounts[s, lengths[s]] = t, amount[t, e]
            lengths[s] += 1
    for first in range(0, n, FOUR):  # their gradients stay in the first-level cache over all sources
        for d in range(len(delays)):
            late = lag + delays[d]
            for s in range(n_sources):
                at, by, length, row = times[s], amounts[s], lengths[s], by_dense[d * n_sources + s]
                while length > 0 and at[length - 1] + late >= n_steps:  # lost after the last timestep (A8)
                    length -= 1
                if length and first + FOUR <= n:
                    p, q, r, u = load_four(row, first)
                    for e in range(length):
                        place, a = (at[e] + late) * stride + margin + first, splat(by[e])
                        p, q = add_product(p, a, load(gd, place)), add_product(q, a, load(gd, place + WIDTH))
                        r, u = add_product(r, a, load(gd, place + 2 * WIDTH)), add_product(u, a, load(gd, place + 3 * WIDTH))
                    store_four(row, first, p, q, r, u)
                elif length:
                    for k in range(first, n - WIDTH + 1, WIDTH):
                        p = load(row, k)
                        for e in range(length):
                            p = add_product(p, splat(by[e]), load(gd, (at[e] + late) * stride + margin + k))
                        store(row, k, p)
                    for k in range(n - n % WIDTH, n):
                        for e in range(length):
                            row[k] += by[e] * gd[(at[e] + late) * stride + margin + k]


@numba.njit(fastmath=FLAGS)
def _by_source(gd, margin, stride, delays, lag, back, product, b, fresh, g_source):  # type: ignore[no-untyped-def]
    """The gradient by the events of sample ``b``: drive gradients times the dense weights; ``fresh`` where there is none yet to add to.

    ``gd`` is as in ``_by_dense``, ``back`` as in ``layer_backward``, ``product`` has room for all timesteps.
    """
    n_steps, _, n_sources = g_source.shape
    n_delays, n, width = back.shape
    weights = back.reshape(-1)
    for d in range(n_delays):
        late = lag + delays[d]
        for first in range(0, width, TILE_COLUMNS):
            for t in range(0, n_steps - late, TILE_ROWS):
                multiply_tile(n, gd, (late + t) * stride + margin, stride, weights, d * n * width + first, width, product, t * width + first, width)
        for t in range(n_steps):
            for s in range(n_sources):
                more = product[t * width + s] if t < n_steps - late else np.float32(0)
                g_source[t, b, s] = more if fresh and d == 0 else g_source[t, b, s] + more


@numba.njit(nogil=True, fastmath=FLAGS)
def _part(part, g_spikes, g_after, source, lag, delays, dense, intra, lateral, deltas, axon_first, axon_delay, axon_compartment, synapse_start, target,
          weight, neuron, fixed, bits, membrane, current, status, surrogate, through_reset, by_source, back, parts,
          g_source, g_dense, g_intra, g_lateral, g_weight, g_neuron):  # fmt: skip  # type: ignore[no-untyped-def]
    """Piece ``part`` of the samples of ``layer_backward``, whose parameters it has."""
    n_steps, n_samples, n_sources = source.shape
    n, k_compartments = neuron.shape[1], len(neuron) - 4
    threshold, reset_by = neuron[0], neuron[1]
    firing, subtract, initial, drive_shift, current_shift = fixed[0] > 0, fixed[1] > 0, fixed[3], fixed[4], fixed[5]
    membrane_bits, _, decay_bits = bits
    code, scale = surrogate
    v_hi = np.float32((1 << (membrane_bits - 1)) - 1)
    v_lo = -v_hi - np.float32(1)
    zero = np.float32(0)
    keep = np.zeros((1 + k_compartments, n), np.float32)  # of the membrane, then of each compartment
    to_current, to_drive, inverse = np.zeros(n, np.float32), np.zeros(n, np.float32), np.zeros(n, np.float32)
    kept, amount = np.zeros(n, np.float32), np.zeros(n, np.float32)  # share of the membrane gradient that passes a spike; what a reset subtracts
    for k in range(n):
        for c in range(1 + k_compartments):
            keep[c, k] = neuron[3 + c, k] / (1 << decay_bits)
        to_current[k], to_drive[k] = 1.0 / (1 << current_shift[k]), 1 << drive_shift[k]
        inverse[k] = 1.0 / threshold[k] if firing[k] else 0.0
        kept[k], amount[k] = (1.0, reset_by[k]) if subtract[k] else (0.0, 0.0)
    back_intra = intra.transpose(0, 2, 1).copy()  # the inner loop runs over sources, one after the other in memory
    n_axons, longest = len(axon_delay), 0
    only_dense = len(dense) > 0 and n > 0 and n_axons == 0  # leads to the source: nothing to add to
    for axon in range(n_axons):
        longest = max(longest, axon_delay[axon])
    n_slots = longest + 1
    gs, gu, gv, slope = np.zeros(n, np.float32), np.zeros(n, np.float32), np.zeros(n, np.float32), np.zeros(n, np.float32)
    margin = np.abs(deltas).max() if len(deltas) else 0
    fired = np.zeros(n, np.float32)
    gi = np.zeros((k_compartments, n), np.float32)
    ring = np.zeros((n_slots, k_compartments, n), np.float32)  # by the drive of the timesteps after this one
    # drive gradients of all timesteps, with zeros about each row for links that lead outside; a power of two apart, rows would share few places of the cache
    kept_drive = len(dense) > 0 or len(deltas) > 0
    stride = n + 2 * margin + (0 if (n + 2 * margin) % 32 else WIDTH)
    gd = np.zeros(((n_steps + TILE_ROWS) * stride if kept_drive else 0) + margin, np.float32)
    product = np.zeros((n_steps + TILE_ROWS) * back.shape[2], np.float32)
    where, sizes = np.zeros((n_steps, n_sources + 1), np.int32), np.zeros((n_steps, n_sources), np.float32)
    count = np.zeros(n_steps, np.int64)
    times, amounts = np.zeros((n_sources, n_steps), np.int32), np.zeros((n_sources, n_steps), np.float32)
    lengths = np.zeros(n_sources, np.int64)
    by_neuron = g_neuron[part]
    for b in range(part * n_samples // parts, (part + 1) * n_samples // parts):
        gv[:] = zero
        gi[:] = zero
        ring[:] = zero
        for t in range(n_steps if by_source and not only_dense else 0):
            g_source[t, b] = zero
        for t in range(n_steps - 1, -1, -1):
            state, u = status[t, b], membrane[t, b]
            for k in range(n):
                gs[k] = g_spikes[t, b, k] if len(g_spikes) else zero
                fired[k] = state[k] & SPIKE
            _slopes(code, scale, u, inverse, slope)  # before the links, which read what was written last: the processor waits for less
            if t < n_steps - 1:
                if len(deltas):
                    _through_distances(gs, gd, (t + 1) * stride + margin, fired, lateral, deltas, g_lateral[part])
                _through_blocks(gs, ring[(t + 1) % n_slots, 0], state, back_intra, g_intra[part])
            if n_axons:
                for k in range(n):
                    gs[k] += _through_axons(
                        ring, t + 1, n_sources + k, np.float32(state[k] & SPIKE),
                        axon_first, axon_delay, axon_compartment, synapse_start, target, weight, g_weight[part],
                    )  # fmt: skip
            if len(g_after):
                for k in range(n):
                    gv[k] += g_after[t, b, k]
            _membrane(
                gv, gs, u, state, slope, inverse, kept, amount, subtract, through_reset, keep[0], v_lo, v_hi, gu, by_neuron[0], by_neuron[1], by_neuron[2]
            )
            if len(current):
                for k in range(n):
                    before = np.float32(initial[k])
                    if t > 0:
                        before = np.float32(membrane[t - 1, b, k])
                        if status[t - 1, b, k] & SPIKE:
                            before = before - amount[k] if subtract[k] else zero
                    by_neuron[3, k] += gu[k] * before
            drive = ring[t % n_slots]
            for c in range(k_compartments):
                _synapse(gi[c], gu, state, 2 * c, to_current, to_drive, keep[1 + c], drive[c])
                if len(current) and t > 0:
                    for k in range(n):
                        by_neuron[4 + c, k] += drive[c, k] / to_drive[k] * np.float32(current[t - 1, b, c, k])
            if n_axons and t >= lag:
                for s in range(n_sources):
                    payload = source[t - lag, b, s]
                    if payload != 0 or by_source:
                        by_payload = _through_axons(
                            ring, t, s, payload, axon_first, axon_delay, axon_compartment, synapse_start, target, weight, g_weight[part]
                        )
                        if by_source:
                            g_source[t - lag, b, s] = by_payload
            if kept_drive:
                place = t * stride + margin
                for k in range(n):
                    gd[place + k] = drive[0, k]
        if len(dense):
            arrivals(source[:, b], where, sizes, count)
            _by_dense(gd, margin, stride, delays, lag, where, sizes, count, g_dense[part], times, amounts, lengths)
            if by_source and n:
                _by_source(gd, margin, stride, delays, lag, back, product, b, only_dense, g_source)


@numba.njit(parallel=True, nogil=True, cache=True, fastmath=FLAGS)
def layer_backward(g_spikes, g_after, source, lag, delays, dense, intra, lateral, deltas, axon_first, axon_delay, axon_compartment, synapse_start, target,
                   weight, neuron, fixed, bits, membrane, current, status, surrogate, through_reset, by_source, back, parts,
                   g_source, g_dense, g_intra, g_lateral, g_weight, g_neuron):  # fmt: skip  # type: ignore[no-untyped-def]
    """Gradients of ``layer_forward``; parameters not named here are its.

    Parameters
    ----------
    g_spikes, g_after : float32 [T, B, N] or [0, 0, 0]
        Gradients of the loss by spikes and by membranes after S6.
    membrane, current, status
        As ``layer_forward`` left them.
    surrogate : tuple (code, scale)
        ``train/surrogate.py``.
    through_reset : bool
        Whether the gradient flows through S6 into the spike.
    by_source : bool
        Whether gradients by the events are wanted.
    back : float32 [D, N, whole tiles of S] or [0, 0, 0]
        Dense weights from neuron to source, a block a delay, for gradients by the events; zeros beyond S.
    parts : int
        Number of partial sums; the samples are cut into as many pieces, so that the result does not depend on the number of threads.
    g_source : float32 [T, B, S] or [0, 0, 0], out
        By the events.
    g_dense, g_intra, g_lateral, g_weight : float32 [parts, ...], out, 0 on entry
    g_neuron : float32 [parts, 4 + K, N], out, 0 on entry
        In the rows of ``neuron``; by decays as fractions of 2**decay_bits and only where ``current`` was kept.
    """
    for part in numba.prange(parts):
        _part(part, g_spikes, g_after, source, lag, delays, dense, intra, lateral, deltas, axon_first, axon_delay, axon_compartment, synapse_start, target,
              weight, neuron, fixed, bits, membrane, current, status, surrogate, through_reset, by_source, back, parts,
              g_source, g_dense, g_intra, g_lateral, g_weight, g_neuron)  # fmt: skip
