# SPDX-License-Identifier: Apache-2.0
"""Axons and synapses of a network as constant C tables.

Axons are renumbered: those without delay by source, then delayed input axons and delayed neuron axons by (delay, source), so that the
generated loops walk forward. Weights are packed in 2, 4 or 8 bits, or one an axon where all weights of each axon are equal. Where that takes fewer
instructions, synapses are packed in pairs (``pairs.py``); else lists of targets that differ only by an offset are stored once where that is
smaller. Axons with a boolean hint take bitmaps or lists of their own (``boolean.py``). None of it changes a bit of a result: what is padded
has weights of 0, and counters use the true counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..network import Network
from ..validation import gather_bounds
from .boolean import Booleans, pack_booleans
from .pairs import SYNAPSE, Pairs, pack_pairs
from .tables import Column, Table, column, narrowest, table

__all__ = ["Packing", "pack"]


@dataclass(frozen=True)
class Packing:
    """What the generated walker needs to know.

    Attributes
    ----------
    order : tuple of int
        Axon of the network for each packed axon.
    n_immediate, n_delayed_inputs, n_delayed_neurons : int
        Packed axons of each of the three groups, in this order.
    direct : bool
        Whether source s has exactly the one immediate axon s, so that no ``axon_start`` is stored.
    weight_bits : int
        2, 4 or 8; 0 where each axon has one weight.
    booleans : Booleans or None
        Axons with a boolean hint, if there are any. What follows then concerns the others, which are numbered in their order.
    others : bool
        Whether there are any.
    pairs : Pairs or None
        Rows and chunks, which then take the place of lists; in its words of sums two neurons share one.
    shared : bool
        Whether target lists are stored as offsets from the first target, equal ones once.
    compartments : tuple of int
        Compartments that some synapse reaches; the others stay at 0 and are left out.
    drive_type : str
        C type of a gathered sum, from the bounds of P1; of two of them where packed in pairs.
    gain, compartment, weight, first : Column
        Per axon: 2**shift, index into ``compartments``, the one weight or 1, the first target where ``shared``.
    input_groups, neuron_groups : int
        Distinct delays of delayed input and neuron axons.
    input_first, neuron_first : Column or None
        By delay, the source of its first axon, where each delay has one axon of every source from there on; else None, and a table names all sources.
    tables : tuple of Table
        All tables, those of the columns too.
    counted : Table
        Synapses of each axon; only compiled in where counters are.
    """

    order: tuple[int, ...]
    n_immediate: int
    n_delayed_inputs: int
    n_delayed_neurons: int
    direct: bool
    weight_bits: int
    booleans: Booleans | None
    others: bool
    pairs: Pairs | None
    shared: bool
    compartments: tuple[int, ...]
    drive_type: str
    gain: Column
    compartment: Column
    weight: Column
    first: Column
    input_groups: int
    neuron_groups: int
    input_first: Column | None
    neuron_first: Column | None
    tables: tuple[Table, ...]
    counted: Table

    @property
    def n_axons(self) -> int:
        """All axons."""
        return len(self.order)

    @property
    def synapses_per_group(self) -> int:
        """Synapses whose weights share a byte; lists are padded to whole groups."""
        return 8 // self.weight_bits if self.weight_bits else 1


def pack(net: Network) -> Packing:
    """Lay out the axons of ``net``."""
    immediate, inputs, neurons = _groups(net)
    order = [*immediate, *inputs, *neurons]
    lists = [tuple(part.tolist() for part in net.synapses(a)) for a in order]
    used = sorted({int(net.axon_compartment[a]) for a, (targets, _) in zip(order, lists, strict=True) if targets}) or ([0] if order else [])
    lo, hi = gather_bounds(net)
    drive_type = narrowest(min(-1, int(lo.min(initial=0))), int(hi.max(initial=0)))
    hinted = [bool(net.axon_boolean[a] and targets) for a, (targets, _) in zip(order, lists, strict=True)]
    booleans = pack_booleans([targets if own or not targets else None for own, (targets, _) in zip(hinted, lists, strict=True)]) if any(hinted) else None
    others = lists if booleans is None else [own for own, own_hint in zip(lists, hinted, strict=True) if own[0] and not own_hint]
    bits = _weight_bits([weights for _, weights in others])
    per = 8 // bits if bits else 1
    padded = [targets + targets[-1:] * (-len(targets) % per) for targets, _ in others]
    pairs = pack_pairs(others, bits, net.n_neurons) if net.n_synapses and drive_type != "int32_t" else None
    listed = SYNAPSE * sum(len(targets) for targets, _ in others) + (booleans.instructions if booleans else 0)
    if pairs is not None and booleans is not None:
        pairs = replace(pairs, n_pairs=max(pairs.n_pairs, booleans.n_pairs), instructions=pairs.instructions + booleans.paired_instructions)
    if pairs is not None and pairs.instructions > listed:
        pairs = None
    if pairs is None:
        target_tables, shared, first_target = _target_tables(padded, per)
    else:
        target_tables, shared, first_target = list(pairs.tables), False, column("first_target", [0], "axon", "")
    gain = column("axon_gain", _or_zero([1 << int(net.axon_shift[a]) for a in order]), "axon", "2**shift of each axon")
    place = column(
        "axon_compartment", _or_zero([used.index(c) if (c := int(net.axon_compartment[a])) in used else 0 for a in order]), "axon", "compartment of each axon"
    )
    ones = [w if own or not bits else [1] for own, (_, w) in zip(hinted, lists, strict=True)]
    weight = column("axon_weight", _or_zero(_equal_weights(ones)), "axon", "the one weight of each axon" + (", 1 where there are several" if bits else ""))
    direct = _is_direct(net, immediate)
    tables = [*target_tables] if others else []
    if bits and pairs is None:
        tables.append(_weight_table([w for _, w in others], bits))
    tables += [c.table for c in (gain, place, weight, first_target) if c.table is not None]
    tables += booleans.tables if booleans is not None else ()
    if immediate and not direct:
        starts = np.searchsorted(net.axon_source[immediate], np.arange(net.n_sources + 1))
        tables.append(table("axon_start", starts, "axons without delay of source s are axon_start[s] .. axon_start[s + 1] - 1"))
    groups: list[int] = []
    firsts: list[Column | None] = []
    for what, members, begin in (("input", inputs, len(immediate)), ("neuron", neurons, len(immediate) + len(inputs))):
        delays = sorted({int(net.axon_delay[a]) for a in members})
        groups.append(len(delays))
        firsts.append(None)
        if members:
            begins = [begin + sum(int(net.axon_delay[a]) < delay for a in members) for delay in [*delays, 256]]
            tables.append(table(f"{what}_delay", delays, f"delays of {what} axons"))
            tables.append(table(f"{what}_delay_start", begins, f"{what} axons of each delay"))
            sources = net.axon_source[members] - (net.n_inputs if what == "neuron" else 0)
            of_delay = [sources[net.axon_delay[members] == delay] for delay in delays]
            if all((np.diff(own) == 1).all() for own in of_delay):
                firsts[-1] = first = column(f"first_{what}", [own[0] for own in of_delay], "group", f"{what} of the first axon of each delay")
                tables += [first.table] if first.table is not None else []
            else:
                tables.append(table(f"delayed_{what}", sources, f"{what} of each delayed axon"))
    return Packing(
        order=tuple(order),
        n_immediate=len(immediate),
        n_delayed_inputs=len(inputs),
        n_delayed_neurons=len(neurons),
        direct=direct,
        weight_bits=bits,
        booleans=booleans,
        others=bool(others),
        pairs=pairs,
        shared=shared,
        compartments=tuple(used),
        drive_type=drive_type if pairs is None else "uint32_t",
        gain=gain,
        compartment=place,
        weight=weight,
        first=first_target,
        input_groups=groups[0],
        neuron_groups=groups[1],
        input_first=firsts[0],
        neuron_first=firsts[1],
        tables=tuple(tables),
        counted=table("axon_synapses", [len(t) for t, _ in lists], "synapses of each axon, without padding"),
    )


def _or_zero(values: list[int]) -> list[int]:
    return values or [0]


def _groups(net: Network) -> tuple[list[int], list[int], list[int]]:
    """Axons without delay by source; delayed input axons and delayed neuron axons by (delay, source)."""
    source, delay = net.axon_source.tolist(), net.axon_delay.tolist()
    axons = sorted(range(net.n_axons), key=lambda a: (delay[a], source[a]))
    return (
        [a for a in axons if delay[a] == 0],
        [a for a in axons if delay[a] > 0 and source[a] < net.n_inputs],
        [a for a in axons if delay[a] > 0 and source[a] >= net.n_inputs],
    )


def _is_direct(net: Network, immediate: list[int]) -> bool:
    """Whether immediate axon s is the only one of source s, for every source that can ever be active."""
    active = net.n_inputs + max([n + 1 for n in range(net.n_neurons) if net.kind_firing[net.neuron_kind[n]]], default=0)
    return active > 0 and net.axon_source[immediate].tolist() == list(range(active))


def _weight_bits(weights: list[list[int]]) -> int:
    """0 where each axon has one weight, else the narrowest of 2, 4 and 8 bits."""
    if all(len(set(w)) <= 1 for w in weights):
        return 0
    lo, hi = min(min(w) for w in weights if w), max(max(w) for w in weights if w)
    return next(bits for bits in (2, 4, 8) if -(1 << (bits - 1)) <= lo and hi < 1 << (bits - 1))


def _equal_weights(weights: list[list[int]]) -> list[int]:
    """One weight an axon; an axon without synapses takes any, so that equal ones make a constant."""
    some = next((w[0] for w in weights if w), 0)
    return [w[0] if w else some for w in weights]


def _weight_table(weights: list[list[int]], bits: int) -> Table:
    """Weights in two's complement of ``bits``, the first in the lowest bits of a byte, each axon padded with 0 to whole bytes."""
    per = 8 // bits
    if bits == 8:
        return Table("synapse_weight", "int8_t", tuple(w for own in weights for w in own), "weights")
    mask = (1 << bits) - 1
    packed = []
    for own in weights:
        for i in range(0, len(own), per):
            packed.append(sum((w & mask) << (bits * j) for j, w in enumerate(own[i : i + per])))
    return Table("synapse_weight", "uint8_t", tuple(packed), f"weights, {per} a byte in two's complement of {bits} bits, first in the lowest bits")


