# SPDX-License-Identifier: Apache-2.0
"""Searches whose figures docs/results/ec.md shows: run them one after another, and write the page from what they left.

python bench/ec_results.py run [NAME ...] [--runs FOLDER] [--corpus FOLDER] [--minutes M]   resumable; a name may end in *
python bench/ec_results.py write                                                            docs/results/ec.md from bench/results/ec*.json
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import statistics
from pathlib import Path
from typing import Any

from ormia.edge.files import make_folder, write_whole
from ormia.train.ec.config import load_recipe
from ormia.train.ec.distributed import Workers
from ormia.train.ec.result import finish
from ormia.train.ec.search import run_search
from ormia.train.recipe import to_dict, with_settings

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench/results/ec"
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
    "even": ["method.exploration=0.5"],
    "adam": ["method.adam=true", "method.learning_rate=0.15", "method.readout_rate=1.0"],
    "whole": ["method.family=1", "task.episodes=96", "generations=150"],
    "large": ["network.neurons=1024", "generations=600"],
}
CART, PENDULUM = "cartpole", "inverted_pendulum"
RUNS: dict[str, tuple[str, list[str]]] = {
    **{f"{task}_{model}_{seed}": (task, [*MODELS[model], f"seed={seed}"]) for task in (CART, PENDULUM) for model in MODELS for seed in SEEDS},
    **{f"cartpole_es_rsnn_slow_{seed}": (CART, [*ES, "method.deviation=0.3", "method.learning_rate=0.05", f"seed={seed}"]) for seed in SEEDS},
    **{f"cartpole_motif_{seed}": (CART, ["network.motif=32", f"seed={seed}"]) for seed in SEEDS},
    **{f"cartpole_reference_{seed}": (CART, [*QUIRKS, f"seed={seed}"]) for seed in SEEDS},
    **{f"cartpole_plain_step_{seed}": (CART, ["method.adam=false", f"seed={seed}"]) for seed in SEEDS},
    **{f"cartpole_excitatory_{seed}": (CART, ["network.excitatory=0.75", f"seed={seed}"]) for seed in SEEDS},
    **{f"cartpole_unrounded_{seed}": (CART, ["network.payload_bits=0", f"seed={seed}"]) for seed in SEEDS},
    "hopper_ec_0": ("hopper", ["task.final=20"]),
    "hopper_es_rsnn_0": ("hopper", [*MODELS["es_rsnn"], "task.final=20"]),
    **{f"keywords_{seed}": ("keywords", [f"seed={seed}"]) for seed in SEEDS},
    **{f"keywords_synthetic_{seed}": ("keywords", [f"seed={seed}"]) for seed in SEEDS},
    **{f"keywords_{variant}_{seed}": ("keywords", [*settings, f"seed={seed}"]) for variant, settings in VARIANTS.items() for seed in SEEDS},
    **{f"mts_xor_{seed}": ("mts_xor", [f"seed={seed}"]) for seed in SEEDS},
}


def run(name: str, runs: Path, corpus: Path | None, minutes: float) -> None:
    """Run or go on with one search and keep its figures; nothing where they are those of a whole search of the same recipe."""
    recipe, settings = RUNS[name]
    config = with_settings(load_recipe(recipe), settings)
    before = read(name).get(name)
    if before and (before["solved"] or before["generations"] >= config.generations) and before["recipe"]["method"] == to_dict(config.method):
        return
    search = run_search(config, runs / name, Workers(), data=corpus, minutes=minutes)
    verify = ["reference", "numba", "c", *(["cxxrtl"] if name == "cartpole_ec_0" else [])] if name.endswith("ec_0") else []
    result = finish(search, runs / name, Workers(), name="evolved", verify=verify)
    every = -(-len(result["history"]) // MOST_ENTRIES)
    result["history"] = [entry for i, entry in enumerate(result["history"]) if i % every == 0 or "evaluation" in entry or "final" in entry]
    make_folder(RESULTS)
    write_whole(RESULTS / f"{name}.json", json.dumps(result, indent=1) + "\n")
    print(name, result["generations"], result["solved"], result["final"]["mean"], f"{result['cpu_seconds']:.0f} s", flush=True)


def read(pattern: str) -> dict[str, Any]:
    """Results whose names match."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob(f"{pattern}.json"))}


