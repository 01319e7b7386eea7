# SPDX-License-Identifier: Apache-2.0
"""The core: the timestep's state machine and the wires between the blocks. docs/core.md is its manual."""

from __future__ import annotations

from amaranth.hdl import Array, Const, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..edge.coverage import BRANCHES
from ..edge.network import Network
from .axon_queue import AxonHistory, AxonQueue, axon_queue
from .config import CoreConfig, Geometry
from .neuron import COVERED, NeuronSweep, trace_signature
from .score import Readout
from .synapse import SynapseWalker
from .words import Words, index_bits

__all__ = ["COUNTERS", "Engine", "SpikingCore"]

COUNTERS = ("cycles", "spikes", "synaptic_operations", "axon_activations", "queue_full", "queue_peak")
COUNTER_BITS = 32


class SpikingCore(wiring.Component):
    """One network as gateware: an ``Engine`` that ``reset_clip`` resets, and what outlives a clip.

    Parameters
    ----------
    network : Network
        What to run.
    config : CoreConfig, optional
        How to build it.
    geometry : Geometry, optional
        Of that network, where it exists already; it has a configuration.

    Attributes
    ----------
    geometry : Geometry
        Sizes, tables and memory images.

    Ports, words and handshake: docs/core.md. Clocks per timestep: ``edge/cycles.py``.

    Raises
    ------
    TargetError
        If the network is beyond what the generator supports.
    """

    def __init__(self, network: Network, config: CoreConfig | None = None, *, geometry: Geometry | None = None) -> None:
        self.geometry = geometry or Geometry(network, config or CoreConfig())
        ports = engine_ports(self.geometry) | {"reset_clip": In(1)}
        if self.geometry.config.coverage:
            ports["coverage"] = Out(wiring.Signature({name: Out(COUNTER_BITS) for name in BRANCHES}))
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        engine = Engine(self.geometry)
        m.submodules.engine = ResetInserter(self.reset_clip)(engine)
        for name, member in engine_ports(self.geometry).items():
            if member.is_port:
                inner, outer = getattr(engine, name), getattr(self, name)
                m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
            else:
                connect(m, getattr(engine, name), flipped(getattr(self, name)))
        if self.geometry.config.coverage:
            for name in BRANCHES:
                count = getattr(self.coverage, name)
                m.d.sync += count.eq(count + (engine.covered[name] & ~self.reset_clip))
        return m


def engine_ports(geometry: Geometry) -> dict[str, wiring.Member]:
    """Ports of the core without ``reset_clip`` and ``coverage``."""
    words = Words(geometry.network)
    ports = {
        "events": In(stream.Signature(words.event_layout)),
        "emitted": Out(stream.Signature(words.emitted_layout)),
        "scores": Out(stream.Signature(words.score_layout)),
        "label": Out(index_bits(geometry.network.n_classes)),
        "read_scores": In(1),
        "tick": In(1),
        "busy": Out(1),
        "step_done": Out(1),
        "overrun": Out(1),
    }
    if geometry.config.trace:
        ports["trace"] = Out(trace_signature(geometry))
    if geometry.config.counters:
        ports["counters"] = Out(wiring.Signature({name: Out(COUNTER_BITS) for name in COUNTERS}))
    return ports


