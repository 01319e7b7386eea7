# SPDX-License-Identifier: Apache-2.0
"""Intrinsic plasticity descends the divergence it was derived from, and draws rates to the target where the rule alone would not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ormia.train.hrmas.intrinsic import WRONG_SIGN, adapt, divergence, intrinsic_step

THRESHOLD = 20.0


def rate_at(x: float, resistance: float, tau: float) -> float:
    return 1 / (tau * math.log(resistance * x / (resistance * x - THRESHOLD)))


def objective(x: float, resistance: float, tau: float, target: float) -> float:
    """What one observation adds to the divergence: y / mu - ln(dy / dx)."""
    h = 1e-5 * x
    slope = (rate_at(x + h, resistance, tau) - rate_at(x - h, resistance, tau)) / (2 * h)
    return rate_at(x, resistance, tau) / target - math.log(slope)


@settings(deadline=None, max_examples=50)
@given(st.floats(32, 128), st.floats(32, 128), st.floats(0.05, 0.4), st.floats(0.03, 0.5))
def test_a_step_is_down_the_gradient_of_the_divergence(resistance, tau, target, rate):
    x = THRESHOLD / resistance / (1 - math.exp(-1 / (rate * tau)))  # the current that gives this rate
    assert rate_at(x, resistance, tau) == pytest.approx(rate)
    if rate <= 0.5 * target or rate * tau < WRONG_SIGN:
        return
    by_r, by_tau = intrinsic_step(rate, resistance, tau, 64.0, target)
    h = 1e-3 * resistance
    down_r = -(objective(x, resistance + h, tau, target) - objective(x, resistance - h, tau, target)) / (2 * h)
    assert by_r / 5 == pytest.approx(down_r, rel=2e-2, abs=1e-4)
    h = 1e-3 * tau
    down_tau = -(objective(x, resistance, tau + h, target) - objective(x, resistance, tau - h, target)) / (2 * h)
    assert by_tau / 5 == pytest.approx(down_tau, rel=2e-2, abs=1e-4)


def test_at_the_published_constants_the_step_is_the_published_one():
    y, r, tau, v, mu = 0.1, 70.0, 60.0, 20.0, 0.2
    w = v / (math.exp(1 / (y * tau)) - 1)
    expected = 5 * (2 * y * tau * v - w - v - 1 / mu * tau * v * y**2) / (r * w), 5 * (y / mu - 1) / tau
    assert intrinsic_step(y, r, tau, 64.0, mu) == pytest.approx(expected)
    assert intrinsic_step(0.01, r, tau, 64.0, mu) == (0.5, -0.5)


@given(st.floats(1, 64), st.floats(0.02, 0.3), st.floats(0.001, 0.6))
def test_below_the_change_of_sign_resistance_goes_toward_the_target(start, target, rate):
    if rate * start >= WRONG_SIGN or rate == target:
        return
    by_r, _ = intrinsic_step(rate, start, start, start, target)
    assert math.copysign(1, by_r) == math.copysign(1, target - rate)
    assert abs(by_r) == 0.5 * start / 64


def test_the_rule_alone_would_pull_a_quiet_neuron_down_there():
    def rule(z):
        return 2 * z - 1 / (math.exp(1 / z) - 1) - 1

    assert rule(WRONG_SIGN - 1e-3) < 0 < rule(WRONG_SIGN + 1e-3)


@given(st.floats(1, 128), st.floats(0.011, 0.9))
def test_steps_scale_with_the_time_constant_at_the_start(start, rate):
    rate = max(rate, 0.65 / min(start, 64.0))
    if rate >= 1:
        return
    scaled = intrinsic_step(rate * 64 / start, start, start, start, 0.2 * 64 / start)
    published = intrinsic_step(rate, 64.0, 64.0, 64.0, 0.2)
    assert scaled == pytest.approx([x * start / 64 for x in published])


def test_silence_raises_resistance_up_to_the_clamps():
    start = np.array([4.0, 64.0])
    resistance, tau = adapt(np.zeros((3000, 2, 2), np.float32), start, start, start, target=0.1)
    assert resistance.tolist() == [32.0, 512.0]
    assert tau.tolist() == [2.0, 32.0]


def test_a_neuron_that_always_fires_gets_less_resistance_and_more_time():
    start = np.array([4.0])
    resistance, tau = adapt(np.ones((200, 3, 1), np.float32), start, start, start, target=0.1)
    assert 2.0 <= resistance[0] < 4.0 < tau[0] <= 32.0


def test_the_change_of_a_window_stays_within_its_limit():
    start = np.array([4.0, 64.0])
    silent = np.zeros((300, 2, 2), np.float32)
    free = adapt(silent, start, start, start, target=0.1)
    resistance, tau = adapt(silent, start, start, start, target=0.1, largest_change=0.25)
    assert free[0][0] > 5 > 3.2 > free[1][0]
    assert (resistance[0], tau[0]) == (5.0, 3.2)
    assert np.allclose(adapt(silent[:1], start, start, start, target=0.1, largest_change=0.25), adapt(silent[:1], start, start, start, target=0.1))


def test_an_empty_window_changes_nothing():
    start = np.array([4.0])
    assert adapt(np.zeros((0, 3, 1), np.float32), start * 2, start, start, target=0.1) == (8.0, 4.0)


def test_divergence_is_least_for_the_exponential_itself():
    rng = np.random.default_rng(0)
    drawn = rng.exponential(0.1, 20000)
    assert divergence(drawn[drawn < 1], 0.1) < 0.01
    assert divergence(np.full(100, 0.1), 0.1) > 1
    assert divergence(np.zeros(100), 0.1) > 1
