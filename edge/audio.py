# SPDX-License-Identifier: Apache-2.0
"""Audio files to what a front end reads: mono int16 at its sample rate, whole or block by block for recordings of any length.

Data in: any file libsndfile opens, whatever its rate, width and channel count. Knows nothing of words or networks. A file that cannot
be trusted is refused with one sentence; none is repaired silently.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np

from .errors import DataError, MissingTool

__all__ = ["FRAME", "MIN_RATE", "audio_blocks", "frame_powers", "read_audio", "resample", "speech_power", "to_int16"]

MIN_RATE = 4_000  # Hz; below it no speech sound survives
BLOCK_MS = 10_000
FRAME = 320  # samples: 20 ms at 16 kHz
HALF_TAPS = 10  # half length of the resampling filter, in samples of the slower rate

_TRUNCATED = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)  # libsndfile's own words about a WAV that ends early
_STREAMED = 0x7FFFF000  # writers that cannot seek declare sizes from here up, and mean "until the end"


def read_audio(path: str | os.PathLike[str], sample_rate: int, *, max_seconds: float) -> np.ndarray:
    """A whole recording.

    A 16-bit mono file at ``sample_rate`` comes back bit for bit. Channels are averaged, other rates resampled, other widths rounded, once.

    Parameters
    ----------
    path : path
        Audio file.
    sample_rate : int, Hz
        Wanted.
    max_seconds : float
        A longer file is refused by its header, before any sample is read.

    Returns
    -------
    int16 [n_samples], n_samples >= 1

    Raises
    ------
    DataError
        For a file that is missing, unreadable, empty, no audio, truncated, not finite or too long.
    """
    return np.concatenate(list(audio_blocks(path, sample_rate, max_seconds=max_seconds)))


def audio_blocks(path: str | os.PathLike[str], sample_rate: int, *, max_seconds: float | None = None) -> Iterator[np.ndarray]:
    """The same samples as ``read_audio``, int16 [n_samples] each, in blocks of some seconds; hours take no more memory."""
    import soundfile as sf  # type: ignore[import-untyped]

    shown = Path(path)
    try:
        if shown.is_dir() or (shown.exists() and not shown.is_file()):
            raise DataError(f"audio must be a file, and {shown} is none: name the recording itself, or - for samples from stdin")
        with shown.open("rb") as file:
            if not file.read(1):
                raise DataError(f"an audio file must not be empty: {shown} holds 0 bytes; record it again")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"an audio file must be readable: {shown} is not ({reason}); correct its path or its permissions") from None
    try:
        with sf.SoundFile(shown) as sound:
            _check_header(sound, shown, max_seconds)
            yield from _blocks(sound, shown, sample_rate)
    except (sf.LibsndfileError, RuntimeError) as error:
        reason = str(getattr(error, "error_string", error)).strip().rstrip(".")
        raise DataError(
            f"audio must be whole and of a kind libsndfile reads (WAV, FLAC, OGG): {shown} is not ({reason}); convert it or fetch it again"
        ) from None


def _check_header(sound: Any, shown: Path, max_seconds: float | None) -> None:
    rate, frames = sound.samplerate, sound.frames
    if rate < MIN_RATE:
        raise DataError(f"an audio file must have a sample rate of at least {MIN_RATE} Hz, not {rate} Hz: {shown}; correct its header")
    if frames < 1:
        raise DataError(f"an audio file must hold samples: {shown} holds none; record it again")
    found = _TRUNCATED.search(sound.extra_info)
    if found and int(found[2]) < int(found[1]) < _STREAMED:
        raise DataError(f"an audio file must be whole: {shown} declares {found[1]} bytes of samples and holds {found[2]}; fetch it again")
    if max_seconds is not None and frames > max_seconds * rate:
        raise DataError(f"a clip of this network must last at most {max_seconds:g} s, not {frames / rate:.1f} s: {shown}; cut it, or use --stream")


def _blocks(sound: Any, shown: Path, sample_rate: int) -> Iterator[np.ndarray]:
    rate = sound.samplerate
    exact = sound.subtype == "PCM_16" and rate == sample_rate and sound.channels == 1
    divisor = gcd(rate, sample_rate)
    up, down = sample_rate // divisor, rate // divisor
    context = 0 if rate == sample_rate else down * -(-(HALF_TAPS * max(up, down) // up + 1) // down)  # whole periods, so that blocks stay in phase
    size = max(1, BLOCK_MS * rate // 1000 // down) * down
    held, done, read = np.zeros(0), 0, 0  # input that later output still needs; what the first `done` samples give is out already
    while read < sound.frames:
        samples = sound.read(min(size, sound.frames - read), dtype="int16" if exact else "float64")
        if len(samples) == 0:
            raise DataError(f"an audio file must be whole: {shown} declares {sound.frames} samples and holds {read}; fetch it again")
        read += len(samples)
        if exact:
            yield samples
            continue
        if not np.isfinite(samples).all():
            raise DataError(f"the samples of an audio file must be finite: {shown} holds NaN or infinity; export it again")
        held = np.concatenate([held, samples.mean(axis=1) if samples.ndim == 2 else samples])
        if not context:
            yield to_int16(held * 32768.0)
            held = held[:0]
            continue
        ready = len(held) if read == sound.frames else max(done, (len(held) - context) // down * down)
        if ready > done:
            converted = resample(held, rate, sample_rate)
            yield to_int16(converted[done * up // down : None if read == sound.frames else ready * up // down] * 32768.0)
            keep = max(0, ready - context)
            held, done = held[keep:], ready - keep


def resample(samples: np.ndarray, rate: int, to_rate: int) -> np.ndarray:
    """Change the sample rate with a linear-phase low-pass (scipy's polyphase filter, Kaiser window).

    Parameters
    ----------
    samples : float64 [n_samples]
    rate, to_rate : int, Hz

    Returns
    -------
    float64 [ceil(n_samples * to_rate / rate)]
    """
    if rate == to_rate:
        return samples
    try:
        from scipy.signal import resample_poly  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        raise MissingTool(f"audio at {rate} Hz needs scipy to become {to_rate} Hz: pip install scipy, or convert the file first") from None
    divisor = gcd(rate, to_rate)
    up, down = to_rate // divisor, rate // divisor
    converted: np.ndarray = resample_poly(samples, up, down, window=_low_pass(max(up, down)))
    return converted


@lru_cache(maxsize=8)
def _low_pass(slower: int) -> np.ndarray:
    """The filter scipy would design anew for every call."""
    from scipy.signal import firwin

    taps: np.ndarray = firwin(2 * HALF_TAPS * slower + 1, 1.0 / slower, window=("kaiser", 5.0))
    return taps


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Nearest int16, ties to even, saturated; ``samples`` in units of one int16 step.

    Examples
    --------
    >>> to_int16(np.array([0.5, 1.5, -40000.0]))
    array([     0,      2, -32768], dtype=int16)
    """
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16)


