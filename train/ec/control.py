# SPDX-License-Identifier: Apache-2.0
"""Gymnasium environments as a task: actions, episodes with shared initial states, returns. Any environment with a flat observation can be used."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...edge.errors import DataError, MissingTool, UsageError
from .config import TaskConfig
from .normalizer import Normalizer
from .populations import Population

__all__ = ["EVALUATE", "FINAL", "TRAIN", "Actions", "ControlTask", "episode_seed", "make_environment"]

MOST_ENVIRONMENTS = 64  # that are open at once
TRAIN, EVALUATE, FINAL, WARM_UP, POOL = range(5)  # purposes of initial states
WARM_UP_EPISODES = 16


def episode_seed(seed: int, purpose: int, generation: int, episode: int) -> int:
    """Seed of an initial state: of run ``seed``, for a ``purpose``, in a ``generation``, of an ``episode``."""
    return int(np.random.SeedSequence([seed, purpose, generation, episode]).generate_state(1)[0])


def make_environment(config: TaskConfig) -> Any:
    """An environment by name.

    Raises
    ------
    MissingTool
        If Gymnasium, or what the environment needs, is not installed.
    UsageError
        If there is no such environment, or its spaces are of no use here.
    """
    try:
        import gymnasium
        from gymnasium import error as wrong
    except ModuleNotFoundError:
        raise MissingTool("tasks of kind control need Gymnasium: pip install 'ormia[control]'") from None
    try:
        env = gymnasium.make(config.env, disable_env_checker=True, **config.options)
    except wrong.DependencyNotInstalled as error:
        raise MissingTool(f"environment {config.env!r} needs more than is installed: {error}; pip install 'ormia[control]' has MuJoCo") from error
    except (wrong.Error, ModuleNotFoundError) as error:
        raise UsageError(f"task.env must be an environment Gymnasium knows, or MODULE:NAME of yours, not {config.env!r}: {error}") from None
    except TypeError as error:
        raise UsageError(f"task.options must be options of {config.env}: {error}") from None
    space = env.observation_space
    if type(space).__name__ != "Box" or len(space.shape) != 1:
        raise UsageError(f"the observation of {config.env} must be a flat Box, not {space}: wrap the environment in gymnasium.wrappers.FlattenObservation")
    return env


class Actions:
    """Outputs of a network as actions: the sign for two choices, the largest of more, otherwise clipped to -1..1 and spread over the bounds.

    Parameters
    ----------
    space : gymnasium.Space
        Discrete or a bounded, flat Box.
    name : str
        Of the environment, for messages.

    Attributes
    ----------
    n_outputs : int
    choices : int
        0 where actions are continuous.
    low, high : float64 [n_outputs]
        Bounds of continuous actions.
    """

    def __init__(self, space: Any, name: str) -> None:
        kind = type(space).__name__
        self.low, self.high = np.zeros(0), np.zeros(0)
        if kind == "Discrete" and space.start == 0 and space.n >= 2:
            self.choices = int(space.n)
            self.n_outputs = 1 if space.n == 2 else int(space.n)
        elif kind == "Box" and len(space.shape) == 1 and np.isfinite(space.low).all() and np.isfinite(space.high).all():
            self.choices, self.n_outputs = 0, space.shape[0]
            self.low, self.high = space.low.astype(np.float64), space.high.astype(np.float64)
            self._dtype = space.dtype
        else:
            raise UsageError(f"the action of {name} must be Discrete from 0 or a flat Box with finite bounds, not {space}: wrap the environment")

    def decide(self, outputs: np.ndarray) -> Any:
        """An action for each row of ``outputs`` (float [m, n_outputs], 1 is the upper bound)."""
        if self.choices == 2:
            return (outputs[:, 0] > 0).astype(np.int64)
        if self.choices:
            return outputs.argmax(axis=1)
        share = (np.clip(outputs.astype(np.float64), -1, 1) + 1) / 2
        return (self.low + share * (self.high - self.low)).astype(self._dtype)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form, for the exported network."""
        return {"choices": self.choices, "low": self.low.tolist(), "high": self.high.tolist()}


