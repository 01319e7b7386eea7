# SPDX-License-Identifier: Apache-2.0
"""Plots of an evaluation and of a training log."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from .clip import shown_label
from .svg import ACCENT, FAINT, INK, PANEL, SECOND, cells, draw

__all__ = ["draw_confusion", "draw_training"]


def draw_confusion(evaluation: dict[str, Any]) -> str:
    """Confusion matrix of ``ormia eval``."""
    counts = np.array(evaluation["confusion"])
    labels = [shown_label(label) for label in evaluation["labels"]]
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    off = [(int(counts[i, j]), i, j) for i in range(len(labels)) for j in range(len(labels)) if i != j and counts[i, j]]
    most = max(off, default=None)
    worst = "nothing is confused" if most is None else f"most often confused: {labels[most[1]]} heard as {labels[most[2]]}, {most[0]} times"
    alt = f"Confusion matrix of {len(labels)} classes, {int(np.trace(counts))} of {int(counts.sum())} clips on the diagonal; {worst}."

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        n = len(labels)
        for i in range(n):
            for j in range(n):
                if counts[i, j]:
                    cells(axes, [j - 0.48], [i - 0.48], 0.96, 0.96, ACCENT if i == j else SECOND, 0.12 + 0.88 * float(shares[i, j]))
                    bright = shares[i, j] > 0.5
                    axes.text(j, i, str(counts[i, j]), ha="center", va="center", color=PANEL if bright else INK, fontsize=7 if n > 8 else 9)
        axes.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5), xlabel="heard", ylabel="spoken", aspect="equal")
        axes.set_xticks(range(n), labels, rotation=90)
        axes.set_yticks(range(n), labels)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)

    return draw("confusion", alt, (4.2, 4.3), paint)


def draw_stream(evaluation: dict[str, Any]) -> str:
    """False rejects against false accepts an hour, over the detector's margins."""
    curve = [tuple(point[name]["value"] for name in ("false_accepts_per_hour", "false_reject_rate")) for point in evaluation["curve"]]
    curve = [(x, y) for x, y in curve if y is not None]
    shipped = evaluation["operating_point"]
    rejects, accepts = (shipped[name]["value"] for name in ("false_reject_rate", "false_accepts_per_hour"))
    alt = (
        f"False rejects against false accepts an hour over {len(curve)} margins of the detector; "
        f"the margin in the file is at {100 * (rejects or 0):.0f} % and {accepts:.0f}."
    )

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([x for x, _ in curve], [100 * y for _, y in curve], color=ACCENT)
        if rejects is not None:
            axes.plot([accepts], [100 * rejects], "o", color=INK, markersize=5)
            axes.annotate("margin in the file", (accepts, 100 * rejects), xytext=(7, 5), textcoords="offset points", color=INK)
        axes.set(xlabel="false accepts an hour", ylabel="keywords missed, %", ylim=(0, 103), xscale="symlog")
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.grid(alpha=0.4, color=FAINT)

    return draw("stream", alt, (4.2, 2.7), paint)


def draw_training(rows: list[dict[str, float]]) -> str:
    """Accuracy over epochs of the training log."""
    epochs = [row["epoch"] + 1 for row in rows]
    last = rows[-1]
    alt = (
        f"Training curve over {len(rows)} epochs: accuracy ends at {100 * last['train_accuracy']:.1f} % on training clips "
        f"and {100 * last['valid_accuracy']:.1f} % on validation clips."
    )

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        dots = "o" if len(rows) < 12 else "none"
        for name, label, color in (("valid_accuracy", "validation", ACCENT), ("train_accuracy", "training, augmented", INK)):
            axes.plot(epochs, [100 * row[name] for row in rows], color=color, label=label, alpha=1 if color == ACCENT else 0.55, marker=dots, markersize=3)
        axes.set(xlabel="epoch", ylabel="accuracy, %", ylim=(0, 103), xlim=(min(0.5, epochs[0]), epochs[-1] + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", alpha=0.4, color=FAINT)
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=2)

    return draw("training", alt, (4.2, 2.7), paint)
