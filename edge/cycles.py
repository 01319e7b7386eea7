# SPDX-License-Identifier: Apache-2.0
"""Clocks of the gateware core (docs/core.md) in each timestep, predicted exactly from the activity. Knows no gateware; the benches hold it to this.

Clock 0 of a timestep is the first in which the core could take a word of it. The prediction holds where a word is always offered and every
emitted word is taken at once: a host that keeps up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .network import Network

__all__ = ["CycleModel", "WalkLengths", "plain_walk", "queue_depth"]

Clip = Sequence[Sequence[tuple[int, int]]]

# from the last slot's address to the sum written back, and that being seen
WRITE_BACK = 4
# pipeline of the sweep, and the read of the first emitted value
AROUND_SWEEP = 7
# clocks from a plane's first to its first event, of a history
PLANE = 3


@dataclass(frozen=True)
class WalkLengths:
    """How long the walker is busy with an event: what a memory packing decides.

    Attributes
    ----------
    delays : tuple of int
        Distinct delays of axons, descending; (0,) without axons.
    slots : tuple of tuple of tuple of int
        Slots of each part that an event of a source activates, by plane (index of the delay) and source. An event without an axon has one empty part.
    """

    delays: tuple[int, ...]
    slots: tuple[tuple[tuple[int, ...], ...], ...]

    @property
    def n_sources(self) -> int:
        """Input channels, and neurons up to the last that has an axon."""
        return len(self.slots[0])


def plain_walk(network: Network) -> WalkLengths:
    """Lengths of packing plain: the axons' own lists."""
    delays = tuple(sorted({int(d) for d in network.axon_delay}, reverse=True)) or (0,)
    n_sources = max(network.n_inputs, int(network.axon_source.max(initial=-1)) + 1)
    slots: list[list[list[int]]] = [[[] for _ in range(n_sources)] for _ in delays]
    for axon, length in enumerate(np.diff(network.synapse_start).tolist()):
        slots[delays.index(int(network.axon_delay[axon]))][int(network.axon_source[axon])].append(length)
    return WalkLengths(delays, tuple(tuple(tuple(parts) or (0,) for parts in plane) for plane in slots))


def queue_depth(live_neurons: int, least: int | None = None) -> int:
    """Rows of the axon queue without delays: a power of two that holds the spikes of all neurons with axons, at least ``least``.

    Examples
    --------
    >>> queue_depth(0), queue_depth(160), queue_depth(3, 100)
    (2, 256, 128)
    """
    return 1 << (max(2, live_neurons, least or 1) - 1).bit_length()


class _Walker:
    """Clocks of the synapse walker within a timestep."""

    def __init__(self) -> None:
        self.started = self.free = -(1 << 62)  # the last part was started; the next can be
        self.idle = 0  # every sum is written

    def take(self, offered: int, parts: Sequence[int]) -> int:
        """Walk an event that is offered from clock ``offered`` on; the clock in which it is taken."""
        taken = max(offered, self.started)
        fetched = taken + 1
        for slots in parts:
            start = max(fetched, self.free, 0)
            self.started, self.free, fetched = start, start + max(1, slots), start + 1
            self.idle = max(self.idle, start + slots + WRITE_BACK if slots else start + 1)
        return taken


