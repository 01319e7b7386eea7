# SPDX-License-Identifier: Apache-2.0
"""SpiKL-IP: membrane resistance R and time constant tau of each neuron moved so that its rate nears an exponential distribution of a given mean.

Gradient descent on the divergence of Zhang and Li, "Information-theoretic intrinsic plasticity for online unsupervised learning in spiking neural
networks", Frontiers in Neuroscience 2019, for neurons without refractory period, whose rate at constant current x is ``1 / (tau ln(R x / (R x - V)))``.
The threshold V cancels out.
"""

from __future__ import annotations

import math

import numba
import numpy as np

__all__ = ["WRONG_SIGN", "adapt", "divergence", "intrinsic_step"]

WRONG_SIGN = 0.6275
"""Below this product of rate and tau the rule for R pulls a quiet neuron further down: 2 z - 1 - 1 / (exp(1 / z) - 1) changes its sign there."""

REFERENCE_TAU = 64.0  # at which the published constants are given: steps of 5, silent below 0.01, then 0.5; R and tau within a half and eight times
STEP, SILENT_RATE, SILENT_STEP, LOWEST, HIGHEST = 5.0, 0.64, 0.5, 0.5, 8.0
BINS = 25


@numba.njit(cache=True)
def intrinsic_step(rate: float, resistance: float, tau: float, start: float, target: float) -> tuple[float, float]:
    """Change of R and tau in one timestep.

    Parameters
    ----------
    rate : float, >= 0
        Running estimate, in spikes a timestep.
    resistance, tau : float, > 0
        R and the time constant in timesteps.
    start : float, > 0
        Both before the search: the published constants scale with it.
    target : float, > 0
        Mean of the exponential.

    Returns
    -------
    tuple of 2 floats

    Notes
    -----
    A neuron that is nearly silent gets more R and less tau. Where the rule for R has the wrong sign, R takes the size of that step, toward the target.
    """
    scale = start / REFERENCE_TAU
    silent = SILENT_STEP * scale
    if rate <= min(SILENT_RATE / start, 0.5 * target):
        return silent, -silent
    eta = STEP * scale * scale
    by_tau = eta * (rate / target - 1) / tau
    z = rate * tau
    if z < WRONG_SIGN:
        return (silent if rate < target else -silent), by_tau
    above = 1 / (math.exp(1 / z) - 1)  # (R x - V) / V at the current x that gives this rate
    return eta * (2 * z - above - 1 - z * rate / target) / (resistance * above), by_tau


@numba.njit(cache=True)
def _adapt(raster, resistance, tau, start, target, trace):  # type: ignore[no-untyped-def]
    n_neurons, n_timesteps, n_samples = raster.shape
    rate = np.zeros(n_samples)
    for n in range(n_neurons):
        r, c, s = resistance[n], tau[n], start[n]
        rate[:] = raster[n].mean()
        for t in range(n_timesteps):
            by_r, by_tau = 0.0, 0.0
            for b in range(n_samples):
                rate[b] += (raster[n, t, b] - rate[b]) / trace
                one, other = intrinsic_step(rate[b], r, c, s, target)
                by_r += one
                by_tau += other
            r = min(HIGHEST * s, max(LOWEST * s, r + by_r / n_samples))
            c = min(HIGHEST * s, max(LOWEST * s, c + by_tau / n_samples))
        resistance[n], tau[n] = r, c


def adapt(
    raster: np.ndarray,
    resistance: np.ndarray,
    tau: np.ndarray,
    start: np.ndarray,
    *,
    target: float,
    trace: float = REFERENCE_TAU,
    largest_change: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """R and tau after a window: a step at each timestep, averaged over the samples, which run side by side.

    Parameters
    ----------
    raster : [n_timesteps, n_samples, n_neurons]
        Spikes, 0 or 1, of the window; their effect on membranes shows in the next window.
    resistance, tau, start : float64 [n_neurons]
        Before the window; see ``intrinsic_step``.
    target : float
        Mean rate.
    trace : float, >= 1
        Time constant of the estimate of the rate, which starts at the neuron's mean over the window.
    largest_change : float, >= 0
        Most relative change of either in the window, up or down by one factor; 0 is no limit.

    Returns
    -------
    tuple of 2 float64 [n_neurons]
        Within a half and eight times ``start``.
    """
    before = resistance.astype(np.float64), tau.astype(np.float64)
    after = before[0].copy(), before[1].copy()
    if raster.size:
        _adapt(np.ascontiguousarray(raster.transpose(2, 0, 1), np.float32), *after, start.astype(np.float64), float(target), float(trace))
    if not largest_change:
        return after
    factor = 1 + largest_change
    resistance, tau = (np.clip(new, old / factor, old * factor) for new, old in zip(after, before, strict=True))
    return resistance, tau


def divergence(rates: np.ndarray, target: float) -> float:
    """Kullback-Leibler divergence, in nats, of rates from the exponential of mean ``target`` cut at 1, over 25 equal bins of 0..1."""
    found = np.histogram(rates, BINS, (0.0, 1.0))[0] / max(1, np.size(rates))
    mass = -np.diff(np.exp(-np.linspace(0, 1, BINS + 1) / target))
    wanted = mass / mass.sum()
    held = found > 0
    return float((found[held] * np.log(found[held] / wanted[held])).sum())
