# SPDX-License-Identifier: Apache-2.0
"""N-TIDIGITS: spoken digits through a silicon cochlea of 64 channels, one HDF5 file (Anumula et al. 2018, doi 10.3389/fnins.2018.00023).

Only clips of one digit are read: 11 classes, as the papers on it classify. A clip's name ends in what is said (``z``, ``o``, ``1`` to
``9``) and begins with the speaker.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...edge.console import log
from ...edge.errors import DataError, UsageError
from .clips import ClipBuilder, check_events
from .corpus import EventCorpus
from .hdf5 import member, open_hdf5
from .splits import with_validation

__all__ = ["NTidigitsSettings", "load_n_tidigits"]

FILE = "n-tidigits.hdf5"
N_CHANNELS = 64
DIGITS = {"z": "zero", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven", "8": "eight", "9": "nine", "o": "oh"}
SAID = list(DIGITS)


@dataclass(frozen=True, kw_only=True)
class NTidigitsSettings:
    """How N-TIDIGITS is binned; the papers do not say.

    Attributes
    ----------
    n_timesteps : int, 1..1024
    timestep_ms : float, > 0
    payload_bits : int, 1..8
    speaker_fields : int, >= 1
        How many fields at the start of a clip's name, between hyphens, name the speaker.
    validation, validation_share, split_seed
        Which training clips validate, see ``splits.with_validation``.
    """

    n_timesteps: int = 250
    timestep_ms: float = 5.0
    payload_bits: int = 4
    speaker_fields: int = 2
    validation: str = "speakers"
    validation_share: float = 0.2
    split_seed: int = 0


def load_n_tidigits(folder: Path, settings: NTidigitsSettings) -> EventCorpus:
    """Read ``n-tidigits.hdf5``.

    Raises
    ------
    DataError
        A file that is missing, truncated or damaged, a name that tells no digits, addresses out of range, times that do not ascend.
    UsageError
        Settings that cannot be.
    """
    if settings.timestep_ms <= 0 or settings.speaker_fields < 1:
        raise UsageError(f"timestep_ms must be above 0 and speaker_fields at least 1, not {settings.timestep_ms:g} and {settings.speaker_fields}")
    builder = ClipBuilder(settings.n_timesteps, N_CHANNELS, settings.payload_bits)
    path = folder / FILE
    log.info("reading %s", path)
    labels: list[int] = []
    names: list[str] = []
    split: list[str] = []
    with open_hdf5(path, "n-tidigits") as file:
        for part in ("train", "test"):
            addresses, timestamps = (member(file, f"{part}_{what}", "Group") for what in ("addresses", "timestamps"))
            for raw in member(file, f"{part}_labels")[:].tolist():
                name = raw.decode() if isinstance(raw, bytes) else str(raw)
                said = name.rpartition("-")[2]
                if not said or set(said) - set(SAID):
                    raise DataError(
                        f"the name of a clip must end in digits after its last hyphen ({''.join(SAID)}), not {name!r}: {path} is damaged; fetch it again"
                    )
                if len(said) > 1:
                    continue  # connected digits
                at, channel = _clip(timestamps, name, path), _clip(addresses, name, path)
                channel = channel.astype(np.int64)
                check_events(at, channel, N_CHANNELS, f"clip {name} of {path}")
                builder.add(np.floor(at.astype(np.float64) * (1000 / settings.timestep_ms)).astype(np.int64), channel)
                labels.append(SAID.index(said))
                names.append(name)
                split.append(part)
    speakers = tuple("-".join(name.split("-")[: settings.speaker_fields]) for name in names)
    label = np.array(labels, np.int64)
    return EventCorpus(
        name="n-tidigits", clips=builder.finish(), labels=label, classes=tuple(DIGITS.values()), speakers=speakers,
        split=with_validation(split, speakers, label, by=settings.validation, share=settings.validation_share, seed=settings.split_seed),
        clip_ids=tuple(names), payload_bits=settings.payload_bits, timestep_ms=settings.timestep_ms,
        provenance={"parameters": asdict(settings), **builder.losses()},
    )  # fmt: skip


def _clip(group: Any, name: str, path: Path) -> np.ndarray:
    if name not in group:
        raise DataError(f"every label of N-TIDIGITS must have its events: {path} has no {name!r} in {group.name}; fetch it again")
    return np.asarray(group[name][:])
