# SPDX-License-Identifier: Apache-2.0
"""Which score of a clip the loss sees: that of S8 for a clip that starts from reset, the detector's for one that is met in the middle of a stream.

Clips heard in a row (``augment.carry``) come as rows of one recording each; the network runs once through a row.
"""

from __future__ import annotations

import numpy as np
import torch

__all__ = ["clip_scores", "in_rows", "leak"]

EARLY = 6  # a detector may have to answer so many timesteps before the end of a clip


def leak(timesteps: float) -> float:
    """What a score that averages over about ``timesteps`` keeps from one to the next."""
    return 1 - 1 / timesteps


def in_rows(clips: np.ndarray, carry: int) -> np.ndarray:
    """Clips [n_clips, length, ...] as recordings [n_clips / carry, carry * length, ...]; one a row where ``carry`` does not divide n_clips."""
    carry = carry if len(clips) % carry == 0 else 1
    return clips.reshape(len(clips) // carry, carry * clips.shape[1], *clips.shape[2:])


def clip_scores(emitted: torch.Tensor, n_clips: int, scored: int, flush: int, timesteps: float) -> torch.Tensor:
    """Scores of all clips of a batch, each about the size of a sum over ``scored`` timesteps.

    Parameters
    ----------
    emitted : float32 [n_timesteps + flush, n_rows, n_classes]
        ``Outputs.emitted`` of ``in_rows``.
    n_clips : int
    scored : int
        Timesteps of a clip that count, its last ones; what comes before is noise.
    flush : int
        Timesteps until the last event has reached the readout.
    timesteps : float
        Over which the detector averages.

    Returns
    -------
    float32 [n_clips, n_classes]
        Of the first clip of each row the sum of S8 over its ``scored`` timesteps, of every later one the detector's smoothed score up to ``EARLY`` timesteps
        before its end.
    """
    n_rows = emitted.shape[1]
    carry = n_clips // n_rows
    length = (len(emitted) - flush) // carry
    end = length + flush
    first = emitted[max(0, end - scored - flush) : end].sum(0)
    if carry == 1:
        return first
    asked = torch.tensor([(clip + 1) * length + flush - 1 - int(torch.randint(0, EARLY + 1, ())) for clip in range(1, carry)])
    lag = asked[:, None] - torch.arange(len(emitted))
    weight = torch.where(lag >= 0, leak(timesteps) ** lag.clamp(min=0), 0.0).to(emitted)
    later = torch.einsum("st,tnc->snc", weight * (0.7 * scored / min(scored, timesteps)), emitted)  # a word fills about 0.7 of the average
    return torch.cat([first[None], later]).transpose(0, 1).reshape(n_clips, -1)
