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
from .model import pack_rows, unpack_rows
from .philox import stream_key
from .sampling import count_signed, draw_individuals, draw_normal, thresholds
from .topology import Topology

__all__ = ["Adam", "Connectivity", "Method", "MethodConfig", "WeightEvolution", "centered_ranks"]

DRAW, READOUT, START = 0, 1, 2  # purposes of random numbers: a population, its readouts where families share the rest, the start


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """How a population is drawn and what is learned from it.

    Attributes
    ----------
    kind : {"ec", "es", "gradient"}
        Evolving connectivity, evolution strategies on weights, or surrogate gradients on the probabilities of connections.
    population : int, >= 4
        Individuals that train; even for evolution strategies, which draw antithetic pairs; 1 for gradients.
    learning_rate : float
        Adam's step.
    epsilon : float, 0..0.5
        Bounds of a probability (EC).
    deviation : float
        Standard deviation of the perturbation (evolution strategies).
    weight_decay : float
        Decoupled, before the learning rate.
    adam : bool
        False: plain steps, in units of the natural gradient. They slow down where a probability is nearly decided, so that noise decides few.
    family : int, >= 1
        So many individuals share all connections but those of the readout, and are heard at the cost of one (EC on clips). Of F families individual
        i is in family i modulo F.
    exploration : float, above 0, at most 0.5
        Probability with which a connection of inputs and neurons differs, at the start, from a random network (EC); at 0.5 there is none to differ from.
    density : float, 0..1
        Share of these connections that exist in that random network.
    readout_rate : float
        Factor of the learning rate for the booleans of the readout, where families share the rest.
    """

    kind: str = "ec"
    population: int = 128
    learning_rate: float = 0.15
    epsilon: float = 1e-3
    deviation: float = 0.3
    weight_decay: float = 0.0
    adam: bool = True
    family: int = 1
    exploration: float = 0.5
    density: float = 0.5
    readout_rate: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in ("ec", "es", "gradient"):
            raise UsageError(f"method.kind must be ec, es or gradient, not {self.kind!r}: correct the recipe")
        if self.kind == "gradient" and (self.population, self.family) != (1, 1):
            rule = "method.population and method.family must be 1 for gradient, which follows one network"
            raise UsageError(f"{rule}, not {self.population} and {self.family}: correct the recipe")
        if self.kind != "gradient" and (self.population < 4 or (self.kind == "es" and self.population % 2)):
            raise UsageError(f"method.population must be at least 4, for fitness is ranked, and even for es, not {self.population}: raise it in the recipe")
        if not 0 < self.epsilon < 0.5:
            raise UsageError(f"method.epsilon must lie between 0 and 0.5, not {self.epsilon}: correct the recipe")
        if not (0 < self.exploration <= 0.5 and 0 <= self.density <= 1):
            rule = "method.exploration must lie above 0 and be at most 0.5, method.density in 0..1"
            raise UsageError(f"{rule}, not {self.exploration} and {self.density}: correct the recipe")
        if self.family < 1 or self.population % self.family or (self.family > 1 and (self.kind != "ec" or self.population < 2 * self.family)):
            rule = "method.family must be 1, or of method ec and divide the population into at least 2 families, for these are ranked"
            raise UsageError(f"{rule}, not {self.family} of {self.population}: correct the recipe")

    @property
    def boolean(self) -> bool:
        """Whether what is searched is one bit a connection."""
        return self.kind != "es"

    @property
    def families(self) -> int:
        """Families of a population."""
        return self.population // self.family


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
        moments = {"adam_first": self.first, "adam_second": self.second} if self.adaptive else {}  # plain steps have none, and checkpoints are written often
        return {"adam_steps": np.array(self.steps), **moments}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take ``arrays``, which ``state`` gave."""
        self.steps = int(arrays["adam_steps"])
        if self.adaptive:
            self.first, self.second = arrays["adam_first"].copy(), arrays["adam_second"].copy()


class Method(Protocol):
    """A distribution over individuals that learns from their fitness."""

    parameters: np.ndarray

    def draw(self, individuals: np.ndarray, generation: int) -> np.ndarray:
        """Genomes of some individuals (int64 [n]) of a generation."""

    def center(self) -> np.ndarray:
        """Genome that is deployed."""

    def learn(self, fitness: np.ndarray, generation: int) -> None:
        """Move towards what was fit; float [population], or with more columns (``ClipTask.fitness``)."""

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
        readout = topology.readout
        if config.exploration < 0.5:  # equal probabilities have no direction of ascent: neurons are alike, and so are outputs
            exists = np.random.default_rng([seed, START]).random(readout) < config.density
            self.parameters[:readout] = np.where(exists, 1 - config.exploration, config.exploration)
        self._rate = np.ones(topology.bits)
        self._rate[readout:] = config.readout_rate
        self._adam = Adam(topology.bits, config.learning_rate, config.weight_decay, adaptive=config.adam)
        self._key, self._readout_key = stream_key(seed, DRAW), stream_key(seed, READOUT)

    def draw(self, individuals: np.ndarray, generation: int) -> np.ndarray:
        """Packed connections, uint64 [n, rows, words], of ``individuals`` (int64 [n]) of a ``generation``."""
        individuals, limits = np.asarray(individuals, np.int64), thresholds(self.parameters)
        if self.config.family == 1:
            drawn = np.zeros((len(individuals), self.topology.bits // WORD_BITS), np.uint64)
            draw_individuals(limits, individuals, generation, self._key, drawn)
            return self.topology.connect(drawn)
        readout = self.topology.readout
        families, members = np.unique(individuals % self.config.families, return_inverse=True)
        shared = np.zeros((len(families), readout // WORD_BITS), np.uint64)
        draw_individuals(limits[:readout], families, generation, self._key, shared)
        return self.topology.connect(np.concatenate([shared[members], self._readouts(individuals, generation, limits[readout:])], axis=1))

    def _readouts(self, individuals: np.ndarray, generation: int, limits: np.ndarray) -> np.ndarray:
        """Packed booleans of readouts, where families share the rest."""
        drawn = np.zeros((len(individuals), len(limits) // WORD_BITS), np.uint64)
        draw_individuals(limits, individuals, generation, self._readout_key, drawn)
        return drawn

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
        fitness : float [population], or [population, 1 + n_outputs] where families share all but the readout
            Then of the family, and of each output. Families rank among themselves; members within theirs, output by output.
        generation : int
            The one the individuals are of.
        """
        ascent, limits, readout = np.zeros(self.topology.bits), thresholds(self.parameters), self.topology.readout
        if self.config.family == 1:
            weights = centered_ranks(fitness, by_index=self.reference)
            count_signed(limits, weights, generation, self._key, ascent)
            ascent /= len(weights)
        else:
            size, families = len(fitness), self.config.families
            count_signed(limits[:readout], centered_ranks(fitness[:families, 0]), generation, self._key, ascent[:readout])
            ascent[:readout] /= families
            apart = fitness[:, 1:].reshape(-1, families, fitness.shape[1] - 1)
            apart = (apart - apart.mean(axis=0)).reshape(size, -1)
            bits = unpack_rows(self._readouts(np.arange(size), generation, limits[readout:])).reshape(size, apart.shape[1], -1)
            for output in range(apart.shape[1]):
                place = readout + output * bits.shape[2]
                ascent[place : place + bits.shape[2]] = centered_ranks(apart[:, output]) @ bits[:, output] / size
        self._move(ascent)

    def _move(self, ascent: np.ndarray) -> None:
        """Let the probabilities ascend, float64 [bits], within their bounds."""
        moved = self.parameters + self._rate * self._adam.step(ascent, self.parameters)
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
