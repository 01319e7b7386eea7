# SPDX-License-Identifier: Apache-2.0
"""Hierarchies of time constants on MTS-XOR: the published figures anew, the input gain apart from the memory, trained ones, and what is better.

    python bench/timescales.py --jobs 2                         # everything, about an hour on two cores
    python bench/timescales.py --tables spread --jobs 2         # accuracy against the spread, 2 depths, 5 spreads, 5 seeds
    python bench/timescales.py --tables tau gain --seeds 3

Tables: spread (accuracy against the spread of the hierarchy), tau (without hierarchy, against the time constant), gain (spread again, with the drive
scaled by 1 - decay over that of the mean), silent (by 1 - decay alone), emergence (time constants trained from a flat start), beyond (networks of no more
weights than the published ones), integers (the best of these as the network file that C and hardware run, kept beside its training), engine (a network that
learns in those integers, ``train/timescales/stepwise.py``, and what it needs for that). The model of all but the last is that of
``train/timescales/paper.py`` in float32; accuracy is the share of scored timesteps of 1024 test sequences, of the epoch that is best on as many others,
with batch statistics as published, and with frozen ones. Every training is kept under --parts; the same command goes on where it stopped.
bench/timescales_page.py makes docs/results/timescales.md of the outputs.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from ormia.edge.files import make_folder, write_whole
from ormia.edge.netfile import network_digest, write_network
from ormia.edge.provenance import provenance
from ormia.train.timescales.integers import score_steps, to_integers
from ormia.train.timescales.paper import PaperConfig, Trained, fit_paper
from ormia.train.timescales.price import price_of
from ormia.train.timescales.stepwise import StepConfig, fit_steps

SPREADS = (-500.0, -200.0, 0.0, 200.0, 500.0)
TAUS = (50.0, 100.0, 200.0, 300.0, 400.0)
GAINS = {"spread": "none", "gain": "relative", "silent": "rate"}
DEPTHS = {"2 x 10": (10, 10), "3 x 10": (10, 10, 10)}
BEST = {"steps_by": "iteration", "schedule": "cosine", "loss_on": "scored", "train_decays": True, "spread_penalty": 0.0, "dropout": False}
BEYOND: dict[str, dict[str, Any]] = {
    "1 x 10, recurrent": {"hidden": (10,), "recurrent": True, "mean_ms": 100.0, **BEST},
    "2 x 10, time constants trained": {"hidden": (10, 10), "spread_ms": 500.0, **BEST},
    "2 x 8, recurrent": {"hidden": (8, 8), "recurrent": True, "spread_ms": 500.0, **BEST},
    "2 x 10, as published, trained better": {"hidden": (10, 10), "spread_ms": 500.0, **BEST, "train_decays": False},
}

INTEGERS = ("1 x 10, recurrent",)
WEIGHT_BITS = (8, 7, 6, 5, 4)
ENGINE: dict[str, dict[str, Any]] = {
    "1 x 10, recurrent": {},
    "without biases": {"biases": False},
    "decays at 15 times the rate": {"decay_rate": 1.5},
}


def trainings(table: str, seeds: int) -> list[tuple[str, PaperConfig | StepConfig]]:
    """Arm and configuration of every training of a table."""
    if table == "engine":
        start = StepConfig().start
        return [
            (arm, StepConfig(start=dataclasses.replace(start, seed=seed), epochs=12, **changes)) for seed in range(seeds) for arm, changes in ENGINE.items()
        ]
    arms: dict[str, dict[str, Any]]
    if table in GAINS:
        depths = DEPTHS if table == "spread" else {"2 x 10": (10, 10)}
        arms = {
            f"{depth}, spread {spread:+.0f} ms": {"hidden": hidden, "spread_ms": spread, "gain": GAINS[table]}
            for depth, hidden in depths.items()
            for spread in SPREADS
        }
    elif table == "tau":
        arms = {f"{depth}, tau {tau:.0f} ms": {"hidden": hidden, "mean_ms": tau} for depth, hidden in DEPTHS.items() for tau in TAUS}
    elif table == "emergence":
        arms = {"3 x 32": {"hidden": (32, 32, 32), "mean_ms": 200.0, "jitter": 0.0, "train_decays": True, "schedule": "half"}}
    elif table == "integers":
        arms = {arm: BEYOND[arm] for arm in INTEGERS}
    else:
        arms = BEYOND
    return [(arm, PaperConfig(seed=seed, **setting)) for seed in range(seeds) for arm, setting in arms.items()]


def part(config: PaperConfig | StepConfig, path: Path) -> dict[str, Any]:
    """The result of a training, made where it is not there."""
    described = json.loads(json.dumps(dataclasses.asdict(config)))
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if found["config"] != described:
            raise SystemExit(f"{path} is of another configuration: name other --parts or remove it")
        return found
    torch.set_num_threads(1)
    began, since = time.process_time(), time.perf_counter()
    if isinstance(config, StepConfig):
        figures = fit_steps(config)[1]
    else:
        trained = fit_paper(config)
        figures = trained.figures | ({"integers": deploy(trained, path.with_suffix(".ormia"))} if path.parent.name == "integers" else {})
    found = {"config": described, **figures, "cpu_seconds": time.process_time() - began, "wall_seconds": time.perf_counter() - since}
    make_folder(path.parent)
    write_whole(path, json.dumps(found) + "\n")
    return found


def deploy(trained: Trained, path: Path) -> list[dict[str, Any]]:
    """Accuracy on the same test sequences and cost of the network as integers, by bits of its weights; the widest goes to a file."""
    rows = []
    for bits in WEIGHT_BITS:
        net = to_integers(trained, weight_bits=bits)
        price = dataclasses.asdict(price_of(net, trained.test.events[:8]))
        formats = {"weight_bits": bits, "membrane_bits": net.formats.membrane_bits}
        rows.append({**formats, "test": score_steps(net, trained.test), "synapses": net.n_synapses, "network": network_digest(net), **price})
        if bits == WEIGHT_BITS[0]:
            make_folder(path.parent)
            write_network(path, net)
    return rows


def summarize(found: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """A row for each arm: accuracies of all seeds, their median, mean and spread, and the time constants over epochs where they are trained."""
    rows = []
    for arm, parts in found.items():
        config = {key: value for key, value in parts[0]["config"].items() if key not in ("seed", "start")}
        row: dict[str, Any] = {"arm": arm, "config": config, "n_weights": parts[0]["n_weights"]}
        for key in ("test", "test_frozen") if "test_frozen" in parts[0] else ("test",):
            values = [p[key] for p in parts]
            row[key] = {
                "runs": values, "median": statistics.median(values), "mean": statistics.fmean(values),
                "spread": statistics.stdev(values) if len(values) > 1 else None,
            }  # fmt: skip
        if "integers" in parts[0]:
            row["integers"] = [p["integers"] for p in parts]
        row["cpu_seconds"] = sum(p["cpu_seconds"] for p in parts)
        if config.get("train_decays"):
            row["tau_ms_by_epoch"] = [[entry["tau_ms"] for entry in p["history"]] for p in parts]
            row["tau_ms"] = [p["tau_ms"] for p in parts]
        rows.append(row)
    return rows


def main() -> None:
    """Read the command line, train what is missing, write a table after each training."""
    tables = ("spread", "tau", "gain", "silent", "emergence", "beyond", "integers", "engine")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=tables, choices=tables)
    parser.add_argument("--seeds", type=int, default=5, help="counted from 0")
    parser.add_argument("--only", default="", help="train only arms whose name has this in it; the others are shown where they are finished")
    parser.add_argument("--jobs", type=int, default=1, help="processes, one thread each")
    parser.add_argument("--parts", type=Path, default=Path("runs/bench/timescales"), help="folder of finished trainings")
    parser.add_argument("--results", type=Path, default=Path("bench/results"), help="folder of the outputs timescales_TABLE.json")
    parser.add_argument("--finished", action="store_true", help="train nothing: tables of what is finished")
    options = parser.parse_args()

    def wanted(arm: str) -> bool:
        return not options.finished and options.only in arm

    for table in options.tables:
        began, trained = time.perf_counter(), 0
        planned = [(arm, config, options.parts / table / f"{arm_seed(arm, config)}.json") for arm, config in trainings(table, options.seeds)]
        found: dict[int, dict[str, Any]] = {}
        with ProcessPoolExecutor(options.jobs) as pool:
            there = {k for k, (*_, path) in enumerate(planned) if path.exists()}
            waiting = {pool.submit(part, config, path): k for k, (arm, config, path) in enumerate(planned) if path.exists() or wanted(arm)}
            for ready in as_completed(waiting):
                k = waiting[ready]
                found[k] = ready.result()
                trained += k not in there
                print(f"{table}: {len(found)} of {len(planned)}, {planned[k][0]}: {100 * found[k]['test']:.2f} %", file=sys.stderr, flush=True)
                call = {"jobs": options.jobs, "trained": trained, "wall_seconds": time.perf_counter() - began}
                write_table(table, [arm for arm, *_ in planned], found, options.results, call)


def arm_seed(arm: str, config: PaperConfig | StepConfig) -> str:
    """Name of the file of a training."""
    return f"{arm.replace(' ', '_').replace(',', '')}_seed{(config.start if isinstance(config, StepConfig) else config).seed}"


def write_table(table: str, arms: list[str], found: dict[int, dict[str, Any]], folder: Path, call: dict[str, Any]) -> None:
    """Write what is finished of a table: ``found`` by the position of its training in ``arms``, ``call`` how many of them this call trained in what time."""
    by_arm: dict[str, list[dict[str, Any]]] = {}
    for k in sorted(found):
        by_arm.setdefault(arms[k], []).append(found[k])
    result = {"format": 1, "table": table, "planned": len(arms), "finished": len(found), "rows": summarize(by_arm), "call": call, "made": provenance()}
    write_whole(make_folder(folder) / f"timescales_{table}.json", json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
