# SPDX-License-Identifier: Apache-2.0
"""docs/frontend.md: the integer logarithm, the butterfly and the widths that its overflow proofs rest on."""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ormia.edge.frontend import bank_front_end, fft_front_end, log2, presets
from ormia.edge.frontend.reference import ReferenceFrontEnd, butterfly, level_of

FFT = fft_front_end()
BANK = bank_front_end()
TABLES = {bits: presets.log_table(bits, 1) for bits in range(7)}


@given(x=st.one_of(st.integers(0, 2**48 - 1), st.integers(0, 40)), octaves=st.integers(-28, 14), log_bits=st.integers(0, 6), floor=st.integers(-2048, 8191))
def test_compiled_level_equals_reference(x, octaves, log_bits, floor):
    table = np.array(TABLES[log_bits], np.int64)
    assert log2.level_of(x, octaves, log_bits, table, floor) == level_of(x, octaves, log_bits, TABLES[log_bits], floor)


@given(x=st.integers(32, 2**48 - 1), log_bits=st.integers(0, 6))
def test_level_is_the_logarithm_to_its_last_bit(x, log_bits):
    """L1: the table holds the logarithm in the middle of each of 32 intervals, rounded down."""
    exact = math.log2(x) * 2**log_bits
    interval = 2**log_bits * math.log2(1 + 1 / 32)
    assert exact - 1 - interval / 2 <= level_of(x, 0, log_bits, TABLES[log_bits], -2048) <= exact + interval / 2


@given(x=st.integers(0, 2**48 - 2), log_bits=st.integers(0, 6))
def test_level_never_falls_as_power_rises(x, log_bits):
    assert level_of(x, 0, log_bits, TABLES[log_bits], -100) <= level_of(x + 1, 0, log_bits, TABLES[log_bits], -100)


def points(limit):
    """Complex integers of at most this magnitude, its border among them."""
    angle = st.floats(0, 2 * math.pi)
    radius = st.one_of(st.just(limit), st.floats(0, limit))
    return st.builds(lambda r, a: (int(r * math.cos(a)), int(r * math.sin(a))), radius, angle)


@given(a=points(23200), b=points(23200), k=st.integers(0, 127))
def test_a_butterfly_stays_in_its_widths_and_grows_by_less_than_two(a, b, k):
    """A5.2: ``butterfly`` raises where a product leaves 32 bits or a result 16; seven stages from 23174 on stay below 23200."""
    w = FFT.spectrum.twiddle_re[2 * k], FFT.spectrum.twiddle_im[2 * k]
    largest = max(math.hypot(*a), math.hypot(*b))
    for z in butterfly(a, b, w):
        assert math.hypot(*z) <= largest + 2


@given(a=points(23200), b=points(23200))
def test_a_butterfly_with_twiddle_one_is_exact_to_one_rounding(a, b):
    """A5.1: a backend may leave out the multiplications by 1 and by -i."""
    plus, minus = butterfly(a, b, (16384, 0))
    assert plus == ((a[0] + b[0] + 1) >> 1, (a[1] + b[1] + 1) >> 1)
    assert minus == ((a[0] - b[0] + 1) >> 1, (a[1] - b[1] + 1) >> 1)
    plus, minus = butterfly(a, b, (0, -16384))
    assert plus == ((a[0] + b[1] + 1) >> 1, (a[1] - b[0] + 1) >> 1)
    assert minus == ((a[0] - b[1] + 1) >> 1, (a[1] + b[0] + 1) >> 1)


def test_trivial_twiddles_are_exact():
    re, im = FFT.spectrum.twiddle_re, FFT.spectrum.twiddle_im
    assert (re[0], im[0]) == (16384, 0)
    assert (re[128], im[128]) == (0, -16384)


def test_frame_that_is_worst_for_the_transform_stays_in_its_widths():
    """A5.2: signs that align every point of bin k at full scale; the reference raises where a width is exceeded."""
    rng = np.random.default_rng(7)
    for k in [1, 64, 127, 128, 129, 255, *rng.integers(1, 256, 3)]:
        wave = np.cos(2 * np.pi * k * np.arange(960) / 512 + rng.uniform(0, math.pi))
        pcm = np.where(wave >= 0, 32767, -32768).astype(np.int16)
        for front_end in (FFT, fft_front_end(pre_emphasis=0), fft_front_end(pre_emphasis=32)):
            assert np.array_equal(np.array(ReferenceFrontEnd(front_end).push(pcm)), front_end.payloads(pcm))


@pytest.mark.parametrize("f", range(0, 32, 5))
def test_audio_that_is_worst_for_a_filter_stays_in_its_widths(f):
    """B6: full-scale signs at the center of a filter, on which a resonator swings highest."""
    spectrum = BANK.spectrum
    node = int(np.searchsorted(spectrum.first, f, "right")) - 1
    a1, a2 = spectrum.a1[f] / 16384, spectrum.a2[f] / 16384
    omega = math.acos(max(-1, min(1, -a1 / 2 / math.sqrt(a2)))) if a2 > 0 else math.pi / 2
    rate = spectrum.node_rate[node]
    cycles = (omega if not spectrum.node_mirror[node] else 2 * math.pi - omega) / rate
    pcm = np.where(np.sin(cycles * np.arange(1600)) >= 0, 32767, -32768).astype(np.int16)
    assert np.array_equal(np.array(ReferenceFrontEnd(BANK).push(pcm)), BANK.payloads(pcm))


@pytest.mark.parametrize(("front_end", "digest"), [(FFT, "7f5a2a7f6088a95f"), (BANK, "166f0b9ffc235683")], ids=["fft", "bank"])
def test_tables_of_the_presets_are_these_integers(front_end, digest):
    """Another libm may not change a preset unnoticed. What is stored in a file is not concerned."""
    tables = json.dumps([front_end.spectrum.to_dict(), front_end.coding.log_table], sort_keys=True)
    assert hashlib.sha256(tables.encode()).hexdigest()[:16] == digest
