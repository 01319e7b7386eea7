# SPDX-License-Identifier: Apache-2.0
"""Augmentation of training audio: shift, speed, gain, noise and pre-roll, all in one pass from int16 to int16.

Two steps: ``draw`` picks parameters for every clip from an explicit generator, ``apply`` is a pure function of clips, parameters and noise.
This file knows no corpus: the caller passes clips and noise, and must pass noise of the training split only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from .audio import FRAME, SAMPLE_RATE

__all__ = ["Augmentation", "Draws", "NoiseBank", "apply", "augment", "draw"]


@dataclass(frozen=True)
class Augmentation:
    """Ranges to draw from, uniformly.

    Parameters
    ----------
    shift_ms : float, >= 0
        A clip moves earlier or later by up to this.
    speed : lowest and highest, > 0
        Playback speed; pitch moves with it, as with another speaker's longer or shorter vocal tract.
    gain_db : lowest and highest
    snr_db : lowest and highest ratio of speech to noise
    noise_share : float, 0..1
        Share of clips that get noise at ``snr_db``; the others get it at ``quiet_snr_db``, because no microphone gives exact zeros.
    quiet_snr_db : float
    preroll_samples : int, >= 0
        Noise before the clip: a device that listens all the time never starts at a word.
    """

    shift_ms: float = 80.0
    speed: tuple[float, float] = (0.9, 1.1)
    gain_db: tuple[float, float] = (-8.0, 8.0)
    snr_db: tuple[float, float] = (0.0, 30.0)
    noise_share: float = 0.8
    quiet_snr_db: float = 45.0
    preroll_samples: int = 0


@dataclass(frozen=True)
class NoiseBank:
    """Noise recordings end to end: int16 ``samples``, int64 ``starts`` and ``lengths`` of each. Empty is allowed: then no noise is mixed."""

    samples: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    @classmethod
    def from_recordings(cls, recordings: Sequence[np.ndarray]) -> NoiseBank:
        """Collect int16 recordings of at least one sample each."""
        lengths = np.array([len(x) for x in recordings if len(x)], np.int64)
        samples = np.concatenate([np.zeros(0, np.int16), *recordings])
        return cls(samples, np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)[:-1]])[: len(lengths)], lengths)


@dataclass(frozen=True)
class Draws:
    """What happens to each clip, [n_clips] each.

    Parameters
    ----------
    shift : int64, samples; positive is later
    speed, gain : float64
    snr : float64
        Ratio of powers, not dB.
    recording : int64
        Index into the noise bank, -1 for none.
    noise_start : int64
        First sample taken from the recording; past its end it starts over.
    """

    shift: np.ndarray
    speed: np.ndarray
    gain: np.ndarray
    snr: np.ndarray
    recording: np.ndarray
    noise_start: np.ndarray


def draw(rng: np.random.Generator, n_clips: int, settings: Augmentation, noise: NoiseBank) -> Draws:
    """Pick parameters for ``n_clips`` clips; every recording of the bank is equally likely."""
    most = round(settings.shift_ms * SAMPLE_RATE / 1000)
    snr_db = rng.uniform(*settings.snr_db, n_clips)
    snr_db[rng.random(n_clips) >= settings.noise_share] = settings.quiet_snr_db
    shift, speed = rng.integers(-most, most + 1, n_clips), rng.uniform(*settings.speed, n_clips)
    gain = 10.0 ** (rng.uniform(*settings.gain_db, n_clips) / 20)
    n_recordings = len(noise.lengths)
    recording = rng.integers(0, n_recordings, n_clips) if n_recordings else np.full(n_clips, -1, np.int64)
    noise_start = (rng.random(n_clips) * noise.lengths[recording]).astype(np.int64) if n_recordings else np.zeros(n_clips, np.int64)
    return Draws(shift, speed, gain, 10.0 ** (snr_db / 10), recording, noise_start)


def apply(clips: np.ndarray, draws: Draws, noise: NoiseBank, preroll_samples: int = 0) -> np.ndarray:
    """Transform clips.

    Parameters
    ----------
    clips : int16 [n_clips, n_samples]
    draws : Draws of ``n_clips``
    noise : NoiseBank
    preroll_samples : int, >= 0

    Returns
    -------
    int16 [n_clips, preroll_samples + n_samples]

    Numerics
    --------
    Sample i is the clip at position (i - shift - c) * speed + c, c its center, interpolated by a cubic through the four samples around
    (Catmull-Rom), zero outside; plus noise whose mean square over the whole output is ``speech_power(clip) / snr``; times gain. float32
    sums, rounded to nearest, ties to even, saturated. Speed 1, gain 1 and no noise move samples without changing them. Speeds above 1 fold what lies
    above 8 kHz / speed: little in speech.
    """
    n_clips, n_samples = clips.shape
    if not all(len(x) == n_clips for x in (draws.shift, draws.speed, draws.gain, draws.snr, draws.recording, draws.noise_start)):
        raise ValueError(f"draws must be for {n_clips} clips")
    out = np.empty((n_clips, preroll_samples + n_samples), np.int16)
    _apply(np.ascontiguousarray(clips), draws.shift, draws.speed, draws.gain, draws.snr, draws.recording, draws.noise_start, *_arrays(noise), out)
    return out


def augment(clips: np.ndarray, rng: np.random.Generator, noise: NoiseBank, settings: Augmentation) -> np.ndarray:
    """Draw and apply. int16 [n_clips, n_samples] to int16 [n_clips, preroll_samples + n_samples]."""
    return apply(clips, draw(rng, len(clips), settings, noise), noise, settings.preroll_samples)


def _arrays(noise: NoiseBank) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.ascontiguousarray(noise.samples), noise.starts, noise.lengths


@njit(cache=True, nogil=True)
def _speech_power(clip):
    """Twin of ``audio.speech_power`` for one int16 clip."""
    length = min(FRAME, len(clip))
    n_frames = len(clip) // length
    powers = np.empty(n_frames)
    for f in range(n_frames):
        total = np.int64(0)
        for i in range(f * length, (f + 1) * length):
            total += np.int64(clip[i]) * np.int64(clip[i])
        powers[f] = total / length
    loud = powers[powers >= powers.max() / 1000.0]
    return loud.mean()


@njit(cache=True, nogil=True)
def _apply(clips, shift, speed, gain, snr, recording, noise_start, bank, starts, lengths, out):
    n_clips, n_samples = clips.shape
    n_out = out.shape[1]
    preroll = n_out - n_samples
    mixed = np.empty(n_out, np.float32)
    source = np.zeros(n_samples + 4, np.float32)  # two zeros before, two after: the cubic needs no branch at the ends
    center = (n_samples - 1) / 2
    half, one_and_half, two, two_and_half = np.float32(0.5), np.float32(1.5), np.float32(2.0), np.float32(2.5)
    for n in range(n_clips):
        for i in range(preroll):
            mixed[i] = np.float32(0.0)
        for i in range(n_samples):
            source[i + 2] = np.float32(clips[n, i])
        step = speed[n]
        first = center - (shift[n] + center) * step  # position in the clip of output sample 0
        for i in range(n_samples):
            position = first + i * step
            if position <= -1.0 or position >= n_samples:
                mixed[preroll + i] = np.float32(0.0)
                continue
            whole = math.floor(position)
            u = np.float32(position - whole)
            a, b, c, d = source[whole + 1], source[whole + 2], source[whole + 3], source[whole + 4]
            cubic = (-half * a + one_and_half * b - one_and_half * c + half * d) * u + (a - two_and_half * b + two * c - half * d)
            mixed[preroll + i] = (cubic * u + (half * c - half * a)) * u + b
        if recording[n] >= 0:
            start, length, at = starts[recording[n]], lengths[recording[n]], noise_start[n]
            total = np.int64(0)
            position_in = at
            for _ in range(n_out):
                total += np.int64(bank[start + position_in]) * np.int64(bank[start + position_in])
                position_in += 1
                if position_in == length:
                    position_in = 0
            power = total / n_out
            # the floors, one step of int16, keep digital silence from asking for noise without end, or for none at all
            scale = np.float32(math.sqrt(max(_speech_power(clips[n]), 1.0) / snr[n] / max(power, 1.0)))
            position_in = at
            for i in range(n_out):
                mixed[i] += scale * np.float32(bank[start + position_in])
                position_in += 1
                if position_in == length:
                    position_in = 0
        factor = np.float32(gain[n])
        for i in range(n_out):
            out[n, i] = np.int16(min(max(np.rint(factor * mixed[i]), np.float32(-32768.0)), np.float32(32767.0)))
