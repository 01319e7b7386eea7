# SPDX-License-Identifier: Apache-2.0
"""Hierarchies of time constants, of kernels and of dilations on speech at equal parameters; protocol in docs/timescales.md.

    ormia data --data RECORDINGS --noise NOISE --output runs/corpora
    python bench/timescales_speech.py runs/corpora/KEY --folds 3
    python bench/timescales_speech.py runs/corpora/KEY --folds 3 --table depths
    python bench/timescales_speech.py runs/corpora/KEY --folds 3 --seeds 3 --table seeds
    python bench/timescales_speech.py runs/corpora/KEY --folds 5 --seeds 5

Tables: speech (what a hierarchy brings, and what else might be the cause), depths (2, 3 and 4 layers, with and without hierarchy), seeds (the main
comparison alone). Runs bench/accuracy.py with these arms: every run is kept under --work, and the same command goes on where it stopped. Arms finish in order
of interest, all folds of one before the next.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

FORWARD = "timescales:feedforward"
KERNEL = "timescales:model.timescales.mean=2.0"  # memory in delays, little in membranes


def layers(widths: tuple[int, int], kernels: tuple[int, int], dilations: tuple[int, int]) -> str:
    """Two feed-forward layers with temporal kernels, as a change of an arm."""
    rows = [
        f"{{neurons={width},motif={width},reach=-1,delays={[dilation * k for k in range(size)]}}}"
        for width, size, dilation in zip(widths, kernels, dilations, strict=True)
    ]
    return f"{KERNEL};model.layers=[{','.join(rows)}]"


def plain(width: int, depth: int, spread: float = 0.0) -> str:
    """``depth`` feed-forward layers of ``width`` neurons, as a change of an arm."""
    rows = ",".join([f"{{neurons={width},motif={width},reach=-1}}"] * depth)
    return f"timescales:model.layers=[{rows}]" + (f";model.timescales.spread={spread}" if spread else "")


ARMS = {
    "none": FORWARD,
    "hierarchy": f"{FORWARD};model.timescales.spread=7.5",
    "input gain only": f"{FORWARD};model.timescales.gain_spread=7.5",
    "hierarchy and input gain": f"{FORWARD};model.timescales.spread=7.5;model.timescales.gain_spread=7.5",
    "recurrent": "timescales",
    "recurrent, hierarchy": "timescales:model.timescales.spread=7.5",
    "kernels 3, 3, dilations 2, 2": layers((40, 40), (3, 3), (2, 2)),
    "kernels 2, 4": layers((45, 46), (2, 4), (2, 2)),
    "dilations 1, 3": layers((40, 40), (3, 3), (1, 3)),
    "kernels 4, 2": layers((35, 35), (4, 2), (2, 2)),
    "dilations 3, 1": layers((40, 40), (3, 3), (3, 1)),
    "2 layers": plain(58, 2),
    "2 layers, hierarchy": plain(58, 2, 7.5),
    "4 layers": plain(42, 4),
    "4 layers, hierarchy": plain(42, 4, 7.5),
}
TABLES = {
    "speech": [arm for arm in ARMS if " layers" not in arm],
    "depths": ["2 layers", "2 layers, hierarchy", "none", "hierarchy", "4 layers", "4 layers, hierarchy"],
    "seeds": ["none", "hierarchy"],
}


def main() -> None:
    """Read the command line and run the arms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="folder that `ormia data` made")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--table", default="speech", choices=list(TABLES))
    parser.add_argument("--results", type=Path, default=Path("bench/results"), help="folder of the output timescales_TABLE.json")
    parser.add_argument("--work", type=Path, default=Path("runs/bench/timescales_speech"))
    parser.add_argument("--ledger", type=Path, default=Path("docs/results/test_reads.jsonl"))
    options = parser.parse_args()
    folded = ["--folds", str(options.folds), "--seeds", str(options.seeds), "--recipe", "timescales", "--against", FORWARD]
    places = ["--output", str(options.results / f"timescales_{options.table}.json"), "--work", str(options.work), "--ledger", str(options.ledger)]
    program, arms = Path(__file__).with_name("accuracy.py"), [ARMS[arm] for arm in TABLES[options.table]]
    done = subprocess.run([sys.executable, str(program), str(options.corpus), *folded, *places, "--arms", *arms])
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
