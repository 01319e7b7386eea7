# SPDX-License-Identifier: Apache-2.0
"""How long a first network on someone's own words takes, and how well it hears people it never heard.

    python bench/own_words.py RECORDINGS [--recordings 30] [--noise NOISE] [--seeds 2] [--output bench/results/own_words.json]

RECORDINGS has a manifest.csv (path, word, speaker, split) in or beside it. Of every word the first --recordings clips of split train are kept, all of
valid and test. Then `ormia data` and `ormia train words` run as a user types them; their seconds, compilation of a first run included, are wall time on
this machine with whatever else it does (the load is kept beside them).
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from ormia.edge.files import write_whole
from ormia.edge.provenance import provenance
from ormia.train.corpora.layout import list_recordings

ORMIA = "from ormia.edge.cli import main; main()"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--recordings", dest="most", type=int, default=30, help="training clips of a word")
    parser.add_argument("--noise", type=Path, action="append", default=[])
    parser.add_argument("--recipe", default="words")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("bench/results/own_words.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as kept:
        manifest = Path(kept) / "manifest.csv"
        words, clips = _choose(given.recordings, given.most, manifest)
        noise = [part for folder in given.noise for part in ("--noise", str(folder))]
        made, data_s = _timed("data", "--data", given.recordings, "--manifest", manifest, *noise, "--output", Path(kept) / "corpora")
        runs = []
        for seed in range(given.seeds):
            output = Path(kept) / f"seed{seed}"
            _, train_s = _timed("train", given.recipe, "--data", made["folder"], "--output", output, "--set", f"seed={seed}")
            runs.append({"seed": seed, "seconds": round(train_s, 1), "load": os.getloadavg()[0], **json.loads((output / "metrics.json").read_text())})
            print(f"seed {seed}: {train_s:.0f} s, test {100 * runs[-1]['accuracy']['test']['share']:.1f} %", file=sys.stderr)
    result: dict[str, Any] = {
        "recordings": given.recordings.name, "words": words, "clips": clips, "most": given.most, "recipe": given.recipe, "data_s": round(data_s, 1),
        "runs": runs, "seconds": {"first": runs[0]["seconds"] + data_s, "median": statistics.median(run["seconds"] for run in runs) + data_s},
        **{split: _summary([run["accuracy"][split]["share"] for run in runs]) for split in ("valid", "test")},
        "provenance": provenance(),
    }  # fmt: skip
    write_whole(given.output, json.dumps(result, indent=1) + "\n")


def _summary(shares: list[float]) -> dict[str, Any]:
    return {"mean": statistics.fmean(shares), "spread": statistics.stdev(shares) if len(shares) > 1 else None, "seeds": len(shares)}


def _choose(folder: Path, most: int, manifest: Path) -> tuple[int, dict[str, int]]:
    """Write the manifest of the clips that are kept; how many words, and clips of each split."""
    seen: Counter[str] = Counter()
    kept = []
    for row in list_recordings(folder.resolve()):
        if row.split is None:
            raise SystemExit(f"own_words.py: {folder} must have a manifest.csv in or beside it, with columns path, word, speaker and split")
        seen[row.word] += row.split == "train"
        if row.split != "train" or seen[row.word] <= most:
            kept.append(dataclasses.asdict(row))
    with manifest.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ("path", "word", "speaker", "split"))
        writer.writeheader()
        writer.writerows(kept)
    return len(seen), dict(Counter(row["split"] for row in kept))


def _timed(*command: object) -> tuple[dict[str, Any], float]:
    """What a command prints as JSON, and its seconds."""
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", ORMIA, *map(str, command), "--json"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"own_words.py: `ormia {' '.join(map(str, command))}` must end well; it ended with {done.returncode}")
    return json.loads(done.stdout), time.monotonic() - begun


if __name__ == "__main__":
    main()
