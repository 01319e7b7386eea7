# SPDX-License-Identifier: Apache-2.0
"""The plain network against the golden vectors of the released code, and the packed kernels against the plain network."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ormia.edge.errors import UsageError
from ormia.train.ec.kernels import advance, constants, gather, new_state
from ormia.train.ec.model import Layout, NetworkConfig, PlainNetwork, pack_rows, unpack_rows

# released code, its own float32 arithmetic: outputs, spikes in 33 timesteps, first two membranes, first current, first rate
GOLDEN = {
    (8, 2): [
        ((0.5, -1), (0.192803, -0.209898), 6, (0.781667, -1.071555), 0.350615, 0.165380),
        ((1.5, 0.25), (0.386267, -0.149881), 6, (0.159036, 0.079861), 1.493139, 0.236841),
        ((-0.75, 2), (0.074183, -0.250033), 7, (-4.057692, 0.733076), -2.503651, 0.045485),
    ],
    (16, 3): [
        ((0.5, -1, 2), (0.208465, -0.449542), 9, (-2.553723, 0.067615), -0.753542, 0),
        ((1.5, 0.25, -0.5), (0.095384, 0.047954), 3, (0.107710, 0.184511), 0.421536, 0),
        ((-0.75, 2, 0), (-0.154111, -0.528711), 13, (0.456094, 0.999651), 1.033249, 0),
    ],
}


def reference_config(neurons: int) -> NetworkConfig:
    return NetworkConfig(neurons=neurons, payload_bits=0, readout_delay=False)


@pytest.mark.parametrize(("n", "d"), GOLDEN)
def test_the_plain_network_gives_the_golden_vectors_of_the_released_code(n, d):
    def matrix(rows, columns, holds):
        return np.array([[holds(a, b) for b in range(columns)] for a in range(rows)])

    inputs = matrix(2 * d, n, lambda a, b: (7 * a + 3 * b) % 5 < 2)
    recurrent = matrix(n, n, lambda a, b: (5 * a + 11 * b + a * b) % 7 < 3)
    readout = matrix(n, 2, lambda a, b: (3 * a + 2 * b) % 4 < 2)
    interleaved = np.empty_like(inputs)
    interleaved[0::2], interleaved[1::2] = inputs[:d], inputs[d:]  # there: first all of +x, then all of -x
    net = PlainNetwork(reference_config(n), interleaved, recurrent, readout.T, np.array([37 * j % 100 / 100 for j in range(n)]))
    before = 0
    for observation, outputs, spikes, membranes, current, rate in GOLDEN[n, d]:
        got = net.step(np.array(observation))
        assert got == pytest.approx(outputs, abs=2e-6)
        assert net.spikes - before == spikes
        assert net.membrane[:2] == pytest.approx(membranes, abs=2e-5)
        assert (net.current[0], net.rate[0]) == pytest.approx((current, rate), abs=2e-6)
        before = net.spikes


def test_the_gains_are_those_of_the_notes():
    config = NetworkConfig()
    assert [config.input_gain(d) for d in (4, 11, 17, 240)] == pytest.approx([1, 0.603023, 0.485071, 0.129099], abs=1e-6)
    assert (config.recurrent_gain, config.readout_gain) == pytest.approx((0.25, 0.441942), abs=1e-6)
    assert [Layout(d, 256, a).bits for d, a in ((4, 1), (11, 3), (17, 6), (240, 17))] == [67_840, 71_936, 75_776, 192_768]


@pytest.mark.parametrize("delay", [False, True])
@pytest.mark.parametrize("excitatory", [0.5, 0.3])
def test_the_packed_kernel_follows_the_plain_network(delay, excitatory):
    config = NetworkConfig(neurons=128, payload_bits=0, readout_delay=delay, excitatory=excitatory)
    layout, rng = Layout(3, 128, 2), np.random.default_rng(3)
    rows = rng.random((2, layout.rows, 128)) < 0.5
    state, gain = new_state(2, 128, 2), np.float32(config.membrane_share * config.input_gain(3))
    plain = [PlainNetwork(config, r[: layout.recurrent], r[layout.recurrent : layout.readout], r[layout.readout :]) for r in rows]
    both, total = np.arange(2), 0
    for _ in range(4):
        seen = rng.normal(size=(2, 3)).astype(np.float32)
        total += advance(constants(config), pack_rows(rows), both, both, seen, gain, config.sub_steps, state)
        for i in range(2):
            assert state.output[i] == pytest.approx(plain[i].step(seen[i]), abs=1e-4)
            assert state.membrane[i] == pytest.approx(plain[i].membrane, abs=1e-4)
    assert total == plain[0].spikes + plain[1].spikes > 100


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(0, 192))
def test_gathering_counts_exactly_what_a_matrix_product_counts(seed, words, excitatory):
    rng, n = np.random.default_rng(seed), 64 * words
    rows, fired = rng.random((n, n)) < rng.random(), rng.random(n) < rng.random()
    counts = np.full(n, 99, np.int16)
    sign = np.where(np.arange(n) < excitatory, 1, -1)
    active = gather(pack_rows(rows), pack_rows(fired), excitatory, counts)
    assert active == fired.any()
    assert not active or np.array_equal(counts, (sign * fired) @ rows)


def test_a_full_network_of_one_sign_does_not_overflow_its_counters():
    counts = np.zeros(512, np.int16)
    gather(pack_rows(np.ones((512, 512), bool)), pack_rows(np.ones(512, bool)), 512, counts)
    assert (counts == 512).all()


@given(st.integers(0, 2**32 - 1))
def test_packing_is_undone_by_unpacking(seed):
    rows = np.random.default_rng(seed).random((3, 128)) < 0.5
    assert np.array_equal(unpack_rows(pack_rows(rows)), rows)
    assert pack_rows(rows).nbytes * 8 == rows.size


def test_random_networks_are_as_active_as_the_notes_measured():
    config, layout, rng = reference_config(256), Layout(4, 256, 1), np.random.default_rng(1)
    n = 192
    genomes = pack_rows(rng.random((n, layout.rows, 256)) < 0.5)
    state, every, spikes = new_state(n, 256, 1), np.arange(n), 0
    for step in range(40):
        seen = rng.normal(size=(n, 4)).astype(np.float32)
        got = advance(constants(config), genomes, every, every, seen, np.float32(config.membrane_share), config.sub_steps, state)
        spikes += got if step >= 10 else 0
    # the notes measured 0.067; a few networks fire without end and carry much of the mean, so draws of 192 networks differ widely
    assert 0.04 < spikes / (30 * config.sub_steps * n * 256) < 0.1


@pytest.mark.parametrize("wrong", [{"neurons": 0}, {"excitatory": 1.5}, {"payload_bits": 1}, {"step_ms": 0.0}, {"density": 0.0}])
def test_impossible_constants_are_refused(wrong):
    with pytest.raises(UsageError, match="correct the recipe"):
        NetworkConfig(**wrong)


def test_rows_must_fill_whole_words():
    with pytest.raises(UsageError, match="multiple of 64"):
        Layout(4, 100, 1)
