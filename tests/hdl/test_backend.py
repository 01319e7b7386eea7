# SPDX-License-Identifier: Apache-2.0
"""The gateware as backends: a network of the demo's size on both packings, abandoned clips, builds, refusals."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from build import axon, network, neuron, silent
from demo_like import demo_like
from ec_like import ec_like
from networks import Seeded, random_network, random_payloads
from ormia.edge.cycles import CycleModel
from ormia.edge.errors import CheckFailed, DataError, MissingTool, TargetError
from ormia.edge.events import events_from_payloads
from ormia.edge.reference import Reference
from ormia.edge.trace import first_difference
from ormia.hdl import cxxrtl
from ormia.hdl.backend import MOST_SIMULATED, AmaranthBackend, CxxrtlBackend
from ormia.hdl.config import LIMITS, CoreConfig, Geometry
from ormia.hdl.pack import pack

needs_compiler = pytest.mark.skipif(CxxrtlBackend().available() is not None, reason=str(CxxrtlBackend().available()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cxxrtl")


@pytest.fixture(scope="module")
def demo_run():
    """The demo-sized network, clips, and what the reference says."""
    net, rng = demo_like(), np.random.default_rng(1)
    clips = [[[(c, int(rng.integers(1, 16))) for c in range(net.n_inputs) if rng.random() < rate] for _ in range(12)] for rate in (0.1, 0.6)]
    return net, clips, [Reference(net).run(clip) for clip in clips]


@needs_compiler
@pytest.mark.parametrize("packing", ["plain", "shared", "bitmap"])
def test_a_network_of_the_demo_s_size_is_exact_in_integers_and_in_clocks(packing, demo_run, folder):
    net, clips, expected = demo_run
    machine = CxxrtlBackend(packing, folder).load(net)
    model = CycleModel.of(net, pack(net, packing).walk)
    for clip, reference, got, run in zip(clips, expected, machine.run_many(clips), machine.runs, strict=True):
        assert first_difference(reference, got) is None
        for name in ("spikes", "synaptic_operations", "axon_activations", "neuron_updates"):
            assert getattr(got.counters, name) == getattr(reference.counters, name)
        assert run.step_cycles.tolist() == model.clip(clip, reference.raster).tolist()
        assert got.counters.cycles == run.step_cycles.sum()
        # one slot of the walker per clock: what is left is the sweep, the pipeline and the words of events without synapses
        overhead = run.step_cycles.sum() - got.counters.synaptic_operations
        around = model.sweep_cycles + 16
        assert packing != "plain" or 0 < overhead < around * len(clip)
    assert machine.run_many(clips[:1])[0].scores.tolist() == expected[0].scores.tolist()


@needs_compiler
def test_an_evolved_network_of_256_neurons_takes_a_bit_a_connection_and_is_exact(folder):
    net = ec_like(7, neurons=256, threshold=300)
    assert pack(net).packing == "bitmap"
    rng = np.random.default_rng(2)
    clip = [[(c, int(rng.integers(-128, 128))) for c in range(net.n_inputs)] for _ in range(20)]
    machine, reference = CxxrtlBackend(folder=folder).load(net), Reference(net).run(clip)
    assert first_difference(reference, machine.run_many([clip])[0]) is None
    assert reference.counters.spikes > 100
    assert machine.runs[0].step_cycles.tolist() == CycleModel.of(net, pack(net).walk).clip(clip, reference.raster).tolist()


@needs_compiler
@pytest.mark.parametrize("delay", [0, 3])
def test_a_clip_is_the_same_after_one_that_was_abandoned_in_any_clock(delay, folder):
    cells = [neuron(9, bias=2, initial_membrane=3, current_decay=(3000, 2000), refractory=2, membrane_decay=3900)] * 3 + [silent(current_decay=(4000, 10))]
    axons = [axon(0, {0: 3, 1: -2, 3: 7}), axon(1, {0: 1, 2: 5, 3: -7}, delay=delay, compartment=1), axon(1, {1: 6}, shift=2)]
    axons += [axon(2 + n, {(n + 1) % 3: 4, 3: 1 + n}, delay=delay) for n in range(3)]
    net = network(cells, axons, n_inputs=2, readout_neuron=[3, 0], readout_class=[0, 1], labels=("a", "b"), flush=1)
    machine = CxxrtlBackend(folder=folder).load(net)
    clip = [[(0, 3), (1, 15)], [(1, 2)], [(0, 9), (1, 1)], []]
    expected = Reference(net).run(clip)
    whole = machine.run_many([clip])[0].counters.cycles
    core = machine._core
    for clocks in range(whole + 20):
        core.abandon([[(0, 15), (1, 14)]] * 4, clocks)
        run = core.run(clip)
        assert first_difference(expected, run.trace) is None, f"abandoned after {clocks} clocks"
        assert (run.trace.counters.cycles, run.trace.counters.synaptic_operations) == (whole, expected.counters.synaptic_operations)


@needs_compiler
def test_a_random_network_survives_a_host_that_idles_and_stalls(folder):
    chance = Seeded(np.random.default_rng(931))
    net = random_network(chance, max_neurons=12, max_inputs=20, max_delay=9)
    core = CxxrtlBackend("shared", folder).load(net)._core
    for number in range(20):
        clip = events_from_payloads(random_payloads(chance, net, 12))
        run = core.run(clip, idle=chance.integer(0, 255), stall=chance.integer(0, 240), seed=number)
        assert first_difference(Reference(net).run(clip), run.trace) is None


@needs_compiler
def test_a_build_is_made_once_for_each_text(folder, monkeypatch):
    net = network([silent(bias=1)], [], max_timesteps=4)
    CxxrtlBackend(folder=folder).load(net)
    before = sorted(path.name for path in folder.iterdir())

    def fail(*_):
        raise AssertionError("the library must be taken from the folder")

    monkeypatch.setattr(cxxrtl, "_checked", fail)
    assert CxxrtlBackend(folder=folder).load(net).run_many([[[]] * 2])[0].scores.tolist() == [3]
    assert sorted(path.name for path in folder.iterdir()) == before


def test_backends_say_what_is_missing(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    reason = CxxrtlBackend().available()
    assert reason is not None
    assert "no-such-compiler" in reason
    with pytest.raises(MissingTool, match="apt install"):
        CxxrtlBackend().load(network([silent()], []))
    assert AmaranthBackend().available() is None


@pytest.mark.skipif(shutil.which("false") is None, reason="needs the program false")
def test_a_compiler_that_fails_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(MissingTool, match="false must accept the generated C"):
        CxxrtlBackend(folder=tmp_path).load(network([silent(bias=2)], []))
    assert list(tmp_path.iterdir()) == []


def test_networks_beyond_the_limits_are_refused_with_all_reasons(monkeypatch):
    with pytest.raises(TargetError, match="of at most 4096 synapses, not 16156: use the backend cxxrtl"):
        AmaranthBackend().load(demo_like())
    assert MOST_SIMULATED == 4096
    net = network([silent()] * 3, [axon(0, {0: 1, 1: 1}, delay=9)], n_inputs=2)
    for name, value in (("neurons", 2), ("input channels", 1)):
        monkeypatch.setitem(LIMITS, name, value)
    with pytest.raises(TargetError) as error:
        Geometry(net, CoreConfig())
    assert str(error.value).split("\n") == ["a core must have at most 2 neurons, not 3", "a core must have at most 1 input channels, not 2"]
    monkeypatch.undo()
    for name, value in (("slots of synapses", 1), ("rows of the axon table", 1), ("rows of the event history", 8)):
        monkeypatch.setitem(LIMITS, name, value)
    with pytest.raises(TargetError, match=r"(?s)1 slots.*1 rows of the axon table.*8 rows of the event history, not 32"):
        Geometry(net, CoreConfig())


def test_input_that_is_none_is_refused_before_anything_runs():
    machine = AmaranthBackend("plain").load(network([silent()], [axon(0, {0: 1})]))
    with pytest.raises(DataError, match="at most one event"):
        machine.run_many([[[(0, 1)]], [[(0, 1), (0, 2)]]])
    assert machine.runs == []


def test_a_core_that_leaves_the_protocol_is_noticed(monkeypatch):
    from ormia.hdl.clip import Record
    from ormia.hdl.words import Words

    net = network([silent()] * 2, [], readout_neuron=[0, 1], readout_class=[0, 1], labels=("a", "b"), max_timesteps=4)
    words, record = Words(net), Record(net, 1)
    good = [words.emitted_layout.const({"value": 5, "index": i, "last": i == 1}).as_value().value for i in range(2)]
    record.emitted[0] = good[::-1]
    with pytest.raises(CheckFailed, match="emitted word 0 of timestep 0 must have index 0"):
        record.finish(0, [0] * 6)
