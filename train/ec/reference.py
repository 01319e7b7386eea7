# SPDX-License-Identifier: Apache-2.0
"""A generation as the released code runs it, quirks and all: for parity, never the default.

One fixed pool of initial states, one a slot, in every generation and after every end of an episode; all slots in lock-step until each has finished
an episode, network state kept; fitness is the mean return of the episodes finished meanwhile; the last slots hold the deployed network; the normaliser
takes the one last observation of each slot; membranes start from uniform numbers.
"""

from __future__ import annotations

import numpy as np

from .control import POOL, ControlTask, episode_seed
from .evolution import Method
from .normalizer import Normalizer
from .populations import BooleanPopulation

__all__ = ["lock_step"]

MEMBRANES = 5  # purpose of the random numbers of initial membranes, beside those of episodes


def lock_step(
    task: ControlTask, population: BooleanPopulation, method: Method, n: int, generation: int, normalizer: Normalizer
) -> tuple[np.ndarray, np.ndarray, float]:
    """Run a whole generation.

    Parameters
    ----------
    task : ControlTask
        ``task.config.evaluation`` slots follow those that train.
    population : BooleanPopulation
    method : Method
        Draws the individuals.
    n : int
        Individuals that train.
    generation : int
    normalizer : Normalizer

    Returns
    -------
    float64 [n], float64 [n_slots, 1 + 2 n_inputs], float
        Fitness, what the normaliser takes, mean return of the deployed network.
    """
    slots = n + task.config.evaluation
    genomes = np.concatenate([method.draw(np.arange(n), generation), method.center()])
    which = np.minimum(np.arange(slots), n)
    seeds = [episode_seed(task.seed, POOL, 0, slot) for slot in range(slots)]
    environments = [task.environment(slot) for slot in range(slots)]
    population.load(genomes, slots)
    drawn = np.random.default_rng([task.seed, MEMBRANES, generation])
    population.state.membrane[:] = drawn.random(population.state.membrane.shape, np.float32)
    observations = np.stack([env.reset(seed=seed)[0] for env, seed in zip(environments, seeds, strict=True)]).astype(np.float64)
    every = np.arange(slots)
    running, finished, episodes, lengths = np.zeros(slots), np.zeros(slots), np.zeros(slots, np.int64), np.zeros(slots, np.int64)
    while not episodes.all():
        actions = task.actions.decide(population.act(which, every, normalizer.apply(observations)))
        for slot, env in enumerate(environments):
            observation, reward, terminated, truncated, _ = env.step(actions[slot])
            running[slot] += reward
            lengths[slot] += 1
            if terminated or truncated or lengths[slot] >= task.longest:
                finished[slot] += running[slot]
                episodes[slot] += 1
                running[slot] = lengths[slot] = 0
                observation, _ = env.reset(seed=seeds[slot])
            observations[slot] = observation
        task.check(observations, running)
        task.steps += slots
    sums = np.zeros((slots, 1 + 2 * task.n_inputs))
    normalizer.gather(sums, every, observations)
    returns = finished / episodes
    return returns[:n], sums, float(returns[n:].mean())
