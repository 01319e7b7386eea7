# SPDX-License-Identifier: Apache-2.0
"""Recipes: frozen configuration dataclasses read from TOML; an unknown key is an error that names the nearest one. Knows no recipe's content."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from ..edge.errors import UsageError

__all__ = ["from_dict", "read_recipe", "recipe_names", "to_dict", "with_settings"]

Kind = TypeVar("Kind")


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


def recipe_names(folder: Path) -> list[str]:
    """Recipes that ship with the package in a ``folder``."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def read_recipe(name: str, kind: type[Kind], folder: Path) -> Kind:
    """Read a recipe.

    Parameters
    ----------
    name : str
        Of a file in ``folder``, without its ending; or the path of any .toml file.
    kind : type
        Configuration dataclass to build.
    folder : Path
        Of the recipes that ship with the package.

    Raises
    ------
    UsageError
        If there is no such recipe, or it is no valid TOML or configuration.
    """
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise UsageError(f"a recipe must be a .toml file or one of {', '.join(recipe_names(folder))}, not {name!r}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: a recipe must be valid TOML: {error}") from None
    config: Kind = from_dict(kind, values, path.name)
    return config


def with_settings(config: Kind, settings: list[str]) -> Kind:
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
    changed: Kind = from_dict(type(config), values, "--set")
    return changed
