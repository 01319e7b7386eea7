# SPDX-License-Identifier: Apache-2.0
"""The scoreboard finds every kind of difference and says where it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from build import axon, network, neuron
from ormia.edge.reference import Reference
from ormia.sim.monitor import Step
from ormia.sim.scoreboard import Scoreboard

NET = network([neuron(10), neuron(50)], [axon(0, {0: 6, 1: 3})])
CLIP = [[(0, 1)], [(0, 2)], []]


def steps() -> list[Step]:
    """What a right core hands out."""
    reference, found = Reference(NET), []
    for events in CLIP:
        fired = reference.step(events)
        raster = np.array([n in fired for n in range(2)])
        found.append(Step(np.array(reference.membrane, np.int32), raster, np.array(reference.emitted(), np.int32), ()))
    return found


def compare(found: list[Step]) -> Scoreboard:
    board = Scoreboard(NET)
    board.start("clip 7")
    for events, step in zip(CLIP, found, strict=True):
        board.step(events, step)
    return board


def test_a_right_core_passes_and_is_counted():
    board = compare(steps())
    expected = Reference(NET).run(CLIP)
    board.finish(expected, expected.scores.tolist(), expected.label)
    assert (board.steps, board.clips) == (3, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"membranes": np.array([0, 8], np.int32)},
            r"clip 7, timestep 1, neuron 1: membrane expected 9, got 8\n  events of this timestep: channel 0: 2; membrane before: 3",
        ),
        ({"raster": np.array([False, False])}, "clip 7, timestep 1, neuron 0: spike expected 1, got 0"),
        ({"emitted": np.array([5], np.int32)}, r"clip 7, timestep 1: the core must emit \[0\] \(S8\), not \[5\]"),
        ({"faults": ("neuron 1 had no update",)}, "clip 7, timestep 1: neuron 1 had no update"),
    ],
)
def test_the_first_difference_is_named(change, message):
    found = steps()
    found[1] = replace(found[1], **change)
    with pytest.raises(AssertionError, match=message):
        compare(found)


def test_wrong_scores_and_labels_are_named():
    board = compare(steps())
    expected = Reference(NET).run(CLIP)
    with pytest.raises(AssertionError, match="clip 7, class 0: score expected 6, got 7"):
        board.finish(expected, [7], 0)
    with pytest.raises(AssertionError, match="label expected 0, got 1"):
        board.finish(expected, expected.scores.tolist(), 1)
