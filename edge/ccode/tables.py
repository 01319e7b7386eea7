# SPDX-License-Identifier: Apache-2.0
"""Constant tables of the generated C: the narrowest type that holds the numbers, or no table where one number or a ramp says it all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

__all__ = ["TYPE_BYTES", "Column", "Table", "column", "literal", "narrowest", "table", "times"]

TYPE_BYTES = {"uint8_t": 1, "int8_t": 1, "uint16_t": 2, "int16_t": 2, "uint32_t": 4, "int32_t": 4}
LINE_WIDTH = 120


def narrowest(lo: int, hi: int) -> str:
    """The smallest C type that holds ``lo..hi``, unsigned where ``lo`` allows.

    Examples
    --------
    >>> narrowest(0, 255), narrowest(-1, 127), narrowest(0, 256), narrowest(-32769, 0)
    ('uint8_t', 'int8_t', 'uint16_t', 'int32_t')
    """
    for name, size in TYPE_BYTES.items():
        bits = 8 * size
        if name.startswith("u") and lo >= 0 and hi < 1 << bits:
            return name
        if not name.startswith("u") and -(1 << (bits - 1)) <= lo and hi < 1 << (bits - 1):
            return name
    raise ValueError(f"a table must fit 32 bits, not {lo}..{hi}")


def literal(value: int) -> str:
    """A number as a C expression that any operator may stand before."""
    return str(value) if value >= 0 else f"({value})"


@dataclass(frozen=True)
class Table:
    """A constant array in flash.

    Attributes
    ----------
    name, ctype, note : str
        Identifier, element type, and the comment above it.
    values : tuple of int
        Elements, at least one (C99 has no empty arrays).
    """

    name: str
    ctype: str
    values: tuple[int, ...]
    note: str

    @property
    def n_bytes(self) -> int:
        """Size in flash."""
        return TYPE_BYTES[self.ctype] * len(self.values)

    def declaration(self) -> str:
        """The C text."""
        suffix = "u" if self.ctype == "uint32_t" else ""  # beyond the largest int
        lines, line = [], "   "
        for value in self.values:
            item = f" {value}{suffix},"
            if len(line) + len(item) > LINE_WIDTH:
                lines.append(line)
                line = "   "
            line += item
        lines.append(line.rstrip(","))
        return f"/* {self.note} */\nstatic const {self.ctype} {self.name}[{len(self.values)}] = {{\n" + "\n".join(lines) + "\n};\n"


def table(name: str, values: Iterable[int] | np.ndarray, note: str) -> Table:
    """A table of the narrowest type; a lone 0 where ``values`` is empty."""
    numbers = tuple(int(v) for v in values) or (0,)
    return Table(name, narrowest(min(numbers), max(numbers)), numbers, note)


@dataclass(frozen=True)
class Column:
    """One number an index: a C expression, and the table it reads where it is not constant.

    Attributes
    ----------
    expression : str
        Value in C, of a type that promotes to a signed int unless 32 bits wide.
    constant : int or None
        The number, where it is the same for every index.
    table : Table or None
        The table, where there is one.
    """

    expression: str
    constant: int | None
    table: Table | None


def column(name: str, values: Iterable[int] | np.ndarray, index: str, note: str, *, ramp: bool = False) -> Column:
    """Say ``values[index]`` in the least flash.

    Parameters
    ----------
    name, note : str
        Identifier and comment of the table, if one is needed.
    values : integers
        At least one.
    index : str
        C expression of the index.
    ramp : bool
        Whether ``values[i] = values[0] + i`` may become an addition.
    """
    numbers = [int(v) for v in values]
    if len(set(numbers)) == 1:
        return Column(literal(numbers[0]), numbers[0], None)
    if ramp and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        return Column(f"({numbers[0]}u + {index})" if numbers[0] else index, None, None)
    found = table(name, numbers, note)
    if found.ctype == "uint32_t" and max(numbers) < 1 << 31:  # stays signed in arithmetic
        found = replace(found, ctype="int32_t")
    return Column(f"{name}[{index}]", None, found)


def times(factor: Column) -> str:
    """C text that multiplies by a column; nothing where it is 1."""
    return "" if factor.constant == 1 else f" * {factor.expression}"
