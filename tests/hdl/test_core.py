# SPDX-License-Identifier: Apache-2.0
"""The core in Amaranth's simulator gives the integers of the reference, in the clocks of the model, however its host behaves."""

from __future__ import annotations

import re

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.sim import Simulator
from build import axon, network, neuron, silent
from ec_like import ec_like
from networks import Seeded, random_network, random_payloads
from ormia.edge.events import events_from_payloads
from ormia.edge.network import Readout, Reset
from ormia.edge.reference import Reference
from ormia.edge.trace import first_difference
from ormia.hdl.config import CoreConfig, Geometry
from ormia.hdl.core import SpikingCore
from ormia.hdl.pack import BOOLEAN_PACKINGS, PACKINGS
from ormia.hdl.pysim import PysimCore
from ormia.hdl.words import Words

FULL_CONFIG = {"trace": True, "counters": True, "coverage": True}


def emitted_of(reference: Reference, clip) -> list[list[int]]:
    """Emitted values (S8) of each timestep."""
    reference.reset()
    values = []
    for events in [*clip, *([[]] * reference.network.formats.flush)]:
        reference.step(events)
        values.append(reference.emitted())
    return values


def hold_to_reference(net, clips, packing: str, **ways) -> int:
    """Run clips on a core and demand everything of the reference; clocks in which the queue was full."""
    geometry = Geometry(net, CoreConfig(packing=packing, **FULL_CONFIG))
    machine, reference = PysimCore(geometry), Reference(net)
    full = 0
    for clip in clips:
        expected, run = reference.run(clip), machine.run(clip, **ways)
        assert first_difference(expected, run.trace) is None
        counted = {name: getattr(run.trace.counters, name) for name in ("spikes", "synaptic_operations", "axon_activations", "neuron_updates")}
        assert counted == {name: getattr(expected.counters, name) for name in counted}
        assert run.emitted.tolist() == emitted_of(Reference(net), clip)
        if not ways:
            assert run.step_cycles.tolist() == geometry.cycles.clip(clip, expected.raster).tolist()
            assert run.trace.counters.cycles == run.step_cycles.sum()
            assert all(cycles <= geometry.cycles.worst_step() for cycles in run.step_cycles)
        full += run.queue_full
    assert machine.coverage == reference.coverage
    return full


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("seed", range(10))
def test_random_networks_give_the_integers_of_the_reference_in_the_clocks_of_the_model(seed, packing):
    chance = Seeded(np.random.default_rng([901, seed]))
    net = random_network(chance, max_delay=0 if seed % 2 else 5)
    hold_to_reference(net, [events_from_payloads(random_payloads(chance, net, 7)) for _ in range(2)], packing)


@pytest.mark.parametrize("packing", BOOLEAN_PACKINGS)
@pytest.mark.parametrize("seed", range(3))
def test_boolean_axons_beside_others_are_exact_over_many_words_of_neurons(seed, packing):
    chance = Seeded(np.random.default_rng([904, seed]))
    net = random_network(chance, max_neurons=50, max_inputs=5, max_delay=0 if seed % 2 else 4, boolean_one_in=1 + seed % 2)
    hold_to_reference(net, [events_from_payloads(random_payloads(chance, net, 5))], packing)


@pytest.mark.parametrize("packing", BOOLEAN_PACKINGS)
@pytest.mark.parametrize("net", [ec_like(1, neurons=40), ec_like(2, neurons=40, density=0.08, weight=5), ec_like(3, neurons=31, density=1.0)])
def test_evolved_controllers_are_exact_in_integers_and_in_clocks(net, packing):
    rng = np.random.default_rng(5)
    clips = [[[(c, int(rng.integers(-128, 128))) for c in range(net.n_inputs)] for _ in range(5)] for _ in range(2)]
    hold_to_reference(net, clips, packing)


@pytest.mark.parametrize("weight", [1, 5])
def test_boolean_packings_multiply_in_the_sweep_alone(weight):
    net = ec_like(weight=weight, n_inputs=1, neurons=6)
    multipliers = {packing: generated(net, packing=packing)[2] for packing in PACKINGS}
    assert multipliers == {"plain": 2, "shared": 2, "indices": 1, "bitmap": 1}
    assert "weights" not in generated(net, packing="bitmap")[1] | generated(net, packing="indices")[1]


@pytest.mark.parametrize("seed", range(6))
def test_a_host_that_idles_and_stalls_changes_no_integer(seed):
    chance = Seeded(np.random.default_rng([902, seed]))
    net = random_network(chance, max_delay=0 if seed % 2 else 4)
    clips = [events_from_payloads(random_payloads(chance, net, 6)) for _ in range(2)]
    hold_to_reference(net, clips, PACKINGS[seed % len(PACKINGS)], idle=40 * seed, stall=200 - 30 * seed, seed=seed)


