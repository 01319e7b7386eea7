# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from ormia.edge.coverage import BRANCHES, Coverage
from ormia.edge.trace import Counters, Trace
from ormia.sim.exchange import load_clips, load_traces, save_clips, save_traces


@pytest.mark.parametrize(
    "clips",
    [[], [[]], [[[(0, 1)], [], [(1, -3), (2, 7)]]], [[], [[(2, 255)]], [], [[], []]]],
    ids=["none", "an empty one", "one", "several, some empty"],
)
def test_clips_come_back_as_they_were(tmp_path, clips):
    save_clips(tmp_path / "clips.npz", clips, 3)
    assert load_clips(tmp_path / "clips.npz") == clips


def test_clips_of_a_network_without_inputs_keep_their_lengths(tmp_path):
    save_clips(tmp_path / "clips.npz", [[[], []], [[]]], 0)
    assert load_clips(tmp_path / "clips.npz") == [[[], []], [[]]]


@pytest.mark.parametrize("coverage", [None, Coverage(**{name: i for i, name in enumerate(BRANCHES)})])
def test_traces_come_back_as_they_were(tmp_path, coverage):
    traces = [
        Trace(np.full((t, 2), -(2**23), np.int32), np.eye(t, 2, dtype=bool), np.array([-(2**31), 2**31 - 1]), 1, Counters(1, 2, 3, 4, 5 + t)) for t in (3, 0, 1)
    ]
    save_traces(tmp_path / "traces.npz", traces, coverage)
    found, counted = load_traces(tmp_path / "traces.npz")
    assert counted == coverage
    assert len(found) == 3
    for want, have in zip(traces, found, strict=True):
        assert np.array_equal(want.membranes, have.membranes)
        assert np.array_equal(want.raster, have.raster)
        assert want.scores.tolist() == have.scores.tolist()
        assert (want.label, want.counters) == (have.label, have.counters)
