# SPDX-License-Identifier: Apache-2.0
"""Which recordings a folder holds: word, speaker and split of each file, from names, lists or a manifest. No audio is opened here.

Layouts: Speech Commands (``word/<speaker>_nohash_<n>.wav``, lists, ``_background_noise_/``), any ``word/<speaker>_<take>.wav``, or a CSV
manifest with columns ``path,word`` and optionally ``speaker,split``. Source of the first: the README of Speech Commands v0.02.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...edge.errors import DataError, UsageError
from .corpus import SILENCE, SPLITS

__all__ = ["AUDIO_SUFFIXES", "BACKGROUND", "Recording", "assign_splits", "list_noise", "list_recordings", "speech_commands_split"]

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".aiff", ".aif", ".sph", ".mp3"})
BACKGROUND = "_background_noise_"
_LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}
_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Recording:
    """One audio file; ``split`` is None until assigned, ``speaker`` is empty where nothing says who speaks."""

    path: Path
    word: str
    speaker: str
    split: str | None


def speech_commands_split(name: str) -> str:
    """Split of a Speech Commands file by the SHA-1 of its speaker, as the authors of the corpus assign it: 80, 10, 10 in a hundred.

    Examples
    --------
    >>> speech_commands_split("0a7c2a8d_nohash_0.wav")
    'train'
    """
    speaker = re.sub(r"_nohash_.*$", "", Path(name).name)
    percent = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % 2**27 * (100 / (2**27 - 1))
    return "valid" if percent < 10 else "test" if percent < 20 else "train"


def _audio_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in AUDIO_SUFFIXES and not p.name.startswith("."))


def _speaker(path: Path, pattern: re.Pattern[str] | None) -> str:
    """Who speaks, by the file's name; "" where it does not say."""
    if pattern is not None:
        found = pattern.search(path.name)
        return found[1] if found else ""
    stem = path.name.split(".")[0]
    if "_nohash_" in stem:
        return stem.split("_nohash_")[0]
    return stem.rpartition("_")[0]


def list_recordings(folder: Path, manifest: Path | None = None, speaker_pattern: str | None = None) -> list[Recording]:
    """All recordings of words under a folder, in the order of their paths.

    Parameters
    ----------
    folder : path
    manifest : path, optional
        Paths in it are relative to its own folder. By default ``manifest.csv`` in ``folder`` or beside it, where that lists files under ``folder``.
    speaker_pattern : regular expression with one group, the speaker; searched in the file's name
        By default the text before ``_nohash_``, or before the last underscore.

    Raises
    ------
    DataError, UsageError
    """
    if not folder.is_dir():
        raise DataError(f"a corpus must be a folder of recordings: {folder} is none; correct --data")
    pattern = _compile(speaker_pattern)
    rows = _manifest_rows(folder, manifest, pattern)
    if rows is None:
        words = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".") and p.name != BACKGROUND)
        rows = [Recording(path, word.name, _speaker(path, pattern), None) for word in words for path in _audio_files(word)]
        rows = _given_splits(folder, rows)
    rows = [row for row in rows if row.word != BACKGROUND]
    if not rows:
        raise DataError(f"a corpus folder must hold recordings as WORD/SPEAKER_TAKE.wav (or .flac), or a manifest.csv: {folder} holds none")
    return rows


def _compile(speaker_pattern: str | None) -> re.Pattern[str] | None:
    if speaker_pattern is None:
        return None
    try:
        pattern = re.compile(speaker_pattern)
    except re.error as error:
        raise UsageError(f"--speaker-pattern must be a regular expression, not {speaker_pattern!r} ({error})") from None
    if pattern.groups != 1:
        raise UsageError(f"--speaker-pattern must have one group, the speaker, not {pattern.groups}: such as '^(.+)_[0-9]+'")
    return pattern


def _manifest_rows(folder: Path, manifest: Path | None, pattern: re.Pattern[str] | None) -> list[Recording] | None:
    """Rows of the manifest under ``folder``; None where there is no manifest."""
    if manifest is not None:
        if rows := _read_manifest(manifest, folder, pattern):
            return rows
        raise DataError(f"a manifest must list files under the corpus folder: {manifest} lists none under {folder}; paths in it are relative to its own folder")
    for found in (folder / "manifest.csv", folder.parent / "manifest.csv"):
        if found.is_file() and (rows := _read_manifest(found, folder, pattern)):
            return rows
    return None


