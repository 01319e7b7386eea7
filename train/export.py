# SPDX-License-Identifier: Apache-2.0
"""The only door out of ``train/``: a model's integers as a ``Network``, with the proofs of its construction."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..edge.network import Formats, MotifHint, Network, Readout, Reset
from .model import SCMLModel
from .topology import Topology

__all__ = ["to_network"]


@torch.no_grad()
def to_network(
    model: SCMLModel, labels: tuple[str, ...], *, payload_bits: int, max_timesteps: int = 1024, name: str = "keywords", metadata: dict[str, Any] | None = None
) -> Network:
    """Export a model.

    Axons: one for each input channel, then for each neuron of layer l one for its motif links and one for its feed-forward links.
    What the weight shifts of a layer have in common goes into the drive shift of its kinds, so that gathered sums stay narrow.

    Parameters
    ----------
    model : SCMLModel
    labels : tuple of str
        One a class.
    payload_bits : int
        Unsigned width of input payloads.
    max_timesteps : int
        Longest clip.
    name : str
        Identifier of the network.
    metadata : dict, optional
        Front end, detector, provenance.

    Raises
    ------
    NetworkError
        If a bound does not hold (P1, P2), with every sentence.
    """
    parts = _Parts(model)
    for number in range(len(model.constants)):
        parts.add_layer(number)
    parts.add_readout()
    config = model.config
    formats = Formats(
        membrane_bits=config.membrane_bits, current_bits=config.current_bits, weight_bits=config.weight_bits, decay_bits=config.decay_bits,
        payload_bits=payload_bits, accumulator_bits=config.accumulator_bits, max_timesteps=max_timesteps, flush=len(model.constants),
    )  # fmt: skip
    first_readout = len(parts.threshold) - model.n_classes
    return Network(
        formats=formats, n_inputs=model.n_inputs, labels=labels, name=name, metadata=metadata or {}, readout=Readout.SUM, motifs=tuple(parts.motifs),
        readout_neuron=np.arange(first_readout, first_readout + model.n_classes), readout_class=np.arange(model.n_classes), **parts.arrays(),
    )  # fmt: skip


class _Parts:
    """Axons, neurons and kinds collected layer by layer."""

    def __init__(self, model: SCMLModel) -> None:
        self.model = model
        self.sources: list[int] = []
        self.delays: list[int] = []
        self.shifts: list[int] = []
        self.lists: list[tuple[np.ndarray, np.ndarray]] = []
        self.kinds: list[tuple[int, int, int, int, int, int, int]] = []  # membrane decay, current decay, firing, reset, refractory, drive, current shift
        self.kind: list[int] = []
        self.threshold: list[int] = []
        self.bias: list[int] = []
        self.motifs: list[MotifHint] = []
        self.below = np.arange(model.n_inputs)  # axon sources of the layer below

    def add_layer(self, number: int) -> None:
        """Axons into layer ``number`` and its neurons."""
        model, constants, topology = self.model, self.model.constants[number], self.model.topologies[number]
        forward, recurrent = (int(model.shifts[2 * number + i]) for i in (0, 1))
        common = min(forward, recurrent)
        base = len(self.threshold)
        n = len(constants.firing)
        self._feed_forward(model.feed_forward_integers(number), base, forward - common, model.config.layers[number].delays)
        intra, lateral = (w.numpy().astype(np.int64) for w in model.recurrent_integers(number))
        for neuron in range(n):
            m, j = divmod(neuron, topology.size)
            row = np.zeros(n, np.int64)
            row[m * topology.size : (m + 1) * topology.size] += intra[m, j]
            for d, delta in enumerate(topology.deltas):
                if 0 <= m + delta < n // topology.size:
                    row[neuron + delta * topology.size] += lateral[d, neuron]
            self._axon(model.n_inputs + base + neuron, recurrent - common, row, base)
        membrane_decay, current_decay = (decay.numpy() for decay in model.decay_integers(number))
        kinds = zip(membrane_decay, current_decay, constants.subtract, constants.refractory, constants.current_shift, strict=True)
        for dm, dc, subtract, refractory, shift in kinds:
            row_kind = (int(dm), int(dc), 1, int(Reset.SUBTRACT if subtract else Reset.ZERO), int(refractory), common, int(shift))
            self.kind.append(self._kind(row_kind))
        for column, integers in zip((self.threshold, self.bias), model.neuron_integers(number), strict=True):
            column += integers.numpy().astype(np.int64).tolist()
        self.motifs.append(_hint(topology, base, n))
        self.below = model.n_inputs + base + np.arange(n)

    def add_readout(self) -> None:
        """Axons into the readout and its neurons."""
        model = self.model
        base, shift = len(self.threshold), int(model.shifts[-1])
        self._feed_forward(model.weight_integers(model.readout, -1), base, 0)
        for decay in model.readout_constants.membrane_decay:
            self.kind.append(self._kind((int(decay), 0, 0, int(Reset.ZERO), 0, shift, 0)))
            self.threshold.append(0)
        self.bias += model.readout_bias_integers().numpy().astype(np.int64).tolist()

    def arrays(self) -> dict[str, np.ndarray]:
        """Keyword arguments of ``Network``."""
        counts = [len(targets) for targets, _ in self.lists]
        empty = [np.zeros(0, np.int64)]
        table = np.array(self.kinds, np.int64)
        return {
            "axon_source": np.array(self.sources), "axon_shift": np.array(self.shifts), "axon_delay": np.array(self.delays),
            "synapse_start": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            "synapse_target": np.concatenate(empty + [targets for targets, _ in self.lists]),
            "synapse_weight": np.concatenate(empty + [weights for _, weights in self.lists]),
            "neuron_kind": np.array(self.kind), "threshold": np.array(self.threshold), "bias": np.array(self.bias), "kind_membrane_decay": table[:, 0],
            "kind_current_decay": table[:, 1:2], "kind_firing": table[:, 2], "kind_reset": table[:, 3], "kind_refractory": table[:, 4],
            "kind_drive_shift": table[:, 5], "kind_current_shift": table[:, 6],
        }  # fmt: skip

    def _feed_forward(self, weights: torch.Tensor, base: int, shift: int, delays: tuple[int, ...] = (0,)) -> None:
        sources = [(int(source), delay) for delay in delays for source in self.below]
        for (source, delay), row in zip(sources, weights.numpy().astype(np.int64), strict=True):
            self._axon(source, shift, row, base, delay)

    def _axon(self, source: int, shift: int, row: np.ndarray, base: int, delay: int = 0) -> None:
        """An axon from a dense row of weights; none where all are zero."""
        targets = np.flatnonzero(row)
        if len(targets):
            self.sources.append(source)
            self.delays.append(delay)
            self.shifts.append(shift)
            self.lists.append((base + targets, row[targets]))

    def _kind(self, row: tuple[int, int, int, int, int, int, int]) -> int:
        if row not in self.kinds:
            self.kinds.append(row)
        return self.kinds.index(row)


def _hint(topology: Topology, base: int, neurons: int) -> MotifHint:
    intra = tuple((int(i), int(j)) for i, j in np.argwhere(topology.intra))
    lateral = tuple((topology.deltas[d], int(j)) for d, j in np.argwhere(topology.lateral))
    return MotifHint(base=base, size=topology.size, count=neurons // topology.size, intra=intra, lateral=lateral)
