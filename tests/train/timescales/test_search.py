# SPDX-License-Identifier: Apache-2.0
"""The search for timescales: budgets, resume, the front, what is exported and what it costs, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
optuna = pytest.importorskip("optuna", reason="the search extra is not installed")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:tensorboard.*"),
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
]

from hypothesis import HealthCheck, given, settings  # noqa: E402
from networks import networks  # noqa: E402
from ormia.edge.ccode.backend import CBackend  # noqa: E402
from ormia.edge.cost import core_memories  # noqa: E402
from ormia.edge.errors import DataError, Error, TargetError, UsageError  # noqa: E402
from ormia.edge.events import events_from_payloads  # noqa: E402
from ormia.edge.netfile import read_network  # noqa: E402
from ormia.edge.runtime import NumbaBackend  # noqa: E402
from ormia.train.config import Config, FrontEndConfig  # noqa: E402
from ormia.train.export import to_network  # noqa: E402
from ormia.train.model import LayerConfig, ModelConfig, SCMLModel  # noqa: E402
from ormia.train.program import load_corpus  # noqa: E402
from ormia.train.recipe import recipe_names, with_settings  # noqa: E402
from ormia.train.timescales.config import RECIPES, Budget, SearchConfig, Space, count_weights, load_recipe, training_of  # noqa: E402
from ormia.train.timescales.hierarchy import Timescales  # noqa: E402
from ormia.train.timescales.kinds import drawn_together, fewer_kinds, kinds_table  # noqa: E402
from ormia.train.timescales.price import HISTORY, check_history, history_bits, price_of  # noqa: E402
from ormia.train.timescales.result import finish, write_front  # noqa: E402
from ormia.train.timescales.search import chosen, finished, front, open_study, run_trials, run_workers  # noqa: E402
from toy_events import Toy  # noqa: E402

LAYERS = (LayerConfig(neurons=16, motif=4), LayerConfig(neurons=8, motif=4))
SMALL = SearchConfig(
    trials=4, epochs=1, clips=2,
    space=Space(mean=(2.0, 6.0), spread=(0.0, 4.0), kernel=(2, 2), kernel_spread=(0, 0), dilation=(1, 3), delays=("kernel", "learnt")),
    training=Config(epochs=2, batch=16, model=ModelConfig(layers=LAYERS)),
)  # fmt: skip
POINT = {
    "mean": 4.0,
    "spread": 2.0,
    "jitter": 0.0,
    "kernel": 3,
    "kernel_spread": 0,
    "dilation": 2,
    "dilation_spread": 0,
    "shape": "tanh",
    "train": "",
    "delays": "kernel",
}


def test_a_search_goes_on_where_it_stopped_and_leaves_a_network_with_delays_that_c_and_numba_agree_on(tmp_path):
    fewer = dataclasses.replace(SMALL, trials=2)
    assert len(run_trials(fewer, Toy(), tmp_path).trials) == 2
    study = run_trials(SMALL, Toy(), tmp_path)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 4
    assert len(run_trials(SMALL, Toy(), tmp_path).trials) == 4
    result = finish(study, SMALL, Toy(), tmp_path, name="tiny")
    assert json.loads((tmp_path / "metrics.json").read_text()) == json.loads(json.dumps(result))
    best = chosen(study)
    assert best.values[0] == max(trial.values[0] for trial in study.trials)
    assert best.number in {one["trial"] for one in result["front"]}
    net = read_network(tmp_path / "network" / "net.ormia")
    assert net.max_delay > 0
    assert result["price"]["history_bits"] == sum(m.size for m in core_memories(net) if m.name in HISTORY)
    assert result["network"]["torch_exact_mode_agrees_on_every_clip"]
    clips = [events_from_payloads(clip) for clip in Toy().fixed("test")[0][:3]]
    for ours, theirs in zip(*(backend().load(net).run_many(clips) for backend in (NumbaBackend, CBackend)), strict=True):
        np.testing.assert_array_equal(ours.membranes, theirs.membranes)
        np.testing.assert_array_equal(ours.raster, theirs.raster)
    assert [path.suffix for path in write_front(study, tmp_path)] == [".svg", ".png"]
    with pytest.raises(DataError, match="must be of the same recipe and corpus"):
        open_study(dataclasses.replace(SMALL, epochs=2), "toy", tmp_path)


def test_what_a_budget_refuses_is_no_trial_of_the_front(tmp_path):
    config = dataclasses.replace(SMALL, trials=2, budget=Budget(history_bits=100))
    study = run_trials(config, Toy(), tmp_path)
    assert [trial.state.name for trial in study.trials] == ["PRUNED"] * 2
    assert front(study) == []
    with pytest.raises(DataError, match=r"none of 2 is. The last refusal: the history of events must take at most 100 bits"):
        chosen(study)


def test_workers_share_a_study_and_one_that_ends_badly_is_told(tmp_path):
    h5py = pytest.importorskip("h5py", reason="the train extra is not installed")
    for name in ("shd_train.h5", "shd_test.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            for values, kind in (("times", "float16"), ("units", "uint16")):
                written = file.create_dataset(f"spikes/{values}", (8,), dtype=h5py.vlen_dtype(kind))
                for clip in range(8):
                    written[clip] = np.linspace(0.1, 1.0, 5).astype(kind)
            file["labels"], file["extra/speaker"] = np.arange(8, dtype=np.uint16) % 2, np.arange(8, dtype=np.uint16)
            file["extra/keys"] = np.array([b"low", b"high"])
    events = FrontEndConfig(kind="events", options={"corpus": "shd", "n_timesteps": 10})
    training = dataclasses.replace(SMALL.training, front_end=events)
    config = dataclasses.replace(SMALL, trials=12, budget=Budget(history_bits=100), training=training)  # refused before training: quick
    run_workers(config, tmp_path, tmp_path / "run", 2)
    study = open_study(config, load_corpus(training, tmp_path).digest, tmp_path / "run")
    assert 12 <= finished(study) <= 13  # a worker ends what it has begun
    assert len({json.dumps(trial.params) for trial in study.trials}) == len(study.trials)
    with pytest.raises(Error, match="every worker must end well; 1 of 1 ended with 1"):
        run_workers(config, tmp_path / "none", tmp_path / "run", 1)


def test_what_is_dearer_than_the_budget_is_not_chosen(tmp_path):
    study = run_trials(dataclasses.replace(SMALL, trials=1, budget=Budget(cycles=10)), Toy(), tmp_path)
    assert study.trials[0].user_attrs["over_budget"]["cycles"] > 0
    assert front(study) == []


def test_layers_narrow_until_weights_fit_the_budget():
    free = training_of(SMALL, POINT, 8, 2).model
    assert [(layer.neurons, layer.delays) for layer in free.layers] == [(16, (0, 2, 4)), (8, (0, 2, 4))]
    tight = training_of(dataclasses.replace(SMALL, budget=Budget(weights=600)), POINT, 8, 2).model
    assert count_weights(tight, 8, 2) <= 600 < count_weights(free, 8, 2)
    assert all(layer.neurons % 4 == 0 for layer in tight.layers)
    with pytest.raises(UsageError, match=r"at most budget.weights = 50 weights; one motif a layer has \d+, \d+ too many"):
        training_of(dataclasses.replace(SMALL, budget=Budget(weights=50)), POINT, 8, 2)


@pytest.mark.parametrize("delays", ["kernel", "learnt"])
def test_the_count_of_weights_is_that_of_the_parameters(delays):
    config = training_of(SMALL, {**POINT, "delays": delays}, 8, 2)
    model = SCMLModel(config.model, 8, 2, 1)
    recurrent = sum(float(mask.sum()) for masks in model.masks for mask in masks)
    assert count_weights(config.model, 8, 2) == sum(w.numel() for w in (*model.feed_forward, model.readout)) + recurrent


@given(networks())
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_the_history_is_counted_as_the_core_stores_it(net):
    sources = max(net.n_inputs, int(net.axon_source.max(initial=-1)) + 1)
    expected = sum(m.size for m in core_memories(net) if m.name in HISTORY)
    assert history_bits(net.max_delay, sources, sources - net.n_inputs, net.formats.payload_bits) == expected


def test_a_delay_too_deep_is_refused_by_bits_and_timesteps():
    needed = history_bits(12, 100, 40, 3)
    check_history(12, 100, 40, 3, needed)
    with pytest.raises(TargetError) as refused:
        check_history(12, 100, 40, 3, needed - 1)
    found = re.search(r"takes (\d+), 1 too many: delays of at most (\d+) timesteps fit, (\d+) fewer", str(refused.value))
    assert found is not None
    fits = int(found[2])
    assert int(found[1]) == needed
    assert history_bits(fits, 100, 40, 3) < needed <= history_bits(fits + 1, 100, 40, 3)
    with pytest.raises(TargetError, match="not even the events of one timestep fit"):
        check_history(12, 100, 40, 3, 5)


def test_kinds_are_drawn_together_and_few_cost_less_memory():
    torch.manual_seed(0)
    model = SCMLModel(ModelConfig(layers=LAYERS, timescales=Timescales(shape="linear", mean=6.0, spread=6.0, jitter=0.3, kinds=16, train="neuron")), 8, 2, 1)
    assert len(np.unique(drawn_together(np.linspace(0.3, 0.95, 30), 4))) == 4
    assert [len(np.unique(fewer_kinds(model, 2).decay_integers(k)[0].detach().numpy())) for k in (0, 1)] == [2, 2]
    rows = kinds_table(model, *Toy().fixed("valid"), payload_bits=1, counts=(1, 4))
    assert [row["most"] for row in rows] == [1, 4, None]
    assert rows[0]["kinds"] < rows[1]["kinds"] < rows[2]["kinds"]
    assert rows[0]["neuron_parameter_bits"] < rows[2]["neuron_parameter_bits"]


def test_the_price_counts_clocks_of_the_clips():
    net = to_network(SCMLModel(ModelConfig(layers=LAYERS), 8, 2, 1), ("a", "b"), payload_bits=1)
    silent, busy = np.zeros((1, 10, 8), np.int16), np.ones((1, 10, 8), np.int16)
    assert price_of(net, silent).cycles < price_of(net, busy).cycles
    assert price_of(net, silent).max_delay == 0


@pytest.mark.parametrize("name", sorted(set(recipe_names(RECIPES)) - {"boolean"}))
def test_every_recipe_that_ships_is_valid(name):
    config = load_recipe(name)
    assert training_of(config, {**POINT, "shape": config.space.shapes[0]}, 120, 12).model.layers


@pytest.mark.parametrize(
    "wrong", ["space.mean=[3.0, 2.0]", "space.shapes=['given']", "space.train=['all']", "space.kernel=[0, 2]", "trials=0", "sampler=grid", "space.delays=[]"]
)
def test_a_wrong_setting_is_refused(wrong):
    with pytest.raises(UsageError):
        with_settings(load_recipe("quick"), [wrong])