def _read_manifest(manifest: Path, folder: Path, pattern: re.Pattern[str] | None) -> list[Recording]:
    root, base = folder.resolve(), manifest.parent.resolve()
    rows: dict[Path, Recording] = {}
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if missing := {"path", "word"} - set(reader.fieldnames or ()):
                raise DataError(f"a manifest must have the columns path and word: {manifest} lacks {' and '.join(sorted(missing))}; add them to its first line")
            for row in reader:
                path = base / (row["path"] or "")
                if not path.is_relative_to(root) or ".." in path.relative_to(root).parts:
                    continue
                given = (row.get("split") or "").strip().casefold()
                if given and given not in _SPLIT_NAMES:
                    raise DataError(
                        f"a split must be train, valid or test, not {given!r}: line {reader.line_num} of {manifest}; correct it or empty the column"
                    )
                rows[path] = Recording(
                    path, (row["word"] or "").strip(), (row.get("speaker") or "").strip() or _speaker(path, pattern), _SPLIT_NAMES.get(given)
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"a manifest must be a readable UTF-8 CSV file: {manifest} is not ({error})") from None
    if any(not row.word for row in rows.values()):
        raise DataError(f"every row of a manifest must name a word: {next(row.path for row in rows.values() if not row.word)} has none in {manifest}")
    return [rows[path] for path in sorted(rows)]


def _given_splits(folder: Path, rows: list[Recording]) -> list[Recording]:
    """Splits from the lists of Speech Commands, else from its rule where all names have its form, else none."""
    lists = {split: folder / name for split, name in _LISTS.items()}
    if all(path.is_file() for path in lists.values()):
        listed = {line.strip(): split for split, path in lists.items() for line in path.read_text(encoding="utf-8").splitlines()}
        return [replace(row, split=listed.get(f"{row.word}/{row.path.name}", "train")) for row in rows]
    if all("_nohash_" in row.path.name for row in rows if not row.word.startswith("_")):
        return [replace(row, split=speech_commands_split(row.path.name)) for row in rows]
    return rows


def assign_splits(rows: Sequence[Recording], classes_of: dict[str, str], seed: int) -> list[Recording]:
    """Give every recording a split, no speaker two.

    Splits that are given stay. Where none is, speakers are dealt out 70 : 15 : 15 (at least one each), in an order drawn by the seed so that
    every class has a clip in every split, if some order does. Where a manifest knows only train and test, validation speakers come from train.

    Parameters
    ----------
    rows : recordings
    classes_of : word to class
    """
    given = {row.split for row in rows}
    if None in given and len(given) > 1:
        nameless = next(row for row in rows if row.split is None)
        raise DataError(f"every row of a manifest must have a split, or none: {nameless.path} has none; fill the column or leave it out")
    given -= {None}
    if given and given != {"train", "test"}:
        return list(rows)
    spoken = [row for row in rows if row.word != SILENCE and row.split in (None, "train")]
    if nameless := next((row for row in spoken if not row.speaker), None):
        raise DataError(
            f"the speaker must be known to keep splits apart: the name of {nameless.path} does not tell; "
            "name files SPEAKER_TAKE.wav, give --speaker-pattern or a manifest with a speaker or split column"
        )
    speakers = sorted({row.speaker for row in spoken})
    targets = ("valid",) if given else ("test", "valid")
    if len(speakers) < len(targets) + 1:
        raise DataError(
            f"a corpus must have at least {len(targets) + 1} speakers to split, not {len(speakers)}; "
            "record more people, give --speaker-pattern if the names hide them, or a manifest with a split column"
        )
    spoken_by: dict[str, set[str]] = {speaker: set() for speaker in speakers}
    for row in spoken:
        spoken_by[row.speaker].add(classes_of[row.word])
    wanted = set(classes_of.values()) - {SILENCE}
    fewest, drawn = len(SPLITS) * len(wanted) + 1, {}
    for attempt in range(200):
        order = [speakers[i] for i in np.random.default_rng([seed, attempt]).permutation(len(speakers))]
        split_of = dict.fromkeys(order, "train")
        for target in targets:
            for _ in range(max(1, round(0.15 * len(speakers)))):
                split_of[order.pop()] = target
        missing = sum(len(wanted - set().union(*(spoken_by[s] for s, at in split_of.items() if at == split))) for split in (*targets, "train"))
        if missing < fewest:
            fewest, drawn = missing, split_of
        if missing == 0:
            break
    done, n_silent = [], 0
    for row in rows:
        if row.word == SILENCE and row.split in (None, "train"):
            n_silent += 1  # nobody speaks: every seventh to validation, and to test
            done.append(replace(row, split="valid" if n_silent % 7 == 1 else "test" if n_silent % 7 == 4 and not given else "train"))
        else:
            done.append(row if row.split not in (None, "train") else replace(row, split=drawn[row.speaker]))
    return done


def list_noise(folder: Path) -> list[Recording]:
    """Noise recordings anywhere under a folder; split by a manifest's column where there is one, else None."""
    if not folder.is_dir():
        raise DataError(f"--noise must be a folder of recordings, {folder} is none")
    rows = _manifest_rows(folder, None, None)
    if rows is None:
        rows = [Recording(path, "", "", None) for path in sorted(folder.rglob("*")) if path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")]
    if not rows:
        raise DataError(f"--noise must hold audio files (WAV, FLAC, OGG): {folder} holds none")
    return rows
