# SPDX-License-Identifier: Apache-2.0
"""What the generated C stores: constant tables of neurons and kinds, and the fields of the caller's state struct.

A construct that a network does not use takes no table, no state and no code. Knows no C statements; ``edge/ccode/emit.py`` writes those.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import TargetError
from ..network import Network, Readout, Reset
from .detection import Detection, plan_detection
from .hearing import Hearing, plan_hearing
from .packing import Packing, pack
from .state import Field, arrange
from .tables import Column, Table, column, narrowest, table

__all__ = ["MAX_INPUTS", "Compartment", "Layout", "lay_out"]

MAX_INPUTS = (1 << 16) - 1  # a channel is a uint16_t


@dataclass(frozen=True)
class Compartment:
    """One synaptic compartment that some synapse reaches.

    Attributes
    ----------
    slot : int or None
        Row in ``state->current``; None where every decay factor is 0, so that no current outlives its timestep.
    decay, gain, shift : Column
        Decay factor, 2**drive_shift and current_shift by kind.
    """

    slot: int | None
    decay: Column
    gain: Column
    shift: Column


@dataclass(frozen=True)
class Layout:
    """Everything that the generated text depends on.

    Attributes
    ----------
    packing : Packing
        Axons and synapses.
    compartments : tuple of Compartment
        In the order of ``packing.compartments``.
    membrane_decay, reset, refractory : Column
        By kind: decay factor, 1 where the reset is SUBTRACT, refractory period.
    threshold, reset_by, bias, initial : Column
        By neuron. A neuron that never fires has a threshold one above the largest membrane.
    reset_by_threshold : bool
        Whether every SUBTRACT takes off the threshold.
    kind_used : bool
        Whether any column is indexed by kind.
    n_firing : int
        Neurons of firing kinds: the most that fire in one timestep.
    readout_neuron, readout_class : Column
        By readout, in declared order.
    input_history, neuron_history : int
        Rows of the event histories: the longest delay of input and of neuron axons.
    bit_history : bool
        Whether the input history stores bits, as payloads are 0 or 1.
    hearing : Hearing or None
        The front end, where audio comes in.
    detection : Detection or None
        The detector, where there is one.
    tables : tuple of Table
        All constant tables.
    fields : tuple of Field
        The state struct without optional counters, gaps filled by ``reserved``.
    """

    packing: Packing
    compartments: tuple[Compartment, ...]
    membrane_decay: Column
    reset: Column
    refractory: Column
    threshold: Column
    reset_by: Column
    bias: Column
    initial: Column
    reset_by_threshold: bool
    kind_used: bool
    n_firing: int
    readout_neuron: Column
    readout_class: Column
    input_history: int
    neuron_history: int
    bit_history: bool
    hearing: Hearing | None
    detection: Detection | None
    tables: tuple[Table, ...]
    fields: tuple[Field, ...]

    @property
    def state_bytes(self) -> int:
        """Size of the state struct without optional counters."""
        return sum(field.n_bytes for field in self.fields)

    @property
    def flash_bytes(self) -> int:
        """Size of the constant tables; code comes on top and depends on the compiler."""
        return sum(t.n_bytes for t in self.tables)

    @property
    def shares(self) -> dict[str, tuple[int, int]]:
        """(state, flash) bytes of network, front end and detector; those of parts that are there."""
        found = {
            name: (sum(field.n_bytes for field in part.fields), sum(t.n_bytes for t in part.tables))
            for name, part in (("front_end", self.hearing), ("detector", self.detection))
            if part is not None
        }
        rest = (self.state_bytes - sum(s for s, _ in found.values()), self.flash_bytes - sum(f for _, f in found.values()))
        return {"network": rest, **found}


def lay_out(net: Network) -> Layout:
    """Decide what the C of ``net`` stores. Raises ``TargetError`` for more inputs than a channel number can name."""
    if net.n_inputs > MAX_INPUTS:
        raise TargetError(f"generated C must have at most {MAX_INPUTS} input channels, not {net.n_inputs}")
    packing = pack(net)
    used, kind = np.unique(net.neuron_kind, return_inverse=True)
    firing = net.kind_firing[used]

    def by_kind(name: str, values: np.ndarray, note: str, *, firing_only: bool = False) -> Column:
        chosen = values[used].astype(np.int64)
        if firing_only:  # other kinds never read it: take what makes a constant likely
            chosen = np.where(firing, chosen, chosen[firing][0] if firing.any() else 0)
        return column(name, chosen, "kind", note)

    shift = by_kind("kind_current_shift", net.kind_current_shift, "right shift of currents, by kind")
    gain = by_kind("kind_drive_gain", 1 << net.kind_drive_shift.astype(np.int64), "2**drive_shift, by kind")
    compartments, slots = [], 0
    for k in packing.compartments:
        decay = by_kind(f"kind_current_decay_{k}", net.kind_current_decay[:, k], f"decay factor of compartment {k}, by kind")
        compartments.append(Compartment(slots if decay.constant != 0 else None, decay, gain, shift))
        slots += decay.constant != 0
    membrane_decay = by_kind("kind_membrane_decay", net.kind_membrane_decay, "decay factor of the membrane, by kind")
    reset = by_kind("kind_reset", net.kind_reset == Reset.SUBTRACT, "1 where the reset subtracts, by kind", firing_only=True)
    refractory = by_kind("kind_refractory", net.kind_refractory, "refractory period, by kind", firing_only=True)
    neuron = _neuron_columns(net)
    subtracts = np.flatnonzero(firing[kind] & (net.kind_reset[net.neuron_kind] == Reset.SUBTRACT))
    per_kind = [membrane_decay, reset, refractory, *([gain, shift] if compartments else []), *(c.decay for c in compartments)]
    kind_used = any(c.table for c in per_kind)
    readout_neuron = column("readout_neuron", net.readout_neuron, "r", "readout neurons", ramp=True)
    readout_class = column("readout_class", net.readout_class, "r", "class of each readout neuron", ramp=True)
    reset_by_threshold = bool(np.array_equal(net.reset_by[subtracts], net.threshold[subtracts]))
    columns = [*per_kind, neuron["threshold"], neuron["bias"], neuron["initial"], readout_neuron, readout_class]
    if subtracts.size and not reset_by_threshold:
        columns.append(neuron["reset_by"])
    tables = [*packing.tables, *(c.table for c in columns if c.table is not None)]
    if kind_used:
        tables.append(table("neuron_kind", kind, "kind of each neuron"))
    hearing = plan_hearing(net)
    detection = plan_detection(net, hears=hearing is not None)
    for part in (hearing, detection):
        tables += part.tables if part is not None else ()
    delayed = net.axon_delay.astype(np.int64)
    from_input = net.axon_source < net.n_inputs
    layout = Layout(
        packing=packing,
        compartments=tuple(compartments),
        membrane_decay=membrane_decay,
        reset=reset,
        refractory=refractory,
        **neuron,
        reset_by_threshold=reset_by_threshold,
        kind_used=kind_used,
        n_firing=int(firing[kind].sum()),
        readout_neuron=readout_neuron,
        readout_class=readout_class,
        input_history=int(delayed[from_input].max(initial=0)),
        neuron_history=int(delayed[~from_input].max(initial=0)),
        bit_history=net.formats.payload_bits == 1,
        hearing=hearing,
        detection=detection,
        tables=tuple(tables),
        fields=(),
    )
    return replace(layout, fields=_fields(net, layout))


def _neuron_columns(net: Network) -> dict[str, Column]:
    firing = net.kind_firing[net.neuron_kind]
    subtracts = firing & (net.kind_reset[net.neuron_kind] == Reset.SUBTRACT)
    never = net.formats.membrane.hi + 1
    any_reset = net.reset_by[subtracts][0] if subtracts.any() else 0
    return {
        "threshold": column("neuron_threshold", np.where(firing, net.threshold, never), "n", f"thresholds; {never} is never reached"),
        "reset_by": column("neuron_reset_by", np.where(subtracts, net.reset_by, any_reset), "n", "what a SUBTRACT reset takes off"),
        "bias": column("neuron_bias", net.bias, "n", "biases"),
        "initial": column("neuron_initial_membrane", net.initial_membrane, "n", "membranes at the start of a clip"),
    }


def _fields(net: Network, layout: Layout) -> tuple[Field, ...]:
    """All state fields in their order in the struct."""
    n, formats, packing = net.n_neurons, net.formats, layout.packing
    signed = [narrowest(f.lo, f.hi) for f in (formats.membrane, formats.current)]
    slots = sum(c.slot is not None for c in layout.compartments)
    fields = [
        Field("magic", "uint32_t", (), "tells an initialised state"),
        Field("timestep", "uint32_t", (), "timesteps since the reset, stops at the largest number"),
        Field("membrane", signed[0], (n,), "membrane of every neuron after the last timestep"),
    ]
    if net.readout != Readout.LAST:
        fields.append(Field("score", "int32_t", (net.n_classes,), "score of every class so far"))
    if slots:
        fields.append(Field("current", signed[1], (slots, n), "synaptic currents"))
    if packing.compartments:
        words = n if packing.pairs is None else packing.pairs.n_pairs
        note = "gathered sums, 0 between timesteps" if packing.pairs is None else "gathered sums, two a word, 0 between timesteps"
        fields.append(Field("drive", packing.drive_type, (len(packing.compartments), words), note))
    if layout.n_firing:
        fields.append(Field("n_fired", narrowest(0, layout.n_firing), (), "neurons that fired in the last timestep"))
        fields.append(Field("fired", narrowest(0, n - 1), (layout.n_firing,), "their numbers, ascending"))
    if layout.refractory.constant != 0:
        fields.append(Field("refractory", narrowest(0, int(net.kind_refractory.max())), (n,), "timesteps left without firing"))
    if layout.input_history:
        width = (net.n_inputs + 7) // 8 if layout.bit_history else net.n_inputs
        element = narrowest(formats.payload.lo, formats.payload.hi)
        fields.append(Field("input_position", "uint8_t", (), "row of the input history that the next timestep overwrites"))
        fields.append(Field("input_history", element, (layout.input_history, width), "payloads of past timesteps"))
    if layout.neuron_history:
        fields.append(Field("neuron_position", "uint8_t", (), "row of the spike history that the next timestep overwrites"))
        fields.append(Field("neuron_history", "uint8_t", (layout.neuron_history, (n + 7) // 8), "spikes of past timesteps, a bit a neuron"))
    for part in (layout.hearing, layout.detection):
        fields += part.fields if part is not None else ()
    return arrange(fields)
