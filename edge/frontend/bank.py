# SPDX-License-Identifier: Apache-2.0
"""Compiled kernel of the band-pass bank candidate: PCM to power levels of channels (B1..B7 of docs/frontend.md).

Knows nothing of events. Products are 64-bit, everything stored is 32-bit; ``reference.py`` holds every value to
its stated width.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .log2 import level_of

__all__ = ["bank_levels"]


@njit(cache=True, nogil=True)
def bank_levels(
    pcm: np.ndarray,
    delay: np.ndarray,
    state: np.ndarray,
    energy: np.ndarray,
    half_band: np.ndarray,
    gain: np.ndarray,
    a1: np.ndarray,
    a2: np.ndarray,
    first: np.ndarray,
    energy_shift: np.ndarray,
    node_rate: np.ndarray,
    node_parent: np.ndarray,
    node_mirror: np.ndarray,
    sections: int,
    log_bits: int,
    log_table: np.ndarray,
    floor: int,
    hop: int,
    channel: np.ndarray,
    levels: np.ndarray,
) -> None:
    """Levels of whole hops.

    Parameters
    ----------
    pcm : int16 [n_timesteps * hop]
        Samples that follow those heard so far.
    delay : int64 [n_nodes, n_delay], changed
        Past inputs of the half-band filter that feeds each node.
    state : int64 [n_channels, sections, 4], changed
        x[n-1], x[n-2], y[n-1], y[n-2] of each section.
    energy : int64 [n_channels], changed
        Leaky mean magnitude.
    half_band, gain, a1, a2, first, energy_shift, node_rate, node_parent, node_mirror : int64
        Tables of ``BankSpectrum``; node i owns filters first[i]..first[i + 1] - 1.
    log_bits, log_table, floor : int64
        See ``level_of``.
    hop : int
        Samples a timestep.
    channel : int64 [n_channels]
        Output channel of each filter.
    levels : int32 [n_timesteps, n_channels], written
        Log2 power in 2**-log_bits octaves.
    """
    n_nodes = len(node_rate)
    signal = np.empty((n_nodes, hop), np.int64)
    for t in range(levels.shape[0]):
        for node in range(n_nodes):
            n = hop // node_rate[node]
            parent = node_parent[node]
            if parent < 0:
                for i in range(n):  # B1
                    signal[node, i] = np.int64(pcm[t * hop + i]) << 4
            else:
                _split(signal[parent], n, delay[node], half_band, node_mirror[node], signal[node])
            _filter(signal[node], n, first[node], first[node + 1], state, energy, gain, a1, a2, energy_shift[node], sections)
        for c in range(levels.shape[1]):
            levels[t, channel[c]] = level_of(energy[c], 0, log_bits + 1, log_table, floor)


@njit(cache=True, nogil=True)
def _split(parent: np.ndarray, n: int, delay: np.ndarray, half_band: np.ndarray, mirror: int, out: np.ndarray) -> None:
    """B2: half-band filter, every second sample; ``mirror`` takes the upper half, whose spectrum comes out reversed."""
    n_side = len(half_band)
    size = 4 * n_side
    middle = 2 * n_side
    for i in range(n):
        for k in range(size - 2):
            delay[k] = delay[k + 2]
        delay[size - 2] = parent[2 * i]
        delay[size - 1] = parent[2 * i + 1]
        side = 0
        for k in range(n_side):
            side += half_band[k] * (delay[middle + 2 * k + 1] + delay[middle - 2 * k - 1])
        center = delay[middle] << 14
        out[i] = ((center - side if mirror else center + side) + 16384) >> 15


@njit(cache=True, nogil=True)
def _filter(
    signal: np.ndarray,
    n: int,
    begin: int,
    end: int,
    state: np.ndarray,
    energy: np.ndarray,
    gain: np.ndarray,
    a1: np.ndarray,
    a2: np.ndarray,
    shift: int,
    sections: int,
) -> None:
    """B3..B5 for the channels of one node."""
    for c in range(begin, end):
        g, p, q = gain[c], a1[c], a2[c]
        mean = energy[c]
        x1, x2, y1, y2 = state[c, 0, 0], state[c, 0, 1], state[c, 0, 2], state[c, 0, 3]
        u1, u2 = 0, 0
        if sections == 2:
            u1, u2 = state[c, 1, 2], state[c, 1, 3]
        for i in range(n):
            x = signal[i]
            y = (g * (x - x2) - p * y1 - q * y2 + 8192) >> 14
            x2, x1 = x1, x
            magnitude = y
            if sections == 2:
                u = (g * (y - y2) - p * u1 - q * u2 + 8192) >> 14
                u2, u1 = u1, u
                magnitude = u
            y2, y1 = y1, y
            mean += ((abs(magnitude) << 6) - mean) >> shift
        energy[c] = mean
        state[c, 0, 0], state[c, 0, 1], state[c, 0, 2], state[c, 0, 3] = x1, x2, y1, y2
        if sections == 2:
            state[c, 1, 2], state[c, 1, 3] = u1, u2
