# SPDX-License-Identifier: Apache-2.0
"""The host's end of ``hdl/link.py``: run clips on a core behind a byte stream, with the same calls on a serial port and on a simulation.

Knows the bytes and the network's widths, not how bytes travel: it is given two functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..edge.errors import CheckFailed, DataError
from ..edge.netfile import network_digest
from ..edge.network import Network
from ..edge.trace import check_events
from .link import DIGEST_BYTES, PROTOCOL, bytes_for
from .words import Words

__all__ = ["Host"]


class Host:
    """Talk to a core.

    Parameters
    ----------
    network : Network
        What the core must run.
    write : callable of bytes
        Send all bytes.
    read : callable of int
        Return exactly so many bytes, or fewer when none come any more.

    Examples
    --------
    With pyserial: ``port = serial.Serial("/dev/ttyUSB1", 1_000_000, timeout=1)``, then ``Host(network, port.write, port.read)``.
    """

    def __init__(self, network: Network, write: Callable[[bytes], object], read: Callable[[int], bytes]) -> None:
        self.network = network
        self._write, self._read = write, read
        words = Words(network)
        self._value_bytes, self._score_bytes = bytes_for(words.value_bits), bytes_for(words.score_bits)

    def check_identity(self) -> None:
        """Raise ``CheckFailed`` unless the core runs this network."""
        self._write(b"I")
        answer = self._answer(b"I", 1 + DIGEST_BYTES)
        if answer[0] != PROTOCOL:
            raise CheckFailed(f"the board must speak version {PROTOCOL} of the host link, not {answer[0]}: build its bitstream again")
        expected = bytes.fromhex(network_digest(self.network))[:DIGEST_BYTES]
        if answer[1:] != expected:
            raise CheckFailed(f"the board must run network {expected.hex()}, not {answer[1:].hex()}: build and load the bitstream of this network")

    def reset(self) -> None:
        """Start a clip (S9)."""
        self._write(b"R")
        self._answer(b"R", 0)

    def step(self, events: Sequence[tuple[int, int]]) -> list[int]:
        """Run one timestep and return the emitted value of each readout neuron (S8)."""
        check_events(self.network, [events])
        message = b"".join(b"E" + channel.to_bytes(2, "little") + (payload & 0xFF).to_bytes(1, "little") for channel, payload in events)
        self._write(message + b"T")
        return self._numbers(self._answer(b"T", self._value_bytes * len(self.network.readout_neuron)), self._value_bytes)

    def scores(self) -> tuple[list[int], int]:
        """Class scores since ``reset`` and the label (S8, S8.1)."""
        self._write(b"S")
        answer = self._answer(b"S", self._score_bytes * self.network.n_classes + 2)
        if answer[-1]:
            raise DataError("the link to the board must lose no byte, but its status says it did: check the baud rate, then load the bitstream again")
        return self._numbers(answer[:-2], self._score_bytes), answer[-2]

    def run(self, events: Sequence[Sequence[tuple[int, int]]]) -> tuple[list[int], int]:
        """Run one clip, flush included, and return its class scores and label."""
        check_events(self.network, events, whole_clip=True)
        self.reset()
        for at_t in [*events, *([[]] * self.network.formats.flush)]:
            self.step(at_t)
        return self.scores()

    def _answer(self, letter: bytes, length: int) -> bytes:
        got = self._read(1 + length)
        if len(got) != 1 + length or got[:1] != letter:
            raise DataError(f"the board must answer {letter.decode()} and {length} bytes, not {got!r}: check the port, the baud rate and the bitstream")
        return got[1:]

    @staticmethod
    def _numbers(data: bytes, width: int) -> list[int]:
        return [int.from_bytes(data[i : i + width], "little", signed=True) for i in range(0, len(data), width)]
