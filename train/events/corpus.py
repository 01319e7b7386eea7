# SPDX-License-Identifier: Apache-2.0
"""The labelled event clips that training sees, whatever corpus they come from. Knows no file format."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ...edge.errors import DataError
from ..corpora.corpus import SPLITS
from .clips import EventClips

__all__ = ["EventCorpus", "check_labels"]


@dataclass(frozen=True)
class EventCorpus:
    """Event clips of one length with their classes, speakers and splits.

    Parameters
    ----------
    name : str
        Of the corpus, as recipes call it.
    clips : EventClips
    labels : int64 [n_clips], 0..n_classes - 1
    classes : names [n_classes]
    speakers : str [n_clips]
        Who made each clip, "" where the corpus does not say. Some corpora test on speakers they train on: see ``shared_speakers``.
    split : str [n_clips]
        One of train, valid, test.
    clip_ids : str [n_clips]
        Where each clip is from.
    payload_bits : int, 1..8
    timestep_ms : float
        Duration of a timestep.
    provenance : JSON-like
        ``parameters`` (all that determines the content, part of the digest) and what binning lost.

    Raises
    ------
    DataError
        When the parts disagree, or a split has no clip.
    """

    name: str
    clips: EventClips
    labels: np.ndarray
    classes: tuple[str, ...]
    speakers: tuple[str, ...]
    split: tuple[str, ...]
    clip_ids: tuple[str, ...]
    payload_bits: int
    timestep_ms: float
    provenance: Mapping[str, object]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        for part in ("labels", "speakers", "split", "clip_ids"):
            if len(getattr(self, part)) != len(self.clips):
                raise DataError(f"an event corpus of {len(self.clips)} clips must have as many {part}, not {len(getattr(self, part))}")
        check_labels(self.labels, len(self.classes), self.name)
        if missing := [split for split in SPLITS if split not in self.split]:
            raise DataError(
                f"an event corpus must have clips to train on, to validate and to test: {self.name} has none for {missing[0]}; see `ormia data info`"
            )
        object.__setattr__(self, "digest", self._digest())

    @property
    def payload_max(self) -> int:
        """Largest payload."""
        return (1 << self.payload_bits) - 1

    @property
    def shared_speakers(self) -> tuple[str, ...]:
        """Speakers who are in more than one split: accuracy on such a corpus is not that on strangers."""
        at: dict[str, set[str]] = {}
        for speaker, split in zip(self.speakers, self.split, strict=True):
            at.setdefault(speaker, set()).add(split)
        return tuple(sorted(speaker for speaker, splits in at.items() if speaker and len(splits) > 1))

    def indices(self, split: str) -> np.ndarray:
        """Positions, int64 ascending, of the clips of a split."""
        return np.flatnonzero(np.array(self.split) == split)

    def counts(self) -> dict[str, dict[str, int]]:
        """Clips per class and split."""
        table = {name: dict.fromkeys(SPLITS, 0) for name in self.classes}
        for label, split in zip(self.labels.tolist(), self.split, strict=True):
            table[self.classes[label]][split] += 1
        return table

    def _digest(self) -> str:
        """SHA-256 over names, parameters and all entries: equal for equal corpora, wherever they lie."""
        header = [
            self.name, self.classes, self.speakers, self.split, self.clip_ids, self.payload_bits, self.timestep_ms, self.clips.shape,
            self.provenance.get("parameters"),
        ]  # fmt: skip
        sha = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
        for part in (self.labels.astype(np.int64), self.clips.start, self.clips.cell, self.clips.payload, self.clips.order):
            sha.update(np.ascontiguousarray(part))
        return sha.hexdigest()


def check_labels(labels: np.ndarray, n_classes: int, where: str) -> None:
    """Raise ``DataError`` for a label outside 0..n_classes - 1 in the file or corpus ``where``."""
    if len(outside := np.flatnonzero((labels < 0) | (labels >= n_classes))):
        first = int(outside[0])
        raise DataError(f"the label of a clip must be in 0..{n_classes - 1}, not {labels[first]}: clip {first} of {where} is damaged; fetch the corpus again")
