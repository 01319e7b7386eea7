# SPDX-License-Identifier: Apache-2.0
"""Random networks over every construct, on random clips: backends against the reference, every membrane, spike, score, counter and branch.

    python bench/agreement.py [--backends numba] [--timesteps 1000000] [--seed 0] [--clips 12] [--output FILE]
    python bench/agreement.py --backends c,cortex-m,riscv --clips 240

Exit code 4 at the first difference, with the seed that gives it. For ``numba`` the batches and streams are compared, too. A network is compiled once for all
its clips, which run one after the other in one loaded library or one emulation of each core; more clips a network make fewer networks.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from ormia.edge.backend import get_backend
from ormia.edge.coverage import Coverage
from ormia.edge.events import events_from_payloads
from ormia.edge.files import write_whole
from ormia.edge.network import Network
from ormia.edge.provenance import provenance
from ormia.edge.reference import Reference
from ormia.edge.runtime import Runtime
from ormia.edge.trace import Trace, first_difference

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # the generator of random networks is the tests'
from networks import Seeded, random_network, random_payloads

SIZES = ((10, 6),) * 9 + ((60, 20),)  # most neurons and inputs, by turns


def difference(net: Network, clips: list[np.ndarray], expected: list[Trace], coverage: Coverage, backend: str) -> str | None:
    """The first difference of a backend, in words."""
    machine = get_backend(backend).load(net)
    for number, (trace, got) in enumerate(zip(expected, machine.run_many([events_from_payloads(clip) for clip in clips]), strict=True)):
        found = first_difference(trace, got)
        if found is not None:
            return f"clip {number}: {found}"
        for name in ("spikes", "synaptic_operations", "axon_activations", "neuron_updates"):
            if getattr(trace.counters, name) != getattr(got.counters, name):
                return f"clip {number}: counter {name}"
    if machine.coverage != coverage:
        return "counts of branches"
    return fast_difference(net, clips, expected) if backend == "numba" else None


def fast_difference(net: Network, clips: list[np.ndarray], expected: list[Trace]) -> str | None:
    """The same for batches of equally long clips, with and without counters, and for streams, side by side."""
    lengths = {len(clip) for clip in clips}
    for length in lengths:
        chosen = [i for i, clip in enumerate(clips) if len(clip) == length]
        batch = np.stack([clips[i] for i in chosen])
        for count in (True, False):
            if Runtime(net, count=count).run(batch).tolist() != [expected[i].scores.tolist() for i in chosen]:
                return f"scores of clips {chosen} in a batch"
        emitted = Runtime(net, count=False).open_streams(len(chosen)).push(batch)
        for i, values in zip(chosen, emitted, strict=True):
            states = expected[i].raster if net.readout.name == "SPIKES" else expected[i].membranes
            if not np.array_equal(values, states[:length][:, net.readout_neuron]):
                return f"what clip {i} emits as a stream"
    return None


def main() -> None:
    """Compare and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backends", default="numba")
    parser.add_argument("--timesteps", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clips", type=int, default=12, help="of each network")
    parser.add_argument("--output")
    given = parser.parse_args()
    names, begin, reached = given.backends.split(","), time.process_time(), Coverage()
    seed, timesteps, n_clips, different = given.seed, 0, 0, None
    while timesteps < given.timesteps and different is None:
        chance = Seeded(np.random.default_rng(seed))
        neurons, inputs = SIZES[seed % len(SIZES)]
        net = random_network(chance, max_neurons=neurons, max_inputs=inputs)
        clips = [random_payloads(chance, net) for _ in range(given.clips)]
        reference = Reference(net)
        expected = [reference.run(events_from_payloads(clip)) for clip in clips]
        for name in names:
            found = difference(net, clips, expected, reference.coverage, name)
            if found is not None:
                different = {"seed": seed, "backend": name, "difference": found}
                break
        reached += reference.coverage
        timesteps += sum(len(trace.membranes) for trace in expected)
        n_clips += len(clips)
        seed += 1
    result = {
        "backends": names, "timesteps": timesteps, "networks": seed - given.seed, "clips": n_clips, "first_seed": given.seed,
        "differences": int(different is not None), "first_difference": different, "branches": reached.as_dict(),
        "cpu_seconds": time.process_time() - begin, "provenance": provenance(),
    }  # fmt: skip
    text = json.dumps(result, indent=1)
    print(text)
    if given.output:
        write_whole(given.output, text + "\n")
    sys.exit(4 if different else 0)


if __name__ == "__main__":
    main()
