# SPDX-License-Identifier: Apache-2.0
"""The time loop of one SC-ML layer, forward and backward, as two compiled kernels.

One sample at a time from first to last timestep, so that its state stays in the first-level cache; samples in parallel.
The forward pass is event-driven over the recurrent links (a silent neuron costs nothing), the backward pass uses the motif
blocks. It computes exactly S2 to S7 of docs/semantics.md; ``train/plain.py`` is the readable definition it is held to.

Layout: time-major [n_timesteps, n_samples, n_neurons], neuron (m, j) = m * size + j.
"""

from __future__ import annotations

import numba
import numpy as np

from .surrogate import surrogate_slope

__all__ = ["HELD", "SPIKE", "layer_backward", "layer_forward"]

# no reassociation and no fused multiply-add: results must not depend on where an array happens to lie or on the number of threads
FLAGS = {"nnan", "ninf", "nsz"}
SPIKE, HELD = 1, 2  # status of a neuron at a timestep: fired; refractory (its membrane kept its value)


@numba.njit(inline="always")
def _truncate(product: int, bits: int) -> int:
    """``toward_zero(product / 2**bits)`` (D1)."""
    return (product + ((product >> 31 >> 31) & ((1 << bits) - 1))) >> bits


@numba.njit(parallel=True, nogil=True, cache=True)
def layer_forward(drive, intra, lateral, deltas, current_decay, membrane_decay, threshold, reset_by, subtract, refractory, firing,
                  bias, initial, drive_shift, current_shift, bits, spikes, membrane, current, status):  # fmt: skip
    """Run a layer over whole sequences.

    Parameters
    ----------
    drive : float32 [T, B, N]
        Feed-forward drive of S1, integers.
    intra : int32 [M, size, size]
        Effective weight (shift included) from neuron i to j of motif m.
    lateral : int32 [n_deltas, N]
        Effective weight from neuron n to ``n + deltas[d] * size``.
    deltas : int64 [n_deltas]
        Motif distance of each lateral link.
    current_decay, membrane_decay, threshold, reset_by, refractory, bias, initial, drive_shift, current_shift : int32 or int64 [N]
        All of one type: int32 where state times 2**decay_bits fits it.
    subtract, firing : bool [N]
    bits : tuple (membrane_bits, current_bits, decay_bits)
    spikes : float32 [T, B, N], out
    membrane : int32 or int16 [T, B, N], out
        After S3, before reset (kept value where refractory).
    current : like ``membrane``, out
    status : uint8 [T, B, N], out
        SPIKE, HELD or 0.
    """
    n_steps, n_samples, n = drive.shape
    n_motifs, size = intra.shape[:2]
    membrane_bits, current_bits, decay_bits = bits
    v_hi, i_hi = (1 << (membrane_bits - 1)) - 1, (1 << (current_bits - 1)) - 1
    v_lo, i_lo = -v_hi - 1, -i_hi - 1
    any_held = np.any(refractory > 0)
    for b in numba.prange(n_samples):
        v = initial.copy()
        i = np.zeros(n, initial.dtype)
        wait = np.zeros(n, np.int32)
        gathered = np.zeros(n, np.int32)
        fired = np.zeros(n, np.int32)
        n_fired = 0
        for t in range(n_steps):
            for k in range(n):
                gathered[k] = np.int32(drive[t, b, k])
            for f in range(n_fired):
                source = fired[f]
                m, j = source // size, source % size
                for k in range(size):
                    gathered[m * size + k] += intra[m, j, k]
                for d in range(len(deltas)):
                    target = m + deltas[d]
                    if 0 <= target < n_motifs:
                        gathered[target * size + j] += lateral[d, source]
            # one loop a step and no branch in them, so that they become vector instructions; v and i give the width of the products
            for k in range(n):
                x = _truncate(i[k] * current_decay[k], decay_bits) + (gathered[k] << drive_shift[k])
                i[k] = min(i_hi, max(i_lo, x))
            for k in range(n):
                u = _truncate(v[k] * membrane_decay[k], decay_bits) + _truncate(i[k], current_shift[k]) + bias[k]
                u = min(v_hi, max(v_lo, u))
                v[k] = u if wait[k] == 0 else v[k]
                status[t, b, k] = SPIKE * (firing[k] & (u >= threshold[k]) & (wait[k] == 0)) + HELD * (wait[k] > 0)
                membrane[t, b, k] = v[k]
                current[t, b, k] = i[k]
            n_fired = 0
            for k in range(n):
                spikes[t, b, k] = np.float32(status[t, b, k] & SPIKE)
                fired[n_fired] = k
                n_fired += status[t, b, k] & SPIKE
            for f in range(n_fired):
                k = fired[f]
                v[k] = v[k] - reset_by[k] if subtract[k] else 0
            if any_held:
                for k in range(n):
                    wait[k] = refractory[k] if status[t, b, k] == SPIKE else max(0, wait[k] - 1)


@numba.njit(fastmath=FLAGS)
def _slopes(code, scale, u, inverse, slope):
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


