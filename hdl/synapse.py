# SPDX-License-Identifier: Apache-2.0
"""S1: walks the synapses of active axons and adds them up. Knows memory images (``hdl/pack.py``) and no neurons.

Pipeline, one slot per clock:

1. address of the slot's row in the target and weight memories
2. its weight and target
3. ``weight * payload << shift``; the accumulator is read. In boolean packings, where the axon table has the weight as a sign and a part of the shift,
   the payload or its negative, shifted: nothing is multiplied
4. sum written back; a read of the same accumulator in this clock gets the sum (transparent port), so repeated targets need no stall
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..edge.cost import WORD_BITS
from .axon_queue import popped_layout
from .config import Geometry
from .pack import BOOLEAN_PACKINGS

__all__ = ["SynapseWalker"]


class SynapseWalker(wiring.Component):
    """Axon lookup, list walk and accumulators.

    A part of n slots takes max(1, n) clocks, with nothing between one part and the next: the next row of the axon table is fetched while a part is
    walked. In packing bitmap a word of ``WORD_BITS`` neurons takes a clock for each 1 in it, and one where it has none; the next word is fetched in the
    last of them. From an event to its first accumulator write: 6 clocks.

    Ports
    -----
    pop : stream of ``popped_layout``
        Events.
    walk : In(1)
        Parts are started only while it is 1.
    idle : Out(1)
        No part is waiting or being walked, and every sum is written.
    drain_en, drain_compartment, drain_neuron : In; drain : Out(signed)
        While idle: reads a sum; ``drain`` has it in the next clock, in which the accumulator becomes 0.
    operation : Out(1)
        A synapse was added (a slot with a weight other than 0, for the first time where its weight takes several parts).
    activation, activated_payload, activated_plane : Out
        An axon became active.

    Resources: memories of the packing, one accumulator memory of rows (compartment, neuron), one adder; a multiplier only where payloads are stored and the
    packing is not boolean.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        layout = popped_layout(geometry)
        ports = {
            "pop": In(stream.Signature(layout)),
            "walk": In(1),
            "idle": Out(1),
            "drain_en": In(1),
            "drain_compartment": In(2),
            "drain_neuron": In(geometry.neuron_bits),
            "drain": Out(signed(geometry.accumulator_bits)),
            "operation": Out(1),
            "activation": Out(1),
            "activated_payload": Out(geometry.payload_shape if geometry.stored_payload else unsigned(1)),
            "activated_plane": Out(len(geometry.packed.delays).bit_length()),
        }
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        geometry = self.geometry
        table, packed = geometry.axon_table, geometry.packed
        start = Signal()  # of a part
        waiting, row, row_payload = self._lookup(m, start)
        part = {name: table.field(row, name) for name in (*table.constants, *table.layout.members)}
        if "weight_start" in part:
            part["weight_start"] = part["weight_start"].shift_left(geometry.packed.alignment.bit_length() - 1)

        # the part being walked
        boolean = packed.packing in BOOLEAN_PACKINGS
        left = Signal(range(max(2, geometry.network.n_neurons + 1)))
        kept = {name: Signal.like(Value.cast(part[name])) for name in ("base", "shift", "compartment", *(("negative", "again") if boolean else ()))}
        payload = Signal.like(row_payload)
        m.d.comb += [start.eq(self.walk & waiting & (left <= 1)), self.activation.eq(start & part.get("head", Const(0)))]
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.If(start):
            m.d.sync += [left.eq(part["count"]), *(kept[name].eq(part[name]) for name in kept), payload.eq(row_payload)]

        # stage 2: its target and weight
        valid2, payload2 = Signal(), Signal.like(payload)
        kept2 = {name: Signal.like(value) for name, value in kept.items()}
        m.d.sync += [valid2.eq(left != 0), payload2.eq(payload), *(kept2[name].eq(kept[name]) for name in kept)]
        weight = None
        if packed.packing == "bitmap":
            there, target = self._bits(m, start, part, left != 0, valid2)
        else:
            offset, weight = self._slots(m, start, part, left != 0)
            there, target = Const(1), offset + kept2["base"]
        m.d.comb += self.operation.eq(valid2 & there & (~kept2["again"] if weight is None else weight != 0))

        # stage 3: what it adds, and to what
        valid3, shift3, where = Signal(), Signal.like(kept["shift"]), Signal(geometry.neuron_bits + len(self.drain_compartment))
        m.d.sync += [valid3.eq(valid2 & there), shift3.eq(kept2["shift"]), where.eq(Cat(target[: geometry.neuron_bits], kept2["compartment"]))]
        product = self._signed(m, payload2, kept2["negative"]) if weight is None else self._product(m, payload2, weight)
        term = product << table.constants.get("shift", shift3)

        # stage 4: sum
        rows = geometry.state_rows(geometry.network.n_compartments)
        m.submodules.sums = sums = Memory(shape=signed(geometry.accumulator_bits), depth=rows, init=[])
        write = sums.write_port()
        read = sums.read_port(transparent_for=(write,))
        valid4, term4, drained = Signal(), Signal(signed(geometry.accumulator_bits)), Signal()
        m.d.sync += [valid4.eq(valid3), term4.eq(term), drained.eq(self.drain_en), write.addr.eq(read.addr)]
        m.d.comb += [
            read.addr.eq(Mux(self.drain_en, Cat(self.drain_neuron, self.drain_compartment), where)),
            read.en.eq(valid3 | self.drain_en),
            write.en.eq(valid4 | drained),
            write.data.eq(Mux(drained, 0, read.data + term4)),
            self.drain.eq(read.data),
            self.idle.eq(~waiting & (left == 0) & ~valid2 & ~valid3 & ~valid4),
        ]
        return m

    def _lookup(self, m: Module, start: Signal) -> tuple[Signal, data.View | None, Signal]:
        """Fetch the next row of the axon table, once ``start`` has taken the last: (a row waits, the row, its event's payload)."""
        geometry = self.geometry
        table, packed = geometry.axon_table, geometry.packed
        event = self.pop.payload.event
        waiting, fetch, at = Signal(), Signal(), Signal(range(max(2, len(packed.table))))
        address = Signal.like(at)
        payload = Signal.like(self.activated_payload, init=1)
        plane = Signal.like(self.activated_plane)
        more = Const(0)
        row = None
        if table.layout.size:
            m.submodules.axons = axons = Memory(shape=table.layout, depth=len(packed.table), init=table.rows)
            read = axons.read_port()
            row = read.data
            more = table.field(row, "more")
            m.d.comb += [read.addr.eq(address), read.en.eq(fetch)]
        chained = waiting & more
        planes = len(packed.delays) > 1
        m.d.comb += [
            address.eq(Mux(chained, at + packed.stride, Cat(event.source[: packed.source_bits], self.pop.payload.plane) if planes else event.source)),
            fetch.eq((~waiting | start) & (chained | self.pop.valid)),
            self.pop.ready.eq((~waiting | start) & ~chained),
            self.activated_payload.eq(payload),
            self.activated_plane.eq(plane),
        ]
        m.d.sync += waiting.eq(fetch | (waiting & ~start))
        with m.If(fetch):
            m.d.sync += at.eq(address)
        with m.If(fetch & ~chained):
            if geometry.stored_payload:
                m.d.sync += payload.eq(event.payload)
            if planes:
                m.d.sync += plane.eq(self.pop.payload.plane)
        return waiting, row, payload

    def _signed(self, m: Module, payload: Value, negative: Value) -> Value:
        """In stage 3, of a payload in stage 2: itself or its negative."""
        unit = payload if self.geometry.stored_payload else Const(1)
        signed_unit = Signal((-unit).shape())
        m.d.sync += signed_unit.eq(Mux(negative, -unit, unit))
        return signed_unit

    def _product(self, m: Module, payload: Signal, weight: Value) -> Value:
        """In stage 3, of payload and weight in stage 2: their product."""
        payload3, weight3 = Signal.like(payload), Signal.like(weight)
        m.d.sync += [payload3.eq(payload), weight3.eq(weight)]
        return weight3 * payload3 if self.geometry.stored_payload else weight3

    def _slots(self, m: Module, start: Value, part: dict[str, Value], enable: Value) -> tuple[Value, Value | None]:
        """In stage 2: target (or offset) and weight of each slot; None where slots have none."""
        packed = self.geometry.packed

        def run(init: list[int], first: Value) -> Signal:
            at = Signal(range(max(2, len(init))))
            with m.If(enable):
                m.d.sync += at.eq(at + 1)
            with m.If(start):
                m.d.sync += at.eq(first)
            return at

        def memory(name: str, shape: Shape, init: list[int], address: Signal) -> Value:
            m.submodules[name] = rows = Memory(shape=shape, depth=len(init), init=init)
            port = rows.read_port()
            m.d.comb += [port.addr.eq(address), port.en.eq(enable)]
            return port.data

        slot = run(packed.targets, part["slot_start"])
        target = memory("targets", unsigned(packed.slot_bits), packed.targets, slot)
        if not packed.weights:
            return target, None
        weight_at = run(packed.weights, part["weight_start"]) if "weight_start" in part else slot
        return target, memory("weights", signed(packed.weight_bits), packed.weights, weight_at)

    def _bits(self, m: Module, start: Value, part: dict[str, Value], enable: Value, valid: Signal) -> tuple[Value, Value]:
        """In stage 2: whether the word there has a 1 that was not walked yet, and the neuron of the lowest."""
        packed = self.geometry.packed
        m.submodules.bitmap = rows = Memory(shape=unsigned(packed.slot_bits), depth=len(packed.targets), init=packed.targets)
        port = rows.read_port()
        slot, column = Signal(range(max(2, len(packed.targets)))), Signal(range(max(2, -(-self.geometry.network.n_neurons // WORD_BITS))))
        here, walked, fetch = Signal.like(column), Signal(packed.slot_bits), Signal()
        word, lowest = Signal(packed.slot_bits), Signal(packed.slot_bits)
        m.d.comb += [
            word.eq(port.data & ~walked),
            lowest.eq(word & -word),
            fetch.eq(enable & (~valid | (word == lowest))),  # nothing is in stage 2, or the last 1 of its word
            port.addr.eq(slot),
            port.en.eq(fetch),
        ]
        with m.If(fetch):
            m.d.sync += [slot.eq(slot + 1), column.eq(column + 1), here.eq(column), walked.eq(0)]
        with m.Else():
            m.d.sync += walked.eq(walked | lowest)
        with m.If(start):
            m.d.sync += [slot.eq(part["slot_start"]), column.eq(part["base"])]
        number = Cat(Cat(lowest[i] for i in range(packed.slot_bits) if i >> bit & 1).any() for bit in range(WORD_BITS.bit_length() - 1))
        return word != 0, Cat(number, here)
