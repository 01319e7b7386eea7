# SPDX-License-Identifier: Apache-2.0
"""Watching a design under cocotb: words that move on a stream, and what a timestep of the core handed out.

Monitors only read. What they read means nothing to them; ``sim/scoreboard.py`` judges it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from cocotb.triggers import ClockCycles, RisingEdge, SimTimeoutError, with_timeout

from ..edge.network import Network
from ..hdl.words import Words

__all__ = ["PERIOD_NS", "Step", "StepMonitor", "StreamMonitor", "unpack_fields"]

PERIOD_NS = 10  # of the clock in simulations; says nothing of a real one


class StreamMonitor:
    """Receive the words that move on a stream ``<name>__valid``, ``<name>__ready``, ``<name>__payload`` of ``dut``."""

    def __init__(self, dut: Any, name: str) -> None:
        self._clock = dut.clk
        self._valid, self._ready, self._payload = (getattr(dut, f"{name}__{part}") for part in ("valid", "ready", "payload"))

    async def receive(self) -> int:
        """Wait for the next transfer; ends right after the rising edge of the clock that makes it."""
        await RisingEdge(self._clock)
        while not (self._valid.value == 1 and self._ready.value == 1):
            if self._valid.value != 1:
                await RisingEdge(self._valid)
            await RisingEdge(self._clock)
        return int(self._payload.value)


@dataclass(frozen=True)
class Step:
    """What one timestep of the core handed out.

    Attributes
    ----------
    membranes : int32 [n_neurons]
        As the trace port said.
    raster : bool [n_neurons]
        Which neurons fired, as the trace port said.
    emitted : int32 [n_readouts]
        Values of the emitted words by index.
    faults : tuple of str
        Neurons without an update or with two, emitted words out of order: sentences, none where all is well.
    """

    membranes: np.ndarray
    raster: np.ndarray
    emitted: np.ndarray
    faults: tuple[str, ...]


class StepMonitor:
    """Read the registers of the bench module (``sim/bench.py``) each time a timestep is done."""

    def __init__(self, dut: Any, network: Network) -> None:
        self._dut = dut
        self._formats = network.formats
        self._n_neurons, self._n_readouts = network.n_neurons, len(network.readout_neuron)
        self._value_bits = Words(network).value_bits
        # many times what the longest timestep takes, pauses of the bench included
        self._patience = 20_000 + 20 * (network.n_synapses + network.n_axons + network.n_sources)

    async def receive(self) -> Step:
        """Wait until the timestep under way is done; ends three clocks later."""
        dut = self._dut
        try:
            await with_timeout(RisingEdge(dut.finished), self._patience * PERIOD_NS, "ns")
        except SimTimeoutError:
            raise AssertionError(f"the core must finish a timestep, but did not in {self._patience} clocks") from None
        await ClockCycles(dut.clk, 2)  # at the first edge the registers take their values, at the second they can be read
        faults = []
        missing = np.flatnonzero(~unpack_bits(dut.updates.value, self._n_neurons))
        if len(missing):
            faults.append(f"the core must update every neuron once a timestep, but neuron {missing[0]} had no update")
        if dut.repeated.value != 0:
            faults.append("the core must update every neuron once a timestep, but one had two updates")
        if dut.emitted_wrong.value != 0 or not unpack_bits(dut.emitted_seen.value, self._n_readouts).all():
            faults.append("the core must hand out every readout value once, in declared order, the last one marked")
        emitted = unpack_fields(dut.emitted_values.value, self._n_readouts, self._value_bits, signed=self._value_bits > 1)
        membranes = unpack_fields(dut.membranes.value, self._n_neurons, self._formats.membrane_bits, signed=True)
        return Step(membranes, unpack_bits(dut.spikes.value, self._n_neurons), emitted, tuple(faults))


def unpack_bits(value: Any, count: int) -> np.ndarray:
    """The lowest ``count`` bits of a ``LogicArray``, lowest first, as bool [count]."""
    word = int(value).to_bytes((count + 7) // 8, "little")
    return np.unpackbits(np.frombuffer(word, np.uint8), bitorder="little", count=count).astype(bool)


def unpack_fields(value: Any, count: int, bits: int, *, signed: bool) -> np.ndarray:
    """``count`` equally wide numbers of a ``LogicArray`` or an integer, lowest first, as int32 [count]."""
    fields = unpack_bits(value, count * bits).reshape(count, bits).astype(np.int64)
    weights = 1 << np.arange(bits, dtype=np.int64)
    if signed:
        weights[-1] = -weights[-1]
    return (fields @ weights).astype(np.int32)
