# SPDX-License-Identifier: Apache-2.0
"""Random numbers by counter, drawing of populations, ranks, Adam and the ascent direction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ormia.edge.errors import UsageError
from ormia.train.ec.evolution import Adam, Connectivity, MethodConfig, WeightEvolution, centered_ranks
from ormia.train.ec.model import Layout, unpack_rows
from ormia.train.ec.philox import philox, stream_key
from ormia.train.ec.topology import FreeTopology

LAYOUT = Layout(2, 64, 1)
FREE = FreeTopology(LAYOUT)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, 0xFFFFFFFFFFFFFFFF, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), 0x299F31D0A4093822, (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    ],
)
def test_philox_gives_the_known_answers_of_its_authors(counter, key, words):
    assert philox(*counter, np.uint64(key)) == words


def test_an_individual_is_the_same_whoever_draws_it_with_whom():
    method = Connectivity(MethodConfig(), FREE, seed=7)
    together = method.draw(np.arange(6), 3)
    assert np.array_equal(together[[5, 2]], method.draw(np.array([5, 2]), 3))
    for other in (method.draw(np.arange(6), 4), Connectivity(MethodConfig(), FREE, seed=8).draw(np.arange(6), 3), together[[1, 2, 3, 4, 5, 0]]):
        assert 0.4 < np.bitwise_count(together ^ other).sum() / (64 * together.size) < 0.6


@pytest.mark.parametrize("probability", [0.001, 0.3, 0.5, 0.999])
def test_connections_occur_with_their_probability(probability):
    method = Connectivity(MethodConfig(), FREE, seed=1)
    method.parameters[:] = probability
    rows = unpack_rows(method.draw(np.arange(300), 0))
    share, spread = rows.mean(), np.sqrt(probability * (1 - probability) / rows.size)
    assert abs(share - probability) < 5 * spread + 1e-5


@given(st.lists(st.sampled_from([1.0, 2.0, 2.5, -4.0]), min_size=2, max_size=30))
def test_centred_ranks_sum_to_nothing_and_treat_equals_alike(values):
    fitness = np.array(values)
    ranks = centered_ranks(fitness)
    assert ranks.sum() == pytest.approx(0, abs=1e-12)
    assert all((ranks[i] < ranks[j]) == (values[i] < values[j]) for i in range(len(values)) for j in range(len(values)))
    assert sorted(centered_ranks(fitness, by_index=True) * (len(values) - 1) + (len(values) - 1) / 2) == pytest.approx(range(len(values)))


def test_the_reference_breaks_ties_by_index():
    assert centered_ranks(np.array([1.0, 1.0, 1.0]), by_index=True).tolist() == [-0.5, 0, 0.5]


def test_adam_moves_by_the_learning_rate_at_first_whatever_the_size_of_the_gradient():
    adam = Adam(3, 0.15)
    assert adam.step(np.array([1e-3, -5.0, 0.0]), np.zeros(3)) == pytest.approx([0.15, -0.15, 0], abs=1e-5)
    first, second = 0.9 * 0.1e-3 + 0.1 * 2e-3, 0.999 * 0.001e-6 + 0.001 * 4e-6
    expected = 0.15 * (first / (1 - 0.81)) / (np.sqrt(second / (1 - 0.999**2)) + 1e-8)
    assert adam.step(np.array([2e-3, 0, 0]), np.zeros(3))[0] == pytest.approx(expected)


def test_the_direction_is_that_of_the_natural_gradient_and_probabilities_stay_within_bounds():
    config = MethodConfig(population=8, learning_rate=1.0, adam=False, epsilon=0.01)
    method = Connectivity(config, FREE, seed=2)
    method.parameters[:] = np.random.default_rng(0).uniform(0.2, 0.8, LAYOUT.bits)
    before, fitness = method.parameters.copy(), np.array([3.0, 1, 4, 1, 5, 9, 2, 6])
    bits = unpack_rows(method.draw(np.arange(8), 5)).reshape(8, -1).astype(float)
    method.learn(fitness, 5)
    direction = (centered_ranks(fitness)[:, None] * (bits - before)).mean(axis=0)
    assert method.parameters == pytest.approx(np.clip(before + direction, 0.01, 0.99))
    method.config = MethodConfig(population=8, epsilon=0.4)
    method.learn(fitness, 6)
    assert method.parameters.min() >= 0.4
    assert method.parameters.max() <= 0.6


def test_a_probability_of_one_half_deploys_no_connection():
    assert Connectivity(MethodConfig(), FREE, seed=0).center().sum() == 0


def test_evolution_finds_a_hidden_pattern_of_bits():
    layout = Layout(1, 64, 1)
    method = Connectivity(MethodConfig(population=64), FreeTopology(layout), seed=3)
    wanted = np.random.default_rng(1).random(layout.bits) < 0.5
    for generation in range(40):
        bits = unpack_rows(method.draw(np.arange(64), generation)).reshape(64, -1)
        method.learn((bits == wanted).sum(axis=1).astype(float), generation)
    assert (unpack_rows(method.center()).ravel() == wanted).mean() > 0.7


def test_weights_are_drawn_in_antithetic_pairs_and_climb():
    method = WeightEvolution(MethodConfig(kind="es", population=32, deviation=0.1, learning_rate=0.05), np.zeros(5), seed=4)
    pair = method.draw(np.array([6, 7]), 2)
    assert pair.sum(axis=0) == pytest.approx(np.zeros(5), abs=1e-7)
    goal = np.array([1.0, -1, 0.5, 0, 2])
    for generation in range(200):
        method.learn(-((method.draw(np.arange(32), generation) - goal) ** 2).sum(axis=1), generation)
    assert method.center()[0] == pytest.approx(goal, abs=0.2)


def test_a_family_shares_all_but_the_readout_and_its_members_rank_among_themselves_output_by_output():
    topology = FreeTopology(Layout(2, 64, 2))
    config = MethodConfig(population=12, family=4, learning_rate=1.0, readout_rate=2.0, adam=False)
    method = Connectivity(config, topology, seed=5)
    bits = unpack_rows(method.draw(np.arange(12), 3)).reshape(4, 3, -1)  # [member, family, bits]
    shared, own = bits[..., : topology.readout], bits[..., topology.readout :].reshape(4, 3, 2, 64)
    assert (shared == shared[:1]).all()
    assert 0.3 < (own[1:] != own[:-1]).mean() < 0.7
    assert (shared[0, 0] != shared[0, 1]).any()
    assert np.array_equal(method.draw(np.array([6, 1]), 3), method.draw(np.arange(12), 3)[[6, 1]])
    fitness = np.random.default_rng(0).normal(size=(12, 3))
    fitness[:, 0] = np.tile([3.0, 1, 2], 4)
    method.learn(fitness, 3)
    families = (np.array([0.5, -0.5, 0])[:, None] * shared[0]).mean(axis=0)
    apart = (fitness[:, 1:].reshape(4, 3, 2) - fitness[:, 1:].reshape(4, 3, 2).mean(axis=0)).reshape(12, 2)
    members = [(centered_ranks(apart[:, output])[:, None] * own[:, :, output].reshape(12, 64)).mean(axis=0) for output in (0, 1)]
    assert method.parameters == pytest.approx(np.clip(0.5 + np.concatenate([families, *(2 * member for member in members)]), 1e-3, 1 - 1e-3))


def test_a_search_may_start_at_a_random_sparse_network_whose_readout_is_open():
    method = Connectivity(MethodConfig(exploration=0.01, density=0.2), FREE, seed=6)
    hidden, readout = method.parameters[: FREE.readout], method.parameters[FREE.readout :]
    assert set(np.round(hidden, 3)) == {0.01, 0.99}
    assert abs((hidden > 0.5).mean() - 0.2) < 0.03
    assert (readout == 0.5).all()
    assert np.array_equal(method.parameters, Connectivity(MethodConfig(exploration=0.01, density=0.2), FREE, seed=6).parameters)
    assert not np.array_equal(method.parameters, Connectivity(MethodConfig(exploration=0.01, density=0.2), FREE, seed=7).parameters)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"population": 3}, "ranked"),
        ({"kind": "es", "population": 5}, "even"),
        ({"kind": "sgd"}, "ec, es or gradient"),
        ({"population": 12, "family": 5}, "families"),
        ({"population": 12, "family": 12}, "families"),
        ({"exploration": 0.6}, "exploration"),
    ],
)
def test_a_method_that_cannot_rank_is_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        MethodConfig(**wrong)


def test_uses_of_one_seed_share_no_numbers():
    assert len({int(stream_key(seed, purpose)) for seed in range(3) for purpose in range(3)}) == 9
