# SPDX-License-Identifier: Apache-2.0
"""Pictures of a network's structure: one motif with its links, and the layers with their synapses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

from ..network import MotifHint, Network
from .svg import ACCENT, FAINT, INK, PANEL, SECOND, draw

__all__ = ["Group", "draw_layers", "draw_motif", "groups_of", "links_between"]

MOST_CIRCLES = 16


@dataclass(frozen=True)
class Group:
    """Sources that belong together: input channels, an array of motifs, or other neurons.

    Attributes
    ----------
    name : str
    sources : int64 [n]
        In the index space of axon sources (A2).
    motif : MotifHint or None
    """

    name: str
    sources: np.ndarray
    motif: MotifHint | None = None


def groups_of(net: Network) -> list[Group]:
    """Inputs, each motif array in order, and the neurons of none (the readout where it is all of them)."""
    groups = [Group("inputs", np.arange(net.n_inputs))]
    rest = np.ones(net.n_neurons, bool)
    for number, hint in enumerate(net.motifs, 1):
        neurons = np.arange(hint.base, hint.base + hint.size * hint.count)
        rest[neurons] = False
        groups.append(Group(f"layer {number}", net.n_inputs + neurons, hint))
    left = np.flatnonzero(rest)
    if len(left):
        groups.append(Group("readout" if set(left) <= set(net.readout_neuron.tolist()) else "other neurons", net.n_inputs + left))
    return groups


def links_between(net: Network, groups: list[Group]) -> np.ndarray:
    """Synapses from each group to each, int64 [n_groups, n_groups]."""
    group = np.full(net.n_sources, -1)
    for number, members in enumerate(groups):
        group[members.sources] = number
    source = group[np.repeat(net.axon_source, np.diff(net.synapse_start))]
    target = group[net.n_inputs + net.synapse_target]
    return np.bincount(source * len(groups) + target, minlength=len(groups) ** 2).reshape(len(groups), len(groups))


def _circle(center: tuple[float, float], radius: float, size: int) -> np.ndarray:
    angle = np.pi / 2 - 2 * np.pi * np.arange(size) / size
    return np.stack([center[0] + radius * np.cos(angle), center[1] + radius * np.sin(angle)], axis=1)


def draw_motif(hint: MotifHint, number: int) -> str:
    """A motif as a circle of neurons with its intra links, and its lateral links to the motifs beside it."""
    distances = sorted({delta for delta, _ in hint.lateral})
    loops = sum(i == j for i, j in hint.intra)
    alt = (
        f"A motif of layer {number}: {hint.size} neurons in a circle with {len(hint.intra)} links among them, {loops} of them from a neuron to itself, and "
        + (f"{len(hint.lateral)} lateral links to motifs at {', '.join(f'{d:+d}' for d in distances)}." if distances else "no lateral links.")
    )

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        _motif(axes, hint)

    return draw(f"motif-{number}", alt, (4.2, 2.5), paint)


def _motif(axes: Axes, hint: MotifHint) -> None:
    middle = _circle((0, 0), 1.0, hint.size)
    sides = {side: _circle((side * 2.05, 0), 0.48, hint.size) for side in (-1, 1) if any((delta > 0) == (side > 0) for delta, _ in hint.lateral)}
    for side, ring in sides.items():
        near = min(abs(delta) for delta, _ in hint.lateral if (delta > 0) == (side > 0))
        for delta, j in hint.lateral:
            if delta == side * near:
                arrow = FancyArrowPatch(
                    middle[j], ring[j], arrowstyle="-|>", mutation_scale=5, color=SECOND, alpha=0.45, linewidth=0.7, shrinkA=4, shrinkB=2, zorder=1
                )
                axes.add_patch(arrow)
        axes.scatter(ring[:, 0], ring[:, 1], s=9, color=SECOND, zorder=3)
        shown = sorted({delta for delta, _ in hint.lateral if (delta > 0) == (side > 0)}, key=abs)
        axes.text(side * 2.05, -0.72, "motif m" + ", ".join(f" {'+' if d > 0 else '-'} {abs(d)}" for d in shown), ha="center", va="top", fontsize=8)
    for i, j in hint.intra:
        if i != j:
            arrow = FancyArrowPatch(
                middle[i], middle[j], connectionstyle="arc3,rad=0.18", arrowstyle="-|>", mutation_scale=6,
                color=ACCENT, alpha=0.7, linewidth=0.8, shrinkA=5, shrinkB=5,
            )  # fmt: skip
            axes.add_patch(arrow)
        else:
            axes.add_patch(Circle(tuple(middle[i] * 1.11), 0.09, fill=False, edgecolor=ACCENT, linewidth=0.8, alpha=0.8, zorder=2))
    few = hint.size <= 32
    axes.scatter(middle[:, 0], middle[:, 1], s=95 if few else 12, color=PANEL, edgecolors=INK, linewidths=0.9, zorder=3)
    if few:
        for j, (x, y) in enumerate(middle):
            axes.text(x, y - 0.005, str(j), ha="center", va="center", fontsize=6, zorder=4)
    axes.text(0, -1.32, "motif m", ha="center", va="top", fontsize=8)
    reach = 2.62 if sides else 1.4
    axes.set(xlim=(-reach, reach), ylim=(-1.55, 1.3), aspect="equal")
    axes.axis("off")


def draw_layers(net: Network) -> str:
    """The groups from inputs to readout, with the synapses between neighbours."""
    groups, links = groups_of(net), links_between(net, groups_of(net))
    said = [f"{groups[i].name} to {groups[i + 1].name} {links[i, i + 1]}" for i in range(len(groups) - 1)]
    alt = f"Layers from inputs to readout: {', '.join(f'{g.name} of {len(g.sources)}' for g in groups)}; synapses: {', '.join(said)}."

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for row, group in enumerate(groups):
            y = -1.5 * row
            _box(axes, group, int(links[row, row]), y)
            if row + 1 < len(groups):
                axes.add_patch(
                    FancyArrowPatch((0, y - 0.45), (0, y - 1.05), arrowstyle="-|>", mutation_scale=10, color=INK, linewidth=1.2, shrinkA=2, shrinkB=2)
                )
                axes.text(0.14, y - 0.74, f"{links[row, row + 1]:,} synapses".replace(",", "\u202f"), ha="left", va="center", fontsize=8)
        axes.set(xlim=(-2.3, 2.3), ylim=(-1.5 * (len(groups) - 1) - 0.55, 0.55), aspect="equal")
        axes.axis("off")

    return draw("layers", alt, (4.2, 1.32 * len(groups)), paint)


def _box(axes: Axes, group: Group, within: int, y: float) -> None:
    axes.add_patch(FancyBboxPatch((-2.15, y - 0.38), 4.3, 0.76, boxstyle="round,pad=0.05", facecolor="none", edgecolor=FAINT, linewidth=1))
    axes.text(-2.05, y + 0.2, group.name, ha="left", va="center", fontsize=9, fontweight="bold")
    hint = group.motif
    if hint is None:
        axes.text(-2.05, y - 0.15, f"{len(group.sources)} " + ("channels" if group.name == "inputs" else "neurons"), ha="left", va="center", fontsize=8)
        return
    text = f"{hint.count} motifs of {hint.size}".replace("1 motifs", "1 motif")
    axes.text(-2.05, y - 0.02, text, ha="left", va="center", fontsize=8)
    axes.text(-2.05, y - 0.23, f"{within:,} synapses within".replace(",", "\u202f"), ha="left", va="center", fontsize=8)
    shown = min(hint.count, MOST_CIRCLES)
    pitch = min(0.44, 2.4 / shown)
    radius = 0.36 * pitch
    start = 2.1 - pitch * shown
    for m in range(shown):
        ring = _circle((start + pitch * (m + 0.5), y), radius, hint.size)
        axes.scatter(ring[:, 0], ring[:, 1], s=1.2, color=ACCENT)
        if m + 1 < shown and hint.lateral:
            axes.plot([start + pitch * (m + 0.5) + radius * 1.12, start + pitch * (m + 1.5) - radius * 1.12], [y, y], color=SECOND, linewidth=1)
