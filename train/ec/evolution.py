# SPDX-License-Identifier: Apache-2.0
"""What changes from generation to generation: connection probabilities (EC), or weights (evolution strategies, the baseline).

Both rank fitness, form one ascent direction and give it to Adam. Nothing here knows what an individual does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...edge.errors import UsageError
from .bits import WORD_BITS
from .model import pack_rows
from .philox import stream_key
from .sampling import count_signed, draw_individuals, draw_normal, thresholds
from .topology import Topology

__all__ = ["Adam", "Connectivity", "Method", "MethodConfig", "WeightEvolution", "centered_ranks"]

DRAW = 0  # purpose of the random numbers of a population


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """How a population is drawn and what is learned from it.

    Attributes
    ----------
    kind : {"ec", "es"}
        Evolving connectivity, or evolution strategies on weights.
    population : int, >= 4
        Individuals that train; even for evolution strategies, which draw antithetic pairs.
    learning_rate : float
        Adam's step.
    epsilon : float, 0..0.5
        Bounds of a probability (EC).
    deviation : float
        Standard deviation of the perturbation (evolution strategies).
    weight_decay : float
        Decoupled, before the learning rate.
    adam : bool
        False: plain steps, for ablation.
    """

    kind: str = "ec"
    population: int = 128
    learning_rate: float = 0.15
    epsilon: float = 1e-3
    deviation: float = 0.3
    weight_decay: float = 0.0
    adam: bool = True

    def __post_init__(self) -> None:
        if self.kind not in ("ec", "es"):
            raise UsageError(f"method.kind must be ec or es, not {self.kind!r}: correct the recipe")
        if self.population < 4 or (self.kind == "es" and self.population % 2):
            raise UsageError(f"method.population must be at least 4, for fitness is ranked, and even for es, not {self.population}: raise it in the recipe")
        if not 0 < self.epsilon < 0.5:
            raise UsageError(f"method.epsilon must lie between 0 and 0.5, not {self.epsilon}: correct the recipe")


def centered_ranks(fitness: np.ndarray, *, by_index: bool = False) -> np.ndarray:
    """Ranks, spread from -1/2 to 1/2.

    Parameters
    ----------
    fitness : float [n], n >= 2
        No NaN.
    by_index : bool
        Break ties by index, as the released code does; otherwise equal fitness has equal rank, the mean of theirs.

    Returns
    -------
    float64 [n]
        They sum to 0.

    Examples
    --------
    >>> centered_ranks(np.array([3.0, 1.0, 1.0])).tolist()
    [0.5, -0.25, -0.25]
    """
    order = np.argsort(fitness, kind="stable")
    ranks = np.empty(len(fitness))
    ranks[order] = np.arange(len(fitness))
    if not by_index:
        _, group = np.unique(fitness, return_inverse=True)
        ranks = (np.bincount(group, ranks) / np.bincount(group))[group]
    return ranks / (len(fitness) - 1) - 0.5


class Adam:
    """Adam (arXiv 1412.6980) with decoupled decay, as ascent.

    Parameters
    ----------
    n : int
        Parameters.
    learning_rate : float
    weight_decay : float
    adaptive : bool
        False: the direction itself, times the learning rate.
    """

    BETA, EPSILON = (0.9, 0.999), 1e-8

    def __init__(self, n: int, learning_rate: float, weight_decay: float = 0.0, *, adaptive: bool = True) -> None:
        self.learning_rate, self.weight_decay, self.adaptive = learning_rate, weight_decay, adaptive
        self.first, self.second, self.steps = np.zeros(n), np.zeros(n), 0

    def step(self, ascent: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """What to add to ``parameters`` (float64 [n]) for an ``ascent`` direction (float64 [n])."""
        self.steps += 1
        if self.adaptive:
            beta, gamma = self.BETA
            self.first = beta * self.first + (1 - beta) * ascent
            self.second = gamma * self.second + (1 - gamma) * ascent**2
            ascent = self.first / (1 - beta**self.steps) / (np.sqrt(self.second / (1 - gamma**self.steps)) + self.EPSILON)
        return self.learning_rate * (ascent - self.weight_decay * parameters)

    def state(self) -> dict[str, np.ndarray]:
        """Arrays of a checkpoint."""
        return {"adam_first": self.first, "adam_second": self.second, "adam_steps": np.array(self.steps)}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take ``arrays``, which ``state`` gave."""
        self.first, self.second, self.steps = arrays["adam_first"].copy(), arrays["adam_second"].copy(), int(arrays["adam_steps"])


