# SPDX-License-Identifier: Apache-2.0
"""Synthetic rooms: impulse responses of a direct path, early reflections and a decaying tail of noise, and their convolution with clips.

The model is the usual statistical one (J. A. Moorer, "About this reverberation business", 1979: a tail of exponentially decaying
Gaussian noise); it knows no geometry.
"""

from __future__ import annotations

import numpy as np

from ..audio import SAMPLE_RATE

__all__ = ["N_TAPS", "add_rooms", "draw_rooms"]

N_TAPS = 6400
"""Samples of a response, 0.4 s."""


def draw_rooms(rng: np.random.Generator, n_rooms: int, *, dry_share: float = 0.25) -> np.ndarray:
    """Random impulse responses.

    Parameters
    ----------
    n_rooms : int
    dry_share : float, 0..1
        Share of responses that are the direct path alone: close talking.

    Returns
    -------
    float64 [n_rooms, N_TAPS]
        Tap 0 is the direct path, 1. Reflections: 3 to 8 at 1 to 25 ms, up to 0.4. Tail: from 5 ms, time to fall by 60 dB 0.1 to 0.5 s, its energy
        3 to 20 dB below the direct path, highs damped by a one-pole low-pass.
    """
    rooms = np.zeros((n_rooms, N_TAPS))
    rooms[:, 0] = 1.0
    t = np.arange(N_TAPS) / SAMPLE_RATE
    for response in rooms[round(dry_share * n_rooms) :]:
        n_early = int(rng.integers(3, 9))
        delays = rng.integers(SAMPLE_RATE // 1000, SAMPLE_RATE * 25 // 1000, n_early)
        response[delays] += rng.choice([-1.0, 1.0], n_early) * rng.uniform(0.05, 0.4, n_early)
        tail = rng.standard_normal(N_TAPS) * 10.0 ** (-3.0 * t / rng.uniform(0.1, 0.5))
        tail[: SAMPLE_RATE * 5 // 1000] = 0.0
        damping = rng.uniform(0.0, 0.7)
        smoothed = np.convolve(tail, (1 - damping) * damping ** np.arange(32))[:N_TAPS]  # 0.7 ** 32 is 1e-5: the one pole, cut off
        response += smoothed * np.sqrt(10.0 ** (-rng.uniform(3.0, 20.0) / 10) / np.sum(smoothed * smoothed))
    return rooms


def add_rooms(clips: np.ndarray, rooms: np.ndarray, room_of: np.ndarray) -> np.ndarray:
    """Convolve each clip with its room and keep the clip's length: what rings beyond the end is cut.

    Parameters
    ----------
    clips : float64 [n_clips, n_samples]
    rooms : float64 [n_rooms, n_taps]
    room_of : integer [n_clips], 0..n_rooms - 1

    Returns
    -------
    float64 [n_clips, n_samples]
    """
    from scipy.fft import irfft, next_fast_len, rfft

    n_samples = clips.shape[1]
    n_fft = next_fast_len(n_samples + rooms.shape[1] - 1, real=True)
    return irfft(rfft(clips, n_fft) * rfft(rooms, n_fft)[room_of], n_fft)[:, :n_samples]
