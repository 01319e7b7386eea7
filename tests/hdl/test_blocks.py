# SPDX-License-Identifier: Apache-2.0
"""Blocks of the core alone: order and rate of the queue, one synapse per clock in the walker, arithmetic at every operand."""

from __future__ import annotations

import random

import pytest
from amaranth.hdl import Const, Module, Signal, signed
from amaranth.sim import Simulator
from build import axon, network, neuron, silent
from ormia.edge.fixedpoint import Format
from ormia.edge.fixedpoint import shift_toward_zero as exact_shift
from ormia.hdl.axon_queue import AxonQueue
from ormia.hdl.config import CoreConfig, Geometry
from ormia.hdl.neuron import saturate, shift_left, shift_toward_zero
from ormia.hdl.pack import BOOLEAN_PACKINGS, PACKINGS
from ormia.hdl.synapse import SynapseWalker


def simulate(block, script) -> list:
    """What an async ``script(ctx, seen)`` beside a block appended to ``seen``."""
    seen: list = []
    simulator = Simulator(block)
    simulator.add_clock(1e-6)

    async def testbench(ctx):
        await script(ctx, seen)

    simulator.add_testbench(testbench)
    simulator.run()
    return seen


@pytest.mark.parametrize(("offer", "take"), [(1.0, 1.0), (1.0, 0.3), (0.3, 1.0), (0.6, 0.5)])
def test_the_queue_keeps_order_and_loses_nothing_at_any_rate(offer, take):
    net = network([neuron(1)] * 5, [axon(c, {0: 1}) for c in range(12)], n_inputs=8)
    queue, chance = AxonQueue(Geometry(net, CoreConfig())), random.Random(7)
    given = [(chance.randrange(8), chance.randrange(1, 16)) for _ in range(300)]

    async def script(ctx, seen):
        waiting, offered, clock = list(given), False, 0
        while len(seen) < len(given):
            offered = offered or (bool(waiting) and chance.random() < offer)
            ctx.set(queue.push.valid, offered)
            if offered:
                ctx.set(queue.push.payload, {"source": waiting[0][0], "payload": waiting[0][1]})
            taken = chance.random() < take
            ctx.set(queue.pop.ready, taken)
            if taken and ctx.get(queue.pop.valid):
                event = ctx.get(queue.pop.payload.event)
                seen.append((event.source, event.payload))
            if offered and ctx.get(queue.push.ready):
                waiting, offered = waiting[1:], False
            assert ctx.get(queue.level) <= 8
            await ctx.tick()
            clock += 1
        if offer == take == 1.0:
            assert clock == len(given) + 2

    assert simulate(queue, script) == given


@pytest.mark.parametrize("packing", PACKINGS)
def test_the_walker_adds_one_synapse_in_every_clock_across_lists_and_repeated_targets(packing):
    lengths = [5, 1, 1, 3, 2, 1]

    def weight(c: int, t: int) -> int:
        return (-2) ** (c % 3) if packing in BOOLEAN_PACKINGS else 1 + (c + t) % 7

    axons = [axon(c, {t: weight(c, t) for t in range(n)}, shift=c % 2) for c, n in enumerate(lengths)]
    net = network([silent()] * 5, axons, n_inputs=len(lengths))
    walker = SynapseWalker(Geometry(net, CoreConfig(packing=packing, counters=True)))
    order = [0, 1, 2, 5, 1, 1, 3, 4, 0, 2, 2, 2]

    async def script(ctx, seen):
        waiting, operations = list(order), []
        ctx.set(walker.walk, 1)
        for _ in range(60):
            ctx.set(walker.pop.valid, bool(waiting))
            if waiting:
                ctx.set(walker.pop.payload.event, {"source": waiting[0], "payload": 3})
                if ctx.get(walker.pop.ready):
                    waiting.pop(0)
            operations.append(ctx.get(walker.operation))
            await ctx.tick()
        assert ctx.get(walker.idle)
        first = operations.index(1)
        synapses = sum(lengths[c] for c in order)
        assert sum(operations) == synapses
        assert all(operations[first : first + synapses]), "a clock without a synapse between the first and the last"
        for target in range(5):
            ctx.set(walker.drain_en, 1)
            ctx.set(walker.drain_neuron, target)
            await ctx.tick()
            seen.append(ctx.get(walker.drain))

    expected = [sum((3 * weight(c, t)) << c % 2 for c in order if t < lengths[c]) for t in range(5)]
    assert simulate(walker, script) == expected


def over_all(bits: int, *functions) -> list[list[int]]:
    """Every operand of so many bits, with the results of combinational functions of it."""
    m, operand, rows = Module(), Signal(signed(bits)), []
    values = [function(operand) for function in functions]
    results = [Signal(value.shape()) for value in values]
    m.d.comb += [result.eq(value) for result, value in zip(results, values, strict=True)]

    async def testbench(ctx):
        for number in range(-(1 << bits - 1), 1 << bits - 1):
            ctx.set(operand, number)
            rows.append([number, *(ctx.get(result) for result in results)])

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    return rows


@pytest.mark.parametrize("bits", [3, 6, 7])
def test_saturation_is_exact_at_every_operand(bits):
    for operand, value, high, low in over_all(7, *(lambda v, part=part: saturate(v, bits)[part] for part in range(3))):
        limits = Format(bits)
        assert (value, high, low) == (limits.saturate(operand), operand > limits.hi, operand < limits.lo)


def test_right_shifts_truncate_toward_zero_at_every_operand():
    shifts = range(8)
    fixed = [lambda v, s=s: shift_toward_zero(v, Const(s)) for s in shifts]
    chosen = [lambda v, s=s: shift_toward_zero(v, Signal(3, init=s)) for s in shifts]
    for operand, *values in over_all(7, *fixed, *chosen):
        assert values == [exact_shift(operand, s) for s in shifts] * 2


def test_left_shifts_lose_nothing_at_any_operand():
    for operand, *values in over_all(5, *(lambda v, s=s: shift_left(v, Signal(3, init=s)) for s in range(8))):
        assert values == [operand << s for s in range(8)]