class ControlTask:
    """Episodes of one environment.

    Parameters
    ----------
    config : TaskConfig
    seed : int
        Of the run: initial states.
    payload_bits : int
        Width of rounded observations.

    Attributes
    ----------
    n_inputs, n_outputs : int
        Lengths of an observation and of a network's output.
    labels : tuple of str
        Names of the outputs.
    steps : int
        Steps of environments so far, in training.
    """

    payload_unit = None

    def __init__(self, config: TaskConfig, seed: int, payload_bits: int) -> None:
        self.config, self.seed, self.payload_bits = config, seed, payload_bits
        self._environments = [make_environment(config)]
        self.actions = Actions(self._environments[0].action_space, config.env)
        self.n_inputs, self.n_outputs = self._environments[0].observation_space.shape[0], self.actions.n_outputs
        self.labels = tuple(f"output {i}" for i in range(self.n_outputs))
        self.steps = 0

    def environment(self, number: int) -> Any:
        """One of the open environments; the first is made when the task is."""
        while len(self._environments) <= number:
            self._environments.append(make_environment(self.config))
        return self._environments[number]

    @property
    def longest(self) -> int:
        """Steps after which an episode ends."""
        return self.environment(0).spec.max_episode_steps or self.config.max_steps

    def warm_up(self, normalizer: Normalizer) -> None:
        """Observations under random actions, so that the first generation sees something of size 1."""
        env = self.environment(0)
        sums = np.zeros((WARM_UP_EPISODES, 1 + 2 * self.n_inputs))
        for episode in range(WARM_UP_EPISODES):
            seed = episode_seed(self.seed, WARM_UP, 0, episode)
            env.action_space.seed(seed)
            observation = self._reset(env, seed)
            for _ in range(self.longest):
                normalizer.gather(sums, np.array([episode]), np.asarray(observation, np.float64)[None])
                observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
                self.check(np.asarray(observation), reward)
                if terminated or truncated:
                    break
        normalizer.add(sums)

    def fitness(
        self, population: Population, genomes: np.ndarray, individuals: np.ndarray, generation: int, normalizer: Normalizer
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean return of some individuals, and what the normaliser takes of each.

        Parameters
        ----------
        population : Population
        genomes : array [m, ...]
        individuals : int64 [m]
            Their numbers; all see the same initial states.
        generation : int
        normalizer : Normalizer

        Returns
        -------
        float64 [m], float64 [m, 1 + 2 n_inputs]
        """
        episodes = self.config.episodes
        which = np.repeat(np.arange(len(individuals)), episodes)
        seeds = [episode_seed(self.seed, TRAIN, generation, episode) for episode in range(episodes)] * len(individuals)
        sums = np.zeros((len(which), 1 + 2 * self.n_inputs))
        returns = self.run(population, genomes, which, seeds, normalizer, sums)
        self.steps += int(sums[:, 0].sum())
        return returns.reshape(-1, episodes).mean(axis=1), sums.reshape(len(individuals), episodes, -1).sum(axis=1)

    def evaluate(self, population: Population, genome: np.ndarray, purpose: int, generation: int, episodes: np.ndarray, normalizer: Normalizer) -> np.ndarray:
        """Return of the deployed network on fresh episodes.

        Parameters
        ----------
        population : Population
        genome : array [1, ...]
        purpose : int
            Which initial states: EVALUATE or FINAL.
        generation : int
        episodes : int64 [n]
            Their numbers.
        normalizer : Normalizer

        Returns
        -------
        float64 [n]
        """
        seeds = [episode_seed(self.seed, purpose, generation, int(episode)) for episode in episodes]
        return self.run(population, genome, np.zeros(len(episodes), np.int64), seeds, normalizer)

    def run(
        self, population: Population, genomes: np.ndarray, which: np.ndarray, seeds: list[int], normalizer: Normalizer, sums: np.ndarray | None = None
    ) -> np.ndarray:
        """One episode for each seed, networks reset at its start.

        Parameters
        ----------
        population : Population
        genomes : array [m, ...]
        which : int64 [n]
            Genome of each episode.
        seeds : list of n int
            Initial states.
        normalizer : Normalizer
        sums : float64 [n, 1 + 2 n_inputs], optional, added to
            Of visited observations.

        Returns
        -------
        float64 [n]
            Returns.
        """
        returns = np.zeros(len(which))
        for start in range(0, len(which), MOST_ENVIRONMENTS):
            part = slice(start, start + MOST_ENVIRONMENTS)
            used, local = np.unique(which[part], return_inverse=True)
            population.load(genomes[used], len(local))
            self._run_part(population, local, seeds[part], normalizer, returns[part], None if sums is None else sums[part])
        return returns

    def _run_part(
        self, population: Population, which: np.ndarray, seeds: list[int], normalizer: Normalizer, returns: np.ndarray, sums: np.ndarray | None
    ) -> None:
        environments = [self.environment(slot) for slot in range(len(which))]
        observations = np.stack([self._reset(env, seed) for env, seed in zip(environments, seeds, strict=True)]).astype(np.float64)
        active = np.arange(len(which))
        for _ in range(self.longest):
            seen = observations[active]
            if sums is not None:
                normalizer.gather(sums, active, seen)
            actions = self.actions.decide(population.act(which[active], active, normalizer.apply(seen)))
            going = np.ones(len(active), bool)
            for i, slot in enumerate(active):
                observation, reward, terminated, truncated, _ = environments[slot].step(actions[i])
                observations[slot] = observation
                returns[slot] += reward
                going[i] = not (terminated or truncated)
            self.check(observations[active], returns[active])
            active = active[going]
            if len(active) == 0:
                break

    def _reset(self, env: Any, seed: int) -> np.ndarray:
        observation = np.asarray(env.reset(seed=seed)[0])
        self.check(observation, 0.0)
        return observation

    def check(self, observations: np.ndarray, rewards: Any) -> None:
        """Raise ``DataError`` unless ``observations`` and ``rewards`` are finite."""
        if not (np.isfinite(observations).all() and np.isfinite(rewards).all()):
            what = "observations" if np.isfinite(rewards).all() else "rewards"
            raise DataError(f"{what} of {self.config.env} must be finite, but one is NaN or infinite: mend the environment or bound its actions")
