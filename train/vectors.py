# SPDX-License-Identifier: Apache-2.0
"""Vectors of 16 single-precision numbers in compiled code, for the few loops in which the compiler does not keep a sum in registers by itself.

A vector is a value of LLVM; a processor without registers of 512 bits gets two or four of its own. Only compiled code can call these. No index is checked.
"""

from __future__ import annotations

from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

__all__ = ["FOUR", "TILE_COLUMNS", "TILE_ROWS", "WIDTH", "add_product", "load", "load_four", "multiply_tile", "shift_right", "splat", "store", "store_four"]

WIDTH = 16
FOUR = 4 * WIDTH  # of ``load_four``
TILE_ROWS, TILE_COLUMNS = 6, 64  # of ``multiply_tile``: 24 sums and what they are made of fill 32 registers of 512 bits
_VALUE = ir.VectorType(ir.FloatType(), WIDTH)
_ZEROS = ir.Constant(_VALUE, [0.0] * WIDTH)


class _Vector(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"float32x{WIDTH}")


_vector = _Vector()


@register_model(_Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager, given):  # type: ignore[no-untyped-def]
        super().__init__(manager, given, _VALUE)


def _data(context, builder, signature, arguments, position):  # type: ignore[no-untyped-def]
    """Pointer to the first element of the array at a position of the arguments."""
    return context.make_array(signature.args[position])(context, builder, arguments[position]).data


def _read(builder, data, index):  # type: ignore[no-untyped-def]
    return builder.load(builder.bitcast(builder.gep(data, [index]), _VALUE.as_pointer()), align=4)


def _write(builder, value, data, index):  # type: ignore[no-untyped-def]
    builder.store(value, builder.bitcast(builder.gep(data, [index]), _VALUE.as_pointer()), align=4)


def _spread(builder, number):  # type: ignore[no-untyped-def]
    one = builder.insert_element(ir.Constant(_VALUE, ir.Undefined), number, ir.IntType(32)(0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH))


def _add_product(builder, total, a, b):  # type: ignore[no-untyped-def]
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_VALUE, [_VALUE] * 3), f"llvm.fmuladd.v{WIDTH}f32")
    return builder.call(function, [a, b, total])


def _is_row(array):  # type: ignore[no-untyped-def]
    return isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C" and array.dtype == types.float32


@intrinsic
def load(typing, row, index):  # type: ignore[no-untyped-def]
    """``row[index : index + 16]`` of a contiguous float32 array."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return _read(builder, _data(context, builder, signature, arguments, 0), arguments[1])

    return (_vector(row, types.intp), generate) if _is_row(row) else None


@intrinsic
def store(typing, row, index, value):  # type: ignore[no-untyped-def]
    """``row[index : index + 16] = value``."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _write(builder, arguments[2], _data(context, builder, signature, arguments, 0), arguments[1])
        return context.get_dummy_value()

    return (types.void(row, types.intp, _vector), generate) if _is_row(row) else None


@njit
def load_four(row, index):  # type: ignore[no-untyped-def]
    """Four vectors one after the other: a sum waits for its last product, and meanwhile three others go on."""
    return load(row, index), load(row, index + WIDTH), load(row, index + 2 * WIDTH), load(row, index + 3 * WIDTH)


@njit
def store_four(row, index, p, q, r, u):  # type: ignore[no-untyped-def]
    """What ``load_four`` reads, written."""
    store(row, index, p)
    store(row, index + WIDTH, q)
    store(row, index + 2 * WIDTH, r)
    store(row, index + 3 * WIDTH, u)


@intrinsic
def splat(typing, number):  # type: ignore[no-untyped-def]
    """Sixteen times the same float32."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return _spread(builder, arguments[0])

    return (_vector(types.float32), generate) if number == types.float32 else None


@intrinsic
def add_product(typing, total, a, b):  # type: ignore[no-untyped-def]
    """``total + a * b``, rounded once where the processor can."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return _add_product(builder, *arguments)

    return (_vector(_vector, _vector, _vector), generate) if total == a == b == _vector else None


@intrinsic
def multiply_tile(typing, n, left, left_start, left_stride, right, right_start, right_stride, out, out_start, out_stride):  # type: ignore[no-untyped-def]
    """``out[r, c] = sum over k < n of left[r, k] * right[k, c]`` for TILE_ROWS rows and TILE_COLUMNS columns, all sums in registers, k ascending; n >= 1.

    Each operand is a contiguous float32 array of one dimension, with the place of its element [0, 0] and the distance between its rows.
    """
    vectors = TILE_COLUMNS // WIDTH

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        (left, right, out), word = (_data(context, builder, signature, arguments, i) for i in (1, 4, 7)), arguments[0].type
        (left_start, left_stride), (right_start, right_stride), (out_start, out_stride) = arguments[2:4], arguments[5:7], arguments[8:]
        rows = [builder.gep(left, [builder.add(left_start, builder.mul(left_stride, word(r)))]) for r in range(TILE_ROWS)]
        before, loop, done = builder.block, builder.append_basic_block("tile"), builder.append_basic_block("tile_done")
        builder.branch(loop)
        builder.position_at_end(loop)
        k, sums = builder.phi(word), [builder.phi(_VALUE) for _ in range(TILE_ROWS * vectors)]
        at = builder.gep(right, [builder.add(right_start, builder.mul(k, right_stride))])
        columns = [_read(builder, at, word(c * WIDTH)) for c in range(vectors)]
        factors = [_spread(builder, builder.load(builder.gep(row, [k]))) for row in rows]
        added = [_add_product(builder, total, factors[i // vectors], columns[i % vectors]) for i, total in enumerate(sums)]
        following = builder.add(k, word(1))
        for phi, first, then in ((k, word(0), following), *((total, _ZEROS, more) for total, more in zip(sums, added, strict=True))):
            phi.add_incoming(first, before)
            phi.add_incoming(then, loop)
        builder.cbranch(builder.icmp_signed("<", following, arguments[0]), loop, done)
        builder.position_at_end(done)
        for i, total in enumerate(added):
            place = builder.add(out_start, builder.add(builder.mul(out_stride, word(i // vectors)), word(i % vectors * WIDTH)))
            _write(builder, total, out, place)
        return context.get_dummy_value()

    whole = types.intp
    return types.void(whole, left, whole, whole, right, whole, whole, out, whole, whole), generate


@intrinsic
def shift_right(typing, number, bits):  # type: ignore[no-untyped-def]
    """``number >> bits`` of int32 as int32; Numba's own widens to 64 bits, and with it the loop around, which then handles half as many numbers at a time."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ashr(*arguments)

    return (types.int32(types.int32, types.int32), generate) if number == bits == types.int32 else None
