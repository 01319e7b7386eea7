# SPDX-License-Identifier: Apache-2.0
"""The generated C against the reference, and the reference against planted mistakes in the generated C."""

import re
from dataclasses import replace

import numpy as np
import pytest
from build import axon, network, neuron, payloads
from networks import Seeded, random_network, random_payloads
from ormia.edge.backend import Backend, ReferenceBackend, get_backend
from ormia.edge.ccode.backend import CBackend, CMachine
from ormia.edge.ccode.emit import emit
from ormia.edge.ccode.packing import pack
from ormia.edge.errors import DataError
from ormia.edge.events import events_from_payloads
from ormia.edge.network import Formats, Network, Readout, Reset
from ormia.edge.reference import Reference
from ormia.edge.trace import first_difference

pytestmark = pytest.mark.skipif(CBackend().available() is not None, reason=str(CBackend().available()))


def assert_same(net, clips, folder):
    reference, compiled = ReferenceBackend().load(net), CBackend(folder).load(net)
    for want, got in zip(reference.run_many(clips), compiled.run_many(clips), strict=True):
        assert first_difference(want, got) is None
        assert want.membranes.dtype == got.membranes.dtype
        assert want.raster.dtype == got.raster.dtype
        assert want.scores.dtype == got.scores.dtype
        assert want.counters == got.counters
    assert reference.coverage == compiled.coverage
    return reference.coverage


@pytest.mark.parametrize("seed", range(20))
def test_random_networks_give_the_integers_of_the_reference(seed, tmp_path):
    chance = Seeded(np.random.default_rng(500 + seed))
    net = random_network(chance, max_neurons=16)
    assert_same(net, [events_from_payloads(random_payloads(chance, net)) for _ in range(3)], tmp_path)


def rich_network(dense=False):
    """24 neurons with every construct, narrow enough to saturate often and lively enough that any mistake shows; ``dense``: in rows and chunks."""
    rng = np.random.default_rng(20)
    n, n_inputs = 24, 8
    kinds = {
        "kind_membrane_decay": [3700, 4000, 2500],
        "kind_current_decay": [[3000, 0], [3500, 0], [1000, 0]],
        "kind_firing": [True, True, False],
        "kind_reset": [Reset.ZERO, Reset.SUBTRACT, Reset.ZERO],
        "kind_refractory": [0, 2, 0],
        "kind_drive_shift": [2, 3, 1],
        "kind_current_shift": [0, 1, 2],
    }
    kind = np.array([i % 2 for i in range(20)] + [2] * 4)
    firing = kind < 2
    rows = [(s, 0, s % 3, int(s < n_inputs)) for s in range(n_inputs + 20)]
    rows += [(s, d, 0, 0) for s in (0, 3, n_inputs, n_inputs + 5) for d in (1, 4)]
    targets = [np.sort(rng.permutation(n)[:9]) for _ in rows]
    if dense:
        targets = [np.r_[1:5, 20:24] if delay else np.sort(rng.permutation(n)[:20]) for _, delay, *_ in rows]
    return Network(
        formats=Formats(membrane_bits=10, current_bits=9, weight_bits=4, payload_bits=3, payload_signed=True, flush=2, max_timesteps=64),
        n_inputs=n_inputs,
        axon_source=[row[0] for row in rows],
        axon_delay=[row[1] for row in rows],
        axon_shift=[row[2] for row in rows],
        axon_compartment=[row[3] for row in rows],
        synapse_start=np.cumsum([0, *map(len, targets)]),
        synapse_target=np.concatenate(targets),
        synapse_weight=rng.choice([w for w in range(-7, 8) if w], sum(map(len, targets))),
        neuron_kind=kind,
        threshold=np.where(firing, rng.integers(40, 200, n), 0),
        reset_by=np.where(firing, rng.integers(10, 200, n), 0),
        bias=rng.integers(-9, 20, n),
        initial_membrane=rng.integers(-50, 50, n),
        readout_neuron=[20, 23, 21, 22],
        readout_class=[0, 2, 1, 2],
        readout=Readout.SUM,
        labels=("yes", "no", "other"),
        **kinds,
    )


def rich_clips():
    rng = np.random.default_rng(21)
    values = rng.integers(-4, 4, (3, 40, 8))
    return [events_from_payloads(np.where(rng.random((40, 8)) < 0.5, clip, 0)) for clip in values]


def test_the_rich_network_is_exact_and_reaches_every_branch(tmp_path):
    covered = assert_same(rich_network(), rich_clips(), tmp_path)
    assert all(covered.as_dict().values()), covered


