# SPDX-License-Identifier: Apache-2.0
"""Axons with a boolean hint (H2) as one bit a connection or as lists of targets, whichever takes fewer bytes; the one weight stands with the axon.

A *bitmap* has words of 32 bits, from a neuron at or before the axon's first target on, which has the highest bit, as a processor that counts leading zeros
wants it. A *list* has targets as distances from such a neuron. Equal bitmaps and equal lists are stored once, so axons of a motif array share them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .tables import Column, Table, column, table

__all__ = ["Booleans", "pack_booleans"]

WORD_BITS = 32
ALIGNMENTS = (2, 32)  # neurons: with 2 more axons share a bitmap or list, with 32 more begin at the same neuron
# instructions of a Cortex-M4: of a word of which bits are sought, of a bit found, of a word of which all pairs are added, of an entry of a list where
# each sum has a word of its own, and where two share one
SOUGHT, FOUND, ADDED, ENTRY, PAIRED_ENTRY = 5, 8, 83, 6, 9


@dataclass(frozen=True)
class Booleans:
    """How boolean axons are stored, beside axons that have several weights.

    Attributes
    ----------
    n_bitmaps, n_lists : int
        Distinct ones. Places 0 .. n_bitmaps - 1 are bitmaps, then come lists, then the other axons in their order.
    place : Column
        By axon.
    first : Column
        By axon, the pair of neurons where its bitmap or list begins.
    n_pairs : int
        Pairs of neurons that words of bitmaps reach.
    tables : tuple of Table
        What they take, those of the columns too.
    forms : mapping of str to mapping of str to int
        Axons, synapses and bytes of "bitmap" and "list", each where it is used.
    alternatives : mapping of str to int
        Bytes of ``tables`` as chosen, with nothing but bitmaps, and with nothing but lists.
    instructions, paired_instructions : int
        Estimates for one activation of every boolean axon, each sum having a word of its own, and two sharing one.
    """

    n_bitmaps: int
    n_lists: int
    place: Column
    first: Column
    n_pairs: int
    tables: tuple[Table, ...]
    forms: Mapping[str, Mapping[str, int]]
    alternatives: Mapping[str, int]
    instructions: int
    paired_instructions: int

    @property
    def n_bytes(self) -> int:
        """Of all tables."""
        return sum(t.n_bytes for t in self.tables)

    @property
    def report(self) -> dict[str, object]:
        """What was chosen and what else it would have taken, as plain JSON."""
        return {**{name: dict(form) for name, form in self.forms.items()}, "bytes": dict(self.alternatives)}

    @property
    def n_others(self) -> int:
        """The place of the first axon that is stored otherwise."""
        return self.n_bitmaps + self.n_lists


def pack_booleans(lists: Sequence[Sequence[int] | None]) -> Booleans:
    """Store boolean axons in the fewest bytes.

    Parameters
    ----------
    lists : sequence of (ascending targets or None)
        Of each axon; None where it is stored otherwise.
    """
    found: dict[str, list[Booleans]] = {"bitmap": [], "list": [], "mixed": []}
    for alignment in ALIGNMENTS:
        firsts = [targets[0] // alignment * alignment if targets else 0 for targets in lists]
        entries = [None if targets is None else tuple(t - first for t in targets) for targets, first in zip(lists, firsts, strict=True)]
        bitmaps = [None if own is None else _bitmap(own) for own in entries]
        smaller = [[4 * len(words or ()) < size * len(own or ()) for words, own in zip(bitmaps, entries, strict=True)] for size in (1, 2)]
        for name, is_bitmap in (("bitmap", [True] * len(lists)), ("list", [False] * len(lists)), *(("mixed", chosen) for chosen in smaller)):
            found[name].append(_store(firsts, entries, bitmaps, is_bitmap))
    best = {name: min(stored, key=_cost) for name, stored in found.items()}
    chosen = min(best.values(), key=_cost)
    return replace(chosen, alternatives={"chosen": chosen.n_bytes, "bitmap": best["bitmap"].n_bytes, "list": best["list"].n_bytes})


def _cost(stored: Booleans) -> tuple[int, int]:
    return stored.n_bytes, stored.instructions


def _bitmap(entries: Sequence[int]) -> tuple[int, ...]:
    """Words in which bit 31 of the first is distance 0."""
    words = [0] * ((entries[-1] // WORD_BITS + 1) if entries else 0)
    for entry in entries:
        words[entry // WORD_BITS] |= 1 << (WORD_BITS - 1 - entry % WORD_BITS)
    return tuple(words)


def _store(firsts: Sequence[int], entries: Sequence[tuple[int, ...] | None], bitmaps: Sequence[tuple[int, ...] | None], is_bitmap: Sequence[bool]) -> Booleans:
    """Tables where axons are bitmaps as told and lists else."""
    words: dict[tuple[int, ...], int] = {}
    runs: dict[tuple[int, ...], int] = {}
    keys = [(words, bitmap) if chosen else (runs, own) for own, bitmap, chosen in zip(entries, bitmaps, is_bitmap, strict=True)]
    for pool, key in keys:
        if key is not None:
            pool.setdefault(key, len(pool))
    n_others, places = len(words) + len(runs), []
    for pool, key in keys:
        places.append((0 if pool is words else len(words)) + pool[key] if key is not None else n_others)
        n_others += key is None
    place = column("axon_place", places, "axon", "place of each axon: bitmaps come first, then lists, then axons of several weights", ramp=True)
    any_first = next((first for first, own in zip(firsts, entries, strict=True) if own), 0)
    begins = [(first if own else any_first) // 2 for first, own in zip(firsts, entries, strict=True)]
    first = column("axon_first", begins, "axon", "pair of neurons where the bitmap or list of each axon begins")
    tables = [c.table for c in (place, first) if c.table is not None]
    of_bitmaps, of_lists = [], []
    if words:
        flat = tuple(word for own in words for word in own) or (0,)
        of_bitmaps = [
            table("bitmap_start", np.cumsum([0, *map(len, words)]), "bitmap at place p: bitmap_start[p] .. bitmap_start[p + 1] - 1"),
            Table("bitmap_word", "uint32_t", flat, "1 where there is a synapse, the first neuron in the highest bit"),
        ]
    if runs:
        of_lists = [
            table("boolean_start", np.cumsum([0, *map(len, runs)]), f"list at place {len(words)} + p: boolean_start[p] .. boolean_start[p + 1] - 1"),
            table("boolean_target", [entry for own in runs for entry in own], "targets as distances from where the list begins"),
        ]
    forms = {}
    for name, pool, own_tables in (("bitmap", words, of_bitmaps), ("list", runs, of_lists)):
        sizes = [len(own) for own, (its, _) in zip(entries, keys, strict=True) if own is not None and its is pool]
        if sizes:
            forms[name] = {"axons": len(sizes), "synapses": sum(sizes), "bytes": sum(t.n_bytes for t in own_tables)}
    n_words = sum(len(key) for pool, key in keys if key is not None and pool is words)
    found, listed = (forms.get(name, {}).get("synapses", 0) for name in ("bitmap", "list"))
    reach = [(begin + WORD_BITS * len(key)) // 2 for begin, (pool, key) in zip(firsts, keys, strict=True) if key and pool is words]
    return Booleans(
        n_bitmaps=len(words),
        n_lists=len(runs),
        place=place,
        first=first,
        n_pairs=max(reach, default=0),
        tables=(*tables, *of_bitmaps, *of_lists),
        forms=forms,
        alternatives={},
        instructions=SOUGHT * n_words + FOUND * found + ENTRY * listed,
        paired_instructions=ADDED * n_words + PAIRED_ENTRY * listed,
    )
