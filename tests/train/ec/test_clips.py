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
from ormia.train.ec.search import Search, make_task, run_search
from ormia.train.mts_xor import draw_mts_xor
from ormia.train.recipe import with_settings

SMALL = ["network.neurons=64", "method.population=8", "generations=2", "evaluate_every=1", "task.episodes=4", "task.evaluation=6", "task.final=8"]


def test_fitness_is_the_cross_entropy_of_a_shared_batch():
    config = with_settings(load_recipe("mts_xor"), [*SMALL, "task.loss_gain=0.0"])
    task = make_task(config)
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


FAMILIES = ["network.neurons=64", "method.population=16", "method.family=4", "generations=3", "evaluate_every=3", "task.episodes=24", "task.augmented=1"]


def test_a_family_hears_once_what_its_members_hear_and_an_output_is_judged_beside_the_mean_of_the_others(spoken):
    config = with_settings(load_recipe("keywords"), [*FAMILIES, "task.loss_gain=0.01", "task.standardize=false"])
    search = Search.start(config, make_task(config, spoken))
    genomes = search.method.draw(np.arange(16), 0)
    fitness, _ = search.task.fitness(search.population, genomes, np.arange(16), 0, search.normalizer)
    events, labels = search.task._draw(0, np.random.default_rng([config.seed, 0, 0]), config.task.episodes)
    outputs, heard = np.zeros((*events.shape[:2], 3), np.float32), np.zeros((len(events), 4, 3))
    for member, i in enumerate(range(2, 16, 4)):  # the members of family 2
        search.population.load(genomes[i : i + 1], 1)
        search.population.listen(0, events, outputs)
        heard[:, member] = outputs[:, -1] * 0.01
    mean = heard.mean(axis=1)

    def said(scores):
        return np.mean([scores[clip, label] - np.log(np.exp(scores[clip]).sum()) for clip, label in enumerate(labels[:, 0])])

    assert fitness[[2, 14], 0] == pytest.approx(said(mean), abs=1e-6)
    for output in range(3):
        exchanged = mean.copy()
        exchanged[:, output] = heard[:, 1, output]
        assert fitness[6, 1 + output] == pytest.approx(said(exchanged), abs=1e-6)
    assert len(set(fitness[:4, 0])) == 4


def test_a_family_is_not_split_between_workers(spoken, tmp_path):
    with pytest.raises(UsageError, match="whole families"):
        run_search(with_settings(load_recipe("keywords"), FAMILIES), tmp_path, Workers(0, 3), data=spoken)


def test_a_standardized_keyword_network_deploys_its_offsets_and_hears_as_integers_what_it_heard_as_floats(spoken, tmp_path):
    config = with_settings(load_recipe("keywords"), [*FAMILIES, "network.gain_recurrent=0.2"])
    search = run_search(config, tmp_path, Workers(), data=spoken)
    result = finish(search, tmp_path, Workers(), name="words", verify=["reference", "numba"])
    assert [row["differences"] for row in result["integer"]["verified"]] == [0, 0]
    net = read_network(tmp_path / "net.ormia")
    offsets = search.task.offsets(search.population, search.method.center())
    assert offsets.any()
    assert net.initial_membrane[-3:] == pytest.approx(-offsets * search.scale.output, abs=0.5)
    assert 0 <= result["integer"]["mean"] <= 1


def test_standardized_scores_depend_on_neither_scale_nor_offsets():
    task = make_task(with_settings(load_recipe("mts_xor"), SMALL))
    task.config = TaskConfig(kind="keywords", standardize=True, loss_gain=2.0)
    scores = np.random.default_rng(0).normal(size=(9, 2, 3))
    assert task._scaled(7 * scores + np.array([5.0, -3, 40])) == pytest.approx(task._scaled(scores))
    assert task._scaled(scores).std() == pytest.approx(2)
    assert task._scaled(np.ones((9, 2, 3))).tolist() == np.zeros((9, 2, 3)).tolist()


@pytest.mark.parametrize(
    "settings", [["network.tau_readout_ms=50.0"], ["network.motif=32"], ["task.kind='mts_xor'", "task.standardize=false", "task.augmented=0"]]
)
def test_families_are_refused_where_they_cannot_share_what_a_readout_counts(settings):
    with pytest.raises(UsageError, match=r"method\.family above 1 must come with"):
        with_settings(load_recipe("keywords"), settings)


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