def spread(values: list[float], digits: int = 0) -> str:
    """Median and range."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})" if values else "-"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows]) + "\n"


def solved_table(task: str, variants: dict[str, str]) -> str:
    """How fast each variant solves a task."""
    rows = []
    for variant, what in variants.items():
        found = list(read(f"{task}_{variant}_[0-9]").values())
        if not found:
            continue
        integer = [r["integer"]["mean"] for r in found if "integer" in r]
        rows.append([
            what, f"{sum(r['solved'] for r in found)} of {len(found)}", spread([r["generations"] for r in found]), spread([r["steps"] / 1000 for r in found]),
            spread([r["cpu_seconds"] for r in found], 1), spread([r["seconds"] for r in found], 1), spread([r["final"]["mean"] for r in found], 1),
            spread(integer, 1), f"{found[0]['bytes_per_individual'] / 1000:.0f}",
        ])  # fmt: skip
    head = ["", "seeds solved", "generations", "1000 steps", "CPU s", "wall s", "return, float", "return, integers", "kB an individual"]
    return table(head, rows)


def curve(names: list[str]) -> str:
    """Deployed return by generation."""
    found = {name: result for pattern in names for name, result in read(pattern).items()}
    rows = []
    for name, result in found.items():
        entries = [entry for entry in result["history"] if "evaluation" in entry]
        every = -(-len(entries) // 12) if entries else 1
        shown = ", ".join(f"{e['generation']}: {e['evaluation']:.3g}" for i, e in enumerate(entries) if i % every == 0 or i == len(entries) - 1)
        steps, seconds = result["steps"], result["cpu_seconds"]
        integers = f"{result['integer']['mean']:.4g}" if "integer" in result else "-"
        pace = f"{60 * result['generations'] / seconds:.1f}"
        last = f"{result['final']['mean']:.4g} +- {result['final']['spread']:.2g}"
        rows.append([name, f"{steps / 1e6:.2f} M", f"{seconds:.0f}", pace, last, integers, shown])
    return table(["run", "steps", "CPU s", "generations a CPU minute", "last, float", "last, integers", "deployed, by generation"], rows)


def speed() -> str:
    """The bench's figures."""
    path = ROOT / "bench/results/ec_speed.json"
    if not path.exists():
        return ""
    bench = json.loads(path.read_text())
    rows = []
    for row in bench["forwards"]:
        jax = [f"{row['jax_forwards_per_cpu_second'] / 1000:.1f}", f"{row['times_jax']:.1f}"] if "times_jax" in row else ["-", "-"]
        rows.append([f"{row['spikes_per_timestep']:.2f}", f"{row['forwards_per_second'] / 1000:.0f}", f"{row['forwards_per_cpu_second'] / 1000:.0f}", *jax,
                     f"{row['weights_spikes_per_timestep']:.1f}", f"{row['times_weights']:.1f}"])  # fmt: skip
    head = ["spikes a timestep", f"k forwards/s, {bench['threads']} threads", "k forwards/CPU s", "JAX, k forwards/CPU s", "times JAX",
            "spikes a timestep, weights", "times weights"]  # fmt: skip
    sums = table(["spikes", *(key.replace("_", " ") for key in bench["synapse_sum_ns"][0] if key != "spikes")],
                 [[str(value) for value in row.values()] for row in bench["synapse_sum_ns"]])  # fmt: skip
    size = bench["bytes_per_individual"]
    return (
        f"A forward is one observation of {bench['timesteps_of_a_forward']} timesteps, {bench['neurons']} neurons, population {bench['population']}; "
        "one run on one machine.\n\n" + table(head, rows) + "\nNanoseconds of one sum over all synapses of a timestep:\n\n" + sums
        + f"\nAn individual takes {size['packed']} bytes; {size['one_byte_a_connection']} at one byte a connection; {size['weights']} with weights.\n"
    )  # fmt: skip


def accuracy(pattern: str) -> str:
    """Accuracies of clip tasks."""
    rows = []
    for name, r in read(pattern).items():
        integer = r.get("integer", {})
        work = integer.get("per_second_of_audio", {}).get("synaptic_operations")
        deployed = f"{100 * integer['mean']:.1f}" if integer else "-"
        millions = f"{work / 1e6:.2f}" if work else "-"
        figures = [f"{r['cpu_seconds']:.0f}", f"{100 * r['final']['mean']:.1f}", deployed, str(integer.get("synapses", "-")), f"{r['bits'] / 8000:.1f}"]
        rows.append([name, str(r["generations"]), *figures, millions])
    head = ["run", "generations", "CPU s", "float %", "deployed integers %", "synapses", "kB of bits", "M synaptic operations/s of audio"]
    return table(head, rows)


def write() -> None:
    """The page."""
    text = (ROOT / "bench/ec_results.md").read_text()
    models = {"ec": "EC, one bit a connection", "es_rsnn": "ES, same network with weights", "es_gru": "ES, GRU 256", "es_lstm": "ES, LSTM 128"}
    others = {
        "motif": "one motif of 32 neurons for all",
        "unrounded": "observations not rounded",
        "reference": "released code's quirks",
        "plain_step": "plain steps in place of Adam",
        "excitatory": "75 % excitatory",
        "es_rsnn_slow": "ES with weights, learning rate 0.05",
    }
    parts = {
        "CARTPOLE": solved_table(CART, models), "PENDULUM": solved_table(PENDULUM, models), "ABLATIONS": solved_table(CART, {"ec": models["ec"], **others}),
        "HOPPER": curve(["hopper_*"]), "SPEED": speed(), "KEYWORDS": accuracy("keywords_*"), "MTS": accuracy("mts_xor_*"),
        "VERIFIED": verified(),
    }  # fmt: skip
    for key, content in parts.items():
        text = text.replace(f"[{key}]\n", content)
    make_folder(ROOT / "docs/results")
    write_whole(ROOT / "docs/results/ec.md", text)


def verified() -> str:
    """What backends were compared on."""
    rows = []
    for name, result in read("*").items():
        for row in result.get("integer", {}).get("verified", []):
            state = str(row["differences"]) if row["available"] else row["reason"]
            rows.append([name, row["backend"], str(row.get("timesteps", "-")), str(row.get("membranes", "-")), state])
    return table(["run", "backend", "timesteps", "membranes compared", "differences"], rows)


def main() -> None:
    """Run or write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "write"])
    parser.add_argument("names", nargs="*", default=["*"])
    parser.add_argument("--runs", type=Path, default=Path("runs/ec"))
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--minutes", type=float, default=6.0)
    given = parser.parse_args()
    if given.what == "write":
        write()
        return
    for pattern in given.names:
        for name in fnmatch.filter(RUNS, pattern):
            run(name, given.runs, given.corpus, given.minutes)


if __name__ == "__main__":
    main()
