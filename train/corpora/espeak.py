# SPDX-License-Identifier: Apache-2.0
"""Speech and pronunciations from espeak-ng, each request in a process of its own.

The engine is no pure function: what it says depends on all it said before. A fresh process a request makes it one, and keeps a crash
of the native library out of this process. Source of the calls: espeak-ng's speak_lib.h, version 1.52.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ...edge.errors import DataError, MissingTool
from .words import Phonemes

__all__ = ["ACCENTS", "ESPEAK_RATE", "ROBOTS", "Utterance", "is_voice", "pronounce", "require_espeak", "speak", "variants", "voice_family"]

ESPEAK_RATE = 22_050
"""Samples per second of the engine's output."""
ACCENTS = ("en-us", "en-us-nyc", "en", "en-gb-x-rp")
"""American, New York, British, received pronunciation. The engine's other accents move the vowels of short commands onto one another."""

ROBOTS = frozenset({"croak", "Demonic", "UniRobot"})
"""Variants that are effects and no voices, whatever their definition."""

_WORKER = Path(__file__).with_name("espeak_worker.py")
_TIMEOUT_S = 600


@dataclass(frozen=True)
class Utterance:
    """One thing to say: ``voice`` is ``accent+variant``, ``speed`` in words per minute, ``pitch`` and ``pitch_range`` 0..99."""

    text: str
    voice: str
    speed: int = 160
    pitch: int = 50
    pitch_range: int = 50


def require_espeak() -> None:
    """Raise ``MissingTool`` where the engine is not installed."""
    if find_spec("espeakng_loader") is None:
        raise MissingTool("speech synthesis needs espeak-ng: run `pip install 'ormia[train]'`, or give recordings with --data DIR")


def is_voice(name: str, definition: str) -> bool:
    """Whether a variant speaks with a voice: voicing at half or more, and none of the formants that make vowels (1 to 3) moved below half.

    Parameters
    ----------
    name : str
    definition : str
        Text of its file: ``voicing PERCENT`` and ``formant NUMBER FREQUENCY_PERCENT ...`` lines, 100 where there is none.

    Examples
    --------
    >>> is_voice("a", "voicing 120"), is_voice("b", "voicing 20"), is_voice("c", "formant 3 9 9 9"), is_voice("croak", "")
    (True, False, False, False)
    """
    for line in definition.splitlines():
        words = line.split("//")[0].split()
        if words[:1] == ["voicing"] and int(words[1]) < 50:
            return False
        if words[:1] == ["formant"] and words[1] in ("1", "2", "3") and int(words[2]) < 50:
            return False
    return name not in ROBOTS


def variants() -> tuple[str, ...]:
    """Names of the engine's voice variants that are voices (``is_voice``), sorted."""
    require_espeak()
    import espeakng_loader

    folder = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
    names = (
        tuple(sorted(path.name for path in folder.iterdir() if is_voice(path.name, path.read_text(encoding="utf-8", errors="replace"))))
        if folder.is_dir()
        else ()
    )
    if not names:
        raise MissingTool(f"espeak-ng must come with voice variants: {folder} holds none; run `pip install --force-reinstall espeakng-loader`")
    return names


def voice_family(variant: str) -> str:
    """Variants that differ only in a trailing digit are tunings of one voice and belong in one split; ``f1``..``m8`` are all different.

    Examples
    --------
    >>> voice_family("robosoft3"), voice_family("f3")
    ('robosoft', 'f3')
    """
    base = variant.rstrip("0123456789")
    return base if len(base) > 1 else variant


def _run(task: dict[str, object]) -> dict:
    require_espeak()
    try:
        # -P: this folder's modules must not shadow the standard library's
        done = subprocess.run(
            [sys.executable, "-P", str(_WORKER)], input=json.dumps(task), capture_output=True, text=True, encoding="utf-8", timeout=_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"espeak-ng must finish within {_TIMEOUT_S} s: it did not ({error}); ask for fewer clips") from None
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise MissingTool(f"espeak-ng must work: it does not ({reason}); run `pip install --force-reinstall espeakng-loader`")
    return json.loads(done.stdout)


def pronounce(texts: Sequence[str], accents: Sequence[str] = ACCENTS) -> dict[str, tuple[Phonemes, ...]]:
    """Pronunciation of each text in each accent."""
    rows = _run({"task": "phonemes", "texts": list(texts), "voices": list(accents)})["phonemes"]
    return {text: tuple(tuple(row[i]) for row in rows) for i, text in enumerate(texts)}


def speak(utterances: Sequence[Utterance]) -> tuple[list[np.ndarray], str]:
    """Say all utterances in the order given.

    Returns
    -------
    list of int16 [n_samples] at ``ESPEAK_RATE``, and the engine's version
        The same list gives the same bytes on the same machine and version; a part of the list, or another order, does not.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "speech.raw"
        answer = _run({"task": "speak", "out": str(out), "utterances": [astuple(u) for u in utterances]})
        samples = np.fromfile(out, np.int16)
    ends = np.cumsum(answer["lengths"], dtype=np.int64)
    return np.split(samples, ends[:-1]), answer["version"]
