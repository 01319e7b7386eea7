# SPDX-License-Identifier: Apache-2.0
"""Synapses read back from the tables of generated C, by the descriptions of the tables alone."""

from __future__ import annotations

from ormia.edge.ccode.packing import Packing, pack
from ormia.edge.network import Network


def read(column, index: int) -> int:
    """A number of a column."""
    return column.constant if column.constant is not None else column.table.values[index]


def unpack(packing: Packing) -> list[list[tuple[int, int]]]:
    """Per packed axon: the (target, weight) pairs that the tables say, padding included."""
    tables = {t.name: t.values for t in packing.tables}
    if packing.booleans is None:
        return [unpack_weights(packing, tables, a, a) for a in range(packing.n_axons)]
    return [unpack_boolean(packing, tables, a) for a in range(packing.n_axons)]


def unpack_boolean(packing, tables, axon_number):
    """The pairs of an axon of a network that has boolean ones, by the description of places alone."""
    booleans = packing.booleans
    place = axon_number if booleans.place.expression == "axon" else read(booleans.place, axon_number)
    first, weight = 2 * read(booleans.first, axon_number), read(packing.weight, axon_number)
    if place < booleans.n_bitmaps:
        words = tables["bitmap_word"][slice(*tables["bitmap_start"][place : place + 2])]
        return [(first + 32 * i + bit, weight) for i, word in enumerate(words) for bit in range(32) if word >> (31 - bit) & 1]
    if place < booleans.n_others:
        number = place - booleans.n_bitmaps
        return [(first + entry, weight) for entry in tables["boolean_target"][slice(*tables["boolean_start"][number : number + 2])]]
    return unpack_weights(packing, tables, place - booleans.n_others, axon_number)


def unpack_weights(packing, tables, number, axon_number):
    """The pairs of an axon that is stored with its weights: ``number`` among those, ``axon_number`` among all."""
    if packing.pairs is not None:
        return sorted(unpack_pairs(packing, tables, number, read(packing.weight, axon_number)))
    per = packing.synapses_per_group
    groups = range(tables["synapse_start"][number], tables["synapse_start"][number + 1])
    if packing.shared:
        begin, pool, first = tables["list_start"][number] * per, tables["target_offset"], read(packing.first, number)
    else:
        begin, pool, first = tables["synapse_start"][number] * per, tables["synapse_target"], 0
    targets = [first + pool[begin + i] for i in range(len(groups) * per)]
    weights = []
    for group in groups:
        if packing.weight_bits == 0:
            weights.append(read(packing.weight, axon_number))
        elif packing.weight_bits == 8:
            weights.append(tables["synapse_weight"][group])
        else:
            sign = 1 << (packing.weight_bits - 1)
            for i in range(per):
                field = tables["synapse_weight"][group] >> (i * packing.weight_bits) & (2 * sign - 1)
                weights.append((field ^ sign) - sign)
    return list(zip(targets, weights, strict=True))


def unpack_pairs(packing, tables, axon_number, weight):
    """The (target, weight) pairs of rows and chunks, by the description of the words alone."""
    pairs, found = packing.pairs, []
    words = []
    if pairs.rows:
        per = 16 // pairs.bits
        begin, end = tables["row_start"][axon_number : axon_number + 2]
        words += [(tables["row_first"][axon_number] + i * per, tables["row_weight"][begin + i], per) for i in range(end - begin)]
    if pairs.chunks:
        number = tables["row_first"][axon_number] if pairs.rows else axon_number
        begin, end = (0, 0) if words else tables["chunk_start"][number : number + 2]
        words += [(tables["chunk_first"][i], tables["chunk_weight"][i], 8 // pairs.bits) for i in range(begin, end)]
    for first, word, per in words:
        assert first + per <= pairs.n_pairs
        for field in range(2 * per):
            stored = word >> (field * pairs.bits) & ((1 << pairs.bits) - 1)
            target = 2 * (first + field % per) + field // per
            if pairs.bits > 1:
                found.append((target, stored - (1 << (pairs.bits - 1))))
            elif stored:
                found.append((target, weight))
    return found


def assert_packs(net: Network) -> Packing:
    """Demand that the tables hold every synapse."""
    packing = pack(net)
    assert sorted(packing.order) == list(range(net.n_axons))
    for position, (axon_number, pairs) in enumerate(zip(packing.order, unpack(packing), strict=True)):
        expected = list(zip(*(part.tolist() for part in net.synapses(axon_number)), strict=True))
        assert [pair for pair in pairs if pair[1] != 0] == expected if packing.weight_bits else pairs == expected
        assert packing.counted.values[position] == len(expected)
        if expected:
            assert read(packing.gain, position) == 1 << int(net.axon_shift[axon_number])
            assert packing.compartments[read(packing.compartment, position)] == net.axon_compartment[axon_number]
    return packing
