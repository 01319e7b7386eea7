# SPDX-License-Identifier: Apache-2.0
"""Vector operations on packed bits that Numba lacks: each is one LLVM expression on 64 lanes, which LLVM maps to whatever the processor has.

Bit b of word w of a packed row is element 64 * w + b. On a processor with AVX-512 adding a row of 64 bits to 64 counters is two masked additions.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["WORD_BITS", "add_where", "count_bits", "lowest_bit", "mark_nonzero", "tally"]

WORD_BITS = 64
BIT, WORD = ir.IntType(1), ir.IntType(64)


def _place(context: Any, builder: Any, array_type: Any, array: Any, start: Any, lane: ir.Type) -> Any:
    """Pointer to 64 lanes of a contiguous array, from element ``start`` on."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [start]), ir.VectorType(lane, WORD_BITS).as_pointer())


def _load(builder: Any, place: Any, align: int) -> Any:
    loaded = builder.load(place)
    loaded.align = align
    return loaded


def _splat(builder: Any, value: Any) -> Any:
    vector = ir.VectorType(value.type, WORD_BITS)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), WORD_BITS), [0] * WORD_BITS))


@intrinsic
def tally(typing_context: Any, counts: Any, start: Any, word: Any, sign: Any) -> Any:
    """``counts[start + b] += sign`` for every bit b set in ``word``; counts int16, sign int64 within int16."""
    signature = types.void(counts, types.int64, types.uint64, types.int64)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        lane = ir.IntType(16)
        place = _place(context, builder, counts, arguments[0], arguments[1], lane)
        chosen = builder.bitcast(arguments[2], ir.VectorType(BIT, WORD_BITS))
        step = _splat(builder, builder.trunc(arguments[3], lane))
        masked = builder.select(chosen, step, ir.Constant(step.type, [0] * WORD_BITS))
        builder.store(builder.add(_load(builder, place, 2), masked), place).align = 2
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def add_where(typing_context: Any, sums: Any, start: Any, word: Any, value: Any) -> Any:
    """``sums[start + b] += value`` for every bit b set in ``word``; float32."""
    signature = types.void(sums, types.int64, types.uint64, types.float32)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        place = _place(context, builder, sums, arguments[0], arguments[1], ir.FloatType())
        chosen = builder.bitcast(arguments[2], ir.VectorType(BIT, WORD_BITS))
        before = _load(builder, place, 4)
        after = builder.fadd(before, _splat(builder, arguments[3]))
        builder.store(builder.select(chosen, after, before), place).align = 4
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def mark_nonzero(typing_context: Any, marks: Any, start: Any) -> Any:
    """Word whose bit b says whether ``marks[start + b]`` is not 0; marks uint8."""
    signature = types.uint64(marks, types.int64)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        lane = ir.IntType(8)
        loaded = _load(builder, _place(context, builder, marks, arguments[0], arguments[1], lane), 1)
        return builder.bitcast(builder.icmp_unsigned("!=", loaded, ir.Constant(loaded.type, [0] * WORD_BITS)), WORD)

    return signature, generate


@intrinsic
def count_bits(typing_context: Any, word: Any) -> Any:
    """How many bits of a uint64 are set."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@intrinsic
def lowest_bit(typing_context: Any, word: Any) -> Any:
    """Place of the lowest set bit of a uint64; 64 for 0."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(BIT, 0))

    return types.int64(types.uint64), generate
