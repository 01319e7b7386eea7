# SPDX-License-Identifier: Apache-2.0
"""MTS-XOR: rates, timing and targets of the definition."""

from __future__ import annotations

import numpy as np
import pytest
from ormia.train.mts_xor import CHANNELS, TIMESTEPS, draw_mts_xor, scored_timesteps


def test_the_scored_timesteps_are_the_coding_windows():
    windows = [(15, 24), (30, 39), (45, 54), (60, 69), (75, 84), (90, 99)]
    assert np.flatnonzero(scored_timesteps()).tolist() == [t for first, last in windows for t in range(first, last + 1)]


def test_rates_tell_both_bits_and_targets_are_their_exclusive_or():
    drawn = draw_mts_xor(4000, np.random.default_rng(0))
    assert drawn.events.shape == (4000, TIMESTEPS, CHANNELS)
    slow, fast = drawn.events[:, :10, :20].mean(axis=(1, 2)), drawn.events[:, 20:25, 20:].mean(axis=(1, 2))
    told = slow > 0.4
    assert slow[told].mean() == pytest.approx(1 - 0.4 * 0.99, abs=0.01)  # or-ed with the background
    assert slow[~told].mean() == pytest.approx(1 - 0.8 * 0.99, abs=0.01)
    assert (drawn.targets[:, 20] == (told ^ (fast > 0.4))).mean() > 0.99
    assert (drawn.targets[:, :10] == 0).all()
    blocks = drawn.targets[:, 10:].reshape(4000, 6, 15)
    assert (blocks == blocks[:, :, :1]).all()
    silent = np.concatenate([drawn.events[:, 10:, :20].ravel(), drawn.events[:, 10:15, 20:].ravel()])
    assert silent.mean() == pytest.approx(0.01, abs=0.001)


def test_the_same_generator_gives_the_same_sequences():
    assert np.array_equal(draw_mts_xor(5, np.random.default_rng(9)).events, draw_mts_xor(5, np.random.default_rng(9)).events)
