# SPDX-License-Identifier: Apache-2.0
"""Write docs/results/ec.md and its figure from bench/results/ec*.json: python bench/ec_results_page.py."""

from __future__ import annotations

import itertools
import json
import statistics
from pathlib import Path
from typing import Any

from ec_memory import section as memory_section
from matplotlib import rcParams
from matplotlib.figure import Figure
from ormia.edge.files import make_folder, write_whole
from ormia.train.ec.config import load_recipe

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "bench/results"
CART, PENDULUM, HOPPER = "cartpole", "inverted_pendulum", "hopper"
MODELS = {"ec": "EC, one bit a connection", "es_rsnn": "ES, same network with weights", "es_gru": "ES, GRU 256", "es_lstm": "ES, LSTM 128"}
ABLATIONS = {
    "motif": "one motif of 32 neurons for all",
    "unrounded": "observations not rounded",
    "reference": "released code's quirks",
    "plain_step": "plain steps in place of Adam",
    "excitatory": "75 % excitatory",
    "small": "192 neurons, which fit an iCE40UP5K",
    "es_rsnn_slow": "ES with weights, learning rate 0.05",
}
VARIANTS = {
    "even": "all probabilities start at one half",
    "adam": "Adam, learning rate 0.15",
    "raw": "scores as they are",
    "whole": "every individual its own hearing (families of one)",
    "moving": "hidden connections move ten times faster",
    "large": "1024 neurons, three augmented copies",
}
MICROCONTROLLER = "STM32U385, Cortex-M33, 96 MHz, 1.8 V"


def read(pattern: str) -> dict[str, Any]:
    """Results of searches whose names match."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((FOLDER / "ec").glob(f"{pattern}.json"))}


def figures(name: str) -> dict[str, Any]:
    """Another file of results; empty where there is none."""
    path = FOLDER / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def spread(values: list[float], digits: int = 0) -> str:
    """Median and range."""
    if not values:
        return "-"
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f}..{max(values):.{digits}f})"


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
        rates = [[r[part]["spikes_per_timestep"] for r in found if "spikes_per_timestep" in r.get(part, {})] for part in ("final", "integer")]
        rows.append([
            what, f"{sum(r['solved'] for r in found)} of {len(found)}", spread([r["generations"] for r in found]), spread([r["steps"] / 1000 for r in found]),
            spread([r["cpu_seconds"] for r in found], 1), spread([r["seconds"] for r in found], 1), spread([r["final"]["mean"] for r in found], 1),
            spread(integer, 1), *(spread(rate, 2) if any(rate) else "-" for rate in rates), f"{found[0]['bytes_per_individual'] / 1000:.0f}",
        ])  # fmt: skip
    head = ["", "seeds solved", "generations", "1000 steps", "CPU s", "wall s", "return, float", "return, integers", "spikes a timestep, float",
            "spikes a timestep, integers", "kB an individual"]  # fmt: skip
    return table(head, rows)


def ratios() -> str:
    """What each baseline needs to solve a task, as a multiple of what connections need, over all pairs of seeds."""
    rows = []
    for task, (model, what) in itertools.product((CART, PENDULUM), list(MODELS.items())[1:]):
        ours = [r for r in read(f"{task}_ec_[0-9]").values() if r["solved"]]
        theirs = [r for r in read(f"{task}_{model}_[0-9]").values() if r["solved"]]
        if ours and theirs:
            pairs = list(itertools.product(theirs, ours))
            figures = [[a[key] / b[key] for a, b in pairs] for key in ("generations", "steps", "cpu_seconds")]
            rows.append([task, what, f"{len(theirs)} and {len(ours)}", *(spread(values, 2) for values in figures)])
    return table(["task", "compared with EC", "seeds", "times evaluations", "times steps", "times CPU s"], rows)


def hopper() -> str:
    """Learning curves, and the two searches at equal evaluations and at equal time."""
    found = read("hopper_*")
    rows = []
    for name, result in found.items():
        shown = ", ".join(f"{e['generation']}: {e['evaluation']:.0f}" for e in result["history"] if "evaluation" in e)
        integers = f"{result['integer']['mean']:.0f}" if "integer" in result else "-"
        last, pace = f"{result['final']['mean']:.0f} ± {result['final']['spread']:.0f}", 60 * result["generations"] / result["cpu_seconds"]
        rows.append([
            name, str(result["generations"]), f"{result['steps'] / 1e6:.2f} M", f"{result['cpu_seconds']:.0f}", f"{pace:.1f}", last, integers, shown,
        ])  # fmt: skip
    head = ["run", "generations", "steps", "CPU s", "generations a CPU minute", "last, float", "last, integers", "deployed, by generation"]
    text = table(head, rows)
    ec, es = (found.get(f"hopper_{model}_0") for model in ("ec", "es_rsnn"))
    if ec and es:
        by_generation = [min(ec["generations"], es["generations"]), lambda entry: entry["generation"]]
        by_time = [min(ec["cpu_seconds"], es["cpu_seconds"]), lambda entry: entry["cpu_seconds"]]
        rows = []
        for what, (limit, key) in (("evaluations", by_generation), ("CPU seconds", by_time)):
            last = [max((e for e in r["history"] if key(e) <= limit), key=key) for r in (ec, es)]
            rows.append([f"equal {what}", *(f"{e['fitness']:.0f} (generation {e['generation']}, {e['cpu_seconds']:.0f} s)" for e in last)])
        text += "\nMean return of the population at the last generation within\n\n" + table(["", "EC", "ES with weights"], rows)
    return text


def empty(task: str) -> str:
    """Return of a network without connections."""
    found = figures("ec_empty").get(task)
    return f"{found['mean']:.1f} ± {found['spread']:.1f}" if found else "not measured"


def speed() -> str:
    """The bench's figures."""
    bench = figures("ec_speed")
    if not bench:
        return ""
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


