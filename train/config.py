# SPDX-License-Identifier: Apache-2.0
"""One frozen configuration of a training run, read from a TOML recipe; an unknown key is an error that names the nearest one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import recipe
from .model import ModelConfig
from .recipe import from_dict, read_recipe, to_dict, with_settings

__all__ = ["AugmentConfig", "Config", "FrontEndConfig", "from_dict", "load_recipe", "read_recipe", "recipe_names", "to_dict", "with_settings"]

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True, kw_only=True)
class FrontEndConfig:
    """Which front end, and what differs from its preset.

    Attributes
    ----------
    kind : str
        Preset of ``edge/frontend``, or ``events`` for a corpus that is events already.
    options : dict
        Keyword arguments of the preset; of events, ``corpus`` (a name of ``events/catalog.py``) and settings of its loader.
    """

    kind: str = "fft"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Augmentation of audio (drawn anew each epoch) and of events.

    Attributes
    ----------
    shift_ms : float
        Largest time shift to either side.
    gain_db : float
        Largest gain to either side.
    noise_probability : float, 0..1
        Share of clips that get noise.
    snr_db : tuple of 2 floats
        Range of the drawn signal-to-noise ratio.
    speed : float, 0..0.5
        Largest relative change of speed and pitch.
    time_mask, channel_mask : int
        Longest run of timesteps and of front-end channels silenced in a clip.
    preroll_ms : float
        Noise before each clip, which the network hears and is not scored on, as a streaming device would.
    carry : int, >= 1
        Clips heard in a row without a reset, by front end and network; all but the first are scored as the detector does.
    """

    shift_ms: float = 100.0
    gain_db: float = 6.0
    noise_probability: float = 0.8
    snr_db: tuple[float, float] = (0.0, 30.0)
    speed: float = 0.1
    time_mask: int = 5
    channel_mask: int = 4
    preroll_ms: float = 0.0
    carry: int = 1


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a training run depends on, its corpus aside.

    Attributes
    ----------
    learning_rate : float
        Peak step of each weight matrix, in units of the spread of its initial weights.
    teacher_weight : float, 0..1
        Share of the teacher in the loss, where one is given.
    teacher_temperature : float, > 0
        By which both distributions are softened.
    detector_timesteps : float, >= 1
        Over which the detector averages.
    false_accepts_per_hour : float, >= 0
        For which the detector's margin is chosen, on a mix of ``valid`` with other words almost without a pause.
    """

    seed: int = 0
    epochs: int = 40
    batch: int = 64
    learning_rate: float = 0.03
    weight_decay: float = 1e-4
    warmup: float = 0.1
    label_smoothing: float = 0.1
    rate_target: float = 0.08
    rate_weight: float = 1.0
    grad_clip: float = 1.0
    ema: float = 0.0
    unknown_weight: float = 1.0
    teacher_weight: float = 0.5
    teacher_temperature: float = 2.0
    detector_timesteps: float = 16.0
    false_accepts_per_hour: float = 20.0
    front_end: FrontEndConfig = FrontEndConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()


def recipe_names() -> list[str]:
    """Recipes of training that ship with the package."""
    return recipe.recipe_names(RECIPES)


def load_recipe(name: str) -> Config:
    """Read a recipe of training by name or path; see ``read_recipe``."""
    return read_recipe(name, Config, RECIPES)
