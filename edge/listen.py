# SPDX-License-Identifier: Apache-2.0
"""Audio through front end, network and detector: a clip at once, or a stream block by block, as a device would hear it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from .audio import audio_blocks, read_audio
from .clips import front_end_of
from .detector import Detection
from .errors import DataError
from .frontend import FrontEnd
from .network import Network
from .runtime import Runtime
from .streaming import Listeners

__all__ = ["Heard", "Listener", "hear_clip", "pcm_blocks"]

READ_BYTES = 1 << 16


@dataclass(frozen=True)
class Heard:
    """A clip's outcome: class, score of every class, seconds of audio."""

    label: int
    scores: list[int]
    seconds: float


def hear_clip(net: Network, source: str | BinaryIO) -> Heard:
    """Label of a whole recording.

    Parameters
    ----------
    net : Network
        With a front end in its metadata.
    source : path or binary stream
        An audio file, or raw little-endian int16 samples at the sample rate of the front end.

    Raises
    ------
    DataError
        If the audio cannot be used, is shorter than a timestep or longer than max_timesteps.
    """
    front_end = front_end_of(net)
    limit = net.formats.max_timesteps * front_end.hop_samples
    if isinstance(source, str | os.PathLike):
        pcm = read_audio(source, front_end.sample_rate, max_seconds=(limit + front_end.hop_samples - 1) / front_end.sample_rate)
    else:
        pcm = _read_whole(source, limit + front_end.hop_samples, front_end)
    if len(pcm) < front_end.hop_samples:
        raise DataError(f"audio must last at least one timestep, {front_end.hop_samples} samples, not {len(pcm)}: record more")
    scores = Runtime(net).run(front_end.payloads(pcm)[None])[0]
    return Heard(int(scores.argmax()), scores.tolist(), len(pcm) / front_end.sample_rate)


class Listener:
    """A stream: push audio, get what is detected.

    Parameters
    ----------
    network : Network
        With a front end in its metadata.
    """

    def __init__(self, network: Network) -> None:
        self._listeners = Listeners(network, 1)
        self.front_end = self._listeners.front_end

    @property
    def samples(self) -> int:
        """Samples heard so far."""
        return self._listeners.samples

    @property
    def seconds(self) -> float:
        """Audio heard so far."""
        return self._listeners.seconds

    def push(self, pcm: np.ndarray) -> list[tuple[float, Detection]]:
        """Hear int16 [n_samples] samples; (seconds since the start, detection) of what is detected in them."""
        return self._listeners.push(pcm[None])[0]

    def listen(self, blocks: Iterable[np.ndarray]) -> Iterator[tuple[float, Detection]]:
        """Detections as they come. Raises ``DataError`` after a stream without a single sample."""
        for block in blocks:
            yield from self.push(block)
        if self.samples == 0:
            raise DataError("audio must hold samples: the stream ended before the first one; pipe in raw int16 samples")

    def blocks(self, source: str | BinaryIO) -> Iterator[np.ndarray]:
        """Samples of a file (any rate) or of a binary stream (raw, at the front end's rate)."""
        return audio_blocks(source, self.front_end.sample_rate) if isinstance(source, str | os.PathLike) else pcm_blocks(source)


def pcm_blocks(stream: BinaryIO) -> Iterator[np.ndarray]:
    """Raw little-endian int16 samples as they arrive; ``DataError`` where the stream ends within a sample."""
    read = getattr(stream, "read1", stream.read)  # what is there, without waiting for a full buffer
    rest = b""
    while data := read(READ_BYTES):
        data = rest + data
        whole = len(data) // 2 * 2
        rest = data[whole:]
        if whole:
            yield np.frombuffer(data[:whole], "<i2").astype(np.int16)
    if rest:
        raise DataError("raw audio must be int16, two bytes a sample: the stream ended with an odd byte; check the format of what is piped in")


def _read_whole(stream: BinaryIO, limit: int, front_end: FrontEnd) -> np.ndarray:
    blocks, size = [np.zeros(0, np.int16)], 0
    for block in pcm_blocks(stream):
        blocks.append(block)
        size += len(block)
        if size >= limit:
            raise DataError(f"a clip of this network must last less than {limit / front_end.sample_rate:g} s: cut it, or use --stream")
    return np.concatenate(blocks)
