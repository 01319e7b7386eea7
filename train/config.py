# SPDX-License-Identifier: Apache-2.0
"""One frozen configuration of a training run, read from a TOML recipe; an unknown key is an error that names the nearest one."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..edge.errors import UsageError
from .model import ModelConfig

__all__ = ["AugmentConfig", "Config", "FrontEndConfig", "from_dict", "load_recipe", "recipe_names", "to_dict", "with_settings"]

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True, kw_only=True)
class FrontEndConfig:
    """Which front end, and what differs from its preset.

    Attributes
    ----------
    kind : str
        Preset of ``edge/frontend``.
    options : dict
        Keyword arguments of the preset.
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
    """

    shift_ms: float = 100.0
    gain_db: float = 6.0
    noise_probability: float = 0.8
    snr_db: tuple[float, float] = (0.0, 30.0)
    speed: float = 0.1
    time_mask: int = 5
    channel_mask: int = 4
    preroll_ms: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a training run depends on, its corpus aside.

    Attributes
    ----------
    learning_rate : float
        Peak step of each weight matrix, in units of the spread of its initial weights.
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
    front_end: FrontEndConfig = FrontEndConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()


def to_dict(config: Any) -> dict[str, Any]:
    """JSON-able form of a configuration."""
    return dataclasses.asdict(config)


def from_dict(cls: type, values: dict[str, Any], where: str = "recipe") -> Any:
    """Build a configuration dataclass, checking every key and type.

    Raises
    ------
    UsageError
        Naming the key, the place and the nearest known key.
    """
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        near = difflib.get_close_matches(unknown[0], hints, n=1)
        raise UsageError(f"{where}: unknown key {unknown[0]!r}" + (f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(hints)}"))
    return cls(**{key: _convert(hints[key], value, f"{where}.{key}") for key, value in values.items()})


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise UsageError(f"{where} must be a table, not {value!r}")
        return from_dict(hint, value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise UsageError(f"{where} must be a list, not {value!r}")
        inner = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        if len(inner) != len(value):
            raise UsageError(f"{where} must have {len(inner)} entries, not {len(value)}")
        return tuple(_convert(h, v, f"{where}[{i}]") for i, (h, v) in enumerate(zip(inner, value, strict=True)))
    if isinstance(hint, types.GenericAlias):
        return dict(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise UsageError(f"{where} must be of type {hint.__name__}, not {value!r}")
    return value


def recipe_names() -> list[str]:
    """Recipes that ship with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(name: str) -> Config:
    """Read a recipe by name or path.

    Raises
    ------
    UsageError
        If there is no such recipe, or it is no valid TOML or configuration.
    """
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise UsageError(f"a recipe must be a .toml file or one of {', '.join(recipe_names())}, not {name!r}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: a recipe must be valid TOML: {error}") from None
    config: Config = from_dict(Config, values, path.name)
    return config


def with_settings(config: Config, settings: list[str]) -> Config:
    """Apply ``key.subkey=value`` settings; a value is read as TOML, a bare word as a string."""
    values = to_dict(config)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"a setting must look like epochs=3 or model.weight_bits=4, not {setting!r}")
        try:
            value = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            value = text
        place = values
        *path, last = key.strip().split(".")
        for part in path:
            if not isinstance(place.get(part), dict):
                raise UsageError(f"--set: unknown key {part!r}; known keys: {', '.join(place)}")
            place = place[part]
        place[last] = value
    changed: Config = from_dict(Config, values, "--set")
    return changed
