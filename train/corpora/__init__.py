# SPDX-License-Identifier: Apache-2.0
"""Labelled audio: synthesized or recorded, with speaker-disjoint splits."""

from .corpus import SILENCE, SPLITS, UNKNOWN, Corpus
from .recordings import RecordingSettings, from_folder, words_in
from .script import SynthesisSettings
from .store import open_corpus
from .synthesis import synthesize
from .words import COMMANDS, parse_keywords

__all__ = [
    "COMMANDS",
    "SILENCE",
    "SPLITS",
    "UNKNOWN",
    "Corpus",
    "RecordingSettings",
    "SynthesisSettings",
    "from_folder",
    "open_corpus",
    "parse_keywords",
    "synthesize",
    "words_in",
]
