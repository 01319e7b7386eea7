# SPDX-License-Identifier: Apache-2.0
"""Bytes over a wire: what goes in comes out, and a lost byte is reported."""

from __future__ import annotations

import random

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator
from ormia.hdl.uart import UartReceiver, UartTransmitter, check_divisor


def looped(divisor: int, sent: list[int], take: bool = True) -> tuple[list[int], int, int]:
    """Send bytes back to back over a wire; the bytes received, the lost flag at the end and the clock cycles."""
    m = Module()
    m.submodules.transmitter = transmitter = UartTransmitter(divisor)
    m.submodules.receiver = receiver = UartReceiver(divisor)
    m.d.comb += receiver.rx.eq(transmitter.tx)
    received, cycles = [], []

    async def drive(ctx):
        for byte in sent:
            ctx.set(transmitter.i.payload, byte)
            ctx.set(transmitter.i.valid, 1)
            await ctx.tick().until(transmitter.i.ready)
        ctx.set(transmitter.i.valid, 0)
        await ctx.tick().repeat(12 * divisor)
        cycles.append(ctx.get(receiver.lost))

    async def collect(ctx):
        ctx.set(receiver.o.ready, int(take))
        async for _, _, valid, payload in ctx.tick().sample(receiver.o.valid, receiver.o.payload):
            if valid and take:
                received.append(payload)

    async def count(ctx):
        async for _ in ctx.tick():
            ticks[0] += 1

    ticks = [0]
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.add_testbench(collect, background=True)
    simulator.add_testbench(count, background=True)
    simulator.run()
    return received, cycles[0], ticks[0]


@pytest.mark.parametrize("divisor", [4, 5, 12, 104])
def test_bytes_arrive_in_order_and_whole(divisor):
    sent = [0x00, 0xFF, 0x55, 0xAA, *random.Random(divisor).randbytes(8)]
    received, lost, _ = looped(divisor, sent)
    assert received == sent
    assert not lost


def test_a_byte_takes_ten_bits():
    cycles = [looped(12, [0x5A] * count)[2] for count in (1, 9)]
    assert cycles[1] - cycles[0] == 8 * (10 * 12 + 1)


def test_a_byte_that_nobody_takes_sets_lost():
    assert looped(8, [1], take=False)[1] == 0
    assert looped(8, [1, 2], take=False)[1] == 1


def test_too_few_cycles_a_bit_are_refused():
    with pytest.raises(ValueError, match="at least 4 clock cycles a bit, not 3"):
        check_divisor(3)
