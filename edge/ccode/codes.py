# SPDX-License-Identifier: Apache-2.0
"""Numbers that generated C and Python share: return codes and the order of counters and branches."""

from __future__ import annotations

from enum import IntEnum

from ..coverage import BRANCHES
from ..errors import CheckFailed, Error, SelftestError, TablesError

__all__ = ["API_VERSION", "BRANCHES", "COUNTERS", "MEANINGS", "NO_KEYWORD", "Code", "refusal"]

API_VERSION = 2
"""Changes where ``ormia.h`` or a signature changes."""

NO_KEYWORD = (1 << 32) - 1
"""``ORMIA_NO_KEYWORD``: the label where there is no detection."""

COUNTERS = ("spikes", "synaptic_operations", "axon_activations", "neuron_updates")
"""C1 of docs/semantics.md, by the names of ``edge.trace.Counters``."""


class Code(IntEnum):
    """What every generated function returns, ``ORMIA_OK``, ``ORMIA_STEP`` and ``ORMIA_ERROR_...`` in C."""

    OK = 0
    STEP = 1
    NULL = 2
    SIZE = 3
    VERSION = 4
    STATE = 5
    LENGTH = 6
    CHANNEL = 7
    ORDER = 8
    PAYLOAD = 9
    TABLES = 10
    SELFTEST = 11

    @property
    def c_name(self) -> str:
        """Name in ``ormia.h``."""
        return f"ORMIA_{self.name}" if self <= Code.STEP else f"ORMIA_ERROR_{self.name}"


MEANINGS = {
    Code.OK: "done",
    Code.STEP: "done, and the samples completed a timestep",
    Code.NULL: "a pointer must not be null",
    Code.SIZE: "a size must be the one the header states: state, scores or values",
    Code.VERSION: "the caller must be compiled with the header of this very network",
    Code.STATE: "the state must have been initialised by the init of this network",
    Code.LENGTH: "there must be at most one event a channel, and a clip must not be longer than the header states",
    Code.CHANNEL: "a channel must be below the number of inputs",
    Code.ORDER: "channels must be strictly ascending",
    Code.PAYLOAD: "a payload must be in the declared format",
    Code.TABLES: "the tables in flash must be those that were generated",
    Code.SELFTEST: "every golden vector must give its recorded result",
}


def refusal(code: Code) -> type[Error]:
    """What Python raises where generated C should not have refused: the member of that name of its self test, else ``CheckFailed``."""
    return {Code.TABLES: TablesError, Code.SELFTEST: SelftestError}.get(code, CheckFailed)
