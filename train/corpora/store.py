# SPDX-License-Identifier: Apache-2.0
"""Corpora kept on disk: made once for the same inputs, then loaded.

The key covers the parameters and, for recordings, the path, size and time of change of every file that is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .corpus import Corpus
from .layout import list_recordings
from .recordings import RecordingSettings, from_folder, noise_files, recording_parameters
from .script import SynthesisSettings
from .synthesis import Progress, synthesis_parameters, synthesize
from .words import COMMANDS

__all__ = ["open_corpus"]


def open_corpus(
    store: str | Path,
    keywords: Sequence[str] | None = None,
    data: str | Path | None = None,
    *,
    synthesis: SynthesisSettings | None = None,
    recordings: RecordingSettings | None = None,
    progress: Progress | None = None,
) -> tuple[Corpus, Path]:
    """Load the corpus of these inputs from ``store``, or make it and keep it there.

    Parameters
    ----------
    store : folder, made where absent
    keywords : optional; the ten command words, or what ``from_folder`` chooses
    data : folder of recordings; None synthesizes speech
    synthesis, recordings : settings of the one or the other

    Returns
    -------
    Corpus, memory-mapped, and its folder

    Raises
    ------
    DataError, UsageError, MissingTool
    """
    if data is None:
        synthesis = synthesis or SynthesisSettings()
        chosen = tuple(keywords or COMMANDS)
        inputs: object = [synthesis_parameters(chosen, synthesis), _engine()]
    else:
        recordings = recordings or RecordingSettings()
        inputs = _folder_inputs(Path(data), keywords, recordings)
    folder = Path(store) / hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
    if not folder.exists():
        corpus = synthesize(chosen, synthesis, progress=progress) if data is None else from_folder(data, keywords, recordings, progress=progress)
        corpus.save(folder)
    return Corpus.load(folder), folder


def _engine() -> str:
    try:
        return version("espeakng-loader")
    except PackageNotFoundError:
        return "none"


def _folder_inputs(data: Path, keywords: Sequence[str] | None, settings: RecordingSettings) -> object:
    rows = list_recordings(data, settings.manifest, settings.speaker_pattern)
    rows += noise_files(data, settings)
    files = [(str(row.path), row.word, row.speaker, row.split, *_stat(row.path)) for row in rows]
    return [recording_parameters(keywords or (), settings), settings.skip_bad, files]


def _stat(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (-1, -1)  # reading it will say what is wrong
    return (status.st_size, status.st_mtime_ns)
