# SPDX-License-Identifier: Apache-2.0
"""Generated background noise, for corpora that come without recordings of any.

Pure functions of an explicit random generator. Everything is float64 until it is rounded once: then a different rounding inside an FFT
changes a sample about once in ten thousand corpora.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..audio import SAMPLE_RATE, to_int16

__all__ = ["NOISE_KINDS", "babble", "colored", "generate_noise", "hum", "impulses", "level"]

NOISE_KINDS = ("colored", "hum", "impulses", "babble")
RMS = 1600.0
"""Root mean square of every generated recording, -26 dB of full scale."""
PEAK = 30_000.0


def level(samples: np.ndarray, rms: float = RMS) -> np.ndarray:
    """Scale to a root mean square, or less where a peak would pass ``PEAK``."""
    samples = samples - samples.mean()
    gain = rms / np.sqrt(np.mean(samples * samples))
    return samples * min(gain, PEAK / np.abs(samples).max())


def colored(rng: np.random.Generator, n_samples: int, slope: float) -> np.ndarray:
    """Gaussian noise whose power falls with frequency as ``f ** -slope``: 0 white, 1 pink, 2 brown; flat below 20 Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    frequency = np.maximum(np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE), 20.0)
    return np.fft.irfft(spectrum * frequency ** (-slope / 2), n_samples)


def hum(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Mains hum: 50 or 60 Hz and 19 harmonics of random strength and phase that swell slowly, over a floor of pink noise 20 dB below."""
    t = np.arange(n_samples) / SAMPLE_RATE
    first = np.exp(2j * np.pi * float(rng.choice([50.0, 60.0])) * t)
    harmonics, power = np.zeros(n_samples), np.ones(n_samples, np.complex128)
    for n in range(1, 21):
        power *= first
        strength = rng.uniform(0.2, 1.0) / n**0.7 * np.exp(2j * np.pi * rng.uniform())
        harmonics += strength.real * power.real - strength.imag * power.imag
    harmonics *= 1.0 + 0.3 * np.sin(2 * np.pi * (rng.uniform(0.1, 2.0) * t + rng.uniform()))
    return level(harmonics) + level(colored(rng, n_samples, 1.0), RMS / 10)


def impulses(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Knocks and clicks: one to ten a second, each a ringing, decaying burst, over a floor of pink noise 20 dB below."""
    total = np.zeros(n_samples)
    for _ in range(max(1, int(rng.poisson(rng.uniform(1, 10) * n_samples / SAMPLE_RATE)))):
        length = int(rng.integers(80, 800))
        t = np.arange(length) / SAMPLE_RATE
        ring = np.sin(2 * np.pi * rng.uniform(300, 6000) * t) + 0.5 * rng.standard_normal(length)
        burst = rng.uniform(0.2, 1.0) * ring * np.exp(-5 * np.arange(length) / length)
        start = int(rng.integers(0, max(1, n_samples - length)))
        total[start : start + length] += burst[: n_samples - start]
    return level(total) + level(colored(rng, n_samples, 1.0), RMS / 10)


def babble(rng: np.random.Generator, n_samples: int, talk: Sequence[np.ndarray], n_talkers: int) -> np.ndarray:
    """Several people speaking at once, none of them understandable.

    Parameters
    ----------
    talk : floating [n_samples of it] each
        Utterances of words that are no keywords.
    n_talkers : int
        People who speak.
    """
    total = np.zeros(n_samples)
    for _ in range(n_talkers):
        position = -int(rng.integers(0, SAMPLE_RATE))
        loudness = rng.uniform(0.5, 1.0)
        while position < n_samples:
            said = talk[int(rng.integers(len(talk)))]
            said = loudness * said / max(float(np.sqrt(np.mean(said * said))), 1.0)
            start, end = max(position, 0), min(position + len(said), n_samples)
            if end > start:
                total[start:end] += said[start - position : end - position]
            position += len(said) + int(rng.integers(0, SAMPLE_RATE // 5))
    return total


def generate_noise(rng: np.random.Generator, n_each: int, seconds: float, talk: Sequence[np.ndarray] = ()) -> tuple[np.ndarray, ...]:
    """``n_each`` recordings of each of ``NOISE_KINDS``; babble only where there is ``talk``.

    No two are alike: the colors go from white to brown in equal steps, the others draw their spectrum, rate or talkers.

    Returns
    -------
    tuple of int16 [seconds * SAMPLE_RATE]
    """
    n_samples = round(seconds * SAMPLE_RATE)
    made = []
    for i in range(n_each):
        made += [colored(rng, n_samples, 2.0 * i / max(1, n_each - 1)), hum(rng, n_samples), impulses(rng, n_samples)]
        if talk:
            made.append(babble(rng, n_samples, talk, int(rng.integers(4, 13))))
    return tuple(to_int16(level(samples)) for samples in made)
