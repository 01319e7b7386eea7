# SPDX-License-Identifier: Apache-2.0
"""Populations drawn from connection probabilities, bit by bit and reproducibly: individual i of generation g is the same on every worker.

A population is never kept: an individual is drawn again where its bits are needed for the update.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .bits import WORD_BITS
from .philox import philox

__all__ = ["PROBABILITY_BITS", "count_signed", "draw_individuals", "draw_normal", "thresholds"]

PROBABILITY_BITS = 16  # of the uniform number that decides a bit; probabilities are rounded to as many
_BITS_PER_BLOCK = 8  # a Philox block of 128 bits decides as many booleans
_MASK, _SHIFT = np.uint64(0xFFFF), np.uint64(16)


def thresholds(probability: np.ndarray) -> np.ndarray:
    """What a uniform number of 16 bits must lie below for a connection to exist.

    Parameters
    ----------
    probability : float64 [...], 0..1

    Returns
    -------
    uint32 [...], 0..2**16
    """
    return np.rint(probability * (1 << PROBABILITY_BITS)).astype(np.uint32)


@njit(cache=True, nogil=True)
def _draw_word(limits: np.ndarray, word: int, individual: int, generation: int, key: int) -> np.uint64:
    """64 booleans, whose thresholds begin at ``64 * word``."""
    bits = np.uint64(0)
    for part in range(WORD_BITS // _BITS_PER_BLOCK):
        block = word * (WORD_BITS // _BITS_PER_BLOCK) + part
        drawn = philox(block, individual, generation, 0, key)
        for i in range(4):
            first = block * _BITS_PER_BLOCK + 2 * i
            place = np.uint64(part * _BITS_PER_BLOCK + 2 * i)
            bits |= np.uint64((drawn[i] & _MASK) < limits[first]) << place
            bits |= np.uint64((drawn[i] >> _SHIFT) < limits[first + 1]) << (place + np.uint64(1))
    return bits


@njit(cache=True, nogil=True)
def draw_individuals(limits: np.ndarray, individuals: np.ndarray, generation: int, key: int, drawn: np.ndarray) -> None:
    """Draw some individuals of a generation.

    Parameters
    ----------
    limits : uint32 [bits]
        ``thresholds`` of all booleans.
    individuals : int64 [n]
        Their numbers in the population.
    generation : int
    key : uint64
        ``stream_key`` of the run.
    drawn : uint64 [n, bits / 64], written
        Packed booleans.
    """
    for i in range(len(individuals)):
        for word in range(drawn.shape[1]):
            drawn[i, word] = _draw_word(limits, word, individuals[i], generation, key)


@njit(cache=True, nogil=True)
def count_signed(limits: np.ndarray, weights: np.ndarray, generation: int, key: int, total: np.ndarray) -> None:
    """Add each individual's weight to the booleans it has set: N times the ascent direction where the weights sum to 0.

    Parameters
    ----------
    limits : uint32 [bits]
    weights : float64 [population]
        Of individuals 0, 1, ...; those of weight 0 are not drawn.
    generation : int
    key : uint64
    total : float64 [bits], added to
        The order of additions is that of the individuals.
    """
    for individual in range(len(weights)):
        weight = weights[individual]
        if weight != 0:
            for word in range(len(limits) // WORD_BITS):
                bits = _draw_word(limits, word, individual, generation, key)
                for b in range(WORD_BITS):
                    total[word * WORD_BITS + b] += weight * np.float64((bits >> np.uint64(b)) & np.uint64(1))


@njit(cache=True, nogil=True)
def draw_normal(individual: int, generation: int, key: int, values: np.ndarray) -> None:
    """Standard normal numbers of one individual, by Box and Muller's transform.

    Parameters
    ----------
    individual, generation : int
    key : uint64
    values : float32 [even], written
    """
    unit = 1.0 / 4294967296.0
    for block in range((len(values) + 3) // 4):
        drawn = philox(block, individual, generation, 1, key)
        for i in range(0, 4, 2):
            place = 4 * block + i
            if place + 1 < len(values):
                radius = np.sqrt(-2.0 * np.log((np.float64(drawn[i]) + 0.5) * unit))
                angle = 2.0 * np.pi * np.float64(drawn[i + 1]) * unit
                values[place] = radius * np.cos(angle)
                values[place + 1] = radius * np.sin(angle)
