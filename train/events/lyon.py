# SPDX-License-Identifier: Apache-2.0
"""Lyon's passive cochlea and BSA: a recording to spike trains, as the corpora of TI46 in the literature were made.

Sources: M. Slaney, "Lyon's Cochlear Model", Apple Technical Report 13, 1988, with the constants of his Auditory Toolbox (version 2, 1998); B. Schrauwen,
J. Van Campenhout, "BSA, a fast and accurate spike train encoding scheme", IJCNN 2003. The one package of the former on PyPI has not changed since 2019.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["bsa", "bsa_kernel", "center_frequencies", "lyon_ear"]

EAR_Q = 8.0
STEP = EAR_Q / 32  # of a bandwidth, between channels
BREAK_HZ = 1000.0  # below it bandwidths are nearly constant
ZERO_OFFSET, SHARPNESS, PREEMPHASIS_HZ = 1.5, 5.0, 300.0
AGC = ((0.0032, 0.64), (0.0016, 0.16), (0.0008, 0.04), (0.0004, 0.01))  # target, seconds, of the four stages
AGC_LIMIT = 0.9
SMOOTHING = 3  # time constant of the decimation filter, in output frames


def lyon_ear(samples: np.ndarray, rate: int, decimation: int) -> np.ndarray:
    """Firing rates along the cochlea.

    A cascade of second-order sections from high to low, half-wave rectified, four stages of coupled gain control, differences of neighbors,
    low-pass and decimation.

    Parameters
    ----------
    samples : float64 [n_samples], -1..1
    rate : int, Hz
    decimation : int, >= 1
        Samples of an output frame.

    Returns
    -------
    float64 [n_samples // decimation, n_channels], >= 0
        Highest frequency first; 78 channels at 12,500 Hz.
    """
    from scipy.signal import lfilter

    sections = _design(rate)
    taps = np.empty((len(samples), len(sections)))
    signal = samples
    for number, (numerator, denominator) in enumerate(sections):
        signal = lfilter(numerator, denominator, signal)
        taps[:, number] = np.maximum(signal, 0)
    taps[:, :2] = 0  # the front filters are no channels
    targets, epsilons = np.array([target for target, _ in AGC]), np.array([_epsilon(seconds, rate) for _, seconds in AGC])
    _control_gain(taps, targets, epsilons)
    taps[:, 1:] = np.maximum(taps[:, :-1] - taps[:, 1:], 0)
    pole = 1 - _epsilon(decimation / rate * SMOOTHING, rate)
    smooth = lfilter([0, 0, (1 - pole) ** 2], [1, -2 * pole, pole**2], taps, axis=0) if decimation > 1 else taps
    return np.ascontiguousarray(smooth[decimation - 1 :: decimation, 2:])


def center_frequencies(rate: int) -> np.ndarray:
    """Hz of each channel, float64 [n_channels], falling."""
    scale = _top_frequency(rate) + np.hypot(BREAK_HZ, _top_frequency(rate))
    lowest = BREAK_HZ / np.sqrt(4 * EAR_Q**2 - 1)  # where the Q of a pole is a half
    n_channels = int(EAR_Q / STEP * (np.log(scale) - np.log(lowest + np.hypot(lowest, BREAK_HZ))))
    growth = np.exp(np.arange(1, n_channels + 1) * STEP / EAR_Q)
    return (scale / growth - growth * BREAK_HZ**2 / scale) / 2


def bsa_kernel() -> np.ndarray:
    """The Gaussian of 24 taps, sum 1, that the literature on TI46 encodes with."""
    kernel = np.exp(-((np.arange(24) - 12.0) ** 2) / 25)
    return kernel / kernel.sum()


@njit(cache=True, nogil=True)
def bsa(values: np.ndarray, kernel: np.ndarray, threshold: float) -> np.ndarray:
    """Ben's spiker: spikes whose sum of kernels resembles each channel.

    Parameters
    ----------
    values : float64 [n_steps, n_channels]
    kernel : float64 [n_taps]
    threshold : float
        A spike must lower the absolute error over the taps by more than this.

    Returns
    -------
    bool [n_steps, n_channels]
        None in the last ``n_taps - 1`` steps, where the kernel does not fit.
    """
    n_steps, n_channels = values.shape
    spikes = np.zeros((n_steps, n_channels), np.bool_)
    for channel in range(n_channels):
        rest = values[:, channel].copy()
        for step in range(n_steps - len(kernel) + 1):
            gain = 0.0
            for tap in range(len(kernel)):
                gain += abs(rest[step + tap]) - abs(rest[step + tap] - kernel[tap])
            if gain > threshold:
                spikes[step, channel] = True
                for tap in range(len(kernel)):
                    rest[step + tap] -= kernel[tap]
    return spikes


def _epsilon(seconds: float, rate: int) -> float:
    """Share of the new sample in a first-order average of a time constant."""
    return 1 - np.exp(-1 / (seconds * rate))


def _top_frequency(rate: int) -> float:
    top = rate / 2
    return top - np.hypot(top, BREAK_HZ) / EAR_Q * STEP * (ZERO_OFFSET - 1)  # room for the zeros of the first section


def _resonance(hertz: float, quality: float, rate: int) -> np.ndarray:
    """Polynomial of a conjugate pair."""
    radius = np.exp(-np.pi * hertz / rate / quality)
    angle = 2 * np.pi * hertz / rate * np.sqrt(1 - 1 / (4 * quality**2))
    return np.array([1, -2 * radius * np.cos(angle), radius**2])


def _design(rate: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Numerator and denominator of each section: pre-emphasis, the top of the cascade, then the channels."""
    centers = center_frequencies(rate)
    bandwidths = np.hypot(centers, BREAK_HZ) / EAR_Q
    zeros = centers + bandwidths * STEP * ZERO_OFFSET
    top = _resonance(_top_frequency(rate), centers[0] / bandwidths[0], rate)
    emphasis = np.array([0, 1, -np.exp(-2 * np.pi * PREEMPHASIS_HZ / rate)])
    sections = [_with_gain(emphasis, np.array([1.0, 0, 0]), 1.0, 0.25), _with_gain(np.array([1.0, 0, -1]), top, 1.0, 0.25)]
    gains = np.concatenate([centers[:1] / centers[1:2], centers[:-1] / centers[1:]])
    for center, bandwidth, zero, gain in zip(centers, bandwidths, zeros, gains, strict=True):
        numerator, denominator = _resonance(zero, SHARPNESS * zero / bandwidth, rate), _resonance(center, center / bandwidth, rate)
        sections.append(_with_gain(numerator, denominator, gain, 0.0))
    return sections


def _with_gain(numerator: np.ndarray, denominator: np.ndarray, gain: float, frequency: float) -> tuple[np.ndarray, np.ndarray]:
    """Scale the numerator so that the section has a gain at a frequency, given as a share of the rate."""
    z = np.exp(-2j * np.pi * frequency * np.arange(3))
    return numerator * gain / abs((numerator @ z) / (denominator @ z)), denominator


@njit(cache=True, nogil=True)
def _control_gain(taps: np.ndarray, targets: np.ndarray, epsilons: np.ndarray) -> None:
    """Each stage scales a channel by one minus its state, which follows the scaled output and the states of both neighbors.

    ``taps``, float64 [n_samples, n_channels], is changed.
    """
    n_samples, n_channels = taps.shape
    state = np.zeros((len(targets), n_channels))
    for sample in range(n_samples):
        for stage in range(len(targets)):
            rise, keep = epsilons[stage] / targets[stage], (1 - epsilons[stage]) / 3
            before = state[stage, 0]
            for channel in range(n_channels):
                own = state[stage, channel]
                after = state[stage, channel + 1] if channel + 1 < n_channels else own
                taps[sample, channel] = abs(taps[sample, channel] * (1 - own))
                state[stage, channel] = min(taps[sample, channel] * rise + keep * (before + own + after), AGC_LIMIT)
                before = own
