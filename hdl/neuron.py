# SPDX-License-Identifier: Apache-2.0
"""S2 to S6 for every neuron, in ascending order, pipelined over one multiplier. Knows parameters and state, no events and no axons.

Each neuron is K + 1 operations, one per clock: its compartments, then its membrane. Stages of an operation:

0. addresses of state, sums and parameters
1. sign and magnitude of the state (on magnitudes, dropping bits truncates toward zero: D1)
2. magnitude * decay factor
3. current: plus drive, saturated; membrane: plus bias
4. current: written, shifted and summed for the membrane; membrane: plus that sum, saturated
5. membrane: fire, reset, written
"""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..edge.network import Reset
from .config import Geometry

__all__ = ["COVERED", "NeuronSweep", "trace_signature"]

COVERED = (
    "current_saturated_high",
    "current_saturated_low",
    "membrane_saturated_high",
    "membrane_saturated_low",
    "truncated_negative",
    "refractory_hold",
    "threshold_equal",
    "reset_zero",
    "reset_subtract",
)


def trace_signature(geometry: Geometry) -> wiring.Signature:
    """Debug port: one clock of ``valid`` per neuron update."""
    return wiring.Signature(
        {"valid": Out(1), "neuron": Out(geometry.neuron_bits), "membrane": Out(signed(geometry.network.formats.membrane_bits)), "spike": Out(1)}
    )


def saturate(value: Value, bits: int) -> tuple[Value, Value, Value]:
    """D2: ``value`` saturated to ``bits``, whether it was above, whether it was below."""
    if len(value) <= bits:
        return value, Const(0), Const(0)
    negative = value[-1]
    beyond = value[bits - 1 : -1] != negative.replicate(len(value) - bits)
    limit = Cat((~negative).replicate(bits - 1), negative)
    return Mux(beyond, limit, value[:bits]).as_signed(), beyond & ~negative, beyond & negative


def shift_left(value: Value, shift: Value) -> Value:
    """``value * 2**shift``."""
    return value.shift_left(shift.value) if isinstance(shift, Const) else value << shift


def shift_toward_zero(value: Value, shift: Value) -> Value:
    """Arithmetic right shift that truncates toward zero."""
    if isinstance(shift, Const):
        ones, shifted = (1 << shift.value) - 1, lambda v: v.shift_right(shift.value)
    else:
        ones, shifted = ~(Const(-1, (1 << len(shift)) - 1) << shift)[: (1 << len(shift)) - 1], lambda v: v >> shift
    return shifted(value + Mux(value[-1], ones, 0))


class _Pipe:
    """Values that travel with an operation from stage to stage."""

    def __init__(self) -> None:
        self.stages: dict[tuple[str, int], Value] = {}
        self.registers: list[object] = []  # to be added once, outside every condition that ``at`` may be called in

    def add(self, name: str, stage: int, value: Value) -> None:
        """``value`` is computed in ``stage``, from what other values are there."""
        self.stages[name, stage] = value

    def at(self, stage: int, name: str) -> Value:
        """``name`` of the operation that is in ``stage`` now, registered once a stage since it was computed. Constants take no register."""
        if (name, stage) not in self.stages:
            before = self.at(stage - 1, name)
            if isinstance(before, Const):
                return before
            self.stages[name, stage] = Signal.like(before, name=f"{name}_{stage}")
            self.registers.append(self.stages[name, stage].eq(before))
        return self.stages[name, stage]


