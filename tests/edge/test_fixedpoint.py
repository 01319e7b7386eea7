# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of D1 and D2 against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ormia.edge.fixedpoint import Format, decay, shift_toward_zero, toward_zero

BIG = st.integers(-(2**40), 2**40)


@given(BIG, st.integers(1, 2**20))
def test_toward_zero_truncates_the_exact_quotient(numerator, denominator):
    assert toward_zero(numerator, denominator) == math.trunc(Fraction(numerator, denominator))


@given(BIG, st.integers(0, 20))
def test_a_shift_toward_zero_divides_by_a_power_of_two(x, shift):
    assert shift_toward_zero(x, shift) == math.trunc(Fraction(x, 2**shift))


@given(st.integers(8, 15), st.data())
def test_decay_leaks_both_signs_alike_and_never_grows(bits, data):
    factor, x = data.draw(st.integers(0, 2**bits)), data.draw(st.integers(-(2**23), 2**23))
    assert decay(x, factor, bits) == math.trunc(Fraction(x * factor, 2**bits))
    assert decay(-x, factor, bits) == -decay(x, factor, bits)
    assert abs(decay(x, factor, bits)) <= abs(x)
    assert (decay(x, 0, bits), decay(x, 2**bits, bits)) == (0, x)


@given(st.integers(1, 32), st.booleans(), BIG)
def test_saturation_gives_the_nearest_number_of_the_format(bits, signed, x):
    of = Format(bits, signed)
    assert of.hi - of.lo == 2**bits - 1
    assert of.holds(of.saturate(x))
    assert (of.saturate(x) == x) == of.holds(x)
    assert of.saturate(x) == min((of.lo, x, of.hi), key=lambda y: (not of.holds(y), abs(y - x)))


@pytest.mark.parametrize(("given", "shown"), [(Format(8), "-128..127"), (Format(1, signed=False), "0..1"), (Format(24), "-8388608..8388607")])
def test_a_format_is_shown_as_its_range(given, shown):
    assert str(given) == shown
