# SPDX-License-Identifier: Apache-2.0
"""Speech into clips: where in the clip, in which room, how loud, over which noise.

All draws come from an explicit generator and are made before any audio is touched. float64 until rounded once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..audio import frame_powers, speech_power, to_int16
from .room import add_rooms

__all__ = ["clip_length", "cut_noise", "mix_clips", "noise_only", "trim"]

HOP = 320
"""Clips last a multiple of this many samples, 20 ms: no front end's frame is cut."""
PEAK = 32_000.0
"""Speech is made softer rather than let pass this; only the sum of speech and noise can saturate."""
_BATCH = 256


def trim(samples: np.ndarray) -> np.ndarray:
    """Cut leading and trailing 20 ms frames more than 50 dB below the loudest (the engine pads with near-zeros). float64 [n] to float64 [n or fewer]."""
    if not len(samples):
        return samples
    padded = np.pad(samples, (0, -len(samples) % HOP))
    powers = frame_powers(padded)
    loud = np.flatnonzero(powers > powers.max() / 100_000)
    return padded[loud[0] * HOP : (loud[-1] + 1) * HOP] if len(loud) else samples[:0]


def clip_length(speech: Sequence[np.ndarray], shortest: int) -> int:
    """Samples of a clip that hold 99 of 100 utterances and 100 ms more, at least ``shortest``, rounded up to 20 ms."""
    needed = int(np.quantile([len(samples) for samples in speech], 0.99)) + 5 * HOP
    return -(-max(shortest, needed) // HOP) * HOP


def cut_noise(rng: np.random.Generator, recordings: Sequence[np.ndarray], n_samples: int) -> np.ndarray:
    """A random piece of a random recording, float64 [n_samples]; a recording shorter than that repeats."""
    recording = recordings[int(rng.integers(len(recordings)))]
    if len(recording) < n_samples:
        recording = np.tile(recording, -(-n_samples // len(recording)))
    start = int(rng.integers(0, len(recording) - n_samples + 1))
    return recording[start : start + n_samples].astype(np.float64)


def noise_only(rng: np.random.Generator, recordings: Sequence[np.ndarray], n_clips: int, n_samples: int) -> np.ndarray:
    """Clips without speech, int16 [n_clips, n_samples]: pieces of noise at -66 to -26 dB of full scale."""
    clips = np.empty((n_clips, n_samples), np.int16)
    for clip in clips:
        piece = cut_noise(rng, recordings, n_samples)
        rms = 32768.0 * 10.0 ** (rng.uniform(-66.0, -26.0) / 20)
        clip[:] = to_int16(piece * rms / max(float(np.sqrt(np.mean(piece * piece))), 1.0))
    return clips


def mix_clips(
    rng: np.random.Generator,
    speech: Sequence[np.ndarray],
    n_samples: int,
    rooms: np.ndarray,
    level_db: tuple[float, float],
    noise: Sequence[np.ndarray],
    snr_db: Sequence[float],
    tell: Callable[[int, int], None],
) -> tuple[np.ndarray, np.ndarray]:
    """Place utterances in clips.

    Parameters
    ----------
    speech : float64 [n_samples of it] each
        A longer one than the clip loses its end, as it would in a device's window.
    n_samples : int
    rooms : float64 [n_rooms, n_taps]
    level_db : lowest and highest level of the speech, below full scale
    noise : int16 recordings
    snr_db : ratios to draw from; none: no noise is mixed in
    tell : called with clips done and to do

    Returns
    -------
    int16 [n_clips, n_samples], float32 [n_clips]
        Clips, and the ratio of ``speech_power`` (after the room) to the mean square of the noise in dB; +inf without noise.
    """
    n_clips = len(speech)
    # a tenth of the slack stays free on either side: a network needs time to hear the end of a word
    leads = rng.uniform(0.1, 0.9, n_clips)
    rms = 32768.0 * 10.0 ** (rng.uniform(*level_db, n_clips) / 20)
    room_of = rng.integers(0, len(rooms), n_clips)
    snr = rng.choice(np.array(snr_db), n_clips) if len(snr_db) else np.full(n_clips, np.inf)
    clips = np.empty((n_clips, n_samples), np.int16)
    for start in range(0, n_clips, _BATCH):
        tell(start, n_clips)
        rows = range(start, min(start + _BATCH, n_clips))
        some = np.zeros((len(rows), n_samples))
        for clip, i in zip(some, rows, strict=True):
            lead = int(leads[i] * max(0, n_samples - len(speech[i])))
            clip[lead : lead + len(speech[i])] = speech[i][:n_samples]
        some = add_rooms(some, rooms, room_of[rows])
        power = np.maximum(speech_power(some), 1.0)
        gain = np.minimum(rms[rows] / np.sqrt(power), PEAK / np.maximum(np.abs(some).max(axis=1), 1.0))
        some *= gain[:, None]
        for clip, i, clip_power in zip(some, rows, power * gain * gain, strict=True):
            if np.isfinite(snr[i]):
                piece = cut_noise(rng, noise, n_samples)
                clip += piece * np.sqrt(clip_power / 10.0 ** (snr[i] / 10) / max(float(np.mean(piece * piece)), 1.0))
        clips[rows] = to_int16(some)
    return clips, snr.astype(np.float32)
