# SPDX-License-Identifier: Apache-2.0
"""The ``torch`` backend: any network in exact mode; ``train/plain.py``, clip by clip length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..edge.backend import Clip, Machine
from ..edge.coverage import Coverage
from ..edge.events import payloads_from_events
from ..edge.network import Network
from ..edge.trace import Counters, Trace, check_events

if TYPE_CHECKING:
    from .plain import PlainNetwork

__all__ = ["TorchBackend"]


class TorchBackend:
    """Plain torch in float64, exact."""

    name = "torch"

    def available(self) -> str | None:
        """None where torch is installed."""
        from importlib.util import find_spec

        return None if find_spec("torch") else "torch is not installed: pip install 'ormia[train]'"

    def load(self, network: Network) -> Machine:
        """A machine for ``network``."""
        from .plain import PlainNetwork

        return _TorchMachine(PlainNetwork(network))


class _TorchMachine:
    def __init__(self, plain: PlainNetwork) -> None:
        self._plain = plain

    @property
    def coverage(self) -> Coverage:
        return self._plain.coverage

    @coverage.setter
    def coverage(self, value: Coverage) -> None:
        self._plain.coverage = value

    def run_many(self, clips: Sequence[Clip]) -> list[Trace]:
        """Clips of equal length run as one batch."""
        import torch

        net = self._plain.network
        by_length: dict[int, list[int]] = {}
        for index, clip in enumerate(clips):
            check_events(net, clip, whole_clip=True)
            by_length.setdefault(len(clip), []).append(index)
        traces: dict[int, Trace] = {}
        for length, members in by_length.items():
            batch = np.stack([payloads_from_events(clips[i], net.n_inputs) for i in members], 1).astype(np.float64)
            with torch.no_grad():
                out = self._plain.run(torch.from_numpy(batch))
            for place, index in enumerate(members):
                raster = out.spikes[:, place].numpy().astype(bool)
                counters = Counters(int(raster.sum()), int(out.operations[place]), int(out.activations[place]), net.n_neurons * (length + net.formats.flush))
                scores = out.scores[place].numpy().astype(np.int64)
                traces[index] = Trace(out.membranes[:, place].numpy().astype(np.int32), raster, scores, int(scores.argmax()), counters)
        return [traces[i] for i in range(len(clips))]
