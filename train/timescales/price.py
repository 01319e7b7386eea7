# SPDX-License-Identifier: Apache-2.0
"""What timescales cost on the core: bits of its memories, the history of past events apart, and clocks of a timestep on given clips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...edge.cost import core_memories, index_bits
from ...edge.cycles import CycleModel
from ...edge.errors import TargetError
from ...edge.events import events_from_payloads
from ...edge.network import Network
from ...edge.runtime import Runtime

__all__ = ["HISTORY", "Price", "check_history", "history_bits", "price_of"]

HISTORY = ("event queue", "first events")  # of ``edge.cost.core_memories``


@dataclass(frozen=True)
class Price:
    """Of a network on the core.

    Attributes
    ----------
    memory_bits : int
        All memories, in the smaller of both packings.
    history_bits : int
        Of these, past events (a queue where there are no delays) and where their timesteps begin.
    kinds : int
        Neuron kinds.
    max_delay : int
        Timesteps.
    cycles : float
        Clocks of a timestep, mean over the clips.
    """

    memory_bits: int
    history_bits: int
    kinds: int
    max_delay: int
    cycles: float


def price_of(net: Network, clips: np.ndarray) -> Price:
    """Price of a network.

    Parameters
    ----------
    net : Network
    clips : int16 [n_clips, n_timesteps, n_inputs]
        Whose activity is counted.
    """
    plain, shared = core_memories(net), core_memories(net, shared=True)
    runtime, model = Runtime(net), CycleModel.of(net)
    cycles = np.concatenate([model.clip(events_from_payloads(clip), runtime.trace(clip).raster) for clip in clips])
    memory = min(sum(m.size for m in plain), sum(m.size for m in shared))
    past = sum(m.size for m in plain if m.name in HISTORY)
    return Price(memory, past, net.n_kinds, net.max_delay, float(cycles.mean()))


def history_bits(max_delay: int, n_sources: int, n_queued: int, payload_bits: int) -> int:
    """Bits of the memory of past events, as ``edge.cost.core_memories`` counts them for a network.

    Parameters
    ----------
    max_delay : int
        Longest delay in timesteps.
    n_sources : int
        Channels and neurons that have axons.
    n_queued : int
        Of these, neurons: without delays only their spikes wait.
    payload_bits : int
    """
    payload = payload_bits if payload_bits > 1 else 0
    rows = 1 << (max(2, (max_delay + 1) * max(1, n_sources) if max_delay else n_queued) - 1).bit_length()
    first = (1 << max_delay.bit_length()) * index_bits(rows) if max_delay else 0
    return rows * (index_bits(n_sources) + payload) + first


def check_history(max_delay: int, n_sources: int, n_queued: int, payload_bits: int, limit: int) -> None:
    """Refuse a delay whose events a memory of ``limit`` bits cannot hold.

    Raises
    ------
    TargetError
        By how many bits and timesteps.
    """
    needed = history_bits(max_delay, n_sources, n_queued, payload_bits)
    if needed <= limit:
        return
    fits = [delay for delay in range(max_delay) if history_bits(delay, n_sources, n_queued, payload_bits) <= limit]
    what = f"delays of at most {fits[-1]} timesteps fit, {max_delay - fits[-1]} fewer" if fits else "not even the events of one timestep fit"
    raise TargetError(
        f"the history of events must take at most {limit} bits; a delay of {max_delay} timesteps of {n_sources} sources takes {needed}, "
        f"{needed - limit} too many: {what}"
    )
