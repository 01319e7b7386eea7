# SPDX-License-Identifier: Apache-2.0
"""Long recordings for the evaluation of streams: a file with a list of what is spoken in it, or a mix made from the clips of a corpus.

Both give blocks of samples and, when they end, what was spoken when. A mix is a function of its clips, its seed and its length alone.
"""

from __future__ import annotations

import csv
import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .audio import audio_blocks, speech_power
from .clips import Clips
from .errors import DataError, UsageError

__all__ = ["Mix", "Recording", "Spoken", "read_spoken"]

COLUMNS = ("onset_s", "offset_s", "label")
FADE_MS = 50  # between pieces of background
LONGEST_GAP_S = 6.0


@dataclass(frozen=True)
class Spoken:
    """A word, a sentence or a noise: from when to when, and its label."""

    onset_s: float
    offset_s: float
    label: str


@dataclass
class Recording:
    """An audio file with its CSV of ``onset_s,offset_s,label`` (more columns are ignored).

    Parameters
    ----------
    audio, table : path
    """

    audio: str | os.PathLike[str]
    table: str | os.PathLike[str]
    spoken: list[Spoken] = field(init=False)

    def __post_init__(self) -> None:
        self.spoken = read_spoken(self.table)

    def blocks(self, sample_rate: int) -> Iterator[np.ndarray]:
        """int16 samples; ``DataError`` where the list goes on after the recording."""
        samples = 0
        for block in audio_blocks(self.audio, sample_rate):
            samples += len(block)
            yield block
        last = max((each.offset_s for each in self.spoken), default=0.0)
        if last > samples / sample_rate + 0.05:
            raise DataError(
                f"what is spoken must end with the recording: {self.table} goes on to {last:.2f} s and {self.audio} ends at {samples / sample_rate:.2f} s; "
                "name the two that belong together"
            )

    def source(self) -> dict[str, str]:
        """What was heard, with digests, for the record."""
        digests = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in (self.audio, self.table)]
        return {"audio": Path(self.audio).name, "audio_sha256": digests[0], "table_sha256": digests[1]}


def read_spoken(path: str | os.PathLike[str]) -> list[Spoken]:
    """What is spoken in a recording, by onset; ``DataError`` with the line for a file that does not say it."""
    advice = f"it needs a header with {','.join(COLUMNS)} and a row for all that is spoken"
    spoken = []
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"a list of what is spoken must have the columns {', '.join(COLUMNS)}: {path} lacks {', '.join(missing)}; {advice}")
            for row in reader:
                place = f"{path}, line {reader.line_num}"
                try:
                    onset, offset = float(row["onset_s"]), float(row["offset_s"])
                except (TypeError, ValueError):
                    raise DataError(
                        f"onset_s and offset_s must be seconds, not {row['onset_s']!r:.20} and {row['offset_s']!r:.20}: {place}; {advice}"
                    ) from None
                if not (math.isfinite(offset) and 0 <= onset < offset):
                    raise DataError(f"an onset must be at least 0 and before its offset, not {onset:g} and {offset:g}: {place}; {advice}")
                if not row["label"]:
                    raise DataError(f"a row must have a label: {place} has none; {advice}")
                spoken.append(Spoken(onset, offset, row["label"]))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"a list of what is spoken must be a CSV file in UTF-8: {path} is not ({reason:.80}); {advice}") from None
    return sorted(spoken, key=lambda each: each.onset_s)


@dataclass
class Mix:
    """Clips of a corpus in a row, over its background without a pause, as a day near a microphone would be.

    Parameters
    ----------
    clips : Clips
        Clips of classes in underscores are background noise (``_silence_``) or other speech; all others are keywords.
    hours : float, > 0
    seed : int
        The mix is the same for the same clips, hours and seed.
    keyword_share : float, 0..1
        How many of the words are keywords.
    snr_db : float
        Every word is brought to the median ``speech_power`` of the words, every piece of background to at most that power less ``snr_db``.
    """

    clips: Clips
    hours: float
    seed: int = 0
    keyword_share: float = 0.25
    snr_db: float = 15.0
    spoken: list[Spoken] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        if not (0 < self.hours <= 1000):
            raise UsageError(f"hours must be above 0 and at most 1000, not {self.hours:g}")
        quiet = [name == "_silence_" for name in self.clips.classes]
        other = [name.startswith("_") and not noise for name, noise in zip(self.clips.classes, quiet, strict=True)]
        self._noise = np.flatnonzero(np.array(quiet)[self.clips.labels])
        self._others = np.flatnonzero(np.array(other)[self.clips.labels])
        self._keywords = np.flatnonzero(~(np.array(quiet) | np.array(other))[self.clips.labels])
        words = np.concatenate([self._keywords, self._others])
        if not len(self._noise) or not len(self._keywords):
            raise DataError(f"a mix needs clips of keywords and of _silence_ in split {self.clips.split}: it has {len(self._keywords)} and {len(self._noise)}")
        self._power = np.maximum(speech_power(self.clips.pcm), 1.0)  # one step of int16: digital silence stays silence
        self._level = float(np.median(self._power[words]))

    def blocks(self, sample_rate: int) -> Iterator[np.ndarray]:
        """int16 samples, one word with the pause before it at a time."""
        if self.clips.sample_rate != sample_rate:
            raise DataError(f"a corpus must have the sample rate of the front end, {sample_rate} Hz, not {self.clips.sample_rate} Hz: make it again")
        rng = np.random.default_rng([self.seed, len(self.clips.pcm)])
        size, total, done = self.clips.pcm.shape[1], int(self.hours * 3600 * sample_rate), 0
        background = self._background(rng, sample_rate)
        self.spoken = []
        while done < total:
            gap = int(rng.uniform(0.2, LONGEST_GAP_S) * sample_rate)
            keyword = len(self._others) == 0 or rng.random() < self.keyword_share
            clip = int(rng.choice(self._keywords if keyword else self._others))
            bed = next(background)
            while len(bed) < gap + size:
                bed = np.concatenate([bed, next(background)])
            block = bed[: gap + size]
            block[gap:] += self._scaled(clip, self._level)
            label = self.clips.classes[self.clips.labels[clip]]
            self.spoken.append(Spoken((done + gap) / sample_rate, (done + gap + size) / sample_rate, label))
            done += len(block)
            yield np.clip(block, -32768, 32767).astype(np.int16)

    def _scaled(self, clip: int, power: float) -> NDArray[np.int32]:
        """Samples int32 of a clip brought to a ``speech_power``."""
        return np.rint(self.clips.pcm[clip] * math.sqrt(power / self._power[clip])).astype(np.int32)

    def _background(self, rng: np.random.Generator, sample_rate: int) -> Iterator[np.ndarray]:
        """Some seconds of background at a time: clips of noise that fade into one another."""
        fade = FADE_MS * sample_rate // 1000
        rise = np.arange(fade, dtype=np.int32) * 1024 // fade
        while True:
            highest = self._level / 10 ** (self.snr_db / 10)
            pieces = [self._scaled(clip, min(highest, float(self._power[clip]))) for clip in rng.choice(self._noise, 8)]
            joined = [pieces[0][:-fade]]
            for before, after in pairwise(pieces):
                joined += [(before[-fade:] * (1024 - rise) + after[:fade] * rise) >> 10, after[fade:-fade]]
            yield np.concatenate(joined)

    def source(self) -> dict[str, str | float | int]:
        """What was mixed, for the record."""
        names: Sequence[str] = ("hours", "seed", "keyword_share", "snr_db")
        return {"corpus_digest": self.clips.digest, "split": self.clips.split} | {name: getattr(self, name) for name in names}
