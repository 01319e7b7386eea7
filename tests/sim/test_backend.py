# SPDX-License-Identifier: Apache-2.0
"""The generated SystemVerilog in a simulator: equal to the reference in every scenario, and not when one bit of it is changed."""

from __future__ import annotations

import re
from dataclasses import fields

import numpy as np
import pytest
from build import FULL, axon, network, neuron, silent
from ec_like import ec_like
from ormia.edge.backend import ReferenceBackend, get_backend
from ormia.edge.cycles import CycleModel
from ormia.edge.errors import CheckFailed, DataError, MissingTool
from ormia.edge.events import events_from_payloads
from ormia.edge.network import MotifHint, Network, Readout, Reset
from ormia.edge.trace import first_difference
from ormia.hdl.pack import pack
from ormia.sim import backend
from ormia.sim.backend import Simulation, VerilogBackend, generate, generate_gates
from ormia.sim.exchange import load_traces
from ormia.sim.runner import Simulator, find_simulator

SCENARIOS = {
    "whole_clips_equal_the_reference",
    "idle_input_and_back_pressure_change_nothing",
    "a_reset_in_the_middle_of_a_clip_starts_over",
    "a_late_timestep_raises_overrun_and_stays_exact",
    "a_full_queue_holds_the_input_back",
    "a_stream_without_reset_carries_its_state_on",
    "words_that_are_no_event_are_taken_and_ignored",
}


def lively() -> Network:
    """Narrow, so that it saturates; both resets, refractory periods, an integrator; more inputs than its queue holds."""
    neurons = [
        neuron(9, refractory=1),
        neuron(12, reset=Reset.SUBTRACT, membrane_decay=FULL - 300, current_decay=(2000,)),
        silent(membrane_decay=0, current_decay=(FULL,), bias=-3),
    ]
    weights = zip((3, 2, -1, 1, 2, -2, -1), (6, -5, 4, 3, -2, 5, -8), (-9, 8, 7, -5, -3, 2, 1), strict=True)
    inputs = [axon(c, dict(enumerate(row))) for c, row in enumerate(weights)]
    own = [axon(7, {0: -4, 1: 60, 2: -90}), axon(8, {1: -2, 2: 40})]
    given = {
        "n_inputs": 7,
        "readout_neuron": [2, 1],
        "readout_class": [0, 1],
        "labels": ("yes", "no"),
        "membrane_bits": 9,
        "current_bits": 9,
        "payload_bits": 2,
    }
    return network(neurons, [*inputs, *own], **given, flush=2, name="lively")


def delayed() -> Network:
    """Delays, two compartments, shifts, signed payloads, a motif array in shared packing, spikes counted."""
    neurons = [neuron(6 + n, current_decay=(1000, FULL - 50), membrane_decay=3500, drive_shift=1, current_shift=1, bias=n - 1) for n in range(6)]
    motif = MotifHint(base=0, size=3, count=2, intra=((0, 1), (1, 2), (2, 0)), lateral=((1, 0), (-1, 2)))
    inputs = [axon(c, {n: 7 - 3 * n - c or 1 for n in range(c, 6)}, delay=2 * c, shift=c, compartment=c % 2) for c in range(3)]
    own = [axon(3 + n, {t: 3 - n or -1 for t in motif.targets(n)}, compartment=n % 2) for n in range(6)]
    given = {"n_inputs": 3, "readout": Readout.SPIKES, "readout_neuron": [5, 0, 3], "readout_class": [1, 0, 1], "labels": ("yes", "no"), "motifs": (motif,)}
    return network(neurons, [*inputs, *own], **given, payload_signed=True, name="delayed")


def evolved() -> Network:
    """Boolean axons in bitmaps of two words."""
    return ec_like(4, neurons=24)


def clips_of(net: Network, lengths: tuple[int, ...], density: float) -> list:
    chance = np.random.default_rng(11)
    shapes = [(length, net.n_inputs) for length in lengths]
    payload = net.formats.payload
    return [events_from_payloads(np.where(chance.random(shape) < density, chance.integers(payload.lo, payload.hi + 1, shape), 0)) for shape in shapes]


@pytest.fixture(scope="module")
def lively_simulation(simulator) -> Simulation:
    return Simulation(lively(), generate(lively()), simulator)


@pytest.mark.parametrize(("make", "exempt"), [(lively, set()), (delayed, {"a_full_queue_holds_the_input_back"})], ids=["lively", "delayed"])
def test_every_scenario_gives_the_integers_of_the_reference(simulator, make, exempt):
    net = make()
    simulation = Simulation(net, generate(net), simulator)
    outcome = simulation.run_cases(clips_of(net, (9, 1, 14), 0.8), *(SCENARIOS - exempt), seed=3)
    assert dict(outcome.failed) == {}
    assert set(outcome.passed) == SCENARIOS - exempt


@pytest.mark.parametrize("make", [lively, delayed, evolved])
def test_traces_counters_and_coverage_equal_the_reference(simulator, make):
    net = make()
    clips = clips_of(net, (9, 0, 30), 0.6)
    machine = Simulation(net, generate(net), simulator)
    reference = ReferenceBackend().load(net)
    model = CycleModel.of(net, pack(net).walk)
    for _ in range(2):  # coverage adds up over runs
        for clip, want, have in zip(clips, reference.run_many(clips), machine.run_many(clips), strict=True):
            assert first_difference(want, have) is None
            assert np.array_equal(want.membranes, have.membranes)
            for counter in fields(want.counters):
                if counter.name != "cycles":
                    assert getattr(want.counters, counter.name) == getattr(have.counters, counter.name), counter.name
            assert have.counters.cycles == model.clip(clip, want.raster).sum()
    assert machine.coverage == reference.coverage


