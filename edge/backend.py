# SPDX-License-Identifier: Apache-2.0
"""What a backend is, and how ``ormia verify`` finds them.

Backends register as entry points of the group ``ormia.backends``: a class without arguments in its constructor.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

import numpy as np

from .coverage import Coverage
from .errors import UsageError
from .network import Network
from .reference import Reference
from .trace import Trace

__all__ = ["AudioMachine", "Backend", "Clip", "Machine", "ReferenceBackend", "backend_names", "get_backend"]

Clip = Sequence[Sequence[tuple[int, int]]]
"""Input of one clip: per timestep the (channel, payload) events."""


@runtime_checkable
class Machine(Protocol):
    """A loaded network. ``coverage`` counts the branches reached since it was loaded."""

    coverage: Coverage

    def run_many(self, clips: Sequence[Clip]) -> list[Trace]:
        """Run each clip from reset and return its trace."""


@runtime_checkable
class AudioMachine(Protocol):
    """A machine that may have the front end, too: where it ``hears``, it runs from audio as well."""

    hears: bool

    def run_audio(self, pcm: np.ndarray) -> tuple[np.ndarray, Trace]:
        """Payloads int16 [n_timesteps, n_inputs] and trace of a clip of int16 samples, from reset."""


@runtime_checkable
class Backend(Protocol):
    """One way to run a network."""

    name: str

    def available(self) -> str | None:
        """None where the backend can run, else the reason with what to install."""

    def load(self, network: Network) -> Machine:
        """Build whatever running ``network`` takes. Raises ``TargetError`` for a network the backend cannot hold."""


class _ReferenceMachine:
    def __init__(self, network: Network) -> None:
        self._reference = Reference(network)
        self.coverage = self._reference.coverage

    def run_many(self, clips: Sequence[Clip]) -> list[Trace]:
        return [self._reference.run(clip) for clip in clips]


class ReferenceBackend:
    """``edge/reference.py``: the specification itself."""

    name = "reference"

    def available(self) -> str | None:
        """Always."""
        return None

    def load(self, network: Network) -> Machine:
        """A machine for ``network``."""
        return _ReferenceMachine(network)


def backend_names() -> list[str]:
    """Names of all registered backends, reference first."""
    names = sorted({e.name for e in entry_points(group="ormia.backends")})
    return sorted(names, key=lambda name: name != "reference")


def get_backend(name: str) -> Backend:
    """The backend registered as ``name``."""
    for entry in entry_points(group="ormia.backends"):
        if entry.name == name:
            backend: Backend = entry.load()()
            return backend
    raise UsageError(f"a backend must be one of {', '.join(backend_names())}, not {name!r}")
