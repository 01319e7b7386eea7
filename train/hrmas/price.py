# SPDX-License-Identifier: Apache-2.0
"""What the recurrence of a mixture is expected to take in hardware, differentiable by its probabilities: the terms of ``edge/cost.py`` and ``edge/cycles.py``.

With probabilities of 0 and 1 it is what the discrete network takes: synapses, weights and one list of targets a motif, slots walked a timestep.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from ...edge.cost import index_bits
from .config import PriceConfig
from .supernet import Candidates, Supernet

__all__ = ["Price", "expected_price", "price_loss"]


class Price(NamedTuple):
    """Of the recurrence of one layer.

    Attributes
    ----------
    synapses : scalar
        Stored weights.
    memory : scalar
        Bits of weights, and of targets, which all motifs share.
    cycles : scalar
        Clocks of a timestep in which the core walks synapses, one each.
    """

    synapses: torch.Tensor
    memory: torch.Tensor
    cycles: torch.Tensor


def expected_price(candidates: Candidates, rate: torch.Tensor, *, weight_bits: int, target_bits: int) -> Price:
    """Expectation over sizes and types.

    Parameters
    ----------
    candidates : Candidates
    rate : float32 [n_neurons]
        Spikes a timestep of each neuron.
    weight_bits, target_bits : int
        Widths of a stored weight and of a neuron's index.
    """
    return _expect(candidates, 1 - candidates.link_probabilities()[:, 0], candidates.size_probabilities(), rate, weight_bits, target_bits)


def price_loss(supernet: Supernet, rates: list[torch.Tensor], config: PriceConfig) -> torch.Tensor:
    """What the price adds to the loss of the architecture: each term as a share of the dearest candidate, mean over layers.

    Parameters
    ----------
    supernet : Supernet
    rates : list of float32 [n_neurons]
        Of each layer.
    config : PriceConfig
        Weights of the terms.
    """
    total = torch.zeros(())
    target_bits = index_bits(sum(layer.neurons for layer in supernet.config.layers) + supernet.n_classes)
    for candidates, rate in zip(supernet.candidates, rates, strict=True):
        assert isinstance(candidates, Candidates)
        weight_bits = supernet.config.weight_bits
        found = expected_price(candidates, rate, weight_bits=weight_bits, target_bits=target_bits)
        everything, each = torch.ones(len(candidates.link_logits)), torch.eye(len(candidates.sizes))
        dearest = [_expect(candidates, everything, size, torch.ones_like(rate), weight_bits, target_bits) for size in each]
        for k, weight in enumerate((config.synapses, config.memory, config.cycles)):
            total = total + weight * found[k] / max(float(price[k]) for price in dearest)
    return total / len(rates)


def _expect(candidates: Candidates, present: torch.Tensor, sizes: torch.Tensor, rate: torch.Tensor, weight_bits: int, target_bits: int) -> Price:
    total = Price(torch.zeros(()), torch.zeros(()), torch.zeros(()))
    for k, size in enumerate(candidates.sizes):
        links = present[candidates.starts[k] : candidates.starts[k + 1]]
        intra, lateral = links[: size * size].view(size, size), links[size * size :].view(len(candidates.deltas), -1)
        by_motif = rate.view(-1, size)
        copies = len(by_motif)
        synapses, shared, cycles = copies * intra.sum(), intra.sum(), (by_motif.sum(0) * intra.sum(1)).sum()
        for row, delta in zip(lateral, candidates.deltas, strict=True):
            for hop in candidates.hops(size, delta):
                sending = slice(max(0, -hop), copies - max(0, hop))  # motifs whose neighbor is within the layer
                each = row.view(-1, size).expand(copies, size)[sending]
                synapses, cycles = synapses + each.sum(), cycles + (by_motif[sending] * each).sum()
                shared = shared + each[0].sum()
        memory = synapses * weight_bits + (synapses if candidates.untied else shared) * target_bits  # untied: no two motifs have one list
        total = Price(*(t + sizes[k] * x for t, x in zip(total, (synapses, memory, cycles), strict=True)))
    return total
