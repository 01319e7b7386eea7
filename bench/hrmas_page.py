# SPDX-License-Identifier: Apache-2.0
"""docs/results/hrmas.md from the files of bench/hrmas*.py, under the protocol that was written before any run; no figure is typed by hand.

    python bench/hrmas_page.py bench/results/hrmas.json --search bench/results/hrmas_search.json --core bench/results/hrmas_core.json \\
        --repair bench/results/hrmas_repair.json --output docs/results/hrmas.md

``hrmas_search.json`` is the ``metrics.json`` of `ormia search hrmas keywords`. A part whose file is not given is left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ormia.edge.errors import DataError, Error
from ormia.edge.files import make_folder, write_whole

PROTOCOL = """\
## Protocol, written before the runs

Corpus: one-second recordings of Speech Commands in 12 classes (`ormia data`), 3,194 clips of 191 speakers. Five folds by speaker: every clip is a test clip
once, no speaker is on two sides.

Network: one SC-ML layer of 128 neurons (the paper: 800 on TI46), 4-bit weights, a leaky readout (`bench/hrmas_small.toml`). Search: 8 epochs over the training
clips, sizes 2, 4, 8, 16, 32 for the first 3; logits learn on the validation clips. Training: 16 epochs from fresh weights on training and validation clips
together, the same for every arm, searched or not. What is scored is the file, by `edge`, once, after the last epoch.

Every seed and fold starts from a number of its own. Ten trainings (2 seeds x 5 folds) for full, without plasticity, random topology and random search; five
(1 seed x 5 folds) for the others. An arm hears the same augmented clips as full with its seed and fold.

| arm | is |
|---|---|
| `full` | HRMAS: size, types within and between motifs, SpiKL-IP |
| `no-plasticity` | without SpiKL-IP in the search |
| `no-lateral` | without links between motifs |
| `no-motifs` | types of all 128 x 128 links searched, no sizes |
| `dense` | fully connected, trained weights of either sign, no search |
| `feedforward` | no recurrence |
| `dense-weights`, `feedforward-weights` | the same with as many neurons as give the number of weights that full has |
| `random` | the topology of full with its types in random places: as many links of each type within and between motifs |
| `random-search` | random sizes and types, each trained for a sixth of the epochs, until the processor time of full's search is used; the best on valid |
| `hand` | motifs of 16, each neuron linked to itself, two neighbors to each side and its twins, trained weights of either sign |
| `priced` | full with `price.memory = 0.2` |
| `kept` | full's topology, trained with the R and tau that plasticity found, in at most 16 time constants |

All other arms have as many neurons as full: that is the paper's comparison.

Test: difference to full in points, on the trainings that both have. Two 95 % intervals: a paired bootstrap over speakers (10,000 samples of the clips' shares
of right answers over seeds), and Student's t over paired trainings, which sees the chance of initial weights. A difference counts where both leave 0 out;
else it is not detectable here. Rows are not corrected for their number: of twenty without any effect, one is expected to count by the first interval.

Effect size: if two networks disagree on a quarter of the clips, the standard error of their difference is 0.9 points with one training a clip and 0.6 with two,
so that 2.5 and 1.8 points are found in four of five tables. The paper's 8.1 points are within reach, 2.3 are about at the limit, 1.24 and 0.71 are below it.
"""
ADDED = """\
## Added after the protocol

Ten seeds are read as ten trainings, each with a seed of its own: 2 on each of 5 folds, so that what varies is clips, speakers and initial weights together.

| arm | is |
|---|---|
| `evolved` | a motif of 16 found by evolving connectivity, in the processor time of full's search; five trainings |
| `priced-more` | full with `price.memory = 0.5` |
| `second-order` | full with `order = 2`; three trainings |
| `random-kept`, `dense-kept` | `random` and `dense` with the R and tau of `kept`: is it the topology that those suit, or the layer? |

