# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from ormia.sim.monitor import unpack_bits, unpack_fields


@pytest.mark.parametrize("bits", [1, 8, 11, 24])
def test_fields_come_apart_as_they_were_put_together(bits):
    lo, hi = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    values = [lo, -1, 0, hi, *np.random.default_rng(bits).integers(lo, hi + 1, 30).tolist()]
    word = sum((value & ((1 << bits) - 1)) << (i * bits) for i, value in enumerate(values))
    assert unpack_fields(word, len(values), bits, signed=True).tolist() == values
    assert unpack_fields(word, len(values), bits, signed=False).tolist() == [value & ((1 << bits) - 1) for value in values]


def test_bits_count_from_the_lowest():
    assert unpack_bits(0b10110, 5).tolist() == [False, True, True, False, True]
    assert unpack_bits(0, 9).tolist() == [False] * 9
