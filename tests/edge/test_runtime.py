# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
from ormia.edge import runtime
from ormia.edge.coverage import BRANCHES, Coverage
from ormia.edge.errors import DataError
from ormia.edge.events import events_from_payloads
from ormia.edge.network import Readout
from ormia.edge.reference import Reference
from ormia.edge.runtime import NumbaBackend, Runtime
from ormia.edge.trace import first_difference


def first_wrong(module, draw_network, draw_payloads, seeds) -> tuple[int, str] | None:
    """Seed and text of the first difference between a runtime module and the reference."""
    for seed in seeds:
        net = draw_network(seed)
        clips = [events_from_payloads(p) for p in draw_payloads(net, 2, 12, seed)]
        for clip, got in zip(clips, module.NumbaBackend().load(net).run_many(clips), strict=True):
            wrong = first_difference(Reference(net).run(clip), got)
            if wrong is not None:
                return seed, str(wrong)
    return None


def test_every_state_score_counter_and_branch_count_equals_the_reference(random_network, random_payloads):
    reached = Coverage()
    for seed in range(120):
        net = random_network(seed)
        payloads = random_payloads(net, 2, 14, seed)
        clips = [events_from_payloads(p) for p in payloads]
        machine, reference = NumbaBackend().load(net), Reference(net)
        for clip, got in zip(clips, machine.run_many(clips), strict=True):
            expected = reference.run(clip)
            assert first_difference(expected, got) is None, seed
            assert got.counters == expected.counters, seed
        assert machine.coverage == reference.coverage, seed
        reached += machine.coverage
    assert min(reached.as_dict().values()) > 50, reached  # no branch was compared in vain


@pytest.mark.parametrize("plain", [True, False])
def test_the_fast_path_gives_the_same_scores_labels_and_counters_on_any_number_of_threads(random_network, random_payloads, plain):
    for seed in range(30):
        net = random_network(seed, plain=plain)
        payloads = random_payloads(net, 5, 9, seed)
        traces = [Reference(net).run(events_from_payloads(p)) for p in payloads]
        for threads in (1, 2, 7):
            fast = Runtime(net, threads=threads)
            scores = fast.run(payloads)
            assert scores.dtype == np.int64
            assert scores.tolist() == [t.scores.tolist() for t in traces]
            assert fast.counters.spikes == sum(t.counters.spikes for t in traces)
            assert fast.counters.synaptic_operations == sum(t.counters.synaptic_operations for t in traces)
            assert fast.counters.axon_activations == sum(t.counters.axon_activations for t in traces)
            assert fast.counters.neuron_updates == sum(t.counters.neuron_updates for t in traces)
            assert fast.predict(payloads).tolist() == [t.label for t in traces]


@pytest.mark.parametrize("chunks", [[40], [1] * 40, [0, 7, 0, 13, 20]])
def test_a_stream_in_any_chunks_emits_what_the_reference_emits(random_network, random_payloads, chunks):
    for seed in range(25):
        net = random_network(seed)
        payloads = random_payloads(net, 1, 40, seed)[0]
        stream, reference = Runtime(net).stream(), Reference(net)
        expected = []
        for events in events_from_payloads(payloads):
            reference.step(events)
            expected.append(reference.emitted())
        ends = np.cumsum(chunks)
        got = np.concatenate([stream.push(payloads[end - size : end]) for size, end in zip(chunks, ends, strict=True)])
        assert got.tolist() == expected, seed
        assert stream.counters == reference.counters


def test_a_stream_runs_past_max_timesteps_and_two_streams_share_nothing(random_network, random_payloads):
    net = random_network(4, n_inputs=5, n_neurons=9)
    payloads = random_payloads(net, 1, 64, 4)[0]
    compiled = Runtime(net)
    first, second = compiled.stream(), compiled.stream()
    once = first.push(payloads)
    first.push(np.tile(payloads, (3, 1)))
    assert second.push(payloads).tolist() == once.tolist()


def test_flush_runs_without_input_and_late_activations_are_lost(random_network, random_payloads):
    net = random_network(11, n_inputs=4, n_neurons=8)
    payloads = random_payloads(net, 1, 10, 11)
    for flush in (0, 1, 20):
        longer = replace(net, formats=replace(net.formats, flush=flush))
        expected = Reference(longer).run(events_from_payloads(payloads[0]))
        assert Runtime(longer).run(payloads)[0].tolist() == expected.scores.tolist()
        assert len(Runtime(longer).trace(payloads[0]).membranes) == 10 + flush


@pytest.mark.parametrize("readout", [Readout.SUM, Readout.LAST])
def test_empty_batches_and_clips_of_no_timesteps_have_a_score(random_network, readout):
    net = replace(random_network(3, n_inputs=2), readout=readout)
    net = replace(net, formats=replace(net.formats, flush=0))
    assert Runtime(net).run(np.zeros((0, 5, 2), np.int16)).shape == (0, net.n_classes)
    assert Runtime(net).run(np.zeros((3, 0, 2), np.int16)).tolist() == [[0] * net.n_classes] * 3
    assert Reference(net).run([]).scores.tolist() == [0] * net.n_classes
    assert Runtime(net).stream().push(np.zeros((0, 2), np.int8)).shape == (0, len(net.readout_neuron))


