# SPDX-License-Identifier: Apache-2.0
"""Clips into a simulation and traces out of it, by plain array files: a simulator is another process.

Arrays of all clips are joined along the timesteps. No pickle.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..edge.backend import Clip
from ..edge.coverage import BRANCHES, Coverage
from ..edge.events import events_from_payloads, payloads_from_events
from ..edge.trace import Counters, Trace

__all__ = ["load_clips", "load_traces", "save_clips", "save_traces"]

COUNTED = ("spikes", "synaptic_operations", "axon_activations", "neuron_updates", "cycles")


def save_clips(path: Path, clips: Sequence[Clip], n_inputs: int) -> None:
    """Write clips whose events obey A7."""
    payloads = [payloads_from_events(clip, n_inputs).reshape(len(clip), n_inputs) for clip in clips]
    joined = np.concatenate([np.zeros((0, n_inputs), np.int16), *payloads])
    np.savez(path, length=np.array([len(clip) for clip in clips], np.int64), payload=joined)


def load_clips(path: Path) -> list[list[list[tuple[int, int]]]]:
    """Clips as ``save_clips`` wrote them; events in the order of their channels."""
    with np.load(path, allow_pickle=False) as file:
        lengths, joined = file["length"], file["payload"]
    return [events_from_payloads(part) for part in np.split(joined, np.cumsum(lengths)[:-1])] if len(lengths) else []


def save_traces(path: Path, traces: Sequence[Trace], coverage: Coverage | None) -> None:
    """Write the traces of all clips, and the branch counts where the core has them."""
    np.savez(
        path,
        length=np.array([len(trace.raster) for trace in traces], np.int64),
        membranes=np.concatenate([trace.membranes for trace in traces]),
        raster=np.concatenate([trace.raster for trace in traces]),
        scores=np.stack([trace.scores for trace in traces]),
        label=np.array([trace.label for trace in traces], np.int64),
        counters=np.array([[getattr(trace.counters, name) for name in COUNTED] for trace in traces], np.int64),
        coverage=np.array([] if coverage is None else [getattr(coverage, name) for name in BRANCHES], np.int64),
    )


def load_traces(path: Path) -> tuple[list[Trace], Coverage | None]:
    """What ``save_traces`` wrote."""
    with np.load(path, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    cuts = np.cumsum(found["length"])[:-1]
    rows = zip(np.split(found["membranes"], cuts), np.split(found["raster"], cuts), found["scores"], found["label"], found["counters"], strict=True)
    traces = [
        Trace(membranes, raster, scores, int(label), Counters(**dict(zip(COUNTED, map(int, counts), strict=True))))
        for membranes, raster, scores, label, counts in rows
    ]
    counts = found["coverage"].tolist()
    return traces, Coverage(**dict(zip(BRANCHES, counts, strict=True))) if counts else None
