# SPDX-License-Identifier: Apache-2.0
"""Sections of docs/results/timescales.md on speech: arms, their differences over speakers, and what depth and seeds do to the main one."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from ormia.train.comparison import Difference, clustered_bootstrap
from timescales_speech import ARMS

__all__ = ["DEPTHS", "depths", "depths_run", "difference", "differences", "speech"]

PAIRS = [
    ("hierarchy", "none"), ("input gain only", "none"), ("hierarchy and input gain", "none"), ("hierarchy and input gain", "input gain only"),
    ("recurrent", "none"), ("recurrent, hierarchy", "recurrent"), ("kernels 2, 4", "kernels 3, 3, dilations 2, 2"),
    ("kernels 4, 2", "kernels 3, 3, dilations 2, 2"), ("dilations 1, 3", "kernels 3, 3, dilations 2, 2"), ("dilations 3, 1", "kernels 3, 3, dilations 2, 2"),
]  # fmt: skip
DEPTHS = {2: ("2 layers, hierarchy", "2 layers"), 3: ("hierarchy", "none"), 4: ("4 layers, hierarchy", "4 layers")}
BLUE = "#1f6fb2"

Pair = tuple[str, str]


def shares(clips: dict[str, Any], pairs: list[Pair], seeds: slice) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Share of right answers to each clip of arms and of their rivals, over ``pairs`` of them and over seeds, and who speaks; clips that all were tested on."""
    labels, names = np.array(clips["label"]), np.array(clips["cluster"])
    found = [[np.array(clips["predicted"][ARMS[name]])[seeds] for name in pair] for pair in pairs]
    tested = np.all([answers[0] >= 0 for pair in found for answers in pair], 0)
    right, theirs = (np.mean([(pair[side][:, tested] == labels[tested]).mean(0) for pair in found], 0) for side in (0, 1))
    return right, theirs, names[tested].tolist()


def difference(clips: dict[str, Any], pairs: list[Pair], seeds: slice = slice(None)) -> Difference:
    """Arms less their rivals, with an interval over speakers."""
    return clustered_bootstrap(*shares(clips, pairs, seeds))


def by_seed(clips: dict[str, Any], pairs: list[Pair], seeds: slice) -> list[float]:
    """Arms less their rivals in points, a seed each."""
    there = range(len(clips["predicted"][ARMS[pairs[0][0]]]))[seeds]
    found = [shares(clips, pairs, slice(seed, seed + 1)) for seed in there]
    return [100 * float((right - theirs).mean()) for right, theirs, _ in found]


def differences(clips: dict[str, Any] | None) -> dict[Pair, Difference]:
    """Every pair of which both arms were run."""
    return {pair: difference(clips, [pair]) for pair in PAIRS if {ARMS[name] for name in pair} <= set(clips["predicted"])} if clips else {}


def depths_run(clips: dict[str, Any]) -> dict[int, Pair]:
    """The depths of which both arms were run."""
    return {n: pair for n, pair in DEPTHS.items() if {ARMS[name] for name in pair} <= set(clips["predicted"])}


def speech(table: dict[str, Any], found: dict[Pair, Difference]) -> tuple[list[str], Figure]:
    """All arms and their differences."""
    text = [
        *_heading(table, "With one seed an interval tells of speakers, not of initial weights." if table["seeds"] == 1 else ""),
        "| arm | synapses | accuracy on all clips, % | by fold, % | synaptic operations, 1/s |", "|---|---|---|---|---|",
    ]  # fmt: skip
    text += [_row(name, row) for name, row in _rows(table)]
    text += ["", "![differences on speech](timescales_speech.svg)", "", "| arm | against | points | 95 % interval | p | |", "|---|---|---|---|---|---|"]
    for (arm, rival), one in found.items():
        main = " (the main comparison)" if (arm, rival) == PAIRS[0] else ""
        text.append(f"| {arm}{main} | {rival} | {100 * one.mean:+.1f} | {_interval(one)} | {one.p:.2g} | {_verdict(one)} |")
    figure = Figure((6.4, 0.5 + 0.32 * len(found)), layout="constrained")
    axes = figure.subplots()
    for k, one in enumerate(reversed(found.values())):
        axes.plot([100 * one.low, 100 * one.high], [k, k], color=BLUE, lw=1.5)
        axes.plot(100 * one.mean, k, "o", color=BLUE, ms=4)
    axes.set_yticks(range(len(found)), [f"{arm}\nless {rival}" for arm, rival in reversed(found)], fontsize=6)
    axes.set_ylim(-0.6, len(found) - 0.4)
    axes.axvline(0, color="0.5", lw=0.8)
    axes.set_xlabel("points, 95 % interval", fontsize=8)
    return text, figure


