# SPDX-License-Identifier: Apache-2.0
"""One frozen configuration of a search, read from a TOML recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...edge.errors import UsageError
from ..recipe import read_recipe
from .evolution import MethodConfig
from .model import NetworkConfig

__all__ = ["SearchConfig", "TaskConfig", "load_recipe"]

RECIPES = Path(__file__).parent / "recipes"
MODELS = ("rsnn", "gru", "lstm")
TASKS = ("control", "mts_xor", "keywords")


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """What individuals are tried on.

    Attributes
    ----------
    kind : {"control", "mts_xor", "keywords"}
        A Gymnasium environment, or clips with a cross-entropy fitness.
    env : str
        Name of the environment, or MODULE:NAME.
    options : dict
        Keyword arguments of the environment.
    episodes : int, >= 1
        Episodes of an individual in a generation, with initial states all individuals share; clips a generation for the other kinds.
    max_steps : int
        Longest episode of an environment that has no limit of its own.
    evaluation : int, >= 1
        Episodes (clips) the deployed network is evaluated on between generations.
    target : float or infinity
        Mean return (share of right answers) that ends the search, on ``final`` fresh episodes.
    final : int
        Fresh episodes (clips) of the last evaluation.
    loss_gain : float
        Scores are multiplied by it before the softmax of the cross-entropy (clips).
    front_end : str
        Kind of the front end (keywords).
    standardize : bool
        Scores lose their mean over the batch, label by label, and are divided by their common deviation before ``loss_gain``, for neither changes what a
        network can tell apart. What the deployed network loses are its means over the training clips, as initial membranes of the readout (keywords).
    augmented : int, >= 0
        Augmented copies of the training clips beside the clips themselves (keywords).
    """

    kind: str = "control"
    env: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    episodes: int = 1
    max_steps: int = 1000
    evaluation: int = 16
    target: float = float("inf")
    final: int = 100
    loss_gain: float = 1.0
    front_end: str = "fft"
    standardize: bool = False
    augmented: int = 0

    def __post_init__(self) -> None:
        if self.kind not in TASKS:
            raise UsageError(f"task.kind must be one of {', '.join(TASKS)}, not {self.kind!r}: correct the recipe")
        if self.front_end not in ("fft", "bank"):
            raise UsageError(f"task.front_end must be fft or bank, not {self.front_end!r}: correct the recipe")
        if min(self.episodes, self.max_steps, self.evaluation, self.final) < 1:
            raise UsageError("task.episodes, max_steps, evaluation and final must be at least 1: correct the recipe")
        if self.augmented < 0 or ((self.standardize or self.augmented) and self.kind != "keywords"):
            raise UsageError("task.augmented must be at least 0, and both it and task.standardize are of task.kind = keywords: correct the recipe")


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Everything a search depends on.

    Attributes
    ----------
    reference : bool
        The quirks of the released code: a pool of initial states, lock-step episodes, evaluation slots within the population, ties by index, an
        unrounded observation normalised by the last observations, membranes drawn at the start, a readout without delay.
    model : {"rsnn", "gru", "lstm"}
        Network; the last two are baselines of method es.
    hidden : int
        Units of a gru or an lstm.
    evaluate_every : int
        Generations between evaluations of the deployed network.
    """

    seed: int = 0
    generations: int = 100
    reference: bool = False
    model: str = "rsnn"
    hidden: int = 256
    evaluate_every: int = 1
    task: TaskConfig = TaskConfig()
    network: NetworkConfig = NetworkConfig()
    method: MethodConfig = MethodConfig()

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise UsageError(f"model must be one of {', '.join(MODELS)}, not {self.model!r}: correct the recipe")
        if self.model != "rsnn" and self.method.boolean:
            raise UsageError(f"a {self.model} has weights, so method.kind must be es, not {self.method.kind}: correct the recipe")
        if self.method.kind == "gradient" and (self.task.kind != "keywords" or self.network.motif):
            raise UsageError("method.kind = gradient must come with task.kind = keywords and network.motif = 0: correct the recipe")
        if not 0 <= self.seed < 1 << 32 or self.generations < 0 or self.evaluate_every < 1:
            raise UsageError("seed must be in 0..2**32 - 1, generations at least 0 and evaluate_every at least 1: correct the recipe")
        if self.method.family > 1 and (self.task.kind != "keywords" or self.network.motif or self.network.decay(self.network.tau_readout_ms) < 1):
            rule = "method.family above 1 must come with task.kind = keywords, network.motif = 0 and network.tau_readout_ms = inf"
            raise UsageError(f"{rule}, for families share the spikes that readouts count: correct the recipe")
        if self.reference and (self.task.kind != "control" or self.network.payload_bits or self.network.readout_delay):
            raise UsageError("reference must come with task.kind = control, network.payload_bits = 0 and network.readout_delay = false: correct the recipe")


def load_recipe(name: str) -> SearchConfig:
    """Read a recipe of a search by its ``name`` or path. Raises ``UsageError`` where there is none, or it is not valid."""
    return read_recipe(name, SearchConfig, RECIPES)