def frame_powers(clips: np.ndarray) -> np.ndarray:
    """Mean square of each 20 ms frame.

    Parameters
    ----------
    clips : int16 or floating [..., n_samples]
        The last, incomplete frame is left out, except where it is the only one.

    Returns
    -------
    float64 [..., n_frames], in squared int16 steps
    """
    n_samples = clips.shape[-1]
    length = min(FRAME, n_samples)
    n_frames = n_samples // length
    frames = clips[..., : n_frames * length].reshape(*clips.shape[:-1], n_frames, length)
    return np.einsum("...i,...i->...", frames, frames, dtype=np.float64) / length


def speech_power(clips: np.ndarray) -> np.ndarray:
    """Mean square of the frames of a clip that lie at most 30 dB below its loudest one: the level of its speech, not of its pauses.

    Every signal-to-noise ratio of this package is this power over the mean square of the noise. ``train/augment.py`` has a compiled twin.

    Parameters
    ----------
    clips : int16 or floating [..., n_samples]

    Returns
    -------
    float64 [...], in squared int16 steps
    """
    powers = frame_powers(clips)
    is_loud = powers >= powers.max(axis=-1, keepdims=True) / 1000.0
    return (powers * is_loud).sum(axis=-1) / is_loud.sum(axis=-1)
