# SPDX-License-Identifier: Apache-2.0
"""Event corpora of others, in their formats on disk: read once, binned, and given to training as payloads."""

from .catalog import CATALOG, corpus_entry, load_event_corpus
from .clips import EventClips
from .corpus import EventCorpus

__all__ = ["CATALOG", "EventClips", "EventCorpus", "corpus_entry", "load_event_corpus"]
