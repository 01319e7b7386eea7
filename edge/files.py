# SPDX-License-Identifier: Apache-2.0
"""Writing files whole or not at all. Knows nothing of what is in them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from .errors import DataError

__all__ = ["make_folder", "write_whole"]


def write_whole(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write beside the target, then rename: a reader sees the old file or the new one, never a part.

    Parameters
    ----------
    path : path
        File to write or replace; its folder must exist.
    content : bytes or str
        All of it; text is written as UTF-8.

    Raises
    ------
    DataError
        If the folder or the file cannot be written.
    """
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(beside, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except OSError as error:
        raise DataError(f"{target} must be writable, but {(error.strerror or str(error)).lower()}: name a file in an existing folder of yours") from error
    finally:
        with suppress(OSError):  # renamed, or never there
            beside.unlink()


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder, and those above it, unless it exists.

    Raises
    ------
    DataError
        If it cannot be a folder, or cannot be written.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "permission denied")
    except OSError as error:
        raise DataError(f"{folder} must be a folder that can be written, but: {(error.strerror or str(error)).lower()}") from error
    return folder
