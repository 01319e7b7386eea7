# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import islice

from ormia.sim.driver import never, now_and_then, pattern


def test_a_pattern_repeats():
    assert list(islice(pattern(1, 0, 0), 7)) == [True, False, False, True, False, False, True]
    assert list(islice(never(), 3)) == [False] * 3


def test_chance_is_seeded_and_keeps_its_share():
    first, again, other = (list(islice(now_and_then(seed, 0.25), 4000)) for seed in (1, 1, 2))
    assert first == again != other
    assert 900 < sum(first) < 1100
