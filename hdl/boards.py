# SPDX-License-Identifier: Apache-2.0
"""Boards: platform, clock and pins around a core with its host link. Knows no tools (``hdl/build.py`` does)."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring

from ..edge.errors import UsageError
from ..edge.netfile import network_digest
from ..edge.network import Network
from ..edge.target import TARGETS, Target
from .config import CoreConfig
from .core import SpikingCore
from .link import Link, check_carried
from .uart import UartReceiver, UartTransmitter

__all__ = ["BOARDS", "Board", "BoardTop", "LinkedCore", "get_board"]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board that ``ormia build`` knows.

    Attributes
    ----------
    name : str
        What ``--board`` takes; also the name of its ``Target``.
    platform : str
        Class of amaranth-boards, ``module:name``.
    clock_hz : int
        Clock of the core: the board's oscillator.
    baud : int
        Bits a second of the host link; ``clock_hz / baud`` clock cycles a bit.
    """

    name: str
    platform: str
    clock_hz: int
    baud: int

    @property
    def target(self) -> Target:
        """What the device offers."""
        return TARGETS[self.name]

    @property
    def divisor(self) -> int:
        """Clock cycles a bit of the host link."""
        return round(self.clock_hz / self.baud)

    def make_platform(self) -> Any:
        """A fresh amaranth platform."""
        from importlib import import_module

        module, name = self.platform.split(":")
        return getattr(import_module(module), name)()


BOARDS = {
    board.name: board for board in (Board(name="icebreaker", platform="amaranth_boards.icebreaker:ICEBreakerPlatform", clock_hz=12_000_000, baud=1_000_000),)
}


def get_board(name: str) -> Board:
    """The board called ``name``."""
    if name in BOARDS:
        return BOARDS[name]
    near = get_close_matches(name, BOARDS, n=1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    raise UsageError(f"a board must be one of {', '.join(BOARDS)}, not {name!r}{meant}")


class LinkedCore(wiring.Component):
    """A core behind two serial wires.

    Parameters
    ----------
    network : Network
        What the core runs.
    config : CoreConfig
        How.
    divisor : int
        Clock cycles a bit.

    Members
    -------
    rx, tx : 1 bit
        The wires, seen from the core.
    busy, fault : Out(1)
        The core works; a byte was lost since power-up.
    """

    def __init__(self, network: Network, config: CoreConfig, divisor: int) -> None:
        self.network, self.divisor = network, divisor
        self.core = SpikingCore(network, config)
        super().__init__({"rx": wiring.In(1, init=1), "tx": wiring.Out(1, init=1), "busy": wiring.Out(1), "fault": wiring.Out(1)})

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        m.submodules.core = core = self.core
        m.submodules.link = link = Link(self.network, network_digest(self.network))
        m.submodules.receiver = receiver = UartReceiver(self.divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self.divisor)
        wiring.connect(m, receiver.o, link.i)
        wiring.connect(m, link.o, transmitter.i)
        wiring.connect(m, link.events, core.events)
        wiring.connect(m, core.emitted, link.emitted)
        wiring.connect(m, core.scores, link.scores)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            link.lost.eq(receiver.lost),
            link.label.eq(core.label),
            link.busy.eq(core.busy),
            core.reset_clip.eq(link.reset_clip),
            core.read_scores.eq(link.read_scores),
            self.busy.eq(core.busy),
            self.fault.eq(receiver.lost),
        ]
        return m


class BoardTop(Elaboratable):
    """``LinkedCore`` on the pins of a board: serial port ``uart`` 0, green light while busy, red light after a lost byte."""

    def __init__(self, network: Network, config: CoreConfig, board: Board) -> None:
        check_carried(network)
        self.linked = LinkedCore(network, config, board.divisor)

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        m.submodules.linked = linked = self.linked
        uart = platform.request("uart", 0)
        m.d.comb += [linked.rx.eq(uart.rx.i), uart.tx.o.eq(linked.tx)]
        m.d.comb += [platform.request("led_g", 0).o.eq(linked.busy), platform.request("led_r", 0).o.eq(linked.fault)]
        return m
