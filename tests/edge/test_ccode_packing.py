# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
from build import axon, network, neuron
from networks import Seeded, random_network
from ormia.edge.ccode.layout import lay_out
from ormia.edge.ccode.packing import pack
from ormia.edge.ccode.tables import column, narrowest, table
from ormia.edge.errors import TargetError
from ormia.edge.network import Reset
from packed_c import assert_packs


@pytest.mark.parametrize("seed", range(60))
def test_tables_hold_exactly_the_synapses_of_a_random_network(seed):
    assert_packs(random_network(Seeded(np.random.default_rng(seed)), max_neurons=20))


def test_random_networks_are_packed_in_every_way():
    nets = [random_network(Seeded(np.random.default_rng(seed)), max_neurons=20) for seed in range(300)]
    packings = [pack(replace(net, axon_boolean=np.zeros(net.n_axons, bool))) for net in nets]
    paired = {(p.pairs.bits, p.pairs.rows, p.pairs.chunks) for p in packings if p.pairs is not None}
    assert paired >= {(bits, rows, chunks) for bits in (2, 4, 8) for rows, chunks in ((True, True), (True, False), (False, True))}
    assert {(p.weight_bits, p.shared) for p in packings if p.pairs is None} >= {(0, False), *((bits, shared) for bits in (2, 4, 8) for shared in (True, False))}


def dense(low, high, n=41, n_inputs=6, seed=1):
    """A network whose lists leave few neurons out, but for two that hold clumps."""
    rng = np.random.default_rng(seed)
    lists = [np.sort(rng.permutation(n)[: n - 4]) for _ in range(n_inputs - 2)] + [np.r_[3:9, 20:26], np.r_[0:5, 33:41]]
    values = [w for w in range(low, high + 1) if w]
    axons = [axon(s, {int(t): int(w) for t, w in zip(own, rng.choice(values, len(own)), strict=True)}) for s, own in enumerate(lists)]
    return network([neuron() for _ in range(n)], axons, n_inputs=n_inputs)


@pytest.mark.parametrize(("low", "high", "bits"), [(3, 3, 1), (-2, 1, 2), (-8, 7, 4), (-128, 127, 8)])
def test_dense_lists_become_rows_of_about_one_field_a_synapse(low, high, bits):
    net = dense(low, high)
    packing = assert_packs(net)
    assert packing.pairs is not None
    assert packing.pairs.bits == bits
    assert packing.pairs.rows
    sizes = {t.name: t.n_bytes for t in packing.tables}
    assert sizes["row_weight"] <= 1.5 * net.n_synapses * bits / 8 + 4 * net.n_axons
    assert packing.drive_type == "uint32_t"


def test_clumps_become_chunks_and_spread_targets_stay_lists():
    clumps = network([neuron() for _ in range(64)], [axon(0, {t: t % 7 + 1 for t in (*range(4), *range(30, 34), *range(60, 64))})])
    packing = assert_packs(clumps)
    assert packing.pairs is not None
    assert (packing.pairs.rows, packing.pairs.chunks) == (False, True)
    assert assert_packs(network([neuron() for _ in range(64)], [axon(0, {t: t % 7 + 1 for t in range(0, 64, 9)})])).pairs is None


def test_sums_that_need_more_than_16_bits_are_never_paired():
    net = dense(-128, 127)
    assert pack(net).pairs is not None
    wide = network([neuron() for _ in range(41)], [axon(0, dict.fromkeys(range(41), 127) | {0: 126}, shift=7)], accumulator_bits=24, payload_bits=8)
    assert assert_packs(wide).pairs is None


@pytest.mark.parametrize(("weights", "bits"), [([-2, 1, 1], 2), ([-8, 7, 3], 4), ([-3, 1, 1], 4), ([-9, 7, 1], 8), ([127, -128, 1], 8), ([5, 5, 5], 0)])
def test_weights_take_the_narrowest_packing_that_holds_them(weights, bits):
    net = network([neuron() for _ in range(3)], [axon(0, dict(enumerate(weights)))])
    assert assert_packs(net).weight_bits == bits


def test_an_axon_whose_weights_are_all_equal_stores_one():
    net = network([neuron() for _ in range(6)], [axon(0, dict.fromkeys(range(6), -7)), axon(1, dict.fromkeys(range(3), 5))], n_inputs=2)
    packing = assert_packs(net)
    assert packing.weight_bits == 0
    assert packing.weight.table is not None
    assert packing.weight.table.values == (-7, 5)


