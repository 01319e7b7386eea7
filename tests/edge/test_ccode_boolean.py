# SPDX-License-Identifier: Apache-2.0
"""Boolean axons in generated C: one bit a connection or lists without weights, the fewest bytes, and the same integers."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from build import axon, network, neuron
from ec_like import ec_like
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import Seeded, random_network, random_payloads
from ormia.edge.backend import ReferenceBackend, get_backend
from ormia.edge.ccode.backend import CBackend, CMachine
from ormia.edge.ccode.boolean import pack_booleans
from ormia.edge.ccode.cores import missing_tools
from ormia.edge.ccode.emit import emit
from ormia.edge.ccode.package import boolean_sentence, footprint
from ormia.edge.ccode.packing import pack
from ormia.edge.events import events_from_payloads
from ormia.edge.reference import Reference
from ormia.edge.trace import first_difference
from packed_c import assert_packs

needs_compiler = pytest.mark.skipif(CBackend().available() is not None, reason=str(CBackend().available()))
needs_emulator = pytest.mark.skipif(missing_tools() is not None, reason=str(missing_tools()))
FORMS = {"few": 0.04, "half": 0.5, "most": 0.9}


def clips_of(net, seed, n_timesteps=12):
    """Signed payloads, dense enough that neurons fire."""
    rng = np.random.default_rng(seed)
    values = rng.integers(net.formats.payload.lo, net.formats.payload.hi + 1, (2, n_timesteps, net.n_inputs))
    return [events_from_payloads(np.where(rng.random(values[0].shape) < 0.7, clip, 0)) for clip in values]


def assert_same(net, clips, machine):
    reference = ReferenceBackend().load(net)
    expected = reference.run_many(clips)
    for want, got in zip(expected, machine.run_many(clips), strict=True):
        assert first_difference(want, got) is None
        assert want.counters == got.counters
    return expected


def wide(net):
    """The same with weights that no sum of 16 bits holds."""
    return replace(net, axon_shift=np.full(net.n_axons, 7))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.none() | st.lists(st.integers(0, 300), unique=True, max_size=60).map(sorted), min_size=1, max_size=12))
def test_the_fewest_bytes_are_taken_and_every_target_is_kept(lists):
    found = pack_booleans(lists)
    tables = {t.name: t.values for t in found.tables}
    assert found.n_bytes == found.alternatives["chosen"] <= min(found.alternatives["bitmap"], found.alternatives["list"])
    others = 0
    for number, targets in enumerate(lists):
        place = number if found.place.expression == "axon" else tables["axon_place"][number] if found.place.table else found.place.constant
        first = 2 * (found.first.constant if found.first.table is None else tables["axon_first"][number])
        if place >= found.n_others:
            assert targets is None
            assert place == found.n_others + others
            others += 1
        elif place < found.n_bitmaps:
            words = tables["bitmap_word"][slice(*tables["bitmap_start"][place : place + 2])]
            assert [first + 32 * i + bit for i, word in enumerate(words) for bit in range(32) if word >> (31 - bit) & 1] == targets
            assert first + 32 * len(words) <= 2 * found.n_pairs or not words
        else:
            begin, end = tables["boolean_start"][place - found.n_bitmaps : place - found.n_bitmaps + 2]
            assert [first + entry for entry in tables["boolean_target"][begin:end]] == targets


@pytest.mark.parametrize(("density", "form"), [(0.02, "list"), (0.5, "bitmap"), (1.0, "bitmap")])
def test_sparse_connections_are_listed_and_dense_ones_take_a_bit(density, form):
    net = ec_like(neurons=250, density=density)
    booleans = pack(net).booleans
    assert list(booleans.forms) == [form]
    assert booleans.forms[form]["axons"] == net.n_axons
    assert booleans.forms[form]["synapses"] == net.n_synapses
    if form == "bitmap" and density < 1:
        assert booleans.forms[form]["bytes"] <= net.n_axons * (-(-net.n_neurons // 32) * 4 + 2) + 2


def test_a_network_may_have_bitmaps_lists_and_weights_side_by_side():
    rng = np.random.default_rng(6)
    dense = [axon(c, dict.fromkeys(np.flatnonzero(rng.random(200) < 0.5).tolist(), 1 - 2 * (c % 2)), boolean=True) for c in range(40)]
    thin = [axon(c, dict.fromkeys(sorted({c, 3 * c + 60, 190}), 3), boolean=True) for c in range(40)]
    several = [axon(c, {int(t): int(t) % 5 + 1 for t in rng.permutation(200)[:20]}) for c in range(9)]
    several = [{**own, "synapses": dict(sorted(own["synapses"].items()))} for own in several]
    packing = assert_packs(network([neuron() for _ in range(200)], [*dense, *thin, *several], n_inputs=40))
    assert set(packing.booleans.forms) == {"bitmap", "list"}
    assert packing.others


def test_axons_of_one_topology_share_a_bitmap():
    rng = np.random.default_rng(3)
    size, count = 32, 8
    links = [np.flatnonzero(rng.random(size) < 0.5) for _ in range(size)]
    axons = [axon(n, dict.fromkeys((n // size * size + links[n % size]).tolist(), 1), boolean=True) for n in range(size * count)]
    net = network([neuron() for _ in range(size * count)], axons, n_inputs=size * count)
    packing = assert_packs(net)
    assert packing.booleans.n_others <= size
    assert packing.booleans.n_bytes < net.n_synapses / 2


@pytest.mark.parametrize("seed", range(20))
def test_tables_hold_exactly_the_synapses_of_networks_that_mix_boolean_axons_with_others(seed):
    assert_packs(random_network(Seeded(np.random.default_rng([8, seed])), max_neurons=40, boolean_one_in=1 + seed % 3))


def test_mixed_networks_are_packed_in_every_way():
    nets = [random_network(Seeded(np.random.default_rng([9, seed])), max_neurons=36, max_inputs=3, boolean_one_in=1 + seed % 2) for seed in range(60)]
    packings = [p for net in nets if (p := pack(net)).booleans is not None]
    ways = {(p.booleans.n_bitmaps > 0, p.booleans.n_lists > 0, p.others, p.pairs is not None) for p in packings}
    assert ways >= {(bitmaps, lists, others, False) for bitmaps, lists in ((True, False), (False, True)) for others in (True, False)}
    assert ways >= {(True, False, others, True) for others in (True, False)}


def test_a_network_without_hints_has_neither_and_keeps_its_weights_per_axon():
    net = ec_like(neurons=60)
    plain = replace(net, axon_boolean=np.zeros(net.n_axons, bool))
    assert pack(plain).booleans is None
    assert "bitmap" not in emit(plain, clips=()).files["ormia_ec_like.c"]
    assert emit(plain, clips=()).boolean is None


@pytest.mark.parametrize("net", [ec_like(neurons=100), ec_like(neurons=100, density=0.03), wide(ec_like(neurons=100))], ids=["half", "few", "wide"])
def test_nothing_is_multiplied_in_the_loops_over_synapses(net):
    text = emit(net, clips=()).files["ormia_ec_like.c"]
    loops = re.findall(r"static ORMIA_APART void (add_\w+)\((.*?)\n}\n", text, re.DOTALL)
    assert loops
    for _, body in loops:
        assert not re.search(r"[\w\])]\s\*\s[\w(]", body.split("{", 1)[1].replace("uint8_t *", "").replace("int16_t *", "").replace("int32_t *", ""))


def test_what_was_chosen_is_reported_in_bytes_and_words():
    net = ec_like(neurons=250)
    sources = emit(net, clips=())
    stated = footprint(net, sources)["boolean"]
    assert stated["bytes"]["chosen"] == stated["bytes"]["bitmap"] < stated["bytes"]["list"]
    assert stated["bitmap"]["bytes"] == sum(sources.table_bytes[name] for name in ("bitmap_start", "bitmap_word"))
    sentence = boolean_sentence(sources)
    assert f"{net.n_axons} as bitmaps, one bit a connection ({net.n_synapses} synapses, {stated['bitmap']['bytes']} bytes)" in sentence
    assert f"against {stated['bytes']['bitmap']} as bitmaps alone and {stated['bytes']['list']} as lists alone" in sentence


@needs_compiler
@pytest.mark.parametrize("bits", ["16", "32"])
@pytest.mark.parametrize("form", FORMS)
def test_bitmaps_and_lists_are_exact_for_sums_that_share_a_word_and_that_do_not(form, bits, tmp_path):
    net = ec_like(3, neurons=61, density=FORMS[form], threshold=900 if bits == "32" else 60)
    net = wide(net) if bits == "32" else net
    assert (pack(net).pairs is not None) == (bits == "16" and form != "few")
    traces = assert_same(net, clips_of(net, 4), CBackend(tmp_path).load(net))
    assert sum(trace.counters.spikes for trace in traces) > 20


@needs_compiler
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_networks_that_mix_boolean_axons_with_others_give_the_integers_of_the_reference(seed, plain, tmp_path):
    chance = Seeded(np.random.default_rng([17, seed]))
    net = random_network(chance, max_neurons=40, boolean_one_in=2)
    clips = [events_from_payloads(random_payloads(chance, net, 8)) for _ in range(2)]
    sources = emit(net, clips=())
    if plain:  # without instructions that only some processors have
        sources = replace(
            sources, files={name: text.replace("#ifndef ORMIA_H\n", "#define ORMIA_PLAIN\n#ifndef ORMIA_H\n") for name, text in sources.files.items()}
        )
    assert_same(net, clips, CMachine(net, sources, tmp_path))


@needs_compiler
@pytest.mark.parametrize(
    ("plant", "net"),
    [
        ((r"(bitmap_word\[\d+\] = \{\s+)(\d+)", lambda m: m[1] + str(int(m[2]) ^ 1 << 30)), ec_like(3, neurons=61)),
        ((r"(boolean_target\[\d+\] = \{\s+)(\d+)", lambda m: m[1] + str(int(m[2]) ^ 1)), ec_like(3, neurons=61, density=0.04)),
        ((r"first \+= 32u", "first += 31u"), wide(ec_like(3, neurons=61, threshold=900))),
        ((r"sums \+= 16;", "sums += 15;"), ec_like(3, neurons=61)),
        ((r"factor << 16u, factor,", "factor, factor << 16u,"), ec_like(3, neurons=61)),
    ],
    ids=["a bit", "a target", "a word too early", "a pair too early", "neurons of a pair exchanged"],
)
def test_a_planted_change_is_caught(plant, net, tmp_path):
    sources, clips = emit(net, clips=()), clips_of(net, 4)
    text, n = re.subn(plant[0], plant[1], sources.files["ormia_ec_like.c"], count=1)
    assert n == 1
    wrong = CMachine(net, replace(sources, files={**sources.files, "ormia_ec_like.c": text}), tmp_path)
    assert any(first_difference(Reference(net).run(clip), got) for clip, got in zip(clips, wrong.run_many(clips), strict=True))


@needs_emulator
@pytest.mark.parametrize("core", ["cortex-m", "riscv"])
@pytest.mark.parametrize("bits", ["16", "32"])
def test_emulated_cores_give_the_integers_of_the_reference(bits, core):
    net = ec_like(5, neurons=61) if bits == "16" else wide(ec_like(5, neurons=61, threshold=900))
    assert_same(net, clips_of(net, 6, 6), get_backend(core).load(net))
