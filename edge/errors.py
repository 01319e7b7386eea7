# SPDX-License-Identifier: Apache-2.0
"""The exception family of the package and the exit code each of its members means.

A message says what must hold, not the value found, where, and what to do. Checks raise; they never print.
"""

from __future__ import annotations

__all__ = ["CheckFailed", "DataError", "Error", "MissingTool", "NetworkError", "NetworkFileError", "TargetError", "UsageError"]


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
