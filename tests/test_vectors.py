# SPDX-License-Identifier: Apache-2.0
"""The golden vectors of tests/vectors: what was once agreed stays so, in the oracle and in the backends."""

from __future__ import annotations

import numpy as np
import pytest
from cases import run_case, usable
from compare import as_trace, assert_equal
from naive import simulate
from ormia.edge.coverage import BRANCHES
from vectors.generate import HERE, network_as_json, network_from_json, read, write

# how many of the vectors a backend gets unless --networks says so; compilers take a moment for each
SHARE = {"reference": 32, "numba": 32, "torch": 16, "c": 4, "cortex-m": 1, "riscv": 2}


def test_the_oracle_still_says_what_was_written():
    for case in read():
        for clip, stored in zip(case.clips, case.expected, strict=True):
            now = simulate(case.network, clip)
            assert_equal(stored, as_trace(now), where=case.name)
            assert now.branches == stored.branches
            assert np.array_equal(now.emitted, stored.emitted)


@pytest.mark.parametrize("name", SHARE)
def test_a_backend_gives_the_golden_vectors(name, request):
    backend = usable(request, name)
    budget = request.config.getoption("--networks") or SHARE[name]
    assert all(run_case(backend, case) is not None for case in read()[:budget])


def test_the_vectors_reach_every_branch_and_stay_small():
    reached = sum(case.branches for case in read())
    assert dict(zip(BRANCHES, (reached >= 20).tolist(), strict=True)) == dict.fromkeys(BRANCHES, True)
    assert sum(path.stat().st_size for path in HERE.glob("vectors.*")) < 300_000


def test_vectors_survive_writing_and_reading(tmp_path):
    cases = read()[:3]
    write(cases, tmp_path)
    again = read(tmp_path)
    assert [case.network for case in again] == [case.network for case in cases]
    assert all(np.array_equal(a, b) for one, two in zip(again, cases, strict=True) for a, b in zip(one.clips, two.clips, strict=True))
    assert all(network_from_json(network_as_json(case.network)) == case.network for case in cases)
