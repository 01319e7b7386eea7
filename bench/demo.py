# SPDX-License-Identifier: Apache-2.0
"""Figures of a demo run and of the same training under more seeds, gathered from the files that the commands wrote.

    ormia demo
    ormia train demo --data runs/demo/corpus --output runs/demo-seeds --seeds 3
    python bench/demo.py runs/demo --seeds runs/demo-seeds --output bench/results/demo.json

Ends with exit code 1 where the files are not of one network.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from ormia.edge.netfile import network_digest, read_network
from ormia.edge.provenance import provenance


def read(path: Path) -> dict[str, Any]:
    """A JSON file."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def of_seeds(folder: Path) -> dict[str, Any]:
    """Accuracies of the runs in ``folder``: mean and spread of the deployed integers at the last epoch."""
    runs = [read(path) for path in sorted(folder.glob("seed*/metrics.json"))]
    splits = {split: [run["accuracy"][split]["share"] for run in runs] for split in ("valid", "test")}
    return {
        "seeds": [run["seed"] for run in runs],
        "corpus": sorted({run["corpus"] for run in runs}),
        "torch_agrees_on_every_clip": all(run["torch_exact_mode_agrees_on_every_clip"] for run in runs),
        **{split: {"runs": shares, "mean": statistics.fmean(shares), "spread": statistics.stdev(shares)} for split, shares in splits.items()},
    }


def of_demo(run: Path) -> dict[str, Any]:
    """What the chain made of one network."""
    demo, heard, stream, checked, built, source = (read(run / f"{name}.json") for name in ("demo", "eval", "stream", "verify", "fpga", "c"))
    trained = read(run / "train" / "metrics.json")
    digests = {
        "net.ormia": network_digest(read_network(run / "net.ormia")), "metrics.json": trained["network"], "eval.json": heard["network"]["digest"],
        "stream.json": stream["network"]["digest"],
        "verify.json": checked["network"]["digest"], "fpga.json": built["network_digest"], "c.json": source["digest"],
    }  # fmt: skip
    if len(set(digests.values())) > 1:
        raise SystemExit(f"all files of a demo must be of one network; these are of several: {digests}. Run `ormia demo` to the end")
    columns = ("backend", "available", "reason", "input", "clips", "timesteps", "membranes", "differences", "cycles")
    return {
        "network": digests["net.ormia"],
        "seconds": {"all": demo["seconds"], **{name: stage["seconds"] for name, stage in demo["stages"].items()}},
        "accuracy": {"valid": trained["accuracy"]["valid"], "test": {"share": heard["accuracy"], "clips": heard["clips"]}},
        "torch_agrees_on_every_clip": trained["torch_exact_mode_agrees_on_every_clip"],
        "per_second_of_audio": heard["per_second_of_audio"],
        "stream": {"hours": stream["hours"], "sources": stream["sources"], **stream["operating_point"]},
        "verify": {"differences": checked["differences"], "backends": [{k: row[k] for k in columns if k in row} for row in checked["backends"]]},
        "fpga": {k: built[k] for k in ("device", "packing", "logic_cells", "block_rams", "large_rams", "multipliers", "fmax_mhz", "clock_mhz", "tools")},
        "worst_cycles_per_timestep": built["worst_cycles_per_timestep"],
        "c": {k: source[k] for k in ("flash_bytes", "state_bytes", "shares", "n_neurons", "n_synapses")},
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", type=Path, help="folder of a demo run")
    parser.add_argument("--seeds", type=Path, help="folder of `ormia train demo --seeds N`")
    parser.add_argument("--output", type=Path, default=Path("bench/results/demo.json"))
    arguments = parser.parse_args()
    result = {"demo": of_demo(arguments.run), **({"seeds": of_seeds(arguments.seeds)} if arguments.seeds else {}), "provenance": provenance()}
    arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{arguments.output}: test {100 * result['demo']['accuracy']['test']['share']:.2f} %, {result['demo']['verify']['differences']} differences")


if __name__ == "__main__":
    main()
