# SPDX-License-Identifier: Apache-2.0
"""One frozen configuration of a search, read from a TOML recipe."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from ...edge.errors import UsageError
from ..config import Config
from ..recipe import read_recipe

__all__ = ["PlasticityConfig", "PriceConfig", "SearchConfig", "load_recipe"]

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True, kw_only=True)
class PlasticityConfig:
    """Intrinsic plasticity (``intrinsic.py``).

    Attributes
    ----------
    on : bool
        Whether there is any.
    target : float, 0..1
        Mean rate in spikes a timestep of the exponential that rates are drawn to.
    trace : float, >= 1
        Time constant in timesteps of the running estimate of a rate.
    largest_change : float, >= 0
        Most that R and tau may change in one window, relative to what they were; 0 is no limit. Membranes see a change in the next window only, so that
        the rule as it is overshoots where recurrence is strong: the layer then falls silent and saturates in turn.
    measure_every : int, >= 1
        Iterations between measurements of the rate after the repair, each of which takes one more forward pass.
    """

    on: bool = True
    target: float = 0.1
    trace: float = 64.0
    largest_change: float = 0.05
    measure_every: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.target < 1 or not self.trace >= 1 or self.measure_every < 1 or not self.largest_change >= 0:
            raise UsageError(
                "plasticity.target must be within 0..1, trace and measure_every at least 1, largest_change at least 0, not "
                f"{self.target}, {self.trace}, {self.measure_every} and {self.largest_change}: correct the recipe"
            )


@dataclass(frozen=True, kw_only=True)
class PriceConfig:
    """What expected hardware adds to the loss of the architecture, each as a share of the dearest candidate (``price.py``); 0 is free.

    Attributes
    ----------
    synapses, memory, cycles : float, >= 0
        For recurrent synapses, bits of their memories in motif-shared packing, and clocks of a timestep.
    """

    synapses: float = 0.0
    memory: float = 0.0
    cycles: float = 0.0


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Everything a search depends on, its corpus aside.

    Attributes
    ----------
    epochs, size_epochs : int
        Of the search; of its first phase, after which the best size of each layer is fixed.
    sizes : tuple of int
        Motif sizes to choose from; each divides every layer.
    lateral : bool
        Whether corresponding neurons of neighboring motifs may be linked.
    ring : bool
        Whether the last motif is a neighbor of the first, where there are more than two.
    untied : bool
        Whether every link between motifs has a type of its own; what is found then is one motif as large as the layer, and shares no list.
    order : {1, 2}
        1: the gradient of the architecture at the present weights; 2: at weights one step ahead, with finite differences (DARTS, arXiv 1806.09055).
    learning_rate : float
        Of the weights, in units of the spread of each matrix; constant.
    architecture_rate, architecture_decay : float
        Adam's step of the logits and their weight decay (betas 0.5 and 0.999).
    rate_weight : float
        Share of the pull toward a firing rate in the loss of the search; 0 leaves rates to intrinsic plasticity.
    keep_intrinsic : bool
        Whether the found network is trained with the time constants and thresholds that plasticity found, in at most ``kinds`` kinds.
    kinds : int, 1..200
        Most different time constants of a layer, once they are clustered.
    training : Config
        Layers (their neurons, time constants, inhibitory weight, delays; motif, reach and topology are what is searched), batch, augmentation, and how
        the found network is trained.
    """

    epochs: int = 30
    size_epochs: int = 10
    sizes: tuple[int, ...] = (2, 4, 8, 16, 32)
    lateral: bool = True
    ring: bool = False
    untied: bool = False
    order: int = 1
    learning_rate: float = 0.03
    architecture_rate: float = 0.003
    architecture_decay: float = 0.001
    rate_weight: float = 0.0
    keep_intrinsic: bool = False
    kinds: int = 16
    plasticity: PlasticityConfig = PlasticityConfig()
    price: PriceConfig = PriceConfig()
    training: Config = Config()

    def __post_init__(self) -> None:
        if not self.sizes or min(self.sizes) < 1 or len(set(self.sizes)) < len(self.sizes):
            raise UsageError(f"sizes must be different numbers of neurons from 1 up, at least one, not {self.sizes}: correct the recipe")
        for layer in self.training.model.layers:
            wrong = [size for size in self.sizes if layer.neurons % size]
            if wrong:
                raise UsageError(f"every motif size must divide the layer: {layer.neurons} neurons are no whole number of motifs of {wrong[0]}: correct sizes")
        if self.order not in (1, 2):
            raise UsageError(f"order must be 1 or 2, not {self.order}: correct the recipe")
        if not 0 <= self.size_epochs <= self.epochs or not 1 <= self.kinds <= 200:
            raise UsageError(
                f"size_epochs must be within 0..epochs and kinds within 1..200, not {self.size_epochs} of {self.epochs} and {self.kinds}: correct the recipe"
            )
        if (self.ring or self.untied) and not self.lateral:
            raise UsageError("ring and untied must go with lateral = true, for they are about links between motifs: correct the recipe")
        if len(self.sizes) > 1 and self.size_epochs == 0:
            raise UsageError("size_epochs must be at least 1 where there are several sizes to choose from: correct the recipe")

    @property
    def searching(self) -> Config:
        """The training configuration as the loss of the search uses it."""
        return dataclasses.replace(self.training, learning_rate=self.learning_rate, rate_weight=self.rate_weight)


def load_recipe(name: str) -> SearchConfig:
    """Read a recipe of a search by its ``name`` or path. Raises ``UsageError`` where there is none, or it is not valid."""
    return read_recipe(name, SearchConfig, RECIPES)
