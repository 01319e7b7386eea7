# SPDX-License-Identifier: Apache-2.0
"""The energy account against sums done by hand, and that every constant says where it is from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from ormia.edge.cost import Memory, footprint
from ormia.edge.energy import CONSTANTS, Activity, Row, _access, estimate, fpga_microwatts, operation_rows
from ormia.edge.errors import DataError
from ormia.edge.frontend import bank_front_end

ACTIVITY = Activity(spikes=100.0, synaptic_operations=10_000.0, axon_activations=500.0, neuron_updates=2_000.0)


def test_a_row_is_picojoules_times_how_often():
    assert Row("x", 2_000_000.0, 3.0).microwatts == 6.0


def test_every_constant_has_a_unit_a_meaning_and_a_source():
    for name, constant in CONSTANTS.items():
        assert constant.value > 0, name
        assert all((constant.unit, constant.meaning, constant.source)), name


@pytest.mark.parametrize(
    ("rows", "bits", "expected"), [(64, 64, 10.0), (4096, 64, 20.0), (131072, 64, 100.0), (1 << 20, 64, 100.0), (2560, 64, 15.0), (64, 0, 0.0)]
)
def test_an_access_costs_what_the_paper_says_of_its_size_and_the_mean_between(rows, bits, expected):
    assert _access(Memory("m", rows, bits)) == pytest.approx(expected)


def test_rows_are_the_counters_and_the_widths_of_the_core(hearing):
    net = hearing()
    rows = {row.name: row for row in operation_rows(net, ACTIVITY)}
    sizes = footprint(net)
    bits = {memory.name: memory.bits for memory in (sizes.plain if sizes.packing == "plain" else sizes.shared)}
    assert rows["synapses: read"].per_second == ACTIVITY.synaptic_operations
    assert rows["synapses: read"].picojoules == pytest.approx((bits["targets"] + bits["weights"]) * 10 / 64)
    assert rows["synapses: addition"].picojoules == pytest.approx(0.003125 * bits["accumulators"])
    assert rows["neurons: decay multiplications"].per_second == ACTIVITY.neuron_updates
    assert rows["neurons: decay multiplications"].picojoules == pytest.approx(2 * (0.0029948 * 256 + 0.0010417 * 16))
    assert rows["axons: queue and table"].per_second == ACTIVITY.axon_activations
    assert rows["spikes: reset"].per_second == ACTIVITY.spikes
    total = sum(row.per_second * row.picojoules for row in rows.values()) * 1e-6
    assert estimate(net, ACTIVITY)["operations"]["microwatts"] == pytest.approx(total)


def test_payloads_of_one_bit_are_not_multiplied(random_network):
    assert "synapses: times payload" not in {row.name for row in operation_rows(random_network(3, n_inputs=4, n_neurons=6, plain=True), ACTIVITY)}


def test_twice_the_work_takes_twice_the_power(hearing):
    net = hearing()
    twice = Activity(**{name: 2 * value for name, value in vars(ACTIVITY).items()})
    one, two = estimate(net, ACTIVITY), estimate(net, twice)
    assert two["operations"]["microwatts"] == pytest.approx(2 * one["operations"]["microwatts"])
    first, second = (found["microcontroller"]["instructions_per_second"] for found in (one, two))
    assert {name: second[name] / count for name, count in first.items()} == {
        "front end": 1, "axons": pytest.approx(2), "synapses": pytest.approx(2), "neurons": pytest.approx(2), "readout and detector": 1,
    }  # fmt: skip


def test_a_microcontroller_takes_its_cycles_times_what_each_costs(hearing):
    found = estimate(hearing(), ACTIVITY)["microcontroller"]
    assert found["front_end_included"]
    assert found["cycles_per_second"] == pytest.approx(1.5 * (50 * (35_294 + 686) + 500 * 55.1 + 10_000 * 2.55 + 2_000 * 29.38))
    assert [part["microwatts"] for part in found["parts"]] == pytest.approx([found["cycles_per_second"] * pj * 1e-6 for pj in (351, 275, 141, 53)])


def test_counted_instructions_are_those_of_the_bench():
    counted = json.loads((Path(__file__).parents[2] / "bench" / "results" / "mcu.json").read_text())["cores"]["cortex-m4"]
    hop = counted["instructions_per_hop"]["mean"]
    figures = {
        "front_end_instructions": hop["front_end"], "axon_instructions": counted["instructions_per_axon_besides"],
        "synapse_instructions": counted["instructions_per_synaptic_operation"], "neuron_instructions": counted["instructions_per_neuron_update"],
        "decision_instructions": hop["readout"] + hop["detector"],
    }  # fmt: skip
    assert {name: CONSTANTS[name].value for name in figures} == figures


def test_a_front_end_that_no_bench_counted_is_left_out_and_said(hearing):
    found = estimate(replace(hearing(), metadata={"front_end": bank_front_end(n_channels=8).to_dict()}), ACTIVITY)["microcontroller"]
    assert not found["front_end_included"]
    assert found["instructions_per_second"]["front end"] == 0


def test_the_fpga_is_estimated_only_where_a_core_was_placed(hearing):
    net = hearing()
    assert estimate(net, ACTIVITY, cycles=900.0, board_mhz=12.0)["fpga"] is None
    found = estimate(net, ACTIVITY, logic_cells=2000, cycles=400.0, board_mhz=12.0)["fpga"]
    assert found["mean"]["mhz"] == pytest.approx(0.02)  # 400 clocks in 20 ms
    assert found["board"]["microwatts"] == pytest.approx(fpga_microwatts(12.0, 2000, 2 * ACTIVITY.neuron_updates))
    assert found["mean"]["microwatts"] < found["worst"]["microwatts"] < found["board"]["microwatts"]
    assert estimate(net, ACTIVITY, logic_cells=2000)["fpga"]["mean"] is None


def test_the_model_stays_below_the_core_that_was_measured():
    assert fpga_microwatts(24, 3473) < CONSTANTS["syntzulu_measured"].value


def test_an_evaluation_without_a_counter_is_refused():
    rates = {"spikes": 1.0, "synaptic_operations": 2.0, "axon_activations": 3.0}
    with pytest.raises(DataError, match="run `ormia eval` again"):
        Activity.of({"per_second_of_audio": rates})
    assert Activity.of({"per_second_of_audio": rates | {"neuron_updates": 4}}).neuron_updates == 4.0


def test_a_network_without_a_front_end_has_no_timestep_and_no_power(hearing):
    with pytest.raises(DataError, match="how long a timestep lasts"):
        estimate(replace(hearing(), metadata={}), ACTIVITY)
