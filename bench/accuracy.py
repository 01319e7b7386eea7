# SPDX-License-Identifier: Apache-2.0
"""Accuracy of deployed integers on a corpus: spiking networks beside what a user would otherwise pick, over seeds or over folds by speaker.

    ormia data --data RECORDINGS --noise NOISE --output runs/corpora
    python bench/accuracy.py runs/corpora/XXXX --arms gsc12 gsc12:dense gsc12:feedforward dscnn dscnn-mfcc gru --seeds 5
    python bench/accuracy.py runs/corpora/XXXX --arms gsc12 dscnn --folds 5
    python bench/accuracy.py runs/corpora/XXXX --arms @bits @membrane --output bench/results/accuracy_widths.json

An arm is NAME or NAME:CHANGE;CHANGE (``ormia.train.arms.parse_arm``); @bits and @membrane stand for the arms of those tables. Each run has a folder
under --work and is kept: a second call goes on where the first stopped. Every figure is of the last epoch. A table reads ``test`` once for each run and
logs that; --valid-only is for choosing settings and reads none. Beside the output, NAME_clips.json has every network's answer to every test clip.
bench/accuracy_page.py makes docs/results/accuracy.md of the outputs.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from ormia.edge.errors import Error
from ormia.edge.provenance import provenance
from ormia.train.arms import Arm, Run, parse_arm
from ormia.train.comparison import clustered_bootstrap
from ormia.train.corpora import Corpus
from ormia.train.folds import Folds, clusters
from ormia.train.ledger import TestLedger

FORMAT = 2
WIDTHS = (8, 6, 4, 3, 2)
GROUPS = {
    "@bits": [f"{{recipe}}:bits={n}" for n in WIDTHS] + [f"{{recipe}}:bits=8;round={n}" for n in WIDTHS[1:]],
    "@membrane": [f"{{recipe}}:membrane={n}" for n in (20, 18, 16, 14, 12, 10)],
}


def plan_runs(corpus: Corpus, arm: Arm, seeds: range, folds: Folds | None, work: Path) -> list[tuple[int, int | None, Run]]:
    """Seed, fold and run of each training of an arm."""
    folder = work / corpus.digest[:12]
    if folds is None:
        return [(seed, None, Run(arm, seed, corpus, folder, f"seed{seed}")) for seed in seeds]
    places = [(seed, fold) for seed in seeds for fold in range(folds.n_folds)]
    within = folder / f"folds{folds.n_folds}"
    return [(seed, fold, Run(arm, seed, folds.corpus_of(fold), within, f"seed{seed}-fold{fold}")) for seed, fold in places]


def row_of(found: list[tuple[int, int | None, Run, dict[str, Any]]], form: str, splits: tuple[str, ...]) -> dict[str, Any]:
    """Runs, means and spreads over seeds, costs and work of one form of an arm."""
    runs = [
        {"seed": seed, "fold": fold, "network": figures["rows"][form]["network"], **{split: figures["rows"][form][split]["accuracy"] for split in splits}}
        for seed, fold, _, figures in found
    ]
    row: dict[str, Any] = {"runs": runs, "cost": {k: v for k, v in found[0][3]["rows"][form].items() if k not in ("network", "fine_tuned", *splits)}}
    if form == "int8":
        row["fine_tuned_runs"] = sum(figures["rows"][form]["fine_tuned"] for *_, figures in found)
    if form == "":
        row["torch_agrees_on_valid"] = all(figures["torch_agrees_on_valid"] for *_, figures in found)
        work = [figures["rows"][form][splits[-1]]["per_second"] for *_, figures in found]
        row["per_second"] = {name: statistics.fmean(one[name] for one in work) for name in work[0]}
    for split in splits:
        shares = []
        for seed in sorted({seed for seed, *_ in found}):  # over folds: the share of all their clips
            of_seed = [(figures["rows"][form][split]["accuracy"], len(run.corpus.indices(split))) for s, _, run, figures in found if s == seed]
            shares.append(sum(a * n for a, n in of_seed) / sum(n for _, n in of_seed))
        row[split] = {"mean": statistics.fmean(shares), "spread": statistics.stdev(shares) if len(shares) > 1 else None, "seeds": len(shares)}
    return row


def answers(found: list[tuple[int, int | None, Run, dict[str, Any]]], form: str, n_clips: int) -> np.ndarray:
    """Predicted classes int64 [n_seeds, n_clips] of all clips that were test clips, -1 for the others."""
    seeds = sorted({seed for seed, *_ in found})
    table = np.full((len(seeds), n_clips), -1, np.int64)
    for seed, _, run, figures in found:
        table[seeds.index(seed), run.corpus.indices("test")] = figures["rows"][form]["test"]["predicted"]
    return table


def settings_tried(folder: Path) -> dict[str, int]:
    """Arms with figures in the work folder of a corpus, by network; settings that were only tried on ``valid`` are among them."""
    tried: dict[str, int] = {}
    for arm in sorted(path for path in folder.glob("*") if any(path.glob("*/figures.json"))):
        made_of = json.loads(next(arm.glob("*/figures.json")).read_text())["made_of"]
        kind = made_of["baseline"]["network"] if made_of["baseline"] else "spiking"
        tried[kind] = tried.get(kind, 0) + 1
    return tried


def compare(predicted: dict[str, np.ndarray], corpus: Corpus, rival: str) -> list[dict[str, Any]]:
    """Every row against ``rival``, on the clips both were tested on, clustered by speaker."""
    names = np.array(clusters(corpus))
    result = []
    for name, table in predicted.items():
        tested = (table[0] >= 0) & (predicted[rival][0] >= 0)
        right, theirs = ((t[:, tested] == corpus.labels[tested]).mean(0) for t in (table, predicted[rival]))
        if name != rival:
            result.append({"arm": name, "rival": rival, "clips": int(tested.sum()), "clusters": len(np.unique(names[tested])),
                           **dataclasses.asdict(clustered_bootstrap(right, theirs, names[tested].tolist()))})  # fmt: skip
    return result


def run(options: argparse.Namespace) -> None:
    """Run what is asked for and write the table after each arm."""
    corpus = Corpus.load(options.corpus)
    folds = Folds(corpus, options.folds) if options.folds else None
    texts = [text.replace("{recipe}", options.recipe) for arm in options.arms for text in GROUPS.get(arm, [arm])]
    arms = [parse_arm(text, options.recipe) for text in texts]
    if options.set:
        arms = [parse_arm(text + (";" if ":" in text else ":") + ";".join(options.set), options.recipe) for text in texts]
    splits = ("valid",) if options.valid_only else ("valid", "test")
    ledger, table, rows, predicted = TestLedger(options.ledger), options.output.stem, {}, {}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    for arm in arms:
        found = []
        for seed, fold, one in plan_runs(corpus, arm, range(options.seeds), folds, options.work):
            figures = one.figures(splits, ledger=ledger, table=table, reread=options.reread, threads=options.threads)
            found.append((seed, fold, one, figures))
            shares = {form or "integers": {split: round(row[split]["accuracy"], 4) for split in splits} for form, row in figures["rows"].items()}
            print(arm.name, one.label, json.dumps(shares), file=sys.stderr, flush=True)
        for form in found[0][3]["rows"]:
            name = f"{arm.name} {form}".strip()
            rows[name] = {"epochs": (arm.baseline or arm.config).epochs, **row_of(found, form, splits)}
            if not options.valid_only:
                predicted[name] = answers(found, form, len(corpus.labels))
        rival = options.against if options.against in rows else next(iter(rows))
        result = {
            "format": FORMAT, "table": table, "corpus": corpus.digest, "source": corpus.provenance.get("source"), "classes": list(corpus.classes),
            "clips": {split: len(corpus.indices(split)) for split in ("train", "valid", "test")}, "speakers": corpus.speaker_counts(),
            "folds": options.folds or None, "seeds": options.seeds, "recipe": options.recipe, "arms": rows,
            "settings_tried": settings_tried(options.work / corpus.digest[:12]),
            "comparisons": compare(predicted, corpus, rival) if predicted else [], "made": provenance(),
        }  # fmt: skip
        options.output.write_text(json.dumps(result, indent=1) + "\n")
        if predicted:
            clips = {"clips": corpus.clip_ids, "cluster": clusters(corpus), "label": corpus.labels.tolist()}
            answered = {"table": table, "corpus": corpus.digest, **clips, "predicted": {name: found.tolist() for name, found in predicted.items()}}
            options.output.with_name(f"{table}_clips.json").write_text(json.dumps(answered) + "\n")
    print(json.dumps({name: {split: row[split] for split in splits} for name, row in rows.items()}, indent=1))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="folder that `ormia data` made")
    parser.add_argument("--arms", nargs="+", default=["gsc12", "gsc12:dense", "gsc12:feedforward", "dscnn", "dscnn-mfcc", "gru"])
    parser.add_argument("--seeds", type=int, default=1, help="seeds of each arm, counted from 0")
    parser.add_argument("--folds", type=int, default=0, help="cross-validation by speaker over all clips; without it the splits of the corpus")
    parser.add_argument("--recipe", default="gsc12", help="gives baselines their epochs, batch and augmentation; the recipe of @bits and @membrane")
    parser.add_argument("--set", action="append", help="a change to every arm, such as epochs=3")
    parser.add_argument("--against", default="dscnn int8", help="row to which the others are compared")
    parser.add_argument("--valid-only", action="store_true", help="leave test unread: for choosing settings")
    parser.add_argument("--reread", metavar="REASON", help="read test again for runs that this table has read, and log why")
    parser.add_argument("--ledger", type=Path, default=Path("docs/results/test_reads.jsonl"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("runs/accuracy"))
    parser.add_argument("--output", type=Path, default=Path("bench/results/accuracy.json"))
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error("--seeds must be at least 1")
    torch.set_num_threads(options.threads)
    numba.set_num_threads(options.threads)
    try:
        run(options)
    except Error as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
