# SPDX-License-Identifier: Apache-2.0
"""cocotb tests of the core's generated Verilog, and the one that records traces for the ``verilog`` backend.

Runs inside a simulator, on the module of ``sim/bench.py``. Every scenario demands the same integers as ``edge/reference.py`` at every
timestep; they differ in when words are offered and taken. What to run comes in environment variables, see ``Job``.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from ..edge.coverage import BRANCHES, Coverage
from ..edge.netfile import read_network
from ..edge.network import Network
from ..edge.reference import Reference
from ..edge.trace import Counters, Trace
from ..hdl.words import Words
from .driver import StreamDriver, now_and_then, pattern, press_back
from .exchange import load_clips, save_traces
from .monitor import PERIOD_NS, Step, StepMonitor, StreamMonitor
from .scoreboard import Scoreboard

Events = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Job:
    """What a run of this module is given.

    Attributes
    ----------
    network : Network
        From the file ``ORMIA_NETWORK``.
    clips : list of clips
        From the file ``ORMIA_CLIPS``.
    traces : Path
        ``ORMIA_TRACES``: where ``record_traces`` leaves its result.
    seed : int
        cocotb's seed.
    """

    network: Network
    clips: list[list[list[tuple[int, int]]]]
    traces: Path
    seed: int

    @classmethod
    def given(cls) -> Job:
        """The job of this process."""
        network = read_network(os.environ["ORMIA_NETWORK"])
        return cls(network, load_clips(Path(os.environ["ORMIA_CLIPS"])), Path(os.environ.get("ORMIA_TRACES", "")), cocotb.RANDOM_SEED)


class Bench:
    """The core's pins, wired to drivers and monitors."""

    def __init__(self, dut: Any, network: Network, pauses: Iterator[bool] | None = None) -> None:
        dut._log.setLevel(logging.WARNING)
        self.dut, self.network, self.words = dut, network, Words(network)
        self.events = StreamDriver(dut, "events", pauses)
        self.steps = StepMonitor(dut, network)
        self.scores = StreamMonitor(dut, "scores")
        for name in ("reset_clip", "read_scores", "tick"):
            getattr(dut, name).value = 0
        for name in ("emitted", "scores"):
            getattr(dut, f"{name}__ready").value = 1

    async def start(self) -> None:
        """Clock and reset; the core is then in the state of S9."""
        self.dut.rst.value = 1
        Clock(self.dut.clk, PERIOD_NS, unit="ns").start()
        await ClockCycles(self.dut.clk, 3)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)

    async def pulse(self, name: str) -> None:
        """One clock of an input at 1."""
        signal = getattr(self.dut, name)
        signal.value = 1
        await RisingEdge(self.dut.clk)
        signal.value = 0

    async def offer(self, steps: Sequence[Events], then: str | None = None) -> None:
        """Send the input of timesteps as fast as the core takes it; ``then`` pulse an input."""
        for events in steps:
            for channel, payload in events:
                await self.events.send(self.words.event(channel, payload))
            await self.events.send(self.words.end_of_step)
        self.events.rest()
        if then is not None:
            await self.pulse(then)

    async def run(self, steps: Sequence[Events]) -> list[Step]:
        """Send timesteps and return what each of them handed out."""
        sender = cocotb.start_soon(self.offer(steps))
        done = [await self.steps.receive() for _ in steps]
        await sender
        return done

    async def run_clip(self, steps: Sequence[Events]) -> tuple[list[Step], list[int], int]:
        """Run a whole clip from reset: what each timestep handed out, the class scores and the label.

        Scores are asked for while the last timestep runs: else the core would go on to walk, and to count, the axons of its last spikes (A8).
        """
        await self.pulse("reset_clip")
        receiver = cocotb.start_soon(self._receive_scores())
        if steps:
            sender = cocotb.start_soon(self.offer(steps, "read_scores"))
            done = [await self.steps.receive() for _ in steps]
            await sender
        else:
            await self.pulse("read_scores")
            done = []
        scores = await receiver
        await RisingEdge(self.dut.clk)
        return done, scores, int(self.dut.label.value)

    async def _receive_scores(self) -> list[int]:
        scores = []
        for expected in range(self.network.n_classes):
            value, label, last = self.words.score(await self.scores.receive())
            assert label == expected, f"score words must come in the order of classes, {expected} and not {label} next"
            assert last == (label == self.network.n_classes - 1), f"only the last score word must be marked as such, not that of class {label}"
            scores.append(value)
        return scores

    def counters(self, n_timesteps: int) -> Counters:
        """The core's counters since the clip's reset."""
        dut = self.dut
        return Counters(
            spikes=int(dut.counters__spikes.value),
            synaptic_operations=int(dut.counters__synaptic_operations.value),
            axon_activations=int(dut.counters__axon_activations.value),
            neuron_updates=n_timesteps * self.network.n_neurons,  # the bench found one update of each neuron in each timestep
            cycles=int(dut.counters__cycles.value),
        )

    def coverage(self) -> Coverage | None:
        """The core's branch counts since power-up; None where it was generated without."""
        if not hasattr(self.dut, f"coverage__{BRANCHES[0]}"):
            return None
        return Coverage(**{name: int(getattr(self.dut, f"coverage__{name}").value) for name in BRANCHES})


