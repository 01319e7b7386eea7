# SPDX-License-Identifier: Apache-2.0
"""Clips as a task, and the command from a recipe to a file that `ormia eval` takes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ormia.edge import cli
from ormia.edge.errors import UsageError
from ormia.edge.netfile import read_network
from ormia.edge.runtime import Runtime
from ormia.train.ec.config import SearchConfig, TaskConfig, load_recipe
from ormia.train.ec.distributed import Workers
from ormia.train.ec.evolution import MethodConfig
from ormia.train.ec.result import finish
from ormia.train.ec.search import make_task, run_search
from ormia.train.mts_xor import draw_mts_xor
from ormia.train.recipe import with_settings

SMALL = ["network.neurons=64", "method.population=8", "generations=2", "evaluate_every=1", "task.episodes=4", "task.evaluation=6", "task.final=8"]


def test_fitness_is_the_cross_entropy_of_a_shared_batch():
    config = with_settings(load_recipe("mts_xor"), [*SMALL, "task.loss_gain=0.0"])
    task = make_task(config)
    from ormia.train.ec.search import Search

    search = Search.start(config, task)
    fitness, sums = task.fitness(search.population, search.method.draw(np.arange(3), 0), np.arange(3), 0, search.normalizer)
    assert fitness == pytest.approx(np.full(3, -np.log(2)))  # scores of no weight: both answers are as likely
    assert sums.sum() == 0


def test_a_searched_network_gives_as_integers_what_it_gave_as_floats(tmp_path):
    config = with_settings(load_recipe("mts_xor"), [*SMALL, "network.gain_recurrent=0.2"])  # weak recurrence is not chaotic
    search = run_search(config, tmp_path, Workers())
    result = finish(search, tmp_path, Workers(), name="xor", verify=["reference", "numba"])
    assert [row["differences"] for row in result["integer"]["verified"]] == [0, 0]
    net, events = read_network(tmp_path / "net.ormia"), draw_mts_xor(2, np.random.default_rng(3)).events
    outputs = np.zeros((2, 100, 2), np.float32)
    search.population.load(search.method.center(), 1)
    search.population.listen(0, events, outputs)
    emitted = Runtime(net).stream().push(events[0]) / search.scale.output
    assert emitted[:30] == pytest.approx(outputs[0, :30], abs=0.05)


def test_keywords_need_a_corpus():
    with pytest.raises(UsageError, match="--data"):
        make_task(SearchConfig(task=TaskConfig(kind="keywords"), method=MethodConfig(population=4)))


def test_the_command_searches_and_writes_what_it_says(tmp_path, capsys):
    settings = [word for setting in [*SMALL, "network.tau_readout_ms=inf"] for word in ("--set", setting)]
    with pytest.raises(SystemExit) as left:
        cli.main(["-q", "search", "ec", "mts_xor", "--output", str(tmp_path / "run"), "--json", *settings])
    said = json.loads(capsys.readouterr().out)
    assert left.value.code == 0
    assert said == json.loads((tmp_path / "run/metrics.json").read_text())
    assert said["generations"] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["chess"], 2, "a recipe must be a .toml file or one of cartpole"),
        (["cartpole", "--set", "method.popluation=3"], 2, "did you mean 'population'"),
        (["keywords"], 2, "--data"),
        (["keywords", "--data", "/nowhere"], 1, "corpus"),
    ],
)
def test_bad_input_is_one_sentence(arguments, code, words, tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["search", "ec", *arguments, "--output", str(tmp_path / "run")])
    said = capsys.readouterr().err
    assert left.value.code == code
    assert words in said
    assert sum(line.startswith("ormia: ") for line in said.splitlines()) == 1
