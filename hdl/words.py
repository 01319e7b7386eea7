# SPDX-License-Identifier: Apache-2.0
"""Bit layouts of stream words and memory rows (docs/core.md): as Amaranth layouts, and as plain integers for benches and drivers.

Knows no hardware block. The least significant field comes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from amaranth.hdl import Const, Value, signed, unsigned
from amaranth.lib import data

from ..edge.network import Network, Readout
from ..edge.validation import score_bound

__all__ = ["Table", "Words", "index_bits", "signed_field"]


def index_bits(count: int) -> int:
    """Bits of an index below ``count``, at least 1.

    Examples
    --------
    >>> index_bits(0), index_bits(2), index_bits(3), index_bits(256)
    (1, 1, 2, 8)
    """
    return max(1, (count - 1).bit_length()) if count else 1


def signed_field(word: int, low: int, bits: int) -> int:
    """The two's complement number in bits ``low .. low + bits - 1`` of ``word``.

    Examples
    --------
    >>> signed_field(0b1110, 1, 3), signed_field(0b0110, 1, 3)
    (-1, 3)
    """
    value = word >> low & ((1 << bits) - 1)
    return value - (1 << bits) if value >> (bits - 1) else value


@dataclass(frozen=True)
class Words:
    """Words of the three streams of ``SpikingCore``.

    Parameters
    ----------
    network : Network
        What the core runs.
    """

    network: Network

    @property
    def channel_bits(self) -> int:
        """Width of ``channel``."""
        return index_bits(self.network.n_inputs)

    @property
    def value_bits(self) -> int:
        """Width of an emitted ``value``: a membrane, or one bit in mode SPIKES."""
        return 1 if self.network.readout == Readout.SPIKES else self.network.formats.membrane_bits

    @property
    def score_bits(self) -> int:
        """Width that the proof P2 needs, never more than the declared one."""
        return score_bound(self.network).bit_length() + 1

    @property
    def event_layout(self) -> data.StructLayout:
        """Word of ``events``."""
        bits = self.network.formats.payload_bits
        payload = signed(bits) if self.network.formats.payload_signed else unsigned(bits)
        return data.StructLayout({"payload": payload, "channel": self.channel_bits, "last": 1})

    @property
    def emitted_layout(self) -> data.StructLayout:
        """Word of ``emitted``."""
        value = unsigned(1) if self.network.readout == Readout.SPIKES else signed(self.value_bits)
        return data.StructLayout({"value": value, "index": index_bits(len(self.network.readout_neuron)), "last": 1})

    @property
    def score_layout(self) -> data.StructLayout:
        """Word of ``scores``."""
        return data.StructLayout({"value": signed(self.score_bits), "index": index_bits(self.network.n_classes), "last": 1})

    def event(self, channel: int, payload: int) -> int:
        """Integer of an event word."""
        bits = self.network.formats.payload_bits
        return payload & ((1 << bits) - 1) | channel << bits

    @property
    def end_of_step(self) -> int:
        """Integer of the word that ends a timestep's input."""
        return 1 << (self.network.formats.payload_bits + self.channel_bits)

    def emitted(self, word: int) -> tuple[int, int, bool]:
        """(value, index, last) of an emitted word."""
        value = word & 1 if self.network.readout == Readout.SPIKES else signed_field(word, 0, self.value_bits)
        return value, *self._tail(word >> self.value_bits, len(self.network.readout_neuron))

    def score(self, word: int) -> tuple[int, int, bool]:
        """(value, class, last) of a score word."""
        return signed_field(word, 0, self.score_bits), *self._tail(word >> self.score_bits, self.network.n_classes)

    @staticmethod
    def _tail(rest: int, count: int) -> tuple[int, bool]:
        bits = index_bits(count)
        return rest & ((1 << bits) - 1), bool(rest >> bits)


class Table:
    """Rows of a read-only memory that stores only what varies.

    A column with one value in all rows becomes a constant; the others get the narrowest field that holds them.

    Parameters
    ----------
    columns : mapping of str to sequence of int or None
        Equally long columns. None: any value will do there.

    Attributes
    ----------
    layout : StructLayout
        Fields of one row; size 0 if nothing varies.
    rows : list of dict
        Field values of each row.
    constants : dict
        Columns that are not stored.

    Examples
    --------
    >>> t = Table({"a": [1, 5, None], "b": [-2, -2, None], "c": [-1, 0, 3]})
    >>> t.layout.size, t.constants, t.rows[2], t.integers()
    (6, {'b': -2}, {'a': 0, 'c': 3}, [57, 5, 24])
    """

    def __init__(self, columns: Mapping[str, Sequence[int | None]]) -> None:
        self.constants: dict[str, int] = {}
        stored = {}
        for name, column in columns.items():
            values = {int(v) for v in column if v is not None}
            if len(values) <= 1:
                self.constants[name] = values.pop() if values else 0
            elif min(values) < 0:
                stored[name] = signed(max((v if v >= 0 else ~v).bit_length() for v in values) + 1)
            else:
                stored[name] = unsigned(max(values).bit_length())
        self.layout = data.StructLayout(stored)
        depth = len(next(iter(columns.values()))) if columns else 0
        self.rows = [{name: int(columns[name][i] or 0) for name in stored} for i in range(depth)]

    def integers(self) -> list[int]:
        """Each row as an unsigned integer, as the memory holds it."""
        fields = [(name, field.offset, (1 << field.width) - 1) for name, field in self.layout]
        return [sum((row[name] & mask) << offset for name, offset, mask in fields) for row in self.rows]

    def field(self, row: data.View | None, name: str) -> Value:
        """Column ``name`` of a row read from the memory (None where nothing is stored)."""
        if name in self.constants:
            value = self.constants[name]
            return Const(value, signed(value.bit_length() + 1) if value < 0 else unsigned(max(1, value.bit_length())))
        return row[name]
