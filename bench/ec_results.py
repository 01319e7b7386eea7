# SPDX-License-Identifier: Apache-2.0
"""Searches whose figures docs/results/ec.md shows: run them one after another; ``ec_results_page.py`` writes the page from what they left.

python bench/ec_results.py run [NAME ...] [--runs FOLDER] [--corpus FOLDER] [--minutes M]   resumable; a name may end in *
python bench/ec_results.py empty                                                            returns of networks without connections
python bench/ec_results.py gradient NETWORK ... --corpus FOLDER                             networks that gradients trained, on the same clips
"""

from __future__ import annotations

import argparse
import fnmatch
import json
from pathlib import Path
from typing import Any

import numpy as np
from ormia.edge.clips import read_clips
from ormia.edge.energy import Activity, estimate
from ormia.edge.evaluation import evaluate_clips
from ormia.edge.files import make_folder, write_whole
from ormia.edge.frontend import FrontEnd
from ormia.edge.netfile import network_digest, read_network
from ormia.edge.network import Network
from ormia.edge.provenance import provenance
from ormia.train.ec.config import load_recipe
from ormia.train.ec.control import FINAL
from ormia.train.ec.distributed import Workers
from ormia.train.ec.result import finish
from ormia.train.ec.search import Search, make_task, run_search
from ormia.train.ledger import TestLedger
from ormia.train.recipe import to_dict, with_settings

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench/results/ec"
TABLE = "ec"  # in the log of reads of test
SEEDS = (0, 1, 2)
MOST_ENTRIES = 60  # of a history that is kept
ES = ["method.kind=es"]
# model -> settings: those of the paper for the spiking network, larger ones for the others; none tuned
MODELS = {
    "ec": [],
    "es_rsnn": [*ES, "method.deviation=0.3", "method.learning_rate=0.15"],
    "es_gru": [*ES, "model=gru", "hidden=256", "method.deviation=0.1", "method.learning_rate=0.05"],
    "es_lstm": [*ES, "model=lstm", "hidden=128", "method.deviation=0.1", "method.learning_rate=0.05"],
}
QUIRKS = ["reference=true", "network.payload_bits=0", "network.readout_delay=false"]
# of the keyword recipe, one thing changed
VARIANTS = {
    "even": ["method.exploration=0.5", "generations=300"],
    "adam": ["method.adam=true", "method.learning_rate=0.15", "method.readout_rate=1.0", "generations=300"],
    "raw": ["task.standardize=false", "task.loss_gain=0.05", "generations=300"],
    "whole": ["method.family=1", "task.episodes=96", "generations=20"],
    "large": ["network.neurons=1024", "task.augmented=3"],
    "moving": ["method.learning_rate=0.5", "method.readout_rate=6.0", "generations=300"],
}
# surrogate gradient on the network, clips and score of the keyword recipe; a generation is a batch; the best of four settings by valid
GRADIENT = [
    "method.kind=gradient", "method.population=1", "method.family=1", "method.adam=true", "method.learning_rate=0.01", "method.readout_rate=3.0",
    "task.episodes=64", "generations=500", "evaluate_every=50",
]  # fmt: skip
CART, PENDULUM = "cartpole", "inverted_pendulum"
RUNS: dict[str, tuple[str, list[str]]] = {
    **{f"{task}_{model}_{seed}": (task, [*MODELS[model], f"seed={seed}"]) for task in (CART, PENDULUM) for model in MODELS for seed in SEEDS},
    **{f"cartpole_es_rsnn_slow_{seed}": (CART, [*ES, "method.deviation=0.3", "method.learning_rate=0.05", f"seed={seed}"]) for seed in SEEDS},
    **{f"cartpole_motif_{seed}": (CART, ["network.motif=32", f"seed={seed}"]) for seed in SEEDS},
    **{f"cartpole_reference_{seed}": (CART, [*QUIRKS, f"seed={seed}"]) for seed in SEEDS},
    **{f"cartpole_plain_step_{seed}": (CART, ["method.adam=false", f"seed={seed}"]) for seed in SEEDS},
    **{f"cartpole_excitatory_{seed}": (CART, ["network.excitatory=0.75", f"seed={seed}"]) for seed in SEEDS},
    **{f"cartpole_unrounded_{seed}": (CART, ["network.payload_bits=0", f"seed={seed}"]) for seed in SEEDS},
    **{f"cartpole_small_{seed}": (CART, ["network.neurons=192", f"seed={seed}"]) for seed in SEEDS},
    "hopper_ec_0": ("hopper", ["task.final=20"]),
    "hopper_es_rsnn_0": ("hopper", [*MODELS["es_rsnn"], "task.final=20"]),
    **{f"keywords_{seed}": ("keywords", [f"seed={seed}"]) for seed in SEEDS},
    **{f"keywords_synthetic_{seed}": ("keywords", [f"seed={seed}"]) for seed in SEEDS},
    **{f"keywords_gradient_{seed}": ("keywords", [*GRADIENT, f"seed={seed}"]) for seed in SEEDS},
    **{f"keywords_synthetic_gradient_{seed}": ("keywords", [*GRADIENT, f"seed={seed}"]) for seed in SEEDS},
    **{f"keywords_{variant}_{seed}": ("keywords", [*settings, f"seed={seed}"]) for variant, settings in VARIANTS.items() for seed in SEEDS},
    **{f"mts_xor_{seed}": ("mts_xor", [f"seed={seed}"]) for seed in SEEDS},
}


