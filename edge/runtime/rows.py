# SPDX-License-Identifier: Apache-2.0
"""``add_rows``: the sum of some rows of a matrix, kept in vector registers over all of them, which loops in Numba cannot say.

Written in LLVM's vectors, so that it runs on every processor; interpreted, it is numpy. Most of a timestep of a dense network is here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from .memory import BLOCK
from .plan import TOGETHER

__all__ = ["add_rows", "add_short_rows"]


def _make(*, short: bool) -> Callable[..., None]:
    """``f(matrix, base, sources, row, size, drives, k)``: add rows ``base + sources[row, i]`` of int8 [_, P], i < size, to int16 ``drives[k]``.

    ``sources[row]`` goes on with rows of zeros to a multiple of TOGETHER. ``short``: 8 bits hold the sum of any TOGETHER rows.
    """

    def interpreted(matrix: np.ndarray, base: int, sources: np.ndarray, row: int, size: int, drives: np.ndarray, k: int) -> None:
        drives[k] += matrix[base + sources[row, :size].astype(np.int64)].sum(axis=0, dtype=np.int64).astype(np.int16)

    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return interpreted

    def compiled(typing: Any, matrix: Any, base: Any, sources: Any, row: Any, size: Any, drives: Any, k: Any) -> Any:
        signature = types.void(matrix, types.int64, sources, types.int64, types.int64, drives, types.int64)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def place(number: int, row: Any) -> tuple[Any, Any]:
                array = context.make_array(signature.args[number])(context, builder, arguments[number])
                width = builder.extract_value(array.shape, 1)
                return builder.gep(array.data, [builder.mul(row, width)]), width

            (rows, width), (listed, _), (sums, _) = place(0, arguments[1]), place(2, arguments[3]), place(5, arguments[6])
            whole = builder.and_(width, context.get_constant(types.int64, -2 * BLOCK))
            _columns(builder, context.get_constant(types.int64, 0), whole, 2 * BLOCK, rows, listed, arguments[4], width, sums, short)
            _columns(builder, whole, width, BLOCK, rows, listed, arguments[4], width, sums, short)
            return context.get_dummy_value()

        return signature, generate

    compiled.__name__ = "add_short_rows" if short else "add_rows"
    made: Callable[..., None] = intrinsic(compiled)
    return made


def _columns(builder: Any, first: Any, last: Any, lanes: int, rows: Any, sources: Any, size: Any, width: Any, sums: Any, short: bool) -> None:
    """Code for columns first .. last - 1, ``lanes`` at a time."""
    index, byte, vector = ir.IntType(64), ir.VectorType(ir.IntType(8), lanes), ir.VectorType(ir.IntType(16), lanes)
    total = cgutils.alloca_once(builder, vector)
    with cgutils.for_range_slice(builder, first, last, ir.Constant(index, lanes), inc=True) as (column, _):
        place = builder.bitcast(builder.gep(sums, [column]), vector.as_pointer())
        builder.store(builder.load(place, align=2), total)
        with cgutils.for_range_slice(builder, ir.Constant(index, 0), size, ir.Constant(index, TOGETHER), inc=True) as (i, _):
            added = None
            for j in range(TOGETHER):
                source = builder.load(builder.gep(sources, [builder.add(i, ir.Constant(index, j))]))
                row = builder.mul(builder.zext(source, index), width)
                weights = builder.load(builder.bitcast(builder.gep(rows, [builder.add(row, column)]), byte.as_pointer()), align=1)
                weights = weights if short else builder.sext(weights, vector)
                added = weights if added is None else builder.add(added, weights)
            builder.store(builder.add(builder.load(total), builder.sext(added, vector) if short else added), total)
        builder.store(builder.load(total), place, align=2)


add_rows, add_short_rows = _make(short=False), _make(short=True)
