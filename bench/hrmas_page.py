# SPDX-License-Identifier: Apache-2.0
"""docs/results/hrmas.md from the tables of bench/hrmas.py, under the protocol that was written before any run; no figure is typed by hand.

python bench/hrmas_page.py bench/results/hrmas.json --output docs/results/hrmas.md
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
PAPER = {"no-plasticity": -1.24, "no-lateral": -0.71, "no-motifs": -8.09, "dense": -2.34}  # points on TI46-Alpha against 96.44 %, one number each


def read_table(path: Path) -> dict[str, Any]:
    """A table of bench/hrmas.py. Raises ``DataError`` for anything else."""
    try:
        table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(table.get("arms"), list):
            raise ValueError("it has no arms")
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{path} must be a table that bench/hrmas.py wrote: make it again ({error})") from None
    return table


def points(one: dict[str, Any]) -> str:
    """A difference and its interval."""
    return f"{100 * one['mean']:+.1f} ({100 * one['low']:+.1f} to {100 * one['high']:+.1f})"


def verdict(row: dict[str, Any]) -> str:
    """What a difference to full says."""
    if "less_full" not in row:
        return ""
    if not row["detectable"]:
        return "not detectable here"
    return "better than full" if row["less_full"]["mean"] > 0 else "worse than full"


def rows_of(table: dict[str, Any]) -> list[str]:
    """One line an arm."""
    lines = [
        "| arm | trainings | test, % | less full, points (speakers) | (trainings) | so | paper | neurons | weights | synapse memory, bits | search, CPU min |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table["arms"]:
        spread = "" if row["spread"] is None else f" ± {100 * row['spread']:.1f}"
        less = [points(row[key]) if key in row else "" for key in ("less_full", "over_parts")]
        paper = f"{PAPER[row['arm']]:+.2f}" if row["arm"] in PAPER else ""
        cells = [f"`{row['arm']}`", str(row["parts"]), f"{100 * row['mean']:.1f}{spread}", *less, verdict(row), paper, f"{row['neurons']:.0f}"]
        minutes = row["cpu_minutes"]["search"]
        cells += [f"{row['weights']:,.0f}", f"{row['memory_bits']['shared']:,.0f}", f"{minutes:.2f}" if minutes else ""]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def table_section(title: str, table: dict[str, Any]) -> list[str]:
    """Heading, where the figures come from, rows."""
    made = table["made"]
    judged = next((row for row in table["arms"] if "clips" in row), None)
    of = f" Test clips {judged['clips']:,} in {judged['clusters']:,} clusters (a speaker, or a clip that nobody speaks)." if judged else ""
    origin = f"Corpus `{table['corpus'][:12]}`, {made['time'][:10]}, {made['machine']['processor']}, torch {made['versions'].get('torch', 'unknown')}."
    return [f"## {title}", "", origin + of, "", *rows_of(table), ""]


def main() -> None:
    """Read tables, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, nargs="?", help="without it the page has the protocol alone")
    parser.add_argument("--output", type=Path, default=Path("docs/results/hrmas.md"))
    options = parser.parse_args()
    try:
        lines = ["# HRMAS: searched motifs beside their controls", "", "Written by `bench/hrmas_page.py` from the files of `bench/hrmas.py`.", "", PROTOCOL]
        lines += table_section("Arms", read_table(options.table)) if options.table else []
        make_folder(options.output.parent)
        write_whole(options.output, "\n".join(lines))
    except Error as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
