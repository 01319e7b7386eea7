# SPDX-License-Identifier: Apache-2.0
"""Clips of events in bins of time, kept sparse: a corpus of 75,000 clips of 100 x 700 payloads would take 10 GB dense.

Knows neither corpora nor files. Events in: timesteps and input channels. Out: int16 payloads of as many clips as are asked for at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ...edge.errors import DataError, UsageError

__all__ = ["MAX_TIMESTEPS", "ClipBuilder", "EventClips", "check_events"]

MAX_TIMESTEPS = 1024
"""Longest clip that an exported network takes by default."""


@dataclass(frozen=True)
class EventClips:
    """Clips of one shape; a slice of them is dense.

    Parameters
    ----------
    start : int64 [n_stored + 1]
        Where the entries of each stored clip begin.
    cell : uint32 [n_entries]
        ``timestep * n_inputs + channel`` of each entry, once in a clip.
    payload : uint8 [n_entries], >= 1
        Events that fell into the cell, clipped to the width of payloads.
    n_timesteps, n_inputs : int
    order : int64 [n_clips]
        The stored clips that are meant, in this order.
    """

    start: np.ndarray
    cell: np.ndarray
    payload: np.ndarray
    n_timesteps: int
    n_inputs: int
    order: np.ndarray

    def __len__(self) -> int:
        return len(self.order)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the dense array: n_clips, n_timesteps, n_inputs."""
        return len(self.order), self.n_timesteps, self.n_inputs

    def __getitem__(self, part: slice) -> np.ndarray:
        """Payloads int16 [n_clips, n_timesteps, n_inputs] of a slice of the clips."""
        rows = self.order[part]
        dense = np.zeros((len(rows), self.n_timesteps * self.n_inputs), np.int16)
        for i, row in enumerate(rows.tolist()):
            entries = slice(self.start[row], self.start[row + 1])
            dense[i, self.cell[entries]] = self.payload[entries]
        return dense.reshape(-1, self.n_timesteps, self.n_inputs)

    def select(self, positions: np.ndarray) -> EventClips:
        """These clips, in this order; entries are shared, not copied."""
        return EventClips(self.start, self.cell, self.payload, self.n_timesteps, self.n_inputs, self.order[positions])


@dataclass
class ClipBuilder:
    """Collects clips one by one.

    Parameters
    ----------
    n_timesteps : int, 1..1024
    n_inputs : int, >= 1
    payload_bits : int, 1..8
        Events of one channel in one timestep are counted up to ``2**payload_bits - 1``.

    Attributes
    ----------
    late : int
        Events left out because they came before the first or after the last timestep.
    clipped : int
        Events that the width of payloads lost.
    events : int
        All events given.

    Raises
    ------
    UsageError
        If a number is out of its range.
    """

    n_timesteps: int
    n_inputs: int
    payload_bits: int
    late: int = field(default=0, init=False)
    clipped: int = field(default=0, init=False)
    events: int = field(default=0, init=False)
    _cells: list[np.ndarray] = field(default_factory=list, init=False)
    _payloads: list[np.ndarray] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        for name, (lo, hi) in {"n_timesteps": (1, MAX_TIMESTEPS), "payload_bits": (1, 8), "n_inputs": (1, 1 << 20)}.items():
            if not lo <= getattr(self, name) <= hi:
                raise UsageError(f"{name} of an event corpus must be in {lo}..{hi}, not {getattr(self, name)}")

    def add(self, timesteps: np.ndarray, channels: np.ndarray) -> None:
        """Add a clip of single events.

        Parameters
        ----------
        timesteps : integer [n_events]
            Outside 0..n_timesteps - 1 they are left out, and counted.
        channels : integer [n_events], 0..n_inputs - 1
        """
        inside = (timesteps >= 0) & (timesteps < self.n_timesteps)
        cells, counts = np.unique(timesteps[inside].astype(np.int64) * self.n_inputs + channels[inside], return_counts=True)
        self.late += len(inside) - int(inside.sum())
        self._keep(cells, counts)
        self.events += len(inside) - int(inside.sum())

    def add_frames(self, frames: np.ndarray) -> None:
        """Add a clip of counts, integer [n_frames, n_inputs], >= 0; frames beyond ``n_timesteps`` are left out, and counted."""
        late = int(frames[self.n_timesteps :].sum())
        self.late += late
        cells = np.flatnonzero(frames[: self.n_timesteps])
        self._keep(cells, frames.reshape(-1)[cells])
        self.events += late

    def finish(self) -> EventClips:
        """All clips added, in that order."""
        start = np.concatenate([[0], np.cumsum([len(cells) for cells in self._cells])]).astype(np.int64)
        cell, payload = (np.concatenate([np.zeros(0, kind), *parts]) for kind, parts in ((np.uint32, self._cells), (np.uint8, self._payloads)))
        return EventClips(start, cell, payload, self.n_timesteps, self.n_inputs, np.arange(len(start) - 1))

    def losses(self) -> dict[str, int]:
        """What binning lost, for the provenance of a corpus."""
        return {"events": self.events, "late_events": self.late, "clipped_events": self.clipped}

    def _keep(self, cells: np.ndarray, counts: np.ndarray) -> None:
        payloads = np.minimum(counts, (1 << self.payload_bits) - 1)
        self.events += int(counts.sum())
        self.clipped += int((counts - payloads).sum())
        self._cells.append(cells.astype(np.uint32))
        self._payloads.append(payloads.astype(np.uint8))


def check_events(times: np.ndarray, channels: np.ndarray, n_channels: int, where: str) -> None:
    """Hold the events of one clip against what every corpus promises.

    Parameters
    ----------
    times : real [n_events]
    channels : integer [n_events]
    n_channels : int
    where : str
        File and clip, for the message.

    Raises
    ------
    DataError
        If the two differ in length, a time is no number or comes before the one before it, or a channel is outside.
    """
    for fault in _faults(times, channels, n_channels):
        raise DataError(f"{fault}: {where} is damaged; fetch the corpus again")


def _faults(times: np.ndarray, channels: np.ndarray, n_channels: int) -> Iterator[str]:
    if len(times) != len(channels):
        yield f"every event must have a time and a channel, not {len(times)} times and {len(channels)} channels"
    elif not np.isfinite(times).all():
        yield "the times of events must be finite"
    elif len(late := np.flatnonzero(np.diff(times) < 0)):
        yield f"the times of events must ascend; event {late[0] + 1} comes before the one before it"
    elif len(outside := np.flatnonzero((channels < 0) | (channels >= n_channels))):
        yield f"the channel of an event must be in 0..{n_channels - 1}, not {channels[outside[0]]}"