def with_flush(network: Network, clip: Sequence[Events]) -> list[Events]:
    """All timesteps of a clip (S9)."""
    return [*clip, *([[]] * network.formats.flush)]


async def check_clip(bench: Bench, board: Scoreboard, clip: Sequence[Events], name: str) -> None:
    """Run one clip from reset and hold every timestep, the scores, the label and the counters to the reference."""
    network = bench.network
    board.start(name)
    steps = with_flush(network, clip)
    done, scores, label = await bench.run_clip(steps)
    for events, got in zip(steps, done, strict=True):
        board.step(events, got)
    expected = Reference(network).run(clip)
    board.finish(expected, scores, label)
    counted = bench.counters(len(steps))
    for counter in ("spikes", "synaptic_operations", "axon_activations", "neuron_updates"):
        want, have = getattr(expected.counters, counter), getattr(counted, counter)
        assert want == have, f"{name}: the core must count {want} {counter} (C1), not {have}"


async def check_clips(dut: Any, job: Job, pauses: Iterator[bool] | None = None) -> Bench:
    """All clips of the job, with an idle input where ``pauses`` says so."""
    bench, board = Bench(dut, job.network, pauses), Scoreboard(job.network)
    await bench.start()
    for i, clip in enumerate(job.clips):
        await check_clip(bench, board, clip, f"clip {i}")
    assert board.clips == len(job.clips)
    assert board.steps == sum(len(with_flush(job.network, clip)) for clip in job.clips)
    return bench


@cocotb.test()
async def record_traces(dut: Any) -> None:
    """No check: run all clips and write their traces; who asked for them compares."""
    job = Job.given()
    bench = Bench(dut, job.network)
    await bench.start()
    traces = []
    for clip in job.clips:
        steps = with_flush(job.network, clip)
        done, scores, label = await bench.run_clip(steps)
        for t, step in enumerate(done):
            assert not step.faults, f"timestep {t}: {step.faults[0]}"
        shape = (len(steps), job.network.n_neurons)
        membranes = np.array([step.membranes for step in done], np.int32).reshape(shape)
        raster = np.array([step.raster for step in done], bool).reshape(shape)
        traces.append(Trace(membranes, raster, np.array(scores, np.int64), label, bench.counters(len(steps))))
    save_traces(job.traces, traces, bench.coverage())


@cocotb.test()
async def whole_clips_equal_the_reference(dut: Any) -> None:
    """One clip after another as fast as the core goes."""
    await check_clips(dut, Job.given())


@cocotb.test()
async def idle_input_and_back_pressure_change_nothing(dut: Any) -> None:
    """Words come at irregular times and are taken at irregular times."""
    job = Job.given()
    for name, pauses in (("emitted", now_and_then(job.seed, 0.6)), ("scores", pattern(1, 1, 0))):
        cocotb.start_soon(press_back(dut, name, pauses))
    await check_clips(dut, job, now_and_then(job.seed + 1, 0.5))