class Engine(wiring.Component):
    """Blocks, wires and state machine. A synchronous reset starts a clip: accumulators are emptied, then the first timestep ignores old state.

    Ports: ``engine_ports``. From reset to the first ``events.ready``: n_neurons * (K + 1) + 6 clocks.

    Attributes
    ----------
    covered : dict of str to Value
        A pulse for each time a branch of the semantics is taken (``edge/coverage.py``).
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(engine_ports(geometry))
        self.covered = {name: Signal(name=f"covered_{name}") for name in BRANCHES}

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        geometry = self.geometry
        m.submodules.queue = queue = axon_queue(geometry)
        m.submodules.walker = walker = SynapseWalker(geometry)
        m.submodules.sweep = sweep = NeuronSweep(geometry)
        m.submodules.readout = readout = Readout(geometry)
        connect(m, queue.pop, walker.pop)
        connect(m, readout.emitted, flipped(self.emitted))
        connect(m, readout.scores, flipped(self.scores))

        sealed, ran, asked = Signal(), Signal(), Signal()  # input has ended; a timestep is done; scores were asked for
        walking, clearing, counting, idle = Signal(), Signal(), Signal(), Signal()
        wanted = asked | self.read_scores
        m.d.sync += asked.eq(wanted)
        with m.FSM(init="START"):
            with m.State("START"):
                m.d.comb += [clearing.eq(1), sweep.start.eq(1)]
                m.next = "CLEAR"
            with m.State("CLEAR"):
                m.d.comb += clearing.eq(1)
                with m.If(sweep.done):
                    m.next = "BOUNDARY"
            with m.State("BOUNDARY"):  # nothing is done for the next timestep until its first word comes, so that counters are those of whole timesteps
                m.d.comb += [idle.eq(~wanted & ~self.events.valid), walking.eq(~wanted & self.events.valid)]
                with m.If(wanted):
                    m.d.comb += readout.read_scores.eq(1)
                    m.d.sync += asked.eq(0)
                    m.next = "SCORES"
                with m.Elif(self.events.valid & self.events.ready):
                    m.next = "WALK"
            with m.State("SCORES"):
                with m.If(readout.done):
                    m.next = "BOUNDARY"
            with m.State("WALK"):
                m.d.comb += walking.eq(1)
                with m.If(queue.empty & sealed & walker.idle):
                    m.d.comb += [queue.advance.eq(1), sweep.start.eq(1)]
                    m.next = "SWEEP"
            with m.State("SWEEP"):
                m.d.comb += counting.eq(1)
                with m.If(sweep.done):
                    m.next = "PEEK"
            with m.State("PEEK"):
                m.d.comb += [counting.eq(1), readout.start.eq(1)]
                m.next = "EMIT"
            with m.State("EMIT"):
                m.d.comb += counting.eq(self.emitted.ready)
                with m.If(readout.done):
                    m.d.comb += self.step_done.eq(1)
                    m.d.sync += [sealed.eq(0), ran.eq(1)]
                    m.next = "BOUNDARY"

        waiting = walking & ~sealed & queue.empty & walker.idle & ~self.events.valid  # for the host
        word = self.events.payload
        taken = self.events.valid & self.events.ready
        with m.If(taken & word.last):
            m.d.sync += sealed.eq(1)
        m.d.comb += [
            self.events.ready.eq(walking & ~sealed & queue.push.ready),
            queue.push.valid.eq(self.events.valid & walking & ~sealed & ~word.last & (word.payload != 0) & (word.channel < geometry.network.n_inputs)),
            queue.push.payload.source.eq(word.channel),
            queue.walk.eq(walking),
            walker.walk.eq(walking),
            sweep.clear.eq(clearing),
            sweep.fresh.eq(~ran),
            readout.first.eq(~ran),
            readout.ran.eq(ran),
            self.label.eq(readout.label),
            self.busy.eq(~idle & ~waiting),
        ]
        if geometry.stored_payload:
            m.d.comb += queue.push.payload.payload.eq(word.payload)
        self._connect(m, queue, walker, sweep, readout)
        self._overrun(m)
        active = Mux(walking, ~waiting, counting)
        self._watch(m, queue, walker, sweep, active=active, blocked=walking & ~sealed & self.events.valid & ~queue.push.ready)
        return m

    def _connect(self, m: Module, queue: AxonQueue | AxonHistory, walker: SynapseWalker, sweep: NeuronSweep, readout: Readout) -> None:
        """Wires that are the same in every state."""
        geometry = self.geometry
        lives = sweep.spike_neuron < geometry.live_neurons if geometry.live_neurons < geometry.network.n_neurons else Const(1)
        m.d.comb += [
            queue.spike_valid.eq(sweep.spike_valid & lives),
            queue.spike_source.eq(sweep.spike_neuron + geometry.network.n_inputs),
            walker.drain_en.eq(sweep.drain_en),
            walker.drain_compartment.eq(sweep.drain_compartment),
            walker.drain_neuron.eq(sweep.drain_neuron),
            sweep.drain.eq(walker.drain),
            sweep.peek_en.eq(readout.peek_en),
            sweep.peek_neuron.eq(readout.peek_neuron),
            readout.peek_value.eq(sweep.peek_fired if geometry.keeps_fired else sweep.peek_membrane),
        ]
        if geometry.config.trace:
            connect(m, sweep.trace, flipped(self.trace))

    def _overrun(self, m: Module) -> None:
        """A tick that comes before the timestep of the tick before it is done."""
        owed = Signal()
        m.d.sync += owed.eq(self.tick | (owed & ~self.step_done))
        with m.If(self.tick & owed & ~self.step_done):
            m.d.sync += self.overrun.eq(1)

    def _watch(self, m: Module, queue: AxonQueue | AxonHistory, walker: SynapseWalker, sweep: NeuronSweep, *, active: Value, blocked: Value) -> None:
        """Counters (C1) and coverage pulses."""
        delays = self.geometry.packed.delays
        delayed = Array(int(d > 0) for d in delays)[walker.activated_plane] if len(delays) > 1 else int(delays[0] > 0)
        m.d.comb += [self.covered[name].eq(getattr(sweep.covered, name)) for name in COVERED]
        m.d.comb += [
            self.covered["delayed_axon"].eq(walker.activation & delayed),
            self.covered["payload_above_1"].eq(walker.activation & (walker.activated_payload > 1)),
            self.covered["payload_negative"].eq(walker.activation & (walker.activated_payload < 0)),
        ]
        if self.geometry.config.counters:
            pulses = (active, sweep.spike_valid, walker.operation, walker.activation, blocked)
            for name, pulse in zip(COUNTERS, pulses, strict=False):
                count = getattr(self.counters, name)
                m.d.sync += count.eq(count + pulse)
            with m.If(queue.level > self.counters.queue_peak):
                m.d.sync += self.counters.queue_peak.eq(queue.level)
