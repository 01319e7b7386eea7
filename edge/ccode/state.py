# SPDX-License-Identifier: Apache-2.0
"""The caller's state struct of the generated C: its fields, and their order without gaps. Knows nothing of what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .tables import TYPE_BYTES

__all__ = ["Field", "arrange"]

FIELD_BYTES = TYPE_BYTES | {"ormia_point": 4}
ALIGNMENT = 8  # of the state struct, so that counters of 64 bits may stand before it


@dataclass(frozen=True)
class Field:
    """An array (or, with empty ``shape``, one number) in the state struct."""

    name: str
    ctype: str
    shape: tuple[int, ...]
    note: str

    @property
    def n_bytes(self) -> int:
        """Size in the struct, which has no gaps."""
        return FIELD_BYTES[self.ctype] * int(np.prod(self.shape, initial=1))

    def declaration(self) -> str:
        """The C text."""
        dims = "".join(f"[{n}]" for n in self.shape)
        return f"    {self.ctype} {self.name}{dims}; /* {self.note} */"


def arrange(fields: Sequence[Field]) -> tuple[Field, ...]:
    """Widest types first so that no compiler puts gaps between them, and a filler at the end."""
    ordered = sorted(fields, key=lambda field: -FIELD_BYTES[field.ctype])
    gap = -sum(field.n_bytes for field in ordered) % ALIGNMENT
    if gap:
        ordered.append(Field("reserved", "uint8_t", (gap,), "fills the struct"))
    return tuple(ordered)
