# SPDX-License-Identifier: Apache-2.0
"""Write the golden vectors: small networks, clips and what the naive oracle says of them (see README.md).

Run as ``PYTHONPATH=tests python tests/vectors/generate.py``. ``read`` is what the tests use.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from cases import Case, make_case
from naive import Result, simulate
from networks import Seeded, random_network, random_payloads
from ormia.edge.network import ARRAYS, SEMANTICS_VERSION, Formats, MotifHint, Network, Readout

HERE = Path(__file__).parent
SEED = 1
NETWORKS = 32


def network_as_json(net: Network) -> dict[str, Any]:
    """Every field of a network as numbers, strings and lists."""
    return {
        "formats": asdict(net.formats),
        "n_inputs": net.n_inputs,
        "readout": int(net.readout),
        "labels": list(net.labels),
        "motifs": [asdict(motif) for motif in net.motifs],
        **{name: getattr(net, name).tolist() for name in ARRAYS},
    }


def network_from_json(given: dict[str, Any]) -> Network:
    """The inverse of ``network_as_json``."""
    motifs = [MotifHint(**(motif | {name: tuple((int(a), int(b)) for a, b in motif[name]) for name in ("intra", "lateral")})) for motif in given["motifs"]]
    arrays = {name: np.array(given[name], dtype) for name, (dtype, _) in ARRAYS.items()}
    return Network(
        formats=Formats(**given["formats"]),
        n_inputs=given["n_inputs"],
        readout=Readout(given["readout"]),
        labels=tuple(given["labels"]),
        motifs=tuple(motifs),
        **arrays,
    )


def make_cases() -> list[Case]:
    """The networks and clips, from seeds, with the oracle's results."""
    cases = []
    for seed in range(NETWORKS):
        chance = Seeded(np.random.default_rng([SEED, seed]))
        net = random_network(chance, max_neurons=8, max_timesteps=32)
        cases.append(make_case(f"golden vector {seed}", net, [random_payloads(chance, net) for _ in range(2)]))
    return cases


def write(cases: list[Case], folder: Path = HERE) -> None:
    """Write ``vectors.json`` and ``vectors.npz``."""
    table = [
        {
            "name": case.name,
            "network": network_as_json(case.network),
            "clips": [
                {"timesteps": len(clip), "scores": r.scores, "label": r.label, "counters": r.counters, "branches": r.branches}
                for clip, r in zip(case.clips, case.expected, strict=True)
            ],
        }
        for case in cases
    ]
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in table)
    (folder / "vectors.json").write_text(f'{{"semantics_version":{SEMANTICS_VERSION},"cases":[\n{lines}\n]}}\n')
    clips = [clip for case in cases for clip in case.clips]
    results = [result for case in cases for result in case.expected]
    np.savez_compressed(
        folder / "vectors.npz",
        payloads=np.concatenate([clip.astype(np.int16).ravel() for clip in clips]),
        membranes=np.concatenate([result.membranes.astype(np.int32).ravel() for result in results]),
        raster=np.concatenate([result.raster.ravel() for result in results]),
    )


def read(folder: Path = HERE) -> list[Case]:
    """The stored cases; ``expected`` is what was written, nothing is computed but the emitted values."""
    table = json.loads((folder / "vectors.json").read_text())
    if table["semantics_version"] != SEMANTICS_VERSION:
        raise ValueError(f"golden vectors are of semantics version {table['semantics_version']}, not {SEMANTICS_VERSION}: write them again")
    with np.load(folder / "vectors.npz", allow_pickle=False) as stored:
        left = {name: stored[name] for name in ("payloads", "membranes", "raster")}

    def take(name: str, rows: int, columns: int) -> np.ndarray:
        values, left[name] = left[name][: rows * columns], left[name][rows * columns :]
        return values.reshape(rows, columns)

    cases = []
    for entry in table["cases"]:
        net = network_from_json(entry["network"])
        case = Case(entry["name"], net, [], [])
        for clip in entry["clips"]:
            steps = clip["timesteps"] + net.formats.flush
            case.clips.append(take("payloads", clip["timesteps"], net.n_inputs))
            membranes, raster = take("membranes", steps, net.n_neurons), take("raster", steps, net.n_neurons)
            emitted = (raster if net.readout == Readout.SPIKES else membranes)[:, net.readout_neuron]
            case.expected.append(Result(membranes, raster, emitted, clip["scores"], clip["label"], clip["counters"], clip["branches"]))
        cases.append(case)
    if any(len(values) for values in left.values()):
        raise ValueError("golden vectors must be used up by the clips: vectors.npz and vectors.json do not belong together")
    return cases


def main() -> None:
    """Write the vectors, and see that the oracle says the same of what was read back."""
    write(make_cases())
    for case in read():
        for clip, stored in zip(case.clips, case.expected, strict=True):
            assert np.array_equal(simulate(case.network, clip).membranes, stored.membranes), case.name
    sizes = ", ".join(f"{path.name} {path.stat().st_size / 1000:.0f} kB" for path in sorted(HERE.glob("vectors.*")))
    sys.stdout.write(f"{NETWORKS} networks: {sizes}\n")


if __name__ == "__main__":
    main()