def run(name: str, runs: Path, corpus: Path | None, minutes: float, ledger: TestLedger) -> None:
    """Run or go on with one search and keep its figures; nothing where they are those of a whole search of the same recipe.

    Keywords have figures when their search is whole, for these read ``test``, once.
    """
    recipe, settings = RUNS[name]
    config = with_settings(load_recipe(recipe), settings)
    before = results(name).get(name)
    if before and (before["solved"] or before["generations"] >= config.generations) and before["recipe"]["method"] == to_dict(config.method):
        return
    keywords = config.task.kind == "keywords"
    if keywords:
        ledger.check_unread(TABLE, name)
    search = run_search(config, runs / name, Workers(), data=corpus, minutes=minutes)
    if keywords and len(search.history) < config.generations:
        print(name, f"{len(search.history)} of {config.generations} generations", flush=True)
        return
    verify = ["reference", "numba", "c", *(["cxxrtl"] if name == "cartpole_ec_0" else [])] if name.endswith("ec_0") else []
    result = finish(search, runs / name, Workers(), name="evolved", verify=verify)
    if keywords and corpus is not None:
        read = result["integer"]
        ledger.record(who="bench/ec_results.py", table=TABLE, run=name, corpus=read["corpus"], network=read["network"], clips=read["episodes"])
        result["test_float"] = float_on_test(search, corpus)
        result["energy"] = energy(read_network(runs / name / "net.ormia"), result["integer"]["per_second_of_audio"])
    every = -(-len(result["history"]) // MOST_ENTRIES)
    result["history"] = [entry for i, entry in enumerate(result["history"]) if i % every == 0 or "evaluation" in entry or "final" in entry]
    make_folder(RESULTS)
    write_whole(RESULTS / f"{name}.json", json.dumps(result, indent=1) + "\n")
    print(name, result["generations"], result["solved"], result["final"]["mean"], f"{result['cpu_seconds']:.0f} s", flush=True)


def results(pattern: str) -> dict[str, Any]:
    """Results whose names match."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob(f"{pattern}.json"))}


def float_on_test(search: Search, corpus: Path) -> float:
    """Share of right answers of the deployed network in floats, on the clips that the file is judged on."""
    clips = read_clips(corpus, "test")
    events = np.asarray(FrontEnd.from_dict(search.task.metadata["front_end"]).payloads(clips.pcm), np.int16)
    genome = search.method.center()
    offsets = search.task.offsets(search.population, genome)
    search.population.load(genome, 1)
    outputs = np.zeros((*events.shape[:2], search.task.n_outputs), np.float32)
    search.population.listen(0, events, outputs)
    return float(((outputs[:, -1] - offsets).argmax(axis=1) == clips.labels).mean())


def energy(net: Network, per_second: dict[str, float]) -> dict[str, float]:
    """Microwatts while listening: arithmetic and memory of a 45 nm circuit, and a microcontroller of the frugal kind with its front end."""
    account = estimate(net, Activity(**per_second))
    return {"operations": account["operations"]["microwatts"], **{part["part"]: part["microwatts"] for part in account["microcontroller"]["parts"]}}


def empty() -> None:
    """Returns of networks without connections, on the episodes of the last evaluation."""
    found = {}
    for task in (CART, PENDULUM, "hopper"):
        config = load_recipe(task)
        search = Search.start(config, make_task(config))
        returns = search.task.evaluate(search.population, np.zeros_like(search.method.center()), FINAL, 0, np.arange(100), search.normalizer)
        found[task] = {"mean": float(returns.mean()), "spread": float(returns.std()), "episodes": 100}
    write_whole(ROOT / "bench/results/ec_empty.json", json.dumps(found | {"provenance": provenance()}, indent=1) + "\n")


def gradient(networks: list[str], corpus: Path) -> None:
    """Accuracy and energy of networks that gradients trained, on the clips that evolved ones are judged on."""
    path = ROOT / "bench/results/ec_gradient.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    for name in networks:
        net = read_network(name)
        result = evaluate_clips(net, read_clips(corpus, "test"))
        per_second = {key: getattr(result.counters, key) / result.seconds for key in Activity.__dataclass_fields__}
        found[network_digest(net)] = {
            "corpus": result.clips.digest, "test": result.accuracy, "synapses": net.n_synapses, "neurons": net.n_neurons,
            "bits": net.n_synapses * net.formats.weight_bits, "per_second_of_audio": per_second, "energy": energy(net, per_second),
        }  # fmt: skip
    write_whole(path, json.dumps(found | {"provenance": provenance()}, indent=1) + "\n")


def main() -> None:
    """Run searches, or what they are compared with."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "empty", "gradient"])
    parser.add_argument("names", nargs="*", default=["*"])
    parser.add_argument("--runs", type=Path, default=Path("runs/ec"))
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--ledger", type=Path, default=ROOT / "docs/results/test_reads.jsonl")
    given = parser.parse_args()
    if given.what == "empty":
        empty()
        return
    if given.what == "gradient":
        gradient(given.names, given.corpus)
        return
    for pattern in given.names:
        for name in fnmatch.filter(RUNS, pattern):
            run(name, given.runs, given.corpus, given.minutes, TestLedger(given.ledger))


if __name__ == "__main__":
    main()
