# SPDX-License-Identifier: Apache-2.0
"""Figures of the cycle model that can be counted by hand; the gateware's tests hold every timestep of many networks to it."""

from __future__ import annotations

import numpy as np
import pytest
from build import axon, network, neuron, silent
from ormia.edge.cycles import CycleModel, plain_walk, queue_depth


def clocks(net, clip, raster=None) -> list[int]:
    shape = (len(clip) + net.formats.flush, net.n_neurons)
    return CycleModel.of(net).clip(clip, np.zeros(shape, bool) if raster is None else np.asarray(raster, bool)).tolist()


def test_a_timestep_without_events_is_its_sweep():
    net = network([silent()] * 7, [axon(0, {0: 1})], readout_neuron=[0, 1, 2], readout_class=[0, 0, 0])
    model = CycleModel.of(net)
    assert model.sweep_cycles == 7 * 2 + 7 + 3
    assert clocks(net, [[], []]) == [model.sweep_cycles + 1] * 2


def test_each_synapse_of_a_list_adds_one_clock():
    nets = [network([silent()] * 20, [axon(0, {t: 1 for t in range(n)})]) for n in (1, 2, 3, 20)]
    first, *others = [clocks(net, [[(0, 1)]])[0] for net in nets]
    assert [other - first for other in others] == [1, 2, 19]


def test_a_second_list_costs_its_synapses_only():
    axons = [axon(0, {t: 1 for t in range(8)}), axon(1, {t: 1 for t in range(5)})]
    net = network([silent()] * 9, axons, n_inputs=2)
    both, one = clocks(net, [[(0, 1), (1, 1)], [(0, 1)]])
    assert both - one == 5


def test_an_event_without_an_axon_and_a_payload_of_zero_cost_what_their_words_cost():
    net = network([silent()] * 3, [axon(0, {0: 1})], n_inputs=3)
    none, dropped = clocks(net, [[], [(1, 0), (2, 0), (1, 0)]])
    assert dropped - none == 3


def test_spikes_of_a_timestep_are_walked_in_the_next():
    net = network([neuron(5)] * 4, [axon(1 + n, {t: 1 for t in range(4)}) for n in range(4)])
    quiet, before, after = clocks(net, [[], [], []], [[0] * 4, [1, 1, 0, 1], [0] * 4])
    assert quiet == before
    assert after - before == 3 * 4 + 4 - 1  # the last sum is written back 4 clocks after its address; a quiet timestep waits 1 clock for its only word


def test_a_full_queue_holds_up_words_not_the_walk():
    axons = [axon(c, {t: 1 for t in range(10)}) for c in range(20)]
    shallow = CycleModel.of(network([silent()] * 10, axons, n_inputs=20))
    deep = CycleModel.of(network([silent()] * 10, axons, n_inputs=20), least_queue=32)
    assert (shallow.queue_depth, deep.queue_depth) == (2, 32)
    clip, raster = [[(c, 1) for c in range(20)]], np.zeros((1, 10), bool)
    assert shallow.clip(clip, raster).tolist() == deep.clip(clip, raster).tolist()


def test_a_delay_costs_its_list_in_the_timestep_it_reaches():
    net = network([silent()] * 6, [axon(0, {t: 1 for t in range(6)}, delay=2)])
    counted = clocks(net, [[(0, 1)], [], [], []])
    assert counted[2] - counted[3] == 6 + 5
    assert max(counted) == counted[2] == CycleModel.of(net).worst_step()


def test_the_worst_timestep_bounds_all():
    rng = np.random.default_rng(2)
    axons = [axon(s, {t: 1 for t in range(8) if rng.random() < 0.5}, delay=int(rng.integers(0, 3))) for s in range(12) for _ in range(2)]
    net = network([neuron(1)] * 8, axons, n_inputs=4)
    model = CycleModel.of(net)
    clip = [[(c, 1) for c in range(4)] for _ in range(6)]
    counted = model.clip(clip, np.ones((6, 8), bool))
    assert counted[-1] == counted.max() == model.worst_step()


def test_lengths_of_packing_plain_are_those_of_the_axons():
    net = network([silent()] * 3, [axon(1, {0: 1}), axon(1, {0: 1, 2: 1}), axon(0, {1: 1}, delay=4)], n_inputs=2)
    walk = plain_walk(net)
    assert walk.delays == (4, 0)
    assert walk.slots == (((1,), (0,)), ((0,), (1, 2)))
    assert walk.n_sources == 2


@pytest.mark.parametrize(("live", "least", "depth"), [(0, None, 2), (2, None, 2), (3, None, 4), (160, None, 256), (5, 9, 16)])
def test_the_queue_holds_every_spike(live, least, depth):
    assert queue_depth(live, least) == depth
