# SPDX-License-Identifier: Apache-2.0
"""Golden audio of the generated self test: sound that C makes itself from a few numbers, and what the references make of it.

Knows the front end by its reference and the detector by ``edge/detector.py``. So a vector costs four bytes a timestep and no recording.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..detector import Detector
from ..events import events_from_payloads
from ..frontend import FrontEnd
from ..frontend.reference import ReferenceFrontEnd
from ..network import Network
from ..reference import Reference
from .golden import crc_of_timestep, detected_class
from .tables import table

__all__ = ["PIECE_SAMPLES", "SEGMENT_SAMPLES", "GoldenAudio", "golden_samples", "make_golden_audio"]

SEGMENT_SAMPLES = 600  # not a multiple of a hop
PIECE_SAMPLES = 97  # pushed at a time
# pitch in 1/65536 of the sample rate, then loudness of tone and noise in 1/256, together at most 256
SEGMENTS = (
    (0, 0, 0), (0, 0, 1), (300, 200, 3), (0, 0, 256), (32768, 256, 0), (0, 0, 1),
    (1500, 25, 5), (7000, 100, 10), (90, 256, 0), (0, 0, 0), (500, 2, 1), (2500, 150, 60),
)  # fmt: skip


@dataclass(frozen=True)
class GoldenAudio:
    """CRC-32 of the state after each timestep of the golden samples."""

    crcs: tuple[int, ...]

    def declarations(self) -> str:
        """The C text."""
        columns = zip(("pitch", "tone", "noise"), zip(*SEGMENTS, strict=True), strict=True)
        tables = [table(f"golden_{name}", values, f"{name} of each {SEGMENT_SAMPLES} samples") for name, values in columns]
        return "".join(t.declaration() for t in [*tables, table("golden_heard_crc", self.crcs, "state after each timestep of audio")])


def golden_samples() -> np.ndarray:
    """int16 [n_samples]: silence, saw teeth and noise of every loudness, by segments."""
    samples, noise = [], 1
    for i in range(SEGMENT_SAMPLES * len(SEGMENTS)):
        pitch, tone, hiss = SEGMENTS[i // SEGMENT_SAMPLES]
        noise = (noise * 1664525 + 1013904223) % 2**32  # Numerical Recipes' quick generator
        exact = (i * pitch % 65536 - 32768) * tone + (noise // 65536 - 32768) * hiss
        samples.append(exact // 256 if exact >= 0 else -(-exact // 256))  # as C divides
    return np.array(samples, np.int16)


def make_golden_audio(net: Network, front_end: FrontEnd) -> GoldenAudio:
    """Run the golden samples through the references of front end and network, and the detector, as a stream."""
    payloads = np.array(ReferenceFrontEnd(front_end).push(golden_samples().tolist()), np.int16)
    reference, detector, crcs = Reference(net), Detector(net), []
    for values, events in zip(payloads, events_from_payloads(payloads), strict=True):
        fired = reference.step(events)
        found = detected_class(detector.step(reference.emitted()))
        crcs.append(crc_of_timestep(reference.membrane, fired, values, [*detector.scores, found]))
    return GoldenAudio(tuple(crcs))