def percent(values: list[float]) -> str:
    """Shares as percent."""
    return spread([100 * value for value in values], 1)


def keyword_row(what: str, found: list[dict[str, Any]]) -> list[str]:
    """Searches that differ in their seed only."""
    integer, power = [r["integer"] for r in found], [r["energy"] for r in found if "energy" in r]
    work = [r["per_second_of_audio"]["synaptic_operations"] / 1e6 for r in integer]
    return [
        what, str(len(found)), spread([r["generations"] for r in found]), spread([r["cpu_seconds"] for r in found]),
        percent([r["final"]["mean"] for r in found]), percent([r["test_float"] for r in found if "test_float" in r]), percent([i["mean"] for i in integer]),
        spread([i["synapses"] / 1000 for i in integer], 1), spread([r["bits"] / 1000 for r in found]), spread(work, 2),
        spread([p["operations"] for p in power], 1), spread([p[MICROCONTROLLER] for p in power]),
    ]  # fmt: skip


def gradient_row(found: list[dict[str, Any]]) -> list[str]:
    """Networks that gradients trained."""
    work, power = [r["per_second_of_audio"]["synaptic_operations"] / 1e6 for r in found], [r["energy"] for r in found]
    return [
        "gradient training, 4-bit weights", str(len(found)), "-", "-", "-", "-", percent([r["test"] for r in found]),
        spread([r["synapses"] / 1000 for r in found], 1), spread([r["bits"] / 1000 for r in found]), spread(work, 2),
        spread([p["operations"] for p in power], 1), spread([p[MICROCONTROLLER] for p in power]),
    ]  # fmt: skip


KEYWORD_HEAD = [
    "", "seeds", "generations", "CPU s", "valid, float %", "test, float %", "test, integers %", "k connections", "k bits",
    "M synaptic operations/s", "µW, 45 nm operations", "µW, Cortex-M33 with front end",
]  # fmt: skip


def keywords(stem: str) -> str:
    """Evolved networks of one corpus beside gradients on the same network, and beside gradient training, on the same clips."""
    found = list(read(f"{stem}_[0-9]").values())
    if not found:
        return "Not run.\n"
    corpus = found[0]["integer"]["corpus"]
    followed = list(read(f"{stem}_gradient_[0-9]").values())
    trained = [value for value in figures("ec_gradient").values() if value.get("corpus") == corpus]
    rows = [keyword_row(what, same) for what, same in (("EC", found), ("surrogate gradient, same network", followed)) if same]
    return table(KEYWORD_HEAD, [*rows, *([gradient_row(trained)] if trained else [])])


