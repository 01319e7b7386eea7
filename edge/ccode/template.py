# SPDX-License-Identifier: Apache-2.0
"""Text of C files from templates: ``$name`` substitutes, ``@if name`` / ``@if !name`` / ``@else`` / ``@end`` lines choose lines.

Knows nothing of networks. Small on purpose: a template must still read as C.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from string import Template

__all__ = ["load_template", "render"]


def load_template(name: str) -> str:
    """Text of a file in ``edge/ccode/templates``."""
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


def render(text: str, values: Mapping[str, object]) -> str:
    """Fill a template.

    Parameters
    ----------
    text : str
        The template.
    values : mapping
        What ``$name`` becomes, and whether ``@if name`` holds. A name that is missing is a ``KeyError``.

    Examples
    --------
    >>> render("a\\n@if deep\\n$x\\n@else\\nflat\\n@end\\nb\\n", {"deep": False, "x": 3})
    'a\\nflat\\nb\\n'
    """
    kept: list[str] = []
    open_blocks: list[bool] = []
    for line in text.splitlines(keepends=True):
        word, _, name = line.strip().partition(" ")
        if word == "@if":
            open_blocks.append(bool(values[name.lstrip("!")]) != name.startswith("!"))
        elif word == "@else":
            open_blocks[-1] = not open_blocks[-1]
        elif word == "@end":
            open_blocks.pop()
        elif all(open_blocks):
            kept.append(line)
    if open_blocks:
        raise ValueError("every @if of a template must have its @end")
    return Template("".join(kept)).substitute(values)
