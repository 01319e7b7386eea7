# SPDX-License-Identifier: Apache-2.0
"""Driving the input streams of a design under cocotb, and pausing either side of a stream.

Python wakes at handshakes only: a cycle in which nothing is offered or taken costs nothing.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from cocotb.triggers import RisingEdge

__all__ = ["StreamDriver", "never", "now_and_then", "pattern", "press_back"]


def never() -> Iterator[bool]:
    """No pauses."""
    return itertools.repeat(False)


def pattern(*pauses: int) -> Iterator[bool]:
    """Pauses in a repeated pattern: ``pattern(1, 1, 0)`` goes on every third cycle."""
    return (bool(pause) for pause in itertools.cycle(pauses))


def now_and_then(seed: int, share: float) -> Iterator[bool]:
    """Pauses by chance, with a probability of ``share`` each cycle."""
    chance = random.Random(seed)
    return (chance.random() < share for _ in itertools.count())


class StreamDriver:
    """Offer values on a stream, in order.

    Parameters
    ----------
    dut : handle
        Design that has ports ``<name>__valid``, ``<name>__ready`` and ``<name>__payload``, and a clock ``clk``.
    name : str
        The stream.
    pauses : iterator of bool
        One draw a clock cycle before each value: true leaves the stream idle in that cycle.
    """

    def __init__(self, dut: Any, name: str, pauses: Iterator[bool] | None = None) -> None:
        self._clock = dut.clk
        self._valid, self._ready, self._payload = (getattr(dut, f"{name}__{part}") for part in ("valid", "ready", "payload"))
        self._pauses = pauses
        self._valid.value = 0
        self._payload.value = 0

    async def send(self, value: int) -> None:
        """Offer one value until it is taken. Begins and ends right after a rising edge of the clock."""
        if self._pauses is not None and next(self._pauses):
            self._valid.value = 0
            await RisingEdge(self._clock)
            while next(self._pauses):
                await RisingEdge(self._clock)
        self._payload.value = value
        self._valid.value = 1
        await RisingEdge(self._clock)
        while self._ready.value != 1:  # a value sampled at the edge: what the design saw
            await RisingEdge(self._ready)
            await RisingEdge(self._clock)

    def rest(self) -> None:
        """Offer nothing from now on."""
        self._valid.value = 0


async def press_back(dut: Any, name: str, pauses: Iterator[bool]) -> None:
    """Take values of an output stream only in cycles without a pause, for ever."""
    ready = getattr(dut, f"{name}__ready")
    for pause in pauses:
        ready.value = not pause
        await RisingEdge(dut.clk)
