# SPDX-License-Identifier: Apache-2.0
"""Self-repair: firing rates of a layer on real speech after an architecture step that silences or saturates it, without intrinsic plasticity, with the
rule as it is, and with its change of a window limited.

    python bench/hrmas_repair.py runs/corpora/XXXX --output bench/results/hrmas_repair.json --figure docs/results/hrmas_repair.svg

A search runs for some iterations; then logits are set so that every link has one type. From there only the repair runs, a batch of training clips a step.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from ormia.edge.files import make_folder, write_whole
from ormia.edge.provenance import provenance
from ormia.train.corpora import Corpus
from ormia.train.hrmas.config import PlasticityConfig, SearchConfig, load_recipe
from ormia.train.hrmas.search import Search
from ormia.train.loop import calibrate
from ormia.train.program import make_source
from ormia.train.recipe import with_settings
from ormia.train.topology import Link

WEIGHT = 0.15  # of every excitatory link, in thresholds: enough to carry the layer, or to drown it
CASES = {
    "loses the excitation that carried it": (Link.EXCITATORY, Link.NONE),
    "gets all excitation at once": (Link.NONE, Link.EXCITATORY),
    "gets all inhibition at once": (Link.NONE, Link.INHIBITORY),
}

COLORS = {"without": "0.55", "unlimited": "#c8442e", "repaired": "#1f6fb2"}  # no repair; the rule as it is; with plasticity.largest_change


def follow(search: Search, batches: list[Any], before: Link, after: Link, *, on: bool, steps: int) -> dict[str, list[float]]:
    """Rates of the layer at every step: a few before the forced step of the architecture, then with the repair or without it."""
    net, target = search.supernet, search.config.plasticity.target
    logits = net.candidates[0].link_logits
    with torch.no_grad():
        logits.zero_()
        logits[:, before] = 50.0
        net.lateral[0].fill_(WEIGHT)
        calibrate(net, batches[0][0], target=target)
    rates, divergences = [], []
    feed = itertools.cycle(batches)
    for step in range(steps):
        if step == steps // 6:
            with torch.no_grad():
                logits[:, after] = 100.0
        forced = step >= steps // 6
        kept = [x.copy() for x in net.intrinsic(0)[:2]]
        found = search.repair(next(feed))
        rates.append(found["rate"][0])
        divergences.append(found["divergence"][0])
        if not (on and forced):
            net.set_intrinsic(0, *kept)
    return {"rate": rates, "divergence": divergences}


def summarize(run: dict[str, list[float]], forced: int) -> dict[str, Any]:
    """Rates and divergence before the forced step, at once after it, and over the last ten steps."""
    last = run["rate"][-10:]
    return {
        "before": float(np.mean(run["rate"][:forced])), "at_once": run["rate"][forced], "last_ten": float(np.mean(last)),
        "last_ten_range": [min(last), max(last)], "divergence_at_once": run["divergence"][forced],
        "divergence_last_ten": float(np.mean(run["divergence"][-10:])),
    }  # fmt: skip


def figure(found: dict[str, Any], target: float, forced: int) -> bytes:
    """Rates of every case as SVG."""
    from matplotlib.figure import Figure

    drawing = Figure((9.6, 3.1), layout="constrained")
    for axes, (name, runs) in zip(drawing.subplots(1, len(found)), found.items(), strict=True):
        for key, color in COLORS.items():
            axes.plot(runs[key]["rate"], color=color, lw=1, label=key)
        axes.axhline(target, ls="--", lw=0.8, color="0.2", label="target")
        axes.axvline(forced - 0.5, lw=0.8, ls=":", color="0.2")
        axes.set_title(name, fontsize=8)
        axes.set(xlabel="step", ylabel="spikes a timestep")
        axes.set_ylim(bottom=0)
    drawing.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    file = io.BytesIO()
    drawing.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def main() -> None:
    """Run every case with and without repair, write JSON and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="folder that `ormia data` made")
    parser.add_argument("--recipe", default=str(Path(__file__).with_name("hrmas_small.toml")), help="of `ormia search hrmas`, with one layer")
    parser.add_argument("--set", action="append", help="a change to the recipe")
    parser.add_argument("--steps", type=int, default=90)
    parser.add_argument("--output", type=Path, default=Path("bench/results/hrmas_repair.json"))
    parser.add_argument("--figure", type=Path, default=Path("docs/results/hrmas_repair.svg"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    settings = [f"plasticity.measure_every={options.steps + 1}", f"plasticity.largest_change={PlasticityConfig().largest_change}", *(options.set or [])]
    config: SearchConfig = with_settings(load_recipe(options.recipe), settings)
    corpus = Corpus.load(options.corpus)
    source = make_source(config.training, corpus)
    found: dict[str, Any] = {}
    batches: list[Any] = []
    for name, (before, after) in CASES.items():
        found[name] = {}
        for key in COLORS:
            chosen = with_settings(config, ["plasticity.largest_change=0.0"]) if key == "unlimited" else config
            search = Search(chosen, source)
            batches = batches or [train for train, _ in itertools.islice(search._batches(), 10)]
            found[name][key] = follow(search, batches, before, after, on=key != "without", steps=options.steps)
    forced, target = options.steps // 6, config.plasticity.target
    summary = {name: {key: summarize(run, forced) for key, run in runs.items()} for name, runs in found.items()}
    result = {"corpus": corpus.digest, "target": target, "forced_at": forced, "summary": summary, "runs": found, "made": provenance()}
    for path in (options.output, options.figure):
        make_folder(path.parent)
    write_whole(options.output, json.dumps(result) + "\n")
    write_whole(options.figure, figure(found, target, forced))
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
