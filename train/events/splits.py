# SPDX-License-Identifier: Apache-2.0
"""Validation clips out of the training part of a corpus that brings none. Knows speakers and labels, no events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...edge.errors import DataError, UsageError

__all__ = ["VALIDATIONS", "with_validation"]

VALIDATIONS = ("speakers", "clips")


def with_validation(
    split: Sequence[str], speakers: Sequence[str], labels: np.ndarray, *, by: str = "speakers", share: float = 0.2, seed: int = 0
) -> tuple[str, ...]:
    """Move training clips to validation.

    Parameters
    ----------
    split, speakers : str [n_clips]
        Splits so far, ``train`` and others; who made each clip.
    labels : int64 [n_clips]
    by : str
        ``speakers`` moves all training clips of drawn speakers, so that nobody is in both; ``clips`` moves drawn clips of each class, as papers on SHD do.
    share : float, 0..1
        Of the training speakers, or of the training clips of each class; at least one.
    seed : int
        Of the draw.

    Returns
    -------
    tuple of str [n_clips]

    Raises
    ------
    UsageError
        If ``by`` or ``share`` is impossible.
    DataError
        If fewer than two speakers are there to choose from.
    """
    if by not in VALIDATIONS:
        raise UsageError(f"validation must be by {' or '.join(VALIDATIONS)}, not {by!r}")
    if not 0 < share < 1:
        raise UsageError(f"validation_share must be between 0 and 1, not {share:g}")
    rng = np.random.default_rng(seed)
    train = np.flatnonzero(np.asarray(split) == "train")
    if by == "speakers":
        names = sorted({speakers[i] for i in train})
        if len(names) < 2:
            raise DataError(f'validation by speakers must have at least 2 training speakers to choose from, not {len(names)}; use validation = "clips"')
        drawn = {names[i] for i in rng.permutation(len(names))[: max(1, round(share * len(names)))]}
        moved = {int(i) for i in train if speakers[i] in drawn}
    else:
        moved = set()
        for label in np.unique(labels[train]):
            members = train[labels[train] == label]
            moved |= {int(i) for i in rng.permutation(members)[: max(1, round(share * len(members)))]}
    return tuple("valid" if i in moved else name for i, name in enumerate(split))
