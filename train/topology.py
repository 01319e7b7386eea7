# SPDX-License-Identifier: Apache-2.0
"""The topology that all motifs of an SC-ML layer share: one connection type per link.

Source: Zhang, Geng and Li, "Composing Recurrent Spiking Neural Networks using Locally-Recurrent Motifs and Risk-Mitigating
Architectural Optimization", Frontiers in Neuroscience 2024, sections on SC-ML.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

__all__ = ["Link", "Topology", "hand_set"]


class Link(IntEnum):
    """Type of a link."""

    NONE = 0
    EXCITATORY = 1  # trained, never negative
    INHIBITORY = 2  # fixed, negative
    FREE = 3  # trained, either sign (not in the paper)


@dataclass(frozen=True)
class Topology:
    """Connection types of one motif.

    Attributes
    ----------
    intra : int8 [size, size], Link
        From neuron i to neuron j of the same motif, self-connections included.
    deltas : tuple of int
        Motif distances that have lateral links, never 0.
    lateral : int8 [n_deltas, size], Link
        From (m, j) to (m + delta, j).
    """

    intra: np.ndarray
    deltas: tuple[int, ...]
    lateral: np.ndarray

    @property
    def size(self) -> int:
        """Neurons of a motif."""
        return len(self.intra)


def hand_set(size: int, *, reach: int = 2, link: Link = Link.FREE) -> Topology:
    """The topology used before any search: each neuron reaches itself, ``reach`` neighbors on a ring to each side, and its twins in both neighboring motifs.

    Parameters
    ----------
    size : int, >= 1
        Neurons of a motif.
    reach : int, >= 0
        Ring neighbors to each side.
    link : Link
        Type of every link.
    """
    index = np.arange(size)
    distance = np.minimum((index[:, None] - index) % size, (index - index[:, None]) % size)
    intra = np.where(distance <= reach, link, Link.NONE).astype(np.int8)
    return Topology(intra, (-1, 1), np.full((2, size), link, np.int8))
