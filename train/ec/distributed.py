# SPDX-License-Identifier: Apache-2.0
"""Workers that share seeds and figures and nothing else: each draws its individuals itself.

Under ``torchrun`` the group is ``torch.distributed`` with gloo; otherwise there is one worker and torch is not loaded.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np

from ...edge.errors import Error

__all__ = ["Workers", "open_workers"]


class Workers:
    """A group of processes that run one search.

    Parameters
    ----------
    rank, size : int
        This worker, and how many there are.
    group : module, optional
        ``torch.distributed``, initialised.
    """

    def __init__(self, rank: int = 0, size: int = 1, group: Any = None) -> None:
        self.rank, self.size, self._group = rank, size, group

    def mine(self, n: int) -> np.ndarray:
        """Numbers below ``n`` that this worker takes, int64."""
        return np.arange(self.rank, n, self.size)

    def gather(self, part: np.ndarray, n: int) -> np.ndarray:
        """Rows of all workers in the order of their numbers.

        Parameters
        ----------
        part : float64 [len(mine(n)), ...]
            Rows of this worker.
        n : int
            Rows of all.

        Returns
        -------
        float64 [n, ...]
            Equal on every worker.
        """
        if self._group is None:
            return np.asarray(part)
        import torch

        longest = -(-n // self.size)
        padded = np.zeros((longest, *part.shape[1:]))
        padded[: len(part)] = part
        received = [torch.zeros(padded.shape, dtype=torch.float64) for _ in range(self.size)]
        self._group.all_gather(received, torch.from_numpy(padded))
        whole = np.zeros((n, *part.shape[1:]))
        for rank, rows in enumerate(received):
            whole[rank :: self.size] = rows.numpy()[: len(range(rank, n, self.size))]
        return whole


@contextmanager
def open_workers() -> Iterator[Workers]:
    """The group this process is in.

    Raises
    ------
    Error
        Within the block, if another worker is gone.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Workers()
        return
    import torch.distributed as group

    lost = "every worker must run to the end, but another one has stopped: the last whole generation is on disk; the same command goes on from there"

    def stop(number: int, frame: FrameType | None) -> None:
        raise Error(lost)

    before = signal.signal(signal.SIGTERM, stop)  # what torchrun sends the others when one is gone
    group.init_process_group("gloo")
    try:
        yield Workers(int(os.environ["RANK"]), size, group)
    except RuntimeError as error:  # gloo's word for a closed connection
        raise Error(lost) from error
    finally:
        signal.signal(signal.SIGTERM, before)
        group.destroy_process_group()
