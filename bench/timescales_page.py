# SPDX-License-Identifier: Apache-2.0
"""docs/results/timescales.md and its figures from the tables of bench/timescales.py and bench/timescales_speech.py; no figure is typed by hand.

    python bench/timescales_page.py

Besides: ``timescales_search.json``, the metrics.json of an `ormia search timescale`, and ``timescales_verify.json``, what `ormia verify --json` said of
its network.
What is published is in bench/timescales_claims.py.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from ormia.edge.files import make_folder, write_whole
from ormia.train.timescales.hierarchy import dilations, kernel_sizes
from timescales_claims import CEILING, PUBLISHED, claims, curves, percent
from timescales_speech_page import DEPTHS, depths, depths_run, difference, differences, speech

COLORS = {"2 x 10": "#1f6fb2", "3 x 10": "#c8442e"}


def read(folder: Path, name: str) -> dict[str, Any] | None:
    """A table, where it is there."""
    path = folder / f"timescales_{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def draw_curves(axes: Axes, table: dict[str, Any] | None, name: str, label: str) -> None:
    """Ours as dots with a line through medians, published as a thin dashed line."""
    for depth, points in curves(table).items():
        xs = sorted(points)
        axes.plot(xs, [100 * points[x]["median"] for x in xs], "-", color=COLORS[depth], lw=1.5, label=f"{depth}, ours{label}")
        for x in xs:
            axes.plot([x] * len(points[x]["runs"]), 100 * np.array(points[x]["runs"]), ".", color=COLORS[depth], ms=4, alpha=0.6)
        published = PUBLISHED[name][depth]
        axes.plot(list(published), list(published.values()), "--", color=COLORS[depth], lw=0.8, label=f"{depth}, published")


def write_figure(figure: Figure, path: Path) -> None:
    """As SVG, without the date."""
    rcParams["svg.hashsalt"] = "timescales"  # the same figures give the same file
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    write_whole(path, file.getvalue())


def sweep_figure(tables: dict[str, dict[str, Any] | None]) -> Figure:
    """Accuracy against the spread, with and without input gain, and against the time constant without hierarchy."""
    both = tables["tau"] is not None
    figure = Figure((9.0 if both else 5.2, 3.4), layout="constrained")
    left, *others = figure.subplots(1, 1 + both, sharey=True, squeeze=False)[0]
    draw_curves(left, tables["spread"], "spread", "")
    for depth, points in curves(tables["gain"]).items():
        xs = sorted(points)
        left.plot(xs, [100 * points[x]["median"] for x in xs], "s:", color="0.35", ms=4, lw=1.2, label=f"{depth}, ours, without input gain")
    for right in others:
        draw_curves(right, tables["tau"], "tau", "")
    for axes, label in zip((left, *others), ("spread, last layer less first, ms", "time constant of all layers, ms"), strict=False):
        axes.axhline(CEILING, color="0.6", lw=0.8)
        axes.set_xlabel(label)
        axes.legend(fontsize=6.5, frameon=False, loc="lower right")
    left.set_ylabel("accuracy on scored timesteps, %")
    return figure


def emergence_figure(table: dict[str, Any]) -> Figure:
    """Median time constant of each layer over epochs, a thin line a seed."""
    figure = Figure((5.2, 3.2), layout="constrained")
    axes = figure.subplots()
    by_epoch = np.array(table["rows"][0]["tau_ms_by_epoch"])  # [seeds, epochs, layers, 3]
    for layer, color in zip(range(by_epoch.shape[2]), ("#1f6fb2", "#6aa84f", "#c8442e"), strict=True):
        axes.plot(by_epoch[:, :, layer, 1].T, color=color, lw=0.6, alpha=0.5)
        axes.plot(np.median(by_epoch[:, :, layer, 1], 0), color=color, lw=1.8, label=f"layer {layer + 1}")
    axes.set(xlabel="epoch", ylabel="median time constant, ms", ylim=(0, None))
    axes.legend(fontsize=7, frameon=False)
    return figure


def front_figure(found: dict[str, Any]) -> Figure:
    """The front of a search: accuracy against memory and against clocks."""
    figure = Figure((6.4, 2.8), layout="constrained")
    shown = (("memory_bits", 1000, "memories, kbit"), ("cycles", 1, "clocks a timestep"))
    for axes, (key, scale, label) in zip(figure.subplots(1, 2, sharey=True), shown, strict=True):
        for trial in found["front"]:
            x, y = trial["price"][key] / scale, 100 * trial["valid"]
            axes.plot(x, y, "o", color="#1f6fb2", ms=4)
            axes.annotate(str(trial["trial"]), (x, y), (3, 3), textcoords="offset points", fontsize=6)
        axes.set_xlabel(label)
        axes.margins(0.12)
    figure.axes[0].set_ylabel("accuracy on valid, %")
    return figure


def sweep_rows(tables: dict[str, dict[str, Any] | None], name: str, x_name: str) -> list[str]:
    """One line a point of a sweep."""
    lines = [
        f"| network | {x_name}, ms | seeds | median, % | mean ± spread, % | frozen statistics, median, % | published, % |",
        "|---|---|---|---|---|---|---|",
    ]
    frozen = curves(tables[name], "test_frozen")
    for depth, points in curves(tables[name]).items():
        for x in sorted(points):
            one, published = points[x], PUBLISHED.get(name, {}).get(depth, {}).get(x, "")
            spread = f" ± {100 * one['spread']:.2f}" if one["spread"] is not None else ""
            lines.append(
                f"| {depth} | {x:+d} | {len(one['runs'])} | {percent(one)} | {percent(one, 'mean')}{spread} | {percent(frozen[depth][x])} | {published} |"
            )
    return lines


def made(table: dict[str, Any]) -> str:
    """What a table was made with."""
    seconds = sum(row["cpu_seconds"] for row in table["rows"])
    unfinished = f" {table['finished']} of {table['planned']} trainings are finished." if table["finished"] < table["planned"] else ""
    return f"{seconds / 60:.1f} CPU minutes for {table['finished']} trainings, {seconds / max(1, table['finished']):.0f} s each.{unfinished}"


def section(title: str, text: list[str]) -> list[str]:
    """A heading and what is under it."""
    return [f"## {title}", "", *text, ""]


def mts_xor(tables: dict[str, dict[str, Any] | None]) -> list[str]:
    """Sections of MTS-XOR."""
    lines: list[str] = []
    spread, tau, gain, emergence, beyond = (tables[name] for name in ("spread", "tau", "gain", "emergence", "beyond"))
    if spread:
        text = ["![accuracy against spread and time constant](timescales_mts_xor.svg)", "", *sweep_rows(tables, "spread", "spread"), ""]
        call = spread["call"]
        measured = f" Measured in one call on {call['jobs']} cores: all {call['trained']} in {call['wall_seconds'] / 60:.1f} minutes."
        text.append(made(spread) + (measured if call["trained"] == spread["finished"] else ""))
        lines += section("MTS-XOR: accuracy against the spread of the hierarchy", text)
    if gain:
        text = ["The drive of every hidden neuron is scaled by (1 - decay) over that at 300 ms: a longer time constant brings no larger gain.", ""]
        if tables["silent"]:
            worst = [100 * run for row in tables["silent"]["rows"] for run in row["test"]["runs"]]
            text[0] += f" Scaled by (1 - decay) alone nothing is learnt: {min(worst):.1f} to {max(worst):.1f} % in {len(worst)} trainings."
        each = ", ".join(f"{100 * run:.1f}" for run in curves(gain)["2 x 10"][500]["runs"])
        text[0] += f" Seeds at +500 ms: {each} %."
        lines += section("MTS-XOR: the same without the input gain", [*text, *sweep_rows(tables, "gain", "spread"), "", made(gain)])
    if tau:
        lines += section("MTS-XOR: without hierarchy", [*sweep_rows(tables, "tau", "time constant"), "", made(tau)])
    if emergence:
        (row,) = emergence["rows"]
        last = np.array(row["tau_ms_by_epoch"])[:, -1]  # [seeds, layers, quantiles of 15, 50 and 85 %]
        low, middle = (", ".join(f"{tau:.0f}" for tau in np.median(last[:, :, k], 0)) for k in (0, 1))
        low_rises, middle_rises = (int((np.diff(last[:, :, k], axis=1) > 0).all(1).sum()) for k in (0, 1))
        text = [
            "![median time constants over epochs](timescales_emergence.svg)", "",
            f"3 x 32, every time constant trained from 200 ms; seeds: {len(last)}; test, median: {percent(row['test'])} % (published 99.05 to 99.36). After "
            f"the last epoch the median time constants of the layers are {middle} ms (published 46, 45, 101), last over first "
            f"{np.median(last[:, -1, 1] / last[:, 0, 1]):.2f} (published 2.2). Seeds in which they rise from layer to layer: {middle_rises}. "
            f"Of the fast neurons (quantile of 15 %): {low} ms, rising in {low_rises}.",
            "", made(emergence),
        ]  # fmt: skip
        lines += section("MTS-XOR: what gradients make of a flat start", text)
    if beyond:
        about = "Networks of no more weights than the published ones (520 of 2 x 10, 620 of 3 x 10)."
        text = [f"{about} Trained decays count as weights, parameters of normalization do not. The ceiling is {CEILING} %.", ""]
        text += ["| network | weights | seeds | median, % | worst, % | frozen statistics, median, % |", "|---|---|---|---|---|---|"]
        for row in beyond["rows"]:
            worst = f"{100 * min(row['test']['runs']):.2f}"
            text.append(
                f"| {row['arm']} | {row['n_weights']} | {len(row['test']['runs'])} | {percent(row['test'])} | {worst} | {percent(row['test_frozen'])} |"
            )
        lines += section("MTS-XOR: beyond the hierarchy", [*text, "", made(beyond)])
    return lines


def integers(table: dict[str, Any] | None, engine: dict[str, Any] | None, verified: dict[str, Any] | None) -> list[str]:
    """Section of networks of integers."""
    text: list[str] = []
    for row in table["rows"] if table else []:
        seeds = row["integers"]
        text += [
            f"{row['arm']}, as above in float32 (frozen statistics: median {percent(row['test_frozen'])} %), then normalization folded, each neuron on a grid "
            "of its own, nothing trained again (`train/timescales/integers.py`). Accuracy is that of the network file on the same sequences.", "",
            "| weight bits | membrane bits | seeds | median, % | worst, % | memories, bits | clocks a timestep |", "|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        for bits in zip(*seeds, strict=True):
            shares, one = [100 * found["test"] for found in bits], bits[0]
            text.append(
                f"| {one['weight_bits']} | {one['membrane_bits']} | {len(shares)} | {np.median(shares):.2f} | {min(shares):.2f} | {one['memory_bits']:,} | "
                f"{one['cycles']:.0f} |"
            )
        if verified and verified["network"]["digest"] in [seed[0]["network"] for seed in seeds]:
            text += ["", verify_words(verified)]
        text += ["", made(table)] if table else []
    if engine:
        text += ["", "Trained in integers from the start (`train/timescales/stepwise.py`: loss at every scored timestep, the exported file of epoch 12):", ""]
        text += ["| network | weights, decays apart | seeds | median, % | worst, % |", "|---|---|---|---|---|"]
        for row in engine["rows"]:
            text.append(f"| {row['arm']} | {row['n_weights']} | {len(row['test']['runs'])} | {percent(row['test'])} | {100 * min(row['test']['runs']):.2f} |")
        text += ["", made(engine)]
    return section("MTS-XOR: the integers that are deployed", text) if text else []


def verify_words(verified: dict[str, Any]) -> str:
    """What ``ormia verify`` found."""
    ran = ", ".join(f"{one['backend']} ({one['clips']} clips)" for one in verified["backends"] if one.get("clips"))
    events = "" if "corpus" in verified["clips"] else ", random events"
    return f"`ormia verify`, {ran}{events}: {verified['differences']} differences in any membrane, spike or score."


def main() -> None:
    """Read the command line, write the page and its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("bench/results"))
    parser.add_argument("--output", type=Path, default=Path("docs/results"), help="folder of the page")
    options = parser.parse_args()
    folder = make_folder(options.output)
    tables = {name: read(options.results, name) for name in ("spread", "tau", "gain", "silent", "emergence", "beyond")}
    table, answers, deep, deep_answers, seeds = (read(options.results, name) for name in ("speech", "speech_clips", "depths", "depths_clips", "seeds_clips"))
    found = differences(answers)
    by_depth = {depth: difference(deep_answers, [pair]) for depth, pair in depths_run(deep_answers).items()} if deep_answers else {}
    over_seeds = {DEPTHS[3]: difference(seeds, [DEPTHS[3]])} if seeds else {}
    lines = [
        "# Timescales",
        "",
        "Written by `bench/timescales_page.py` from the files of `bench/timescales.py` and `bench/timescales_speech.py`; what is meant is in",
        "[../timescales.md](../timescales.md). Claims are of arXiv 2407.18838; a verdict follows from figures by the rules in `bench/timescales_claims.py`.",
        "",
        *claims(tables, found | over_seeds, by_depth),
        "",
    ]
    lines += mts_xor(tables)
    if tables["spread"]:
        write_figure(sweep_figure(tables), folder / "timescales_mts_xor.svg")
    if tables["emergence"]:
        write_figure(emergence_figure(tables["emergence"]), folder / "timescales_emergence.svg")
    lines += integers(read(options.results, "integers"), read(options.results, "engine"), read(options.results, "integers_verify"))
    if deep and deep_answers:
        text, figure = depths(deep, deep_answers, seeds)
        lines += section("Keyword spotting on speech: depth and seeds", text)
        write_figure(figure, folder / "timescales_depths.svg")
    if table and answers:
        text, figure = speech(table, found)
        lines += section("Keyword spotting on speech: one seed of every arm", text)
        write_figure(figure, folder / "timescales_speech.svg")
    searched = read(options.results, "search")
    if searched:
        lines += search(searched, read(options.results, "verify"))
        write_figure(front_figure(searched), folder / "timescales_front.svg")
    write_whole(folder / "timescales.md", "\n".join(lines).rstrip() + "\n")
    print(json.dumps({name: table is not None for name, table in tables.items()}))