@numba.njit(parallel=True, nogil=True, cache=True, fastmath=FLAGS)
def layer_backward(g_spikes, g_membrane, membrane, current, status, intra, lateral, deltas, current_decay, membrane_decay, threshold, reset_by,
                   subtract, firing, initial, drive_shift, current_shift, bits, surrogate, through_reset, decays, parts,
                   g_drive, g_intra, g_lateral, g_neuron):  # fmt: skip
    """Gradients of ``layer_forward`` with a surrogate for S5; truncation passes as identity, saturation only inward.

    Parameters
    ----------
    g_spikes, g_membrane : float32 [T, B, N]
        Gradients of the loss by spikes and by membranes after S6.
    membrane, current, status
        As ``layer_forward`` left them.
    intra, lateral : float32
        Its effective weights.
    surrogate : tuple (code, scale)
        ``train/surrogate.py``.
    through_reset : bool
        Whether the gradient flows through S6 into the spike.
    decays : bool
        Whether the gradients by bias and decays are wanted.
    parts : int
        Number of partial sums; the samples are cut into as many pieces, so that the result does not depend on the number of threads.
    g_drive : float32 [T, B, N], out
    g_intra : float32 [parts, M, size, size], g_lateral : float32 [parts, n_deltas, N], out
    g_neuron : float32 [parts, 5, N], out
        By threshold, reset_by, bias, membrane_decay and current_decay (the last two as fractions of 2**decay_bits).
    """
    n_steps, n_samples, n = g_spikes.shape
    n_motifs, size = intra.shape[:2]
    membrane_bits, current_bits, decay_bits = bits
    code, scale = surrogate
    v_hi, i_hi = (1 << (membrane_bits - 1)) - 1, (1 << (current_bits - 1)) - 1
    v_lo, i_lo = -v_hi - 1, -i_hi - 1
    zero, one = np.float32(0), np.float32(1)
    v_keep = membrane_decay.astype(np.float32) / np.float32(1 << decay_bits)
    i_keep = current_decay.astype(np.float32) / np.float32(1 << decay_bits)
    to_current = (one / np.float32(2) ** current_shift.astype(np.float32)).astype(np.float32)
    to_drive = (np.float32(2) ** drive_shift.astype(np.float32)).astype(np.float32)
    inverse = np.where(firing, one / np.maximum(threshold, 1).astype(np.float32), zero).astype(np.float32)
    kept = np.where(subtract, one, zero).astype(np.float32)  # share of the membrane gradient that passes a spike
    amount = np.where(subtract, reset_by.astype(np.float32), zero).astype(np.float32)
    back = np.ascontiguousarray(intra.transpose(0, 2, 1))  # the inner loop runs over sources, one after the other in memory
    for part in numba.prange(parts):
        gv = np.zeros(n, np.float32)  # by the membrane after S6, from the next timestep
        gi = np.zeros(n, np.float32)  # by the current, from the next timestep
        gd = np.zeros(n, np.float32)  # by the drive of the next timestep
        gs = np.zeros(n, np.float32)
        slope = np.zeros(n, np.float32)
        by_intra, by_lateral, by_neuron = g_intra[part], g_lateral[part], g_neuron[part]
        for b in range(part * n_samples // parts, (part + 1) * n_samples // parts):
            gv[:] = zero
            gi[:] = zero
            gd[:] = zero
            for t in range(n_steps - 1, -1, -1):
                state, u, now = status[t, b], membrane[t, b], current[t, b]
                gs[:] = g_spikes[t, b]
                if t < n_steps - 1:  # recurrent links carry this timestep's spikes into the drive of the next
                    for m in range(n_motifs):
                        base = m * size
                        for k in range(size):
                            for j in range(size):
                                gs[base + j] += back[m, k, j] * gd[base + k]
                        for j in range(size):
                            if state[base + j] == SPIKE:
                                for k in range(size):
                                    by_intra[m, j, k] += gd[base + k]
                    for d in range(len(deltas)):
                        offset = deltas[d] * size
                        for k in range(max(0, -offset), min(n, n - offset)):
                            gs[k] += lateral[d, k] * gd[k + offset]
                            by_lateral[d, k] += gd[k + offset] if state[k] == SPIKE else zero
                _slopes(code, scale, u, inverse, slope)
                for k in range(n):
                    g = gv[k] + g_membrane[t, b, k]
                    x = np.float32(u[k])
                    spike, held = state[k] == SPIKE, state[k] == HELD
                    by_neuron[1, k] -= g * kept[k] if spike else zero
                    s = gs[k]
                    if through_reset:
                        s -= g * (amount[k] if subtract[k] else x)
                    s = zero if held else s * slope[k]
                    by_neuron[0, k] -= s * x * inverse[k]
                    gu = (g * kept[k] if spike else g) + s
                    outward = held | ((x >= v_hi) & (gu < zero)) | ((x <= v_lo) & (gu > zero))
                    gu = zero if outward else gu
                    gv[k] = g if held else gu * v_keep[k]
                    gs[k] = gu
                if decays:
                    for k in range(n):
                        by_neuron[2, k] += gs[k]
                        before = np.float32(initial[k])
                        old = zero
                        if t > 0:
                            old = np.float32(current[t - 1, b, k])
                            before = np.float32(membrane[t - 1, b, k])
                            if status[t - 1, b, k] == SPIKE:
                                before = before - amount[k] if subtract[k] else zero
                        by_neuron[3, k] += gs[k] * before
                        x = gi[k] + gs[k] * to_current[k]
                        outward = ((now[k] >= i_hi) & (x < zero)) | ((now[k] <= i_lo) & (x > zero))
                        by_neuron[4, k] += zero if outward else x * old
                for k in range(n):
                    x = gi[k] + gs[k] * to_current[k]
                    outward = ((now[k] >= i_hi) & (x < zero)) | ((now[k] <= i_lo) & (x > zero))
                    x = zero if outward else x
                    gi[k] = x * i_keep[k]
                    gd[k] = x * to_drive[k]
                    g_drive[t, b, k] = x * to_drive[k]