def _target_tables(padded: list[list[int]], per: int) -> tuple[list[Table], bool, Column]:
    """Target lists as they are, or equal offsets once, whichever is smaller; starts count groups of ``per`` synapses."""
    starts = np.cumsum([0, *(len(own) // per for own in padded)]).tolist()
    start = table("synapse_start", starts, f"groups of {per} synapses of axon a are synapse_start[a] .. synapse_start[a + 1] - 1")
    plain = table("synapse_target", [t for own in padded for t in own], "target neurons")
    found: dict[tuple[int, ...], int] = {}
    pool: list[int] = []
    list_starts = []
    for own in padded:
        offsets = tuple(t - own[0] for t in own)
        if offsets not in found:
            found[offsets] = len(pool) // per
            pool.extend(offsets)
        list_starts.append(found[offsets])
    offset = table("target_offset", pool, "target neurons as offsets from the first; equal lists are stored once")
    begin = table("list_start", list_starts, f"where the offsets of each axon start, in groups of {per}")
    first = column("first_target", _or_zero([own[0] if own else 0 for own in padded]), "axon", "first target of each axon")
    cost = offset.n_bytes + begin.n_bytes + (first.table.n_bytes if first.table else 0)
    if cost < plain.n_bytes:
        return [start, begin, offset], True, first
    return [start, plain], False, column("first_target", [0], "axon", "")
