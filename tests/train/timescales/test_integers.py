# SPDX-License-Identifier: Apache-2.0
"""The published model as integers: it tells what float32 tells, timestep by timestep, and every backend gives the same bits."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from ormia.edge.ccode.backend import CBackend  # noqa: E402
from ormia.edge.errors import UsageError  # noqa: E402
from ormia.edge.events import events_from_payloads  # noqa: E402
from ormia.edge.runtime import NumbaBackend  # noqa: E402
from ormia.train.mts_xor import MtsXor, scored_timesteps  # noqa: E402
from ormia.train.timescales.integers import score_steps, to_integers  # noqa: E402
from ormia.train.timescales.paper import Chunks, PaperConfig, PaperNetwork, Trained, evaluate, fit_paper  # noqa: E402
from ormia.train.timescales.paper_kernels import LANES  # noqa: E402

SHAPES = [
    {"hidden": (10,), "recurrent": True, "mean_ms": 100.0},
    {"hidden": (6, 5), "spread_ms": 400.0, "delays": (0, 2)},
    {"hidden": (4, 4, 4), "jitter": 0.0},
]


@torch.no_grad()
def untrained(**shape):
    """A network as it starts, its statistics, some sequences, and what float32 says of them."""
    torch.manual_seed(0)
    network, chunks = PaperNetwork(PaperConfig(batch=LANES, sequences=LANES, **shape)), Chunks(LANES, np.random.default_rng(3))
    for offsets in network.offsets:
        offsets.copy_(torch.randn(len(offsets)) * 0.3)
    events, frozen = torch.from_numpy(chunks.events.astype(np.float32)), []
    network(events, frozen=frozen)
    margins = network(events, frozen=frozen)[0].T.numpy()
    return Trained(network, frozen, {}, chunks.sequences()), margins


def told(net, sequences):
    """Readout of class 1 less that of class 0, [n, T], aligned with the events."""
    traces = NumbaBackend().load(net).run_many([events_from_payloads(clip) for clip in sequences.events])
    emitted = np.stack([trace.membranes[net.formats.flush :, net.readout_neuron] for trace in traces])
    return emitted[:, :, 1].astype(np.int64) - emitted[:, :, 0]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape["hidden"])))
def test_integers_say_what_float32_says_at_every_timestep_and_finer_ones_more_nearly(shape):
    trained, margins = untrained(**shape)
    alike = []
    for weight_bits, membrane_bits, decay_bits in ((8, 20, 15), (3, 12, 8)):
        found = told(to_integers(trained, weight_bits=weight_bits, membrane_bits=membrane_bits, decay_bits=decay_bits), trained.test)
        alike.append(np.corrcoef(found.ravel(), margins.ravel())[0, 1])
    assert alike[0] > 0.97
    assert alike[0] > alike[1]


def test_what_biases_do_before_the_first_event_arrives_is_undone():
    trained, _ = untrained(hidden=(5,))
    silence = np.zeros((1, 100, 40), np.int16)
    with torch.no_grad():
        for offsets in trained.network.offsets[:1]:
            offsets.fill_(-1.0)  # no neuron fires
        chunk = torch.zeros(1, 100, 40, LANES)
        expected = trained.network(chunk, frozen=trained.frozen)[0, :, 0].numpy()
    net = to_integers(trained, membrane_bits=20, decay_bits=15)
    found = told(net, MtsXor(silence, np.zeros((1, 100), np.int64)))[0]
    np.testing.assert_allclose(found / found[-1], expected / expected[-1], atol=0.01)


def test_c_runs_the_bits_that_numba_runs():
    trained, _ = untrained(hidden=(6, 5), recurrent=True, delays=(0, 3))
    net, clips = to_integers(trained), [events_from_payloads(clip) for clip in trained.test.events[:5]]
    assert net.max_delay == 3
    for ours, theirs in zip(*(backend().load(net).run_many(clips) for backend in (NumbaBackend, CBackend)), strict=True):
        np.testing.assert_array_equal(ours.membranes, theirs.membranes)
        np.testing.assert_array_equal(ours.raster, theirs.raster)


def test_a_trained_network_loses_little_as_integers():
    config = PaperConfig(hidden=(10,), recurrent=True, sequences=2048, batch=128, epochs=5, steps_by="iteration", schedule="cosine", train_decays=True)
    trained = fit_paper(config)
    assert trained.figures["test_frozen"] > 0.6
    net = to_integers(trained, membrane_bits=24, decay_bits=15)  # after five epochs margins are still small
    assert score_steps(net, trained.test) == pytest.approx(trained.figures["test_frozen"], abs=0.02)


def test_sequences_come_back_as_they_were_drawn_and_only_scored_timesteps_count():
    trained, margins = untrained(hidden=(4,))
    sequences = trained.test
    assert sequences.events.shape == (LANES, 100, 40)
    again = Chunks(LANES, np.random.default_rng(3)).sequences()
    np.testing.assert_array_equal(again.events, sequences.events)
    right = ((margins > 0) == (sequences.targets > 0))[:, scored_timesteps()].mean()
    assert evaluate(trained.network, Chunks(LANES, np.random.default_rng(3)), trained.frozen) == pytest.approx(right)
    net = to_integers(trained)
    expected = ((told(net, sequences) > 0) == (sequences.targets > 0))[:, scored_timesteps()].mean()
    assert score_steps(net, sequences) == pytest.approx(expected)


def test_a_neuron_without_weights_is_refused():
    trained, _ = untrained(hidden=(4,))
    with torch.no_grad():
        trained.network.weights[0][:, 1] = 0
    with pytest.raises(UsageError, match="every neuron must have weights; one of layer 0 has none"):
        to_integers(trained)
