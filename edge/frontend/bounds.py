# SPDX-License-Identifier: Apache-2.0
"""Proof that no value of a band-pass bank leaves 32 bits, whatever the audio (B6 of docs/frontend.md).

Knows coefficients only. It decides whether a bank is accepted, never a bit of a result, so it may use floats.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["INPUT_BOUND", "MAGNITUDE_LIMIT", "decays", "half_band_bound", "section_bounds"]

INPUT_BOUND = 2**19  # B1: int16 samples with four more fraction bits
MAGNITUDE_LIMIT = 2**25 - 1  # B4 shifts magnitudes left by six
LENGTH = 4096  # samples of an impulse response; a section must have died away by then


def half_band_bound(parent: float, half_band: Sequence[int]) -> float:
    """Largest magnitude after the half-band filter, rounding included (B2)."""
    return parent * (0.5 + 2 * sum(map(abs, half_band)) / 32768) + 1


def _responses(gain: Sequence[int], a1: Sequence[int], a2: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """L1 norms of the signal's and of the rounding error's impulse response, and the latter's tail; float64 [n_filters]."""
    g, p, q = (np.array(c, np.float64) / 16384 for c in (gain, a1, a2))
    error = np.zeros((LENGTH + 2, len(g)))
    with np.errstate(over="ignore", invalid="ignore"):
        error[2] = 1
        for n in range(3, LENGTH + 2):
            error[n] = -p * error[n - 1] - q * error[n - 2]
        signal = g * (error[2:] - np.vstack([np.zeros((2, len(g))), error[2:-2]]))
        return np.abs(signal).sum(0), np.abs(error).sum(0), np.abs(error[-64:]).max(0)


def decays(gain: Sequence[int], a1: Sequence[int], a2: Sequence[int]) -> np.ndarray:
    """Whether each section forgets; bool [n_filters]."""
    return np.nan_to_num(_responses(gain, a1, a2)[2], nan=np.inf) < 1e-9


def section_bounds(inputs: np.ndarray, gain: Sequence[int], a1: Sequence[int], a2: Sequence[int], sections: int) -> np.ndarray:
    """Largest magnitude at the output of any of the ``sections``, float64 [n_filters], given that at the input."""
    signal, error, _ = _responses(gain, a1, a2)
    largest = bound = inputs
    for _ in range(sections):
        bound = 1.0001 * (bound * signal + 0.5 * error) + 1
        largest = np.maximum(largest, bound)
    return largest
