# SPDX-License-Identifier: Apache-2.0
"""A core behind two serial wires gives the integers of the reference, byte by byte."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest
from amaranth.sim import Simulator
from build import FULL, axon, network, neuron, silent
from ormia.edge.errors import CheckFailed, DataError, TargetError
from ormia.edge.network import Network, Readout
from ormia.edge.reference import Reference
from ormia.hdl.boards import LinkedCore
from ormia.hdl.config import CoreConfig
from ormia.hdl.host import Host
from ormia.hdl.link import check_carried

DIVISOR = 4


def two_classes(**changes) -> Network:
    """Three inputs, three neurons; two of them are read out with membranes of either sign."""
    neurons = [neuron(20, refractory=1), silent(membrane_decay=FULL - 300, bias=-3), silent(membrane_decay=FULL - 9)]
    axons = [axon(0, {0: 9, 1: -7}), axon(1, {0: 3, 2: 100}), axon(2, {1: -128, 2: 5}), axon(3, {0: -4, 1: 60, 2: -90})]
    given = {"n_inputs": 3, "readout_neuron": [2, 1], "readout_class": [0, 1], "labels": ("yes", "no")}
    return network(neurons, axons, **(given | changes))


class Wires:
    """The host's bytes in and out of a simulated ``LinkedCore``; time passes while the host reads."""

    def __init__(self, net: Network) -> None:
        self.linked = LinkedCore(net, CoreConfig(), DIVISOR)
        self.levels: deque[int] = deque()  # of the wire to the core, one a bit
        self.received: list[int] = []
        self.closed = False
        self.simulator = Simulator(self.linked)
        self.simulator.add_clock(1e-6)
        self.simulator.add_testbench(self._send)
        self.simulator.add_testbench(self._receive)

    async def _send(self, ctx):
        while not self.closed:
            ctx.set(self.linked.rx, self.levels.popleft() if self.levels else 1)
            await ctx.tick().repeat(DIVISOR)

    async def _receive(self, ctx):
        while not self.closed:
            await ctx.tick()
            if ctx.get(self.linked.tx) == 0:
                await ctx.tick().repeat(DIVISOR // 2)
                byte = 0
                for i in range(8):
                    await ctx.tick().repeat(DIVISOR)
                    byte |= ctx.get(self.linked.tx) << i
                await ctx.tick().repeat(DIVISOR)
                self.received.append(byte)

    def write(self, data: bytes) -> None:
        for byte in data:
            self.levels.extend([0, *((byte >> i) & 1 for i in range(8)), 1])

    def read(self, count: int) -> bytes:
        for _ in range(200_000):
            if len(self.received) >= count:
                break
            self.simulator.advance()
        answer, self.received = self.received[:count], self.received[count:]
        return bytes(answer)

    def close(self) -> None:
        self.closed = True
        self.simulator.run()  # ends the test benches


@pytest.fixture
def wired():
    opened: list[Wires] = []

    def wire(net: Network) -> Wires:
        opened.append(Wires(net))
        return opened[-1]

    yield wire
    for wires in opened:
        wires.close()


@pytest.mark.parametrize(
    "changes",
    [{}, {"readout": Readout.LAST, "flush": 2}, {"readout": Readout.SPIKES, "readout_neuron": [0], "readout_class": [0], "labels": ("only",)}],
    ids=["sum", "last with flush", "spikes"],
)
def test_clips_over_the_wires_equal_the_reference(wired, changes):
    net = two_classes(**changes)
    wires = wired(net)
    host = Host(net, wires.write, wires.read)
    host.check_identity()
    chance = np.random.default_rng(5)
    for _ in range(2):
        clip = [[(c, int(chance.integers(1, 16))) for c in range(3) if chance.random() < 0.6] for _ in range(6)]
        reference = Reference(net)
        expected = reference.run(clip)
        assert host.run(clip) == (expected.scores.tolist(), expected.label)
    reference.reset()
    host.reset()
    for events in clip:
        reference.step(events)
        assert host.step(events) == reference.emitted()


def test_another_network_s_bitstream_is_found_out(wired):
    wires = wired(two_classes())
    with pytest.raises(CheckFailed, match=r"the board must run network [0-9a-f]{16}, not [0-9a-f]{16}"):
        Host(two_classes(name="other"), wires.write, wires.read).check_identity()


def test_a_byte_that_is_no_message_shows_in_the_status(wired):
    net = two_classes()
    wires = wired(net)
    host = Host(net, wires.write, wires.read)
    host.reset()
    wires.write(b"?")
    with pytest.raises(DataError, match="must lose no byte"):
        host.scores()


def test_a_silent_board_is_reported():
    host = Host(two_classes(), lambda data: None, lambda count: b"")
    with pytest.raises(DataError, match="the board must answer R and 0 bytes, not b''"):
        host.reset()


def test_too_many_classes_are_refused():
    with pytest.raises(TargetError, match="at most 256 classes and 65536 input channels, not 257 and 1"):
        check_carried(SimpleNamespace(n_classes=257, n_inputs=1))