Evolution (`train/ec`, recipe `keywords` with `network.motif = 16`, a population of 64 on 96 clips, no families, larger steps) searches one boolean for each
link of the motif, together with those of input and readout, by the cross-entropy of networks that have no trained weights. It hears training clips of the fold
alone. Its settings come from two probes of 30 s on fold 0, without clips of test; with those of the recipe no link of the motif moved. Neurons 0 to 7 of a
motif excite, 8 to 15 inhibit, so each link found has its type; then weights are trained as in every arm.

The limit of what a repair changes (`plasticity.largest_change`), now the default, came while the table ran: all arms search without it.
"""
PLANNED = {  # trainings; 5 of the others
    "full": 10, "no-plasticity": 10, "random": 10, "random-search": 10,
    "evolved": 5, "random-kept": 5, "dense-kept": 5, "priced-more": 5, "second-order": 3,  # named, for they may have none
}  # fmt: skip
CONTROLS = {  # not in the paper
    "random": "Does it matter where the search put its types?",
    "random-search": "Does the search beat random tries at equal processor time?",
    "feedforward": "Does the recurrence that was found help at all?",
    "hand": "Does it beat a motif set by hand?",
    "evolved": "Does it beat a motif that evolution found in as much processor time?",
    "second-order": "Is the architecture better found at weights one step ahead?",
}
MORE = """\
## Commands

    python bench/hrmas.py runs/corpora/XXXX --folds 5                                             # what is finished is kept, --list shows what is missing
    python bench/hrmas.py runs/corpora/XXXX --folds 5 --seeds 2 --arms full no-plasticity random random-search
    python bench/hrmas.py runs/corpora/XXXX --folds 5 --seeds 2 --summarize                       # bench/results/hrmas.json
    ormia search hrmas keywords --data runs/corpora/XXXX --output runs/motifs --set training.epochs=30
    python bench/hrmas_core.py runs/bench/hrmas/463ec2fe2d16/full_seed0_fold0/network/net.ormia --data runs/corpora/XXXX --clips 5
    python bench/hrmas_repair.py runs/corpora/XXXX
    python bench/hrmas_page.py bench/results/hrmas.json --search runs/motifs/metrics.json \\
        --core bench/results/hrmas_core.json --repair bench/results/hrmas_repair.json             # this page

More seeds: a larger `--seeds`; `--arms` and `--only FOLD` divide the work. At full scale, 256 neurons, 20 epochs of search and 60 of training:

    python bench/hrmas.py runs/corpora/XXXX --folds 5 --seeds 2 --recipe keywords \\
        --parts bench/results/hrmas_keywords --output bench/results/hrmas_keywords.json
"""
PAPER = {"no-plasticity": -1.24, "no-lateral": -0.71, "no-motifs": -8.09, "dense": -2.34}  # points on TI46-Alpha against 96.44 %, one number each


def read_json(path: Path, key: str) -> dict[str, Any]:
    """A file of bench/hrmas*.py. Raises ``DataError`` for anything else."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if key not in found:
            raise ValueError(f"it has no {key}")
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path} must be a file that bench/hrmas*.py wrote: make it again ({error})") from None
    return found


def points(one: dict[str, Any]) -> str:
    """A difference and its interval."""
    return f"{100 * one['mean']:+.1f} ({100 * one['low']:+.1f} to {100 * one['high']:+.1f})"


def verdict(row: dict[str, Any]) -> str:
    """What a difference to full says."""
    if "less" not in row:
        return ""
    if not row["detectable"]:
        return "not detectable here"
    return "better than full" if row["less"]["mean"] > 0 else "worse than full"


