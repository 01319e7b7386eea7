# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of docs/semantics.md (D1, D2) on Python integers, which cannot wrap.

Nothing here knows of neurons. The Numba runtime compiles twins of these functions in ``edge/runtime/kernels.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Format", "decay", "shift_toward_zero", "toward_zero"]


@dataclass(frozen=True)
class Format:
    """A range of integers of a given width.

    Parameters
    ----------
    bits : int, 1..64
        Width.
    signed : bool
        Two's complement if true, else unsigned.

    Examples
    --------
    >>> Format(4).lo, Format(4).hi, Format(4).saturate(9), Format(3, signed=False).hi
    (-8, 7, 7, 7)
    """

    bits: int
    signed: bool = True

    @property
    def lo(self) -> int:
        """Smallest number of the format."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def hi(self) -> int:
        """Largest number of the format."""
        return (1 << (self.bits - 1 if self.signed else self.bits)) - 1

    def saturate(self, x: int) -> int:
        """Nearest number of the format (D2 of docs/semantics.md)."""
        return max(self.lo, min(self.hi, x))

    def holds(self, x: int) -> bool:
        """Whether ``x`` is a number of the format."""
        return self.lo <= x <= self.hi

    def __str__(self) -> str:
        return f"{self.lo}..{self.hi}"


def toward_zero(numerator: int, denominator: int) -> int:
    """Divide by a positive integer, truncating toward zero.

    Examples
    --------
    >>> toward_zero(7, 4), toward_zero(-7, 4), toward_zero(-3, 4)
    (1, -1, 0)
    """
    quotient = abs(numerator) // denominator
    return quotient if numerator >= 0 else -quotient


def shift_toward_zero(x: int, shift: int) -> int:
    """``toward_zero(x / 2**shift)``.

    Examples
    --------
    >>> shift_toward_zero(-5, 1), shift_toward_zero(5, 1), shift_toward_zero(-5, 0)
    (-2, 2, -5)
    """
    return toward_zero(x, 1 << shift)


def decay(x: int, factor: int, decay_bits: int) -> int:
    """Decay ``x`` by ``factor / 2**decay_bits``, toward zero (D1 of docs/semantics.md).

    Parameters
    ----------
    x : int
        Any integer.
    factor : int, 0..2**decay_bits
        0 is no memory, ``2**decay_bits`` an integrator.
    decay_bits : int, 8..15
        Fraction bits of the factor.

    Examples
    --------
    >>> decay(100, 3840, 12), decay(-100, 3840, 12), decay(1, 4095, 12), decay(-7, 4096, 12)
    (93, -93, 0, -7)
    """
    return toward_zero(x * factor, 1 << decay_bits)