@dataclass(frozen=True, kw_only=True)
class CycleModel:
    """Clocks of a core.

    Parameters
    ----------
    n_inputs, n_neurons, n_compartments, n_readouts : int
        Of the network.
    queue_depth : int
        Rows of the axon queue; of no meaning where there are delays.
    walk : WalkLengths
        Of the core's memory packing: ``hdl.pack.pack(network, packing).walk``, or ``plain_walk(network)``.
    """

    n_inputs: int
    n_neurons: int
    n_compartments: int
    n_readouts: int
    queue_depth: int
    walk: WalkLengths

    @classmethod
    def of(cls, network: Network, walk: WalkLengths | None = None, least_queue: int | None = None) -> CycleModel:
        """Model of the core of a network, in packing plain unless ``walk`` says otherwise."""
        walk = walk or plain_walk(network)
        return cls(
            n_inputs=network.n_inputs,
            n_neurons=network.n_neurons,
            n_compartments=network.n_compartments,
            n_readouts=len(network.readout_neuron),
            queue_depth=queue_depth(walk.n_sources - network.n_inputs, least_queue),
            walk=walk,
        )

    @property
    def sweep_cycles(self) -> int:
        """Clocks of a timestep after its walk: every neuron's compartments and membrane, the pipeline, the emitted words."""
        return self.n_neurons * (self.n_compartments + 1) + AROUND_SWEEP + self.n_readouts

    def clip(self, clip: Clip, raster: np.ndarray) -> np.ndarray:
        """Clocks of each timestep.

        Parameters
        ----------
        clip : timesteps of (channel, payload)
            Input, in the order in which the host sends it.
        raster : bool [n_timesteps, n_neurons]
            Spikes of each timestep, flush included.

        Returns
        -------
        int64 [n_timesteps]
        """
        live = self.walk.n_sources - self.n_inputs
        fired = [(self.n_inputs + np.flatnonzero(row[:live])).tolist() for row in raster]
        steps = [*clip, *([[]] * (len(raster) - len(clip)))]
        sent = [[channel if payload else None for channel, payload in words] for words in steps]
        before = [[], *fired]
        if self.walk.delays == (0,):
            return np.array([self._queued(before[t], sent[t]) for t in range(len(steps))], np.int64)
        visible = [[*before[t], *(c for c in sent[t] if c is not None)] for t in range(len(steps))]
        return np.array([self._recalled(visible[: t + 1], len(before[t]), sent[t]) for t in range(len(steps))], np.int64)

    def _queued(self, spikes: Sequence[int], sent: Sequence[int | None]) -> int:
        """A timestep without delays: ``spikes`` wait in the queue, then words come, None being one that is dropped."""
        parts = self.walk.slots[0]
        walker = _Walker()
        read: list[int] = []  # clock in which each event left the queue's memory
        taken = -(1 << 62)

        def leave(source: int, written: int) -> None:
            nonlocal taken
            read.append(max(written + 1, taken, read[-1] + 1 if read else written + 1))
            taken = walker.take(read[-1] + 1, parts[source])

        for source in spikes:
            leave(source, -3)  # long ago: the first is looked up already, the second waits before the walker
        word = -1
        for arriving in [*sent, None]:
            word += 1
            if len(read) >= self.queue_depth:
                word = max(word, read[-self.queue_depth] + 1)
            if arriving is not None:
                leave(arriving, word)
        return max(word + 1, walker.idle) + self.sweep_cycles

    def _recalled(self, visible: Sequence[Sequence[int]], n_spikes: int, sent: Sequence[int | None]) -> int:
        """A timestep with delays: ``visible[-1 - d]`` are the events of d timesteps ago, the last those of now, spikes first."""
        walker = _Walker()
        words = [clock for clock, source in enumerate(sent) if source is not None]
        written = [-3] * n_spikes + words
        clock = 1
        for delay, parts in zip(self.walk.delays, self.walk.slots, strict=True):
            if delay >= len(visible):
                clock += 1
                continue
            read = clock + PLANE - 1
            taken = read
            for number, source in enumerate(visible[-1 - delay]):
                read = max(read + 1, taken, written[number] + 1 if delay == 0 else 0)
                taken = walker.take(read + 1, parts[source])
            clock = max(clock + PLANE, taken + 1) + (delay > 0)
        return max(len(sent) + 1, clock, walker.idle) + self.sweep_cycles

    def worst_step(self) -> int:
        """Clocks of a timestep in which everything that can be active is: every channel and neuron, in every timestep that delays reach."""
        everything = list(range(self.walk.n_sources))
        spikes, sent = everything[self.n_inputs :], everything[: self.n_inputs]
        if self.walk.delays == (0,):
            return self._queued(spikes, sent)
        return self._recalled([[*spikes, *sent]] * (self.walk.delays[0] + 1), len(spikes), sent)
