# SPDX-License-Identifier: Apache-2.0
"""The gradient of ``kernels.layer_forward``: backward through time, sample by sample, as one compiled kernel.

Truncation passes gradients as identity, saturation only where they point back inside, S5 through a surrogate. Weight gradients are gathered where
events were: a silent source costs nothing.
"""

from __future__ import annotations

import numba
import numpy as np

from .kernels import AT_HIGH, AT_LOW, HELD, SPIKE, arrivals, gather_distances
from .surrogate import surrogate_slope

__all__ = ["layer_backward"]

# no reassociation and no fused multiply-add: results must not depend on where an array happens to lie or on the number of threads
FLAGS = {"nnan", "ninf", "nsz"}
TILE = 64  # columns of a dense weight gradient that are summed at a time: four vector registers


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
def _by_distances(spikes, shifted, deltas, margin, by_lateral):  # type: ignore[no-untyped-def]
    """Gradient by the links of one distance; those whose target is outside meet the zeros of the margin."""
    for d in range(len(deltas)):
        by, arrived = by_lateral[d], shifted[margin + deltas[d] :]
        for k in range(len(spikes)):
            by[k] += spikes[k] * arrived[k]


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
def _membrane(g, gs, u, state, slope, inverse, kept, amount, subtract, through_reset, v_keep, lo, hi, gv, gu, by_neuron):  # type: ignore[no-untyped-def]
    """S6 to S3: from ``g`` (by the membrane after S6) and ``gs`` (by the spike) to ``gu`` (by the exact sum) and ``gv`` (by the old membrane)."""
    zero = np.float32(0)
    for k in range(len(g)):
        x = np.float32(u[k])
        spike, held = (state[k] & SPIKE) != 0, (state[k] & HELD) != 0
        through = g[k] * kept[k] if spike else g[k]
        s = gs[k]
        if through_reset:
            s -= g[k] * (amount[k] if subtract[k] else x)
        s = zero if held else s * slope[k]
        inner = through + s
        outward = held | ((x >= hi) & (inner < zero)) | ((x <= lo) & (inner > zero))
        inner = zero if outward else inner
        by_neuron[0, k] -= s * x * inverse[k]
        by_neuron[1, k] -= through if spike else zero
        by_neuron[2, k] += inner
        gv[k] = g[k] if held else inner * v_keep[k]
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


@numba.njit(fastmath=FLAGS | {"contract"})
def _by_dense(tiles, delays, lag, where, amount, count, by_dense, times, amounts, lengths):  # type: ignore[no-untyped-def]
    """Add the gradient by the dense weights of one sample: for each source the sum of drive gradients over its events, a tile of columns at a time.

    All loops over columns have one fixed length, so that fused multiply-adds do not make the result depend on where an array lies.
    """
    n_tiles, n_steps, _ = tiles.shape
    n_sources = len(lengths)
    lengths[:] = 0
    for t in range(n_steps):
        for e in range(count[t]):
            s = where[t, e]
            times[s, lengths[s]], amounts[s, lengths[s]] = t, amount[t, e]
            lengths[s] += 1
    total = np.zeros(TILE, np.float32)
    for tile in range(n_tiles):
        gd, first = tiles[tile], tile * TILE
        for d in range(len(delays)):
            late = lag + delays[d]
            for s in range(n_sources):
                at, by, length = times[s], amounts[s], lengths[s]
                while length > 0 and at[length - 1] + late >= n_steps:  # lost after the last timestep (A8)
                    length -= 1
                if length == 0:
                    continue
                total[:] = 0
                done = 0
                while done + 4 <= length:
                    a, b, c, f = gd[at[done] + late], gd[at[done + 1] + late], gd[at[done + 2] + late], gd[at[done + 3] + late]
                    p, q, r, o = by[done], by[done + 1], by[done + 2], by[done + 3]
                    for k in range(TILE):
                        total[k] += (p * a[k] + q * b[k]) + (r * c[k] + o * f[k])
                    done += 4
                for e in range(done, length):
                    a, p = gd[at[e] + late], by[e]
                    for k in range(TILE):
                        total[k] += p * a[k]
                row = by_dense[d * n_sources + s, first : first + TILE]
                if len(row) == TILE:
                    for k in range(TILE):
                        row[k] += total[k]
                else:
                    for k in range(len(row)):
                        row[k] += total[k]