def test_any_integer_type_and_memory_order_of_payloads_gives_the_same_scores(random_network, random_payloads):
    net = random_network(6, n_inputs=3, plain=True)
    payloads = random_payloads(net, 4, 8, 6)
    expected = Runtime(net).run(payloads).tolist()
    frozen = payloads.copy()
    frozen.flags.writeable = False
    for other in (payloads.astype(np.int64), payloads.astype(np.uint8), np.asfortranarray(payloads), frozen):
        assert Runtime(net).run(other).tolist() == expected


@pytest.mark.parametrize(
    ("payloads", "words"),
    [
        (np.zeros((2, 3), np.int16), r"shape \[n_clips, n_timesteps, n_inputs\] with n_inputs = 3, not \[2, 3\]"),
        (np.zeros((1, 2, 4), np.int16), "n_inputs = 3"),
        (np.zeros((1, 2, 3)), "integers, not float64"),
        (np.zeros((1, 2, 3), bool), "integers, not bool"),
        (np.zeros((1, 65, 3), np.int16), "max_timesteps = 64 timesteps, not 65"),
        (np.full((2, 2, 3), [[[0, 0, 0]], [[0, 2, 0]]]), r"in 0\.\.1, not 2 \(clip 1, timestep 0, channel 1\)"),
        (np.full((1, 1, 3), [0, -1, 0]), "not -1"),
        (np.full((1, 1, 3), 1 << 20), "not 1048576"),
        (np.full((1, 1, 3), np.uint64(2**63)), "not 9223372036854775808"),
    ],
)
def test_payloads_that_break_a7_are_refused_with_the_place(random_network, payloads, words):
    net = random_network(6, n_inputs=3, plain=True)
    with pytest.raises(DataError, match=words):
        Runtime(net).run(payloads)


def test_event_lists_that_break_a7_are_refused_by_the_backend(random_network):
    machine = NumbaBackend().load(random_network(6, n_inputs=3, plain=True))
    for clip, words in [([[(3, 1)]], "channel"), ([[(0, 2)]], "payload"), ([[(0, 1), (0, 1)]], "two"), ([[]] * 65, "max_timesteps")]:
        with pytest.raises(DataError, match=words):
            machine.run_many([clip])


def test_counts_of_branches_follow_the_order_of_coverage():
    constants = "CURRENT_HIGH CURRENT_LOW MEMBRANE_HIGH MEMBRANE_LOW TRUNCATED_NEGATIVE REFRACTORY_HOLD THRESHOLD_EQUAL RESET_ZERO RESET_SUBTRACT"
    names = [*constants.split(), "DELAYED_AXON", "PAYLOAD_ABOVE_1", "PAYLOAD_NEGATIVE"]
    assert [getattr(runtime, name) for name in names] == list(range(len(BRANCHES)))
    for name, branch in zip(names, BRANCHES, strict=True):
        assert name.split("_")[0].lower() in branch, branch


PLANTED = {
    "threshold met becomes threshold exceeded": ("membrane >= threshold", "membrane > threshold"),
    "one bit of one weight": (").astype(np.int16),", ").astype(np.int16) ^ (np.arange(len(synapses)) == 0),"),
    "floor in place of truncation": ("return magnitude if x >= 0 else -magnitude", "return (x * factor) >> bits"),
    "symmetric saturation": ("max(np.int64(-limit), ", "max(np.int64(1 - limit), "),
    "refractory count one short": ("hold[n] = tables.refractory[kind]", "hold[n] = max(1, tables.refractory[kind]) - 1"),
    "delay one longer": ("(slot - tables.delays[g]) % rows", "(slot - min(rows - 1, tables.delays[g] + 1)) % rows"),
}


@pytest.fixture
def copy_of_runtime(tmp_path, monkeypatch):
    """A function that imports ``edge/runtime.py`` with one text replaced, compiled or interpreted."""

    def load(before: str, after: str, *, compiled: bool):
        source = Path(runtime.__file__).read_text()
        assert source.count(before) == 1
        (tmp_path / "planted.py").write_text(source.replace(before, after).replace("cache=True, ", ""))
        spec = importlib.util.spec_from_file_location("ormia.edge.planted", tmp_path / "planted.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        monkeypatch.setattr(numba.config, "DISABLE_JIT", not compiled)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_change_of_one_bit_is_caught(copy_of_runtime, random_network, random_payloads, fault):
    planted = copy_of_runtime(*PLANTED[fault], compiled=fault == next(iter(PLANTED)))
    assert first_wrong(planted, random_network, random_payloads, range(60)) is not None


def test_the_kernels_compute_the_same_interpreted(copy_of_runtime, random_network, random_payloads):
    same = copy_of_runtime("ZERO, LAST, BY_SPIKE =", "ZERO, LAST, BY_SPIKE =", compiled=False)
    assert first_wrong(same, random_network, random_payloads, range(60)) is None
