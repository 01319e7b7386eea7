# SPDX-License-Identifier: Apache-2.0
"""docs/semantics.md, sentence by sentence: the number a test cites is the first part of its name.

Expected values are written by hand. ``same_clip`` holds the naive oracle and the reference to each other on the way.
The timestep and all after it stand in ``test_semantics_timestep.py``, every refusal in ``test_refusals.py``.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from build import FULL, INPUT, NEURON, axon, membranes, network, neuron, payloads, refused, same_clip, silent, spikes
from ormia.edge.errors import DataError
from ormia.edge.events import events_from_payloads
from ormia.edge.network import SEMANTICS_VERSION, Formats, Reset
from ormia.edge.reference import Reference

DOCUMENT = Path(__file__).parents[1] / "docs" / "semantics.md"


# Formats


@pytest.mark.parametrize("bits", [8, 24])
def test_f1_states_are_twos_complement_of_8_to_24_bits(bits):
    top = 2 ** (bits - 1)
    up, down = silent(bias=top - 1), silent(bias=-top)
    net = network([up, down], membrane_bits=bits, max_timesteps=8)
    assert membranes(net, payloads(0, 0, 0), of=0) == [top - 1] * 3
    assert membranes(net, payloads(0, 0, 0), of=1) == [-top] * 3
    cell = silent(membrane_decay=0, drive_shift=7)
    net = network([cell, cell], [axon(INPUT, {0: 127, 1: -127}, shift=7)], current_bits=bits, membrane_bits=24, max_timesteps=8)
    assert same_clip(net, payloads(15)).membranes.tolist() == [[top - 1, -top]]


def test_f1_the_default_is_16_bits():
    assert (Formats().membrane_bits, Formats().current_bits) == (16, 16)


@pytest.mark.parametrize(("bits", "weight"), [(2, -2), (2, 1), (4, -8), (4, 7), (8, -128), (8, 127)])
def test_f2_a_weight_has_the_full_range_of_its_bits(bits, weight):
    net = network([silent()], [axon(INPUT, {0: weight})], weight_bits=bits)
    assert membranes(net, payloads(1, 0)) == [weight, weight]
    refused("weight_bits", [silent()], [axon(INPUT, {0: weight + (1 if weight > 0 else -1)})], weight_bits=bits)


@pytest.mark.parametrize("bits", [8, 15])
def test_f3_a_decay_factor_is_0_to_two_to_the_f_inclusive(bits):
    full = silent(initial_membrane=100, membrane_decay=2**bits, current_decay=(2**bits,))
    nothing = silent(initial_membrane=100, membrane_decay=0)
    half = silent(initial_membrane=100, membrane_decay=2 ** (bits - 1))
    net = network([full, nothing, half], decay_bits=bits)
    assert same_clip(net, payloads(0)).membranes.tolist() == [[100, 0, 50]]
    refused("kind_membrane_decay", [silent(membrane_decay=2**bits + 1, current_decay=(0,))], decay_bits=bits)
    assert Formats().decay_bits == 12


@pytest.mark.parametrize(("bits", "signed", "lo", "hi"), [(1, False, 0, 1), (8, False, 0, 255), (2, True, -2, 1), (8, True, -128, 127)])
def test_f4_payloads_have_the_declared_width_and_sign(bits, signed, lo, hi):
    net = network([silent()], [axon(INPUT, {0: 1})], payload_bits=bits, payload_signed=signed)
    assert membranes(net, payloads(lo, hi)) == [lo, lo + hi]
    for payload in (lo - 1, hi + 1):
        with pytest.raises(DataError, match="a payload must be in"):
            Reference(net).run([[(0, payload)]])


def test_f5_the_accumulator_holds_every_gathered_sum_of_its_width():
    network([silent()], [axon(INPUT, {0: 127}), axon(INPUT, {0: -128}, delay=1)], payload_bits=1, accumulator_bits=8)
    refused("accumulator_bits = 8", [silent()], [axon(INPUT, {0: 127}), axon(INPUT, {0: 1}, delay=1)], payload_bits=1, accumulator_bits=8)


def test_f6_the_longest_clip_counts_input_timesteps_only():
    net = network([silent(bias=1)], max_timesteps=3, flush=2)
    assert membranes(net, payloads(0, 0, 0)) == [1, 2, 3, 4, 5]
    with pytest.raises(DataError, match="at most max_timesteps = 3 timesteps, not 4"):
        Reference(net).run([[]] * 4)


def test_f7_flush_timesteps_run_without_input_after_the_last():
    net = network([silent()], [axon(INPUT, {0: 5}, delay=2)], flush=3)
    assert membranes(net, payloads(1)) == [0, 0, 5, 5]
    assert len(same_clip(network([silent()], flush=255), payloads(0)).raster) == 256


# Axons


def test_a1_an_axon_has_a_source_a_delay_a_shift_a_compartment_and_synapses():
    cell = silent(current_decay=(0, 0))
    net = network([cell, cell], [axon(INPUT, {0: 3, 1: -2}, delay=1, shift=2, compartment=1)])
    assert same_clip(net, payloads(1, 0, 0)).membranes.tolist() == [[0, 0], [12, -8], [12, -8]]


def test_a2_inputs_and_neurons_are_one_index_space_of_sources():
    fires = neuron(1, bias=1)
    net = network([fires, silent(membrane_decay=0)], [axon(2, {1: 7}), axon(1, {1: 100})], n_inputs=2)  # source 2 is neuron 0
    assert membranes(net, payloads([0, 0], [0, 0], [0, 0]), of=1) == [0, 7, 7]


def test_a2_axons_may_share_a_source_and_a_source_may_have_none():
    net = network([silent()], [axon(1, {0: 3}), axon(1, {0: 4}), axon(1, {0: 4})], n_inputs=2)
    assert membranes(net, payloads([1, 1])) == [11]


def test_a3_delay_shift_and_compartment_reach_the_ends_of_their_ranges():
    cell = silent(current_decay=(0,) * 4, membrane_decay=0)
    net = network([cell], [axon(INPUT, {0: 1}, delay=255, shift=7, compartment=3)], max_timesteps=256)
    assert membranes(net, payloads(1, *[0] * 255)) == [0] * 255 + [128]


def test_a4_an_axon_may_have_no_synapses_and_counts_when_it_is_active():
    trace = same_clip(network([silent()], [axon(INPUT, {}), axon(INPUT, {0: 1}), axon(INPUT, {})]), payloads(1))
    assert (trace.counters.axon_activations, trace.counters.synaptic_operations) == (3, 1)


def test_a5_an_input_event_arrives_after_the_delay_with_its_payload():
    net = network([silent(membrane_decay=0)], [axon(INPUT, {0: 1}), axon(INPUT, {0: 10}, delay=2)])
    assert membranes(net, payloads(3, 0, 5, 0, 0)) == [3, 0, 5 + 30, 0, 50]


def test_a6_a_spike_arrives_one_timestep_and_the_delay_later_with_payload_1():
    once = neuron(1, initial_membrane=1)
    net = network([once, silent(membrane_decay=0)], [axon(NEURON, {1: 1}), axon(NEURON, {1: 10}, delay=2)], payload_bits=8)
    assert spikes(net, payloads(0, 0, 0, 0, 0)) == [1, 0, 0, 0, 0]
    assert membranes(net, payloads(0, 0, 0, 0, 0), of=1) == [0, 1, 0, 10, 0]


def test_a7_payload_0_is_no_event():
    net = network([silent()], [axon(INPUT, {0: 3}), axon(INPUT, {0: 3}, delay=1)])
    trace = Reference(net).run([[(0, 0)], [(0, 0)]])
    assert trace.counters.axon_activations == 0
    assert trace.membranes.tolist() == [[0], [0]]


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([[], [(1, 1)]], r"channel must be in 0\.\.0, not 1 \(timestep 1\)"),
        ([[(-1, 1)]], r"channel must be in 0\.\.0, not -1 \(timestep 0\)"),
        ([[(0, 16)]], r"payload must be in 0\.\.15, not 16 \(timestep 0, channel 0\)"),
        ([[(0, -1)]], r"payload must be in 0\.\.15, not -1"),
        ([[], [(0, 1), (0, 1)]], r"at most one event a timestep; channel 0 has two at timestep 1"),
    ],
)
def test_a7_an_event_outside_the_declared_ranges_is_an_error(events, message):
    with pytest.raises(DataError, match=message):
        Reference(network([silent()])).run(events)


def test_a8_the_event_history_is_empty_at_clip_start():
    net = network([silent()], [axon(INPUT, {0: 5}, delay=1)])
    machine = Reference(net)
    assert [machine.run(events_from_payloads(payloads(1))).membranes.tolist() for _ in range(2)] == [[[0]], [[0]]]


def test_a8_an_activation_after_the_last_timestep_is_lost():
    net = network([silent(), neuron(1, bias=1)], [axon(INPUT, {0: 5}, delay=2), axon(2, {0: 1})])
    trace = same_clip(net, payloads(1, 0))
    assert trace.membranes[:, 0].tolist() == [0, 1]
    assert trace.counters.axon_activations == 1  # the spike of timestep 0; that of timestep 1 and the event are lost


def test_a9_a_neuron_may_link_to_itself():
    net = network([neuron(10, initial_membrane=10)], [axon(NEURON, {0: 12})])
    assert spikes(net, payloads(0, 0, 0)) == [1, 1, 1]


def test_a9_networks_without_inputs_axons_or_synapses_are_legal():
    empty = network([silent()], n_inputs=0)
    assert same_clip(empty, np.zeros((2, 0), np.int16)).membranes.tolist() == [[0], [0]]
    assert same_clip(empty, np.zeros((0, 0), np.int16)).scores.tolist() == [0]
    assert same_clip(network([silent()], [axon(INPUT, {})]), payloads(1)).counters.synaptic_operations == 0


# Neurons


def test_n1_each_compartment_has_its_own_current():
    cell = silent(current_decay=(FULL, FULL // 2, 0), membrane_decay=0)
    net = network([cell], [axon(INPUT, {0: 8}, compartment=k) for k in range(3)])
    assert membranes(net, payloads(1, 0, 0)) == [24, 12, 10]


def test_n1_a_current_has_its_own_format():
    cell = silent(current_decay=(FULL,), membrane_decay=0)
    net = network([cell], [axon(INPUT, {0: 100})], current_bits=8)
    assert membranes(net, payloads(1, 1, 0)) == [100, 127, 127]


def test_n2_every_entry_of_a_kind_belongs_to_the_neurons_of_that_kind():
    kinds = {
        "kind_membrane_decay": [FULL, 0],
        "kind_current_decay": [[0], [FULL]],
        "kind_firing": [True, True],
        "kind_reset": [Reset.SUBTRACT, Reset.ZERO],
        "kind_refractory": [0, 1],
        "kind_drive_shift": [0, 1],
        "kind_current_shift": [0, 2],
    }
    net = network([neuron(5)] * 3, [axon(INPUT, {0: 8, 1: 8, 2: 8})], neuron_kind=[1, 0, 1], **kinds)
    trace = same_clip(net, payloads(1, 1, 0))
    # kind 0: 8 -> 3, 11 -> 6, 6 -> 1; kind 1: current 16, 32, 32 and a quarter of it each timestep
    assert trace.membranes.tolist() == [[4, 3, 4], [0, 6, 0], [0, 1, 0]]
    assert trace.raster.tolist() == [[False, True, False], [True, True, True], [False, True, False]]


def test_n2_a_table_holds_up_to_256_kinds():
    cells = [silent(bias=n) for n in range(256)]
    assert same_clip(network(cells), payloads(0)).membranes.tolist() == [list(range(256))]
    refused(r"1\.\.256 kinds, not 257", [*cells, silent()], neuron_kind=[0] * 257)


def test_n3_threshold_reset_by_bias_and_initial_membrane_belong_to_the_neuron():
    cells = [neuron(th, reset=Reset.SUBTRACT, reset_by=rb, bias=b, initial_membrane=i) for th, rb, b, i in [(5, 1, 1, 4), (6, 2, 3, 3), (7, 3, -1, 9)]]
    trace = same_clip(network(cells, neuron_kind=[0, 0, 0]), payloads(0))
    assert trace.membranes.tolist() == [[4, 4, 5]]
    assert trace.raster.all()


def test_n3_bias_and_initial_membrane_have_the_format_of_the_membrane():
    cells = [silent(initial_membrane=-128), silent(initial_membrane=127), silent(bias=-128), silent(bias=127)]
    assert same_clip(network(cells, membrane_bits=8), payloads(0)).membranes.tolist() == [[-128, 127, -128, 127]]
    refused("bias", [silent(bias=128)], membrane_bits=8)
    refused("initial_membrane", [silent(initial_membrane=-129)], membrane_bits=8)


@pytest.mark.parametrize("threshold", [1, 127])
def test_n4_a_threshold_is_1_to_the_largest_membrane(threshold):
    net = network([neuron(threshold, initial_membrane=threshold - 1, bias=1)], membrane_bits=8)
    assert spikes(net, payloads(0)) == [1]
    refused("threshold", [neuron(0)], membrane_bits=8)
    refused("threshold", [neuron(128, reset_by=0)], membrane_bits=8)


@pytest.mark.parametrize("reset_by", [0, 127])
def test_n4_reset_by_is_0_to_the_largest_membrane_and_used_by_subtract_only(reset_by):
    subtract = neuron(3, initial_membrane=3, reset=Reset.SUBTRACT, reset_by=reset_by)
    net = network([subtract, subtract | {"reset": Reset.ZERO}], membrane_bits=8)
    assert same_clip(net, payloads(0)).membranes.tolist() == [[3 - reset_by, 0]]
    refused("reset_by", [neuron(3, reset_by=128)], membrane_bits=8)
    refused("reset_by", [neuron(3, reset_by=-1)], membrane_bits=8)


def test_n4_reset_by_defaults_to_the_threshold():
    net = network([neuron(7), silent(), neuron(9)], reset_by=None)
    assert net.reset_by.tolist() == [7, 0, 9]


def test_n5_non_firing_neurons_have_no_threshold_no_reset_and_no_axon():
    refused("threshold of a non-firing neuron", [silent() | {"threshold": 1, "reset_by": 0}])
    refused("reset_by of a non-firing neuron", [silent(reset_by=1)])
    refused("must source no axon; axon 0 has neuron 0", [silent()], [axon(NEURON, {})])


# Arithmetic


@pytest.mark.parametrize(
    ("start", "factor", "values"),
    [(100, 3840, [93, 87, 81]), (-100, 3840, [-93, -87, -81]), (1, 4095, [0, 0, 0]), (-1, 4095, [0, 0, 0]), (-7, 0, [0, 0, 0]), (-7, FULL, [-7, -7, -7])],
)
def test_d1_decay_truncates_toward_zero_for_both_signs(start, factor, values):
    assert membranes(network([silent(initial_membrane=start, membrane_decay=factor)]), payloads(0, 0, 0)) == values


def test_d2_a_current_saturates_once_on_the_exact_sum():
    cell = silent(current_decay=(FULL,), membrane_decay=0)
    net = network([cell], [axon(0, {0: 127}), axon(1, {0: -127}), axon(2, {0: 5})], n_inputs=3, current_bits=8)
    # 127 + 15 * 127 - 15 * 127 + 5 is 132; a sum that saturated on the way would be elsewhere
    assert membranes(net, payloads([1, 0, 0], [15, 15, 0], [15, 15, 1], [0, 3, 0])) == [127, 127, 127, -128]
    assert membranes(net, payloads([15, 15, 1])) == [5]


def test_d2_a_membrane_saturates_once_on_the_exact_sum():
    cell = silent(initial_membrane=127, bias=-127)
    net = network([cell], [axon(INPUT, {0: 127})], membrane_bits=8, current_bits=16)
    assert membranes(net, payloads(1, 2, 0, 0)) == [127, 127, 0, -127]
    assert membranes(net, payloads(0, 0, 0)) == [0, -127, -128]


def test_d2_saturation_acts_when_a_decay_factor_is_0():
    cell = silent(current_decay=(0,), membrane_decay=0)
    net = network([cell, cell], [axon(INPUT, {0: 100, 1: -100})], current_bits=8, membrane_bits=12)
    assert same_clip(net, payloads(2)).membranes.tolist() == [[127, -128]]
    net = network([cell, cell], [axon(INPUT, {0: 100, 1: -100})], current_bits=12, membrane_bits=8)
    assert same_clip(net, payloads(2)).membranes.tolist() == [[127, -128]]


# The document itself


def test_every_numbered_sentence_is_cited_by_a_test_and_every_citation_exists():
    sentences = set(re.findall(r"^\* \*\*([A-Z]\d+(?:\.\d+)?)\b", DOCUMENT.read_text(), re.MULTILINE))
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_semantics*.py"))
    cited = {name.upper().replace("_", ".") for name in re.findall(r"^def test_([a-z]\d+(?:_\d+)?)_", tests, re.MULTILINE)}
    assert sentences >= {"F1", "A9", "N5", "D2", "S8.1", "S9.1", "P2", "H3", "C1", "T1"}
    assert sorted(sentences - cited) == []
    assert sorted(cited - sentences) == []


def test_the_document_and_the_code_name_the_same_version():
    assert f"version {SEMANTICS_VERSION}\n" in DOCUMENT.read_text().splitlines(keepends=True)[0]
