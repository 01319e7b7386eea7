# SPDX-License-Identifier: Apache-2.0
"""A core in Amaranth's own simulator: slow, and independent of every compiler. Knows the ports and the protocol of docs/core.md."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cached_property

from amaranth.sim import Simulator

from ..edge.coverage import BRANCHES, Coverage
from ..edge.errors import CheckFailed
from .clip import Record, Run, clip_words
from .config import Geometry
from .core import COUNTERS, SpikingCore

__all__ = ["PysimCore"]

Clip = Sequence[Sequence[tuple[int, int]]]
CLOCKS_PER_STEP = 1 << 20  # far more than any core takes that is small enough to be simulated here


class PysimCore:
    """A core, ready to run clips.

    Parameters
    ----------
    geometry : Geometry
        Of a configuration with trace, counters and coverage.

    Attributes
    ----------
    coverage : Coverage
        Branches counted by the core up to the end of the last clip that ran to its end.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.network = geometry.network
        self.coverage = Coverage()
        self.geometry = geometry
        self._job: tuple[Clip, int, int, int] | None = None
        self._run: Run | None = None

    @cached_property
    def _simulator(self) -> Simulator:
        """Made when the first clip comes: what is made must run."""
        self._core = SpikingCore(self.network, geometry=self.geometry)
        simulator = Simulator(self._core)
        simulator.add_clock(1e-6)
        simulator.add_testbench(self._serve)
        return simulator

    def run(self, clip: Clip, *, idle: int = 0, stall: int = 0, seed: int = 0) -> Run:
        """Run one clip from reset; arguments and ``CheckFailed`` as of ``CxxrtlCore.run``."""
        self._job, self._run = (clip, idle, stall, seed), None
        while self._run is None:
            self._simulator.advance()
        return self._run

    async def _serve(self, ctx: object) -> None:
        """Testbench: one clip after the other."""
        while True:
            if self._job is None:
                await ctx.tick()
            else:
                job, self._job = self._job, None
                self._run = await self._clip(ctx, *job)

    async def _clip(self, ctx: object, clip: Clip, idle: int, stall: int, seed: int) -> Run:
        core, chance = self._core, random.Random(seed)
        offsets, words = (array.tolist() for array in clip_words(self.network, clip))
        record = Record(self.network, len(offsets) - 1)
        ctx.set(core.reset_clip, 1)
        await ctx.tick()
        ctx.set(core.reset_clip, 0)
        given, clock, began = 0, 0, None
        for t in range(len(offsets) - 1):
            traced, handed, offered, done = 0, 0, False, False
            deadline = clock + CLOCKS_PER_STEP
            while not done:
                offered = offered or (given < len(words) and chance.randrange(256) >= idle)
                ctx.set(core.events.valid, offered)
                if offered:
                    ctx.set(core.events.payload.as_value(), words[given])
                takes = chance.randrange(256) >= stall
                ctx.set(core.emitted.ready, takes)
                ready = ctx.get(core.events.ready)
                began = clock if began is None and ready else began
                if ctx.get(core.trace.valid):
                    self._hold(ctx.get(core.trace.neuron) == traced, "trace every neuron once and in order")
                    record.membranes[t, traced] = ctx.get(core.trace.membrane)
                    record.raster[t, traced] = ctx.get(core.trace.spike)
                    traced += 1
                if ctx.get(core.emitted.valid) and takes:
                    record.emitted[t, handed] = ctx.get(core.emitted.payload.as_value())
                    handed += 1
                if offered and ready:
                    self._hold(given < offsets[t + 1], "take no word past the end of a timestep")
                    given, offered = given + 1, False
                done = ctx.get(core.step_done)
                await ctx.tick()
                clock += 1
                self._hold(clock < deadline, "end every timestep")
            self._hold((traced, handed, given) == (*record.raster.shape[1:], *record.emitted.shape[1:], offsets[t + 1]), "end a timestep with its last word")
            record.step_cycles[t], began = clock - began, clock
        ctx.set(core.events.valid, 0)
        return await self._scores(ctx, record, chance, stall)

    async def _scores(self, ctx: object, record: Record, chance: random.Random, stall: int) -> Run:
        core = self._core
        ctx.set(core.read_scores, 1)
        await ctx.tick()
        ctx.set(core.read_scores, 0)
        for number in range(len(record.scores)):
            while not (ctx.get(core.scores.valid) and chance.randrange(256) >= stall):
                await ctx.tick()
            record.scores[number] = ctx.get(core.scores.payload.as_value())
            ctx.set(core.scores.ready, 1)
            await ctx.tick()
            ctx.set(core.scores.ready, 0)
        self.coverage = Coverage(**{name: ctx.get(getattr(core.coverage, name)) for name in BRANCHES})
        return record.finish(ctx.get(core.label), [ctx.get(getattr(core.counters, name)) for name in COUNTERS])

    def _hold(self, holds: bool, what: str) -> None:
        if not holds:
            raise CheckFailed(f"the core of network {self.network.name} must {what}")
