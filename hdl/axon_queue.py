# SPDX-License-Identifier: Apache-2.0
"""Events on their way to the synapse walker: a FIFO, or with delays a history of timesteps. Knows sources and payloads, no axons.

Both blocks have the same ports (``queue_signature``). Spikes enter during the sweep and are never refused; input events enter through a
stream that waits while the memory is full. Both are cleared by a synchronous reset, which is how a clip starts (A8).
"""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Shape, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .config import Geometry
from .words import index_bits

__all__ = ["AxonHistory", "AxonQueue", "axon_queue", "event_layout", "popped_layout"]


def event_layout(geometry: Geometry) -> data.StructLayout:
    """Row of the queue: source, and payload where it can be other than 1."""
    fields: dict[str, Shape | int] = {"source": geometry.source_bits}
    if geometry.stored_payload:
        fields["payload"] = geometry.payload_shape
    return data.StructLayout(fields)


def popped_layout(geometry: Geometry) -> data.StructLayout:
    """What the walker takes: an event and, where there are several, the plane (index of the delay)."""
    fields: dict[str, data.StructLayout | int] = {"event": event_layout(geometry)}
    if len(geometry.packed.delays) > 1:
        fields["plane"] = index_bits(len(geometry.packed.delays))
    return data.StructLayout(fields)


def queue_signature(geometry: Geometry) -> wiring.Signature:
    """Ports of both queues.

    ``push``: input events. ``spike_valid``, ``spike_source``: one spike. ``walk``: 1 while the timestep's events are handed out. ``advance``: a pulse at
    the end of the walk, before the first spike of the sweep. ``pop``: events for the walker. ``empty``: there is no event to hand out; final once the
    timestep's input has ended. ``level``: events held (FIFO only, else 0).
    """
    return wiring.Signature(
        {
            "push": In(stream.Signature(event_layout(geometry))),
            "spike_valid": In(1),
            "spike_source": In(geometry.source_bits),
            "walk": In(1),
            "advance": In(1),
            "pop": Out(stream.Signature(popped_layout(geometry))),
            "empty": Out(1),
            "level": Out(index_bits(geometry.queue_depth + 1)),
        }
    )


def axon_queue(geometry: Geometry) -> AxonQueue | AxonHistory:
    """The block that the network needs."""
    return AxonHistory(geometry) if geometry.network.max_delay else AxonQueue(geometry)


def _written(m: Module, block: AxonQueue | AxonHistory, geometry: Geometry, row: data.View) -> None:
    """Drive the row to write: a spike if there is one, else the input event. They never meet, as input is taken during the walk only."""
    m.d.comb += row.eq(block.push.payload)
    with m.If(block.spike_valid):
        m.d.comb += row.source.eq(block.spike_source)
        if geometry.stored_payload:
            m.d.comb += row.payload.eq(1)


