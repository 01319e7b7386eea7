# SPDX-License-Identifier: Apache-2.0
"""Compiled kernel of the back half: levels to event payloads (E1..E6 of docs/frontend.md). Knows nothing of audio."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["FLOOR_BITS", "encode"]

FLOOR_BITS = 8  # fraction bits of the noise floor beyond those of a level


@njit(cache=True, nogil=True)
def encode(
    levels: np.ndarray,
    clock: np.ndarray,
    floor: np.ndarray,
    sent: np.ndarray,
    rise: int,
    fall: int,
    margin: int,
    delta_step: int,
    delta_max: int,
    level_step: int,
    level_max: int,
    level_period: int,
    payloads: np.ndarray,
) -> None:
    """Payloads of successive timesteps.

    Parameters
    ----------
    levels : int32 [n_timesteps, n_channels]
        Log2 power in 2**-log_bits octaves.
    clock : int64 [1], changed
        Timesteps since clip start.
    floor : int64 [n_channels], changed
        Noise floor, with FLOOR_BITS more fraction bits than a level.
    sent : int64 [n_channels], changed
        The level the events so far amount to.
    rise, fall : int, 0..15
        The floor moves by 2**-rise of its distance upward, 2**-fall downward.
    margin, delta_step, delta_max, level_step, level_max, level_period : int
        See ``EventCoding``.
    payloads : int16 [n_timesteps, n_channels * 2 or * 3], written
        on, off and, where ``level_max`` > 0, level channels.
    """
    n_channels = levels.shape[1]
    for t in range(levels.shape[0]):
        for c in range(n_channels):
            level = levels[t, c]
            if clock[0] == 0:  # E1
                floor[c] = level << FLOOR_BITS
            else:  # E2
                distance = (level << FLOOR_BITS) - floor[c]
                floor[c] += distance >> (rise if distance >= 0 else fall)
            above = max(level - (floor[c] >> FLOOR_BITS) - margin, 0)  # E3
            if clock[0] == 0:
                sent[c] = above
            change = above - sent[c]  # E4
            count = min(abs(change) // delta_step, delta_max)
            payloads[t, c] = count if change > 0 else 0
            payloads[t, n_channels + c] = count if change < 0 else 0
            sent[c] += count * delta_step if change > 0 else -count * delta_step
            if level_max > 0:  # E5
                due = clock[0] % level_period == 0
                payloads[t, 2 * n_channels + c] = min(above // level_step, level_max) if due else 0
        clock[0] += 1