def search(found: dict[str, Any], verified: dict[str, Any] | None) -> list[str]:
    """Section of a search: its metrics.json, and what ``ormia verify --json`` said of its network."""
    price, test = found["price"], found["network"]["accuracy"]["test"]
    trials = ", ".join(f"{count} {state.lower()}" for state, count in found["trials"].items())
    text = [
        f"`ormia search timescale`: trials {trials}; test {100 * test['share']:.1f} % of {test['clips']} clips, {found['weights']:,} weights, longest delay "
        f"{price['max_delay']} timesteps, {price['kinds']} neuron kinds. Memories {price['memory_bits']:,} bits, of these {price['history_bits']:,} for past "
        f"events; {price['cycles']:,.0f} clocks a timestep.",
        "", "| layer | neurons | time constants, timesteps | delays |", "|---|---|---|---|",
    ]  # fmt: skip
    for number, layer in enumerate(found["chosen"]["layers"]):
        taus, delays = layer["tau_membrane"], layer["delays"]
        which = f"learnt, 0 to {delays[-1]}" if layer["learn_delays"] else ", ".join(map(str, delays))
        text.append(f"| {number} | {layer['neurons']} | {min(taus):.2f} to {max(taus):.2f}{', then trained' if layer['train_decays'] else ''} | {which} |")
    text += [
        "", "![the front of the search](timescales_front.svg)", "",
        f"The front, of trainings of {found['recipe']['epochs']} epochs; the network above is trial {found['chosen']['trial']} trained anew for "
        f"{found['recipe']['training']['epochs']}:", "",
        "| trial | accuracy on valid, % | memories, bits | past events, bits | clocks a timestep | time constants, timesteps | taps x dilation | trained |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for trial in found["front"]:
        point, cost = trial["point"], trial["price"]
        taus = f"{point['shape']}, mean {point['mean']:.1f}, spread {point['spread']:+.1f}"
        depth = len(found["chosen"]["layers"])
        sizes, steps = kernel_sizes(point["kernel"], point["kernel_spread"], depth), dilations(point["dilation"], point["dilation_spread"], depth)
        kernels = ", ".join(f"{size} x {step}" for size, step in zip(sizes, steps, strict=True))
        moved = ", ".join([*([f"time constants by {point['train']}"] if point["train"] else []), *(["delays"] if point["delays"] == "learnt" else [])])
        costs = f"{cost['memory_bits']:,} | {cost['history_bits']:,} | {cost['cycles']:,.0f}"
        text.append(f"| {trial['trial']} | {100 * trial['valid']:.1f} | {costs} | {taus} | {kernels} | {moved or '-'} |")
    if found["kinds"]:
        text += ["", "| most kinds a layer | kinds | accuracy on valid, % | bits of the table of neurons |", "|---|---|---|---|"]
        for row in found["kinds"]:
            text.append(f"| {row['most'] or 'as trained'} | {row['kinds']} | {100 * row['accuracy']:.1f} | {row['neuron_parameter_bits']:,} |")
    if verified and verified["network"]["digest"] == found["network"]["network"]:
        text += ["", verify_words(verified)]
    return section("A searched network with delays", text)


if __name__ == "__main__":
    main()
