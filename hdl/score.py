# SPDX-License-Identifier: Apache-2.0
"""S8: emitted values of a timestep, class scores of a clip, label. Knows readout neurons and classes, no arithmetic of neurons."""

from __future__ import annotations

from amaranth.hdl import Array, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..edge.network import Readout as Mode
from .config import Geometry
from .words import Words, index_bits

__all__ = ["Readout"]

REGISTER_BITS = 512  # scores up to this size are kept in flip-flops: block RAMs are what a small device runs out of first


class Readout(wiring.Component):
    """Hands out the readout neurons after each sweep and adds up their scores.

    ``start``: n_readouts + 1 clocks, plus those in which an emitted word waits. ``read_scores``: n_classes + 1 clocks, plus those in which a score word waits.

    Ports
    -----
    start, read_scores : In(1)
        Pulses, while idle.
    first : In(1)
        Steady over a readout: the first timestep of a clip.
    ran : In(1)
        The clip has had a timestep; without one every score is 0.
    done : Out(1)
        A pulse in the clock in which the last word of either stream is taken.
    peek_en, peek_neuron : Out; peek_value : In
        State of the readout neuron in the next clock.
    emitted, scores : Out stream
        ``Words.emitted_layout``, ``Words.score_layout``.
    label : Out
        Class with the largest score, the lowest such class (S8.1), from the clock after ``done``.

    Resources: one memory of a score per class (flip-flops up to 512 bits), one adder, one comparator.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        words = Words(geometry.network)
        super().__init__(
            {
                "start": In(1),
                "read_scores": In(1),
                "first": In(1),
                "ran": In(1),
                "done": Out(1),
                "peek_en": Out(1),
                "peek_neuron": Out(geometry.neuron_bits),
                "peek_value": In(words.emitted_layout.members["value"]),
                "emitted": Out(stream.Signature(words.emitted_layout)),
                "scores": Out(stream.Signature(words.score_layout)),
                "label": Out(index_bits(geometry.network.n_classes)),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        net = self.geometry.network
        words = Words(net)
        shape = signed(words.score_bits)
        style = {"ram_style": "registers"} if net.n_classes * len(self.scores.payload.value) <= REGISTER_BITS else {}
        m.submodules.totals = totals = Memory(shape=shape, depth=net.n_classes, init=[], attrs=style)
        write = totals.write_port()
        read = totals.read_port(transparent_for=(write,))

        index = Signal(range(max(2, len(net.readout_neuron), net.n_classes)))  # of the word that is handed out
        upcoming = Signal.like(index)  # whose rows are read in this clock
        emitting, scoring = Signal(), Signal()
        taken = (emitting & self.emitted.ready) | (scoring & self.scores.ready)
        begin = self.start | self.read_scores
        onward = taken & ~self.done
        m.d.comb += [
            upcoming.eq(Mux(begin, 0, index + 1)),
            self.peek_en.eq(self.start | (emitting & onward)),
            self.peek_neuron.eq(self._of_readout(net.readout_neuron.tolist(), upcoming)),
            read.en.eq(begin | onward),
            read.addr.eq(Mux(self.read_scores | scoring, upcoming, self._of_readout(net.readout_class.tolist(), upcoming))),
            self.emitted.valid.eq(emitting),
            self.emitted.payload.value.eq(self.peek_value),
            self.emitted.payload.index.eq(index),
            self.emitted.payload.last.eq(index == len(net.readout_neuron) - 1),
            self.scores.valid.eq(scoring),
            self.scores.payload.value.eq(Mux(self.ran, read.data, 0)),
            self.scores.payload.index.eq(index),
            self.scores.payload.last.eq(index == net.n_classes - 1),
            self.done.eq(taken & Mux(scoring, self.scores.payload.last, self.emitted.payload.last)),
        ]
        with m.If(begin | taken):
            m.d.sync += index.eq(upcoming)
        with m.If(begin):
            m.d.sync += [emitting.eq(self.start), scoring.eq(self.read_scores)]
        with m.If(self.done):
            m.d.sync += [emitting.eq(0), scoring.eq(0)]

        # a class starts anew with its first readout neuron: in every timestep (LAST), or in the first of a clip
        opens = [int(c not in net.readout_class[:i]) for i, c in enumerate(net.readout_class)]
        anew = self._of_readout(opens, index) & (Const(1) if net.readout == Mode.LAST else self.first)
        m.d.comb += [
            write.en.eq(emitting & self.emitted.ready),
            write.addr.eq(self._of_readout(net.readout_class.tolist(), index)),
            write.data.eq(Mux(anew, 0, read.data) + self.peek_value),
        ]
        best = Signal(shape)
        with m.If(scoring & self.scores.ready & ((index == 0) | (self.scores.payload.value > best))):
            m.d.sync += [best.eq(self.scores.payload.value), self.label.eq(index)]
        return m

    @staticmethod
    def _of_readout(values: list[int], index: Value) -> Value:
        """``values[index]``, without a table where they count upward."""
        if values == list(range(values[0], values[0] + len(values))):
            return index + values[0]
        return Array(values)[index]
