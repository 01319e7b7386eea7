# SPDX-License-Identifier: Apache-2.0
"""Compiled integer logarithm shared by the candidates (L1, L2 of docs/frontend.md)."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["level_of"]


@njit(cache=True, nogil=True)
def level_of(x: int, octaves: int, log_bits: int, log_table: np.ndarray, floor: int) -> int:
    """Logarithm of a non-negative integer, in 2**-log_bits octaves.

    Parameters
    ----------
    x : int64, 0..2**62
        Number; 0 gives the floor.
    octaves : int
        Whole octaves added, which undoes a scaling by a power of two.
    log_bits : int, 0..8
        Fraction bits of the result.
    log_table : int64 [32], 0..2**log_bits
        Fraction of the logarithm by the five bits after the leading one.
    floor : int
        Smallest level.
    """
    if x == 0:
        return floor
    length = 0
    y = x
    if y >> 32:
        length += 32
        y >>= 32
    if y >> 16:
        length += 16
        y >>= 16
    if y >> 8:
        length += 8
        y >>= 8
    if y >> 4:
        length += 4
        y >>= 4
    if y >> 2:
        length += 2
        y >>= 2
    if y >> 1:
        length += 1
    mantissa = (x >> (length - 5) if length >= 5 else x << (5 - length)) & 31
    return max(floor, ((length + octaves) << log_bits) + log_table[mantissa])
