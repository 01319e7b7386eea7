# SPDX-License-Identifier: Apache-2.0
"""False accepts an hour against false rejects, and the time to a detection, of a network's detector on long recordings.

A recording runs once through front end and network; the detector then runs over what was emitted, once for each margin of the curve. The
only source of such figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .clips import front_end_of
from .detector import Detection, DetectorConfig, detector_config
from .errors import DataError
from .netfile import network_digest
from .network import Network
from .provenance import provenance
from .recordings import Mix, Recording, Spoken
from .runtime import Runtime
from .streaming import DetectorBank

__all__ = ["Heard", "evaluate_streams", "hear", "margin_for", "match", "poisson_interval", "wilson_interval"]

Z_95 = 1.959963984540054
TOLERANCE_S = 0.5  # after its end a word may still be detected
N_MARGINS = 40


@dataclass(frozen=True)
class Heard:
    """What a network emitted on a recording: int32 [n_timesteps, n_readouts], and what was spoken."""

    emitted: np.ndarray
    spoken: list[Spoken]
    hop_s: float

    @property
    def hours(self) -> float:
        """Audio heard."""
        return len(self.emitted) * self.hop_s / 3600


def hear(net: Network, recording: Recording | Mix, progress: Callable[[float], None] | None = None) -> Heard:
    """Run a recording through front end and network; ``progress`` is told the seconds done.

    Raises
    ------
    DataError
        If the audio cannot be used, or a label is neither of the network nor in underscores.
    """
    front_end = front_end_of(net)
    if isinstance(recording, Recording):
        check_labels(net, recording.spoken, str(recording.table))
    hearing, stream, emitted, samples = front_end.stream(), Runtime(net, count=False).stream(), [np.zeros((0, len(net.readout_neuron)), np.int32)], 0
    for block in recording.blocks(front_end.sample_rate):
        emitted.append(stream.push(hearing.push(block)))
        samples += len(block)
        if progress is not None:
            progress(samples / front_end.sample_rate)
    check_labels(net, recording.spoken, "the corpus")
    return Heard(np.concatenate(emitted), list(recording.spoken), front_end.hop_samples / front_end.sample_rate)


def check_labels(net: Network, spoken: Sequence[Spoken], where: str) -> None:
    """``DataError`` for a label that is neither of the network nor of background."""
    strange = sorted({each.label for each in spoken if each.label not in net.labels and not each.label.startswith("_")})
    if strange:
        raise DataError(
            f"a label must be one of the network ({', '.join(net.labels)}) or, for all else, start with _: {where} has {', '.join(strange)[:80]}; rename it"
        )


@dataclass(frozen=True)
class Matched:
    """Detections against what was spoken: keywords found and missed, detections of nothing, seconds from onset and from offset."""

    found: int
    missed: int
    false_accepts: int
    after_onset_s: list[float]
    after_offset_s: list[float]


def match(labels: Sequence[str], background: Sequence[int], heard: Heard, detections: Sequence[Detection], tolerance_s: float = TOLERANCE_S) -> Matched:
    """A keyword is found by the first detection of its label from its onset to ``tolerance_s`` after its offset; every other one is false."""
    words = [each for each in heard.spoken if each.label in labels and labels.index(each.label) not in background]
    taken, false_accepts = [False] * len(words), 0
    onset, offset = [], []
    first = 0
    longest = max((word.offset_s - word.onset_s for word in words), default=0.0) + tolerance_s
    for detection in detections:
        time = (detection.timestep + 1) * heard.hop_s
        while first < len(words) and words[first].onset_s + longest < time:
            first += 1
        for i in range(first, len(words)):
            if words[i].onset_s > time:
                false_accepts += 1
                break
            if not taken[i] and labels[detection.label] == words[i].label and time <= words[i].offset_s + tolerance_s:
                taken[i] = True
                onset.append(time - words[i].onset_s)
                offset.append(time - words[i].offset_s)
                break
        else:
            false_accepts += 1
    return Matched(sum(taken), len(words) - sum(taken), false_accepts, onset, offset)


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson); 0..1 of nothing."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = successes / n, Z_95 * Z_95
    middle, half = (share + z2 / (2 * n)) / (1 + z2 / n), Z_95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def poisson_interval(count: int) -> tuple[float, float]:
    """Exact 95 % interval of the mean of a Poisson count (Garwood); 0..3.69 of none."""

    def at_most(k: int, mean: float) -> float:
        return sum(math.exp(i * math.log(mean) - mean - math.lgamma(i + 1)) for i in range(k + 1))

    def solve(reached: Callable[[float], bool]) -> float:
        low, high = 1e-12, count + 10 * math.sqrt(count + 1) + 10
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if not reached(middle) else (low, middle)
        return high

    lower = 0.0 if count == 0 else solve(lambda mean: 1 - at_most(count - 1, mean) >= 0.025)
    return lower, solve(lambda mean: at_most(count, mean) <= 0.025)


def evaluate_streams(
    net: Network, recordings: Sequence[Heard], sources: Sequence[dict[str, Any]], *, tolerance_s: float = TOLERANCE_S, margin: int | None = None
) -> dict[str, Any]:
    """JSON-able figures: the curve over margins, and in full the operating points: that of the file and, where ``margin`` is given, that one."""
    shipped = detector_config(net)
    hours = sum(heard.hours for heard in recordings)
    if hours == 0:
        raise DataError("recordings must last at least one timestep")
    margins = _margins(net, shipped, recordings)
    points = [_point(net, replace(shipped, margin=m), recordings, tolerance_s) for m in margins]
    result = {
        "network": {"name": net.name, "digest": network_digest(net)},
        "sources": list(sources),
        "hours": hours,
        "keywords": points[0]["keywords"],
        "tolerance_s": tolerance_s,
        "detector": shipped.as_dict(),
        "operating_point": _point(net, shipped, recordings, tolerance_s),
        "curve": [{name: point[name] for name in ("margin", "false_accepts_per_hour", "false_reject_rate")} for point in points],
        "provenance": provenance(),
    }
    for point in result["curve"]:
        point["shipped"] = point["margin"] == shipped.margin
    if margin is not None:
        result["tuned_point"] = _point(net, replace(shipped, margin=margin), recordings, tolerance_s)
    return result


def margin_for(net: Network, recordings: Sequence[Heard], per_hour: float) -> int:
    """The least margin of the curve with at most ``per_hour`` false accepts an hour; the largest, where none has so few."""
    shipped = detector_config(net)
    margins = _margins(net, shipped, recordings)
    for margin in margins:
        if _point(net, replace(shipped, margin=margin), recordings, TOLERANCE_S)["false_accepts_per_hour"]["value"] <= per_hour:
            return margin
    return margins[-1]


def _margins(net: Network, config: DetectorConfig, recordings: Sequence[Heard]) -> list[int]:
    """Margins that spread over the leads at which something is detected, the shipped one among them."""
    eager = replace(config, margin=0, refractory=0)
    leads = [detection.margin for heard in recordings for detection in DetectorBank(net, 1, eager).push(heard.emitted)]
    spread = np.quantile(leads, 1 - np.geomspace(1, 0.001, N_MARGINS)) if leads else np.zeros(0)
    return sorted({0, config.margin, *(int(lead) for lead in spread), max(leads, default=0) + 1})


def _point(net: Network, config: DetectorConfig, recordings: Sequence[Heard], tolerance_s: float) -> dict[str, Any]:
    matched = [match(net.labels, config.background, heard, DetectorBank(net, 1, config).push(heard.emitted), tolerance_s) for heard in recordings]
    hours = sum(heard.hours for heard in recordings)
    found, missed, false = (sum(getattr(each, name) for each in matched) for name in ("found", "missed", "false_accepts"))
    rejects, accepts = wilson_interval(missed, found + missed), poisson_interval(false)
    return {
        "margin": config.margin,
        "keywords": found + missed,
        "found": found,
        "false_rejects": missed,
        "false_reject_rate": {"value": missed / (found + missed) if found + missed else None, "low": rejects[0], "high": rejects[1]},
        "false_accepts": false,
        "false_accepts_per_hour": {"value": false / hours, "low": accepts[0] / hours, "high": accepts[1] / hours},
        "latency_s": {
            "after_onset": _percentiles([t for each in matched for t in each.after_onset_s]),
            "after_offset": _percentiles([t for each in matched for t in each.after_offset_s]),
        },
    }


def _percentiles(seconds: list[float]) -> dict[str, float | None]:
    if not seconds:
        return {"median": None, "p95": None}
    return {"median": round(float(np.median(seconds)), 4), "p95": round(float(np.quantile(seconds, 0.95)), 4)}
