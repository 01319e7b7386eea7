# SPDX-License-Identifier: Apache-2.0
"""Searches from the recipe to the deployed integers: resume, workers, the released code's quirks, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")

from ormia.edge.errors import DataError, MissingTool, UsageError  # noqa: E402
from ormia.edge.netfile import read_network  # noqa: E402
from ormia.train.ec import control  # noqa: E402
from ormia.train.ec.config import RECIPES, SearchConfig, TaskConfig, load_recipe  # noqa: E402
from ormia.train.ec.control import ControlTask  # noqa: E402
from ormia.train.ec.controller import Controller  # noqa: E402
from ormia.train.ec.distributed import Workers  # noqa: E402
from ormia.train.ec.evolution import MethodConfig  # noqa: E402
from ormia.train.ec.model import NetworkConfig  # noqa: E402
from ormia.train.ec.normalizer import Normalizer  # noqa: E402
from ormia.train.ec.result import finish  # noqa: E402
from ormia.train.ec.search import CHECKPOINT, Search, make_task, run_search  # noqa: E402
from ormia.train.recipe import recipe_names, with_settings  # noqa: E402

SMALL = SearchConfig(
    seed=3, generations=3, network=NetworkConfig(neurons=64, sub_steps=10), method=MethodConfig(population=10),
    task=TaskConfig(env="CartPole-v1", evaluation=3, final=4),
)  # fmt: skip


class Broken(gymnasium.Env):
    """Gives what it is told to."""

    def __init__(self, observation=0.0, reward=1.0, space=None, action=None):
        self.observation_space = gymnasium.spaces.Box(-1, 1, (2,)) if space is None else space
        self.action_space = gymnasium.spaces.Box(-1, 3, (1,)) if action is None else action
        self.observation, self.reward, self.left = observation, reward, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 3
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.left -= 1
        return np.full(2, self.observation, np.float32), self.reward, self.left == 0, False, {}


gymnasium.register("ormia-test/Broken-v0", Broken)


def same(one: Search, other: Search) -> bool:
    entries = [[{k: v for k, v in entry.items() if not k.endswith("seconds")} for entry in search.history] for search in (one, other)]
    return np.array_equal(one.method.parameters, other.method.parameters) and entries[0] == entries[1]


@pytest.mark.parametrize("name", recipe_names(RECIPES))
def test_every_recipe_that_ships_is_valid(name):
    assert load_recipe(name).method.population >= 64


@pytest.mark.parametrize("changes", [[], ["method.kind=es", "method.learning_rate=0.1"], ["method.kind=es", "model=gru", "hidden=16"],
                                     ["method.kind=es", "model=lstm", "hidden=16"]])  # fmt: skip
def test_an_interrupted_search_goes_on_as_if_nothing_had_happened(changes, tmp_path):
    config = with_settings(SMALL, changes)
    whole = run_search(config, tmp_path / "whole", Workers())
    run_search(dataclasses.replace(config, generations=1), tmp_path / "pieces", Workers())
    run_search(config, tmp_path / "pieces", Workers(), minutes=0)
    assert same(run_search(config, tmp_path / "pieces", Workers()), whole)
    assert len(whole.history) == 3


WORKER = """
import json, os, sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from ormia.edge.errors import Error
from ormia.train.ec.config import SearchConfig
from ormia.train.ec.distributed import Workers, open_workers
from ormia.train.ec.search import run_search
from ormia.train.recipe import from_dict
config, folder = from_dict(SearchConfig, json.loads(sys.argv[1])), Path(sys.argv[2])
try:
    with open_workers() as workers:
        import torch.distributed as group
        run_search(config, folder / "4", workers)
        pair = group.new_group([0, 1])
        if workers.rank < 2:
            two = SimpleNamespace(all_gather=lambda received, sent: group.all_gather(received, sent, group=pair))
            run_search(config, folder / "2", Workers(workers.rank, 2, two))
        workers.gather(np.ones((1, 1)), 4)
        if workers.rank == 3:
            os._exit(9)
        while True:
            workers.gather(np.ones((1, 1)), 4)
except Error as error:
    if workers.rank == 0:
        (folder / "said").write_text(str(error))
    sys.exit(1)
