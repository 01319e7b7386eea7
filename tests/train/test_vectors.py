# SPDX-License-Identifier: Apache-2.0
"""Vectors in compiled code do what numpy does, at any place of an array and at no other."""

from __future__ import annotations

import numba
import numpy as np
import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from hypothesis import given
from hypothesis import strategies as st
from ormia.train.vectors import TILE_COLUMNS, TILE_ROWS, WIDTH, add_product, load, multiply_tile, shift_right, splat, store


@numba.njit
def _add_scaled(row, at, factor, other, there):  # type: ignore[no-untyped-def]
    store(row, at, add_product(load(row, at), splat(factor), load(other, there)))


@numba.njit
def _multiply(n, left, left_start, left_stride, right, right_start, right_stride, out, out_start, out_stride):  # type: ignore[no-untyped-def]
    multiply_tile(n, left, left_start, left_stride, right, right_start, right_stride, out, out_start, out_stride)


@numba.njit
def _shift(number, bits):  # type: ignore[no-untyped-def]
    return shift_right(number, bits)


@given(at=st.integers(0, 20), there=st.integers(0, 20), factor=st.integers(-8, 8), seed=st.integers(0, 99))
def test_a_vector_changes_its_sixteen_places_alone(at: int, there: int, factor: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    row, other = (rng.integers(-50, 50, 20 + WIDTH).astype(np.float32) for _ in range(2))
    expected = row.copy()
    expected[at : at + WIDTH] += factor * other[there : there + WIDTH]
    _add_scaled(row, at, np.float32(factor), other, there)
    np.testing.assert_array_equal(row, expected)


@given(n=st.integers(1, 30), gaps=st.tuples(*[st.integers(0, 5)] * 3), starts=st.tuples(*[st.integers(0, 9)] * 3), seed=st.integers(0, 99))
def test_a_tile_is_the_product_of_matrices(n: int, gaps: tuple[int, int, int], starts: tuple[int, int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    strides = [width + gap for width, gap in zip((n, TILE_COLUMNS, TILE_COLUMNS), gaps, strict=True)]
    rows = (TILE_ROWS, n, TILE_ROWS)
    left, right, out = (rng.integers(-9, 9, start + count * stride).astype(np.float32) for start, count, stride in zip(starts, rows, strides, strict=True))
    matrices = [x[start:].reshape(-1, stride) for x, start, stride in zip((left, right, out), starts, strides, strict=True)]
    expected = out.copy()
    expected[starts[2] :].reshape(-1, strides[2])[:, :TILE_COLUMNS] = matrices[0][:, :n] @ matrices[1][:, :TILE_COLUMNS]
    _multiply(n, left, starts[0], strides[0], right, starts[1], strides[1], out, starts[2], strides[2])
    np.testing.assert_array_equal(out, expected)


@given(number=st.integers(-(2**31), 2**31 - 1), bits=st.integers(0, 31))
def test_a_shift_stays_in_32_bits_and_keeps_the_sign(number: int, bits: int) -> None:
    found = _shift(np.int32(number), np.int32(bits))
    assert found == number >> bits


def test_what_is_no_row_of_single_precision_is_refused() -> None:
    for row in (np.zeros(32), np.zeros((2, 16), np.float32), np.zeros(64, np.float32)[::2]):
        with pytest.raises(numba.TypingError):
            _add_scaled(row, 0, np.float32(1), row, 0)
