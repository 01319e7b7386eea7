# SPDX-License-Identifier: Apache-2.0
"""Plots of a search from its history and its logs of logits: motif by epoch, size probabilities, firing rates and divergence, as SVG and PNG."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...edge.errors import MissingTool
from ...edge.files import make_folder, write_whole
from ..topology import Link, Topology
from .search import Search

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["motif_by_epoch", "write_plots"]

COLORS = {Link.EXCITATORY: "#1f6fb2", Link.INHIBITORY: "#c8442e"}
MOST_MOTIFS = 6  # of one figure


def motif_by_epoch(search: Search, folder: Path, layer: int) -> list[tuple[int, Topology]]:
    """Iteration and likeliest topology at the end of each logged epoch.

    Parameters
    ----------
    search : Search
    folder : Path
        Of the run.
    layer : int
        Which one.
    """
    candidates = search.supernet.candidates[layer]
    per_epoch = len(search.history) // max(1, search.epoch)
    found = []
    for epoch in range(search.epoch):
        with np.load(folder / "logits" / f"epoch{epoch:04}.npz") as file:
            sizes, links = file[f"layer{layer}_sizes"][-1], file[f"layer{layer}_links"][-1]
        topology = candidates.motif(int(sizes.argmax()), links)  # type: ignore[operator]
        found.append(((epoch + 1) * per_epoch, topology))
    return found


def write_plots(search: Search, folder: Path) -> list[Path]:
    """Write all plots to ``folder/plots``; the files.

    Parameters
    ----------
    search : Search
    folder : Path
        Of the run.

    Raises
    ------
    MissingTool
        If matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingTool("plots need matplotlib: pip install 'ormia[report]'; the search is kept, the same command goes on")
    if not search.epoch:
        return []
    target = make_folder(folder / "plots")
    written = []
    for layer in range(len(search.supernet.candidates)):
        for name, figure in (
            ("motif", _motifs(motif_by_epoch(search, folder, layer))),
            ("sizes", _sizes(search, layer)),
            ("rates", _repair(search, layer, "rate", "spikes a timestep")),
            ("divergence", _repair(search, layer, "divergence", "KL to the target, nats")),
        ):
            for kind in ("svg", "png"):
                written.append(target / f"layer{layer}_{name}.{kind}")
                write_whole(written[-1], _bytes(figure, kind))
    return written


def _bytes(figure: Figure, kind: str) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=kind, dpi=110, metadata={"Date": None} if kind == "svg" else None)
    return file.getvalue()


def _figure(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure((width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())


def _motifs(found: list[tuple[int, Topology]]) -> Figure:
    """The motif as a graph, and the types of its links as a table, at a few of the epochs, the last among them."""
    shown = [found[k] for k in sorted({round(k) for k in np.linspace(0, len(found) - 1, min(MOST_MOTIFS, len(found)))})]
    figure, places = _figure(2.6 * len(shown), 5.4, len(shown), 2)
    for graph, table, (iteration, topology) in zip(places[: len(shown)], places[len(shown) :], shown, strict=True):
        draw_motif(graph, topology)
        graph.set_title(f"iteration {iteration}, size {topology.size}", fontsize=8)
        draw_types(table, topology)
    return figure


def draw_types(axes: Axes, topology: Topology) -> None:
    """Type of every link of a motif: a row a neuron that sends, a column one that receives; to the right, links to the same neuron of neighboring motifs."""
    from matplotlib.colors import ListedColormap

    gap = np.full((topology.size, 1), -1, np.int8)
    types = np.concatenate([topology.intra, gap, topology.lateral.T], 1) if topology.deltas else topology.intra
    colors = ["white", "0.93", COLORS[Link.EXCITATORY], COLORS[Link.INHIBITORY], "0.4"]
    axes.imshow(types, cmap=ListedColormap(colors), vmin=-1.5, vmax=3.5, interpolation="nearest")
    axes.set_xticks([topology.size + 1 + d for d in range(len(topology.deltas))], [f"{delta:+}" for delta in topology.deltas], fontsize=6, rotation=90)
    axes.set_yticks([])
    axes.set_xlabel("to", fontsize=7)
    axes.set_ylabel("from", fontsize=7)


def draw_motif(axes: Axes, topology: Topology) -> None:
    """Neurons on a circle, a colored arrow for each link within the motif; links to neighboring motifs point outward, a self-connection is a ring."""
    from matplotlib.patches import FancyArrowPatch

    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_xlim(-1.5, 1.5)
    axes.set_ylim(-1.5, 1.5)
    angle = np.pi / 2 - 2 * np.pi * np.arange(topology.size) / topology.size
    x, y = np.cos(angle), np.sin(angle)
    dense = min(1.0, 80 / max(1, np.count_nonzero(topology.intra)))  # many links: thin and pale, or they hide one another
    for i, j in np.argwhere(topology.intra).tolist():
        color = COLORS[Link(int(topology.intra[i, j]))]
        if i == j:
            axes.plot(1.13 * x[i], 1.13 * y[i], "o", ms=7, mfc="none", mec=color, mew=0.8)
        else:
            style = {"arrowstyle": "-|>", "mutation_scale": 1 + 5 * dense, "shrinkA": 4, "shrinkB": 4, "connectionstyle": "arc3,rad=0.12"}
            axes.add_patch(FancyArrowPatch((x[i], y[i]), (x[j], y[j]), color=color, lw=0.25 + 0.4 * dense, alpha=0.2 + 0.5 * dense, **style))
    for d, j in np.argwhere(topology.lateral).tolist():
        turn = 0.06 * topology.deltas[d]
        ends = [(r * np.cos(angle[j] - turn), r * np.sin(angle[j] - turn)) for r in (1.2, 1.42)]
        axes.plot(*zip(*ends, strict=True), color=COLORS[Link(int(topology.lateral[d, j]))], lw=1.2)
    axes.plot(x, y, "o", ms=4, color="0.2")


def _sizes(search: Search, layer: int) -> Figure:
    figure, (axes,) = _figure(5.2, 3.0)
    probability = np.array([entry["sizes"][layer] for entry in search.history])
    for k, size in enumerate(search.config.sizes):
        axes.plot(probability[:, k], label=f"{size}", lw=1)
    axes.set(xlabel="iteration", ylabel="probability of the motif size", ylim=(0, 1.02))
    axes.legend(fontsize=7, frameon=False, loc="upper left")
    return figure


def _repair(search: Search, layer: int, key: str, label: str) -> Figure:
    figure, (axes,) = _figure(5.2, 3.0)
    axes.plot([entry[key][layer] for entry in search.history], lw=0.8, color="0.55", label="before the repair")
    after: list[tuple[int, Any]] = [(entry["iteration"], entry[f"{key}_after"][layer]) for entry in search.history if f"{key}_after" in entry]
    if after:
        axes.plot(*zip(*after, strict=True), ".", ms=4, color="#1f6fb2", label="after it")
    if key == "rate":
        axes.axhline(search.config.plasticity.target, ls="--", lw=0.8, color="0.2", label="target")
    axes.set_ylim(bottom=0)
    axes.set(xlabel="iteration", ylabel=label)
    axes.legend(fontsize=7, frameon=False)
    return figure
