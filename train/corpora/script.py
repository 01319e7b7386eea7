# SPDX-License-Identifier: Apache-2.0
"""What a synthesized corpus says: which texts, by which voices, in which split. No audio passes here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...edge.errors import UsageError
from .corpus import SPLITS
from .espeak import ACCENTS, Utterance, pronounce, variants, voice_family
from .words import CANDIDATES, UNKNOWN_WORDS, near_misses, replace_one_word

__all__ = ["Line", "SynthesisSettings", "speaking_style", "split_voices", "unknown_texts", "write_script"]


@dataclass(frozen=True)
class SynthesisSettings:
    """All that determines a synthesized corpus beside its keywords.

    Parameters
    ----------
    train_clips, valid_clips, test_clips : int, >= 1
        Clips per class.
    unknown_factor : float, > 0
        Training clips of ``_unknown_`` are so many times those of a keyword: it is many words.
    near_share : float, 0..1
        Share of ``_unknown_`` clips that are near-misses of keywords.
    n_near : int, >= 0
        Near-misses per word of a keyword.
    snr_db : ratios drawn for validation and test clips
    level_db : lowest and highest
        Level of the speech of a clip below full scale.
    speed, pitch, pitch_range : lowest and highest
        Words per minute; 0..99; 0..99.
    seconds : float, optional
        Length of a clip; by default 1 s, or more where one in a hundred keyword utterances would not fit.
    n_noise : int, >= 1
        Generated noise recordings of each kind, four clips long, for the training split; the other splits get half as many.
    n_rooms : int
        Rooms of the training split; the other splits get a quarter, none of them shared.
    seed : int
    """

    train_clips: int = 600
    valid_clips: int = 50
    test_clips: int = 60
    unknown_factor: float = 2.0
    near_share: float = 0.2
    n_near: int = 4
    snr_db: tuple[float, ...] = (15.0, 20.0, 25.0, 30.0)
    level_db: tuple[float, float] = (-38.0, -16.0)
    speed: tuple[int, int] = (115, 200)
    pitch: tuple[int, int] = (25, 75)
    pitch_range: tuple[int, int] = (20, 80)
    seconds: float | None = None
    n_noise: int = 12
    n_rooms: int = 80
    seed: int = 1

    def __post_init__(self) -> None:
        if min(self.train_clips, self.valid_clips, self.test_clips) < 1:
            raise UsageError("each split must get at least 1 clip a class")
        if self.seconds is not None and not 0.1 <= self.seconds <= 10:
            raise UsageError(f"a clip must last 0.1 to 10 s, not {self.seconds:g} s")

    def clips_per_class(self, split: str) -> int:
        """Clips of one class in a split."""
        return {"train": self.train_clips, "valid": self.valid_clips, "test": self.test_clips}[split]


@dataclass(frozen=True)
class Line:
    """One clip to be made; ``utterance`` is None for silence."""

    label: int
    split: str
    word: str
    utterance: Utterance | None


def unknown_texts(keywords: Sequence[str], n_near: int) -> tuple[list[str], list[str]]:
    """What is spoken as ``_unknown_``: common words, and near-misses of the keywords.

    No word is among them that some accent pronounces as some accent pronounces a keyword: "know" is no counter-example to "no".

    Raises
    ------
    UsageError
        A keyword that espeak-ng cannot pronounce, or two keywords that sound the same.
    """
    spoken = {keyword: keyword.casefold() for keyword in keywords}
    parts = sorted({part for text in spoken.values() for part in text.split()})
    pool = sorted({*UNKNOWN_WORDS, *CANDIDATES})
    phonemes = pronounce(list(dict.fromkeys([*spoken.values(), *parts, *pool])))
    sounds: dict[tuple[str, ...], str] = {}
    for keyword, text in spoken.items():
        for sound in sorted(set(phonemes[text])):
            if not sound:
                raise UsageError(
                    f"espeak-ng must be able to pronounce a keyword in English, not {keyword!r}; choose another, or give recordings with --data DIR"
                )
            if sounds.setdefault(sound, keyword) != keyword:
                raise UsageError(f"no two keywords may sound the same, as {sounds[sound]!r} and {keyword!r} do; keep one of them")

    def differs(text: str, *others: str) -> bool:
        return not set(phonemes[text]) & {*sounds, *(sound for other in others for sound in phonemes[other])}

    # a replacement within a phrase must differ from the word it replaces: "write on" is no counter-example to "right on"
    near_of = {part: near_misses(part, [word for word in pool if word not in parts and differs(word, part)], phonemes, n_near) for part in parts}
    near: list[str] = []
    for text in spoken.values():
        near += replace_one_word(text, near_of) if " " in text else near_of[text]
    near = [text for text in dict.fromkeys(near) if text not in spoken.values()]
    phonemes |= pronounce([text for text in near if text not in phonemes] or ["a"])
    near = [text for text in near if differs(text)]
    return [word for word in UNKNOWN_WORDS if word not in near and differs(word)], near


def split_voices(rng: np.random.Generator) -> dict[str, list[str]]:
    """Variants of each split, about 70 : 13 : 17 in a hundred. A family of variants stays together."""
    families: dict[str, list[str]] = {}
    for name in variants():
        families.setdefault(voice_family(name), []).append(name)
    names = sorted(families)
    n_all = sum(map(len, families.values()))
    voices: dict[str, list[str]] = {split: [] for split in SPLITS}
    for i in rng.permutation(len(names)):
        wanted = (split for split, share in (("test", 0.17), ("valid", 0.13)) if len(voices[split]) < round(share * n_all))
        voices[next(wanted, "train")] += families[names[i]]
    return voices


def speaking_style(rng: np.random.Generator, text: str, variant: str, settings: SynthesisSettings) -> Utterance:
    """``text`` said by a variant with an accent, melody, speed and pitch drawn at random."""
    mark = ("", ".", "!", "?")[int(rng.integers(4))]  # the mark sets the melody
    accent = ACCENTS[int(rng.integers(len(ACCENTS)))]
    speed, pitch, pitch_range = (int(rng.integers(lo, hi + 1)) for lo, hi in (settings.speed, settings.pitch, settings.pitch_range))
    return Utterance(text.casefold() + mark, f"{accent}+{variant}", speed, pitch, pitch_range)


def write_script(
    rng: np.random.Generator, keywords: Sequence[str], general: Sequence[str], near: Sequence[str], voices: dict[str, list[str]], settings: SynthesisSettings
) -> list[Line]:
    """Every clip of the corpus: by split, then by class, silence last. Within a class each voice speaks equally often, up to one."""
    script: list[Line] = []
    for split in SPLITS:
        n_clips = settings.clips_per_class(split)
        n_unknown = max(1, round(n_clips * (settings.unknown_factor if split == "train" else 1.0)))
        n_near = round(n_unknown * settings.near_share) if near else 0
        texts = {label: [keyword] * n_clips for label, keyword in enumerate(keywords)}
        texts[len(keywords)] = [*_cycle(rng, near, n_near), *_cycle(rng, general, n_unknown - n_near)]
        for label, said in texts.items():
            by = _cycle(rng, voices[split], len(said))
            script += [Line(label, split, text, speaking_style(rng, text, variant, settings)) for text, variant in zip(said, by, strict=True)]
        script += [Line(len(keywords) + 1, split, "", None)] * n_clips
    return script


def _cycle(rng: np.random.Generator, items: Sequence[str], n: int) -> list[str]:
    """``n`` items in random order, each equally often, up to one."""
    chosen: list[str] = []
    while len(chosen) < n:
        chosen += [items[i] for i in rng.permutation(len(items))]
    return chosen[:n]