def test_input_waits_while_the_queue_is_full_and_none_is_lost():
    full = 0
    for seed in range(4):
        chance = Seeded(np.random.default_rng([903, seed]))
        net = random_network(chance, max_delay=0, max_inputs=30, max_neurons=4)
        full += hold_to_reference(net, [events_from_payloads(random_payloads(chance, net, 6)) for _ in range(2)], "plain")
    assert full > 100


def test_a_deeper_queue_is_never_full():
    chance = Seeded(np.random.default_rng([903, 1]))
    net = random_network(chance, max_delay=0, max_inputs=30, max_neurons=4)
    clip = [[(c, 1) for c in range(net.n_inputs)]] * 3
    run = PysimCore(Geometry(net, CoreConfig(queue_depth=32, **FULL_CONFIG))).run(clip)
    assert (run.queue_full, run.queue_peak > 4) == (0, True)


def test_a_clip_without_timesteps_has_scores_of_zero_also_after_another():
    net = network([silent(bias=3)], [], max_timesteps=8)
    machine = PysimCore(Geometry(net, CoreConfig(**FULL_CONFIG)))
    assert [machine.run(clip).trace.scores.tolist() for clip in ([[]] * 3, [], [[]])] == [[3 + 6 + 9], [0], [3]]


@pytest.mark.parametrize("mode", list(Readout))
def test_scores_follow_the_mode_with_classes_in_any_order(mode):
    cells = [neuron(100, bias=1), neuron(2, bias=1, reset=Reset.SUBTRACT), neuron(100, bias=1), neuron(100, bias=1)]
    net = network(cells, [], readout=mode, readout_neuron=[3, 1, 0, 2], readout_class=[0, 0, 1, 0], labels=("a", "b"), max_timesteps=8)
    run = PysimCore(Geometry(net, CoreConfig(**FULL_CONFIG))).run([[]] * 3)
    expected = Reference(net).run([[]] * 3)
    assert run.trace.scores.tolist() == expected.scores.tolist()
    assert run.trace.label == expected.label
    if mode != Readout.SPIKES:
        assert sum(run.emitted[-1]) == sum(expected.membranes[-1])


def drive(core: SpikingCore, script) -> list:
    """Run an async ``script(ctx, seen)`` beside a core; what it appended to ``seen``."""
    seen: list = []
    simulator = Simulator(core)
    simulator.add_clock(1e-6)

    async def testbench(ctx):
        await script(ctx, seen)

    simulator.add_testbench(testbench)
    simulator.run()
    return seen


async def send(ctx, core, *words: int) -> None:
    for word in words:
        ctx.set(core.events.valid, 1)
        ctx.set(core.events.payload.as_value(), word)
        while not ctx.get(core.events.ready):
            await ctx.tick()
        await ctx.tick()
    ctx.set(core.events.valid, 0)


async def finish_step(ctx, core) -> list[int]:
    """Take the emitted words until the timestep is done."""
    ctx.set(core.emitted.ready, 1)
    values = []
    while True:
        if ctx.get(core.emitted.valid):
            values.append(ctx.get(core.emitted.payload.value))
        done = ctx.get(core.step_done)
        await ctx.tick()
        if done:
            return values


def test_events_without_payload_and_beyond_the_channels_are_taken_and_ignored():
    net = network([silent()], [axon(c, {0: 1 + c}) for c in range(3)], n_inputs=3)
    core, words = SpikingCore(net), Words(net)

    async def script(ctx, seen):
        await send(ctx, core, words.event(1, 0), words.event(3, 1), words.event(2, 2), words.end_of_step)
        seen.append(await finish_step(ctx, core))

    assert drive(core, script) == [[6]]


def test_busy_is_low_only_where_the_core_waits_for_its_host():
    net = network([neuron(1, bias=1)] * 3, [axon(1 + n, {0: 1, 2: -1}) for n in range(3)], n_inputs=1)
    core, words = SpikingCore(net), Words(net)

    async def script(ctx, seen):
        seen.append(ctx.get(core.busy))
        while ctx.get(core.busy):
            await ctx.tick()
        await send(ctx, core, words.end_of_step)
        for _ in range(40):
            seen.append((ctx.get(core.busy), ctx.get(core.step_done)))
            ctx.set(core.emitted.ready, 1)
            await ctx.tick()

    first, *states = drive(core, script)
    done = [number for number, (_, step_done) in enumerate(states) if step_done]
    assert first == 1
    assert len(done) == 1
    assert [busy for busy, _ in states] == [1] * (done[0] + 1) + [0] * (39 - done[0])


