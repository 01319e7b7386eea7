# SPDX-License-Identifier: Apache-2.0
"""Traces: how they are made, where two of them first differ; and the two forms of a clip's input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from build import axon, network, silent
from hypothesis import given
from hypothesis import strategies as st
from ormia.edge.coverage import BRANCHES, Coverage
from ormia.edge.errors import DataError
from ormia.edge.events import events_from_payloads, payloads_from_events
from ormia.edge.trace import Counters, Trace, check_events, first_difference, make_trace

NET = network([silent(), silent(), silent()], [axon(0, {0: 1})], n_inputs=2, payload_bits=4, payload_signed=True, max_timesteps=4)


def trace(**changes) -> Trace:
    base = Trace(np.zeros((4, 3), np.int32), np.zeros((4, 3), bool), np.zeros(2, np.int64), 0)
    return replace(base, **changes)


def at(shape, place, value, dtype):
    values = np.zeros(shape, dtype)
    values[place] = value
    return values


def test_equal_traces_have_no_difference():
    assert first_difference(trace(), trace(counters=Counters(spikes=3))) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"membranes": at((4, 3), (2, 1), 5, np.int32)}, "timestep 2, neuron 1: membrane expected 0, got 5"),
        ({"raster": at((4, 3), (3, 2), True, bool)}, "timestep 3, neuron 2: spike expected 0, got 1"),
        ({"scores": np.array([0, -4])}, "class 1: score expected 0, got -4"),
        ({"label": 1}, "clip: label expected 0, got 1"),
        ({"raster": at((4, 3), (1, 0), True, bool), "membranes": at((4, 3), (2, 0), 1, np.int32)}, "timestep 1, neuron 0: spike expected 0, got 1"),
        ({"raster": at((4, 3), (1, 0), True, bool), "membranes": at((4, 3), (1, 0), 1, np.int32)}, "timestep 1, neuron 0: membrane expected 0, got 1"),
        ({"scores": np.array([1, 0]), "membranes": at((4, 3), (3, 2), 9, np.int32)}, "timestep 3, neuron 2: membrane expected 0, got 9"),
    ],
)
def test_the_first_difference_is_the_earliest_with_states_before_scores(changes, said):
    assert str(first_difference(trace(), trace(**changes))) == said


def test_traces_of_different_clips_are_not_compared():
    with pytest.raises(ValueError, match="traces must have equal shapes"):
        first_difference(trace(), trace(membranes=np.zeros((3, 3), np.int32)))


def test_a_trace_is_made_of_lists():
    made = make_trace(NET, [[1, 2, 3], [4, 5, 6]], [[], [0, 2]], [7, 9, 9], Counters(spikes=2))
    assert (made.membranes.dtype, made.scores.dtype, made.raster.dtype) == (np.int32, np.int64, bool)
    assert made.raster.tolist() == [[False] * 3, [True, False, True]]
    assert made.label == 1
    assert make_trace(NET, [], [], [0], Counters()).membranes.shape == (0, 3)


def test_events_of_the_declared_format_pass():
    check_events(NET, [[(0, -8), (1, 7)], [], [(1, 0)], []], whole_clip=True)
    check_events(NET, [[]] * 9)
    with pytest.raises(DataError, match="at most max_timesteps = 4 timesteps, not 9"):
        check_events(NET, [[]] * 9, whole_clip=True)


@pytest.mark.parametrize("event", [(0, 1.5), (0.0, 1), (0, True + 0.5)])
def test_an_event_is_two_integers(event):
    with pytest.raises(DataError, match="must be two integers"):
        check_events(NET, [[event]])


@given(st.lists(st.lists(st.integers(-128, 255), min_size=3, max_size=3), max_size=8))
def test_events_and_payloads_are_two_forms_of_one_clip(rows):
    payloads = np.array(rows, np.int16).reshape(-1, 3)
    events = events_from_payloads(payloads)
    assert [[c for c, _ in at_t] for at_t in events] == [np.flatnonzero(row).tolist() for row in payloads]
    again = payloads_from_events(events, 3)
    assert again.dtype == np.int16
    assert np.array_equal(again, payloads)


def test_branch_counts_add_up_by_name():
    one, two = Coverage(**{name: n for n, name in enumerate(BRANCHES)}), Coverage(refractory_hold=100)
    assert (one + two).as_dict() == {name: n + 100 * (name == "refractory_hold") for n, name in enumerate(BRANCHES)}
    assert len(BRANCHES) == 12
