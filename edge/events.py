# SPDX-License-Identifier: Apache-2.0
"""The two forms of a clip's input: lists of events a timestep, and a dense array of payloads (0 is no event)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["events_from_payloads", "payloads_from_events"]


def events_from_payloads(payloads: np.ndarray) -> list[list[tuple[int, int]]]:
    """Events of each timestep.

    Parameters
    ----------
    payloads : integer [n_timesteps, n_inputs]
        0 is no event.

    Examples
    --------
    >>> events_from_payloads(np.array([[0, 2], [0, 0]]))
    [[(1, 2)], []]
    """
    clip: list[list[tuple[int, int]]] = [[] for _ in range(len(payloads))]
    for t, channel in zip(*(axis.tolist() for axis in np.nonzero(payloads)), strict=True):
        clip[t].append((channel, int(payloads[t, channel])))
    return clip


def payloads_from_events(events: Sequence[Sequence[tuple[int, int]]], n_inputs: int) -> np.ndarray:
    """Dense int16 [n_timesteps, n_inputs] payloads of events that obey A7 of docs/semantics.md."""
    payloads = np.zeros((len(events), n_inputs), np.int16)
    for t, at_t in enumerate(events):
        for channel, payload in at_t:
            payloads[t, channel] = payload
    return payloads
