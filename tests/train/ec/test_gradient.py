# SPDX-License-Identifier: Apache-2.0
"""The network that gradients pass through is the one that evolution runs, and what they train is deployed the same way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ormia.edge.errors import UsageError
from ormia.train.ec.config import load_recipe
from ormia.train.ec.distributed import Workers
from ormia.train.ec.gradient import StraightThrough, listen
from ormia.train.ec.model import Layout, NetworkConfig, pack_rows
from ormia.train.ec.populations import BooleanPopulation
from ormia.train.ec.result import finish
from ormia.train.ec.scales import scales
from ormia.train.ec.search import run_search
from ormia.train.recipe import with_settings

FOLLOW = ["method.kind=gradient", "method.population=1", "method.family=1", "method.adam=true", "method.learning_rate=0.02", "method.readout_rate=1.0"]
SMALL = [*FOLLOW, "network.neurons=64", "task.episodes=24", "task.augmented=0", "generations=40", "evaluate_every=20"]


@pytest.mark.parametrize("settings", [{}, {"sub_steps": 3}, {"readout_delay": False}, {"tau_readout_ms": 60.0}])
def test_it_runs_the_network_of_the_packed_kernels(settings):
    values = {"tau_readout_ms": float("inf"), "sub_steps": 1, **settings}
    config = NetworkConfig(neurons=64, step_ms=20.0, tau_synapse_ms=20.0, tau_membrane_ms=60.0, gain_input=0.06, gain_recurrent=0.3, **values)
    layout, rng = Layout(5, 64, 3), np.random.default_rng(1)
    rows, events = rng.random((layout.rows, 64)) < 0.3, rng.integers(0, 4, (6, 20, 5)).astype(np.int16)
    population = BooleanPopulation(config, layout, scales(config, 5, 1.0, 20))
    population.load(pack_rows(rows)[None], 1)
    heard = np.zeros((6, 20, 3), np.float32)
    population.listen(0, events, heard)
    outputs, spikes = listen(config, layout, torch.from_numpy(rows.astype(np.float64)), torch.from_numpy(events.astype(np.float64)), population.scale.payload)
    assert population.spikes > 100
    assert int(spikes.sum()) == population.spikes
    assert outputs.numpy() == pytest.approx(heard[:, -1], rel=1e-4, abs=1e-4)


def test_a_readout_gets_the_exact_gradient_and_every_other_connection_some():
    config = NetworkConfig(neurons=64, sub_steps=1, step_ms=20.0, tau_membrane_ms=60.0, tau_readout_ms=float("inf"), gain_input=0.06)
    layout, rng = Layout(2, 64, 2), np.random.default_rng(2)
    rows, events = torch.from_numpy((rng.random((layout.rows, 64)) < 0.3) * 1.0), torch.from_numpy(rng.integers(0, 9, (4, 10, 2)) * 1.0)

    def loss(matrix):
        outputs, _ = listen(config, layout, matrix, events, 1.0)
        return (outputs**2).sum()

    (gradient,) = torch.autograd.grad(loss(rows.requires_grad_()), rows)
    for neuron in (0, 17, 63):
        step = torch.zeros_like(rows)
        step[layout.readout, neuron] = 1e-4
        with torch.no_grad():
            slope = (loss(rows + step) - loss(rows - step)) / 2e-4
        assert float(gradient[layout.readout, neuron]) == pytest.approx(float(slope), rel=1e-5, abs=1e-9)
    assert (gradient[: layout.recurrent] != 0).any(dim=1).all()
    assert float((gradient[layout.recurrent : layout.readout] != 0).double().mean()) > 0.3


def test_it_learns_resumes_and_deploys_as_integers(spoken, tmp_path):
    config = with_settings(load_recipe("keywords"), SMALL)
    search = run_search(config, tmp_path / "run", Workers(), data=spoken)
    fitness = [entry["fitness"] for entry in search.history]
    assert np.mean(fitness[-5:]) > np.mean(fitness[:5]) + 0.1
    assert isinstance(search.method, StraightThrough)
    result = finish(search, tmp_path / "run", Workers(), name="words", verify=["reference", "numba"])
    assert [row["differences"] for row in result["integer"]["verified"]] == [0, 0]
    assert result["bits"] == search.method.topology.bits
    for generations in (3, 5):
        resumed = run_search(with_settings(config, [f"generations={generations}"]), tmp_path / "pieces", Workers(), data=spoken)
    assert [entry["fitness"] for entry in resumed.history] == fitness[:5]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["method.population=8"], "population and method.family must be 1"),
        (["network.motif=32"], "gradient must come with task.kind = keywords and network.motif = 0"),
        (["task.kind=mts_xor", "task.standardize=false", "task.augmented=0"], "gradient must come with task.kind = keywords"),
        (["model=gru"], "must be es, not gradient"),
    ],
)
def test_what_has_no_gradient_is_refused(settings, words):
    with pytest.raises(UsageError, match=words):
        with_settings(load_recipe("keywords"), [*FOLLOW, *settings])


def test_one_process_follows_one_network(spoken, tmp_path):
    with pytest.raises(UsageError, match="one process"):
        run_search(with_settings(load_recipe("keywords"), SMALL), tmp_path, Workers(0, 2), data=spoken)
