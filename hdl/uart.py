# SPDX-License-Identifier: Apache-2.0
"""Bytes over two wires: an asynchronous serial receiver and transmitter (8 data bits, no parity, 1 stop bit) with stream ports.

Knows nothing of what the bytes mean (``hdl/link.py`` does).
"""

from __future__ import annotations

from amaranth import C, Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["UartReceiver", "UartTransmitter", "check_divisor"]

FRAME_BITS = 10  # start, 8 data bits from the lowest, stop


def check_divisor(divisor: int) -> int:
    """``divisor``, if a receiver can sample in the middle of a bit with it."""
    if divisor < 4:
        raise ValueError(f"a serial link needs at least 4 clock cycles a bit, not {divisor}")
    return divisor


class UartReceiver(wiring.Component):
    """Turn frames on a wire into a stream of bytes.

    Parameters
    ----------
    divisor : int, >= 4
        Clock cycles a bit.

    Members
    -------
    rx : In(1)
        The wire, high at rest; synchronized inside.
    o : Out(stream of 8 bits)
        Bytes. A byte that is not taken before the next one is complete is lost and sets ``lost``.
    lost : Out(1)
        Set from the first lost byte or broken frame until reset.

    Timing
    ------
    A byte is valid 2 clock cycles after the middle of its stop bit.
    """

    def __init__(self, divisor: int) -> None:
        self.divisor = check_divisor(divisor)
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(8)), "lost": Out(1)})

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        rx = Signal(init=1)
        m.submodules += FFSynchronizer(self.rx, rx, init=1)
        wait = Signal(range(self.divisor + self.divisor // 2))
        left = Signal(range(FRAME_BITS))
        bits = Signal(8)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(left == 0):
            with m.If(~rx):  # a start bit begins: the first data bit's middle is one and a half bits away
                m.d.sync += [left.eq(FRAME_BITS - 1), wait.eq(self.divisor + self.divisor // 2 - 1)]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [left.eq(left - 1), wait.eq(self.divisor - 1)]
            with m.If(left == 1):  # the stop bit
                m.d.sync += [self.o.payload.eq(bits), self.o.valid.eq(rx)]
                with m.If(~rx | (self.o.valid & ~self.o.ready)):
                    m.d.sync += self.lost.eq(1)
            with m.Else():
                m.d.sync += bits.eq(Cat(bits[1:], rx))
        return m


class UartTransmitter(wiring.Component):
    """Turn a stream of bytes into frames on a wire.

    Parameters
    ----------
    divisor : int, >= 4
        Clock cycles a bit.

    Members
    -------
    i : In(stream of 8 bits)
        Bytes; ready while no frame is under way.
    tx : Out(1)
        The wire, high at rest.

    Timing
    ------
    10 * divisor clock cycles a byte.
    """

    def __init__(self, divisor: int) -> None:
        self.divisor = check_divisor(divisor)
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        wait = Signal(range(self.divisor))
        left = Signal(range(FRAME_BITS + 1))
        bits = Signal(FRAME_BITS - 1, init=-1)
        m.d.comb += self.i.ready.eq(left == 0)
        with m.If(self.i.ready):
            with m.If(self.i.valid):
                m.d.sync += [bits.eq(Cat(self.i.payload, C(1, 1))), self.tx.eq(0), left.eq(FRAME_BITS), wait.eq(self.divisor - 1)]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [self.tx.eq(bits[0]), bits.eq(Cat(bits[1:], C(1, 1))), left.eq(left - 1), wait.eq(self.divisor - 1)]
        return m
