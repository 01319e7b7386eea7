# SPDX-License-Identifier: Apache-2.0
"""NIST SPHERE recordings. libsndfile reads the samples; what it lets pass is refused here (a wrong count of samples, compression it cannot undo)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile as sf

from ...edge.errors import DataError

__all__ = ["read_sphere"]

MAGIC = "NIST_1A"


def read_sphere(path: Path) -> tuple[np.ndarray, int]:
    """Read a mono recording of 16-bit samples, of either byte order.

    Returns
    -------
    samples : float64 [n_samples], -1..1
    rate : int, Hz

    Raises
    ------
    DataError
        If the file is no SPHERE, compressed (shorten, ulaw), not mono or truncated.
    """
    header = _read_header(path)
    coding = header.get("sample_coding", "pcm")
    if coding != "pcm":
        raise DataError(f"a SPHERE file must hold plain pcm, not {coding}: convert {path} with `sph2pipe -p -f sph` first")
    if header.get("channel_count", "1") != "1" or header.get("sample_n_bytes", "2") != "2":
        raise DataError(
            f"a SPHERE file must have one channel of 2 bytes, not {header.get('channel_count')} of {header.get('sample_n_bytes')}: {path}; convert it first"
        )
    try:
        samples, rate = sf.read(path, dtype="float64")
    except (sf.LibsndfileError, RuntimeError) as error:
        raise DataError(f"a SPHERE file must be whole: {path} is not ({str(error).strip().rstrip('.:')}); fetch it again") from None
    declared = header.get("sample_count", "")
    if declared != str(len(samples)) or not len(samples):
        raise DataError(
            f"a SPHERE file must hold the samples it declares, and some: {path} declares {declared or 'none'} and holds {len(samples)}; fetch it again"
        )
    return samples, int(rate)


def _read_header(path: Path) -> dict[str, str]:
    """Key to value, both as text; ``key -type value`` lines up to ``end_head``."""
    try:
        with path.open("rb") as file:
            magic, size = file.readline(64).decode("ascii").rstrip("\n"), file.readline(64).decode("ascii").strip()
            if magic != MAGIC or not size.isdecimal():
                raise ValueError(f"it does not begin with {MAGIC}")
            file.seek(0)
            lines = file.read(min(int(size), 1 << 16)).decode("ascii").split("\n")
    except OSError as error:
        raise DataError(f"a SPHERE file must be readable: {path} is not ({error.strerror}); correct its path or its permissions") from None
    except ValueError as error:
        raise DataError(f"a SPHERE file must begin with {MAGIC} and a header of text: {path} does not ({error}); fetch it again") from None
    if "end_head" not in (stripped := [line.strip() for line in lines]):
        raise DataError(f"a SPHERE file must have a header that ends in end_head: {path} has none; fetch it again")
    fields = [line.split(None, 2) for line in stripped[2 : stripped.index("end_head")] if line and not line.startswith(";")]
    return {row[0]: row[2] for row in fields if len(row) == 3}
