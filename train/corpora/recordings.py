# SPDX-License-Identifier: Apache-2.0
"""A corpus from a folder of recordings.

Anything wrong with the files is collected and reported together; nothing wrong is passed on silently.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...edge.errors import DataError, UsageError
from ..audio import SAMPLE_RATE, fit_length, read_audio
from .corpus import SILENCE, SPLITS, UNKNOWN, Corpus
from .layout import BACKGROUND, Recording, assign_splits, list_noise, list_recordings
from .mixing import noise_only
from .noise import generate_noise
from .words import COMMANDS

__all__ = ["RecordingSettings", "from_folder", "noise_files", "recording_parameters", "words_in"]

MAX_NOISE_SECONDS = 120.0
"""Of each noise recording no more is read: it may run for hours."""
_VERSION = 2  # counts changes of this file that change its output
_SHOWN = 10
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordingSettings:
    """How a folder becomes a corpus.

    Parameters
    ----------
    manifest : path, optional
        See ``layout.list_recordings``.
    noise : paths
        Folders of noise recordings; by default ``_background_noise_`` of the corpus. A split for which they hold none gets generated noise.
    clip_seconds : float
        Longer recordings are cut to their loudest part of this length, shorter ones padded.
    speaker_pattern : str, optional
    unknown_ratio : float, >= 0
        At most this many ``_unknown_`` clips for each clip of the average keyword, in every split.
    silence : bool
        Whether to cut ``_silence_`` clips from noise where the folder holds none.
    noise_seconds : float, > 0
        Length of each noise recording that is generated.
    skip_bad : bool
        Leave out files that cannot be used instead of refusing the folder.
    seed : int
        Of everything drawn: splits, unknown words, silence, generated noise.
    """

    manifest: Path | None = None
    noise: tuple[Path, ...] = ()
    clip_seconds: float = 1.0
    speaker_pattern: str | None = None
    unknown_ratio: float = 2.0
    silence: bool = True
    noise_seconds: float = 5.0
    skip_bad: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0.1 <= self.clip_seconds <= 10:
            raise UsageError(f"a clip must last 0.1 to 10 s, not {self.clip_seconds:g} s")
        if self.unknown_ratio < 0:
            raise UsageError(f"the ratio of unknown clips must be at least 0, not {self.unknown_ratio:g}")
        if not 0 < self.noise_seconds <= 600:
            raise UsageError(f"generated noise must last more than 0 and at most 600 s, not {self.noise_seconds:g} s")


def recording_parameters(keywords: Sequence[str], settings: RecordingSettings) -> dict[str, object]:
    """What determines a corpus beside the recordings, as JSON; part of its digest. Not where the files lie."""
    return {
        "recipe": "recordings",
        "version": _VERSION,
        "keywords": list(keywords),
        "clip_seconds": settings.clip_seconds,
        "unknown_ratio": settings.unknown_ratio,
        "silence": settings.silence,
        "noise_seconds": settings.noise_seconds,
        "seed": settings.seed,
    }


def words_in(folder: str | Path, settings: RecordingSettings) -> tuple[str, ...]:
    """All words of a folder, to be its keywords; ``DataError`` as ``from_folder``."""
    rows = list_recordings(Path(folder), settings.manifest, settings.speaker_pattern)
    return tuple(sorted({row.word for row in rows} - {SILENCE, UNKNOWN}))


def from_folder(
    folder: str | Path,
    keywords: Sequence[str] | None = None,
    settings: RecordingSettings | None = None,
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> Corpus:
    """Make a corpus of the recordings under ``folder``.

    Parameters
    ----------
    folder : path
    keywords : words of the folder, optional
        By default the ten command words where all are there, else all words. Other words become ``_unknown_``.
    settings : optional
        By default ``RecordingSettings()``.

    Raises
    ------
    DataError
        Files that cannot be used, fewer than two words, too few speakers, or a class without a clip in some split.
    UsageError
        Keywords the folder does not hold.
    """
    folder, settings = Path(folder), settings or RecordingSettings()
    tell = progress or (lambda what, done, total: None)
    rows = list_recordings(folder, settings.manifest, settings.speaker_pattern)
    keywords = _choose_keywords(folder, rows, keywords)
    class_of = {row.word: row.word if row.word in (*keywords, SILENCE) else UNKNOWN for row in rows}
    split_rng, silence_rng, noise_rng = (np.random.default_rng(seed) for seed in np.random.SeedSequence(settings.seed).spawn(3))
    rows = _limit_unknown(assign_splits(rows, class_of, settings.seed), class_of, len(keywords), settings.unknown_ratio, split_rng)

    n_samples = round(settings.clip_seconds * SAMPLE_RATE)
    clips = np.zeros((len(rows), n_samples), np.int16)
    bad: list[str] = []
    good: list[int] = []
    for i, row in enumerate(rows):
        if i % 100 == 0:
            tell("reading", i, len(rows))
        try:
            clips[i] = fit_length(read_audio(row.path), n_samples)
            good.append(i)
        except DataError as error:
            bad.append(str(error))
    noise, noise_source = _noise(folder, settings, bad, noise_rng, n_samples)
    if bad and not settings.skip_bad:
        shown = "\n  ".join(bad[:_SHOWN]) + (f"\n  and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else "")
        raise DataError(
            f"every file of a corpus must be usable, {len(bad)} of {len(rows)} in {folder} are not; correct them or leave them out with --skip-bad:\n  {shown}"
        )
    for sentence in bad:
        _log.warning("left out: %s", sentence)
    rows, clips = [rows[i] for i in good], clips[good] if len(good) < len(rows) else clips

    classes = [*keywords, *(name for name in (UNKNOWN, SILENCE) if name in class_of.values())]
    labels = [classes.index(class_of[row.word]) for row in rows]
    snr_db = np.full(len(rows), np.inf, np.float32)
    if settings.silence and SILENCE not in classes:
        classes.append(SILENCE)
        for split in SPLITS:
            n_silent = max(1, round(sum(row.split == split and class_of[row.word] in keywords for row in rows) / len(keywords)))
            silent = noise_only(silence_rng, noise[split], n_silent, n_samples)
            clips = np.concatenate([clips, silent])
            rows += [Recording(Path(SILENCE, f"{split}-{i:05d}"), SILENCE, "", split) for i in range(n_silent)]
            labels += [len(classes) - 1] * n_silent
            snr_db = np.concatenate([snr_db, np.full(n_silent, -np.inf, np.float32)])
    _refuse_gaps(folder, classes, labels, rows)
    return Corpus(
        clips=clips,
        labels=np.array(labels, np.int64),
        classes=tuple(classes),
        words=tuple(row.word for row in rows),
        speakers=tuple(row.speaker for row in rows),
        split=tuple(row.split or "train" for row in rows),
        clip_ids=_clip_ids(rows),
        snr_db=snr_db,
        noise=noise,
        provenance={
            "parameters": recording_parameters(keywords, settings),
            "source": f"recordings in {folder.name}",
            "noise": noise_source,
            "skipped_files": len(bad),
            "numpy": np.__version__,
        },
    )


def _choose_keywords(folder: Path, rows: Sequence[Recording], keywords: Sequence[str] | None) -> tuple[str, ...]:
    words = sorted({row.word for row in rows} - {SILENCE, UNKNOWN})
    if len(words) < 2:
        raise DataError(
            f"a corpus must hold at least 2 words, one folder each, not {len(words)}: {folder} holds {', '.join(words) or 'none'}; add another word"
        )
    if keywords is None:
        return COMMANDS if set(COMMANDS) <= set(words) else tuple(words)
    for keyword in keywords:
        if keyword not in words:
            near = difflib.get_close_matches(keyword, words, 3) or words[:10]
            raise UsageError(f"a keyword must be a word of {folder}, not {keyword!r}; choose among such as {', '.join(near)}")
    return tuple(keywords)


def _limit_unknown(rows: list[Recording], class_of: dict[str, str], n_keywords: int, ratio: float, rng: np.random.Generator) -> list[Recording]:
    kept = set(range(len(rows)))
    for split in SPLITS:
        unknown = [i for i, row in enumerate(rows) if row.split == split and class_of[row.word] == UNKNOWN]
        n_keyword = sum(row.split == split and class_of[row.word] not in (UNKNOWN, SILENCE) for row in rows)
        most = round(ratio * n_keyword / n_keywords)
        if len(unknown) > most:
            kept -= {unknown[i] for i in rng.permutation(len(unknown))[most:]}
    return [rows[i] for i in sorted(kept)]


def noise_files(folder: Path, settings: RecordingSettings) -> list[Recording]:
    """Noise recordings that a corpus of ``folder`` uses."""
    background = [folder / BACKGROUND] if (folder / BACKGROUND).is_dir() else []
    return [row for source in settings.noise or background for row in list_noise(source)]


def _noise(
    folder: Path, settings: RecordingSettings, bad: list[str], rng: np.random.Generator, n_samples: int
) -> tuple[dict[str, tuple[np.ndarray, ...]], dict[str, str]]:
    """Noise recordings of each split, and where they are from. Recordings without a split are cut in time, 70 : 15 : 15."""
    noise: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    for row in noise_files(folder, settings):
        try:
            samples = read_audio(row.path, first_seconds=MAX_NOISE_SECONDS)
        except DataError as error:
            bad.append(str(error))
            continue
        if row.split:
            noise[row.split].append(samples)
        else:
            parts = np.split(samples, [len(samples) * 70 // 100, len(samples) * 85 // 100])
            for split, part in zip(SPLITS, parts, strict=True):
                noise[split] += [part] if len(part) else []
    origin = {split: "recorded" if noise[split] else "generated" for split in SPLITS}
    made = {split: noise[split] or generate_noise(rng, 6, max(settings.noise_seconds, 2 * n_samples / SAMPLE_RATE)) for split in SPLITS}
    return {split: tuple(made[split]) for split in SPLITS}, origin


def _refuse_gaps(folder: Path, classes: Sequence[str], labels: Sequence[int], rows: Sequence[Recording]) -> None:
    present = {(label, row.split) for label, row in zip(labels, rows, strict=True)}
    gaps = [f"{name} in {split}" for label, name in enumerate(classes) for split in SPLITS if (label, split) not in present]
    if gaps:
        listed = ", ".join(gaps[:_SHOWN]) + (f" and {len(gaps) - _SHOWN} more" if len(gaps) > _SHOWN else "")
        raise DataError(
            f"every class must have a clip in every split, {folder} has none of {listed}; "
            "add recordings, choose other keywords or give a manifest with a split column"
        )


def _clip_ids(rows: Sequence[Recording]) -> tuple[str, ...]:
    """``word/file`` without suffix; a number is added where that is not unique."""
    seen: dict[str, int] = {}
    ids = []
    for row in rows:
        name = f"{row.word}/{row.path.name.split('.')[0]}"
        seen[name] = seen.get(name, 0) + 1
        ids.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(ids)
