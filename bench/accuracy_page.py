# SPDX-License-Identifier: Apache-2.0
"""docs/results/accuracy.md from the tables that bench/accuracy.py wrote; no figure is typed by hand.

python bench/accuracy_page.py bench/results/accuracy_main.json bench/results/accuracy_folds.json --output docs/results/accuracy.md
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ormia.edge.errors import DataError, Error
from ormia.edge.files import make_folder, write_whole

FORMAT = 2


def read_table(path: Path) -> dict[str, Any]:
    """A table of bench/accuracy.py. Raises ``DataError`` for anything else."""
    try:
        table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if table.get("format") != FORMAT:
            raise ValueError(f"its format is {table.get('format')}, this program reads {FORMAT}")
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{path} must be a table that bench/accuracy.py wrote: make it again ({error})") from None
    return table


def share(row: dict[str, Any], split: str) -> str:
    """Mean, with the spread over seeds where there is one, in percent."""
    if split not in row:
        return ""
    spread = row[split]["spread"]
    return f"{100 * row[split]['mean']:.1f}" + (f" ± {100 * spread:.1f}" if spread is not None else "")


def accuracy_rows(table: dict[str, Any]) -> list[str]:
    """One line an arm: accuracies, bytes, work."""
    lines = [
        "| arm | valid, % | test, % | weights, bytes | state or activations, bytes | synaptic operations, 1/s | spikes, 1/s | multiply-accumulates, 1/clip |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in table["arms"].items():
        cost, work = row["cost"], row.get("per_second", {})
        state = cost.get("state_bytes", cost.get("activation_bytes"))
        cells = [cost.get("weight_bytes"), state, work.get("synaptic_operations"), work.get("spikes"), cost.get("multiply_accumulates")]
        texts = ["" if cell is None else f"{cell:,.0f}" for cell in cells]
        lines.append(f"| `{name}` | {share(row, 'valid')} | {share(row, 'test')} | {' | '.join(texts)} |")
    return lines


def comparison_rows(table: dict[str, Any]) -> list[str]:
    """One line a comparison."""
    lines = ["| arm | against | difference, points | 95 % interval | p |", "|---|---|---|---|---|"]
    for one in table["comparisons"]:
        interval = f"{100 * one['low']:+.1f} to {100 * one['high']:+.1f}"
        lines.append(f"| `{one['arm']}` | `{one['rival']}` | {100 * one['mean']:+.1f} | {interval} | {one['p']:.2g} |")
    return lines


def section(table: dict[str, Any]) -> list[str]:
    """Heading, where the figures come from, tables."""
    clips, made = table["clips"], table["made"]
    seeds = f"{table['seeds']} seed" + "s" * (table["seeds"] > 1)
    if table["folds"]:
        how = f"{table['folds']}-fold cross-validation by speaker over all {sum(clips.values()):,} clips, {seeds}"
    else:
        how = f"{clips['train']:,} training, {clips['valid']:,} validation and {clips['test']:,} test clips by different speakers, {seeds}"
    epochs = sorted({row["epochs"] for row in table["arms"].values()})
    lines = [
        f"## {table['table']}",
        "",
        f"{table['source']}, {len(table['classes'])} classes: {how}, {' or '.join(map(str, epochs))} epochs, last epoch. "
        f"Corpus `{table['corpus'][:12]}`, commit `{(made['commit'] or 'unknown')[:12]}`, {made['time'][:10]}, {made['machine']['processor']}, "
        f"torch {made['versions'].get('torch', 'unknown')}.",
        "",
        *accuracy_rows(table),
        "",
    ]
    tried = ", ".join(f"{name} {count}" for name, count in table["settings_tried"].items())
    lines += [f"Settings with figures in the work folder, tried on `valid` or shown here: {tried}.", ""] if tried else []
    if table["comparisons"]:
        first = table["comparisons"][0]
        drawn = f"Paired bootstrap over {first['clusters']:,} clusters (a speaker, or a clip that nobody speaks) of {first['clips']:,} test clips:"
        lines += [drawn, "", *comparison_rows(table), ""]
    return lines


def main() -> None:
    """Read tables, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, default=Path("docs/results/accuracy.md"))
    options = parser.parse_args()
    try:
        lines = [
            "# Accuracy",
            "",
            "Written by `bench/accuracy_page.py` from the files of `bench/accuracy.py`; how everything is measured and counted is in `docs/accuracy.md`.",
            "",
        ]
        for path in options.tables:
            lines += section(read_table(path))
        make_folder(options.output.parent)
        write_whole(options.output, "\n".join(lines))
    except Error as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
