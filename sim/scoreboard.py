# SPDX-License-Identifier: Apache-2.0
"""Holding a simulated core to the specification while it runs: every membrane, spike and emitted value at every timestep.

Knows ``edge/reference.py`` and nothing of simulators or signals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..edge.network import Network
from ..edge.reference import Reference
from ..edge.trace import Counters, Trace, first_difference, make_trace
from .monitor import Step

__all__ = ["Scoreboard"]

SHOWN_EVENTS = 8


class Scoreboard:
    """Run the reference beside a core and compare.

    Parameters
    ----------
    network : Network
        What both run.

    Attributes
    ----------
    steps, clips : int
        Timesteps and clips compared so far: a bench that compared nothing must not pass.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._reference = Reference(network)
        self._none = [0] * network.n_classes
        self.steps = self.clips = 0
        self.start("a clip")

    def start(self, clip: str) -> None:
        """Begin a clip (S9); ``clip`` names it in messages."""
        self._reference.reset()
        self._clip, self._timestep = clip, 0

    def step(self, events: Sequence[tuple[int, int]], got: Step) -> None:
        """Compare one timestep.

        Raises
        ------
        AssertionError
            With the first difference, the inputs of the timestep and the state before it.
        """
        before = list(self._reference.membrane)
        fired = self._reference.step(events)
        where = f"{self._clip}, timestep {self._timestep}"
        assert not got.faults, f"{where}: {got.faults[0]}"
        expected = make_trace(self._network, [self._reference.membrane], [fired], self._none, Counters())
        difference = first_difference(expected, Trace(got.membranes[None], got.raster[None], expected.scores, expected.label))
        if difference is not None:
            shown = ", ".join(f"channel {channel}: {payload}" for channel, payload in events[:SHOWN_EVENTS]) or "none"
            more = f" and {len(events) - SHOWN_EVENTS} more" if len(events) > SHOWN_EVENTS else ""
            raise AssertionError(
                f"{self._clip}, {replace(difference, timestep=self._timestep)}\n  events of this timestep: {shown}{more}; "
                f"membrane before: {before[difference.neuron]}; current after: {self._reference.current[difference.neuron]}"
            )
        emitted = self._reference.emitted()
        assert got.emitted.tolist() == emitted, f"{where}: the core must emit {emitted} (S8), not {got.emitted.tolist()}"
        self._timestep += 1
        self.steps += 1

    def finish(self, expected: Trace, scores: Sequence[int], label: int) -> None:
        """Compare the scores and the label of a clip."""
        got = replace(expected, scores=expected.scores * 0 + list(scores), label=label)
        difference = first_difference(expected, got)
        assert difference is None, f"{self._clip}, {difference}"
        self.clips += 1
