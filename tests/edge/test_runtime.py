# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
from ormia.edge.coverage import BRANCHES, Coverage
from ormia.edge.errors import DataError, UsageError
from ormia.edge.events import events_from_payloads
from ormia.edge.network import Formats, Network, Readout
from ormia.edge.reference import Reference
from ormia.edge.runtime import NumbaBackend, Runtime, kernels, lean, machine, observe, rows
from ormia.edge.runtime.lean import lean_tables
from ormia.edge.runtime.plan import BOOLEAN, LIST, WINDOW, make_plan
from ormia.edge.trace import Counters, first_difference


def first_wrong(draw_network, draw_payloads, seeds) -> tuple[int, str] | None:
    """Seed and text of the first difference between the runtime and the reference."""
    for seed in seeds:
        net = draw_network(seed, plain=seed % 4 == 0)
        clips = [events_from_payloads(p) for p in draw_payloads(net, 2, 12, seed)]
        for clip, got in zip(clips, NumbaBackend().load(net).run_many(clips), strict=True):
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
    assert [getattr(observe, name) for name in names] == list(range(len(BRANCHES)))
    for name, branch in zip(names, BRANCHES, strict=True):
        assert name.split("_")[0].lower() in branch, branch


def structured(seed: int, n_neurons: int, one_in: int, weight_bits: int, **formats) -> Network:
    """A random recurrent network in which each source reaches about every ``one_in``-th neuron; sources by turns scattered, close, alike."""
    rng = np.random.default_rng(seed)
    n_inputs, reach = 9, max(1, n_neurons // one_in)
    scattered = [np.sort(rng.permutation(n_neurons)[:reach]) for _ in range(n_inputs + n_neurons)]
    targets = [np.arange(t[0] % (n_neurons - reach + 1), t[0] % (n_neurons - reach + 1) + reach) if i % 3 == 0 else t for i, t in enumerate(scattered)]
    top = (1 << (weight_bits - 1)) - 1
    weights = [np.full(reach, i % top + 1) if i % 3 == 1 else rng.choice([-1, 1], reach) * rng.integers(1, top + 1, reach) for i in range(len(targets))]
    return Network(
        formats=Formats(**({"weight_bits": weight_bits, "accumulator_bits": 24, "max_timesteps": 64, "payload_bits": 2} | formats)), n_inputs=n_inputs,
        axon_source=np.arange(n_inputs + n_neurons), axon_delay=np.arange(n_inputs + n_neurons) % 3, synapse_start=np.arange(len(targets) + 1) * reach,
        synapse_target=np.concatenate(targets), synapse_weight=np.concatenate(weights), neuron_kind=[0] * n_neurons, threshold=rng.integers(20, 200, n_neurons),
        kind_membrane_decay=[3600], kind_current_decay=[[0]], kind_firing=[1], kind_reset=[1], kind_refractory=[0], kind_drive_shift=[2],
        kind_current_shift=[0], readout_neuron=np.arange(0, n_neurons, 7), readout_class=np.arange(len(range(0, n_neurons, 7))) % 3,
        readout=Readout.SPIKES, labels=("a", "b", "c"),
    )  # fmt: skip


STRUCTURES = {
    "rows whose sums fit 8 bits": (100, 2, 4, {}, "dense short"),
    "rows whose sums do not": (100, 2, 8, {}, "dense"),
    "rows of an odd number of blocks": (33, 1, 4, {}, "dense short"),
    "windows, lists and lists of one weight": (400, 20, 4, {}, "lists"),
    "the same of 24-bit states": (400, 20, 4, {"membrane_bits": 24, "current_bits": 24}, "lists wide"),
}


@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_way_to_store_a_network_gives_the_integers_of_the_reference(random_payloads, structure):
    n_neurons, one_in, weight_bits, formats, stored = STRUCTURES[structure]
    net = structured(1, n_neurons, one_in, weight_bits, **formats)
    plan = make_plan(net)
    assert {"dense": plan.dense, "short": plan.short, "wide": plan.wide is not None, "lists": not plan.dense} == {
        way: way in stored.split() for way in ("dense", "short", "wide", "lists")
    }
    if not plan.dense:
        assert set(plan.lists.kind.tolist()) == {WINDOW, LIST, BOOLEAN}
    payloads = random_payloads(net, 2, 10, 3)
    expected = [Reference(net).run(events_from_payloads(clip)) for clip in payloads]
    runtime = Runtime(net)
    assert runtime.run(payloads).tolist() == [t.scores.tolist() for t in expected]
    assert runtime.counters.synaptic_operations == sum(t.counters.synaptic_operations for t in expected)
    assert expected[0].counters.spikes > 100
    for clip, trace in zip(payloads, expected, strict=True):
        assert first_difference(trace, runtime.trace(clip)) is None


def lean_network(draw_network, seed: int, **changes) -> Network:
    """A random network whose update fits 16 bits, which saturate; forms of it that do not are ``changes`` away."""
    net = draw_network(seed, plain=True)
    kinds, full = np.arange(net.n_kinds), 1 << net.formats.decay_bits
    values = {
        "formats": replace(net.formats, membrane_bits=16 - seed % 3, current_bits=16 - seed % 2), "axon_compartment": np.zeros(net.n_axons, int),
        "kind_current_decay": np.zeros((net.n_kinds, 1), int), "kind_current_shift": kinds * 0, "kind_refractory": kinds * 0,
        "kind_drive_shift": 7 - kinds % 3, "kind_membrane_decay": full * (98 - 40 * (kinds % 2)) // 100,
    }  # fmt: skip
    return replace(net, **values | changes)


def test_the_update_in_16_bits_gives_the_integers_of_the_reference_where_it_saturates(random_network, random_payloads):
    reached = Coverage()
    for seed in range(40):
        net = lean_network(random_network, seed)
        assert len(make_plan(net).lean)
        reference = Reference(net)
        payloads = random_payloads(net, 3, 20, seed)
        traces = [reference.run(events_from_payloads(clip)) for clip in payloads]
        assert [first_difference(expected, Runtime(net).trace(clip)) for expected, clip in zip(traces, payloads, strict=True)] == [None] * 3, seed
        assert Runtime(net).run(payloads).tolist() == [trace.scores.tolist() for trace in traces]
        reached += reference.coverage
    counts = reached.as_dict()
    parts = ("current_saturated_high", "current_saturated_low", "membrane_saturated_high", "membrane_saturated_low", "truncated_negative", "reset_subtract")
    assert min(counts[name] for name in parts) > 100, counts


def test_16_bits_are_taken_only_where_they_are_proven_to_do(random_network):
    seed = 6  # states of 16 bits
    net = lean_network(random_network, seed)
    full, ones = 1 << net.formats.decay_bits, np.ones(net.n_kinds, int)
    no = {
        "current that lasts": {"kind_current_decay": np.full((net.n_kinds, 1), full // 2)}, "shift of currents": {"kind_current_shift": ones},
        "rest": {"kind_refractory": ones}, "bias beside a membrane that fills 16 bits": {"kind_membrane_decay": full * ones, "bias": net.bias * 0 + 1},
        "24 bits": {"formats": replace(net.formats, membrane_bits=24)},
    }  # fmt: skip
    assert {name: len(lean_tables(lean_network(random_network, seed, **change))) for name, change in no.items()} == dict.fromkeys(no, 0)
    assert len(lean_tables(lean_network(random_network, seed, kind_membrane_decay=full * ones, bias=net.bias * 0)))


def test_the_update_in_16_bits_interpreted_and_compiled_agree_on_any_state(random_network):
    rng, net = np.random.default_rng(0), lean_network(random_network, 6)

    @numba.njit
    def compiled(tables, places, drive, membrane, spiked, sources):
        return compiled_sweep(tables, places, drive, membrane, spiked, sources, 1, 7, 1 << 15, 1 << 15)

    compiled_sweep, tables = lean.sweep_lean, lean_tables(net)
    width = tables.shape[1]
    for _ in range(200):
        drive = np.zeros((1, width), np.int16)
        drive[0, : net.n_neurons] = rng.integers(-700, 700, net.n_neurons)
        membrane = np.where(np.arange(width) < net.n_neurons, rng.choice([-32768, 32767, 0, *rng.integers(-32768, 32768, 9)], width), 0).astype(np.int16)
        one, two = ([drive.copy(), membrane.copy(), np.zeros(width, np.uint8), np.zeros((2, width + 16), np.uint32)] for _ in range(2))
        fired = compiled(tables, lean.PLACES, *one)
        assert fired == lean._interpreted(tables, lean.PLACES, *two, 1, 7, 1 << 15, 1 << 15)
        for mine, other in zip(one[:3], two[:3], strict=True):
            assert np.array_equal(mine, other)
        assert np.array_equal(one[3][1, :fired], two[3][1, :fired])


def test_motifs_share_the_offsets_of_their_lists():
    net = structured(2, 400, 20, 4)
    moved = np.concatenate([np.array([0, 20, 40, 60, 80, 100, 120]) + m for m in range(100)])
    alike = replace(net, synapse_start=np.r_[np.arange(101) * 7, [700] * (net.n_axons - 100)], synapse_target=moved, synapse_weight=np.arange(700) % 3 + 1)
    lists = make_plan(alike).lists
    assert len(lists.kind) == 100
    assert len(lists.offset) == 7


def test_without_counters_scores_are_the_same_and_nothing_is_counted(random_network, random_payloads):
    for seed in range(10):
        net = random_network(seed)
        payloads = random_payloads(net, 3, 9, seed)
        silent = Runtime(net, count=False)
        assert silent.run(payloads).tolist() == Runtime(net).run(payloads).tolist()
        assert silent.counters == Counters(cycles=silent.counters.cycles)


@pytest.mark.parametrize("threads", [1, 3])
def test_streams_side_by_side_equal_streams_alone(random_network, random_payloads, threads):
    for seed in range(12):
        net = random_network(seed)
        payloads = random_payloads(net, 5, 30, seed)
        alone = [Runtime(net).stream() for _ in payloads]
        together = Runtime(net, threads=threads).open_streams(5)
        for begin, end in [(0, 1), (1, 1), (1, 14), (14, 30)]:
            emitted = together.push(payloads[:, begin:end])
            assert emitted.tolist() == [stream.push(clip[begin:end]).tolist() for stream, clip in zip(alone, payloads, strict=True)], seed
        assert together.counters.synaptic_operations == sum(stream.counters.synaptic_operations for stream in alone)
        together.restart(3)
        again = together.push(payloads[:, :4])
        assert again[3].tolist() == Runtime(net).stream().push(payloads[3, :4]).tolist()
        assert again[2].tolist() == alone[2].push(payloads[2, :4]).tolist()


def test_streams_refuse_a_wrong_payload_whole_and_another_number_of_streams(random_network):
    net = random_network(6, n_inputs=3, plain=True)
    for threads in (1, 2):
        streams, good = Runtime(net, threads=threads).open_streams(2), np.ones((2, 4, 3), np.int16)
        wrong = good.copy()
        wrong[1, 2, 0] = 2
        with pytest.raises(DataError, match=r"not 2 \(clip 1, timestep 2, channel 0\)"):
            streams.push(wrong)
        assert streams.push(good).tolist() == Runtime(net).open_streams(2).push(good).tolist()
    with pytest.raises(DataError, match="of all 2 streams, not of 3"):
        streams.push(np.ones((3, 1, 3), np.int16))
    assert Runtime(net).open_streams(0).push(np.ones((0, 4, 3), np.int16)).shape == (0, 4, len(net.readout_neuron))
    with pytest.raises(UsageError, match="at least 1"):
        Runtime(net, threads=0)


PLANTED = {
    "threshold met becomes threshold exceeded": ("fires = value >= threshold[n]", "fires = value > threshold[n]"),
    "one bit of one weight": ("drive[offset[j]] += payload * weight[j]", "drive[offset[j]] += payload * (weight[j] ^ (j == 0))"),
    "floor in place of truncation": ("else _whole(-magnitude, wide)", "else _whole(_whole(x * factor, wide) >> (bits & 31), wide)"),
    "symmetric saturation": ("max(below, _whole(-limit, wide))", "max(below, _whole(1 - limit, wide))"),
    "refractory count one short": ("(np.int64(refractory[n]) if fires", "(max(np.int64(1), np.int64(refractory[n])) - 1 if fires"),
    "delay one longer": ("(slot[0] - delays[g]) % len(ring_size)", "(slot[0] - min(len(ring_size) - 1, delays[g] + 1)) % len(ring_size)"),
    "a row too far": ("add_short_rows(matrix, base, ", "add_short_rows(matrix, base + 1, "),
}


@pytest.fixture
def planted_kernel(tmp_path, monkeypatch):
    """A function that puts a kernel with one text replaced, compiled or interpreted, in the place of the runtime's."""

    def load(name: str, source: str):
        (tmp_path / f"{name}.py").write_text(source.replace("cache=True, ", ""))
        spec = importlib.util.spec_from_file_location(f"ormia.edge.runtime.{name}", tmp_path / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    def plant(before: str, after: str, *, compiled: bool) -> None:
        source = Path(kernels.__file__).read_text()
        assert source.count(before) == 1
        if not compiled:
            monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
            load("planted_rows", Path(rows.__file__).read_text())
            load("planted_lean", Path(lean.__file__).read_text())
            source = source.replace("from .rows import", "from .planted_rows import").replace("from .lean import", "from .planted_lean import")
        monkeypatch.setattr(machine, "run", load("planted", source.replace(before, after)).run)

    return plant


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_change_of_one_bit_is_caught(planted_kernel, random_network, random_payloads, fault):
    planted_kernel(*PLANTED[fault], compiled=False)
    assert first_wrong(random_network, random_payloads, range(60)) is not None


def test_the_kernel_computes_the_same_interpreted(planted_kernel, random_network, random_payloads):
    planted_kernel("LAST, BY_SPIKE =", "LAST, BY_SPIKE =", compiled=False)
    assert first_wrong(random_network, random_payloads, range(30)) is None
    assert first_wrong(lambda seed, plain: lean_network(random_network, seed), random_payloads, range(10)) is None
