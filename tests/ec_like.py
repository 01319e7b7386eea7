# SPDX-License-Identifier: Apache-2.0
"""A random network of the form that ``train/ec/export.py`` writes: boolean axons of weights 1 and -1, two compartments, a readout that does not fire."""

from __future__ import annotations

import numpy as np
from ormia.edge.network import Formats, Network, Readout


def ec_like(
    seed: int = 0, *, n_inputs: int = 4, neurons: int = 24, n_outputs: int = 2, density: float = 0.5, weight: int = 1, shift: int = 2, threshold: int = 60
) -> Network:
    """Each input channel has an axon of ``weight`` and one of ``-weight``, each neuron one, of ``weight`` in the first half of them."""
    rng = np.random.default_rng(seed)
    n = neurons + n_outputs
    axons = [(channel, sign * weight, 0) for channel in range(n_inputs) for sign in (1, -1)]
    axons += [(n_inputs + neuron, weight if neuron < neurons // 2 else -weight, 1) for neuron in range(neurons)]
    lists = [np.flatnonzero(rng.random(n) < density) for _ in axons]
    spiking = np.arange(n) < neurons
    return Network(
        formats=Formats(weight_bits=max(2, weight.bit_length() + 1), payload_bits=8, payload_signed=True, accumulator_bits=24, max_timesteps=256),
        n_inputs=n_inputs,
        axon_source=[source for source, _, _ in axons],
        axon_shift=[shift * compartment for _, _, compartment in axons],
        axon_compartment=[compartment for _, _, compartment in axons],
        axon_boolean=np.ones(len(axons), bool),
        synapse_start=np.cumsum([0, *map(len, lists)]),
        synapse_target=np.concatenate(lists),
        synapse_weight=np.repeat([own for _, own, _ in axons], [*map(len, lists)]),
        neuron_kind=np.where(spiking, 0, 1),
        threshold=np.where(spiking, threshold, 0),
        kind_membrane_decay=[3896, 3896],
        kind_current_decay=[[0, 3706], [0, 0]],
        kind_firing=[True, False],
        kind_reset=[0, 0],
        kind_refractory=[0, 0],
        kind_drive_shift=[4, 2],
        kind_current_shift=[3, 0],
        readout_neuron=np.arange(neurons, n),
        readout_class=np.arange(n_outputs),
        readout=Readout.LAST,
        labels=tuple(f"output_{i}" for i in range(n_outputs)),
        name="ec_like",
    )