def depths(table: dict[str, Any], clips: dict[str, Any], seeds: dict[str, Any] | None) -> tuple[list[str], Figure]:
    """What a hierarchy brings to 2, 3 and 4 layers, and to 3 layers over further seeds; ``seeds`` are the answers of these."""
    text = [*_heading(table), "| arm | synapses | accuracy on all clips, % | by fold, % | synaptic operations, 1/s |", "|---|---|---|---|---|"]
    shown = {"none": "3 layers", "hierarchy": "3 layers, hierarchy"}
    text += [_row(shown.get(name, name), row) for name, row in _rows(table)]
    ran = depths_run(clips)
    asked = [(f"{n} layers", clips, [pair], slice(None)) for n, pair in ran.items()]
    asked.append((f"{', '.join(map(str, ran))} layers together", clips, list(ran.values()), slice(None)))
    if seeds:
        of_seeds, last = [DEPTHS[3]], len(seeds["predicted"][ARMS["none"]]) - 1
        asked.append((f"3 layers, seeds 0 to {last} (the main comparison)", seeds, of_seeds, slice(None)))
        asked.append((f"3 layers, seeds 1 to {last} alone" if last > 1 else "3 layers, seed 1 alone", seeds, of_seeds, slice(1, None)))
    text += ["", "![gain by depth](timescales_depths.svg)", "", "| hierarchy less none | points | by seed | 95 % interval | p | |", "|---|---|---|---|---|---|"]
    for what, answers, pairs, chosen in asked:
        one = difference(answers, pairs, chosen)
        each = ", ".join(f"{gained:+.1f}" for gained in by_seed(answers, pairs, chosen))
        text.append(f"| {what} | {100 * one.mean:+.1f} | {each} | {_interval(one)} | {one.p:.2g} | {_verdict(one)} |")
    figure = Figure((4.2, 2.8), layout="constrained")
    axes = figure.subplots()
    for n, pair in ran.items():
        answers = seeds if seeds and n == 3 else clips
        one, each = difference(answers, [pair]), by_seed(answers, [pair], slice(None))
        axes.plot([n, n], [100 * one.low, 100 * one.high], color=BLUE, lw=1.5)
        axes.plot(n, 100 * one.mean, "o", color=BLUE, ms=5)
        axes.plot([n + 0.12] * len(each), each, ".", color="0.55", ms=5)
    axes.axhline(0, color="0.5", lw=0.8)
    axes.set_xticks(list(ran), [f"{n} layers" for n in ran])
    axes.set(xlim=(1.6, 4.4), ylabel="hierarchy less none, points")
    axes.set_title("dot: all seeds; line: 95 % interval over speakers; gray: each seed", fontsize=6)
    return text, figure


def _heading(table: dict[str, Any], more: str = "") -> list[str]:
    seeds = f"{table['seeds']} seed{'s' if table['seeds'] > 1 else ''}"
    where = f"{table['source']}, {len(table['classes'])} classes, {table['folds']} folds by speaker, {seeds}, corpus `{table['corpus'][:12]}`."
    return [f"Protocol in [../timescales.md](../timescales.md). {where} {more}".rstrip(), ""]


def _rows(table: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    names = {text: name for name, text in ARMS.items()}
    return [(names[arm], row) for arm, row in table["arms"].items()]


def _row(name: str, row: dict[str, Any]) -> str:
    folds = ", ".join(f"{100 * run['test']:.1f}" for run in row["runs"])
    return f"| {name} | {row['cost']['synapses']:,} | {100 * row['test']['mean']:.1f} | {folds} | {row['per_second']['synaptic_operations']:,.0f} |"


def _interval(one: Difference) -> str:
    return f"{100 * one.low:+.1f} to {100 * one.high:+.1f}"


def _verdict(one: Difference) -> str:
    return "" if one.low > 0 or one.high < 0 else "not detectable here"
