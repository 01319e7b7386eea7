# SPDX-License-Identifier: Apache-2.0
"""From a supernet to a discrete network: the likeliest size and types, R as thresholds, tau as a few kinds of neurons."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from ...edge.errors import Error
from ..model import LayerConfig, ModelConfig, SCMLModel
from ..timescales.hierarchy import Timescales
from ..topology import Topology
from .supernet import Supernet

__all__ = ["SearchStopped", "cluster", "discrete_config", "discrete_model", "found_topologies"]


class SearchStopped(Error):
    """A search that cannot go on, or that found nothing; its last checkpoint stays."""


def found_topologies(supernet: Supernet) -> list[Topology]:
    """The likeliest topology of each layer. Raises ``SearchStopped`` where one has no link at all."""
    topologies = [candidates.topology() for candidates in supernet.candidates]  # type: ignore[operator]
    for number, topology in enumerate(topologies):
        if not topology.types.any():
            raise SearchStopped(
                f"a found topology must have links, but every type of layer {number} (motif size {topology.size}) is none: search on with more epochs and a "
                "lower price, or with another seed in another --output"
            )
    return topologies


def cluster(tau: np.ndarray, kinds: int) -> np.ndarray:
    """Time constants rounded to the middles of ``kinds`` cells of one ratio between the least and the greatest: at most half a cell away.

    Parameters
    ----------
    tau : float64 [n_neurons], > 0
        Time constants in timesteps.
    kinds : int, >= 1
        Most different values.

    Returns
    -------
    float64 [n_neurons]
        Unchanged where there are few enough already.

    Examples
    --------
    >>> cluster(np.array([2.0, 2.1, 8.0]), 2).round(2).tolist()
    [2.83, 2.83, 5.66]
    """
    if len(np.unique(tau)) <= kinds:
        return tau.copy()
    logarithm = np.log(tau)
    width = np.ptp(logarithm) / kinds
    cell = np.minimum((logarithm - logarithm.min()) // width, kinds - 1)
    rounded: np.ndarray = np.exp(logarithm.min() + (cell + 0.5) * width)
    return rounded


def discrete_config(
    supernet: Supernet, config: ModelConfig, topologies: list[Topology], *, keep_intrinsic: bool = True, kinds: int | None = None
) -> ModelConfig:
    """Configuration of the discrete network.

    Parameters
    ----------
    supernet : Supernet
    config : ModelConfig
        Of the search.
    topologies : list of Topology
        One a layer.
    keep_intrinsic : bool
        Whether neurons keep the R and tau of the search; else all is as ``config`` has it.
    kinds : int, optional
        Most different time constants of a layer; absent: each neuron has its own.
    """

    def layer(number: int, given: LayerConfig) -> LayerConfig:
        found = dataclasses.replace(given, motif=topologies[number].size, topology=topologies[number].rows())
        if not keep_intrinsic:
            return found
        resistance, tau, _ = supernet.intrinsic(number)
        clustered = tau if kinds is None else cluster(tau, kinds)
        return dataclasses.replace(found, tau_membrane=tuple(clustered.tolist()), threshold=tuple((tau / resistance).tolist()), train_decays=False)

    layers = tuple(layer(number, given) for number, given in enumerate(config.layers))
    return dataclasses.replace(config, layers=layers, timescales=Timescales() if keep_intrinsic else config.timescales)  # what plasticity found stands


@torch.no_grad()
def discrete_model(supernet: Supernet, config: ModelConfig) -> SCMLModel:
    """The network of ``config``, as ``discrete_config`` made it, with the weights of the supernet: what one-hot probabilities make of the supernet."""
    model = SCMLModel(config, supernet.n_inputs, supernet.n_classes, supernet.payload_max)
    for number, topology in enumerate(model.topologies):
        band = supernet.lateral[number]
        row = {int(distance): d for d, distance in enumerate(supernet.candidates[number].distances)}  # type: ignore[union-attr, arg-type]
        size, n = topology.size, config.layers[number].neurons
        first = torch.arange(0, n, size)
        for i, j in np.argwhere(topology.intra).tolist():  # absent links are never read
            model.intra[number][:, i, j] = band[row[j - i], first + i]
        for d, delta in enumerate(topology.deltas):
            if size < n:
                model.lateral[number][d] = band[row[delta * size]]
        model.feed_forward[number].copy_(supernet.feed_forward[number])
        if str(number) in supernet.places:
            model.places[str(number)].copy_(supernet.places[str(number)])
    model.readout.copy_(supernet.readout)
    model.readout_bias.copy_(supernet.readout_bias)
    model.shifts.copy_(supernet.shifts)
    return model
