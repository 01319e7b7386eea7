# SPDX-License-Identifier: Apache-2.0
"""The branches of docs/semantics.md that a verification must reach, and how often it did."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["BRANCHES", "Coverage"]


@dataclass
class Coverage:
    """How often each branch was taken by one backend. Field order is the order of counters in C and gateware."""

    current_saturated_high: int = 0  # S2, exact sum above the format
    current_saturated_low: int = 0  # S2, below
    membrane_saturated_high: int = 0  # S3, above
    membrane_saturated_low: int = 0  # S3, below
    truncated_negative: int = 0  # D1 on a negative current or membrane, with a remainder
    refractory_hold: int = 0  # S4
    threshold_equal: int = 0  # S5 at equality
    reset_zero: int = 0  # S6
    reset_subtract: int = 0  # S6
    delayed_axon: int = 0  # A5, A6 with delay > 0
    payload_above_1: int = 0  # S1 with payload > 1
    payload_negative: int = 0  # S1 with payload < 0

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(**{name: getattr(self, name) + getattr(other, name) for name in BRANCHES})

    def as_dict(self) -> dict[str, int]:
        """Counts by branch name."""
        return {name: int(getattr(self, name)) for name in BRANCHES}


BRANCHES = tuple(f.name for f in fields(Coverage))