@numba.njit(nogil=True, fastmath=FLAGS)
def _part(part, g_spikes, g_after, source, lag, delays, dense, intra, lateral, deltas, axon_first, axon_delay, axon_compartment, synapse_start, target,
          weight, neuron, fixed, bits, membrane, current, status, surrogate, through_reset, by_source, parts,
          g_drive, g_source, g_dense, g_intra, g_lateral, g_weight, g_neuron):  # fmt: skip  # type: ignore[no-untyped-def]
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
    back = intra.transpose(0, 2, 1).copy()  # the inner loop runs over sources, one after the other in memory
    n_axons, longest = len(axon_delay), 0
    for axon in range(n_axons):
        longest = max(longest, axon_delay[axon])
    n_slots, n_tiles = longest + 1, (n + TILE - 1) // TILE if len(dense) else 0
    g, gs, gu, gv, slope = np.zeros(n, np.float32), np.zeros(n, np.float32), np.zeros(n, np.float32), np.zeros(n, np.float32), np.zeros(n, np.float32)
    margin = np.abs(deltas).max() if len(deltas) else 0
    fired, shifted = np.zeros(n, np.float32), np.zeros(n + 2 * margin, np.float32)
    gi = np.zeros((k_compartments, n), np.float32)
    ring = np.zeros((n_slots, k_compartments, n), np.float32)  # by the drive of the timesteps after this one
    tiles = np.zeros((n_tiles, n_steps, TILE), np.float32)
    where, sizes = np.zeros((n_steps, n_sources + 1), np.int32), np.zeros((n_steps, n_sources), np.float32)
    count = np.zeros(n_steps, np.int64)
    times, amounts = np.zeros((n_sources, n_steps), np.int32), np.zeros((n_sources, n_steps), np.float32)
    lengths = np.zeros(n_sources, np.int64)
    by_neuron = g_neuron[part]
    for b in range(part * n_samples // parts, (part + 1) * n_samples // parts):
        gv[:] = zero
        gi[:] = zero
        ring[:] = zero
        for t in range(n_steps - 1, -1, -1):
            state, u = status[t, b], membrane[t, b]
            for k in range(n):
                g[k], gs[k] = gv[k], zero
            if len(g_spikes):
                for k in range(n):
                    gs[k] = g_spikes[t, b, k]
            if t < n_steps - 1:
                if len(deltas):
                    for k in range(n):
                        shifted[margin + k] = ring[(t + 1) % n_slots, 0, k]
                    for k in range(n):
                        fired[k] = state[k] & SPIKE
                    gather_distances(gs, lateral, shifted, deltas, margin)
                    _by_distances(fired, shifted, deltas, margin, g_lateral[part])
                _through_blocks(gs, ring[(t + 1) % n_slots, 0], state, back, g_intra[part])
            if n_axons:
                for k in range(n):
                    gs[k] += _through_axons(
                        ring, t + 1, n_sources + k, np.float32(state[k] & SPIKE),
                        axon_first, axon_delay, axon_compartment, synapse_start, target, weight, g_weight[part],
                    )  # fmt: skip
            if len(g_after):
                for k in range(n):
                    g[k] += g_after[t, b, k]
            _slopes(code, scale, u, inverse, slope)
            _membrane(g, gs, u, state, slope, inverse, kept, amount, subtract, through_reset, keep[0], v_lo, v_hi, gv, gu, by_neuron)
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
            if len(g_drive):
                for k in range(n):
                    g_drive[t, b, k] = drive[0, k]
            for tile in range(n_tiles):
                for k in range(min(TILE, n - tile * TILE)):
                    tiles[tile, t, k] = drive[0, tile * TILE + k]
        if n_tiles:
            arrivals(source[:, b], where, sizes, count)
            _by_dense(tiles, delays, lag, where, sizes, count, g_dense[part], times, amounts, lengths)


@numba.njit(parallel=True, nogil=True, cache=True, fastmath=FLAGS)
def layer_backward(g_spikes, g_after, source, lag, delays, dense, intra, lateral, deltas, axon_first, axon_delay, axon_compartment, synapse_start, target,
                   weight, neuron, fixed, bits, membrane, current, status, surrogate, through_reset, by_source, parts,
                   g_drive, g_source, g_dense, g_intra, g_lateral, g_weight, g_neuron):  # fmt: skip  # type: ignore[no-untyped-def]
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
        Whether gradients by the events that axons bring are wanted.
    parts : int
        Number of partial sums; the samples are cut into as many pieces, so that the result does not depend on the number of threads.
    g_drive : float32 [T, B, N] or [0, 0, 0], out
        By the drive of compartment 0, where the caller wants it for the dense product by events.
    g_source : float32 [T, B, S] or [0, 0, 0], out, 0 on entry
        By the events, through axons.
    g_dense, g_intra, g_lateral, g_weight : float32 [parts, ...], out, 0 on entry
    g_neuron : float32 [parts, 4 + K, N], out, 0 on entry
        In the rows of ``neuron``; by decays as fractions of 2**decay_bits and only where ``current`` was kept.
    """
    for part in numba.prange(parts):
        _part(part, g_spikes, g_after, source, lag, delays, dense, intra, lateral, deltas, axon_first, axon_delay, axon_compartment, synapse_start, target,
              weight, neuron, fixed, bits, membrane, current, status, surrogate, through_reset, by_source, parts,
              g_drive, g_source, g_dense, g_intra, g_lateral, g_weight, g_neuron)  # fmt: skip
