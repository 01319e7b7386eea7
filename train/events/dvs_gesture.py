# SPDX-License-Identifier: Apache-2.0
"""DVS128 Gesture: 11 gestures of 29 people before an event camera (Amir et al. 2017, CVPR), in the three forms in which it is passed around.

As published (``.aedat`` with labels and trial lists), as events cut into trials (``ibmGestureTrain/``, ``ibmGestureTest/``, the form of tonic) and as frames of
counts (``train/<class>/*.npz``, the form of SpikingJelly).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ...edge.console import log
from ...edge.errors import DataError, UsageError
from .aedat import read_aedat
from .clips import ClipBuilder, check_events
from .corpus import EventCorpus
from .splits import with_validation

__all__ = ["CLASSES", "DvsGestureSettings", "load_dvs_gesture"]

CLASSES = (
    "hand_clapping", "right_hand_wave", "left_hand_wave", "right_arm_clockwise", "right_arm_counter_clockwise", "left_arm_clockwise",
    "left_arm_counter_clockwise", "arm_roll", "air_drums", "air_guitar", "other_gestures",
)  # fmt: skip
SIDE = 128
LISTS = {"train": "trials_to_train.txt", "test": "trials_to_test.txt"}
HEADER = ["class", "startTime_usec", "endTime_usec"]
Clip = tuple[str, int, str, str]  # split, label, person, name; its events are in the builder


@dataclass(frozen=True, kw_only=True)
class DvsGestureSettings:
    """How DVS Gesture is binned: 4 x 4 pixels to one, as in the P4-512 networks of the papers.

    Attributes
    ----------
    n_timesteps : int, 1..1024
    timestep_ms : float, > 0
        Frames bring their own: there, only ``n_timesteps`` counts.
    pool : int
        Pixels to a side that share an input channel; divides 128.
    payload_bits : int, 1..8
    validation, validation_share, split_seed
        Which training clips validate, see ``splits.with_validation``; a speaker is a person here.
    """

    n_timesteps: int = 300
    timestep_ms: float = 20.0
    pool: int = 4
    payload_bits: int = 3
    validation: str = "speakers"
    validation_share: float = 0.2
    split_seed: int = 0


def load_dvs_gesture(folder: Path, settings: DvsGestureSettings) -> EventCorpus:
    """Read the corpus in whichever of its forms the folder has.

    Raises
    ------
    DataError
        No form, a trial list or label file that is missing, a file that is truncated, labels or pixels out of range, times that do not ascend.
    UsageError
        Settings that cannot be.
    """
    if settings.pool < 1 or SIDE % settings.pool:
        raise UsageError(f"pool must divide {SIDE} pixels, not {settings.pool}")
    if settings.timestep_ms <= 0:
        raise UsageError(f"timestep_ms must be above 0, not {settings.timestep_ms:g}")
    builder = ClipBuilder(settings.n_timesteps, 2 * (SIDE // settings.pool) ** 2, settings.payload_bits)
    forms = {"ibmGestureTrain": _trials, "train": _frames}
    form = next((read for name, read in forms.items() if (folder / name).is_dir()), _published)
    log.info("reading %s", folder)
    found = list(form(folder, builder, settings))
    split, labels, people, clip_ids = zip(*found, strict=True) if found else ((), (), (), ())
    label = np.array(labels, np.int64)
    return EventCorpus(
        name="dvs-gesture", clips=builder.finish(), labels=label, classes=CLASSES, speakers=people,
        split=with_validation(split, people, label, by=settings.validation, share=settings.validation_share, seed=settings.split_seed),
        clip_ids=clip_ids, payload_bits=settings.payload_bits, timestep_ms=settings.timestep_ms,
        provenance={"parameters": asdict(settings), "form": form.__name__.strip("_"), **builder.losses()},
    )  # fmt: skip


def _published(folder: Path, builder: ClipBuilder, settings: DvsGestureSettings) -> Iterator[Clip]:
    for split, listed in LISTS.items():
        try:
            names = (folder / listed).read_text(encoding="utf-8").split()
        except OSError:
            raise DataError(
                f"the corpus dvs-gesture must have {listed}, ibmGestureTrain/ or train/: {folder} has none; see `ormia data info dvs-gesture`"
            ) from None
        for name in names:
            path = folder / name
            events = read_aedat(path)
            channels = _channels(events.x, events.y, events.polarity, settings.pool, path)
            check_events(events.times, channels, builder.n_inputs, str(path))
            for number, (label, start, end) in enumerate(_read_labels(path.with_name(f"{path.stem}_labels.csv"))):
                inside = slice(*np.searchsorted(events.times, [start, end]))
                builder.add(((events.times[inside] - start) / (1000 * settings.timestep_ms)).astype(np.int64), channels[inside])
                yield split, label, path.stem.partition("_")[0], f"{path.stem}/{number}"


def _read_labels(path: Path) -> list[tuple[int, int, int]]:
    """Label (from 0), start and end in microseconds of each trial of a recording."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file) if row]
        trials = [(int(label) - 1, int(start), int(end)) for label, start, end in rows]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"the labels of a recording must be a CSV file of whole numbers, {','.join(HEADER)}: {path} is not ({reason}); fetch it again"
        ) from None
    if header != HEADER:
        raise DataError(f"the labels of a recording must begin with {','.join(HEADER)}, not {','.join(header)}: {path}; fetch it again")
    for line, (label, start, end) in enumerate(trials, 2):
        if not 0 <= label < len(CLASSES) or end <= start:
            raise DataError(
                f"a trial must have a class in 1..{len(CLASSES)} and end after its start, not {label + 1}, {start}..{end}: "
                f"line {line} of {path}; fetch it again"
            )
    return trials


