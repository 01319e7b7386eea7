# SPDX-License-Identifier: Apache-2.0
"""How many kinds of neurons trained time constants are worth: decays of a layer drawn together to few, and what that does to accuracy and memory."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from ...edge.cost import core_memories
from ..export import to_network
from ..loop import accuracy
from ..model import SCMLModel

__all__ = ["drawn_together", "fewer_kinds", "kinds_table"]


def drawn_together(decays: np.ndarray, kinds: int) -> np.ndarray:
    """Decays moved to at most ``kinds`` values, each to the nearest: the means of k-means on the logarithm of the time constant.

    Parameters
    ----------
    decays : float64 [n], 0..1
        Shares of what a membrane keeps.
    kinds : int, >= 1

    Examples
    --------
    >>> drawn_together(np.array([0.5, 0.52, 0.9, 0.91]), 2).round(2).tolist()
    [0.51, 0.51, 0.91, 0.91]
    """
    places = np.log(-np.log(np.clip(decays, 1e-4, 1 - 1e-4)))
    if len(np.unique(places)) <= kinds:
        return decays
    centers = np.unique(np.quantile(places, (np.arange(kinds) + 0.5) / kinds))
    for _ in range(50):
        nearest = np.abs(places[:, None] - centers).argmin(1)
        moved = np.array([places[nearest == k].mean() if np.any(nearest == k) else center for k, center in enumerate(centers)])
        if np.array_equal(moved, centers):
            break
        centers = moved
    found: np.ndarray = np.exp(-np.exp(centers[np.abs(places[:, None] - centers).argmin(1)]))
    return found


@torch.no_grad()
def fewer_kinds(model: SCMLModel, kinds: int) -> SCMLModel:
    """A copy whose layers with trained time constants have at most ``kinds`` of them each."""
    found = copy.deepcopy(model)
    for shares in found.decays.values():
        shares[:-1] = torch.from_numpy(drawn_together(shares[:-1].numpy().astype(np.float64), kinds).astype(np.float32))
    return found


def kinds_table(
    model: SCMLModel, payloads: np.ndarray, labels: np.ndarray, *, payload_bits: int, counts: tuple[int, ...] = (1, 2, 4, 8, 16)
) -> list[dict[str, Any]]:
    """Accuracy and memory of a model by the most kinds a layer may have, ``None`` for as trained.

    Parameters
    ----------
    model : SCMLModel
    payloads, labels
        Clips to judge by: int16 [n_clips, n_timesteps, n_inputs], int64 [n_clips].
    payload_bits : int
    counts : tuple of int
    """
    rows = []
    for most in (*counts, None):
        less = model if most is None else fewer_kinds(model, most)
        net = to_network(less, tuple(map(str, range(model.n_classes))), payload_bits=payload_bits)
        table = next(m for m in core_memories(net) if m.name == "neuron parameters")
        rows.append({"most": most, "kinds": net.n_kinds, "accuracy": accuracy(less, payloads, labels), "neuron_parameter_bits": table.size})
    return rows
