# SPDX-License-Identifier: Apache-2.0
"""AEDAT 3.1, the container of jAER and cAER: polarity events of an event camera. Knows no corpus.

Source: https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-3.1.html. The libraries that are kept up read version 4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...edge.errors import DataError

__all__ = ["PolarityEvents", "read_aedat"]

MAGIC, END = b"#!AER-DAT3.1", b"#!END-HEADER\r\n"
POLARITY = 1  # type of packet
_PACKET = struct.Struct("<hhiiiiii")  # type, source, size of an event, offset of its time, overflows of time, capacity, number, valid events


@dataclass(frozen=True)
class PolarityEvents:
    """Events that the file marks valid, in the order of the file.

    Attributes
    ----------
    times : int64 [n_events], microseconds
    x, y : int64 [n_events]
    polarity : int64 [n_events], 1 is brighter
    """

    times: np.ndarray
    x: np.ndarray
    y: np.ndarray
    polarity: np.ndarray


def read_aedat(path: Path) -> PolarityEvents:
    """Read the polarity events of a file; packets of other types are skipped.

    Raises
    ------
    DataError
        If the file cannot be read, is no AEDAT 3.1 or ends within a packet.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"an AEDAT file must be readable: {path} is not ({error.strerror}); correct its path or its permissions") from None
    place = content.find(END)
    if not content.startswith(MAGIC) or place < 0:
        raise DataError(f"an AEDAT file must begin with {MAGIC.decode()} and a whole header: {path} does not; fetch it again")
    place += len(END)
    packets = []
    while place < len(content):
        if place + _PACKET.size > len(content):
            raise _cut(path, place)
        kind, _, size, time_offset, overflows, capacity, number, _ = _PACKET.unpack_from(content, place)
        body, place = place + _PACKET.size, place + _PACKET.size + capacity * size
        if kind == POLARITY and (size, time_offset) != (8, 4):
            raise DataError(f"a polarity event must have 8 bytes, its time in the last 4: {path} has {size} bytes, time at {time_offset}; fetch it again")
        if size < 0 or not 0 <= number <= capacity:
            raise DataError(f"a packet must hold 0..{capacity} events of a size, not {number} of {size} bytes: byte {body} of {path}; fetch it again")
        if place > len(content):
            raise _cut(path, body)
        if kind == POLARITY:
            words = np.frombuffer(content, "<u4", 2 * number, body).reshape(-1, 2).astype(np.int64)
            valid = words[:, 0] & 1 == 1
            packets.append(np.stack([words[:, 1] | overflows << 31, words[:, 0]])[:, valid])
    times, data = np.concatenate([np.zeros((2, 0), np.int64), *packets], axis=1)
    return PolarityEvents(times, data >> 17 & 0x7FFF, data >> 2 & 0x7FFF, data >> 1 & 1)


def _cut(path: Path, place: int) -> DataError:
    return DataError(f"an AEDAT file must hold whole packets: {path} ends within the one at byte {place}; fetch it again")