def variants() -> str:
    """The keyword recipe with one thing changed."""
    recipe = read("keywords_[0-9]")
    rows = [keyword_row("the recipe", list(recipe.values()))] if recipe else []
    rows += [keyword_row(what, found) for name, what in VARIANTS.items() if (found := list(read(f"keywords_{name}_[0-9]").values()))]
    return table([KEYWORD_HEAD[i] for i in (0, 1, 2, 3, 4, 6)], [[row[i] for i in (0, 1, 2, 3, 4, 6)] for row in rows])


def mts() -> str:
    """MTS-XOR."""
    rows = []
    for name, r in read("mts_xor_*").items():
        rows.append([name, str(r["generations"]), f"{r['cpu_seconds']:.0f}", f"{100 * r['final']['mean']:.1f}", f"{100 * r['integer']['mean']:.1f}"])
    return table(["run", "generations", "CPU s", "float %", "integers %"], rows)


def verified() -> str:
    """What backends were compared on."""
    rows = []
    for name, result in read("*").items():
        for row in result.get("integer", {}).get("verified", []):
            state = str(row["differences"]) if row["available"] else row["reason"]
            rows.append([name, row["backend"], str(row.get("timesteps", "-")), str(row.get("membranes", "-")), state])
    return table(["run", "backend", "timesteps", "membranes compared", "differences"], rows)


def plot(path: Path) -> None:
    """Hopper by generation and keywords by CPU seconds."""
    rcParams["svg.hashsalt"], rcParams["svg.fonttype"] = "ormia", "none"
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, label in (("hopper_ec_0", "EC"), ("hopper_es_rsnn_0", "ES with weights")):
        for result in read(name).values():
            left.plot([e["generation"] for e in result["history"]], [e["fitness"] for e in result["history"]], label=f"{label}, population")
    nothing = figures("ec_empty").get(HOPPER)
    if nothing:
        left.axhline(nothing["mean"], color="gray", linestyle=":", label="no connections")
    left.set(xlabel="generation", ylabel="return", title="Hopper-v5")
    shapes = [("keywords", "recordings, EC", "-"), ("keywords_gradient", "recordings, gradient", ":"), ("keywords_synthetic", "synthetic, EC", "--")]
    for stem, label, style in shapes:
        for i, result in enumerate(read(f"{stem}_[0-9]").values()):
            entries = [e for e in result["history"] if "evaluation" in e]
            shown = {"label": label} if i == 0 else {}
            right.plot([e["cpu_seconds"] for e in entries], [100 * e["evaluation"] for e in entries], style, color=f"C{i}", **shown)
    right.set(xlabel="CPU seconds", ylabel="right on valid, %", title="keywords, deployed")
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """The page and its figure."""
    text = (ROOT / "bench/ec_results.md").read_text()
    recipe = load_recipe("keywords")
    parts = {
        "CARTPOLE": solved_table(CART, MODELS), "PENDULUM": solved_table(PENDULUM, MODELS),
        "ABLATIONS": solved_table(CART, {"ec": MODELS["ec"], **ABLATIONS}), "RATIOS": ratios(), "HOPPER": hopper(), "SPEED": speed(),
        "KEYWORDS": keywords("keywords"), "SYNTHETIC": keywords("keywords_synthetic"), "VARIANTS": variants(), "MTS": mts(),
        "VERIFIED": verified(), "MEMORY": memory_section(),
    }  # fmt: skip
    for key, content in parts.items():
        text = text.replace(f"[{key}]\n", content)
    for task in (CART, PENDULUM, HOPPER):
        text = text.replace(f"[EMPTY {task}]", empty(task))
    text = text.replace("[NEURONS]", str(recipe.network.neurons))
    make_folder(ROOT / "docs/results")
    plot(ROOT / "docs/results/ec.svg")
    write_whole(ROOT / "docs/results/ec.md", text)


if __name__ == "__main__":
    main()