def rows_of(table: dict[str, Any]) -> list[str]:
    """One line an arm."""
    lines = [
        "| arm | trainings | test, % | less full, points (speakers) | (trainings) | so | found in 4 of 5, points | paper | neurons | weights | synapse memory, "
        "bits | search, CPU min |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table["arms"]:
        spread = "" if row["spread"] is None else f" ± {100 * row['spread']:.1f}"
        less = [points(row[key]) if key in row else "" for key in ("less", "over_parts")]
        paper = f"{PAPER[row['arm']]:+.2f}" if row["arm"] in PAPER else ""
        least = f"{100 * row['least_found']:.1f}" if row.get("least_found") else ""
        few = f" ({len(row['folds'])} folds)" if len(row["folds"]) < (table["folds"] or 1) else ""
        cells = [f"`{row['arm']}`", f"{row['parts']}{few}", f"{100 * row['mean']:.1f}{spread}", *less, verdict(row), least, paper, f"{row['neurons']:.0f}"]
        minutes = row["cpu_minutes"]["search"]
        cells += [f"{row['weights']:,.0f}", f"{row['memory_bits']['shared']:,.0f}", f"{minutes:.2f}" if minutes else ""]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def table_section(table: dict[str, Any]) -> list[str]:
    """Where the figures come from, rows, what they say of the paper's differences, what the search costs."""
    made, arms = table["made"], {row["arm"]: row for row in table["arms"]}
    judged = next((row for row in table["arms"] if "clips" in row), None)
    of = f" Test clips {judged['clips']:,} in {judged['clusters']:,} clusters (a speaker, or a clip that nobody speaks)." if judged else ""
    origin = f"Corpus `{table['corpus'][:12]}`, {made['time'][:10]}, {made['machine']['processor']}, torch {made['versions'].get('torch', 'unknown')}."
    lines = ["## Arms", "", origin + of, "", *rows_of(table), ""]
    done = {arm: arms[arm]["parts"] if arm in arms else 0 for arm in (*arms, *PLANNED)}
    short = [f"`{arm}` {n} of {PLANNED.get(arm, 5)}" for arm, n in done.items() if n < PLANNED.get(arm, 5)]
    lines += [f"Trainings short of what was planned, for the time given was over: {', '.join(short)}.", ""] if short else []
    lines += [
        "Test is the mean over folds of the mean over seeds, ± the spread of seeds where each has all folds; fewer folds are other clips, so look at the "
        "difference, which is on the trainings that full has too. \"Found in 4 of 5\": "
        "the least true difference that both intervals, as wide as here, leave 0 out of in four of five such tables.", "",
    ]  # fmt: skip
    wrong = [arm for arm, row in arms.items() if not row["exact"]]
    labels = f"differ for {', '.join(wrong)}" if wrong else "are the same for every network and clip of valid"
    lines += [f"Labels of the file and of the training program's exact mode {labels}.", "", "## The paper's differences, and controls it does not have", ""]
    for arm, theirs in PAPER.items():
        if "less" in (row := arms.get(arm, {})):
            lines.append(f"* `{arm}`: {theirs:+.2f} points there; here {points(row['less'])}: {reproduced(row, theirs)}.")
    for arm, question in CONTROLS.items():
        if "less" in (row := arms.get(arm, {})):
            lines.append(f"* {question} `{arm}` less full: {points(row['less'])}: {verdict(row)}.")
    lines += kept_section(arms)
    best = max(table["arms"], key=lambda row: (len(row["folds"]), row["mean"]))  # of those on all clips
    lines += [f"* That full is the best arm: here the highest mean over all folds is that of `{best['arm']}`, {100 * best['mean']:.1f} %.", ""]
    return lines + cost_section(arms)


def kept_section(arms: dict[str, Any]) -> list[str]:
    """What R and tau of plasticity bring, and whether the found topology has a share in it; none of it was in the protocol."""
    lines = []
    if "less" in (kept := arms.get("kept", {})):
        lines.append(f"* What do R and tau bring that plasticity found? `kept` less full: {points(kept['less'])}: {verdict(kept)}.")
    questions = {
        "no-plasticity": "And where the network keeps them, as the paper's does, what does it lose without plasticity (there -1.24 points)?",
        "random-kept": "Do they need the topology they were found with?",
        "dense-kept": "Do they need the topology they were found with?",
    }
    for arm, question in questions.items():
        if "less" in (beside := arms.get(arm, {}).get("beside_kept", {})):
            said = "not detectable here" if not beside["detectable"] else "better than kept" if beside["less"]["mean"] > 0 else "worse than kept"
            lines.append(f"* {question} `{arm}` less kept: {points(beside['less'])}: {said}.")
    return lines


def reproduced(row: dict[str, Any], theirs: float) -> str:
    """Whether a difference of the paper shows here."""
    if not row["detectable"]:
        excluded = row["less"]["low"] > theirs / 100
        return "not detectable here" + (", and one as large as the paper's is outside the interval over speakers" if excluded else "")
    return "reproduced in its sign" if (row["less"]["mean"] < 0) == (theirs < 0) else "the other sign"


def cost_section(arms: dict[str, Any]) -> list[str]:
    """Sizes found, processor time, what clustering of time constants loses."""
    full, kept = arms.get("full"), arms.get("kept")
    if not full:
        return []
    search, training = full["cpu_minutes"]["search"], full["cpu_minutes"]["training"]
    sizes = ", ".join(f"{size} ({full['sizes'].count(size)} of {len(full['sizes'])})" for size in sorted(set(full["sizes"])))
    lines = [
        "## The search", "",
        f"A search takes {search:.2f} CPU minutes on one thread, {search / training:.1f} times one training of what it found ({training:.2f}), drawing of "
        "clips "
        f"included; the machine was shared. Motif sizes found by full: {sizes}. Mean rate at the end of its search {full['rate']:.3f} spikes a timestep "
        "(target 0.1).", "",
    ]  # fmt: skip
    for name in ("priced", "priced-more"):
        if "less" in (priced := arms.get(name, {})):
            weights, memory = (1 - priced["weights"] / full["weights"], 1 - priced["memory_bits"]["shared"] / full["memory_bits"]["shared"])
            lines += [
                f"With a price on memory (`{name}`) the network has {100 * weights:.0f} % fewer weights and {100 * memory:.0f} % fewer bits of synapse "
                f"memory, at {points(priced['less'])} points ({verdict(priced)}).", "",
            ]  # fmt: skip
    if found := arms.get("evolved", {}).get("evolution"):
        lines += [
            f"Evolution made {found['generations']:.0f} generations in its time; the cross-entropy of its networks went from {-found['first']:.2f} to "
            f"{-found['last']:.2f} nats (chance: 2.48), {found['links_moved']:.0f} of the 288 booleans of the motif were others than at the start, and "
            f"{found['links']:.0f} links were found (means over its trainings).", "",
        ]  # fmt: skip
    if ahead := arms.get("second-order"):
        lines += [f"At weights one step ahead (`second-order`) a search takes {ahead['cpu_minutes']['search'] / search:.1f} times as long.", ""]
    if kept and kept["kinds"]:
        k = kept["kinds"]
        lines += [
            f"With the weights of the search and the likeliest topology, clustering of tau from {k['kinds_before']:.0f} kinds to {k['kinds_after']:.0f} "
            "changes "
            f"the label of {100 * k['changed']:.1f} % of the clips of valid, accuracy from {100 * k['before']:.1f} to {100 * k['after']:.1f} %; tau changes "
            "by at most "
            f"{100 * k['largest_change_of_tau']:.0f} % (means over {kept['parts']} searches). The weights were not trained for what is certain, hence the "
            "low level.",
            "",
        ]  # fmt: skip
    return lines


def search_section(found: dict[str, Any]) -> list[str]:
    """A search of the recipe that ships, on the whole corpus."""
    (layer,) = found["layers"]
    test, kinds = found["network"]["accuracy"]["test"], found["kinds"]
    kept = "with" if found["recipe"]["keep_intrinsic"] else "without"
    return [
        "## Recipe `keywords` on the corpus's own splits", "",
        f"256 neurons, {found['iterations']} iterations in {found['seconds'] / 60:.1f} minutes ({found['cpu_seconds'] / 60:.1f} CPU minutes, one thread, other "
        f"programs beside it): motifs of {layer['size']} with {layer['links']['excitatory']} excitatory, {layer['links']['inhibitory']} inhibitory and "
        f"{layer['links']['none']} absent links. Trained for {found['network']['epochs']} epochs {kept} R and tau of the search: "
        f"{100 * test['share']:.1f} % of {test['clips']} test clips. "
        f"{100 * kinds['thresholds_at_limit']:.0f} % of the neurons have an R that their integer threshold cannot follow (docs/semantics.md wants "
        "thresholds well "
        f"above the truncation leak): R / tau is off by up to {100 * kinds['largest_change_of_gain']:.0f} %, in the search as in the file.", "",
    ]  # fmt: skip


def core_section(found: dict[str, Any]) -> list[str]:
    """Memory and clocks of both packings, and what was verified."""
    rows = []
    for where, name in (("core", "the whole network"), ("recurrence_alone", "links within the layer alone")):
        plain, shared = found[where]["plain"], found[where]["shared"]
        for key, label in (("list_bits", "lists of targets, bits"), ("bits", "all memories of the core, bits"), ("block_rams", "block RAMs (iCE40)")):
            rows.append(f"| {name} | {label} | {plain[key]:,} | {shared[key]:,} | {100 * (1 - shared[key] / plain[key]):.0f} % |")
    (motif,) = found["motifs"]
    clocks, clips = found["clocks_a_timestep"], len(found["clips"]["clips"])
    verified = ", ".join(f"{one['backend']} {one['differences']}" for one in found["verified"] if not one.get("reason"))
    return [
        "## On the core", "",
        f"A network of arm full, `{found['network'][:12]}`: {motif['count']} motifs of {motif['size']} with {motif['links']} links, {found['synapses']:,} "
        "synapses, "
        f"{found['recurrent_synapses']:,} of them within the layer.", "",
        "| of | | plain lists | lists that motifs share | saved |", "|---|---|---|---|---|", *rows, "",
        f"Clocks a timestep on average: {clocks['plain']:,.0f} and {clocks['shared']:,.0f}, for a shared list walks links whose weight rounded to 0. "
        "Differences from the "
        f"reference on {clips} test clips, every spike, membrane and score: {verified}.", "",
    ]  # fmt: skip


def repair_section(found: dict[str, Any]) -> list[str]:
    """Rates after a forced step of the architecture."""
    lines = [
        "## Self-repair", "",
        f"128 neurons on real speech, target {found['target']} spikes a timestep. At step {found['forced_at']} every link gets one type; from there only "
        "the repair "
        "runs, one batch a step. `unlimited` is the rule as it is, `repaired` has the limit of `plasticity.largest_change`, the default.", "",
        "![Firing rates around a forced step](hrmas_repair.svg)", "",
        "| the layer | repair | rate before | at once after | last ten steps (range) | KL at once, nats | KL, last ten |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for case, runs in found["summary"].items():
        for name, run in runs.items():
            low, high = run["last_ten_range"]
            cells = [case, f"`{name}`", f"{run['before']:.3f}", f"{run['at_once']:.3f}", f"{run['last_ten']:.3f} ({low:.3f} to {high:.3f})"]
            lines.append(f"| {' | '.join(cells)} | {run['divergence_at_once']:.2f} | {run['divergence_last_ten']:.2f} |")
    return [*lines, ""]


def main() -> None:
    """Read tables, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, nargs="?", help="without it the page has the protocol alone")
    parser.add_argument("--search", type=Path, help="metrics.json of a search")
    parser.add_argument("--core", type=Path, help="of bench/hrmas_core.py")
    parser.add_argument("--repair", type=Path, help="of bench/hrmas_repair.py")
    parser.add_argument("--output", type=Path, default=Path("docs/results/hrmas.md"))
    options = parser.parse_args()
    try:
        lines = ["# HRMAS: searched motifs beside their controls", "", "Written by `bench/hrmas_page.py` from the files of `bench/hrmas.py`.", "", PROTOCOL]
        lines += [ADDED, *table_section(read_json(options.table, "arms"))] if options.table else []
        for path, key, section in (
            (options.search, "iterations", search_section), (options.core, "recurrence_alone", core_section), (options.repair, "summary", repair_section),
        ):  # fmt: skip
            lines += section(read_json(path, key)) if path else []
        lines += [MORE] if options.table else []
        make_folder(options.output.parent)
        write_whole(options.output, "\n".join(lines))
    except Error as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
