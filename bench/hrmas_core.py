# SPDX-License-Identifier: Apache-2.0
"""A network with a searched motif on the FPGA core, simulated: lists that motifs share beside plain ones, in bits, clocks, and every integer verified.

    python bench/hrmas_core.py runs/motifs/network/net.ormia --data runs/corpora/XXXX --clips 20 --output bench/results/hrmas_core.json

Memories are those of the generated core (``hdl/config.py``), as the packer laid them out; the packing is unpacked and compared before anything is counted.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from ormia.edge.files import make_folder, write_whole
from ormia.edge.netfile import network_digest, read_network
from ormia.edge.network import Network
from ormia.edge.provenance import provenance
from ormia.edge.reference import Reference
from ormia.edge.verification import corpus_clips, run_backends
from ormia.hdl.config import CoreConfig, Geometry
from ormia.hdl.pack import check_packing, pack

PACKINGS = ("plain", "shared")
BACKENDS = ("numba", "c", "cxxrtl", "cxxrtl-plain", "verilog")


def recurrent(net: Network) -> Network:
    """The network without any other axon than those within arrays of motifs."""
    kept = []
    for axon in range(net.n_axons):
        source, targets = int(net.axon_source[axon]) - net.n_inputs, net.synapses(axon)[0]
        kept.append(any(h.base <= source < h.base + h.size * h.count and h.base <= targets[0] < h.base + h.size * h.count for h in net.motifs))
    chosen = np.flatnonzero(kept)
    lists = [net.synapses(int(axon)) for axon in chosen]
    axons = {field.name: getattr(net, field.name)[chosen] for field in dataclasses.fields(net) if field.name.startswith("axon_")}
    return dataclasses.replace(
        net, **axons, synapse_start=np.concatenate([[0], np.cumsum([len(targets) for targets, _ in lists])]),
        synapse_target=np.concatenate([targets for targets, _ in lists]), synapse_weight=np.concatenate([weights for _, weights in lists]),
    )  # fmt: skip


def sizes(net: Network, packing: str) -> dict[str, Any]:
    """Memories of the core of a network in one packing."""
    packed = pack(net, packing)
    check_packing(net, packed)
    geometry = Geometry(net, CoreConfig(packing=packing))
    memories = {name: {"rows": rows, "bits": bits} for name, (rows, bits) in geometry.memories.items() if rows * bits}
    return {
        "memories": memories, "bits": sum(m["rows"] * m["bits"] for m in memories.values()), "block_rams": geometry.block_rams,
        "list_entries": len(packed.targets), "list_bits": len(packed.targets) * packed.target_bits, "weight_slots": len(packed.weights),
    }  # fmt: skip


def main() -> None:
    """Count, verify, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder that `ormia data` made")
    parser.add_argument("--clips", type=int, default=20, help="clips of test to verify")
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS))
    parser.add_argument("--output", type=Path, default=Path("bench/results/hrmas_core.json"))
    options = parser.parse_args()
    net = read_network(options.network)
    clips = corpus_clips(net, options.data, "test", options.clips, 1)
    outcomes = run_backends(net, clips, options.backends, lambda name: print(name, flush=True))
    only, reference = recurrent(net), Reference(net)
    rasters = [reference.run(clip).raster for clip in clips.clips]
    clocks = {}
    for packing in PACKINGS:
        model = Geometry(net, CoreConfig(packing=packing)).cycles
        clocks[packing] = float(np.mean(np.concatenate([model.clip(clip, raster) for clip, raster in zip(clips.clips, rasters, strict=True)])))
    result = {
        "network": network_digest(net), "neurons": net.n_neurons, "synapses": net.n_synapses, "recurrent_synapses": only.n_synapses,
        "motifs": [{"size": hint.size, "count": hint.count, "links": len(hint.intra) + len(hint.lateral)} for hint in net.motifs],
        "core": {packing: sizes(net, packing) for packing in PACKINGS}, "recurrence_alone": {packing: sizes(only, packing) for packing in PACKINGS},
        "clocks_a_timestep": clocks, "clips": clips.source, "verified": [outcome.as_dict() for outcome in outcomes], "made": provenance(),
    }  # fmt: skip
    make_folder(options.output.parent)
    write_whole(options.output, json.dumps(result, indent=1) + "\n")
    for where in ("core", "recurrence_alone"):
        plain, shared = (result[where][packing] for packing in PACKINGS)
        print(f"{where}: lists {plain['list_bits']} bits plain, {shared['list_bits']} shared; all memories {plain['bits']} and {shared['bits']}")
    print(", ".join(f"{o.backend} {o.reason or f'{o.differences} differences'}" for o in outcomes))


if __name__ == "__main__":
    main()
