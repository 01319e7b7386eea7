# SPDX-License-Identifier: Apache-2.0
"""Synapses packed so that one instruction serves two of them: where lists are dense or come in clumps.

Gathered sums of neurons 2p and 2p + 1, which need 16 bits each (P1), share a word of 32: sum[2p] + 2**16 * sum[2p + 1] modulo 2**32. Additions and
multiplications of the word are those of both, whatever carries meanwhile from one half into the other, as the lower half tells in the end what
it lent. A weight w of ``bits`` bits is stored as w + 2**(bits - 1), so that a mask takes two weights out of a word at once. An axon has either a
*row*, the weights of all neurons from its first target to its last in words of 32 bits, or *chunks* of 16 bits with the place of each. Where some
axons have a row, ``row_first`` of the others counts them, and ``chunk_start`` goes by that number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .tables import Table, table

__all__ = ["Pairs", "pack_pairs"]

ROW_BITS, CHUNK_BITS = 32, 16
# instructions of a Cortex-M4: of a pair, of the loop around a word or a chunk, of a synapse in a plain list
PAIR, WORD, CHUNK, SYNAPSE = 5, 3, 6, 6


@dataclass(frozen=True)
class Pairs:
    """Rows and chunks of a network.

    Attributes
    ----------
    bits : int
        1, 2, 4 or 8, of a weight; 1 where each axon has one weight, and then the bit says whether there is a synapse.
    rows, chunks : bool
        Whether any axon has a row; chunks.
    n_pairs : int
        Words of sums, more than neurons need where the last word of a row reaches beyond them.
    tables : tuple of Table
        What they take.
    instructions : int
        Estimate for one activation of every axon.
    """

    bits: int
    rows: bool
    chunks: bool
    n_pairs: int
    tables: tuple[Table, ...]
    instructions: int

    @property
    def bias(self) -> int:
        """What is added to a stored weight."""
        return (1 << (self.bits - 1)) if self.bits > 1 else 0

    @property
    def mask(self) -> int:
        """Takes two weights out of a word."""
        return ((1 << self.bits) - 1) * 0x10001


def pack_pairs(lists: Sequence[tuple[list[int], list[int]]], bits: int, n_neurons: int) -> Pairs:
    """Pack targets and weights of each axon.

    Parameters
    ----------
    lists : sequence of (targets, weights)
        Of each axon, targets ascending; weights are ignored where ``bits`` is 0.
    bits : int
        0, 2, 4 or 8, as of ``Packing``.
    n_neurons : int
        All neurons.
    """
    width = bits or 1
    row_pairs, chunk_pairs = ROW_BITS // width // 2, CHUNK_BITS // width // 2
    blank = (1 << (width - 1)) if bits else 0  # a weight of 0
    rows: list[list[int]] = []
    firsts: list[int] = []
    chunks: list[list[tuple[int, int]]] = []
    in_chunks: list[int] = []  # axons that have no row
    n_pairs = (n_neurons + 1) // 2
    for targets, weights in lists:
        fields = dict(zip(targets, [w + blank for w in weights] if bits else [1] * len(targets), strict=True))
        pairs = sorted({target // 2 for target in targets})
        starts = _chunk_starts(pairs, chunk_pairs)
        n_words = -(-(pairs[-1] + 1 - pairs[0]) // row_pairs) if pairs else 0
        is_row = 4 * n_words + 1 <= 3 * len(starts)
        row_starts = [pairs[0] + i * row_pairs for i in range(n_words)] if is_row else []
        rows.append([_word(fields, start, row_pairs, width, blank) for start in row_starts])
        firsts.append(row_starts[0] if row_starts else len(in_chunks))
        in_chunks += [] if row_starts else [len(rows) - 1]
        chunks.append([] if is_row else [(start, _word(fields, start, chunk_pairs, width, blank)) for start in starts])
        reached = [*(start + row_pairs for start in row_starts), *(start + chunk_pairs for start, _ in chunks[-1])]
        n_pairs = max([n_pairs, *reached])
    flat, placed = [word for own in rows for word in own], [chunk for own in chunks for chunk in own]
    tables = []
    if flat:
        tables = [
            table("row_start", np.cumsum([0, *map(len, rows)]), "words of the row of axon a are row_start[a] .. row_start[a + 1] - 1"),
            table("row_first", firsts, "pair of neurons where the row of each axon begins; the number of an axon without one"),
            Table("row_weight", "uint32_t", tuple(flat), _note(width, "row", ROW_BITS // width)),
        ]
    if placed:
        own = [chunks[a] for a in in_chunks] if flat else chunks
        numbered = "axons without a row have numbers: chunks of number a" if flat else "chunks of axon a"
        tables += [
            table("chunk_start", np.cumsum([0, *map(len, own)]), f"{numbered} are chunk_start[a] .. chunk_start[a + 1] - 1"),
            table("chunk_first", [start for start, _ in placed], "pair of neurons where each chunk begins"),
            Table("chunk_weight", "uint16_t", tuple(word for _, word in placed), _note(width, "chunk", CHUNK_BITS // width)),
        ]
    instructions = len(flat) * (WORD + PAIR * row_pairs) + len(placed) * (CHUNK + PAIR * chunk_pairs)
    return Pairs(width, bool(flat), bool(placed), n_pairs, tuple(tables), instructions)


def _chunk_starts(pairs: Sequence[int], width: int) -> list[int]:
    """Where chunks begin that hold all pairs."""
    starts: list[int] = []
    for pair in pairs:
        if not starts or pair >= starts[-1] + width:
            starts.append(pair)
    return starts


def _word(fields: dict[int, int], first: int, n_pairs: int, bits: int, blank: int) -> int:
    """Even neurons of the pairs in the lower half, odd ones in the upper."""
    even = sum(fields.get(2 * (first + k), blank) << (bits * k) for k in range(n_pairs))
    odd = sum(fields.get(2 * (first + k) + 1, blank) << (bits * (k + n_pairs)) for k in range(n_pairs))
    return even | odd


def _note(bits: int, what: str, n: int) -> str:
    stored = "1 where there is a synapse" if bits == 1 else f"weights of {bits} bits plus {1 << (bits - 1)}"
    return f"{stored}, {n} a word of a {what}, first those of even neurons"
