# SPDX-License-Identifier: Apache-2.0
"""Whether one network hears better than another on the same clips, where clips of one speaker stand or fall together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Difference", "clustered_bootstrap"]


@dataclass(frozen=True)
class Difference:
    """Accuracy of one network less that of another, in shares of clips.

    Attributes
    ----------
    mean : float
        Over all clips.
    low, high : float
        95 % interval.
    p : float, 0..1
        Two-sided: twice the share of samples on the other side of 0, at least 2 / (samples + 1); below 0.05 where the interval leaves 0 out.
    """

    mean: float
    low: float
    high: float
    p: float


def clustered_bootstrap(correct: np.ndarray, rival: np.ndarray, clusters: Sequence[str], *, samples: int = 10_000, seed: int = 0) -> Difference:
    """Paired bootstrap over clusters: speakers are drawn with replacement, each with all clips and both networks' answers.

    Parameters
    ----------
    correct, rival : bool or float [n_clips], 0..1
        Whether each network was right on a clip, or in what share of its seeds.
    clusters : str [n_clips]
        Who speaks.
    samples : int, >= 1
    seed : int

    Source: Field and Welsh 2007, "Bootstrapping clustered data", J. R. Stat. Soc. B 69 (the cluster bootstrap); percentile interval.
    """
    correct, rival = np.asarray(correct, np.float64), np.asarray(rival, np.float64)
    if not len(correct) == len(rival) == len(clusters) > 0:
        raise ValueError(f"both networks and the clusters must be of the same clips, at least one, not {len(correct)}, {len(rival)} and {len(clusters)}")
    _, of_clip = np.unique(np.asarray(clusters), return_inverse=True)
    size, gained = np.bincount(of_clip).astype(np.float64), np.bincount(of_clip, correct - rival)
    n, rng = len(size), np.random.default_rng(seed)
    drawn = rng.multinomial(n, np.full(n, 1 / n), samples)  # how often each cluster is in a sample
    differences = drawn @ gained / (drawn @ size)
    low, high = np.quantile(differences, (0.025, 0.975))
    tail = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    return Difference(float(gained.sum() / size.sum()), float(low), float(high), float(min(1.0, 2 * (tail + 1) / (samples + 1))))
