# SPDX-License-Identifier: Apache-2.0
"""A random network with the shape and size of the demo's: two motif layers behind 96 channels, and a readout."""

from __future__ import annotations

import numpy as np
from ormia.edge.network import Formats, MotifHint, Network, Readout

MOTIF = 16


def demo_like(seed: int = 0, n_inputs: int = 96, layers: tuple[int, int] = (96, 64), n_classes: int = 12, payload_bits: int = 4) -> Network:
    """Dense input and forward axons with a few zero weights left out, recurrence in motifs of one topology."""
    rng = np.random.default_rng(seed)
    n_neurons = sum(layers) + n_classes
    intra = tuple((i, j) for i in range(MOTIF) for j in range(MOTIF) if i != j and rng.random() < 0.5)
    lateral = tuple((delta, j) for delta in (-1, 1) for j in range(MOTIF) if rng.random() < 0.5)
    source, shift, start, target, weight = [], [], [0], [], []

    def connect(a: int, targets, left: int) -> None:
        kept = [t for t in targets if rng.random() < 0.93]
        source.append(a)
        shift.append(left)
        target.extend(kept)
        weight.extend((rng.integers(1, 8, len(kept)) * rng.choice([-1, 1], len(kept))).tolist())
        start.append(len(target))

    for channel in range(n_inputs):
        connect(channel, range(layers[0]), 2)
    hints, base = [], 0
    for size, following in zip(layers, (layers[1], n_classes), strict=True):
        hints.append(MotifHint(base=base, size=MOTIF, count=size // MOTIF, intra=intra, lateral=lateral))
        for neuron in range(base, base + size):
            connect(n_inputs + neuron, hints[-1].targets(neuron), 3)
            connect(n_inputs + neuron, range(base + size, base + size + following), 2)
        base += size
    kind = np.repeat([0, 1, 2], [*layers, n_classes])
    return Network(
        formats=Formats(max_timesteps=128, payload_bits=payload_bits),
        n_inputs=n_inputs,
        axon_source=source,
        axon_shift=shift,
        synapse_start=start,
        synapse_target=target,
        synapse_weight=weight,
        neuron_kind=kind,
        threshold=np.where(kind < 2, rng.integers(400, 4000, n_neurons), 0),
        kind_membrane_decay=[3700, 3900, 4096],
        kind_current_decay=[[2000], [2500], [3000]],
        kind_firing=[True, True, False],
        kind_reset=[1, 1, 0],
        kind_refractory=[0, 0, 0],
        kind_drive_shift=[0, 0, 0],
        kind_current_shift=[0, 0, 0],
        readout_neuron=np.arange(sum(layers), n_neurons),
        readout_class=np.arange(n_classes),
        readout=Readout.SUM,
        labels=tuple(f"word_{i}" for i in range(n_classes)),
        motifs=tuple(hints),
        name="demo_like",
    )
