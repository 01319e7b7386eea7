# SPDX-License-Identifier: Apache-2.0
"""TI46: letters and words of 16 speakers on NIST SPHERE recordings (LDC93S9), through Lyon's cochlea and BSA to spikes.

Preprocessing as in the code of ST-RSBP (Zhang, Li 2019, arXiv 1908.06378): frames of 16 ms, each held for 10 timesteps and scaled by 2,000, at most 700
timesteps.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ...edge.console import log
from ...edge.errors import DataError, UsageError
from .clips import ClipBuilder
from .corpus import EventCorpus
from .lyon import bsa, bsa_kernel, center_frequencies, lyon_ear
from .sphere import read_sphere

__all__ = ["Ti46Settings", "load_ti46"]

RATE = 12_500
DECIMATION, HELD = 200, 10  # samples of a frame; timesteps of a frame
SCALE, THRESHOLD = 2000.0, 0.6
_DIGITS = {f"0{i}": word for i, word in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])}
_WORDS = dict(
    zip(
        ("en", "er", "go", "hp", "no", "rb", "rp", "sp", "st", "ys"),
        ("enter", "erase", "go", "help", "no", "rubout", "repeat", "stop", "start", "yes"),
        strict=True,
    )
)
PARTS = {
    "alpha": ("ti_alpha", {f"0{letter}": letter for letter in "abcdefghijklmnopqrstuvwxyz"}),
    "digits": ("ti20", _DIGITS),
    "words": ("ti20", _DIGITS | _WORDS),
}


@dataclass(frozen=True, kw_only=True)
class Ti46Settings:
    """Which part of TI46, and how it is split.

    Attributes
    ----------
    part : str
        ``alpha`` (26 letters), ``digits`` (10) or ``words`` (20).
    n_timesteps : int, 1..1024
        Of 1.6 ms each.
    payload_bits : int, 1..8
        Spikes are single, so 1 holds them.
    validation_sets : tuple of int
        Which of the ten training utterances of each word and speaker (0..9) validate: the same voices in other sessions, as in the test part.
    pattern : str
        Regular expression of a file's name without its ending, with the groups ``word``, ``speaker`` and, in training, ``set``; case does not count.
    """

    part: str = "alpha"
    n_timesteps: int = 700
    payload_bits: int = 1
    validation_sets: tuple[int, ...] = (8, 9)
    pattern: str = r"(?P<word>[0-9a-z]{2})(?P<speaker>[fm][1-8])(set(?P<set>[0-9])|s[0-9]+t[0-9])"


def load_ti46(folder: Path, settings: Ti46Settings) -> EventCorpus:
    """Read ``ti_alpha`` or ``ti20``: ``train/`` and ``test/``, recordings in any folder below.

    Raises
    ------
    DataError
        A part that is missing, a file whose name does not tell, that is truncated, compressed or of another rate.
    UsageError
        Settings that cannot be.
    """
    if settings.part not in PARTS:
        raise UsageError(f"part must be one of {', '.join(PARTS)}, not {settings.part!r}")
    pattern = _compile(settings.pattern)
    inside, words = PARTS[settings.part]
    builder = ClipBuilder(settings.n_timesteps, len(center_frequencies(RATE)), settings.payload_bits)
    kernel = bsa_kernel()
    rows: list[tuple[str, int, str, str]] = []
    for split in ("train", "test"):
        base = _below(folder, inside, split)
        log.info("reading %s", base)
        for path in sorted(p for p in base.rglob("*") if p.suffix.lower() in (".wav", ".sph")):
            told = pattern.fullmatch(path.stem)
            if told is None:
                raise DataError(f"the name of a recording must tell word and speaker, as 0af1set0 does, not {path.name!r}: {path}; rename it or give `pattern`")
            word = told["word"].lower()
            if word not in words:
                if word in PARTS["words"][1]:
                    continue  # ti20 holds words beside digits
                raise DataError(f"a word of TI46 {settings.part} must be one of {', '.join(words)}, not {word!r}: {path}; move it away")
            samples, rate = read_sphere(path)
            if rate != RATE:
                raise DataError(f"a recording of TI46 must have {RATE} samples a second, not {rate}: {path}; fetch the original")
            spikes = bsa(np.repeat(lyon_ear(samples, rate, DECIMATION), HELD, axis=0) * SCALE, kernel, THRESHOLD)
            builder.add(*np.nonzero(spikes))
            validates = split == "train" and told["set"] in map(str, settings.validation_sets)
            rows.append(("valid" if validates else split, list(words).index(word), told["speaker"].lower(), path.relative_to(folder).as_posix()))
    splits, labels, speakers, clip_ids = zip(*rows, strict=True) if rows else ((), (), (), ())
    return EventCorpus(
        name="ti46", clips=builder.finish(), labels=np.array(labels, np.int64), classes=tuple(words.values()), speakers=speakers, split=splits,
        clip_ids=clip_ids, payload_bits=settings.payload_bits, timestep_ms=1000 * DECIMATION / HELD / RATE,
        provenance={"parameters": asdict(settings), **builder.losses()},
    )  # fmt: skip


def _compile(text: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise UsageError(f"pattern must be a regular expression, not {text!r} ({error})") from None
    if missing := {"word", "speaker", "set"} - set(pattern.groupindex):
        raise UsageError(f"pattern must have the groups word, speaker and set; {text!r} lacks {', '.join(sorted(missing))}")
    return pattern


def _below(folder: Path, *names: str) -> Path:
    """Folder in a folder, whatever the case of its names."""
    for name in names:
        found = [p for p in folder.iterdir() if p.is_dir() and p.name.lower() == name] if folder.is_dir() else []
        if not found:
            raise DataError(f"the corpus ti46 must have the folder {'/'.join(names)}: {folder} has no {name}; see `ormia data info ti46`")
        folder = found[0]
    return folder
