# SPDX-License-Identifier: Apache-2.0
"""Clips of a saved corpus as evaluation and verification read them: ``corpus.json`` beside ``clips.npy`` and ``labels.npy``.

Reads what ``train/corpora`` writes and imports nothing of it: a device that evaluates needs no training side.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import DataError, UsageError
from .frontend import FrontEnd
from .network import Network

__all__ = ["Clips", "front_end_of", "read_clips"]

FORMAT = 1


@dataclass(frozen=True)
class Clips:
    """Labelled audio of one split.

    Attributes
    ----------
    pcm : int16 [n_clips, n_samples]
        Audio at ``sample_rate``.
    labels : int64 [n_clips]
        Index into ``classes``.
    classes : tuple of str
        Names of the classes.
    ids : tuple of str [n_clips]
        Unique names.
    split, digest : str
        Which part of which corpus.
    sample_rate : int, Hz
    """

    pcm: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    split: str
    digest: str
    sample_rate: int

    def labels_of(self, net: Network) -> np.ndarray:
        """Labels as classes of ``net``, int64 [n_clips]; ``DataError`` where it lacks a class that occurs."""
        missing = [self.classes[i] for i in np.unique(self.labels) if self.classes[i] not in net.labels]
        if missing:
            raise DataError(
                f"every class of the corpus must be a label of the network: {', '.join(missing)} is not among {', '.join(net.labels)}; use another corpus"
            )
        place = np.array([net.labels.index(name) if name in net.labels else -1 for name in self.classes], np.int64)
        return place[self.labels]


def front_end_of(net: Network) -> FrontEnd:
    """The front end in the metadata of a network; ``DataError`` where it has none or another number of channels."""
    given = net.metadata.get("front_end")
    if given is None:
        raise DataError(f"a network that hears audio must carry a front end; {net.name!r} has none and takes events only")
    front_end = FrontEnd.from_dict(given)
    if front_end.n_inputs != net.n_inputs or front_end.payload_bits > net.formats.payload.hi.bit_length():
        raise DataError(
            f"the front end of network {net.name!r} must give its {net.n_inputs} channels payloads in {net.formats.payload}, "
            f"not {front_end.n_inputs} channels of {front_end.payload_bits} bits: export it again"
        )
    return front_end


def read_clips(directory: str | os.PathLike[str], split: str) -> Clips:
    """One split of a saved corpus; only its clips are read from the mapped file.

    Raises
    ------
    DataError
        For a folder that is no corpus, is damaged, or has no clip in the split.
    """
    folder = Path(directory)
    try:
        index = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
        if index["format"] != FORMAT:
            raise ValueError(f"its format is {index['format']}, this version reads {FORMAT}")
        pcm = np.load(folder / "clips.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / "labels.npy", allow_pickle=False)
        splits, ids, classes = (tuple(map(str, index[name])) for name in ("split", "clip_ids", "classes"))
        if pcm.dtype != np.int16 or pcm.ndim != 2 or labels.dtype != np.int64 or not len(pcm) == len(labels) == len(splits) == len(ids):
            raise ValueError("its arrays disagree")
        if len(labels) and not (0 <= int(labels.min()) and int(labels.max()) < len(classes)):
            raise ValueError("a label is outside its classes")
        sample_rate, digest = int(index["sample_rate"]), str(index["digest"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
        reason = getattr(error, "strerror", None) or f"{error}"
        raise DataError(f"a corpus must be a whole folder that `ormia data` wrote: {folder} is not ({reason}); make it again") from None
    if split not in splits:
        known = sorted(set(splits))
        raise UsageError(f"a split of this corpus must be one of {', '.join(known) or 'none'}, not {split!r}")
    chosen = np.flatnonzero(np.array(splits) == split)
    return Clips(np.array(pcm[chosen]), labels[chosen], classes, tuple(ids[i] for i in chosen), split, digest, sample_rate)
