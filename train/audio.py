# SPDX-License-Identifier: Apache-2.0
"""Audio files to the one form everything downstream reads: 16 kHz, mono, int16.

Data in: any file libsndfile opens, whatever its rate, width and channel count. Data out: int16 arrays. This file knows nothing of
words, speakers or corpora. A file that cannot be trusted is refused with one sentence; none is repaired silently.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import soundfile as sf

from ..edge.audio import FRAME, MIN_RATE, frame_powers, resample, speech_power, to_int16
from ..edge.errors import DataError

__all__ = ["FRAME", "MAX_SECONDS", "MIN_RATE", "SAMPLE_RATE", "fit_length", "frame_powers", "read_audio", "resample", "speech_power", "to_int16"]

SAMPLE_RATE = 16_000
"""Samples per second of every clip."""
MAX_SECONDS = 60.0
"""Longest recording of a word; longer files are refused, not loaded."""

_TRUNCATED = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)  # libsndfile's own words about a WAV that ends early
_STREAMED = 0x7FFFF000  # writers that cannot seek declare sizes from here up, and mean "until the end"


def read_audio(path: str | Path, *, max_seconds: float = MAX_SECONDS, first_seconds: float | None = None) -> np.ndarray:
    """Read a recording as 16 kHz mono int16.

    A 16-bit PCM mono file at 16 kHz comes back bit for bit. Channels are averaged, other rates resampled, other widths rounded, once.

    Parameters
    ----------
    path : path of the file
    max_seconds : float
        A longer file is refused by its header, before any sample is read.
    first_seconds : float, optional
        Read only this much from the start and refuse no length (background noise may run for hours).

    Returns
    -------
    int16 [n_samples], n_samples >= 1

    Raises
    ------
    DataError
        The file is missing, unreadable, empty, no audio, truncated, holds NaN or infinity, or is too long: one sentence with the path.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise DataError(f"an audio file must not be empty: {path} holds 0 bytes; record it again or delete it")
    except OSError as error:
        raise DataError(f"an audio file must be readable: {path} is not ({error.strerror}); correct its path or its permissions") from None
    try:
        with sf.SoundFile(path) as file:
            return _read_open(file, path, max_seconds, first_seconds)
    except (sf.LibsndfileError, RuntimeError) as error:
        reason = str(getattr(error, "error_string", error)).strip().rstrip(".")
        raise DataError(
            f"an audio file must be whole and of a kind libsndfile reads (WAV, FLAC, OGG): {path} is not ({reason}); convert it, fetch it again or delete it"
        ) from None


def _read_open(file: sf.SoundFile, path: Path, max_seconds: float, first_seconds: float | None) -> np.ndarray:
    rate, frames = file.samplerate, file.frames
    if rate < MIN_RATE:
        raise DataError(f"an audio file must have a sample rate of at least {MIN_RATE} Hz, not {rate} Hz: {path}; correct its header or delete it")
    if frames < 1:
        raise DataError(f"an audio file must hold samples: {path} holds none; record it again or delete it")
    if found := _TRUNCATED.search(file.extra_info):
        declared, present = int(found[1]), int(found[2])
        if present < declared < _STREAMED:
            raise DataError(f"an audio file must be whole: {path} declares {declared} bytes of samples and holds {present}; fetch it again or delete it")
    if first_seconds is not None:
        frames = min(frames, int(first_seconds * rate))
    elif frames > max_seconds * rate:
        raise DataError(f"a recording of a word must last at most {max_seconds:g} s, not {frames / rate:.0f} s: {path}; cut it into clips or delete it")
    is_exact = file.subtype == "PCM_16" and rate == SAMPLE_RATE and file.channels == 1
    samples = file.read(frames, dtype="int16" if is_exact else "float64", always_2d=False)
    if len(samples) < frames:
        raise DataError(f"an audio file must be whole: {path} declares {frames} samples and holds {len(samples)}; fetch it again or delete it")
    if is_exact:
        return samples
    if not np.isfinite(samples).all():
        raise DataError(f"the samples of an audio file must be finite: {path} holds NaN or infinity; export it again or delete it")
    if samples.ndim == 2:
        samples = samples.mean(axis=1)
    return to_int16(resample(samples, rate, SAMPLE_RATE) * 32768.0)


def fit_length(samples: np.ndarray, n_samples: int) -> np.ndarray:
    """Cut or pad a recording to a fixed length.

    A longer one keeps the window with the most energy; where many windows hold (nearly) all of it, the middle one, so that a
    short word comes to lie in the middle. A shorter one is centered between zeros.

    Parameters
    ----------
    samples : int16 [any length]
    n_samples : int

    Returns
    -------
    int16 [n_samples]
    """
    excess = len(samples) - n_samples
    if excess <= 0:
        before = -excess // 2
        return np.pad(samples, (before, -excess - before))
    centered = samples.astype(np.float64) - samples.mean()
    energy = np.concatenate([[0.0], np.cumsum(centered * centered)])
    window = energy[n_samples:] - energy[:-n_samples]
    best = np.flatnonzero(window >= 0.995 * window.max())
    start = int(best[len(best) // 2])
    return samples[start : start + n_samples]