class NeuronSweep(wiring.Component):
    """The neurons of one timestep.

    n_neurons * (K + 1) + 5 clocks from the clock after ``start`` to ``done``.

    Ports
    -----
    start : In(1), done : Out(1)
        Pulses. The last membrane is written in the clock of ``done``.
    clear : In(1)
        Steady over a sweep: only empties the accumulators (every sum is read, nothing else happens).
    fresh : In(1)
        Steady over a sweep: the first timestep of a clip; state is that of S9, whatever the memories hold.
    drain_en, drain_compartment, drain_neuron : Out; drain : In(signed)
        Sums of the synapse walker.
    spike_valid, spike_neuron : Out
        A neuron fired, ascending (S7).
    trace : Out
        ``trace_signature``; costs nothing unless connected.
    peek_en, peek_neuron : In; peek_membrane, peek_fired : Out
        Between sweeps: state of a neuron in the next clock. ``peek_fired`` is 0 unless the readout needs it.
    covered : Out
        Pulses named after branches of ``edge/coverage.py``; cost nothing unless connected.

    Resources: one multiplier (magnitude of a membrane or current by decay factor), one memory each for currents, for membranes with their refractory
    counts, and for parameters that vary from neuron to neuron.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        membrane = signed(geometry.network.formats.membrane_bits)
        super().__init__(
            {
                "start": In(1),
                "done": Out(1),
                "clear": In(1),
                "fresh": In(1),
                "drain_en": Out(1),
                "drain_compartment": Out(2),
                "drain_neuron": Out(geometry.neuron_bits),
                "drain": In(signed(geometry.accumulator_bits)),
                "spike_valid": Out(1),
                "spike_neuron": Out(geometry.neuron_bits),
                "trace": Out(trace_signature(geometry)),
                "peek_en": In(1),
                "peek_neuron": In(geometry.neuron_bits),
                "peek_membrane": Out(membrane),
                "peek_fired": Out(1),
                "covered": Out(wiring.Signature({name: Out(1) for name in COVERED})),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        pipe = _Pipe()
        self._issue(m, pipe)
        self._parameters(m, pipe)
        self._state(m, pipe)
        self._decay(pipe)
        self._integrate(m, pipe)
        self._fire(m, pipe)
        m.d.sync += pipe.registers
        return m

    def _issue(self, m: Module, pipe: _Pipe) -> None:
        """Stage 0: one operation a clock."""
        compartments, n_neurons = self.geometry.network.n_compartments, self.geometry.network.n_neurons
        running, neuron = Signal(), Signal(self.geometry.neuron_bits)
        operation = Signal(range(compartments + 1))  # a compartment, or K for the membrane
        on_membrane = operation == compartments
        with m.If(running):
            m.d.sync += operation.eq(Mux(on_membrane, 0, operation + 1))
            with m.If(on_membrane):
                m.d.sync += neuron.eq(neuron + 1)
                with m.If(neuron == n_neurons - 1):
                    m.d.sync += [neuron.eq(0), running.eq(0)]
        with m.If(self.start):
            m.d.sync += running.eq(1)
        pipe.add("running", 0, running)
        pipe.add("neuron", 0, neuron)
        pipe.add("compartment", 0, operation)
        pipe.add("current", 0, running & ~self.clear & ~on_membrane)
        pipe.add("membrane", 0, running & ~self.clear & on_membrane)
        m.d.comb += [
            self.drain_en.eq(running & ~on_membrane),
            self.drain_compartment.eq(operation),
            self.drain_neuron.eq(neuron),
            self.done.eq(pipe.at(5, "running") & ~pipe.at(4, "running")),
        ]

    def _parameters(self, m: Module, pipe: _Pipe) -> None:
        """Stage 1: every parameter of the neuron, from memory, lookup or as a constant."""
        table, kinds = self.geometry.neurons, self.geometry.kinds
        row = None
        if table.layout.size:
            m.submodules.parameters = rows = Memory(shape=table.layout, depth=len(table.rows), init=table.rows)
            read = rows.read_port()
            m.d.comb += [read.addr.eq(pipe.at(0, "neuron")), read.en.eq(pipe.at(0, "running"))]
            row = read.data
        for name in (*table.constants, *table.layout.members):
            pipe.add(name, 1, table.field(row, name))
        if kinds is not None:
            for name in kinds.constants:
                pipe.add(name, 1, kinds.field(None, name))
            for name, shape in kinds.layout.members.items():
                pipe.add(name, 1, Array(Const(kind[name], shape) for kind in kinds.rows)[pipe.at(1, "kind")])
        if not self.geometry.own_reset_by:
            pipe.add("reset_by", 1, pipe.at(1, "threshold"))

    def _state(self, m: Module, pipe: _Pipe) -> None:
        """Stages 0 and 1: currents, membranes and refractory counts; S9 where the clip is fresh."""
        geometry = self.geometry
        net, formats = geometry.network, geometry.network.formats
        fields: dict[str, Shape] = {"membrane": signed(formats.membrane_bits)}
        if geometry.max_refractory:
            fields["refractory"] = unsigned(geometry.max_refractory.bit_length())
        if geometry.keeps_fired:
            fields["fired"] = unsigned(1)
        m.submodules.membranes = rows = Memory(shape=data.StructLayout(fields), depth=net.n_neurons, init=[])
        read, self.written = rows.read_port(), rows.write_port()
        m.d.comb += [
            read.addr.eq(Mux(self.peek_en, self.peek_neuron, pipe.at(0, "neuron"))),
            read.en.eq(self.peek_en | pipe.at(0, "running")),
            self.peek_membrane.eq(read.data.membrane),
            self.peek_fired.eq(read.data.fired if geometry.keeps_fired else 0),
        ]
        pipe.add("old", 1, Mux(self.fresh, pipe.at(1, "initial_membrane"), read.data.membrane))
        pipe.add("count", 1, Mux(self.fresh, 0, read.data.refractory) if geometry.max_refractory else Const(0))
        pipe.add("before", 1, Const(0, signed(1)))
        if geometry.has_current_memory:
            shape = signed(formats.current_bits)
            m.submodules.currents = currents = Memory(shape=shape, depth=geometry.state_rows(net.n_compartments), init=[])
            read, write = currents.read_port(), currents.write_port()
            m.d.comb += [read.addr.eq(Cat(pipe.at(0, "neuron"), pipe.at(0, "compartment"))), read.en.eq(pipe.at(0, "current"))]
            pipe.add("before", 1, Mux(self.fresh, 0, read.data))
            m.d.comb += [write.addr.eq(Cat(pipe.at(4, "neuron"), pipe.at(4, "compartment"))), write.en.eq(pipe.at(4, "current"))]
            self.current_written = write.data

    def _decay(self, pipe: _Pipe) -> None:
        """Stages 1 and 2: magnitude of the state times its factor (D1)."""
        formats, compartments = self.geometry.network.formats, self.geometry.network.n_compartments
        width = max(formats.membrane_bits, formats.current_bits) if self.geometry.has_current_memory else formats.membrane_bits
        on_membrane = pipe.at(1, "membrane")
        operand = Mux(on_membrane, pipe.at(1, "old"), pipe.at(1, "before"))
        negative = operand[-1]
        pipe.add("negative", 1, negative)
        pipe.add("magnitude", 1, ((operand ^ negative.replicate(len(operand))) + negative)[:width])
        factors = Array(pipe.at(1, f"current_decay{k}") for k in range(compartments))
        pipe.add("factor", 1, Mux(on_membrane, pipe.at(1, "membrane_decay"), factors[pipe.at(1, "compartment")]))
        pipe.add("product", 2, pipe.at(2, "magnitude") * pipe.at(2, "factor"))
        pipe.add("drive", 1, self.drain)
        pipe.add("addend", 2, Mux(pipe.at(2, "membrane"), pipe.at(2, "bias"), shift_left(pipe.at(2, "drive"), pipe.at(2, "drive_shift"))))

    def _integrate(self, m: Module, pipe: _Pipe) -> None:
        """Stages 3 and 4: S2, and S3 without the refractory rule."""
        net, formats = self.geometry.network, self.geometry.network.formats
        product, negative = pipe.at(3, "product"), pipe.at(3, "negative")
        decayed = product[formats.decay_bits :]
        # adding the complement and a carry subtracts; the carry comes from a bit below both numbers
        term = Cat(negative, decayed ^ negative.replicate(len(decayed)), negative).as_signed()
        pipe.add("sum", 3, (term + Cat(negative, pipe.at(3, "addend")).as_signed())[1:].as_signed())
        current, current_high, current_low = saturate(pipe.at(3, "sum"), formats.current_bits)
        current4 = Signal(signed(formats.current_bits))
        m.d.sync += current4.eq(current)
        inflow = shift_toward_zero(current4, pipe.at(4, "current_shift"))
        summed = Signal(signed(formats.current_bits + net.n_compartments.bit_length()))
        with m.If(pipe.at(4, "current")):
            m.d.sync += summed.eq(inflow if net.n_compartments == 1 else Mux(pipe.at(4, "compartment") == 0, 0, summed) + inflow)
        value, high, low = saturate(pipe.at(4, "sum") + summed, formats.membrane_bits)
        pipe.add("value", 4, value)

        if self.geometry.has_current_memory:
            m.d.comb += self.current_written.eq(current4)
        held = pipe.at(4, "membrane") & (pipe.at(4, "count") != 0)
        pipe.add("remainder", 3, (product[: formats.decay_bits] != 0) & negative)
        covered = self.covered
        m.d.comb += [
            covered.current_saturated_high.eq(pipe.at(3, "current") & current_high),
            covered.current_saturated_low.eq(pipe.at(3, "current") & current_low),
            covered.membrane_saturated_high.eq(pipe.at(4, "membrane") & ~held & high),
            covered.membrane_saturated_low.eq(pipe.at(4, "membrane") & ~held & low),
            covered.truncated_negative.eq((pipe.at(4, "current") | (pipe.at(4, "membrane") & ~held)) & pipe.at(4, "remainder")),
            covered.refractory_hold.eq(held),
        ]

    def _fire(self, m: Module, pipe: _Pipe) -> None:
        """Stage 5: S4 to S7."""
        geometry = self.geometry
        valid, value, count = pipe.at(5, "membrane"), pipe.at(5, "value"), pipe.at(5, "count")
        hold = count != 0
        spike, after = Signal(), Signal(signed(geometry.network.formats.membrane_bits))
        subtracts = pipe.at(5, "reset") == Reset.SUBTRACT.value
        m.d.comb += [
            spike.eq(valid & pipe.at(5, "firing") & (value >= pipe.at(5, "threshold")) & ~hold),
            after.eq(Mux(spike, Mux(subtracts, value - pipe.at(5, "reset_by"), 0), value)),
        ]
        if geometry.max_refractory:
            with m.If(hold):
                m.d.comb += after.eq(pipe.at(5, "old"))
            m.d.comb += self.written.data.refractory.eq(Mux(hold, count - 1, Mux(spike, pipe.at(5, "refractory"), 0)))
        if geometry.keeps_fired:
            m.d.comb += self.written.data.fired.eq(spike)
        m.d.comb += [
            self.written.addr.eq(pipe.at(5, "neuron")),
            self.written.en.eq(valid),
            self.written.data.membrane.eq(after),
            self.spike_valid.eq(spike),
            self.spike_neuron.eq(pipe.at(5, "neuron")),
            self.trace.valid.eq(valid),
            self.trace.neuron.eq(pipe.at(5, "neuron")),
            self.trace.membrane.eq(after),
            self.trace.spike.eq(spike),
            self.covered.threshold_equal.eq(spike & (value == pipe.at(5, "threshold"))),
            self.covered.reset_zero.eq(spike & ~subtracts),
            self.covered.reset_subtract.eq(spike & subtracts),
        ]
