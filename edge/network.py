# SPDX-License-Identifier: Apache-2.0
"""The integer network: one frozen object that every backend runs.

Knows docs/semantics.md and nothing of training, files, devices or backends. Construction validates the
object and proves its bounds (``edge/validation.py``); what exists is a network.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any

import numpy as np

from .errors import NetworkError
from .fixedpoint import Format

__all__ = ["SEMANTICS_VERSION", "Formats", "MotifHint", "Network", "Readout", "Reset"]

SEMANTICS_VERSION = 1


class Reset(IntEnum):
    """What S6 does to the membrane of a neuron that fired."""

    ZERO = 0
    SUBTRACT = 1


class Readout(IntEnum):
    """How S8 turns emitted values into the score of a class."""

    SUM = 0
    LAST = 1
    SPIKES = 2


@dataclass(frozen=True, kw_only=True)
class Formats:
    """Declared widths (F1..F7 of docs/semantics.md)."""

    membrane_bits: int = 16
    current_bits: int = 16
    weight_bits: int = 4
    decay_bits: int = 12
    payload_bits: int = 1
    payload_signed: bool = False
    accumulator_bits: int = 16
    score_bits: int = 32
    max_timesteps: int = 1024
    flush: int = 0

    @property
    def membrane(self) -> Format:
        """Format of membranes, thresholds, biases and initial membranes."""
        return Format(self.membrane_bits)

    @property
    def current(self) -> Format:
        """Format of synaptic currents."""
        return Format(self.current_bits)

    @property
    def weight(self) -> Format:
        """Format of weights."""
        return Format(self.weight_bits)

    @property
    def payload(self) -> Format:
        """Format of input payloads."""
        return Format(self.payload_bits, self.payload_signed)

    @property
    def accumulator(self) -> Format:
        """Format that holds every gathered sum (P1)."""
        return Format(self.accumulator_bits)

    @property
    def score(self) -> Format:
        """Format that holds every class score (P2)."""
        return Format(self.score_bits)


@dataclass(frozen=True, kw_only=True)
class MotifHint:
    """An array of motifs of one topology (H1): neuron (m, j) = base + m * size + j.

    Attributes
    ----------
    base, size, count : int
        First neuron, neurons per motif, motifs.
    intra : tuple of (i, j)
        Links from neuron i to neuron j of the same motif.
    lateral : tuple of (delta_m, j)
        Links from (m, j) to (m + delta_m, j); absent where they leave the array.
    """

    base: int
    size: int
    count: int
    intra: tuple[tuple[int, int], ...] = ()
    lateral: tuple[tuple[int, int], ...] = ()

    def targets(self, neuron: int) -> list[int]:
        """All targets, ascending, that the links give a neuron of the array."""
        m, j = divmod(neuron - self.base, self.size)
        found = {self.base + m * self.size + b for a, b in self.intra if a == j}
        found |= {neuron + d * self.size for d, b in self.lateral if b == j and 0 <= m + d < self.count}
        return sorted(found)


# name -> (dtype, which length it has); the one table of the arrays of a network
ARRAYS: dict[str, tuple[type, str]] = {
    "axon_source": (np.int32, "axons"),
    "axon_delay": (np.uint8, "axons"),
    "axon_shift": (np.uint8, "axons"),
    "axon_compartment": (np.uint8, "axons"),
    "axon_boolean": (np.bool_, "axons"),
    "synapse_start": (np.int32, "axons + 1"),
    "synapse_target": (np.int32, "synapses"),
    "synapse_weight": (np.int16, "synapses"),
    "neuron_kind": (np.uint8, "neurons"),
    "threshold": (np.int32, "neurons"),
    "reset_by": (np.int32, "neurons"),
    "bias": (np.int32, "neurons"),
    "initial_membrane": (np.int32, "neurons"),
    "kind_membrane_decay": (np.uint16, "kinds"),
    "kind_current_decay": (np.uint16, "kinds, compartments"),
    "kind_firing": (np.bool_, "kinds"),
    "kind_reset": (np.uint8, "kinds"),
    "kind_refractory": (np.uint8, "kinds"),
    "kind_drive_shift": (np.uint8, "kinds"),
    "kind_current_shift": (np.uint8, "kinds"),
    "readout_neuron": (np.int32, "readouts"),
    "readout_class": (np.int32, "readouts"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A network of docs/semantics.md. Arrays are copied, cast without loss and made read-only.

    Parameters
    ----------
    formats : Formats
        Declared widths.
    n_inputs : int, 0..2**31 - 1 - n_neurons
        Input channels.
    axon_source : int32 [n_axons], 0..n_inputs + n_neurons - 1
        Input channel, or ``n_inputs`` + neuron (A2).
    axon_delay, axon_shift, axon_compartment : uint8 [n_axons], default 0
        Extra timesteps, left shift of the weights, compartment of the targets (A3).
    axon_boolean : bool [n_axons], default false
        Hint that all weights of the axon are equal (H2).
    synapse_start : int32 [n_axons + 1]
        Axon a owns synapses ``synapse_start[a] .. synapse_start[a + 1] - 1``.
    synapse_target, synapse_weight : int32, int16 [n_synapses]
        Fan-out lists (A4).
    neuron_kind : uint8 [n_neurons]
        Row of the kind table.
    threshold, reset_by, bias, initial_membrane : int32 [n_neurons]
        Per neuron (N3); ``reset_by`` defaults to the threshold, the last two to 0.
    kind_membrane_decay : uint16 [n_kinds]; kind_current_decay : uint16 [n_kinds, n_compartments]
        Decay factors, 0..2**decay_bits.
    kind_firing : bool, kind_reset, kind_refractory, kind_drive_shift, kind_current_shift : uint8 [n_kinds]
        The rest of the kind table (N2).
    readout_neuron, readout_class : int32 [n_readouts]
        Readout neurons in order and their classes (S8).
    readout : Readout
        Score rule.
    labels : tuple of str
        One name a class.
    motifs : tuple of MotifHint
        Verified structure hints (H1).
    name : str
        Identifier; becomes part of C and Verilog names.
    metadata : dict
        JSON-able extras that change no bit of the network: front end, detector, provenance.

    Raises
    ------
    NetworkError
        With every violated sentence of the specification, one a line.
    """

    formats: Formats
    n_inputs: int
    axon_source: np.ndarray
    axon_delay: np.ndarray = None  # type: ignore[assignment]
    axon_shift: np.ndarray = None  # type: ignore[assignment]
    axon_compartment: np.ndarray = None  # type: ignore[assignment]
    axon_boolean: np.ndarray = None  # type: ignore[assignment]
    synapse_start: np.ndarray
    synapse_target: np.ndarray
    synapse_weight: np.ndarray
    neuron_kind: np.ndarray
    threshold: np.ndarray
    reset_by: np.ndarray = None  # type: ignore[assignment]
    bias: np.ndarray = None  # type: ignore[assignment]
    initial_membrane: np.ndarray = None  # type: ignore[assignment]
    kind_membrane_decay: np.ndarray
    kind_current_decay: np.ndarray
    kind_firing: np.ndarray
    kind_reset: np.ndarray
    kind_refractory: np.ndarray
    kind_drive_shift: np.ndarray
    kind_current_shift: np.ndarray
    readout_neuron: np.ndarray
    readout_class: np.ndarray
    readout: Readout
    labels: tuple[str, ...]
    motifs: tuple[MotifHint, ...] = ()
    name: str = "network"
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from .validation import check_network  # it needs the classes of this module

        fill = object.__setattr__
        fill(self, "labels", tuple(str(label) for label in self.labels))
        fill(self, "motifs", tuple(self.motifs))
        for name in ("axon_delay", "axon_shift", "axon_compartment", "axon_boolean"):
            if getattr(self, name) is None:
                fill(self, name, np.zeros(np.size(self.axon_source), ARRAYS[name][0]))
        for name in ("bias", "initial_membrane"):
            if getattr(self, name) is None:
                fill(self, name, np.zeros(np.size(self.neuron_kind), np.int32))
        if self.reset_by is None:
            fill(self, "reset_by", np.array(self.threshold))
        for name, (dtype, _) in ARRAYS.items():
            fill(self, name, _exact_copy(name, getattr(self, name), dtype))
        check_network(self)

    @property
    def n_neurons(self) -> int:
        """Neurons, readout neurons among them."""
        return len(self.neuron_kind)

    @property
    def n_axons(self) -> int:
        """Axons of inputs and neurons."""
        return len(self.axon_source)

    @property
    def n_synapses(self) -> int:
        """Synapses of all axons."""
        return len(self.synapse_target)

    @property
    def n_kinds(self) -> int:
        """Rows of the kind table."""
        return len(self.kind_firing)

    @property
    def n_compartments(self) -> int:
        """Synaptic compartments of each neuron (K)."""
        return int(self.kind_current_decay.shape[1])

    @property
    def n_classes(self) -> int:
        """Classes."""
        return len(self.labels)

    @property
    def n_sources(self) -> int:
        """Input channels and neurons: the index space of axon sources."""
        return self.n_inputs + self.n_neurons

    @property
    def max_delay(self) -> int:
        """Longest axon delay, in timesteps; 0 for a network without axons."""
        return int(self.axon_delay.max(initial=0))

    def synapses(self, axon: int) -> tuple[np.ndarray, np.ndarray]:
        """Targets (int32) and weights (int16) of an axon."""
        owned = slice(self.synapse_start[axon], self.synapse_start[axon + 1])
        return self.synapse_target[owned], self.synapse_weight[owned]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Network):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, f.name), getattr(other, f.name)) if f.name in ARRAYS else getattr(self, f.name) == getattr(other, f.name)
            for f in fields(self)
        )

    __hash__ = None  # type: ignore[assignment]


def _exact_copy(name: str, values: Any, dtype: type) -> np.ndarray:
    """A read-only copy in ``dtype``; a value that the cast would change is an error."""
    given = np.asarray(values)
    if given.ndim == 0:
        raise NetworkError(f"{name} must be an array, not {values!r}")
    if given.dtype.kind not in "iub" and given.size:
        raise NetworkError(f"{name} must be integers, not {given.dtype}")
    lo, hi = (0, 1) if dtype is np.bool_ else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if given.size and not lo <= int(given.min()) <= int(given.max()) <= hi:
        raise NetworkError(f"{name} must be in {lo}..{hi}, not {int(given.min())}..{int(given.max())}")
    cast: np.ndarray = np.array(given, dtype=dtype)
    cast.flags.writeable = False
    return cast
