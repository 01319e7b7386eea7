# SPDX-License-Identifier: Apache-2.0
"""Plots as inline SVG that takes its colors from the page, so that they are legible on a light and on a dark one.

Matplotlib draws with stand-in colors; the SVG's text is then changed to CSS variables. Knows nothing of what is drawn.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

__all__ = ["ACCENT", "FAINT", "INK", "PANEL", "SECOND", "cells", "draw"]

# stand-ins: each becomes the CSS variable of the same name
INK, FAINT, ACCENT, SECOND, PANEL = "#010203", "#040506", "#070809", "#0a0b0c", "#0d0e0f"
VARIABLES = {INK: "--ink", FAINT: "--faint", ACCENT: "--accent", SECOND: "--second", PANEL: "--panel"}

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "font.size": 9.0, "axes.titlesize": 9.0, "axes.labelsize": 9.0, "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0, "legend.fontsize": 8.0,
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": FAINT, "axes.facecolor": "none",
    "figure.facecolor": "none", "legend.frameon": False, "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.8,
    "xtick.major.width": 0.8, "ytick.major.width": 0.8, "xtick.major.size": 3.0, "ytick.major.size": 3.0, "grid.color": FAINT, "grid.linewidth": 0.5,
    "axes.titlelocation": "left", "lines.linewidth": 1.6, "axes.unicode_minus": False,
}  # fmt: skip


def draw(name: str, alt: str, size: tuple[float, float], paint: Callable[[Figure], None]) -> str:
    """One figure.

    Parameters
    ----------
    name : str
        Unique in the page: becomes part of every id.
    alt : str
        What there is to see, for who cannot.
    size : (float, float)
        Width and height in inches; text of 9 points keeps its size where the page gives the figure this width.
    paint : function of a Figure
        Draws it.

    Returns
    -------
    str
        An ``svg`` element.
    """
    with rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        paint(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    for stand_in, variable in VARIABLES.items():
        svg = svg.replace(stand_in, f"var({variable})")
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'((?:xlink:)?href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font: ((?:\w+ )*)([\d.]+px)[^;\"]*", r"font-size: \2", svg)
    opening = f'<svg role="img" aria-label="{html.escape(alt)}" style="max-width: {size[0] * 96:.0f}px"'
    return re.sub(r'<svg( xmlns[^>]*?)? width="[^"]*" height="[^"]*"', opening, svg, count=1).replace("\n", "")


def cells(axes: Axes, columns: Iterable[float], rows: Iterable[float], width: float, height: float, color: str, opacity: float = 1.0) -> None:
    """Rectangles at (column, row), their lower left corners, as one path."""
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height), (0, 0)])
    at = np.stack([np.asarray(list(columns), float), np.asarray(list(rows), float)], axis=1)
    if len(at) == 0:
        return
    vertices = (at[:, None, :] + corners).reshape(-1, 2)
    codes = np.tile([Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY], len(at))
    axes.add_patch(PathPatch(Path(vertices, codes), facecolor=color, edgecolor="none", alpha=opacity))
