# SPDX-License-Identifier: Apache-2.0
"""Memory images hold the network, synapse for synapse, and share what can be shared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from build import axon, network, neuron
from demo_like import demo_like
from hypothesis import given
from networks import Seeded, networks, random_network
from ormia.edge.cycles import plain_walk
from ormia.edge.errors import CheckFailed, UsageError
from ormia.edge.network import MotifHint
from ormia.hdl.config import CoreConfig, Geometry
from ormia.hdl.pack import PACKINGS, block_rams, check_packing, pack, resolve_packing, unpack


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
    expect_refusal(targets=[(t + 1) % 4 for t in packed.targets])
    for row, part in enumerate(packed.table):
        if part is not None and part.count:
            for change in ({"shift": 1}, {"compartment": 1}, {"count": part.count - 1}, {"head": not part.head}):
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
    assert resolve_packing(net, "auto") == "shared"


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
    with pytest.raises(UsageError, match="a packing must be one of auto, plain, shared, not 'dense'"):
        pack(network([neuron(1)], []), "dense")
