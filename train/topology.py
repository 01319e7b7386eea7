# SPDX-License-Identifier: Apache-2.0
"""The topology that all motifs of an SC-ML layer share: one connection type per link.

Source: Zhang, Geng and Li, "Composing Recurrent Spiking Neural Networks using Locally-Recurrent Motifs and Risk-Mitigating
Architectural Optimization", Frontiers in Neuroscience 2024, sections on SC-ML.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from ..edge.errors import UsageError

__all__ = ["Link", "Topology", "hand_set", "shuffled"]

LETTERS = ".+-*"  # of the types, in their order


class Link(IntEnum):
    """Type of a link."""

    NONE = 0
    EXCITATORY = 1  # trained, never negative
    INHIBITORY = 2  # fixed, negative, never trained
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

    @property
    def typed(self) -> bool:
        """Whether some link is excitatory or inhibitory."""
        return bool(np.isin(self.types, (Link.EXCITATORY, Link.INHIBITORY)).any())

    @property
    def types(self) -> np.ndarray:
        """All types, int8 [size * size + n_deltas * size]: intra row by row, then lateral."""
        return np.concatenate([self.intra.ravel(), self.lateral.ravel()])

    def counts(self) -> dict[str, int]:
        """How many links of one motif have each type, candidates that are absent among them."""
        return {link.name.lower(): int(np.count_nonzero(self.types == link)) for link in Link}

    def rows(self) -> tuple[str, ...]:
        """As text, for recipes: a row for each neuron i, a letter for each link (i, j); then a row "delta: ..." for each lateral distance.

        Letters: ``.`` absent, ``+`` excitatory, ``-`` inhibitory, ``*`` free.

        Examples
        --------
        >>> Topology(np.array([[0, 1], [2, 3]], np.int8), (1,), np.array([[0, 1]], np.int8)).rows()
        ('.+', '-*', '1: .+')
        """

        def text(types: np.ndarray) -> str:
            return "".join(LETTERS[link] for link in types.tolist())

        laterals = (f"{delta}: {text(types)}" for delta, types in zip(self.deltas, self.lateral, strict=True))
        return (*map(text, self.intra), *laterals)

    @classmethod
    def from_rows(cls, rows: tuple[str, ...]) -> Topology:
        """The topology that ``rows`` wrote.

        Raises
        ------
        UsageError
            If the rows are no topology.
        """
        intra = [row for row in rows if ":" not in row]
        laterals = [row.split(":", 1) for row in rows if ":" in row]
        letters = [*intra, *(row.strip() for _, row in laterals)]
        wrong = [row for row in letters if len(row) != len(intra) or set(row) - set(LETTERS)]
        deltas = tuple(int(delta) if delta.strip().lstrip("+-").isdigit() else 0 for delta, _ in laterals)
        if not intra or wrong or 0 in deltas or len(set(deltas)) < len(deltas):
            what = f"{wrong[0]!r}" if wrong else f"{len(intra)} rows with distances {deltas}"
            raise UsageError(
                f"a topology must be as many rows of letters {LETTERS} as a motif has neurons, each as long, then rows like '-1: .+' of different "
                f"distances that are not 0; {what} is not: correct layers.topology"
            )
        table = np.array([[LETTERS.index(letter) for letter in row] for row in letters], np.int8)
        return cls(table[: len(intra)], deltas, table[len(intra) :])


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


def shuffled(topology: Topology, rng: np.random.Generator) -> Topology:
    """A random topology with as many links of each type, within motifs and for each lateral distance: the control of a search."""
    intra = rng.permutation(topology.intra.ravel()).reshape(topology.intra.shape)
    return Topology(intra, topology.deltas, rng.permuted(topology.lateral, axis=1))