# what one bit is changed in, the line that has it, and the line with the bit changed
PLANTED = {
    "a weight bit": (r"weights\[4\] = 8'h(\w\w);", lambda found: f"weights[4] = 8'h{int(found[1], 16) ^ 4:02x};"),
    "the threshold comparison": (r"\$signed\(value_5\) >= \$signed", lambda found: found[0].replace(">=", ">")),
    "the saturation limit": (r"(\? \{ _\d+_\[\d+\](?:, _\d+_){7}), (_\d+_) \} :", lambda found: f"{found[1]}, ~{found[2]} }} :"),
}


@pytest.fixture(scope="module")
def clips_that_show(lively_simulation) -> list:
    """Clips on which the unchanged Verilog is right, and long enough to meet every branch that is planted in."""
    clips = clips_of(lively(), (60, 1, 30), 0.5)
    reference = ReferenceBackend().load(lively())
    for want, have in zip(reference.run_many(clips), lively_simulation.run_many(clips), strict=True):
        assert first_difference(want, have) is None
    assert min(reference.coverage.threshold_equal, reference.coverage.current_saturated_high, reference.coverage.membrane_saturated_high) > 0
    return clips


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_bit_is_caught(simulator, clips_that_show, plant, tmp_path):
    sources = generate(lively())
    pattern, change = PLANTED[plant]
    changed, count = re.subn(pattern, change, sources["core.sv"], count=1)
    assert count == 1, f"the generated Verilog has no {plant} to change: this test must follow the generator"
    planted = Simulation(lively(), {**sources, "core.sv": changed}, simulator)
    outcome = planted.run_cases(clips_that_show, "record_traces", "whole_clips_equal_the_reference", traces=tmp_path / "traces.npz")
    expected = ReferenceBackend().load(lively()).run_many(clips_that_show)
    differences = [first_difference(want, have) for want, have in zip(expected, load_traces(tmp_path / "traces.npz")[0], strict=True)]
    assert any(difference is not None for difference in differences)
    first = next(difference for difference in differences if difference is not None)
    assert str(first) in outcome.failed["whole_clips_equal_the_reference"]  # the scoreboard found the same place


def test_the_registered_backend_is_this_one(simulator, lively_simulation):
    net = lively()
    chosen = get_backend("verilog")
    assert isinstance(chosen, VerilogBackend)
    assert chosen.available() is None
    clips = clips_of(net, (4,), 0.7)
    (want,) = ReferenceBackend().load(net).run_many(clips)
    (have,) = chosen.load(net).run_many(clips)
    assert first_difference(want, have) is None
    assert chosen.load(net).run_many([]) == []


def test_bad_clips_are_refused_before_anything_runs(lively_simulation):
    with pytest.raises(DataError, match="a channel must have at most one event a timestep; channel 2 has two at timestep 0"):
        lively_simulation.run_many([[[(2, 1), (2, 3)]]])


def test_a_core_that_hangs_is_reported(lively_simulation, simulator):
    sources = generate(lively())
    changed, count = re.subn(r"\.step_done\(step_done\)", ".step_done()", sources["bench.sv"])
    assert count == 1
    with pytest.raises(CheckFailed, match=r"the Verilog of network lively must run its clips, but: .*must finish a timestep"):
        Simulation(lively(), {**sources, "bench.sv": changed}, simulator).run_many([[[]]])


def test_icarus_gives_the_same_integers(icarus):
    net = delayed()
    clips = clips_of(net, (9,), 0.6)
    for want, have in zip(ReferenceBackend().load(net).run_many(clips), Simulation(net, generate(net), icarus).run_many(clips), strict=True):
        assert first_difference(want, have) is None


def test_the_netlist_after_synthesis_gives_the_same_integers():
    """Gates of the iCE40: what the bitstream holds but for its place on the chip."""
    try:
        chosen = next(found for found in map(installed, ("icarus", "verilator")) if found is not None)  # Icarus compiles a netlist in a second
        sources = generate_gates(lively())
    except (StopIteration, MissingTool) as missing:
        pytest.skip(f"no simulator or no Yosys: {missing}")
    assert "SB_LUT4" in sources["gates.v"]
    clips = clips_of(lively(), (20, 1), 0.5)
    gates = Simulation(lively(), sources, chosen)
    reference = ReferenceBackend().load(lively())
    for want, have in zip(reference.run_many(clips), gates.run_many(clips), strict=True):
        assert first_difference(want, have) is None
        assert (have.counters.spikes, have.counters.synaptic_operations) == (want.counters.spikes, want.counters.synaptic_operations)


def installed(name: str) -> Simulator | None:
    try:
        return find_simulator(name)
    except MissingTool:
        return None


def test_without_a_simulator_the_backend_says_why(monkeypatch):
    def nothing(name=None):
        raise MissingTool("no simulator: install one")

    monkeypatch.setattr(backend, "find_simulator", nothing)
    assert VerilogBackend().available() == "no simulator: install one"