@cocotb.test()
async def a_reset_in_the_middle_of_a_clip_starts_over(dut: Any) -> None:
    """After ``reset_clip`` in any state of the core the next clip is as from power-up."""
    job = Job.given()
    bench, board = Bench(dut, job.network), Scoreboard(job.network)
    await bench.start()
    chance = random.Random(job.seed)
    for i, clip in enumerate(job.clips):
        broken = cocotb.start_soon(bench.offer(clip))
        await ClockCycles(dut.clk, chance.randrange(1, 40 * (1 + job.network.n_neurons)))
        broken.cancel()
        bench.events.rest()
        await check_clip(bench, board, clip, f"clip {i} after a broken one")
    assert board.clips == len(job.clips)


@cocotb.test()
async def a_late_timestep_raises_overrun_and_stays_exact(dut: Any) -> None:
    """A tick that comes while the timestep of the tick before it runs sets ``overrun``, and not a bit changes."""
    job = Job.given()
    bench, board = Bench(dut, job.network), Scoreboard(job.network)
    await bench.start()
    clip = with_flush(job.network, next(clip for clip in job.clips if len(clip) > 1))
    board.start("a clip in real time")
    await bench.pulse("reset_clip")
    for t, events in enumerate(clip):
        await bench.pulse("tick")
        sender = cocotb.start_soon(bench.offer([events]))
        if t == len(clip) - 1:
            await ClockCycles(dut.clk, 3)
            assert int(dut.overrun.value) == 0, "overrun must stay 0 while every timestep is done before the next tick"
            await bench.pulse("tick")
        board.step(events, await bench.steps.receive())
        await sender
    assert int(dut.overrun.value) == 1, "a tick before the timestep is done must set overrun"
    await bench.pulse("reset_clip")
    await ClockCycles(dut.clk, 2)
    assert int(dut.overrun.value) == 0, "reset_clip must clear overrun"
    assert board.steps == len(clip)


@cocotb.test()
async def a_full_queue_holds_the_input_back(dut: Any) -> None:
    """More events at once than the queue holds: the input waits, none is lost, and the counter of full clocks says so."""
    job = Job.given()
    bench = await check_clips(dut, job)
    assert int(dut.counters__queue_full.value) > 0, "the clips of this test must fill the queue"
    assert bench.coverage() is None or sum(bench.coverage().as_dict().values()) > 0


@cocotb.test()
async def a_stream_without_reset_carries_its_state_on(dut: Any) -> None:
    """S9.1: clip after clip as one stream."""
    job = Job.given()
    bench, board = Bench(dut, job.network), Scoreboard(job.network)
    await bench.start()
    stream = [events for clip in job.clips for events in clip]
    for events, got in zip(stream, await bench.run(stream), strict=True):
        board.step(events, got)
    assert board.steps == len(stream) > 0


@cocotb.test()
async def words_that_are_no_event_are_taken_and_ignored(dut: Any) -> None:
    """Payload 0, and channels that the network does not have."""
    job = Job.given()
    bench, board = Bench(dut, job.network), Scoreboard(job.network)
    await bench.start()
    network, words = job.network, Words(job.network)
    beyond = [channel for channel in range(1 << words.channel_bits) if channel >= network.n_inputs]
    for events in job.clips[0]:
        receiver = cocotb.start_soon(bench.steps.receive())
        for channel in beyond[:4]:
            await bench.events.send(words.event(channel, 1))
        for channel, payload in events:
            await bench.events.send(words.event(channel, payload))
        silent = set(range(network.n_inputs)) - {channel for channel, _ in events}
        for channel in sorted(silent)[:4]:
            await bench.events.send(words.event(channel, 0))
        await bench.offer([[]])
        board.step(events, await receiver)
    assert board.steps == len(job.clips[0]) > 0
