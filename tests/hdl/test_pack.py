# SPDX-License-Identifier: Apache-2.0
"""Memory images hold the network, synapse for synapse, and share what can be shared."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from build import axon, network, neuron
from demo_like import demo_like
from ec_like import ec_like
from hypothesis import given
from hypothesis import strategies as st
from networks import Seeded, networks, random_network
from ormia.edge.cycles import CycleModel, plain_walk
from ormia.edge.errors import CheckFailed, UsageError
from ormia.edge.network import MotifHint
from ormia.hdl.config import CoreConfig, Geometry
from ormia.hdl.pack import BOOLEAN_PACKINGS, PACKINGS, block_rams, check_packing, pack, unpack
from ormia.hdl.pack_boolean import digits, walk_clocks, words_of


def axons_of(net) -> list:
    """(source, delay, shift, compartment, synapses), in the order of ``unpack``."""
    rows = []
    for a in range(net.n_axons):
        targets, weights = net.synapses(a)
        synapses = [*zip(targets.tolist(), weights.tolist(), strict=True)]
        source, delay = int(net.axon_source[a]), int(net.axon_delay[a])
        rows.append(((-delay, source, a), (source, delay, int(net.axon_shift[a]), int(net.axon_compartment[a]), synapses)))
    return [axon for _, axon in sorted(rows)]


def unpacked(packed) -> list:
    return [(*axon[:4], sorted(axon[4])) for axon in unpack(packed)]


@pytest.mark.parametrize("packing", PACKINGS)
@given(net=networks())
def test_unpacking_gives_the_axons_of_drawn_networks(packing, net):
    packed = pack(net, packing)
    assert unpacked(packed) == axons_of(net)
    check_packing(net, packed)


@pytest.mark.parametrize("packing", PACKINGS)
def test_unpacking_gives_the_axons_of_larger_networks(packing):
    for seed in range(25):
        net = random_network(Seeded(np.random.default_rng([5, seed])), max_neurons=60, max_inputs=30)
        assert unpacked(pack(net, packing)) == axons_of(net), seed


def test_lengths_of_packing_plain_need_no_packing():
    for seed in range(25):
        net = random_network(Seeded(np.random.default_rng([6, seed])))
        assert pack(net, "plain").walk == plain_walk(net)


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_changed_image_is_noticed(packing):
    net = network([neuron(5)] * 3, [axon(0, {0: 1, 2: -3}), axon(0, {1: 2}), axon(1, {0: 1, 1: 1, 2: 1})])
    packed = pack(net, packing)
    check_packing(net, packed)

    def expect_refusal(**changes):
        with pytest.raises(CheckFailed, match="must"):
            check_packing(net, replace(packed, **changes))

    for i in range(len(packed.weights)):
        expect_refusal(weights=[w + (i == k) * (-1 if w > 0 else 1) for k, w in enumerate(packed.weights)])
    expect_refusal(targets=[t << 1 & 7 | t >> 2 if packing == "bitmap" else (t + 1) % 4 for t in packed.targets])
    for row, part in enumerate(packed.table):
        if part is not None and part.count:
            boolean = ({"weight": -part.weight}, {"weight": 2 * part.weight}, {"again": not part.again}) if packing in BOOLEAN_PACKINGS else ()
            first = {"head": not part.head} if part.head else {"weight": 8}  # of the parts of an axon
            for change in ({"shift": 1}, {"compartment": 1}, {"count": part.count - 1}, first, *boolean):
                table = [replace(part, **change) if k == row else p for k, p in enumerate(packed.table)]
                if part.count > 1 or "count" not in change:
                    with pytest.raises((CheckFailed, IndexError)):
                        check_packing(net, replace(packed, table=table))


def test_motifs_inside_an_array_and_at_its_ends_share_one_list_of_offsets():
    hint = MotifHint(base=0, size=4, count=6, intra=((0, 1), (0, 2), (1, 3)), lateral=((-1, 0), (1, 0), (2, 0)))
    rng = np.random.default_rng(3)
    axons = [axon(1 + n, {t: int(rng.integers(1, 7)) for t in hint.targets(n)}) for n in range(24) if hint.targets(n)]
    net = network([neuron(9)] * 24, axons, n_inputs=1, motifs=(hint,))
    packed = pack(net, "shared")
    # neuron 0 of an inner motif reaches -4, 1, 2, 4, 8: the ends' lists are runs of it, and neuron 1's single link is in any list
    assert len(packed.targets) == 5
    assert len(packed.weights) == net.n_synapses
    assert pack(net).packing == "shared"


def test_a_missing_link_of_a_motif_is_a_slot_of_weight_zero():
    hint = MotifHint(base=0, size=2, count=8, intra=((0, 1), (0, 0)), lateral=((1, 0), (-1, 0)))
    links = {n: hint.targets(n) for n in range(0, 16, 2)}
    axons = [axon(n, {t: 1 for t in targets if not (n == 8 and t == 8)}) for n, targets in links.items()]
    packed = pack(network([neuron(9)] * 16, axons, n_inputs=0, motifs=(hint,)), "shared")
    assert len(packed.targets) == 4
    assert packed.weights.count(0) == 1
    assert packed.walk.slots[0][8] == (4,)


def test_rows_that_are_nearly_dense_share_one_run():
    rng = np.random.default_rng(4)
    axons = [axon(c, {t: 3 for t in range(5, 45) if rng.random() < 0.8}) for c in range(30)]
    net = network([neuron(9)] * 50, axons, n_inputs=30)
    packed = pack(net, "shared")
    assert packed.targets == list(range(max(max(parts) for parts in packed.walk.slots[0][:30])))
    assert net.n_synapses < len(packed.weights) <= 30 * 40


def test_a_network_of_the_size_of_the_demo_fits_an_ice40up5k():
    net = demo_like()
    geometry = Geometry(net, CoreConfig(packing="shared"))
    assert net.n_synapses > 15_000
    assert geometry.block_rams <= 30
    assert Geometry(net, CoreConfig(packing="plain")).block_rams > 30


def test_alignment_pads_and_keeps_every_weight():
    net = demo_like()
    packed = pack(net, "shared")
    starts = [part.weight_start for part in packed.table if part is not None and part.count]
    assert all(start % packed.alignment == 0 for start in starts)
    assert max(starts) < len(packed.weights) < net.n_synapses * 1.2


@pytest.mark.parametrize(("size", "expected"), [((1, 1), 1), ((256, 16), 1), ((256, 17), 2), ((2048, 2), 1), ((0, 8), 0), ((416, 40), 5)])
def test_block_rams_are_counted_in_the_best_shape(size, expected):
    assert block_rams(*size) == expected


def test_an_unknown_packing_is_refused():
    with pytest.raises(UsageError, match="a packing must be one of auto, plain, shared, indices, bitmap, not 'dense'"):
        pack(network([neuron(1)], []), "dense")


def test_dense_boolean_axons_take_one_bit_a_connection_and_no_weight():
    net = ec_like(neurons=158, density=0.5)
    packed = pack(net)
    assert packed.packing == "bitmap"
    assert packed.weights == []
    assert len(packed.targets) * packed.slot_bits <= net.n_axons * 160
    assert packed.considered["bitmap"] == packed.memory_bits < packed.considered["shared"] / 1.5
    assert pack(net, "plain").memory_bits == packed.considered["plain"] > 4 * packed.memory_bits


def test_sparse_boolean_axons_are_lists_without_weights():
    net = ec_like(neurons=158, density=0.02)
    packed = pack(net)
    assert packed.packing == "indices"
    assert packed.weights == []
    assert len(packed.targets) <= net.n_synapses
    assert packed.memory_bits == min(packed.considered.values())


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("net", [ec_like(neurons=40), ec_like(neurons=40, density=0.1, weight=5), demo_like(layers=(32, 16))], ids=["ec", "fives", "demo"])
def test_bits_that_the_packer_compares_are_those_of_the_generated_memories(net, packing):
    memories = Geometry(net, CoreConfig(packing=packing)).memories
    names = {"axon table", "targets", "bitmap", "weights"} & set(memories)
    assert pack(net, packing).memory_bits == sum(rows * bits for name, (rows, bits) in memories.items() if name in names)


def test_of_packings_of_equal_size_the_one_with_fewer_clocks_is_taken():
    net = network([neuron(9)] * 64, [axon(0, {0: 1, 63: 1}, boolean=True)], n_inputs=1)
    found = {how: pack(net, how) for how in PACKINGS}
    least = min(packed.memory_bits for packed in found.values())
    clocks = {how: CycleModel.of(net, packed.walk).worst_step() for how, packed in found.items() if packed.memory_bits == least}
    assert pack(net).packing in clocks
    assert clocks[pack(net).packing] == min(clocks.values())


def test_bitmaps_of_one_topology_are_stored_once():
    rng = np.random.default_rng(3)
    links = [np.flatnonzero(rng.random(32) < 0.5) for _ in range(32)]
    axons = [axon(n, dict.fromkeys((n // 32 * 32 + links[n % 32]).tolist(), 1), boolean=True) for n in range(128)]
    packed = pack(network([neuron(9)] * 128, axons, n_inputs=128), "bitmap")
    assert len(packed.targets) <= 32 * 2
    assert packed.walk.slots[0][5] == packed.walk.slots[0][5 + 96]


@given(st.integers(-128, 127).filter(bool))
def test_a_weight_is_the_sum_of_its_digits_which_are_signed_powers_of_two(weight):
    found = digits(weight)
    assert sum(found) == weight
    assert all(abs(digit).bit_count() == 1 for digit in found)
    assert all(abs(b) >= 4 * abs(a) for a, b in pairwise(found))


def test_a_word_without_a_one_takes_a_clock_and_every_one_takes_a_clock():
    assert words_of([3, 5, 40]) == [0b101000, 0, 1 << 8]
    assert walk_clocks(words_of([3, 5, 40])) == 2 + 1 + 1
    packed = pack(network([neuron(9)] * 64, [axon(0, {3: 1, 5: 1, 40: 1}, boolean=True)], n_inputs=1), "bitmap")
    assert packed.walk.slots[0][0] == (4,)


def test_packing_of_networks_without_hints_asks_for_motifs_alone():
    net = ec_like(neurons=158)
    plain = replace(net, axon_boolean=np.zeros(net.n_axons, bool))
    assert (pack(plain).packing, pack(plain).considered) == ("plain", {})