class AxonQueue(wiring.Component):
    """FIFO of events, for a network without delays.

    Ports: ``queue_signature``. Latency from push to pop 2 clocks; throughput one event per clock in and out. Resources: one memory of ``queue_depth``
    rows, two pointers. It holds the spikes of all neurons at once; input waits while it is full.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(queue_signature(geometry))

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        geometry = self.geometry
        depth = geometry.queue_depth
        m.submodules.rows = rows = Memory(shape=event_layout(geometry), depth=depth, init=[])
        write, read = rows.write_port(), rows.read_port()
        _written(m, self, geometry, write.data)
        full = self.level == depth  # of the memory; the head outside it is one more
        m.d.comb += [self.push.ready.eq(~full), write.en.eq(self.spike_valid | (self.push.valid & ~full))]

        held = Signal()  # the read port's output is an event
        m.d.comb += [
            read.en.eq((self.level != 0) & (~held | self.pop.ready)),
            self.pop.valid.eq(held),
            self.pop.payload.event.eq(read.data),
            self.empty.eq(~held & (self.level == 0)),
        ]
        m.d.sync += [held.eq(read.en | (held & ~self.pop.ready)), self.level.eq(self.level + write.en - read.en)]
        with m.If(write.en):
            m.d.sync += write.addr.eq(write.addr + 1)
        with m.If(read.en):
            m.d.sync += read.addr.eq(read.addr + 1)
        return m


class AxonHistory(wiring.Component):
    """Events of the last max_delay + 1 timesteps, handed out plane by plane, longest delay first (A5, A6, A8).

    Ports: ``queue_signature``. A plane takes 3 clocks before its first event is read (1 in all where its timestep lies before the clip), then one
    event per clock, and 1 clock to leave it. The plane of delay 0 comes last and is read while it is written. Resources: one memory of
    ``history_depth`` rows, one of the first row of each timestep. It never fills: it holds every event that A7 allows in so many timesteps.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        super().__init__(queue_signature(geometry))

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        geometry = self.geometry
        delays = geometry.packed.delays
        m.submodules.rows = rows = Memory(shape=event_layout(geometry), depth=geometry.history_depth, init=[])
        write, read = rows.write_port(), rows.read_port()
        _written(m, self, geometry, write.data)
        m.d.comb += [self.push.ready.eq(1), write.en.eq(self.spike_valid | self.push.valid)]
        with m.If(write.en):
            m.d.sync += write.addr.eq(write.addr + 1)

        # first row of each timestep; row 0 of this memory is that of the first timestep after a reset
        slots = 1 << index_bits(geometry.network.max_delay + 1)
        m.submodules.firsts = firsts = Memory(shape=len(write.addr), depth=slots, init=[])
        first_write, first_read = firsts.write_port(), firsts.read_port()
        now = Signal(range(slots))
        age = Signal(range(geometry.network.max_delay + 1))  # timesteps since the reset, as far as delays reach
        m.d.comb += [
            first_write.data.eq(write.addr),
            first_write.addr.eq(now + self.advance),
            first_write.en.eq(self.advance | ((age == 0) & (write.addr == 0))),
        ]
        with m.If(self.advance):
            m.d.sync += [now.eq(now + 1), age.eq(age + (age != geometry.network.max_delay))]

        plane = Signal(range(len(delays) + 1))
        delay = Signal.like(age)
        ahead, end, held = Signal(), Signal.like(write.addr), Signal()
        m.d.comb += [delay.eq(Array(delays)[plane]), first_read.addr.eq(now - delay + ahead), first_read.en.eq(1)]
        m.d.comb += [self.pop.valid.eq(held), self.pop.payload.event.eq(read.data)]
        if len(delays) > 1:
            m.d.comb += self.pop.payload.plane.eq(plane)
        last_plane = plane == len(delays) - 1
        with m.FSM():
            with m.State("WAIT"):
                with m.If(self.walk):
                    m.next = "PLANE"
            with m.State("PLANE"):  # the row of the timestep's first event is being read
                with m.If(age >= delay):
                    m.next = "FIRST"
                with m.Elif(last_plane):
                    m.next = "END"
                with m.Else():
                    m.d.sync += plane.eq(plane + 1)
            with m.State("FIRST"):
                m.d.comb += ahead.eq(1)
                m.d.sync += read.addr.eq(first_read.data)
                m.next = "PAST"
            with m.State("PAST"):
                m.d.sync += end.eq(first_read.data)
                m.next = "EVENTS"
            with m.State("EVENTS"):
                more = read.addr != Mux(delay == 0, write.addr, end)
                m.d.comb += read.en.eq(more & (~held | self.pop.ready))
                m.d.sync += held.eq(read.en | (held & ~self.pop.ready))
                with m.If(read.en):
                    m.d.sync += read.addr.eq(read.addr + 1)
                m.d.comb += self.empty.eq((delay == 0) & ~more & ~held)
                with m.If(self.advance):
                    m.next = "WAIT"
                with m.Elif(~more & ~held & (delay != 0)):
                    with m.If(last_plane):
                        m.next = "END"
                    with m.Else():
                        m.d.sync += plane.eq(plane + 1)
                        m.next = "PLANE"
            with m.State("END"):
                m.d.comb += self.empty.eq(1)
                with m.If(self.advance):
                    m.next = "WAIT"
        with m.If(self.advance):
            m.d.sync += plane.eq(0)
        return m
