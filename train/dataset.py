# SPDX-License-Identifier: Apache-2.0
"""A corpus as a training loop sees it: fresh augmented audio every epoch, through the very front end of the device, to events.

There is no second feature path; knows neither models nor losses.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..edge.errors import DataError
from ..edge.frontend import FrontEnd
from .augment import Augmentation, NoiseBank, augment
from .config import AugmentConfig
from .corpora.corpus import Corpus
from .loop import Epoch
from .scoring import in_rows

__all__ = ["CorpusSource", "Judge", "mask_events"]


class Judge(Protocol):
    """A teacher, as a source needs it."""

    classes: tuple[str, ...]

    def logits(self, clips: np.ndarray) -> np.ndarray:
        """Log-probabilities float32 [n_clips, n_classes] of int16 clips [n_clips, n_samples]."""

    def digest(self) -> str:
        """Names its weights."""


class CorpusSource:
    """Events and audio of a corpus; an ``EventSource`` of ``loop`` and the ``AudioEpochs`` of ``baselines``.

    Parameters
    ----------
    corpus : Corpus
    front_end : FrontEnd
    settings : AugmentConfig
        Ranges of the augmentation.
    teacher : Judge, optional
        Hears the same augmented clips.

    Raises
    ------
    DataError
        If the teacher knows other classes.
    """

    def __init__(self, corpus: Corpus, front_end: FrontEnd, settings: AugmentConfig, teacher: Judge | None = None) -> None:
        self.corpus, self.front_end, self.settings, self.teacher = corpus, front_end, settings, teacher
        if teacher is not None and teacher.classes != corpus.classes:
            raise DataError(f"a teacher must know the classes of the corpus, {', '.join(corpus.classes)}; this one knows {', '.join(teacher.classes)}")
        self.teacher_digest = "" if teacher is None else teacher.digest()
        self.classes, self.digest = corpus.classes, corpus.digest
        self.n_inputs = front_end.n_inputs
        self.payload_bits, self.payload_max = front_end.payload_bits, (1 << front_end.payload_bits) - 1
        self.scored_timesteps = corpus.n_samples // front_end.hop_samples
        self._noise = NoiseBank.from_recordings(corpus.noise["train"])
        hop = front_end.hop_samples
        self._audio = Augmentation(
            shift_ms=settings.shift_ms, speed=(1 - settings.speed, 1 + settings.speed), gain_db=(-settings.gain_db, settings.gain_db),
            snr_db=settings.snr_db, noise_share=settings.noise_probability,
            preroll_samples=round(settings.preroll_ms * corpus.sample_rate / 1000 / hop) * hop,
        )  # fmt: skip

    def train_audio(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Augmented training clips in random order: int16 [n_clips, n_samples], labels int64 [n_clips]."""
        return self._draw(rng, 1)

    def _draw(self, rng: np.random.Generator, row: int) -> tuple[np.ndarray, np.ndarray]:
        """As ``train_audio``, in whole rows of ``row`` clips: the first ones of the epoch fill the last row."""
        order = rng.permutation(self.corpus.indices("train"))
        order = np.resize(order, -(-len(order) // row) * row)
        return augment(np.asarray(self.corpus.clips[order]), rng, self._noise, self._audio), self.corpus.labels[order]

    def fixed_audio(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Clips of a split as they are."""
        chosen = self.corpus.indices(split)
        return np.asarray(self.corpus.clips[chosen]), self.corpus.labels[chosen]

    def train_epoch(self, rng: np.random.Generator) -> Epoch:
        """Augmented training events in random order, with the teacher's opinion of them where there is one."""
        audio, labels = self._draw(rng, self.settings.carry)
        opinions = None if self.teacher is None else self.teacher.logits(audio[:, -self.corpus.n_samples :])
        payloads = self._events(audio)
        mask_events(payloads, rng, self.front_end.n_channels, self.settings.time_mask, self.settings.channel_mask)
        return Epoch(payloads, labels, opinions)

    def _events(self, audio: np.ndarray) -> np.ndarray:
        """Payloads of training clips; the front end goes on from clip to clip of a row (``augment.carry``), as the network will."""
        steps = audio.shape[1] // self.front_end.hop_samples
        rows = in_rows(audio[:, : steps * self.front_end.hop_samples], self.settings.carry)
        return self.front_end.payloads(rows).reshape(-1, steps, self.n_inputs)

    def fixed(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Events of a split."""
        audio, labels = self.fixed_audio(split)
        return self.front_end.payloads(audio), labels

    def metadata(self) -> dict[str, Any]:
        """What a network file says of its inputs."""
        return {"front_end": self.front_end.to_dict()}


def mask_events(payloads: np.ndarray, rng: np.random.Generator, n_channels: int, time_mask: int, channel_mask: int) -> None:
    """Silence one run of timesteps and one run of front-end channels of each clip, in place (SpecAugment, arXiv 1904.08779).

    Parameters
    ----------
    payloads : int16 [n_clips, n_timesteps, n_inputs], changed
        ``n_inputs`` is a multiple of ``n_channels``; the groups (on, off, level) are silenced together.
    n_channels : int
        Front-end channels.
    time_mask, channel_mask : int, >= 0
        Longest run of each; the length is drawn from 0 up.
    """
    n_clips, n_timesteps, n_inputs = payloads.shape
    for axis_length, longest, axis in ((n_timesteps, time_mask, 1), (n_channels, channel_mask, 2)):
        longest = min(longest, axis_length)
        length = rng.integers(0, longest + 1, n_clips)
        first = (rng.random(n_clips) * (axis_length - length + 1)).astype(np.int64)
        position = np.arange(axis_length)
        silenced = (position >= first[:, None]) & (position < (first + length)[:, None])  # [n_clips, axis_length]
        if axis == 1:
            payloads[silenced] = 0
        else:
            payloads.transpose(0, 2, 1)[np.tile(silenced, (1, n_inputs // n_channels))] = 0