@pytest.mark.parametrize(("clocks", "late"), [(400, False), (20, True)])
def test_a_tick_before_the_timestep_is_done_raises_overrun_and_the_result_is_exact(clocks, late):
    net = network([silent()] * 4, [axon(c, {0: 3, 1: 1, 2: -1, 3: 2}) for c in range(6)], n_inputs=6)
    core, words = SpikingCore(net), Words(net)
    clip = [[(c, 1 + t) for c in range(6)] for t in range(4)]

    async def script(ctx, seen):
        async def ticks(timestep: int) -> None:
            ctx.set(core.tick, 1)
            await ctx.tick()
            ctx.set(core.tick, 0)
            await send(ctx, core, *(words.event(*event) for event in clip[timestep]), words.end_of_step)

        for timestep in range(4):
            await ticks(timestep)
            if late and timestep == 1:
                ctx.set(core.tick, 1)
                await ctx.tick()
                ctx.set(core.tick, 0)
            seen.append(await finish_step(ctx, core))
            for _ in range(clocks):
                await ctx.tick()
        seen.append(ctx.get(core.overrun))
        ctx.set(core.reset_clip, 1)
        await ctx.tick()
        ctx.set(core.reset_clip, 0)
        seen.append(ctx.get(core.overrun))

    *values, overrun, after = drive(core, script)
    assert values == emitted_of(Reference(net), clip)
    assert (overrun, after) == (late, 0)


@pytest.mark.parametrize("early", [True, False])
def test_scores_come_at_the_boundary_before_any_further_event_is_taken(early):
    net = network([silent(bias=2)], [])
    core, words = SpikingCore(net), Words(net)

    async def script(ctx, seen):
        async def ask():
            ctx.set(core.read_scores, 1)
            seen.append(ctx.get(core.events.ready))
            await ctx.tick()
            ctx.set(core.read_scores, 0)

        await send(ctx, core, words.end_of_step)
        if early:
            await ask()
        await finish_step(ctx, core)
        ctx.set(core.events.valid, 1)  # in the first clock of the boundary
        ctx.set(core.events.payload.as_value(), words.end_of_step)
        if not early:
            await ask()
        while not ctx.get(core.scores.valid):
            seen.append(ctx.get(core.events.ready))
            await ctx.tick()
        seen.append(ctx.get(core.scores.payload.value))
        ctx.set(core.scores.ready, 1)
        await ctx.tick()
        await ctx.tick()
        seen.append(await finish_step(ctx, core))

    *refused, score, values = drive(core, script)
    assert (set(refused), score, values) == ({0}, 2, [4])


def generated(net, **config) -> tuple[set[str], set[str], int]:
    """Ports, memories and multipliers of the core of a network."""
    core = SpikingCore(net, CoreConfig(**config))
    text = rtlil.convert(core, name="core", emit_src=False)
    return set(core.signature.members), set(re.findall(r"memory width \d+ size \d+ \\(\w+)", text)), len(re.findall(r"cell \$mul ", text))


def test_kinds_beyond_what_logic_looks_up_are_stored_with_each_neuron():
    cells = [neuron(20 + n, bias=5, membrane_decay=4000 - n, refractory=n % 3, reset=Reset(n % 2)) for n in range(18)]
    net = network([*cells, silent(bias=-1)], [axon(1 + n, {18: 1}) for n in range(18)], n_inputs=1, max_timesteps=20)
    assert Geometry(net, CoreConfig()).kinds is None
    hold_to_reference(net, [[[]] * 12], "plain")


def test_hardware_exists_only_for_what_is_used_and_asked_for():
    ports = {"events", "emitted", "scores", "label", "reset_clip", "read_scores", "tick", "busy", "step_done", "overrun"}
    memories = {"rows", "sums", "membranes", "totals", "weights", "targets"}
    small = network([neuron(5, current_decay=(0,))] * 2, [axon(0, {0: 1}), axon(1, {0: 1, 1: -1})], payload_bits=1)
    assert generated(small) == (ports, memories | {"axons"}, 1)
    cells = [neuron(5, current_decay=(factor, factor), refractory=3, bias=1) for factor in (100, 200)]
    rich = network(cells, [axon(0, {0: 1}, delay=2), axon(1, {1: 1}, shift=3, compartment=1)], payload_bits=4)
    more = {"axons", "currents", "firsts", "parameters"}
    # one multiplier decays; with payloads above 1 another multiplies weights
    assert generated(rich, **FULL_CONFIG) == (ports | {"trace", "counters", "coverage"}, memories | more, 2)
