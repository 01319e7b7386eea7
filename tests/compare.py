# SPDX-License-Identifier: Apache-2.0
"""Equality of the naive oracle and a backend, integer by integer, with a message that says where they part."""

from __future__ import annotations

import numpy as np
from naive import Result
from ormia.edge.coverage import Coverage
from ormia.edge.trace import Counters, Trace, first_difference


def as_trace(result: Result) -> Trace:
    """The oracle's result as a trace."""
    return Trace(result.membranes, result.raster, np.array(result.scores, np.int64), result.label, Counters(**result.counters))


def assert_equal(expected: Result, got: Trace, coverage: Coverage | None = None, where: str = "") -> None:
    """Fail at the first difference in membranes, raster, scores, label, counters or, where given, branch counts."""
    want = as_trace(expected)
    assert got.membranes.shape == want.membranes.shape, f"{where}: membranes must have shape {want.membranes.shape}, not {got.membranes.shape}"
    assert got.raster.shape == want.raster.shape, f"{where}: raster must have shape {want.raster.shape}, not {got.raster.shape}"
    assert np.shape(got.scores) == want.scores.shape, f"{where}: scores must have shape {want.scores.shape}, not {np.shape(got.scores)}"
    difference = first_difference(want, got)
    assert difference is None, f"{where}: {difference}"
    # first_difference is itself under test, so it is not believed when it says nothing
    assert np.array_equal(got.membranes, want.membranes), f"{where}: membranes"
    assert np.array_equal(got.raster, want.raster), f"{where}: raster"
    assert np.array_equal(got.scores, want.scores), f"{where}: scores"
    assert int(got.label) == want.label, f"{where}: label"
    for name, value in expected.counters.items():
        assert getattr(got.counters, name) == value, f"{where}: {name} must be {value}, not {getattr(got.counters, name)}"
    if coverage is not None:
        assert coverage.as_dict() == expected.branches, f"{where}: branch counts"
