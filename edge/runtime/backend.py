# SPDX-License-Identifier: Apache-2.0
"""The runtime as the backend ``numba``: full traces, from the kernels that also run batches and streams."""

from __future__ import annotations

from collections.abc import Sequence

from ..backend import Clip
from ..coverage import Coverage
from ..events import payloads_from_events
from ..network import Network
from ..trace import Trace, check_events
from .machine import Runtime

__all__ = ["NumbaBackend"]


class _NumbaMachine:
    def __init__(self, network: Network) -> None:
        self._runtime = Runtime(network)
        self.coverage = Coverage()

    def run_many(self, clips: Sequence[Clip]) -> list[Trace]:
        net = self._runtime.network
        for clip in clips:
            check_events(net, clip, whole_clip=True)
        return [self._runtime.trace(payloads_from_events(clip, net.n_inputs), self.coverage) for clip in clips]


class NumbaBackend:
    """The kernels of this folder, with full traces."""

    name = "numba"

    def available(self) -> str | None:
        """Always: numba is a dependency of the package."""
        return None

    def load(self, network: Network) -> _NumbaMachine:
        """A machine for ``network``."""
        return _NumbaMachine(network)