PLANTS = {
    "one bit of a weight": (r"(synapse_weight\[\d+\] = \{\s+)(\d+)", lambda m: m[1] + str(int(m[2]) ^ 1)),
    "one bit of a target": (r"((?:synapse_target|target_offset)\[\d+\] = \{\s+\d+, )(\d+)", lambda m: m[1] + str(int(m[2]) ^ 1)),
    "one bit of a threshold": (r"(neuron_threshold\[\d+\] = \{\s+)(\d+)", lambda m: m[1] + str(int(m[2]) ^ 8)),
    "one bit of a bias": (r"(neuron_bias\[\d+\] = \{\s+-?\d+, )(-?\d+)", lambda m: m[1] + str(int(m[2]) ^ 1)),
    "one bit of a decay factor": (r"(kind_membrane_decay\[\d+\] = \{\s+)(\d+)", lambda m: m[1] + str(int(m[2]) ^ 1)),
    "an initial membrane": (r"(neuron_initial_membrane\[\d+\] = \{\s+)(-?\d+)", lambda m: m[1] + str(int(m[2]) ^ 16)),
    "a kind": (r"(neuron_kind\[\d+\] = \{\s+)0, 1", lambda m: m[1] + "1, 0"),
    "a delay": (r"(neuron_delay\[2\] = \{\s+)1", lambda m: m[1] + "2"),
    "fires above the threshold only": (r"x >= neuron_threshold", "x > neuron_threshold"),
    "high bound of the membrane": (r"x = ormia_saturate\(x, \(-512\), 511\)", "x = ormia_saturate(x, (-512), 510)"),
    "low bound of the membrane": (r"x = ormia_saturate\(x, \(-512\), 511\)", "x = ormia_saturate(x, (-511), 511)"),
    "high bound of the current": (r"x = ormia_saturate\(x, \(-256\), 255\)", "x = ormia_saturate(x, (-256), 254)"),
    "no saturation of the current": (r"x = ormia_saturate\(x, \(-256\), 255\);", ""),
    "floor in place of truncation": (r"x = x \* kind_membrane_decay\[kind\] / DECAY_ONE", "x = ((x * kind_membrane_decay[kind]) >> 12)"),
    "floor in the current shift": (r"ormia_shift_toward_zero\(x, kind_current_shift\[kind\]\)", "(x >> kind_current_shift[kind])"),
    "a refractory period more": (r"\(uint8_t\)kind_refractory\[kind\]", "(uint8_t)(kind_refractory[kind] + (kind_refractory[kind] != 0))"),
    "the other reset": (r"if \(kind_reset\[kind\] != 0\)", "if (kind_reset[kind] == 0)"),
    "sums that are not cleared": (r"(const int32_t sum_0 = state->drive\[0\]\[n\];\n)\s+state->drive\[0\]\[n\] = 0;", r"\1"),
    "history that is not cleared": (r"row\[i\] = 0u;", "(void)row;"),
    "a forgotten spike": (r"for \(i = 0u; i < state->n_fired; i\+\+\) \{\n(\s+const uint32_t neuron)", r"for (i = 1u; i < state->n_fired; i++) {\n\1"),
    "a score of the wrong class": (r"(readout_class\[4\] = \{\s+)0, 2", r"\g<1>2, 0"),
    "scores that miss the flush": (r"state->timestep < ORMIA_NETWORK_MAX_TIMESTEPS \+ ORMIA_NETWORK_FLUSH", "state->timestep < 40u"),
}
PAIRED_PLANTS = {
    "one bit of a weight in a row": (r"(row_weight\[\d+\] = \{\s+)(\d+)", lambda m: m[1] + str(int(m[2]) ^ 1)),
    "one bit of a weight in a chunk": (r"(chunk_weight\[\d+\] = \{\s+)(\d+)", lambda m: m[1] + str(int(m[2]) ^ 1)),
    "one bit of where a row begins": (r"(row_first\[\d+\] = \{\s+)(\d+)", lambda m: m[1] + str(int(m[2]) ^ 1)),
    "one bit of where a chunk begins": (r"(chunk_first\[\d+\] = \{\s+)(\d+)", lambda m: m[1] + str(int(m[2]) ^ 1)),
    "pairs of sums that are not cleared": (r"(const uint32_t sums_0 = state->drive\[0\]\[n / 2u\];\n)\s+state->drive\[0\]\[n / 2u\] = 0;", r"\1"),
    "an upper sum that does not get back what the lower one took": (r"\(sums \+ 0x8000u\)", "sums"),
    "a pair of neurons exchanged": (r"update\(state, n, ormia_lower\(sums_0\)", "update(state, n, ormia_upper(sums_0)"),
    "the bias of weights": (r"- 0x80008u", "- 0x80007u"),
    "the upper weight of a pair": (r"& 0xF000Fu", "& 0x7000Fu"),
    "a word of a row too early": (r"sums \+= 4u", "sums += 3u"),
}


