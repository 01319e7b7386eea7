# SPDX-License-Identifier: Apache-2.0
"""Accuracy of the deployed integers on a corpus, over seeds: each front end, and a DS-CNN on the same clips.

    ormia data --data RECORDINGS --output runs/corpora
    python bench/accuracy.py runs/corpora/XXXX --arms fft bank dscnn --seeds 3 --output bench/results/accuracy.json

Each arm and seed is a run of its own under --work and is kept: a second call goes on where the first stopped. Every figure is of the
last epoch; ``test`` is scored once a run, after training. Full scale: --seeds 10.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
from pathlib import Path

import numba
import torch
from ormia.edge.provenance import provenance
from ormia.train.baselines import fit_baseline
from ormia.train.config import Config, FrontEndConfig, load_recipe
from ormia.train.corpora import Corpus
from ormia.train.dataset import CorpusSource
from ormia.train.program import make_front_end, train_network

ARMS = {"fft": FrontEndConfig(kind="fft"), "bank": FrontEndConfig(kind="bank")}


def run_arm(arm: str, seed: int, config: Config, corpus: Corpus, folder: Path) -> dict[str, object]:
    """One training run; its figures."""
    done = folder / "figures.json"
    if done.exists():
        figures: dict[str, object] = json.loads(done.read_text())
        return figures
    folder.mkdir(parents=True, exist_ok=True)
    if arm == "dscnn":
        source = CorpusSource(corpus, make_front_end(config.front_end), config.augment)
        figures = fit_baseline(source, seed=seed, epochs=config.epochs, batch=config.batch)
    else:
        metrics = train_network(dataclasses.replace(config, seed=seed, front_end=ARMS.get(arm, config.front_end)), corpus, folder)
        figures = {
            "valid": metrics["accuracy"]["valid"]["share"],
            "test": metrics["accuracy"]["test"]["share"],
            "torch_agrees": metrics["torch_exact_mode_agrees_on_every_clip"],
            "network": metrics["network"],
        }
    done.write_text(json.dumps(figures))
    return figures


def main() -> None:
    """Run what is asked for and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--arms", nargs="+", default=["fft", "bank", "dscnn"], choices=[*ARMS, "dscnn"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipe", default="gsc12")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("runs/accuracy"))
    parser.add_argument("--output", type=Path, default=Path("bench/results/accuracy.json"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    numba.set_num_threads(options.threads)
    corpus, config = Corpus.load(options.corpus), load_recipe(options.recipe)
    table: dict[str, object] = {}
    for arm in options.arms:
        runs = [run_arm(arm, seed, config, corpus, options.work / corpus.digest[:12] / options.recipe / f"{arm}-{seed}") for seed in range(options.seeds)]
        row: dict[str, object] = {"runs": runs}
        for split in ("valid", "test"):
            shares = [float(run[split]) for run in runs]  # type: ignore[arg-type]
            row[split] = {"mean": statistics.fmean(shares), "spread": statistics.stdev(shares) if len(shares) > 1 else None}
        table[arm] = row
        print(arm, json.dumps({split: row[split] for split in ("valid", "test")}), flush=True)
    counts = {split: len(corpus.indices(split)) for split in ("train", "valid", "test")}
    result = {"corpus": corpus.digest, "clips": counts, "recipe": options.recipe, "epochs": config.epochs, "arms": table, "made": provenance()}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
