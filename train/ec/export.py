# SPDX-License-Identifier: Apache-2.0
"""A boolean network as a ``Network`` of docs/semantics.md: every weight is 1 or -1, every axon boolean, all scale in shifts and thresholds.

Input channel k has two axons into the unfiltered compartment 0, of weights 1 and -1; a neuron has one into compartment 1, which filters in spiking
neurons and does not in readout neurons. The readout is read at the last timestep of a window, one timestep after the spikes it holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...edge.errors import UsageError
from ...edge.network import Formats, Network, Readout, Reset
from .model import NetworkConfig, unpack_rows
from .scales import CURRENT_SHIFT, Scales
from .topology import Topology

__all__ = ["MAX_TIMESTEPS", "to_network"]

DECAY_BITS = 12
MAX_TIMESTEPS = 1 << 16
INPUT, RECURRENT = 0, 1  # compartments


def to_network(
    words: np.ndarray, config: NetworkConfig, topology: Topology, scale: Scales, labels: tuple[str, ...], *, payload_bits: int, payload_signed: bool,
    max_timesteps: int = MAX_TIMESTEPS, offsets: np.ndarray | None = None, name: str = "network", metadata: dict[str, Any] | None = None,
) -> Network:  # fmt: skip
    """Export one individual.

    Parameters
    ----------
    words : uint64 [bits / 64]
        Its booleans.
    config : NetworkConfig
    topology : Topology
        What they connect.
    scale : Scales
    labels : tuple of str
        One an output.
    payload_bits : int
        Width of inputs.
    payload_signed : bool
        Whether inputs are two's complement.
    max_timesteps : int
        Longest clip.
    offsets : float64 [n_outputs], optional
        Taken from the outputs: initial membranes of the readout, which must forget nothing.
    name : str
    metadata : dict, optional

    Returns
    -------
    Network
        Readout neurons are the last; their membranes are ``scale.output`` times the outputs.

    Raises
    ------
    UsageError
        If the network was not searched as integers can run it.
    """
    if not config.readout_delay or (config.payload_bits == 0 and payload_signed):
        raise UsageError("a network for export must be searched with network.readout_delay = true and payload_bits of 2..8: correct the recipe")
    layout, place = topology.layout, np.concatenate([topology.order, np.arange(topology.layout.neurons, topology.layout.neurons + len(labels))])
    rows = unpack_rows(topology.connect(words[None])[0])
    n, n_outputs = layout.neurons, layout.n_outputs
    plus, minus = rows[0 : layout.recurrent : 2], rows[1 : layout.recurrent : 2]
    drive_shift = min(scale.input_shift, scale.recurrent_shift, 7)
    shifts = {INPUT: scale.input_shift - drive_shift, RECURRENT: scale.recurrent_shift - drive_shift}
    readout_drive = scale.readout_shift - shifts[RECURRENT]
    if not (max(shifts.values()) <= 7 and 0 <= readout_drive <= 7):
        raise UsageError(f"shifts of axons and of the readout must lie in 0..7, not {shifts[INPUT]}, {shifts[RECURRENT]}, {readout_drive}: change the gains")
    axons: list[tuple[int, int, int, np.ndarray]] = []  # source, weight, compartment, targets
    for channel in range(layout.n_inputs):
        axons.append((channel, 1, INPUT, np.sort(place[np.flatnonzero(plus[channel] & ~minus[channel])])))  # a channel that both choose cancels
        axons.append((channel, -1, INPUT, np.sort(place[np.flatnonzero(minus[channel] & ~plus[channel])])))
    for neuron in range(n):
        targets = np.concatenate([rows[layout.recurrent + neuron], rows[layout.readout :, neuron]])
        sign = 1 if neuron < config.n_excitatory else -1
        axons.append((layout.n_inputs + int(place[neuron]), sign, RECURRENT, np.sort(place[np.flatnonzero(targets)])))
    axons = [axon for axon in axons if len(axon[3])]
    counts = [len(axon[3]) for axon in axons]
    initial = np.zeros(n + n_outputs, np.int64)
    if offsets is not None:
        initial[n:] = -np.rint(offsets * scale.output).astype(np.int64)
    spiking, factor = np.arange(n + n_outputs) < n, 1 << DECAY_BITS
    largest = (1 << (payload_bits - 1)) if payload_signed else (1 << payload_bits) - 1
    reach = max(layout.n_inputs * largest << shifts[INPUT], n << shifts[RECURRENT])
    formats = Formats(
        weight_bits=2, decay_bits=DECAY_BITS, payload_bits=payload_bits, payload_signed=payload_signed, accumulator_bits=max(16, reach.bit_length() + 1),
        max_timesteps=max_timesteps,
    )  # fmt: skip
    return Network(
        formats=formats, n_inputs=layout.n_inputs, labels=labels, name=name, metadata=metadata or {}, readout=Readout.LAST,
        motifs=topology.hints(words),
        axon_source=np.array([axon[0] for axon in axons], np.int64), axon_shift=np.array([shifts[axon[2]] for axon in axons], np.int64),
        axon_compartment=np.array([axon[2] for axon in axons], np.int64), axon_boolean=np.ones(len(axons), bool),
        synapse_start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        synapse_target=np.concatenate([np.zeros(0, np.int64), *(axon[3] for axon in axons)]),
        synapse_weight=np.repeat(np.array([axon[1] for axon in axons], np.int64), counts),
        neuron_kind=np.where(spiking, 0, 1), threshold=np.where(spiking, scale.threshold, 0),
        kind_membrane_decay=_factors(config.tau_membrane_ms, config.tau_readout_ms, config),
        kind_current_decay=np.array([[0, round(config.decay(config.tau_synapse_ms) * factor)], [0, 0]]),
        kind_firing=np.array([True, False]), kind_reset=np.full(2, int(Reset.ZERO)), kind_refractory=np.zeros(2, np.int64),
        kind_drive_shift=np.array([drive_shift, readout_drive]), kind_current_shift=np.array([CURRENT_SHIFT, 0]),
        initial_membrane=initial,
        readout_neuron=np.arange(n, n + n_outputs), readout_class=np.arange(n_outputs),
    )  # fmt: skip


def _factors(membrane_ms: float, readout_ms: float, config: NetworkConfig) -> np.ndarray:
    return np.array([round(config.decay(tau) * (1 << DECAY_BITS)) for tau in (membrane_ms, readout_ms)])