def test_the_dense_network_is_exact_in_rows_and_chunks(tmp_path):
    pairs = pack(rich_network(dense=True)).pairs
    assert pairs is not None
    assert (pairs.rows, pairs.chunks) == (True, True)
    assert all(assert_same(rich_network(dense=True), rich_clips(), tmp_path).as_dict().values())


@pytest.mark.parametrize(("low", "high"), [(3, 3), (-2, 1), (-8, 7), (-128, 127)])
@pytest.mark.parametrize("n", [40, 41])
def test_rows_of_every_width_are_exact_for_an_even_and_an_odd_number_of_neurons(low, high, n, tmp_path):
    rng = np.random.default_rng(n)
    values = [w for w in range(low, high + 1) if w]
    lists = [np.sort(rng.permutation(n)[: n - 3]) for _ in range(4 + n)]
    axons = [axon(s, {int(t): int(w) for t, w in zip(own, rng.choice(values, len(own)), strict=True)}) for s, own in enumerate(lists)]
    fires = [neuron(300, bias=int(rng.integers(0, 60)), reset=Reset.SUBTRACT, membrane_decay=4000) for _ in range(n)]
    net = network(fires, axons, n_inputs=4, payload_bits=3, payload_signed=True, accumulator_bits=24)
    packing = pack(net)
    assert packing.pairs is not None or low == -128  # eight bits of so many sources need more than 16 bits
    clips = [events_from_payloads(rng.integers(-4, 4, (30, 4))) for _ in range(2)]
    assert_same(net, clips, tmp_path)


@pytest.mark.parametrize("plant", [*PLANTS, *PAIRED_PLANTS])
def test_a_planted_change_in_the_c_is_caught(plant, tmp_path):
    net, clips = rich_network(dense=plant in PAIRED_PLANTS), rich_clips()
    sources = emit(net, clips=())
    pattern, replacement = (PLANTS | PAIRED_PLANTS)[plant]
    changed = next(((name, text) for name in sources.files for text, n in [re.subn(pattern, replacement, sources.files[name], count=1)] if n), None)
    assert changed is not None, f"the text to change must be there: {pattern}"
    wrong = CMachine(net, replace(sources, files={**sources.files, **dict([changed])}), tmp_path)
    differences = [first_difference(Reference(net).run(clip), got) for clip, got in zip(clips, wrong.run_many(clips), strict=True)]
    assert any(differences)


def test_a_changed_order_of_events_gives_the_same_trace(tmp_path):
    machine, clip = CBackend(tmp_path).load(rich_network()), rich_clips()[0]
    backward = [list(reversed(events)) for events in clip]
    one, two = machine.run_many([clip, backward])
    assert first_difference(one, two) is None


def test_clips_do_not_see_each_other(tmp_path):
    machine, clips = CBackend(tmp_path).load(rich_network()), rich_clips()
    together = machine.run_many(clips)
    assert all(first_difference(a, machine.run_many([clip])[0]) is None for a, clip in zip(together, clips, strict=True))


def test_an_empty_clip_has_zero_scores_and_label_0(tmp_path):
    net = network([neuron(0, firing=False, initial_membrane=9)], readout=Readout.LAST)
    trace = CBackend(tmp_path).load(net).run_many([[]])[0]
    assert trace.membranes.shape == (0, 1)
    assert (trace.scores.tolist(), trace.label) == ([0], 0)


def test_the_lowest_class_wins_a_tie(tmp_path):
    silent = [neuron(0, firing=False, initial_membrane=v) for v in (3, 8, 8)]
    net = network(silent, readout_neuron=[0, 1, 2], readout_class=[0, 1, 2], labels=("a", "b", "c"))
    trace = CBackend(tmp_path).load(net).run_many([events_from_payloads(payloads(0, 0))])[0]
    assert (trace.scores.tolist(), trace.label) == ([6, 16, 16], 1)


def test_events_that_break_the_rules_are_refused_before_anything_runs(tmp_path):
    machine = CBackend(tmp_path).load(network([neuron()], [axon(0, {0: 1})], payload_bits=1, max_timesteps=4))
    for clip, message in (
        ([[(1, 1)]], "an event's channel must be in 0..0"),
        ([[(0, 2)]], "a payload must be in 0..1"),
        ([[(0, 1), (0, 1)]], "at most one event"),
        ([[]] * 5, "at most max_timesteps = 4"),
    ):
        with pytest.raises(DataError, match=message):
            machine.run_many([[[(0, 1)]], clip])
    assert machine.coverage.as_dict() == dict.fromkeys(machine.coverage.as_dict(), 0)


def test_the_backend_is_registered_as_c():
    backend = get_backend("c")
    assert isinstance(backend, Backend)
    assert isinstance(backend, CBackend)
    assert backend.name == "c"