"""


def test_two_and_four_workers_run_the_search_of_one_and_a_lost_worker_is_said_in_a_sentence(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    values = dataclasses.asdict(SMALL) | {"task": {"env": "CartPole-v1", "evaluation": 3, "episodes": 2}}
    config = dataclasses.replace(SMALL, task=TaskConfig(env="CartPole-v1", evaluation=3, episodes=2))
    together = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "4", str(tmp_path / "worker.py")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*together, json.dumps(values), str(tmp_path)], capture_output=True, text=True, timeout=300, env=environment, check=False)
    alone = run_search(config, tmp_path / "1", Workers())
    for n in (2, 4):
        found = Search.start(config, make_task(config))
        assert found.restore(tmp_path / str(n)), done.stderr
        assert same(found, alone)
    assert done.returncode != 0
    assert "another one has stopped: the last whole generation is on disk" in (tmp_path / "said").read_text()


def test_a_search_exports_a_controller_whose_integers_are_those_of_every_backend(tmp_path):
    search = run_search(SMALL, tmp_path, Workers())
    result = finish(search, tmp_path, Workers(), name="tiny", verify=["reference", "numba"])
    assert [row["differences"] for row in result["integer"]["verified"]] == [0, 0]
    net = read_network(tmp_path / "net.ormia")
    assert net.axon_boolean.all()
    assert set(net.synapse_weight.tolist()) <= {-1, 1}
    assert json.loads((tmp_path / "metrics.json").read_text())["integer"] == result["integer"]


def test_integer_outputs_follow_the_float_network_until_rounding_tells(tmp_path):
    config = dataclasses.replace(SMALL, network=NetworkConfig(neurons=128))
    search = run_search(config, tmp_path, Workers())
    finish(search, tmp_path, Workers(), name="tiny", verify=[])
    controller, rng = Controller(read_network(tmp_path / "net.ormia")), np.random.default_rng(0)
    search.population.load(search.method.center(), 1)
    zero = np.zeros(1, np.int64)
    for _ in range(2):
        seen = search.normalizer.mean + search.normalizer.deviation * rng.normal(size=4)
        expected = search.population.act(zero, zero, search.normalizer.apply(seen[None]))[0]
        assert controller.act(seen) == pytest.approx(expected, abs=0.1)


def test_the_reference_counts_only_finished_episodes_from_its_pool_and_starts_with_the_empty_network(tmp_path):
    config = dataclasses.replace(SMALL, reference=True, network=NetworkConfig(neurons=64, sub_steps=5, payload_bits=0, readout_delay=False))
    search = run_search(config, tmp_path, Workers())
    task = ControlTask(config.task, config.seed, 0)
    env, lengths = task.environment(0), []
    for slot in range(config.method.population, config.method.population + config.task.evaluation):
        env.reset(seed=control.episode_seed(config.seed, control.POOL, 0, slot))
        lengths.append(next(step for step in range(1, 501) if env.step(0)[2]))
    assert search.history[0]["evaluation"] == np.mean(lengths)  # no connection: the action is always the first
    slots = config.method.population + config.task.evaluation
    assert search.normalizer.count == 3 * slots
    with pytest.raises(UsageError, match="one process"):
        run_search(config, tmp_path / "two", Workers(0, 2))


def test_the_normalizer_takes_the_statistics_of_all_observations_in_whatever_pieces():
    rng = np.random.default_rng(1)
    seen = rng.normal(5, [0.1, 3.0, 0.0], (60, 3))
    normalizer = Normalizer(3)
    for piece in (seen[:7], seen[7:40], seen[40:]):
        sums = np.zeros((len(piece), 7))
        normalizer.gather(sums, np.arange(len(piece)), piece)
        normalizer.add(sums)
    assert normalizer.mean == pytest.approx(seen.mean(axis=0))
    assert normalizer.deviation[:2] == pytest.approx(seen.std(axis=0)[:2])
    assert normalizer.deviation[2] == pytest.approx(0.05)  # it never moved: a hundredth of its mean, not nothing


@pytest.mark.parametrize(
    ("task", "kind", "message"),
    [
        ({"env": "NoSuch-v0"}, UsageError, "must be an environment Gymnasium knows"),
        ({"env": "no_such_module:Env-v0"}, UsageError, "must be an environment Gymnasium knows"),
        ({"env": "CartPole-v1", "options": {"wheels": 3}}, UsageError, "must be options of CartPole-v1"),
        ({"env": "FrozenLake-v1"}, UsageError, "must be a flat Box"),
        ({"env": "ormia-test/Broken-v0", "options": {"action": gymnasium.spaces.MultiDiscrete([2, 2])}}, UsageError, "Discrete from 0 or a flat Box"),
        ({"env": "ormia-test/Broken-v0", "options": {"action": gymnasium.spaces.Box(-np.inf, 1, (1,))}}, UsageError, "finite bounds"),
        ({"env": "ormia-test/Broken-v0", "options": {"observation": np.nan}}, DataError, "observations of .* must be finite"),
        ({"env": "ormia-test/Broken-v0", "options": {"reward": np.inf}}, DataError, "rewards of .* must be finite"),
        ({"env": "ormia-test/Broken-v0", "options": {"reward": np.nan}}, DataError, "rewards of .* must be finite"),
    ],
)  # fmt: skip
def test_environments_that_cannot_be_searched_are_refused_in_a_sentence(task, kind, message, tmp_path):
    with pytest.raises(kind, match=message):
        run_search(dataclasses.replace(SMALL, task=TaskConfig(**task)), tmp_path, Workers())


def test_continuous_actions_are_clipped_and_spread_over_the_bounds():
    task = ControlTask(TaskConfig(env="ormia-test/Broken-v0"), 0, 8)
    assert task.actions.decide(np.array([[-9.0], [0.0], [1.0]])).tolist() == [[-1], [1], [3]]


def test_a_missing_gymnasium_is_a_missing_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(MissingTool, match=r"ormia\[control\]"):
        control.make_environment(TaskConfig(env="CartPole-v1"))


def test_a_folder_of_another_recipe_or_a_damaged_checkpoint_is_refused(tmp_path):
    run_search(dataclasses.replace(SMALL, generations=1), tmp_path, Workers())
    with pytest.raises(UsageError, match="seed differ"):
        run_search(dataclasses.replace(SMALL, seed=4), tmp_path, Workers())
    whole = (tmp_path / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="remove it to start again"):
        run_search(SMALL, tmp_path, Workers())


@pytest.mark.parametrize(
    "changes",
    [
        ["reference=true"],
        ["model=gru"],
        ["task.kind=chess"],
        ["task.front_end=ear"],
        ["method.epsilon=0.7"],
        ["generations=-1"],
        ["network.tau_membrane_ms=-1"],
    ],
)
def test_impossible_recipes_are_refused(changes):
    with pytest.raises(UsageError, match="correct the recipe"):
        with_settings(SMALL, changes)