class Method(Protocol):
    """A distribution over individuals that learns from their fitness."""

    parameters: np.ndarray

    def draw(self, individuals: np.ndarray, generation: int) -> np.ndarray:
        """Genomes of some individuals (int64 [n]) of a generation."""

    def center(self) -> np.ndarray:
        """Genome that is deployed."""

    def learn(self, fitness: np.ndarray, generation: int) -> None:
        """Move towards what was fit; float [population]."""

    def state(self) -> dict[str, np.ndarray]:
        """Arrays of a checkpoint."""

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take arrays that ``state`` gave."""


class Connectivity:
    """Evolving connectivity: one probability a connection, the natural gradient of expected fitness, no division by its variance.

    Parameters
    ----------
    config : MethodConfig
    topology : Topology
        What is searched.
    seed : int
    reference : bool
        Ties by index.

    Attributes
    ----------
    parameters : float64 [bits]
        Probabilities of the booleans, in ``epsilon .. 1 - epsilon``.
    """

    def __init__(self, config: MethodConfig, topology: Topology, seed: int, *, reference: bool = False) -> None:
        self.config, self.topology, self.reference = config, topology, reference
        self.parameters = np.full(topology.bits, 0.5)
        self._adam = Adam(topology.bits, config.learning_rate, config.weight_decay, adaptive=config.adam)
        self._key = stream_key(seed, DRAW)

    def draw(self, individuals: np.ndarray, generation: int) -> np.ndarray:
        """Packed connections, uint64 [n, rows, words], of ``individuals`` (int64 [n]) of a ``generation``."""
        drawn = np.zeros((len(individuals), self.topology.bits // WORD_BITS), np.uint64)
        draw_individuals(thresholds(self.parameters), np.asarray(individuals, np.int64), generation, self._key, drawn)
        return self.topology.connect(drawn)

    def center(self) -> np.ndarray:
        """Connections more probable than not, uint64 [1, rows, words]; a probability of one half is none."""
        return self.topology.connect(self.deployed()[None])

    def deployed(self) -> np.ndarray:
        """The booleans behind ``center``, uint64 [bits / 64]."""
        return pack_rows(self.parameters > 0.5)

    def learn(self, fitness: np.ndarray, generation: int) -> None:
        """Ascend along ``sum of rank * connections / N``; the probabilities drop out, for ranks sum to 0.

        Parameters
        ----------
        fitness : float [population]
        generation : int
            The one the individuals are of.
        """
        weights = centered_ranks(fitness, by_index=self.reference)
        ascent = np.zeros(self.topology.bits)
        count_signed(thresholds(self.parameters), weights, generation, self._key, ascent)
        moved = self.parameters + self._adam.step(ascent / len(weights), self.parameters)
        self.parameters = np.clip(moved, self.config.epsilon, 1 - self.config.epsilon)

    def state(self) -> dict[str, np.ndarray]:
        """Arrays of a checkpoint."""
        return {"parameters": self.parameters, **self._adam.state()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take ``arrays``, which ``state`` gave."""
        self.parameters = arrays["parameters"].copy()
        self._adam.restore(arrays)


class WeightEvolution:
    """Evolution strategies (arXiv 1703.03864): Gaussian perturbations in antithetic pairs, centred ranks, Adam with weight decay.

    Parameters
    ----------
    config : MethodConfig
    initial : float64 [n]
        Weights at the start.
    seed : int

    Attributes
    ----------
    parameters : float64 [n]
        Mean weights.
    """

    def __init__(self, config: MethodConfig, initial: np.ndarray, seed: int) -> None:
        self.config = config
        self.parameters = np.asarray(initial, np.float64).copy()
        self._adam = Adam(len(initial), config.learning_rate, config.weight_decay, adaptive=config.adam)
        self._key = stream_key(seed, DRAW)

    def draw(self, individuals: np.ndarray, generation: int) -> np.ndarray:
        """Weights, float32 [n, parameters], of ``individuals`` (int64 [n]) of a ``generation``; 2 i and 2 i + 1 are a pair."""
        mean = self.parameters.astype(np.float32)
        genomes = np.zeros((len(individuals), len(mean)), np.float32)
        for row, individual in enumerate(individuals):
            self._noise(int(individual) // 2, generation, genomes[row])
            genomes[row] *= np.float32(self.config.deviation if individual % 2 == 0 else -self.config.deviation)
            genomes[row] += mean
        return genomes

    def center(self) -> np.ndarray:
        """Mean weights, float32 [1, parameters]."""
        return self.parameters.astype(np.float32)[None]

    def learn(self, fitness: np.ndarray, generation: int) -> None:
        """Ascend along the sum of rank differences times perturbations.

        Parameters
        ----------
        fitness : float [population]
        generation : int
        """
        weights = centered_ranks(fitness)
        ascent, noise = np.zeros(len(self.parameters)), np.zeros(len(self.parameters), np.float32)
        for pair in range(len(weights) // 2):
            self._noise(pair, generation, noise)
            ascent += (weights[2 * pair] - weights[2 * pair + 1]) * noise
        self.parameters = self.parameters + self._adam.step(ascent / len(weights), self.parameters)

    def _noise(self, pair: int, generation: int, values: np.ndarray) -> None:
        padded = np.zeros(len(values) + len(values) % 2, np.float32)
        draw_normal(pair, generation, self._key, padded)
        values[:] = padded[: len(values)]

    def state(self) -> dict[str, np.ndarray]:
        """Arrays of a checkpoint."""
        return {"parameters": self.parameters, **self._adam.state()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take ``arrays``, which ``state`` gave."""
        self.parameters = arrays["parameters"].copy()
        self._adam.restore(arrays)
