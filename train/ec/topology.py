# SPDX-License-Identifier: Apache-2.0
"""What booleans are searched, and how they become the connections of a network: each connection its own, or one motif that serves all motifs.

A motif topology searches its links once (H1 of docs/semantics.md): those within a motif, and lateral ones from a neuron to its like in motifs nearby.
Input and readout are connection by connection in both.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ...edge.errors import UsageError
from ...edge.network import MotifHint
from .bits import WORD_BITS
from .model import Layout, NetworkConfig, pack_rows, unpack_rows

__all__ = ["FreeTopology", "MotifTopology", "Topology", "make_topology"]


class Topology(Protocol):
    """From searched booleans to connections.

    Attributes
    ----------
    bits : int
        Booleans that are searched, whole words.
    readout : int
        The first of those of the readout, if these are the last; otherwise ``bits``.
    order : int64 [neurons]
        Place of each neuron in an exported network.
    """

    layout: Layout
    bits: int
    readout: int
    order: np.ndarray

    def connect(self, words: np.ndarray) -> np.ndarray:
        """Connections, uint64 [n, rows, words], of packed booleans, uint64 [n, bits / 64]."""

    def hints(self, words: np.ndarray) -> tuple[MotifHint, ...]:
        """Structure of one individual, uint64 [bits / 64], in exported order."""


class FreeTopology:
    """Every connection is searched.

    Parameters
    ----------
    layout : Layout
    """

    def __init__(self, layout: Layout) -> None:
        self.layout, self.bits, self.order = layout, layout.bits, np.arange(layout.neurons)
        self.readout = layout.readout * layout.neurons

    def connect(self, words: np.ndarray) -> np.ndarray:
        """See ``Topology``: ``words`` are the connections."""
        return words.reshape(len(words), self.layout.rows, self.layout.words)

    def hints(self, words: np.ndarray) -> tuple[MotifHint, ...]:
        """None, whatever ``words`` are."""
        return ()


class MotifTopology:
    """One motif for all. Its first neurons excite, so those of all motifs come first in the network and ``order`` brings motifs together again.

    Parameters
    ----------
    layout : Layout
    size : int
        Neurons of a motif; divides the neurons.
    reach : int, >= 0
        Lateral links lead to motifs up to so far away, to either side.
    excitatory : int
        Neurons of the network that excite; as many in each motif.

    Raises
    ------
    UsageError
        If motifs do not fill the network evenly.
    """

    def __init__(self, layout: Layout, size: int, reach: int, excitatory: int) -> None:
        count = layout.neurons // max(1, size)
        if size < 1 or reach < 0 or size * count != layout.neurons or excitatory % count:
            rule = "network.motif must divide the neurons and give every motif as many that excite, network.motif_reach must be at least 0"
            raise UsageError(f"{rule}: correct the recipe")
        self.layout, self.size, self.count = layout, size, count
        self.deltas = tuple(delta for delta in range(-reach, reach + 1) if delta)
        own = (layout.recurrent + layout.n_outputs) * layout.neurons
        used = own + size * size + len(self.deltas) * size
        self.bits = self.readout = -(-used // WORD_BITS) * WORD_BITS  # the booleans that fill the last word connect nothing
        exciting = excitatory // count
        j, m = np.arange(size), np.arange(count)[:, None]
        place = np.where(j < exciting, m * exciting + j, excitatory + m * (size - exciting) + j - exciting)  # [count, size]: neuron (m, j) of the network
        self._place = place
        self.order = np.empty(layout.neurons, np.int64)
        self.order[place.ravel()] = np.arange(layout.neurons)

    def connect(self, words: np.ndarray) -> np.ndarray:
        """See ``Topology``; ``words`` are the booleans."""
        connections = np.zeros((len(words), self.layout.rows, self.layout.words), np.uint64)
        for i, individual in enumerate(words):
            own, intra, lateral = self._parts(individual)
            rows = np.zeros((self.layout.rows, self.layout.neurons), bool)
            rows[: self.layout.recurrent], rows[self.layout.readout :] = own[: self.layout.recurrent], own[self.layout.recurrent :]
            recurrent = rows[self.layout.recurrent : self.layout.readout]
            for m in range(self.count):
                recurrent[np.ix_(self._place[m], self._place[m])] = intra
                for delta, chosen in zip(self.deltas, lateral, strict=True):
                    if 0 <= m + delta < self.count:
                        recurrent[self._place[m, chosen], self._place[m + delta, chosen]] = True
            connections[i] = pack_rows(rows)
        return connections

    def hints(self, words: np.ndarray) -> tuple[MotifHint, ...]:
        """The motif of the individual ``words``."""
        _, intra, lateral = self._parts(words)
        inside = tuple((int(a), int(b)) for a, b in np.argwhere(intra))
        beside = tuple((delta, int(j)) for delta, chosen in zip(self.deltas, lateral, strict=True) for j in np.flatnonzero(chosen))
        return (MotifHint(base=0, size=self.size, count=self.count, intra=inside, lateral=beside),)

    def _parts(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows of inputs and readout, links within a motif, lateral links; bool."""
        flat = unpack_rows(words)
        own = (self.layout.recurrent + self.layout.n_outputs) * self.layout.neurons
        inside = own + self.size * self.size
        lateral = flat[inside : inside + len(self.deltas) * self.size].reshape(len(self.deltas), self.size)
        return flat[:own].reshape(-1, self.layout.neurons), flat[own:inside].reshape(self.size, self.size), lateral


def make_topology(config: NetworkConfig, layout: Layout) -> Topology:
    """The topology that ``config`` asks for, of networks of ``layout``."""
    return MotifTopology(layout, config.motif, config.motif_reach, config.n_excitatory) if config.motif else FreeTopology(layout)
