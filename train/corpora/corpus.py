# SPDX-License-Identifier: Apache-2.0
"""The labelled clips that training, evaluation and verification share, and their form on disk.

A corpus knows neither where its audio came from (see ``synthesis`` and ``recordings``) nor what will be computed from it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...edge.errors import DataError
from ..audio import SAMPLE_RATE

__all__ = ["SILENCE", "SPLITS", "UNKNOWN", "Corpus"]

UNKNOWN = "_unknown_"
"""Class of every word that is no keyword."""
SILENCE = "_silence_"
"""Class of clips without speech."""
SPLITS = ("train", "valid", "test")

_FORMAT = 1
_ARRAYS = {"clips": np.int16, "labels": np.int64, "snr_db": np.float32, "noise": np.int16}


@dataclass(frozen=True)
class Corpus:
    """Clips of one length with their classes, speakers and splits.

    Parameters
    ----------
    clips : int16 [n_clips, n_samples]
        Audio at ``sample_rate``; memory-mapped when loaded from disk.
    labels : int64 [n_clips], 0..n_classes - 1
        Index into ``classes``.
    classes : names [n_classes]
        Keywords in the order given, then ``_unknown_`` and ``_silence_`` where the corpus has such clips.
    words, speakers, split, clip_ids : str [n_clips]
        What is said, by whom (a voice, for synthesized speech), in which of ``SPLITS``, and a unique name.
    snr_db : float32 [n_clips]
        Ratio at which noise was mixed in when the clip was made; +inf where none was, -inf where there is only noise.
    noise : per split, the noise recordings, each int16 [n_samples of it]
        Only ``noise["train"]`` may be mixed into training clips.
    provenance : JSON-like
        ``parameters`` (all that determines the content, part of the digest), ``source``, and versions.
    sample_rate : int, Hz
        Of the clips.

    Raises
    ------
    DataError
        When the parts disagree, or a speaker is in two splits.
    """

    clips: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    words: tuple[str, ...]
    speakers: tuple[str, ...]
    split: tuple[str, ...]
    clip_ids: tuple[str, ...]
    snr_db: np.ndarray
    noise: Mapping[str, tuple[np.ndarray, ...]]
    provenance: Mapping[str, object]
    sample_rate: int = SAMPLE_RATE
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        n_clips = len(self.clips)
        if self.clips.dtype != np.int16 or self.clips.ndim != 2 or self.clips.shape[1] < 1:
            raise DataError(f"the clips of a corpus must be int16 [n_clips, n_samples], not {self.clips.dtype} {list(self.clips.shape)}")
        for name in ("labels", "words", "speakers", "split", "clip_ids", "snr_db"):
            if len(getattr(self, name)) != n_clips:
                raise DataError(f"a corpus of {n_clips} clips must have as many {name}, not {len(getattr(self, name))}")
        if n_clips and not (0 <= int(self.labels.min()) and int(self.labels.max()) < len(self.classes)):
            raise DataError(f"the labels of a corpus must be in 0..{len(self.classes) - 1}")
        if unknown := {*self.split, *self.noise} - {*SPLITS}:
            raise DataError(f"the split of a clip must be one of {', '.join(SPLITS)}, not {sorted(unknown)[0]!r}")
        object.__setattr__(self, "noise", {split: tuple(self.noise.get(split, ())) for split in SPLITS})
        self._refuse_shared_speakers()
        object.__setattr__(self, "digest", self._digest())

    def _refuse_shared_speakers(self) -> None:
        first: dict[str, str] = {}
        for label, speaker, split in zip(self.labels.tolist(), self.speakers, self.split, strict=True):
            if speaker and self.classes[label] != SILENCE and first.setdefault(speaker, split) != split:
                raise DataError(
                    f"no speaker may be in two splits: {speaker!r} is in {first[speaker]} and {split}; "
                    "correct the split column, or leave it out so that splits are drawn by speaker"
                )

    @property
    def n_samples(self) -> int:
        """Samples of a clip."""
        return self.clips.shape[1]

    def indices(self, split: str) -> np.ndarray:
        """Positions, int64 ascending, of the clips of a split."""
        return np.flatnonzero(np.array(self.split) == split)

    def counts(self) -> dict[str, dict[str, int]]:
        """Clips per class and split."""
        table = {name: dict.fromkeys(SPLITS, 0) for name in self.classes}
        for label, split in zip(self.labels.tolist(), self.split, strict=True):
            table[self.classes[label]][split] += 1
        return table

    def speaker_counts(self) -> dict[str, int]:
        """Distinct speakers of words per split."""
        spoken = [self.classes[label] != SILENCE for label in self.labels.tolist()]
        return {at: len({s for s, split, is_word in zip(self.speakers, self.split, spoken, strict=True) if is_word and split == at}) for at in SPLITS}

    def _header(self) -> dict[str, object]:
        return {
            "format": _FORMAT,
            "sample_rate": self.sample_rate,
            "classes": list(self.classes),
            "words": list(self.words),
            "speakers": list(self.speakers),
            "split": list(self.split),
            "clip_ids": list(self.clip_ids),
            "noise_samples": {split: [len(x) for x in self.noise[split]] for split in SPLITS},
        }

    def _digest(self) -> str:
        """SHA-256 over header, parameters and all arrays: equal for equal corpora, wherever they lie."""
        sha = hashlib.sha256(json.dumps([self._header(), self.provenance.get("parameters")], sort_keys=True, ensure_ascii=True).encode())
        sha.update(np.ascontiguousarray(self.labels, np.int64))
        sha.update(np.ascontiguousarray(self.snr_db, np.float32))
        for start in range(0, len(self.clips), 1024):  # in blocks: the clips may be memory-mapped and larger than memory
            sha.update(np.ascontiguousarray(self.clips[start : start + 1024]))
        for split in SPLITS:
            for recording in self.noise[split]:
                sha.update(np.ascontiguousarray(recording, np.int16))
        return sha.hexdigest()

    def save(self, directory: str | Path) -> None:
        """Write the corpus into a new folder: beside it first, then renamed, so that a folder is there whole or not at all."""
        directory = Path(directory)
        try:
            directory.parent.mkdir(parents=True, exist_ok=True)
            beside = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        except OSError as error:
            raise DataError(f"the folder of a corpus must be writable: {directory} is not ({error.strerror}); choose another --output") from None
        try:
            recordings = [x for split in SPLITS for x in self.noise[split]]
            np.save(beside / "clips.npy", self.clips)
            np.save(beside / "labels.npy", self.labels.astype(np.int64))
            np.save(beside / "snr_db.npy", self.snr_db.astype(np.float32))
            np.save(beside / "noise.npy", np.concatenate([np.zeros(0, np.int16), *recordings]))
            index = {**self._header(), "digest": self.digest, "provenance": dict(self.provenance)}
            (beside / "corpus.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
            if directory.exists():
                old = Path(tempfile.mkdtemp(prefix=f".{directory.name}.old.", dir=directory.parent))
                os.replace(directory, old / "corpus")
                os.replace(beside, directory)
                shutil.rmtree(old)
            else:
                os.replace(beside, directory)
        except OSError as error:
            raise DataError(
                f"a corpus must be written whole: {directory} could not be ({error.strerror}); free some space or choose another --output"
            ) from None
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    @classmethod
    def load(cls, directory: str | Path) -> Corpus:
        """Read a saved corpus; its clips stay on disk, mapped. The digest is recomputed.

        Raises
        ------
        DataError
            Anything missing, damaged or changed.
        """
        directory = Path(directory)
        try:
            index = json.loads((directory / "corpus.json").read_text(encoding="utf-8"))
            if index["format"] != _FORMAT:
                raise ValueError(f"its format is {index['format']}, this version reads {_FORMAT}")
            arrays = {name: np.load(directory / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS}
            for name, dtype in _ARRAYS.items():
                if arrays[name].dtype != dtype:
                    raise ValueError(f"{name}.npy holds {arrays[name].dtype}")
            lengths = {split: [int(n) for n in index["noise_samples"][split]] for split in SPLITS}
            ends = np.cumsum([n for split in SPLITS for n in lengths[split]], dtype=np.int64)
            parts = iter(np.split(arrays["noise"], ends[:-1]) if len(ends) else [])
            corpus = cls(
                clips=arrays["clips"],
                labels=np.array(arrays["labels"]),
                snr_db=np.array(arrays["snr_db"]),
                noise={split: tuple(next(parts) for _ in lengths[split]) for split in SPLITS},
                provenance=index["provenance"],
                sample_rate=int(index["sample_rate"]),
                **{name: tuple(index[name]) for name in ("classes", "words", "speakers", "split", "clip_ids")},
            )
            if corpus.digest != index["digest"]:
                raise ValueError("its digest does not match its content")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, DataError) as error:
            raise DataError(f"a saved corpus must be whole: {directory} is damaged or no corpus ({error}); delete it and run `ormia data` again") from None
        return corpus
