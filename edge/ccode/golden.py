# SPDX-License-Identifier: Apache-2.0
"""Golden vectors of the generated self test: clips, and what the reference makes of them.

Expected membranes and spikes are kept as one CRC-32 a timestep, so that a vector costs four bytes and not the whole state.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..backend import Clip
from ..detector import Detection, Detector
from ..events import events_from_payloads
from ..network import Network, Readout
from ..reference import Reference
from ..trace import Trace
from .codes import NO_KEYWORD
from .tables import TYPE_BYTES, Table, table

__all__ = ["GOLDEN_TIMESTEPS", "Golden", "crc_of_table", "crc_of_timestep", "detected_class", "golden_clips", "make_golden"]

GOLDEN_TIMESTEPS = 16
DENSITIES = (0.05, 0.25, 1.0)


@dataclass(frozen=True)
class Golden:
    """Clips of (channel, payload) events in ascending channels, flush included, their traces by the reference, a CRC-32 for each of all timesteps."""

    clips: tuple[Clip, ...]
    traces: tuple[Trace, ...]
    crcs: tuple[int, ...]

    @property
    def n_timesteps(self) -> int:
        """Timesteps of all clips."""
        return sum(len(clip) for clip in self.clips)

    def declarations(self) -> str:
        """The C text of the vectors."""
        at_t = [events for clip in self.clips for events in clip]
        tables = [
            table("golden_timesteps", [len(clip) for clip in self.clips], "timesteps of each clip"),
            table("golden_n_events", [len(events) for events in at_t], "events of each timestep"),
            table("golden_crc", self.crcs, "state after each timestep"),
            table("golden_labels", [trace.label for trace in self.traces], "label of each clip"),
        ]
        events = [f"{{{channel}u, {payload}}}" for events in at_t for channel, payload in events] or ["{0u, 0}"]
        lines = [", ".join(events[i : i + 12]) for i in range(0, len(events), 12)]
        scores = ["{" + ", ".join(str(int(s)) for s in trace.scores) + "}" for trace in self.traces]
        return "".join(
            [
                *(t.declaration() for t in tables),
                f"static const ormia_event golden_events[{len(events)}] = {{\n    " + ",\n    ".join(lines) + "\n};\n",
                f"static const int32_t golden_scores[{len(scores)}][{len(self.traces[0].scores)}] = {{\n    " + ",\n    ".join(scores) + "\n};\n",
            ]
        )


def golden_clips(net: Network, seed: int) -> list[Clip]:
    """One clip a density, seeded: from sparse to an event on every channel, payloads over the whole format."""
    rng = np.random.default_rng(seed)
    payload = net.formats.payload
    shape = (min(GOLDEN_TIMESTEPS, net.formats.max_timesteps), net.n_inputs)
    clips: list[Clip] = []
    for density in DENSITIES:
        values = rng.integers(payload.lo, payload.hi + 1, shape)
        clips.append(events_from_payloads(np.where(rng.random(shape) < density, values, 0)))
    return clips


def make_golden(net: Network, clips: Sequence[Clip], *, hears: bool = False, detects: bool = False) -> Golden:
    """Run ``clips`` on the reference, and on the detector where the C has one; where it hears, it heard nothing."""
    reference = Reference(net)
    traces = tuple(reference.run(clip) for clip in clips)
    flush: list[list[tuple[int, int]]] = [[]] * net.formats.flush
    silence = [0] * net.n_inputs if hears else []
    crcs = []
    for trace in traces:
        detector = Detector(net)
        emitted = (trace.raster if net.readout == Readout.SPIKES else trace.membranes)[:, net.readout_neuron]
        for membranes, raster, values in zip(trace.membranes, trace.raster, emitted.tolist(), strict=True):
            found = detected_class(detector.step(values))
            crcs.append(crc_of_timestep(membranes, np.flatnonzero(raster), silence, [*detector.scores, found] if detects else []))
    return Golden(tuple([*(sorted(events) for events in clip), *flush] for clip in clips), traces, tuple(crcs))


def detected_class(found: Detection | None) -> int:
    """As the C stores it."""
    return NO_KEYWORD if found is None else found.label


def crc_of_timestep(*numbers: Sequence[int] | np.ndarray) -> int:
    """CRC-32 over membranes, neurons that fired, payloads, smoothed scores and detected class of a timestep: four bytes each, least significant first."""
    return zlib.crc32(b"".join((np.asarray(part, np.int64) & 0xFFFFFFFF).astype("<u4").tobytes() for part in numbers))


def crc_of_table(crc: int, values: Table) -> int:
    """Continue a CRC-32 over the elements of a table, least significant byte first."""
    size = TYPE_BYTES[values.ctype]
    return zlib.crc32(b"".join((v & ((1 << 8 * size) - 1)).to_bytes(size, "little") for v in values.values), crc)
