# SPDX-License-Identifier: Apache-2.0
"""The host link: bytes that carry events into a core and its values out, for any byte stream (a serial port on the boards).

``hdl/host.py`` is the other end. Knows the core's ports, nothing of wires or baud rates. Every message begins with one letter:

===================================  ==================================================================================
host to board                        board to host
===================================  ==================================================================================
``I``                                ``I``, version of this protocol (1), the first 8 bytes of the network's digest
``R``                                ``R`` when the state is that of S9 of docs/semantics.md
``E`` channel_low channel_high p     nothing: an event of this timestep, payload p in two's complement
``T``                                ``T``, then S8: a value for each readout neuron in declared order
``S``                                ``S``, then a score for each class, the label, and a status byte
===================================  ==================================================================================

Values and scores are two's complement, lowest byte first, in as many whole bytes as their width takes; the label is one byte. Status bit 0:
a byte from the host was lost; bit 1: a byte was no message; both since power-up. The host waits for the answer to each message but ``E``.
"""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..edge.errors import TargetError
from ..edge.network import Network
from .words import Words, index_bits

__all__ = ["PROTOCOL", "Link", "bytes_for", "check_carried"]

PROTOCOL = 1
DIGEST_BYTES = 8
MAX_CLASSES = 256
MAX_CHANNELS = 1 << 16


def bytes_for(bits: int) -> int:
    """Whole bytes that hold ``bits`` bits."""
    return (bits + 7) // 8


def check_carried(network: Network) -> None:
    """Raise ``TargetError`` for a network whose channels or classes do not fit the messages."""
    if network.n_classes > MAX_CLASSES or network.n_inputs > MAX_CHANNELS:
        raise TargetError(
            f"the host link carries at most {MAX_CLASSES} classes and {MAX_CHANNELS} input channels, not {network.n_classes} and {network.n_inputs}"
        )


class Link(wiring.Component):
    """Speak the byte protocol of this module on behalf of a core.

    Parameters
    ----------
    network : Network
        What the core runs; ``check_carried`` says whether the link can.
    digest : str
        ``network_digest`` of it, hexadecimal.

    Members
    -------
    i, o : stream of 8 bits
        Bytes from and to the host.
    lost : In(1)
        The transport lost a byte; shown in the status byte.
    events, emitted, scores, label, reset_clip, read_scores, busy
        To be connected to the ports of ``SpikingCore`` (docs/core.md).

    Timing
    ------
    One byte a clock at most. It takes nothing from the host while the core holds a word up, so a transport without flow control loses bytes then.
    """

    def __init__(self, network: Network, digest: str) -> None:
        self.network = network
        self.digest = bytes.fromhex(digest)[:DIGEST_BYTES]
        words = Words(network)
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "lost": In(1),
                "events": Out(stream.Signature(words.event_layout)),
                "emitted": In(stream.Signature(words.emitted_layout)),
                "scores": In(stream.Signature(words.score_layout)),
                "label": In(index_bits(network.n_classes)),
                "reset_clip": Out(1),
                "read_scores": Out(1),
                "busy": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        words = Words(self.network)
        value_bytes, score_bytes = bytes_for(words.value_bits), bytes_for(words.score_bits)
        shift = Signal(8 * max(value_bytes, score_bytes))  # bytes of one number still to send, the lowest first
        left = Signal(range(max(value_bytes, score_bytes) + 1))
        last, is_score, unknown = Signal(), Signal(), Signal()
        event = Signal(24)  # channel and payload as they arrive
        count = Signal(range(4))
        greeting = Array(Const(byte, 8) for byte in (ord("I"), PROTOCOL, *self.digest))
        place = Signal(range(len(greeting)))
        settled = Signal()  # busy says something about the reset only in the clock after it

        channel, payload = event[:16], event[16:]
        m.d.comb += [self.events.payload.channel.eq(channel), self.events.payload.payload.eq(payload)]
        with m.FSM():
            with m.State("LISTEN"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [place.eq(0), count.eq(0), settled.eq(0), is_score.eq(0)]
                with m.If(self.i.valid):
                    with m.Switch(self.i.payload):
                        with m.Case(ord("E")):
                            m.next = "EVENT"
                        with m.Case(ord("T")):
                            m.next = "END"
                        with m.Case(ord("R")):
                            m.d.comb += self.reset_clip.eq(1)
                            m.next = "RESET"
                        with m.Case(ord("S")):
                            m.d.comb += self.read_scores.eq(1)
                            m.d.sync += is_score.eq(1)
                            m.next = "ANSWER"
                        with m.Case(ord("I")):
                            m.next = "GREET"
                        with m.Default():
                            m.d.sync += unknown.eq(1)
            with m.State("EVENT"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [event.eq(Cat(event[8:], self.i.payload)), count.eq(count + 1)]
                    with m.If(count == 2):
                        m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.events.valid.eq(1)
                with m.If(self.events.ready):
                    m.next = "LISTEN"
            with m.State("END"):
                m.d.comb += [self.events.valid.eq(1), self.events.payload.last.eq(1)]
                with m.If(self.events.ready):
                    m.next = "ANSWER"
            with m.State("RESET"):
                m.d.sync += settled.eq(1)
                m.d.comb += [self.o.payload.eq(ord("R")), self.o.valid.eq(settled & ~self.busy)]
                with m.If(self.o.valid & self.o.ready):
                    m.next = "LISTEN"
            with m.State("GREET"):
                m.d.comb += [self.o.payload.eq(greeting[place]), self.o.valid.eq(1)]
                with m.If(self.o.ready):
                    m.d.sync += place.eq(place + 1)
                    with m.If(place == len(greeting) - 1):
                        m.next = "LISTEN"
            with m.State("ANSWER"):
                m.d.comb += [self.o.payload.eq(Mux(is_score, ord("S"), ord("T"))), self.o.valid.eq(1)]
                with m.If(self.o.ready):
                    m.next = "TAKE"
            with m.State("TAKE"):
                with m.If(is_score):
                    m.d.comb += self.scores.ready.eq(1)
                    m.d.sync += [shift.eq(self.scores.payload.value), left.eq(score_bytes), last.eq(self.scores.payload.last)]
                with m.Else():
                    m.d.comb += self.emitted.ready.eq(1)
                    m.d.sync += [shift.eq(self.emitted.payload.value), left.eq(value_bytes), last.eq(self.emitted.payload.last)]
                with m.If(Mux(is_score, self.scores.valid, self.emitted.valid)):
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += [self.o.payload.eq(shift[:8]), self.o.valid.eq(1)]
                with m.If(self.o.ready):
                    m.d.sync += [shift.eq(shift >> 8), left.eq(left - 1)]
                    with m.If(left == 1):
                        with m.If(~last):
                            m.next = "TAKE"
                        with m.Elif(is_score):
                            m.next = "LABEL"
                        with m.Else():
                            m.next = "LISTEN"
            with m.State("LABEL"):
                m.d.comb += [self.o.payload.eq(self.label), self.o.valid.eq(1)]
                with m.If(self.o.ready):
                    m.next = "STATUS"
            with m.State("STATUS"):
                m.d.comb += [self.o.payload.eq(Cat(self.lost, unknown)), self.o.valid.eq(1)]
                with m.If(self.o.ready):
                    m.next = "LISTEN"
        return m
