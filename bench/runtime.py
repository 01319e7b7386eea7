# SPDX-License-Identifier: Apache-2.0
"""How much faster the Numba runtime is than the reference and than real time, on one network, side by side in one run.

python bench/runtime.py NET [--clips N] [--output FILE]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
from ormia.edge.describe import timestep_ms
from ormia.edge.events import events_from_payloads
from ormia.edge.files import write_whole
from ormia.edge.netfile import network_digest, read_network
from ormia.edge.provenance import provenance
from ormia.edge.reference import Reference
from ormia.edge.runtime import Runtime

TIMESTEPS, DENSITY, REPEATS = 50, 0.15, 5


def fastest(run: Callable[[], object]) -> float:
    """Least CPU seconds of some repeats."""
    times = []
    for _ in range(REPEATS):
        begin = time.process_time()
        run()
        times.append(time.process_time() - begin)
    return min(times)


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network")
    parser.add_argument("--clips", type=int, default=256)
    parser.add_argument("--output")
    given = parser.parse_args()
    net = read_network(given.network)
    rng = np.random.default_rng(1)
    shape = (given.clips, TIMESTEPS, net.n_inputs)
    payloads = np.where(rng.random(shape) < DENSITY, rng.integers(1, net.formats.payload.hi + 1, shape), 0).astype(np.int16)
    runtime, reference = Runtime(net), Reference(net)
    runtime.run(payloads[:1])  # compiles
    batch = fastest(lambda: runtime.run(payloads)) / given.clips
    counters = runtime.counters
    clip = events_from_payloads(payloads[0])
    plain = fastest(lambda: reference.run(clip))
    stream = runtime.stream()
    streamed = fastest(lambda: [stream.push(payloads[0, t : t + 1]) for t in range(TIMESTEPS)])
    step = timestep_ms(net)
    result = {
        "network": {"name": net.name, "digest": network_digest(net)},
        "clips": given.clips,
        "timesteps": TIMESTEPS,
        "event_density": DENSITY,
        "cpu_seconds_per_clip": {"reference": plain, "numba_batch": batch, "numba_stream": streamed},
        "times_reference": plain / batch,
        "times_real_time": None if step is None else TIMESTEPS * step / 1000 / batch,
        "synaptic_operations_per_cpu_second": counters.synaptic_operations / given.clips / batch,
        "provenance": provenance(),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if given.output:
        write_whole(given.output, text + "\n")


if __name__ == "__main__":
    main()
