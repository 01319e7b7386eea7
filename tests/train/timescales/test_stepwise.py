# SPDX-License-Identifier: Apache-2.0
"""MTS-XOR learnt in integers: what training sees is what the exported file says, timestep by timestep."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from ormia.edge.errors import UsageError  # noqa: E402
from ormia.edge.runtime import Runtime  # noqa: E402
from ormia.train.timescales.integers import to_integers  # noqa: E402
from ormia.train.timescales.paper import Chunks, PaperConfig, PaperNetwork, Trained, freeze  # noqa: E402
from ormia.train.timescales.paper_kernels import LANES  # noqa: E402
from ormia.train.timescales.stepwise import StepConfig, StepNetwork, fit_steps  # noqa: E402

START = PaperConfig(hidden=(8,), recurrent=True, mean_ms=100.0, jitter=0.5, batch=LANES, sequences=4 * LANES)


@pytest.mark.parametrize("biases", [True, False])
def test_the_exported_network_says_what_training_saw_at_every_timestep(biases):
    torch.manual_seed(0)
    chunks, untrained = Chunks(4 * LANES, np.random.default_rng(0)), PaperNetwork(START)
    model = StepNetwork(to_integers(Trained(untrained, freeze(untrained, chunks), {}, chunks.sequences())), biases=biases)
    events = chunks.sequences().events[:20]
    with torch.no_grad():
        for parameter in (model.weights, model.decays):
            parameter.add_(torch.randn_like(parameter) * 0.05 * parameter.abs().max())
        model.weights[::5] = 0.2  # a synapse that rounds to nothing
    net = model.network()
    assert (net.n_synapses < len(model.weights), bool(net.bias.any())) == (True, biases)
    model = StepNetwork(net, biases=biases)
    emitted = np.stack([Runtime(net).trace(clip).membranes[net.formats.flush :, net.readout_neuron] for clip in events])
    with torch.no_grad():
        np.testing.assert_array_equal(model(events).numpy().T, (emitted[:, :, 1] - emitted[:, :, 0]).astype(np.float32))


def test_a_training_lowers_the_loss_and_moves_weights_biases_and_decays():
    config = StepConfig(start=START, epochs=3, batch=32)
    net, figures = fit_steps(config)
    assert figures["history"][-1]["loss"] < figures["history"][0]["loss"]
    assert figures["n_weights"] == 8 * (40 + 7 + 2)
    assert 0 <= figures["test"] <= 1
    still, _ = fit_steps(StepConfig(start=START, epochs=1, batch=32, decay_rate=0.0))
    assert not np.array_equal(net.kind_membrane_decay, still.kind_membrane_decay)
    assert not np.array_equal(net.bias, still.bias)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"learning_rate": 0.0}, {"decay_rate": -1.0}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(UsageError, match="must be at least 1, learning_rate above 0"):
        StepConfig(**wrong)
