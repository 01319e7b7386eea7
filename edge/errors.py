# SPDX-License-Identifier: Apache-2.0
"""The exception family of the package and the exit code each of its members means.

A message says what must hold, not the value found, where, and what to do. Checks raise; they never print. What generated C refuses, too, has a member of
its own, whose ``c_name`` is the return code there (docs/mcu.md).
"""

from __future__ import annotations

__all__ = [
    "ChannelError",
    "CheckFailed",
    "DataError",
    "Error",
    "LengthError",
    "MissingTool",
    "NetworkError",
    "NetworkFileError",
    "OrderError",
    "PayloadError",
    "SelftestError",
    "SizeError",
    "TablesError",
    "TargetError",
    "UsageError",
]


class Error(Exception):
    """Something the user can put right; shown as one line, never as a traceback."""

    exit_code = 1


class UsageError(Error):
    """A command line or a recipe that says something impossible."""

    exit_code = 2


class MissingTool(Error):
    """An extra, a compiler or a simulator that is not installed."""

    exit_code = 3


class CheckFailed(Error):
    """Two backends that must agree do not."""

    exit_code = 4


class NetworkError(Error):
    """Integers that are no network of docs/semantics.md."""


class NetworkFileError(NetworkError):
    """A file that is no readable ``.ormia`` file."""


class TargetError(Error):
    """A network that does not fit its target."""


class DataError(Error):
    """Audio, events or a corpus that cannot be used."""


class SizeError(DataError):
    """Arrays of another shape than the network says."""

    c_name = "ORMIA_ERROR_SIZE"


class LengthError(DataError):
    """More events in a timestep than inputs, or a clip longer than max_timesteps."""

    c_name = "ORMIA_ERROR_LENGTH"


class ChannelError(DataError):
    """An event on a channel that is none (A7)."""

    c_name = "ORMIA_ERROR_CHANNEL"


class OrderError(DataError):
    """Two events of one channel in a timestep (A7)."""

    c_name = "ORMIA_ERROR_ORDER"


class PayloadError(DataError):
    """A payload outside its format (A7)."""

    c_name = "ORMIA_ERROR_PAYLOAD"


class TablesError(CheckFailed):
    """Tables in generated C that are not those that were generated."""

    c_name = "ORMIA_ERROR_TABLES"


class SelftestError(CheckFailed):
    """A golden vector of generated C that gives another result."""

    c_name = "ORMIA_ERROR_SELFTEST"
