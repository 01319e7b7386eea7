# SPDX-License-Identifier: Apache-2.0
"""One frozen configuration of a search for timescales, read from a TOML recipe, and the training that a point of its space stands for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...edge.errors import UsageError
from ..config import Config
from ..model import LayerConfig, ModelConfig
from ..recipe import read_recipe
from ..topology import Topology, hand_set
from .hierarchy import SHAPES, TRAINED, Timescales, dilations, kernel_sizes, taps

__all__ = ["Budget", "SearchConfig", "Space", "count_weights", "load_recipe", "training_of"]

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True, kw_only=True)
class Space:
    """What may be chosen: ranges, both ends included, and lists.

    Attributes
    ----------
    mean, spread : tuple of 2 floats, timesteps
    jitter : tuple of 2 floats
    shapes : tuple of str
    train : tuple of str
        Which time constants gradients may move (``Timescales.train``).
    kernel, kernel_spread, dilation, dilation_spread : tuple of 2 ints
        Temporal kernels (``hierarchy.kernel_sizes``, ``hierarchy.dilations``).
    delays : tuple of str
        ``kernel``: a set of weights for each tap; ``learnt``: one delay a synapse up to the reach of that kernel, by gradient.
    """

    mean: tuple[float, float] = (2.0, 12.0)
    spread: tuple[float, float] = (-8.0, 16.0)
    jitter: tuple[float, float] = (0.0, 0.3)
    shapes: tuple[str, ...] = ("tanh", "linear", "power")
    train: tuple[str, ...] = ("", "layer")
    kernel: tuple[int, int] = (1, 3)
    kernel_spread: tuple[int, int] = (-2, 2)
    dilation: tuple[int, int] = (1, 4)
    dilation_spread: tuple[int, int] = (-2, 2)
    delays: tuple[str, ...] = ("kernel",)

    def __post_init__(self) -> None:
        for name in ("mean", "spread", "jitter", "kernel", "kernel_spread", "dilation", "dilation_spread"):
            low, high = getattr(self, name)
            if low > high:
                raise UsageError(f"space.{name} must be a range from low to high, not {low} to {high}: correct the recipe")
        for name, known in (("shapes", SHAPES[1:]), ("train", TRAINED), ("delays", ("kernel", "learnt"))):
            given = getattr(self, name)
            if not given or set(given) - set(known):
                raise UsageError(f"space.{name} must be some of {', '.join(map(repr, known))}, not {given}: correct the recipe")
        if self.kernel[0] < 1 or self.dilation[0] < 1:
            raise UsageError(f"kernels must have at least 1 tap and dilation 1, not {self.kernel[0]} and {self.dilation[0]}: correct space")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What no network may exceed; 0 is no limit.

    Attributes
    ----------
    weights : int
        Stored weights; layers are made narrower, by whole motifs, until they fit.
    history_bits : int
        Memory of the core for past events, which delays need.
    memory_bits : int
        All memories of the core.
    cycles : int
        Clocks of a timestep, on average.
    """

    weights: int = 0
    history_bits: int = 0
    memory_bits: int = 0
    cycles: int = 0


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Everything a search depends on, its corpus aside.

    Attributes
    ----------
    trials : int
        Points to try, over all workers; those that a budget refuses are among them.
    epochs : int
        Training of a point; the chosen one is trained for ``training.epochs``.
    clips : int
        Valid clips over which clocks are averaged.
    sampler : str
        ``tpe`` or ``nsga2`` of Optuna.
    space, budget
    training : Config
        Layers (neurons, motifs, topology), batch, augmentation, seed.
    """

    trials: int = 30
    epochs: int = 8
    clips: int = 8
    sampler: str = "tpe"
    space: Space = field(default_factory=Space)
    budget: Budget = field(default_factory=Budget)
    training: Config = field(default_factory=Config)

    def __post_init__(self) -> None:
        if min(self.trials, self.epochs, self.clips) < 1 or self.sampler not in ("tpe", "nsga2"):
            raise UsageError(
                f"trials, epochs and clips must be at least 1 and sampler tpe or nsga2, not {self.trials}, {self.epochs}, {self.clips} and {self.sampler!r}: "
                "correct the recipe"
            )


def count_weights(model: ModelConfig, n_inputs: int, n_classes: int) -> int:
    """Weights that a network of ``model`` stores, recurrent ones included, absent links of motifs at the ends of a layer not counted."""
    total, fan_in = 0, n_inputs
    for layer in model.layers:
        topology = Topology.from_rows(layer.topology) if layer.topology else hand_set(layer.motif, reach=layer.reach)
        copies = layer.neurons // topology.size
        sides = sum(max(0, copies - abs(delta)) * int((row != 0).sum()) for delta, row in zip(topology.deltas, topology.lateral, strict=True))
        total += fan_in * layer.neurons * (1 if layer.learn_delays else len(layer.delays)) + copies * int((topology.intra != 0).sum()) + sides
        fan_in = layer.neurons
    return total + fan_in * n_classes


def training_of(config: SearchConfig, point: dict[str, Any], n_inputs: int, n_classes: int) -> Config:
    """The training that a point of the space stands for, its layers narrow enough for the budget of weights.

    Parameters
    ----------
    config : SearchConfig
    point : dict
        A value for each key of ``Space``, ``shape`` in place of ``shapes``; ``exponent``, ``steepness`` where the shape has them.
    n_inputs, n_classes : int

    Raises
    ------
    UsageError
        If not even one motif a layer fits the budget.
    """
    base = config.training.model
    depth = len(base.layers)
    sizes = kernel_sizes(point["kernel"], point["kernel_spread"], depth)
    steps = dilations(point["dilation"], point["dilation_spread"], depth)

    def layer(given: LayerConfig, size: int, step: int, neurons: int) -> LayerConfig:
        kernel = taps(size, step)
        learnt = point["delays"] == "learnt" and kernel[-1] > 0
        return dataclasses.replace(given, neurons=neurons, delays=tuple(range(kernel[-1] + 1)) if learnt else kernel, learn_delays=learnt)

    scales = Timescales(
        shape=point["shape"], mean=point["mean"], spread=point["spread"], jitter=point["jitter"], train=point["train"],
        exponent=point.get("exponent", 1.0), steepness=point.get("steepness", 0.5),
    )  # fmt: skip
    for share in range(100, 0, -1):
        widths = [max(1, given.neurons // given.motif_size * share // 100) * given.motif_size for given in base.layers]
        layers = tuple(layer(given, size, step, width) for given, size, step, width in zip(base.layers, sizes, steps, widths, strict=True))
        model = dataclasses.replace(base, layers=layers, timescales=scales)
        if not config.budget.weights or count_weights(model, n_inputs, n_classes) <= config.budget.weights:
            return dataclasses.replace(config.training, model=model)
    least = count_weights(model, n_inputs, n_classes)
    raise UsageError(
        f"a network must have at most budget.weights = {config.budget.weights} weights; one motif a layer has {least}, {least - config.budget.weights} too many"
    )


def load_recipe(name: str) -> SearchConfig:
    """Read a recipe of a search by its ``name`` or path. Raises ``UsageError`` where there is none, or it is not valid."""
    return read_recipe(name, SearchConfig, RECIPES)