def _trials(folder: Path, builder: ClipBuilder, settings: DvsGestureSettings) -> Iterator[Clip]:
    for split, inside in (("train", "ibmGestureTrain"), ("test", "ibmGestureTest")):
        for path in sorted((folder / inside).glob("*/*.npy")):
            events = _read_array(path)
            if not isinstance(events, np.ndarray) or events.ndim != 2 or events.shape[1] != 4:
                raise DataError(f"a trial must be an array of x, y, polarity and time in ms [n_events, 4]: {path} is not; fetch it again")
            x, y, polarity = events[:, :3].astype(np.int64).T
            channels, times = _channels(x, y, polarity, settings.pool, path), events[:, 3].astype(np.float64)
            check_events(times, channels, builder.n_inputs, str(path))
            begin = times[0] if len(times) else 0
            builder.add(((times - begin) / settings.timestep_ms).astype(np.int64), channels)
            yield split, _label(path.stem, path), path.parent.name.partition("_")[0], path.relative_to(folder).as_posix()


def _frames(folder: Path, builder: ClipBuilder, settings: DvsGestureSettings) -> Iterator[Clip]:
    for split in ("train", "test"):
        for path in sorted((folder / split).glob("*/*.npz")):
            archive = _read_array(path)
            frames = archive.get("frames") if isinstance(archive, dict) else None
            if frames is None or frames.ndim != 4 or frames.shape[1:] != (2, SIDE, SIDE) or not (frames == np.floor(frames)).all() or frames.min(initial=0) < 0:
                raise DataError(f"an archive of frames must hold `frames`, counts [n_frames, 2, {SIDE}, {SIDE}]: {path} does not; make it again")
            side = SIDE // settings.pool
            pooled = frames.astype(np.int64).reshape(len(frames), 2, side, settings.pool, side, settings.pool).sum((3, 5))
            builder.add_frames(pooled.reshape(len(frames), -1))
            yield split, _label(path.parent.name, path), path.stem.partition("_")[0], path.relative_to(folder).as_posix()


def _read_array(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(f"a file of arrays must be whole and hold no pickle: {path} is not ({error}); fetch it again") from None


def _label(text: str, path: Path) -> int:
    if not text.isdecimal() or int(text) >= len(CLASSES):
        raise DataError(f"a class must be in 0..{len(CLASSES) - 1}, not {text!r}, in the name of {path}; correct it or move the file away")
    return int(text)


def _channels(x: np.ndarray, y: np.ndarray, polarity: np.ndarray, pool: int, path: Path) -> np.ndarray:
    """Input channel of each event: polarity, then row, then column of the pooled pixels."""
    if len(outside := np.flatnonzero((x < 0) | (x >= SIDE) | (y < 0) | (y >= SIDE) | (polarity < 0) | (polarity > 1))):
        i = outside[0]
        raise DataError(
            f"an event must have pixels in 0..{SIDE - 1} and polarity 0 or 1, not ({x[i]}, {y[i]}), {polarity[i]}: event {i} of {path}; fetch it again"
        )
    side = SIDE // pool
    return (polarity * side + y // pool) * side + x // pool
