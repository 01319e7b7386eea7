# SPDX-License-Identifier: Apache-2.0
"""docs/semantics.md from the timestep on, sentence by sentence, as ``test_semantics.py`` does for what stands before it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from build import FULL, INPUT, NEURON, axon, membranes, network, neuron, payloads, refused, same_clip, silent, spikes
from naive import gathered_bounds
from networks import Seeded, random_network, random_payloads
from ormia.edge.events import events_from_payloads
from ormia.edge.network import MotifHint, Readout, Reset
from ormia.edge.reference import Reference
from ormia.edge.validation import gather_bounds

# One timestep


def test_s1_drive_is_the_exact_sum_of_payload_weight_and_shift_per_compartment():
    cell = silent(current_decay=(0, 0), current_shift=0)
    axons = [axon(0, {0: 3}, shift=2), axon(1, {0: -2}, shift=0), axon(0, {0: -5}, shift=1, compartment=1), axon(3, {0: 1})]
    net = network([cell, neuron(1, current_decay=(0, 0))], axons, n_inputs=2, payload_signed=True)
    assert membranes(net, payloads([-7, 4])) == [-7 * 12 - 8 + 70]


def test_s2_a_current_decays_before_the_shifted_drive_is_added():
    cell = silent(current_decay=(FULL // 2,), membrane_decay=0, drive_shift=3)
    net = network([cell], [axon(INPUT, {0: 3})])
    assert membranes(net, payloads(1, 0, 1, 0)) == [24, 12, 30, 15]


def test_s3_the_membrane_adds_each_compartment_truncated_by_itself_and_the_bias():
    cell = silent(current_decay=(0, 0), current_shift=1, bias=10)
    net = network([cell], [axon(INPUT, {0: 3}), axon(INPUT, {0: 3}, compartment=1)], payload_signed=True)
    assert membranes(net, payloads(1, -1)) == [10 + 1 + 1, 22 - 1 - 1]


def test_s3_the_membrane_sees_the_current_of_the_same_timestep():
    assert membranes(network([silent()], [axon(INPUT, {0: 4})]), payloads(1, 0)) == [4, 4]


def test_s4_a_refractory_neuron_gathers_but_neither_integrates_nor_fires():
    cell = neuron(10, current_decay=(FULL,), refractory=2, reset=Reset.SUBTRACT)
    net = network([cell], [axon(INPUT, {0: 10})])
    trace = same_clip(net, payloads(1, 1, 0, 0, 0))
    assert trace.raster[:, 0].tolist() == [True, False, False, True, False]
    # the current of 20 that came in while it rested acts at timestep 3
    assert trace.membranes[:, 0].tolist() == [0, 0, 0, 10, 10]


def test_s4_a_refractory_neuron_does_not_leak_and_takes_no_bias():
    cell = neuron(10, bias=50, membrane_decay=FULL // 2, refractory=2, reset=Reset.SUBTRACT)
    assert membranes(network([cell]), payloads(0, 0, 0, 0)) == [40, 40, 40, 60]


def test_s4_a_refractory_period_of_255_holds_for_255_timesteps():
    cell = neuron(1, bias=1, refractory=255)
    assert np.flatnonzero(spikes(network([cell], max_timesteps=300), payloads(*[0] * 300))).tolist() == [0, 256]


def test_s5_a_neuron_fires_at_equality_and_not_below():
    assert spikes(network([neuron(10)], [axon(INPUT, {0: 1})]), payloads(9, 1, 11)) == [0, 1, 1]


def test_s5_a_neuron_fires_at_most_once_a_timestep():
    trace = same_clip(network([neuron(10, reset=Reset.SUBTRACT)], [axon(INPUT, {0: 7})]), payloads(5, 0, 0, 0))
    assert trace.raster[:, 0].tolist() == [True, True, True, False]
    assert trace.counters.spikes == 3


def test_s5_a_neuron_of_a_non_firing_kind_never_fires():
    assert spikes(network([silent(bias=1000)]), payloads(0, 0)) == [0, 0]


@pytest.mark.parametrize(("reset", "values"), [(Reset.ZERO, [0, 0, 0]), (Reset.SUBTRACT, [13, 1, 1])])
def test_s6_reset_is_to_zero_or_by_reset_by_once_in_the_same_timestep(reset, values):
    net = network([neuron(10, reset=reset, reset_by=12)], [axon(INPUT, {0: 5})])
    assert membranes(net, payloads(5, 0, 0)) == values


def test_s6_the_refractory_count_becomes_r():
    net = network([neuron(1, bias=1, refractory=r) for r in (0, 1, 3)])
    assert [np.flatnonzero(spikes(net, payloads(*[0] * 8), of=n)).tolist() for n in range(3)] == [list(range(8)), [0, 2, 4, 6], [0, 4]]


def test_s7_no_neuron_sees_a_spike_of_the_same_timestep():
    starts = neuron(5, initial_membrane=5)
    follows = neuron(5)
    chain = [axon(NEURON + 1, {0: 5}), axon(NEURON, {2: 5})]  # neuron 1, then 0, then 2: against and along the index
    assert same_clip(network([follows, starts, follows], chain), payloads(0, 0, 0)).raster.astype(int).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(("mode", "scores"), [(Readout.SUM, [-9 + 3, 12]), (Readout.LAST, [-4 + 2, 4]), (Readout.SPIKES, [2, 0])])
def test_s8_the_score_of_a_class_is_summed_over_its_readout_neurons(mode, scores):
    cells = [neuron(9, bias=-1, initial_membrane=-1), neuron(3, bias=3, reset=Reset.SUBTRACT, reset_by=2, initial_membrane=-3), neuron(9, initial_membrane=4)]
    trace = same_clip(network(cells, readout=mode, readout_neuron=[2, 0, 1], readout_class=[1, 0, 0], labels=("a", "b")), payloads(0, 0, 0))
    assert trace.membranes.tolist() == [[-2, 0, 4], [-3, 1, 4], [-4, 2, 4]]
    assert trace.scores.tolist() == scores


def test_s8_the_last_timestep_of_a_clip_is_the_last_of_flush():
    net = network([silent(bias=1)], readout=Readout.LAST, flush=3)
    assert same_clip(net, payloads(0, 0)).scores.tolist() == [5]


def test_s8_each_timestep_emits_in_the_declared_order_of_readout_neurons():
    cells = [neuron(9, initial_membrane=4), neuron(3, bias=3, initial_membrane=1), neuron(9)]
    changes = {"readout_neuron": [2, 0, 1], "readout_class": [0, 0, 0]}
    emitted = []
    for mode in Readout:
        machine = Reference(network(cells, readout=mode, **changes))
        machine.step([])
        emitted.append(machine.emitted())
    assert emitted == [[0, 4, 0], [0, 4, 0], [0, 0, 1]]


def test_s8_in_mode_spikes_every_readout_neuron_fires():
    refused("readout mode SPIKES", [silent()], readout=Readout.SPIKES)


def test_s8_1_the_lowest_class_wins_a_tie():
    cells = [silent(bias=b) for b in (1, 3, 3, 2)]
    net = network(cells, readout_neuron=[3, 2, 1, 0], readout_class=[3, 2, 1, 0], labels=tuple("abcd"))
    assert same_clip(net, payloads(0)).label == 1


def test_s9_every_clip_starts_from_the_initial_state():
    axons = [axon(INPUT, {0: 9}), axon(INPUT, {0: 1}, delay=2), axon(NEURON, {0: -30}), axon(NEURON, {0: 20}, delay=1)]
    net = network([neuron(50, initial_membrane=3, bias=10, current_decay=(FULL,), refractory=1)], axons)
    machine = Reference(net)
    clip = events_from_payloads(payloads(4, 2, 0, 5))
    first, second = machine.run(clip), machine.run(clip)
    assert first.raster[-1].any()  # this spike, the currents and the refractory count end with the clip
    assert first.membranes.tolist() == second.membranes.tolist()
    assert first.counters == second.counters


def test_s9_a_clip_lasts_its_input_timesteps_and_flush():
    net = network([silent(bias=1)], flush=2)
    assert [len(same_clip(net, payloads(*[0] * t)).raster) for t in (0, 1, 5)] == [2, 3, 7]


def test_s9_1_a_stream_carries_its_state_on_and_has_no_flush():
    net = network([silent()], [axon(INPUT, {0: 1})], flush=3, max_timesteps=2)
    machine = Reference(net)
    emitted = []
    for _ in range(5):
        machine.step([(0, 2)])
        emitted.append(machine.emitted())
    assert emitted == [[2], [4], [6], [8], [10]]


# Proofs at construction


@pytest.mark.parametrize(
    ("signed", "weights", "lo", "hi", "bits"),
    [
        (False, [8, 9], 0, 255, 9),
        (False, [-8, -9], -255, 0, 9),
        (False, [9, -8], -120, 135, 9),
        (True, [8, 8], -128, 112, 8),
        (True, [-8, -8], -112, 128, 9),
        (True, [8, -8], -120, 120, 8),
    ],
)
def test_p1_worst_gathered_sums_fit_the_accumulator_or_the_network_is_refused(signed, weights, lo, hi, bits):
    axons = [axon(INPUT, {0: weight}, delay=d) for d, weight in enumerate(weights)]  # payloads 0..15 or -8..7
    net = network([silent()], axons, payload_signed=signed, accumulator_bits=bits)
    assert gathered_bounds(net) == (lo, hi)
    assert tuple(int(bound.item()) for bound in gather_bounds(net)) == (lo, hi)
    if bits > 8:
        refused(f"can reach {lo}..{hi} ", [silent()], axons, payload_signed=signed, accumulator_bits=bits - 1)


def test_p1_neuron_axons_count_with_payload_0_to_1_and_compartments_apart():
    axons = [axon(NEURON, {0: 127}), axon(NEURON, {0: -128}), axon(INPUT, {0: 1}, shift=3, compartment=1)]
    network([neuron(5, current_decay=(0, 0))], axons, payload_bits=4, accumulator_bits=8)
    refused("neuron 0, compartment 0 can reach -128..128", [neuron(5, current_decay=(0, 0))], [*axons, axon(NEURON, {0: 1})], accumulator_bits=8)


def test_p1_the_result_does_not_depend_on_the_order_of_axons():
    chance = Seeded(np.random.default_rng(7))
    net = random_network(chance, max_neurons=8)
    clip = random_payloads(chance, net, 30)
    order = np.arange(net.n_axons)[::-1]
    lists = [net.synapses(a) for a in order]
    changed = {name: getattr(net, name)[order] for name in ("axon_source", "axon_delay", "axon_shift", "axon_compartment", "axon_boolean")}
    changed["synapse_start"] = np.cumsum([0, *(len(targets) for targets, _ in lists)])
    changed["synapse_target"], changed["synapse_weight"] = (np.concatenate(parts) for parts in zip(*lists, strict=True))
    assert net.n_axons > 2
    assert np.array_equal(same_clip(net, clip).membranes, same_clip(replace(net, **changed), clip).membranes)


@pytest.mark.parametrize(
    ("mode", "readouts", "steps", "bits"),
    [
        (Readout.SUM, 1, 16, 13),
        (Readout.SUM, 2, 15, 13),
        (Readout.SUM, 1, 15, 12),
        (Readout.LAST, 1, 64, 9),
        (Readout.LAST, 2, 64, 10),
        (Readout.SPIKES, 2, 64, 9),
        (Readout.SPIKES, 1, 127, 8),
    ],
)
def test_p2_the_largest_score_of_a_class_fits_or_the_network_is_refused(mode, readouts, steps, bits):
    changes = {"readout": mode, "readout_neuron": list(range(readouts)), "readout_class": [0] * readouts, "membrane_bits": 8}
    formats = {"max_timesteps": steps - 1, "flush": 1} if mode != Readout.LAST else {"max_timesteps": steps, "flush": 255}
    network([neuron(5)] * readouts, **changes, **formats, score_bits=bits)
    if bits > 8:
        refused(f"every class score must fit score_bits = {bits - 1}", [neuron(5)] * readouts, **changes, **formats, score_bits=bits - 1)


# Structure hints

RING = MotifHint(base=1, size=2, count=3, intra=((0, 1), (1, 1)), lateral=((1, 0), (-1, 1)))


def ring_axons():
    """Every link of RING beside one that leaves the array; neuron n is source n + 1."""
    return [axon(n + 1, dict.fromkeys([*([0] if n == 1 else []), *RING.targets(n)], 3)) for n in range(1, 7)]


def test_h1_a_motif_hint_lists_the_links_within_and_between_motifs():
    assert [RING.targets(n) for n in range(1, 7)] == [[2, 3], [2], [4, 5], [2, 4], [6], [4, 6]]
    assert network([neuron(5)] * 8, ring_axons(), motifs=(RING,)).motifs == (RING,)


def test_h1_every_link_without_delay_inside_the_array_is_one_of_the_hint():
    for source, target in [(1, 1), (3, 1), (1, 5), (2, 4)]:
        refused(f"also reaches neuron {target}", [neuron(5)] * 8, [*ring_axons(), axon(source + 1, {target: 1})], motifs=(RING,))
        network([neuron(5)] * 8, [*ring_axons(), axon(source + 1, {target: 1}, delay=1)], motifs=(RING,))
    network([neuron(5)] * 8, [axon(INPUT, {1: 1}), axon(8, {1: 1}), axon(2, {0: 1, 7: 1})], motifs=(RING,))


def test_h1_a_link_without_a_synapse_is_allowed():
    network([neuron(5)] * 8, ring_axons()[:2], motifs=(RING,))


def test_h2_a_boolean_hint_is_refused_unless_all_weights_of_the_axon_are_equal():
    network([silent()] * 3, [axon(INPUT, {0: 2, 1: 2}, boolean=True), axon(INPUT, {}, boolean=True), axon(INPUT, {0: 1, 1: 2})])
    refused(r"boolean axon must be equal; axon 1 has \[2, 3\]", [silent()] * 3, [axon(INPUT, {0: 1, 1: 2}), axon(INPUT, {0: 2, 1: 3}, boolean=True)])


def test_h3_hints_change_neither_result_nor_counter():
    cells = [neuron(5, bias=2)] * 8
    plain = network(cells, ring_axons())
    hinted = network(cells, [a | {"boolean": True} for a in ring_axons()], motifs=(RING,))
    first, second = (same_clip(net, payloads(*[0] * 20)) for net in (plain, hinted))
    assert np.array_equal(first.membranes, second.membranes)
    assert first.counters == second.counters
    assert first.counters.synaptic_operations > 100


# Counters, trace


def test_c1_counters_count_spikes_synapses_axons_and_updates():
    resting = neuron(1, bias=1, refractory=9)
    net = network([resting, silent()], [axon(INPUT, {0: 1, 1: 1}), axon(INPUT, {}, delay=1), axon(NEURON, {1: 4})], flush=1)
    counters = same_clip(net, payloads(2, 0, 1)).counters
    # activations: axon 0 at timesteps 0 and 2, axon 1 at 1 and 3, axon 2 at 1; neuron 0 rests from timestep 1 on
    assert (counters.spikes, counters.synaptic_operations, counters.axon_activations, counters.neuron_updates) == (1, 5, 5, 8)


def test_t1_a_trace_holds_membranes_after_reset_spikes_scores_and_label():
    cells = [neuron(5, bias=5), neuron(9, bias=5), neuron(5, bias=6)]
    net = network(cells, readout_neuron=[0, 1], readout_class=[0, 1], labels=("a", "b"))
    machine = Reference(net)
    assert machine.step([]) == [0, 2]
    trace = same_clip(net, payloads(0))
    assert trace.membranes.tolist() == [[0, 5, 0]]
    assert np.flatnonzero(trace.raster[0]).tolist() == [0, 2]
    assert (trace.scores.tolist(), trace.label) == ([0, 5], 1)
