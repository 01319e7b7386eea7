# SPDX-License-Identifier: Apache-2.0
"""MTS-XOR: at each moment, the exclusive or of a bit that was heard long ago and of one that is heard now.

The generator of Moro, Aceituno, Payvand (multi-timescale XOR, after the DH-SNN of Zheng et al. 2024): 100 steps, two groups of 20 binary channels, noise
on all of them. Group 1 tells a bit in the first 10 steps; then, six times, 5 steps of silence and 10 in which group 2 tells another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["BLOCKS", "CHANNELS", "TIMESTEPS", "MtsXor", "draw_mts_xor", "scored_timesteps"]

GROUP, CHANNELS, TIMESTEPS = 20, 40, 100
SLOW_STEPS, BLOCKS, BLOCK_STEPS, SILENT_STEPS = 10, 6, 15, 5
NOISE, RATES = 0.01, (0.2, 0.6)


@dataclass(frozen=True)
class MtsXor:
    """Sequences and what is to be said at each of their timesteps.

    Attributes
    ----------
    events : int16 [n, 100, 40], 0 or 1
    targets : int64 [n, 100], 0 or 1
        0 in the first 10 timesteps; that of a block in all of its 15.
    """

    events: np.ndarray
    targets: np.ndarray


def scored_timesteps() -> np.ndarray:
    """Whether accuracy counts a timestep, bool [100]: those in which group 2 tells a bit, 60 in all."""
    within = np.arange(TIMESTEPS - SLOW_STEPS) % BLOCK_STEPS
    return np.concatenate([np.zeros(SLOW_STEPS, bool), within >= SILENT_STEPS])


def draw_mts_xor(n: int, rng: np.random.Generator) -> MtsXor:
    """Draw ``n`` sequences.

    Examples
    --------
    >>> drawn = draw_mts_xor(3, np.random.default_rng(1))
    >>> drawn.events.shape, drawn.targets.shape, int(scored_timesteps().sum())
    ((3, 100, 40), (3, 100), 60)
    """
    slow, fast = rng.integers(0, 2, n), rng.integers(0, 2, (n, BLOCKS))
    rates = np.full((n, TIMESTEPS, 2), 0.0)
    rates[:, :SLOW_STEPS, 0] = np.asarray(RATES)[slow][:, None]
    coded = np.where(np.arange(BLOCK_STEPS) >= SILENT_STEPS, 1.0, 0.0)
    rates[:, SLOW_STEPS:, 1] = (np.asarray(RATES)[fast][:, :, None] * coded).reshape(n, -1)
    told = rng.random((n, TIMESTEPS, CHANNELS), np.float32) < np.repeat(rates, GROUP, axis=2)
    noise = rng.random((n, TIMESTEPS, CHANNELS), np.float32) < NOISE
    targets = np.zeros((n, TIMESTEPS), np.int64)
    targets[:, SLOW_STEPS:] = np.repeat(slow[:, None] ^ fast, BLOCK_STEPS, axis=1)
    return MtsXor((told | noise).astype(np.int16), targets)
