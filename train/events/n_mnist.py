# SPDX-License-Identifier: Apache-2.0
"""N-MNIST: digits seen by a moving event camera, one file of 5-byte events a digit (Orchard et al. 2015, doi 10.3389/fnins.2015.00437)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ...edge.console import log
from ...edge.errors import DataError, UsageError
from .clips import ClipBuilder, check_events
from .corpus import EventCorpus
from .splits import with_validation

__all__ = ["NMnistSettings", "load_n_mnist", "read_events"]

SIDE = 34
_OVERFLOW_ROW, _OVERFLOW_US = 240, 1 << 13


@dataclass(frozen=True, kw_only=True)
class NMnistSettings:
    """How N-MNIST is binned: as in the code of TSSL-BP (3 ms a timestep, both polarities, at most one event).

    Attributes
    ----------
    n_timesteps : int, 1..1024
    timestep_ms : float, > 0
    payload_bits : int, 1..8
    validation_share : float, 0..1
        Of the training clips of each digit; the corpus does not say who wrote.
    split_seed : int
    """

    n_timesteps: int = 100
    timestep_ms: float = 3.0
    payload_bits: int = 1
    validation_share: float = 0.1
    split_seed: int = 0


def read_events(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Events of a file.

    An event is 40 bits, big-endian: x, y, polarity (1 is brighter), 23 bits of microseconds. A row of 240 is no event: all times after it are 2**13 us later.

    Returns
    -------
    times, x, y, polarity : int64 [n_events] each

    Raises
    ------
    DataError
        If the file cannot be read or does not hold whole events.
    """
    try:
        raw = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise DataError(f"a file of N-MNIST must be readable: {path} is not ({error.strerror}); correct its permissions") from None
    if len(raw) == 0 or len(raw) % 5:
        raise DataError(f"a file of N-MNIST must hold whole events of 5 bytes: {path} has {len(raw)} bytes; fetch it again")
    x, y, high, middle, low = raw.reshape(-1, 5).astype(np.int64).T
    overflow = y == _OVERFLOW_ROW
    times = ((high & 127) << 16 | middle << 8 | low) + _OVERFLOW_US * np.cumsum(overflow)
    return tuple(part[~overflow] for part in (times, x, y, high >> 7))  # type: ignore[return-value]


def load_n_mnist(folder: Path, settings: NMnistSettings) -> EventCorpus:
    """Read ``Train/<digit>/*.bin`` and ``Test/<digit>/*.bin``.

    Raises
    ------
    DataError
        A folder that is missing, a file that is truncated, pixels out of range, times that do not ascend.
    UsageError
        Settings that cannot be.
    """
    if settings.timestep_ms <= 0:
        raise UsageError(f"timestep_ms must be above 0, not {settings.timestep_ms:g}")
    builder = ClipBuilder(settings.n_timesteps, 2 * SIDE * SIDE, settings.payload_bits)
    labels: list[int] = []
    split: list[str] = []
    clip_ids: list[str] = []
    for part in ("Train", "Test"):
        if not (folder / part).is_dir():
            raise DataError(f"the corpus n-mnist must have the folder {part}: {folder} lacks it; unpack {part}.zip there (see `ormia data info n-mnist`)")
        log.info("reading %s", folder / part)
        for inside in sorted(p for p in (folder / part).iterdir() if p.is_dir()):
            if inside.name not in "0123456789" or len(inside.name) != 1:
                raise DataError(f"the folders of N-MNIST must be the digits 0 to 9, not {inside.name!r}: {inside}; move it away")
            for path in sorted(inside.glob("*.bin")):
                times, x, y, polarity = read_events(path)
                if len(outside := np.flatnonzero((x >= SIDE) | (y >= SIDE))):
                    i = outside[0]
                    raise DataError(f"the pixels of N-MNIST must be in 0..{SIDE - 1}, not ({x[i]}, {y[i]}): event {i} of {path}; fetch it again")
                channels = (polarity * SIDE + y) * SIDE + x
                check_events(times, channels, builder.n_inputs, str(path))
                builder.add((times / (1000 * settings.timestep_ms)).astype(np.int64), channels)
                labels.append(int(inside.name))
                split.append(part.lower())
                clip_ids.append(path.relative_to(folder).as_posix())
    label, nobody = np.array(labels, np.int64), ("",) * len(labels)
    return EventCorpus(
        name="n-mnist", clips=builder.finish(), labels=label, classes=tuple("0123456789"), speakers=nobody,
        split=with_validation(split, nobody, label, by="clips", share=settings.validation_share, seed=settings.split_seed),
        clip_ids=tuple(clip_ids), payload_bits=settings.payload_bits, timestep_ms=settings.timestep_ms,
        provenance={"parameters": asdict(settings), **builder.losses()},
    )  # fmt: skip
