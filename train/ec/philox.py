# SPDX-License-Identifier: Apache-2.0
"""Counter-based random numbers: a value depends on its key and its place alone, so every worker can draw any part of a population.

Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["philox", "stream_key"]

MULTIPLIER_0, MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL_0, WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
ROUNDS = 10


@njit(cache=True, nogil=True)
def philox(c0: int, c1: int, c2: int, c3: int, key: int) -> tuple[int, int, int, int]:
    """Four random words of 32 bits.

    Parameters
    ----------
    c0, c1, c2, c3 : uint64, 0..2**32 - 1
        The counter.
    key : uint64
        Low word first.

    Returns
    -------
    4 uint64, 0..2**32 - 1
    """
    a, b, c, d = np.uint64(c0), np.uint64(c1), np.uint64(c2), np.uint64(c3)
    k0, k1 = np.uint64(key) & LOW, np.uint64(key) >> HALF
    for _ in range(ROUNDS):
        p0, p1 = MULTIPLIER_0 * a, MULTIPLIER_1 * c
        a, b, c, d = (p1 >> HALF) ^ b ^ k0, p1 & LOW, (p0 >> HALF) ^ d ^ k1, p0 & LOW
        k0, k1 = (k0 + WEYL_0) & LOW, (k1 + WEYL_1) & LOW
    return a, b, c, d


def stream_key(seed: int, purpose: int) -> np.uint64:
    """Key of one use of a seed, so that no two uses share numbers.

    Parameters
    ----------
    seed : int, 0..2**32 - 1
        Of the run.
    purpose : int, 0..2**32 - 1
        What is drawn.
    """
    return np.uint64(seed) | np.uint64(purpose) << HALF
