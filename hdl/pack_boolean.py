# SPDX-License-Identifier: Apache-2.0
"""Synapses without weights: lists and bitmaps whose one weight is a signed power of two, so that the walker shifts and negates and never multiplies.

An axon whose weights are all 1 or all -1 is one part. Any other weight is a sum of signed powers of two, no two of them neighbors: an axon then
becomes a part for each power that occurs, the first of each target counted as its synaptic operation, the others marked ``again``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..edge.cost import WORD_BITS

__all__ = ["boolean_pieces", "digits", "share_runs", "walk_clocks", "word_targets", "words_of"]


def digits(weight: int) -> list[int]:
    """Signed powers of two that make up a weight, smallest first; the fewest there are.

    Examples
    --------
    >>> digits(1), digits(-4), digits(5), digits(7), digits(-128)
    ([1], [-4], [1, 4], [-1, 8], [-128])
    """
    found, power = [], 1
    while weight:
        if weight & 1:
            sign = 2 - (weight & 3)
            found.append(sign * power)
            weight -= sign
        weight >>= 1
        power <<= 1
    return found


def boolean_pieces(synapses: Sequence[tuple[int, int]]) -> list[tuple[list[int], int, bool]]:
    """Parts of an axon: targets, weight, and whether parts before it counted them.

    Examples
    --------
    >>> boolean_pieces([(0, -1), (4, -1)]), boolean_pieces([(0, 3), (1, 4)])
    ([([0, 4], -1, False)], [([0], -1, False), ([1], 4, False), ([0], 4, True)])
    """
    found: dict[tuple[bool, int], list[int]] = {}
    for target, weight in synapses:
        for number, digit in enumerate(digits(weight)):
            found.setdefault((number > 0, digit), []).append(target)
    pieces = [(targets, digit, again) for (again, digit), targets in found.items()]
    return sorted(pieces, key=lambda piece: piece[2]) or [([], 1, False)]


def words_of(targets: Sequence[int]) -> list[int]:
    """Words from that of the first target to that of the last, the lowest neuron in the lowest bit."""
    words = [0] * (targets[-1] // WORD_BITS - targets[0] // WORD_BITS + 1) if targets else []
    for target in targets:
        words[target // WORD_BITS - targets[0] // WORD_BITS] |= 1 << target % WORD_BITS
    return words


def word_targets(pool: Sequence[int], start: int, first: int, clocks: int) -> Iterator[int]:
    """Neurons that a walk of so many clocks reaches: from word ``start`` of the pool on, which covers neurons from ``first * WORD_BITS`` on."""
    while clocks > 0:
        ones = [bit for bit in range(WORD_BITS) if pool[start] >> bit & 1]
        yield from (first * WORD_BITS + bit for bit in ones[:clocks])
        clocks -= max(1, len(ones))
        start, first = start + 1, first + 1


def walk_clocks(words: Sequence[int]) -> int:
    """Clocks of the walk over words: one for each bit that is 1, and one for a word without any."""
    return sum(max(1, word.bit_count()) for word in words)


def share_runs(runs: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """A pool of numbers below 2**16 in which every run lies, longest first so that shorter ones may lie within, and where each begins.

    Examples
    --------
    >>> share_runs([[2, 3], [1, 2, 3, 4], []])
    ([1, 2, 3, 4], [1, 0, 0])
    """
    pool, texts = "", ["".join(map(chr, run)) for run in runs]
    for text in sorted(texts, key=len, reverse=True):  # stable, so that images are reproducible
        if text not in pool:
            pool += text
    return [ord(number) for number in pool], [pool.index(text) for text in texts]