def test_equal_lists_of_a_motif_array_are_stored_once():
    size, count, rng = 32, 3, np.random.default_rng(3)
    links = {j: sorted(rng.permutation(size)[:6].tolist()) for j in range(size)}
    axons = [axon(n, {n // size * size + i: int(rng.integers(1, 8)) for i in links[n % size]}) for n in range(size * count)]
    net = network([neuron() for _ in range(size * count)], axons, n_inputs=size * count)
    packing = assert_packs(net)
    assert packing.shared
    sizes = {t.name: len(t.values) for t in packing.tables}
    assert sizes["target_offset"] <= size * 6


def test_lists_without_a_twin_stay_as_they_are():
    rng = np.random.default_rng(4)
    axons = [axon(c, {int(t): 1 + c % 3 for t in np.sort(rng.permutation(40)[:20])}) for c in range(9)]
    assert not assert_packs(network([neuron() for _ in range(40)], axons, n_inputs=9)).shared


def test_what_a_network_does_not_use_takes_no_state_and_no_table():
    names = {field.name for field in lay_out(network([neuron()], [axon(0, {0: 1})])).fields}
    assert names == {"magic", "timestep", "membrane", "score", "drive", "n_fired", "fired", "reserved"} - ({"reserved"} - names)
    tables = {t.name for t in lay_out(network([neuron()], [axon(0, {0: 1})])).tables}
    assert tables == {"synapse_start", "synapse_target"} | (tables & {"axon_start"})


def test_a_compartment_without_memory_stores_no_current():
    kept = lay_out(network([neuron(current_decay=(0, 9))], [axon(0, {0: 1}), axon(0, {0: 2}, compartment=1)]))
    assert [c.slot for c in kept.compartments] == [None, 0]


def test_a_compartment_that_no_synapse_reaches_is_left_out():
    layout = lay_out(network([neuron(current_decay=(7, 8, 9))], [axon(0, {0: 1}, compartment=2)]))
    assert layout.packing.compartments == (2,)


def test_thresholds_take_two_bytes_at_16_bits_and_a_silent_neuron_cannot_reach_its_own():
    layout = lay_out(network([neuron(32767), neuron(0, firing=False)], [axon(0, {0: 1})]))
    assert layout.threshold.table is not None
    assert layout.threshold.table.ctype == "uint16_t"
    assert layout.threshold.table.values == (32767, 32768)


def test_the_refractory_period_of_a_silent_kind_is_not_stored():
    layout = lay_out(network([neuron(), neuron(0, firing=False, refractory=9)]))
    assert "refractory" not in {field.name for field in layout.fields}


def test_a_reset_that_takes_off_the_threshold_stores_nothing_more():
    net = network([neuron(5, reset=Reset.SUBTRACT), neuron(6, reset=Reset.SUBTRACT)])
    assert lay_out(net).reset_by_threshold
    assert "neuron_reset_by" not in {t.name for t in lay_out(net).tables}


def test_sizes_of_fields_are_a_multiple_of_eight_without_gaps():
    for seed in range(30):
        layout = lay_out(random_network(Seeded(np.random.default_rng(seed))))
        at = 0
        for field in layout.fields:
            element = {"u": 4, "i": 4}[field.ctype[0]] if "32" in field.ctype else 2 if "16" in field.ctype else 1
            assert at % element == 0
            at += field.n_bytes
        assert at == layout.state_bytes
        assert at % 8 == 0


def test_more_inputs_than_a_channel_number_can_name_are_refused():
    with pytest.raises(TargetError, match="at most 65535 input channels, not 65536"):
        lay_out(network([neuron()], n_inputs=65536))


@pytest.mark.parametrize(
    ("lo", "hi", "ctype"),
    [(0, 255, "uint8_t"), (-128, 127, "int8_t"), (0, 65535, "uint16_t"), (-1, 128, "int16_t"), (0, 65536, "uint32_t"), (-32769, 0, "int32_t")],
)
def test_the_narrowest_type_that_holds_the_numbers_is_taken(lo, hi, ctype):
    assert narrowest(lo, hi) == ctype


def test_a_column_is_a_number_a_ramp_or_a_table():
    assert column("a", [3, 3], "i", "").expression == "3"
    assert column("a", [-3], "i", "").expression == "(-3)"
    assert column("a", [4, 5, 6], "i", "", ramp=True).expression == "(4u + i)"
    assert column("a", [0, 1], "i", "", ramp=True).expression == "i"
    assert column("a", [4, 5], "i", "").expression == "a[i]"


def test_numbers_in_arithmetic_stay_signed_when_they_need_32_bits():
    wide = column("a", [70000, 3], "i", "").table
    assert wide is not None
    assert wide.ctype == "int32_t"
    assert table("a", [70000], "").ctype == "uint32_t"
