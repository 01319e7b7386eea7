# SPDX-License-Identifier: Apache-2.0
"""Cross-validation by speaker: the same clips under other splits, so that every clip is a test clip once and no speaker is on two sides.

Folds depend on who speaks how many clips of which class, not on the order of the clips. Audio is not copied.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

from ..edge.errors import DataError, UsageError
from .corpora.corpus import SILENCE, Corpus

__all__ = ["Folds", "clusters", "deal"]


def clusters(corpus: Corpus) -> tuple[str, ...]:
    """What must stay together, a name for each clip: its speaker; the clip itself where there is none, as for silence, which nobody speaks."""
    spoken = [speaker and corpus.classes[label] != SILENCE for speaker, label in zip(corpus.speakers, corpus.labels.tolist(), strict=True)]
    return tuple(f"speaker {s}" if is_word else f"clip {clip}" for s, clip, is_word in zip(corpus.speakers, corpus.clip_ids, spoken, strict=True))


def deal(names: Sequence[str], labels: np.ndarray, n_groups: int) -> np.ndarray:
    """Deal clusters to groups of nearly equal numbers of clips of every class.

    Parameters
    ----------
    names : str [n_clips]
        Cluster of each clip.
    labels : int64 [n_clips], >= 0
        Class of each clip.
    n_groups : int, >= 1

    Returns
    -------
    int64 [n_clips], 0..n_groups - 1
        Clips of one cluster are in one group. Clusters come in order of size, those of one size in order of the SHA-256 of their name; each goes where
        the sum of squared counts, in shares of their class, grows least, the first of equals.
    """
    index = {name: i for i, name in enumerate(sorted(set(names)))}
    of_clip = np.array([index[name] for name in names], np.int64)
    counts = np.zeros((len(index), int(labels.max(initial=-1)) + 2))
    np.add.at(counts, (of_clip, labels), 1.0)
    counts[:, -1] = counts.sum(1)  # all classes together count as one more
    order = sorted(index, key=lambda name: (-counts[index[name], -1], hashlib.sha256(name.encode()).hexdigest()))
    weight = 1.0 / np.maximum(counts.sum(0), 1.0) ** 2
    filled, group = np.zeros((n_groups, counts.shape[1])), np.zeros(len(index), np.int64)
    for name in order:
        added = counts[index[name]]
        growth = ((2 * filled + added) * added * weight).sum(1)
        group[index[name]] = chosen = int(np.argmin(np.round(growth, 12)))  # rounded: equal growths must not be told apart by the order of a sum
        filled[chosen] += added
    return group[of_clip]


class Folds:
    """Splits of a corpus for cross-validation.

    Fold k tests on one share of ``n_folds``, watches (``valid``) half of the next one where there are two speakers for each fold, all of it where there
    are fewer, and trains on the rest: 70 % of the clips for five folds.

    Parameters
    ----------
    corpus : Corpus
        Its own splits are forgotten.
    n_folds : int, 3 .. number of speakers

    Raises
    ------
    UsageError, DataError
        Where ``n_folds`` is below 3 or above the number of speakers.
    """

    def __init__(self, corpus: Corpus, n_folds: int = 5) -> None:
        if n_folds < 3:
            raise UsageError(f"cross-validation must have at least 3 folds, to test, to watch and to train, not {n_folds}")
        self.corpus, self.n_folds, self.clusters = corpus, n_folds, clusters(corpus)
        speakers = {name for name in self.clusters if name.startswith("speaker ")}
        if len(speakers) < n_folds:
            raise DataError(f"{n_folds} folds by speaker must have at least {n_folds} speakers, not {len(speakers)}: ask for fewer folds")
        self._parts = 2 if len(speakers) >= 2 * n_folds else 1
        self._group = deal(self.clusters, corpus.labels, self._parts * n_folds)

    def indices(self, fold: int) -> dict[str, np.ndarray]:
        """Positions, int64 ascending, of the clips that ``fold`` trains on, watches and tests on."""
        tested = self._group // self._parts == fold
        watched = self._group == (fold + 1) % self.n_folds * self._parts
        return {"train": np.flatnonzero(~(tested | watched)), "valid": np.flatnonzero(watched), "test": np.flatnonzero(tested)}

    def corpus_of(self, fold: int) -> Corpus:
        """The corpus under the splits of ``fold``, with the same audio in memory and a digest of its own."""
        split = np.empty(len(self.corpus.labels), dtype="<U5")
        for name, chosen in self.indices(fold).items():
            split[chosen] = name
        return dataclasses.replace(self.corpus, split=tuple(split.tolist()))
