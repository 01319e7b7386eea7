# SPDX-License-Identifier: Apache-2.0
"""HDF5 files with one sentence for whatever is wrong with them. Knows no corpus."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...edge.errors import DataError

__all__ = ["member", "open_hdf5"]


@contextmanager
def open_hdf5(path: Path, corpus: str) -> Iterator[Any]:
    """Open a file of ``corpus`` to read; damage that shows only while reading is told as well.

    Raises
    ------
    DataError
        If the file is missing, still packed, truncated or no HDF5.
    """
    import h5py

    if not path.is_file():
        packed = [p for p in (path.with_name(path.name + end) for end in (".gz", ".zip")) if p.is_file()]
        remedy = f"unpack {packed[0].name}" if packed else f"`ormia data info {corpus}` says where to get it"
        raise DataError(f"the corpus {corpus} must have the file {path.name}: {path.parent} lacks it; {remedy}")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError) as error:
        raise DataError(f"a file of {corpus} must be whole HDF5: {path} is not ({str(error).splitlines()[0]}); fetch it again") from None


def member(file: Any, name: str, kind: str = "Dataset") -> Any:
    """The data set (or ``Group``) ``name`` of an open file; ``DataError`` where it has none."""
    import h5py

    found = file.get(name)
    if not isinstance(found, getattr(h5py, kind)):
        raise DataError(
            f"{Path(file.filename).name} must hold the {'data set' if kind == 'Dataset' else 'group'} {name!r}: {file.filename} does not; fetch it again"
        )
    return found
