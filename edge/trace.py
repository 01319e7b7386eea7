# SPDX-License-Identifier: Apache-2.0
"""What a backend hands back, and where two of them first differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral

import numpy as np

from .errors import ChannelError, DataError, LengthError, OrderError, PayloadError
from .network import Network

__all__ = ["Counters", "Difference", "Trace", "check_events", "first_difference", "make_trace"]


@dataclass
class Counters:
    """C1 of docs/semantics.md, and what only some backends know (None there)."""

    spikes: int = 0
    synaptic_operations: int = 0
    axon_activations: int = 0
    neuron_updates: int = 0
    cycles: int | None = None


@dataclass(frozen=True)
class Trace:
    """One clip on one backend (T1).

    Attributes
    ----------
    membranes : int32 [n_timesteps, n_neurons]
        Membranes after S6.
    raster : bool [n_timesteps, n_neurons]
        Which neurons fired.
    scores : int64 [n_classes]
        Class scores (S8).
    label : int
        Largest score, lowest class on a tie (S8.1).
    counters : Counters
        Work done.
    """

    membranes: np.ndarray
    raster: np.ndarray
    scores: np.ndarray
    label: int
    counters: Counters = field(default_factory=Counters)


@dataclass(frozen=True)
class Difference:
    """The first place where two traces differ. ``neuron`` is a class where the quantity is a score, an input channel where it is a payload."""

    quantity: str
    timestep: int
    neuron: int
    expected: int
    got: int

    def __str__(self) -> str:
        places = {"score": f"class {self.neuron}", "label": "clip", "payload": f"timestep {self.timestep}, channel {self.neuron}"}
        place = places.get(self.quantity, f"timestep {self.timestep}, neuron {self.neuron}")
        return f"{place}: {self.quantity} expected {self.expected}, got {self.got}"


def make_trace(net: Network, membranes: object, raster: Sequence[Sequence[int]], scores: object, counters: Counters) -> Trace:
    """A trace from per-timestep membranes and lists of fired neurons."""
    fired = np.zeros((len(raster), net.n_neurons), bool)
    for t, neurons in enumerate(raster):
        fired[t, list(neurons)] = True
    values = np.asarray(membranes, np.int32).reshape(len(raster), net.n_neurons)
    totals = np.asarray(scores, np.int64)
    return Trace(values, fired, totals, int(totals.argmax()), counters)


def check_events(net: Network, events: Sequence[Sequence[tuple[int, int]]], *, whole_clip: bool = False) -> None:
    """Raise ``DataError`` unless the events obey A7 (and T_max, for a whole clip): the member that generated C has a return code for."""
    if whole_clip and len(events) > net.formats.max_timesteps:
        raise LengthError(f"a clip must have at most max_timesteps = {net.formats.max_timesteps} timesteps, not {len(events)}")
    payloads = net.formats.payload
    for t, at_t in enumerate(events):
        longer = len(at_t) > net.n_inputs  # generated C looks at this first
        seen: set[int] = set()
        for channel, payload in at_t:
            if not (isinstance(channel, Integral) and isinstance(payload, Integral)):
                raise DataError(f"an event must be two integers, channel and payload, not ({channel!r}, {payload!r}) (timestep {t})")
            if not 0 <= channel < net.n_inputs:
                raise (LengthError if longer else ChannelError)(f"an event's channel must be in 0..{net.n_inputs - 1}, not {channel} (timestep {t})")
            if channel in seen:
                raise (LengthError if longer else OrderError)(f"a channel must have at most one event a timestep; channel {channel} has two at timestep {t}")
            if not payloads.holds(payload):
                raise (LengthError if longer else PayloadError)(f"a payload must be in {payloads}, not {payload} (timestep {t}, channel {channel})")
            seen.add(channel)


def first_difference(expected: Trace, got: Trace) -> Difference | None:
    """Where ``got`` first leaves ``expected``: earliest timestep, spikes and membranes before scores; None if equal.

    Raises
    ------
    ValueError
        If the traces have different shapes: they are not of the same clip.
    """
    if expected.membranes.shape != got.membranes.shape or expected.scores.shape != got.scores.shape:
        raise ValueError(f"traces must have equal shapes, not {expected.membranes.shape} and {got.membranes.shape}")
    wrong = (expected.membranes != got.membranes) | (expected.raster != got.raster)
    if wrong.any():
        t, n = (int(i) for i in np.argwhere(wrong)[0])
        if expected.membranes[t, n] != got.membranes[t, n]:
            return Difference("membrane", t, n, int(expected.membranes[t, n]), int(got.membranes[t, n]))
        return Difference("spike", t, n, int(expected.raster[t, n]), int(got.raster[t, n]))
    if not np.array_equal(expected.scores, got.scores):
        label = int(np.flatnonzero(expected.scores != got.scores)[0])
        return Difference("score", len(expected.raster) - 1, label, int(expected.scores[label]), int(got.scores[label]))
    if expected.label != got.label:
        return Difference("label", len(expected.raster) - 1, 0, expected.label, got.label)
    return None
