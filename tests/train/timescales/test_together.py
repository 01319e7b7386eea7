# SPDX-License-Identifier: Apache-2.0
"""Timescales with the other searches: one motif with time constants by layer, and boolean connections with searched ones."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("optuna", reason="the search extra is not installed")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:tensorboard.*"),
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
]

from ormia.edge import cli  # noqa: E402
from ormia.edge.errors import DataError, UsageError  # noqa: E402
from ormia.edge.netfile import read_network  # noqa: E402
from ormia.train.config import Config  # noqa: E402
from ormia.train.hrmas.config import SearchConfig as MotifConfig  # noqa: E402
from ormia.train.hrmas.result import finish as finish_motifs  # noqa: E402
from ormia.train.hrmas.search import run_search  # noqa: E402
from ormia.train.model import LayerConfig, ModelConfig  # noqa: E402
from ormia.train.timescales.boolean import BooleanConfig, is_boolean, load_boolean, search_boolean  # noqa: E402
from ormia.train.timescales.config import SearchConfig, Space  # noqa: E402
from ormia.train.timescales.hierarchy import Timescales, layer_means  # noqa: E402
from ormia.train.timescales.result import finish  # noqa: E402
from ormia.train.timescales.search import run_trials  # noqa: E402
from toy_events import Toy  # noqa: E402

MOTIF = ("*+.-", ".*+.", "..*+", "+..*", "1: *.*.")
EVOLVED = ("network.neurons=64", "method.population=4", "task.episodes=2", "task.evaluation=2", "task.final=3", "generations=2")
BOOLEAN = BooleanConfig(connections="mts_xor", settings=EVOLVED, trials=2, generations=1, taus={"tau_membrane_ms": [50.0, 400.0]})


def time_constants(net, first, count):
    """Of some neurons, in timesteps."""
    decay = net.kind_membrane_decay[net.neuron_kind[first : first + count]] / 2.0**net.formats.decay_bits
    return -1 / np.log(decay)


def test_a_search_for_motifs_keeps_the_time_constants_of_each_layer(tmp_path):
    scales = Timescales(shape="linear", mean=5.0, spread=6.0)
    model = ModelConfig(layers=(LayerConfig(neurons=8), LayerConfig(neurons=8)), timescales=scales)
    config = MotifConfig(epochs=1, size_epochs=1, sizes=(4,), training=Config(epochs=1, batch=16, model=model))
    finish_motifs(run_search(config, Toy(), tmp_path), Toy(), tmp_path, name="tiny")
    net = read_network(tmp_path / "network" / "net.ormia")
    assert [hint.size for hint in net.motifs] == [4, 4]
    for layer, mean in enumerate(layer_means(scales, 2)):
        np.testing.assert_allclose(time_constants(net, 8 * layer, 8), mean, rtol=0.01)


def test_a_found_motif_gets_time_constants_by_layer(tmp_path):
    layer = LayerConfig(neurons=8, topology=MOTIF)
    config = SearchConfig(
        trials=1, epochs=1, clips=1, space=Space(mean=(5.0, 5.0), spread=(4.0, 4.0), jitter=(0.0, 0.0), shapes=("linear",), train=("",), kernel=(2, 2)),
        training=Config(epochs=1, batch=16, model=ModelConfig(layers=(layer, layer))),
    )  # fmt: skip
    finish(run_trials(config, Toy(), tmp_path), config, Toy(), tmp_path)
    net = read_network(tmp_path / "network" / "net.ormia")
    assert [(hint.intra, hint.lateral) for hint in net.motifs] == [(net.motifs[0].intra, ((1, 0), (1, 2)))] * 2
    assert len(net.motifs[0].intra) == sum(letter != "." for row in MOTIF[:4] for letter in row)
    for number, tau in enumerate((3.0, 7.0)):
        np.testing.assert_allclose(time_constants(net, 8 * number, 8), tau, rtol=0.01)


def test_boolean_connections_get_the_time_constant_that_did_best(tmp_path):
    tried = []
    result = search_boolean(BOOLEAN, tmp_path, report=tried.append)
    assert json.loads((tmp_path / "metrics.json").read_text()) == json.loads(json.dumps(result))
    best = max(tried, key=lambda trial: trial.value)
    assert (len(tried), result["chosen"]) == (2, {"trial": best.number, "taus": best.params})
    net = read_network(tmp_path / "network" / "net.ormia")
    assert set(np.abs(net.synapse_weight).tolist()) == {1}
    np.testing.assert_allclose(time_constants(net, 0, 64), best.params["tau_membrane_ms"] / 10.0, rtol=0.01)
    assert result["network"]["generations"] == 2
    again: list = []
    assert search_boolean(BOOLEAN, tmp_path, report=again.append)["chosen"] == result["chosen"]
    assert again == []
    with pytest.raises(DataError, match="of the same recipe and corpus"):
        search_boolean(dataclasses.replace(BOOLEAN, generations=2), tmp_path)


def test_the_command_takes_a_recipe_of_boolean_connections(tmp_path, capsys):
    recipe = tmp_path / "tiny.toml"
    settings = ", ".join(f'"{setting}"' for setting in EVOLVED)
    recipe.write_text(f'connections = "mts_xor"\nsettings = [{settings}]\ntrials = 1\ngenerations = 1\n[taus]\ntau_membrane_ms = [90.0, 110.0]\n')
    given = ["-q", "search", "timescale", str(recipe), "--output", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as left:
        cli.main(given)
    assert left.value.code == 0
    assert "time constants of trial 0: tau_membrane" in capsys.readouterr().out
    with pytest.raises(SystemExit) as left:
        cli.main([*given, "--workers", "2"])
    assert (left.value.code, "--workers must be 1 for boolean connections" in capsys.readouterr().err) == (2, True)


def test_the_recipe_that_ships_is_told_from_the_others():
    assert load_boolean("boolean").evolved().task.kind == "keywords"
    assert [is_boolean(name) for name in ("boolean", "keywords", "quick", "none")] == [True, False, False, False]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"taus": {}}, "taus must give some of tau_synapse_ms"),
        ({"taus": {"tau_synapse_ms": [30.0, 20.0]}}, "a range from low to high"),
        ({"taus": {"tau_spike_ms": [20.0, 30.0]}}, "taus must give some of"),
        ({"taus": {"tau_membrane_ms": [5.0, 30.0]}}, r"within 1 to 4095.5 timesteps; 0.5 is below one timestep"),
        ({"trials": 0}, "trials and generations must be at least 1"),
        ({"connections": "walking"}, "not 'walking'"),
    ],
)
def test_bad_settings_of_boolean_connections_are_refused(wrong, sentence):
    with pytest.raises(UsageError, match=sentence):
        dataclasses.replace(BOOLEAN, **wrong)
