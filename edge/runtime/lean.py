# SPDX-License-Identifier: Apache-2.0
"""``sweep_lean``: S2 to S7 of networks whose update is proven to fit 16 bits, 32 neurons at a time, which loops in Numba would widen.

Written in LLVM's vectors, so that it runs on every processor; interpreted, it is numpy. ``lean_tables`` holds the proof.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from ..network import Network, Reset
from .memory import BLOCK, aligned_zeros, padded

__all__ = ["PLACES", "lean_tables", "sweep_lean"]

FACTOR, WHOLE, GAIN, LEAST, MOST, BIAS, THRESHOLD, FIRES, KEEP, RESET_BY, N_ROWS = range(11)
PLACES = np.array([[*(i for i in range(8) if byte >> i & 1), *[0] * (8 - byte.bit_count())] for byte in range(256)], np.uint8)
"""uint8 [256, 8]: where a byte has its bits."""


def lean_tables(net: Network) -> np.ndarray:
    """Constants by neuron as ``sweep_lean`` reads them, int16 [N_ROWS, P]; [0, 0] where 16 bits are not proven to do.

    They do where drives fit (the caller knows), there is one current, which does not last and is not shifted, no neuron rests, and no decayed membrane
    plus a bias leaves 16 bits: then one addition is left that can, and it saturates.
    """
    formats, kind = net.formats, net.neuron_kind
    factor, bias = net.kind_membrane_decay[kind].astype(np.int64), net.bias.astype(np.int64)
    fires, reset_by = net.kind_firing[kind], np.where(net.kind_reset[kind] == Reset.ZERO, 0, net.reset_by)
    gain, limit = net.kind_drive_shift[kind].astype(np.int64), 1 << (formats.current_bits - 1)
    one, largest = 1 << formats.decay_bits, ((1 << (formats.membrane_bits - 1)) * factor) >> formats.decay_bits
    simple = net.n_compartments == 1 and not (net.kind_current_decay.any() or net.kind_refractory.any() or net.kind_current_shift.any())
    short = formats.membrane_bits <= 16 and formats.current_bits <= 16 and int(np.abs(reset_by).max(initial=0)) < 1 << 15
    fits = (bias == 0) | (largest + np.abs(bias) < 1 << 15)  # a decayed membrane alone always does
    if not (simple and short and fits.all()):
        return np.zeros((0, 0), np.int16)
    rows = {
        FACTOR: np.where(factor == one, 0, factor << (16 - formats.decay_bits)),  # uint16, of which the product's upper half is taken
        WHOLE: np.where(factor == one, -1, 0),
        GAIN: 1 << gain,
        LEAST: -(limit >> gain),  # drives from here to MOST do not saturate
        MOST: (limit - 1) >> gain,
        BIAS: bias,
        THRESHOLD: np.where(fires, net.threshold, 0),
        FIRES: np.where(fires, -1, 0),
        KEEP: np.where(net.kind_reset[kind] == Reset.ZERO, 0, -1),
        RESET_BY: reset_by,
    }
    tables = aligned_zeros((N_ROWS, padded(net.n_neurons)), np.int16)
    for row, values in rows.items():
        tables[row, : net.n_neurons] = values.astype(np.uint16).view(np.int16)
    return tables


def _interpreted(
    tables: np.ndarray, places: np.ndarray, drive: np.ndarray, membrane: np.ndarray, spiked: np.ndarray, sources: np.ndarray, row: int, base: int,
    current_limit: int, membrane_limit: int,
) -> int:  # fmt: skip
    """Update int16 [P] ``membrane`` from ``drive`` [1, P], which becomes 0; list ``base`` + neuron in ``sources[row]`` for all that fire; how many.

    ``sources`` may be overwritten for up to 8 places beyond.
    """
    wide = tables.astype(np.int64)
    total = np.clip(drive[0].astype(np.int64) * (wide[GAIN] & 0xFFFF), -current_limit, current_limit - 1)
    before = membrane.astype(np.int64)
    size = np.abs(before)
    size = ((size * (wide[FACTOR] & 0xFFFF)) >> 16) + (size & wide[WHOLE])
    value = np.clip(np.where(before < 0, -size, size) + wide[BIAS] + total, -membrane_limit, membrane_limit - 1)
    fired = (value >= wide[THRESHOLD]) & (wide[FIRES] != 0)
    membrane[:] = np.where(fired, (value & wide[KEEP]) - wide[RESET_BY], value)
    spiked[:] = fired
    drive[0] = 0
    found = np.flatnonzero(fired)
    sources[row, : len(found)] = base + found
    return len(found)


def _compiled(
    typing: Any, tables: Any, places: Any, drive: Any, membrane: Any, spiked: Any, sources: Any, row: Any, base: Any, current_limit: Any, membrane_limit: Any
) -> Any:
    long = types.int64
    signature = long(tables, places, drive, membrane, spiked, sources, long, long, long, long)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def array(number: int) -> Any:
            return context.make_array(signature.args[number])(context, builder, arguments[number])

        def at(number: int, index: Any) -> Any:
            found = array(number)
            return builder.gep(found.data, [builder.mul(index, builder.extract_value(found.shape, 1))])

        whole, half, index = ir.IntType(32), ir.IntType(16), ir.IntType(64)
        lanes, wide = ir.VectorType(half, BLOCK), ir.VectorType(whole, BLOCK)
        constants, width = array(0), builder.extract_value(array(3).shape, 0)
        listed, sums, membranes, spikes = at(5, arguments[6]), array(2).data, array(3).data, array(4).data
        count = cgutils.alloca_once_value(builder, ir.Constant(index, 0))

        def spread(value: Any) -> Any:
            one = builder.insert_element(ir.Constant(lanes, ir.Undefined), builder.trunc(value, half), ir.Constant(whole, 0))
            return builder.shuffle_vector(one, ir.Constant(lanes, ir.Undefined), ir.Constant(ir.VectorType(whole, BLOCK), [0] * BLOCK))

        def clamp(value: Any, limit: Any) -> Any:
            high, low = spread(builder.sub(limit, ir.Constant(index, 1))), spread(builder.neg(limit))
            below = builder.select(builder.icmp_signed("<", value, high), value, high)
            return builder.select(builder.icmp_signed(">", below, low), below, low)

        with cgutils.for_range_slice(builder, ir.Constant(index, 0), width, ir.Constant(index, BLOCK), inc=True) as (first, _):

            def vector(pointer: Any) -> Any:
                return builder.bitcast(builder.gep(pointer, [first]), lanes.as_pointer())

            def table(number: int) -> Any:
                return builder.load(vector(builder.gep(constants.data, [builder.mul(width, ir.Constant(index, number))])), align=2)

            driven = builder.load(vector(sums), align=2)
            total = builder.mul(driven, table(GAIN))
            total = builder.select(builder.icmp_signed(">", driven, table(MOST)), spread(builder.sub(arguments[8], ir.Constant(index, 1))), total)
            total = builder.select(builder.icmp_signed("<", driven, table(LEAST)), spread(builder.neg(arguments[8])), total)
            before = builder.load(vector(membranes), align=2)
            sign = builder.ashr(before, ir.Constant(lanes, [15] * BLOCK))
            size = builder.sub(builder.xor(before, sign), sign)
            product = builder.mul(builder.zext(size, wide), builder.zext(table(FACTOR), wide))
            kept = builder.trunc(builder.lshr(product, ir.Constant(wide, [16] * BLOCK)), lanes)
            kept = builder.add(kept, builder.and_(size, table(WHOLE)))
            moved = builder.add(builder.sub(builder.xor(kept, sign), sign), table(BIAS))
            add = cgutils.get_or_insert_function(builder.module, ir.FunctionType(lanes, [lanes, lanes]), f"llvm.sadd.sat.v{BLOCK}i16")
            value = clamp(builder.call(add, [moved, total]), arguments[9])
            may = builder.icmp_signed("!=", table(FIRES), ir.Constant(lanes, [0] * BLOCK))
            fires = builder.and_(builder.icmp_signed(">=", value, table(THRESHOLD)), may)
            after = builder.select(fires, builder.sub(builder.and_(value, table(KEEP)), table(RESET_BY)), value)
            builder.store(after, vector(membranes), align=2)
            builder.store(ir.Constant(lanes, [0] * BLOCK), vector(sums), align=2)
            flags = ir.VectorType(ir.IntType(8), BLOCK)
            builder.store(builder.zext(fires, flags), builder.bitcast(builder.gep(spikes, [first]), flags.as_pointer()), align=1)
            mask = builder.bitcast(fires, whole)
            few, eight = ir.VectorType(ir.IntType(8), 8), ir.VectorType(whole, 8)
            for byte in range(BLOCK // 8):
                bits = builder.and_(builder.lshr(mask, ir.Constant(whole, 8 * byte)), ir.Constant(whole, 255))
                entry = builder.gep(array(1).data, [builder.mul(builder.zext(bits, index), ir.Constant(index, 8))])
                offsets = builder.zext(builder.load(builder.bitcast(entry, few.as_pointer()), align=1), eight)
                start = builder.trunc(builder.add(builder.add(arguments[7], first), ir.Constant(index, 8 * byte)), whole)
                one = builder.insert_element(ir.Constant(eight, ir.Undefined), start, ir.Constant(whole, 0))
                numbers = builder.add(offsets, builder.shuffle_vector(one, ir.Constant(eight, ir.Undefined), ir.Constant(eight, [0] * 8)))
                size_so_far = builder.load(count)
                builder.store(numbers, builder.bitcast(builder.gep(listed, [size_so_far]), eight.as_pointer()), align=4)
                builder.store(builder.add(size_so_far, builder.zext(builder.ctpop(bits), index)), count)
        return builder.load(count)

    return signature, generate


sweep_lean: Callable[..., int] = _interpreted if config.DISABLE_JIT else intrinsic(_compiled)  # type: ignore[attr-defined]
