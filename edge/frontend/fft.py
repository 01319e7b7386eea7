# SPDX-License-Identifier: Apache-2.0
"""Compiled kernel of the FFT candidate: PCM to power levels of mel channels (A1..A9 of docs/frontend.md).

Knows nothing of events. All arithmetic is int64 here, but no value leaves 32 bits except the band sums;
``reference.py`` holds every intermediate to its stated width.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .log2 import level_of

__all__ = ["fft_levels"]

SIZE = 512  # real samples of a frame
HALF = SIZE // 2  # complex points of the transform
STAGES = 8


@njit(cache=True, nogil=True)
def fft_levels(
    pcm: np.ndarray,
    history: np.ndarray,
    pre_emphasis: int,
    window: np.ndarray,
    twiddle_re: np.ndarray,
    twiddle_im: np.ndarray,
    order: np.ndarray,
    bin_band: np.ndarray,
    bin_weight: np.ndarray,
    log_bits: int,
    log_table: np.ndarray,
    floor: int,
    hop: int,
    levels: np.ndarray,
) -> None:
    """Levels of whole hops.

    Parameters
    ----------
    pcm : int16 [n_timesteps * hop]
        Samples that follow those in ``history``.
    history : int64 [513], changed
        The last 513 samples; zeros at clip start.
    pre_emphasis, window, twiddle_re, twiddle_im, order, bin_band, bin_weight : int64
        Tables of ``FftSpectrum``; ``order`` is the bit reversal of 0..255.
    log_bits, log_table, floor : int64
        See ``level_of``.
    hop : int
        Samples a timestep.
    levels : int32 [n_timesteps, n_channels], written
        Log2 power in 2**-log_bits octaves.
    """
    n_channels = levels.shape[1]
    scaled = np.empty(SIZE, np.int64)
    re = np.empty(HALF, np.int64)
    im = np.empty(HALF, np.int64)
    bands = np.empty(n_channels + 2, np.int64)
    for t in range(levels.shape[0]):
        for i in range(SIZE + 1 - hop):
            history[i] = history[i + hop]
        for i in range(hop):
            history[SIZE + 1 - hop + i] = pcm[t * hop + i]
        peak = 0
        for i in range(SIZE):  # A2
            y = 32 * history[i + 1] - pre_emphasis * history[i]
            scaled[i] = y
            peak = max(peak, abs(y))
        if peak == 0:  # A3: a silent frame has no spectrum
            for c in range(n_channels):
                levels[t, c] = floor
            continue
        length = 0
        while peak >> length:
            length += 1
        shift = 15 - length
        for i in range(HALF):  # A3, A4, in bit-reversed order
            for part in range(2):
                n = 2 * order[i] + part
                y = scaled[n] << shift if shift >= 0 else scaled[n] >> -shift
                v = (y * window[n] + 32768) >> 16
                if part == 0:
                    re[i] = v
                else:
                    im[i] = v
        _transform(re, im, twiddle_re, twiddle_im)
        for c in range(n_channels + 2):
            bands[c] = 0
        for k in range(1, HALF // 2 + 1):  # A6, A7
            even_re = re[k] + re[HALF - k]
            even_im = im[k] - im[HALF - k]
            odd_re = re[k] - re[HALF - k]
            odd_im = im[k] + im[HALF - k]
            p_re = -(twiddle_re[k] * odd_im + twiddle_im[k] * odd_re)
            p_im = twiddle_re[k] * odd_re - twiddle_im[k] * odd_im
            x_re = ((even_re << 14) - p_re + 16384) >> 15
            x_im = ((even_im << 14) - p_im + 16384) >> 15
            _add_power(bands, bin_band[k], bin_weight[k], x_re * x_re + x_im * x_im)
            if k < HALF // 2:
                x_re = ((even_re << 14) + p_re + 16384) >> 15
                x_im = ((even_im << 14) + p_im + 16384) >> 15
                _add_power(bands, bin_band[HALF - k], bin_weight[HALF - k], x_re * x_re + x_im * x_im)
        for c in range(n_channels):  # A8
            levels[t, c] = level_of(bands[c + 1], -2 * shift, log_bits, log_table, floor)


@njit(cache=True, nogil=True, inline="always")
def _add_power(bands: np.ndarray, band: int, weight: int, power: int) -> None:
    """A7: split the power of a bin between two neighbouring bands."""
    if band >= 0:
        bands[band] += power * (256 - weight)
        bands[band + 1] += power * weight


@njit(cache=True, nogil=True)
def _transform(re: np.ndarray, im: np.ndarray, twiddle_re: np.ndarray, twiddle_im: np.ndarray) -> None:
    """A5: 256-point radix-2 transform in place, input in bit-reversed order."""
    for i in range(0, HALF, 2):  # the window halves the frame's sums, so the first stage need not
        a_re, a_im, b_re, b_im = re[i], im[i], re[i + 1], im[i + 1]
        re[i], im[i] = a_re + b_re, a_im + b_im
        re[i + 1], im[i + 1] = a_re - b_re, a_im - b_im
    half = 2
    for _ in range(STAGES - 1):
        step = HALF // half
        for j in range(half):
            w_re = twiddle_re[j * step]
            w_im = twiddle_im[j * step]
            for i in range(j, HALF, 2 * half):
                b_re, b_im = re[i + half], im[i + half]
                p_re = b_re * w_re - b_im * w_im
                p_im = b_re * w_im + b_im * w_re
                a_re = (re[i] << 14) + 16384
                a_im = (im[i] << 14) + 16384
                re[i] = (a_re + p_re) >> 15
                im[i] = (a_im + p_im) >> 15
                re[i + half] = (a_re - p_re) >> 15
                im[i + half] = (a_im - p_im) >> 15
        half *= 2
