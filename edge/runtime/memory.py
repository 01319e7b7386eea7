# SPDX-License-Identifier: Apache-2.0
"""How arrays of neurons lie in memory: padded to whole vectors, from the start of a line of the cache on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["BLOCK", "aligned_zeros", "padded"]

BLOCK = 32  # neurons are padded to multiples of it, so that vectors leave no rest
CACHE_LINE = 64  # bytes


def padded(n_neurons: int) -> int:
    """``n_neurons`` and what pads them."""
    return n_neurons + -n_neurons % BLOCK


def aligned_zeros(shape: Sequence[int], dtype: type | np.dtype) -> np.ndarray:
    """Zeros that begin with a line of the cache: a vector that lies across two lines costs two loads."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.zeros(size + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + size].view(dtype).reshape(shape)
