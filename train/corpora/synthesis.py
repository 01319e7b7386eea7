# SPDX-License-Identifier: Apache-2.0
"""A corpus without recordings: keywords spoken by espeak-ng's voices, in synthetic rooms, over generated noise.

The voices are tunings of one formant synthesizer, not people: accuracies on such a corpus say that the chain works, not how it
serves a person. Training clips hold speech in a room without noise, because training mixes fresh noise in every epoch
(``train/augment.py``); validation and test clips are stored mixed, at ratios drawn once.

Everything is determined by the keywords, the settings and the engine's version: espeak-ng runs in a process of its own, in one fixed order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np

from ..audio import SAMPLE_RATE, resample
from .corpus import SILENCE, SPLITS, UNKNOWN, Corpus
from .espeak import ESPEAK_RATE, require_espeak, speak
from .mixing import clip_length, mix_clips, noise_only, trim
from .noise import generate_noise
from .room import draw_rooms
from .script import SynthesisSettings, speaking_style, split_voices, unknown_texts, write_script
from .words import COMMANDS, parse_keywords

__all__ = ["Progress", "synthesis_parameters", "synthesize"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

_VERSION = 3  # counts changes of this recipe that change its output
_N_TALK = 60  # utterances a split's babble is made of
_log = logging.getLogger(__name__)


def synthesis_parameters(keywords: Sequence[str], settings: SynthesisSettings) -> dict[str, object]:
    """All that determines a synthesized corpus, as JSON; part of its digest."""
    return {"recipe": "synthesis", "version": _VERSION, "keywords": list(keywords), **asdict(settings)}


def synthesize(keywords: Sequence[str] = COMMANDS, settings: SynthesisSettings | None = None, *, progress: Progress | None = None) -> Corpus:
    """Make a corpus of synthesized speech.

    Parameters
    ----------
    keywords : words or phrases
    settings : SynthesisSettings
    progress : called as the work goes on

    Raises
    ------
    MissingTool
        espeak-ng is not installed or does not work.
    UsageError
        A keyword that cannot be spoken, or two that sound the same.
    """
    require_espeak()
    settings = settings or SynthesisSettings()
    keywords = parse_keywords(",".join(keywords))
    tell = progress or (lambda what, done, total: None)
    # one stream for each purpose, so that drawing more of one thing leaves the others alone
    script_rng, room_rng, noise_rng, mix_rng = (np.random.default_rng(seed) for seed in np.random.SeedSequence(settings.seed).spawn(4))

    general, near = unknown_texts(keywords, settings.n_near)
    voices = split_voices(script_rng)
    script = write_script(script_rng, keywords, general, near, voices, settings)
    utterances = [line.utterance for line in script if line.utterance]
    for split in SPLITS:
        by = [voices[split][i] for i in script_rng.integers(0, len(voices[split]), _N_TALK)]
        utterances += [speaking_style(script_rng, general[i], by[k], settings) for k, i in enumerate(script_rng.integers(0, len(general), _N_TALK))]
    _log.info("espeak-ng speaks %d utterances", len(utterances))
    tell("speaking", 0, len(utterances))
    spoken, engine = speak(utterances)
    speech = []
    for i, samples in enumerate(spoken):
        if i % 100 == 0:
            tell("resampling", i, len(spoken))
        speech.append(trim(resample(samples.astype(np.float64), ESPEAK_RATE, SAMPLE_RATE)))
    talk = {split: speech[len(speech) + (k - len(SPLITS)) * _N_TALK :][:_N_TALK] for k, split in enumerate(SPLITS)}
    spoken_lines = [line for line in script if line.utterance]
    if settings.seconds is None:
        n_samples = clip_length([x for x, line in zip(speech, spoken_lines, strict=False) if line.label < len(keywords)], SAMPLE_RATE)
    else:
        n_samples = round(settings.seconds * SAMPLE_RATE)

    noise, clips, snr_db = {}, [], []
    for split in SPLITS:
        is_train = split == "train"
        noise[split] = generate_noise(noise_rng, settings.n_noise if is_train else max(2, settings.n_noise // 2), 4 * n_samples / SAMPLE_RATE, talk[split])
        rooms = draw_rooms(room_rng, max(4, settings.n_rooms // (1 if is_train else 4)))
        said = [x for x, line in zip(speech, spoken_lines, strict=False) if line.split == split]
        mixed, snr = mix_clips(
            mix_rng,
            said,
            n_samples,
            rooms,
            settings.level_db,
            noise[split],
            () if is_train else settings.snr_db,
            lambda done, total, split=split: tell(f"mixing {split} clips", done, total),
        )
        n_silent = settings.clips_per_class(split)
        clips += [mixed, noise_only(mix_rng, noise[split], n_silent, n_samples)]
        snr_db += [snr, np.full(n_silent, -np.inf, np.float32)]

    classes = (*keywords, UNKNOWN, SILENCE)
    return Corpus(
        clips=np.concatenate(clips),
        labels=np.array([line.label for line in script], np.int64),
        classes=classes,
        words=tuple(line.word or SILENCE for line in script),
        speakers=tuple(line.utterance.voice if line.utterance else "" for line in script),
        split=tuple(line.split for line in script),
        clip_ids=tuple(f"{classes[line.label]}/{line.split}-{i:05d}" for i, line in enumerate(script)),
        snr_db=np.concatenate(snr_db),
        noise=noise,
        provenance={
            "parameters": synthesis_parameters(keywords, settings),
            "source": f"espeak-ng {engine}, synthesized speech",
            "near_misses": near,
            "voices": voices,
            "numpy": np.__version__,
        },
    )
