# SPDX-License-Identifier: Apache-2.0
"""SHD and SSC, the spiking Heidelberg digits and speech commands: HDF5 of spike times and units (Cramer et al. 2020, arXiv 1910.07407).

Binned as in the reference implementations: ``digitize`` on ``linspace(0, seconds, n_timesteps)``, so timestep 0 is always empty.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ...edge.console import log
from ...edge.errors import DataError, UsageError
from .clips import ClipBuilder, check_events
from .corpus import EventCorpus, check_labels
from .hdf5 import member, open_hdf5
from .splits import with_validation

__all__ = ["N_UNITS", "ShdSettings", "SscSettings", "load_shd", "load_ssc"]

N_UNITS = 700
_BLOCK = 512  # clips read at once


@dataclass(frozen=True, kw_only=True)
class SscSettings:
    """How SSC is binned.

    Attributes
    ----------
    n_timesteps : int, 2..1024
    seconds : float
        Time of the last edge of the bins.
    group : int
        Neighboring units that share an input channel; divides 700.
    payload_bits : int, 1..8
        Spikes of a channel in a timestep are counted up to ``2**payload_bits - 1``.
    """

    n_timesteps: int = 100
    seconds: float = 1.4
    group: int = 1
    payload_bits: int = 4


@dataclass(frozen=True, kw_only=True)
class ShdSettings(SscSettings):
    """How SHD is binned, and which training clips validate: the corpus brings none for that.

    Attributes
    ----------
    validation : str
        ``speakers`` or ``clips``, see ``splits.with_validation``.
    validation_share : float
    split_seed : int
    """

    validation: str = "speakers"
    validation_share: float = 0.2
    split_seed: int = 0


def load_shd(folder: Path, settings: ShdSettings) -> EventCorpus:
    """Read ``shd_train.h5`` and ``shd_test.h5``; ``DataError`` and ``UsageError`` as ``load_ssc``."""
    return _load("shd", folder, settings, ("train", "test"))


def load_ssc(folder: Path, settings: SscSettings) -> EventCorpus:
    """Read ``ssc_train.h5``, ``ssc_valid.h5`` and ``ssc_test.h5``.

    Raises
    ------
    DataError
        A file that is missing, truncated or damaged, labels or units out of range, times that do not ascend.
    UsageError
        Settings that cannot be.
    """
    return _load("ssc", folder, settings, ("train", "valid", "test"))


def _load(name: str, folder: Path, settings: SscSettings, parts: tuple[str, ...]) -> EventCorpus:
    if settings.group < 1 or N_UNITS % settings.group:
        raise UsageError(f"group must divide {N_UNITS} units, not {settings.group}")
    if settings.seconds <= 0 or settings.n_timesteps < 2:
        raise UsageError(f"bins need seconds above 0 and n_timesteps of at least 2, not {settings.seconds:g} and {settings.n_timesteps}")
    builder = ClipBuilder(settings.n_timesteps, N_UNITS // settings.group, settings.payload_bits)
    labels: list[np.ndarray] = []
    speakers: list[str] = []
    split: list[str] = []
    clip_ids: list[str] = []
    classes: tuple[str, ...] = ()
    for part in parts:
        path = folder / f"{name}_{part}.h5"
        log.info("reading %s", path)
        found, said_by, words = _read(path, name, builder, settings)
        if classes and words != classes:
            raise DataError(f"all files of {name} must have the same classes in extra/keys: {path} has others; fetch the corpus again")
        classes = words
        labels.append(found)
        speakers += said_by
        split += [part] * len(found)
        clip_ids += [f"{path.stem}/{i}" for i in range(len(found))]
    every = np.concatenate(labels)
    if isinstance(settings, ShdSettings):
        chosen = with_validation(split, speakers, every, by=settings.validation, share=settings.validation_share, seed=settings.split_seed)
    else:
        chosen = tuple(split)
    return EventCorpus(
        name=name, clips=builder.finish(), labels=every, classes=classes, speakers=tuple(speakers), split=chosen, clip_ids=tuple(clip_ids),
        payload_bits=settings.payload_bits, timestep_ms=1000 * settings.seconds / (settings.n_timesteps - 1),
        provenance={"parameters": asdict(settings), **builder.losses()},
    )  # fmt: skip


def _read(path: Path, name: str, builder: ClipBuilder, settings: SscSettings) -> tuple[np.ndarray, list[str], tuple[str, ...]]:
    """Add the clips of a file to ``builder``; their labels, their speakers and the classes."""
    edges = np.linspace(0, settings.seconds, settings.n_timesteps)
    with open_hdf5(path, name) as file:
        times, units, labels = (member(file, key) for key in ("spikes/times", "spikes/units", "labels"))
        keys = member(file, "extra/keys")[:]
        words = tuple(key.decode() if isinstance(key, bytes) else str(key) for key in keys.tolist())
        label = np.asarray(labels[:]).astype(np.int64)
        check_labels(label, len(words), str(path))
        if not len(times) == len(units) == len(label):
            raise DataError(f"every clip must have times, units and a label: {path} has {len(times)}, {len(units)} and {len(label)}; fetch it again")
        who = file.get("extra/speaker")
        speakers = [""] * len(label) if who is None else [str(speaker) for speaker in who[:].tolist()]
        if len(speakers) != len(label):
            raise DataError(f"every clip must have a speaker: {path} has {len(speakers)} for {len(label)} clips; fetch it again")
        for first in range(0, len(label), _BLOCK):
            part = slice(first, first + _BLOCK)
            for i, (at, unit) in enumerate(zip(times[part], units[part], strict=True), first):
                seconds, unit = np.asarray(at, np.float64), np.asarray(unit).astype(np.int64)
                check_events(seconds, unit, N_UNITS, f"clip {i} of {path}")
                # the last edge closes the last bin: what comes at it or later is late
                builder.add(np.digitize(seconds, edges), unit // settings.group)
    return label, speakers, words
