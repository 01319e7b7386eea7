# SPDX-License-Identifier: Apache-2.0
"""Spiking baselines: the configuration of a motif network with as many neurons and other recurrence. They train, export and run as ours do."""

from __future__ import annotations

import dataclasses

from ..config import Config

__all__ = ["dense", "feed_forward"]


def dense(config: Config) -> Config:
    """Every neuron of a layer reaches every neuron of it: one motif of the whole layer, whose ring of neighbors closes."""
    return _one_motif(config, reach=lambda neurons: neurons // 2)


def feed_forward(config: Config) -> Config:
    """No link within a layer: one motif of the whole layer, in which not even a self-connection (distance 0) is within reach."""
    return _one_motif(config, reach=lambda _: -1)


def _one_motif(config: Config, reach: object) -> Config:
    layers = tuple(dataclasses.replace(layer, motif=layer.neurons, reach=reach(layer.neurons)) for layer in config.model.layers)  # type: ignore[operator]
    return dataclasses.replace(config, model=dataclasses.replace(config.model, layers=layers))
