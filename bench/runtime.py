# SPDX-License-Identifier: Apache-2.0
"""How fast the Numba runtime is: beside the reference, our generated C, real time and other simulators. One thread, CPU time, one run.

    python bench/runtime.py NET [--corpus FOLDER] [--output FILE]
    python bench/runtime.py NET --peers-script peer_speed.py --peers-python VENV/bin/python [--peers norse --batches 256]
    python bench/runtime.py --peers-script peer_speed.py --peers-python VENV/bin/python   # the peers alone

Every figure is a median; each pair of a ratio is measured by turns. The peers' script is one that prints ``RESULT {json}`` for
``--runs N --child NAME N_INPUTS BATCH``; the peers need an environment of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import peers
from ormia.edge.ccode.build import build_executable, find_compiler
from ormia.edge.ccode.emit import emit
from ormia.edge.clips import front_end_of, read_clips
from ormia.edge.describe import timestep_ms
from ormia.edge.events import events_from_payloads
from ormia.edge.files import write_whole
from ormia.edge.netfile import network_digest, read_network
from ormia.edge.network import Network
from ormia.edge.provenance import provenance
from ormia.edge.reference import Reference
from ormia.edge.runtime import Runtime
from ormia.edge.streaming import Listeners

TIMESTEPS, DENSITY, REPEATS, ROUND_S = 50, 0.15, 7, 0.25
C_FLAGS = ("-O3", "-march=native")
MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "{prefix}.h"
static {prefix}_state state;
int main(int argc, char **argv) {{
    FILE *file = fopen(argv[1], "rb");
    uint32_t n_clips, n_steps, n_events, i, t, r, repeats = (uint32_t)strtoul(argv[2], 0, 10);
    uint32_t *start; ormia_event *events; int32_t scores[{classes}]; uint32_t label; int64_t sum = 0; clock_t begin;
    if (argc != 3 || !file || fread(&n_clips, 4, 1, file) != 1 || fread(&n_steps, 4, 1, file) != 1 || fread(&n_events, 4, 1, file) != 1) return 1;
    start = malloc(4u * ((size_t)n_clips * n_steps + 1u)); events = calloc(n_events + 1u, sizeof *events);
    if (fread(start, 4, (size_t)n_clips * n_steps + 1u, file) != (size_t)n_clips * n_steps + 1u) return 1;
    for (i = 0; i < n_events; i++) {{
        int16_t pair[2];
        if (fread(pair, 2, 2, file) != 2) return 1;
        events[i].channel = (__typeof__(events[i].channel))pair[0]; events[i].payload = (__typeof__(events[i].payload))pair[1];
    }}
    if ({prefix}_init(&state, sizeof state, {macro}_DIGEST) != ORMIA_OK) return 1;
    begin = clock();
    for (r = 0; r < repeats; r++) for (i = 0; i < n_clips; i++) {{
        {prefix}_reset(&state);
        for (t = 0; t < n_steps; t++) {prefix}_step(&state, events + start[i * n_steps + t], start[i * n_steps + t + 1] - start[i * n_steps + t]);
        for (t = 0; t < {macro}_FLUSH; t++) {prefix}_step(&state, 0, 0);
        {prefix}_scores(&state, scores, {classes}, &label);
        for (t = 0; t < {classes}; t++) sum += (int64_t)(i + 1) * (int64_t)(t + 1) * scores[t];
    }}
    printf("%.9f %lld\\n", (double)(clock() - begin) / CLOCKS_PER_SEC / repeats, (long long)sum);
    return 0;
}}
"""


def seconds(run: Callable[[], object]) -> float:
    """CPU seconds of one call, over as many as fill a round."""
    n, begin = 0, time.process_time()
    while time.process_time() - begin < ROUND_S:
        run()
        n += 1
    return (time.process_time() - begin) / n


def by_turns(*ways: Callable[[], float]) -> list[list[float]]:
    """Times of each way, measured by turns."""
    times = [[way() for way in ways] for _ in range(REPEATS)]
    return [list(column) for column in zip(*times, strict=True)]


def measured(times: list[float], clips: int) -> dict[str, float]:
    """Median seconds a clip, and the spread of the rounds over it."""
    middle = statistics.median(times)
    return {"seconds_per_clip": middle / clips, "spread": (max(times) - min(times)) / middle}


def random_payloads(net: Network, n_clips: int, timesteps: int, density: float) -> np.ndarray:
    """Payloads int16 [n_clips, timesteps, n_inputs]."""
    rng, shape = np.random.default_rng(1), (n_clips, timesteps, net.n_inputs)
    return np.where(rng.random(shape) < density, rng.integers(1, net.formats.payload.hi + 1, shape), 0).astype(np.int16)


def against_c(net: Network, payloads: np.ndarray, folder: Path) -> dict[str, Any]:
    """The same clips through the runtime and through the generated C, whose scores must agree; events of the C are listed beforehand."""
    sources = emit(net, clips=())
    main = MAIN.format(prefix=sources.prefix, macro=sources.macro, classes=net.n_classes)
    executable = build_executable(sources, main, folder, (*C_FLAGS, "-Wno-conversion", "-Wno-sign-conversion", "-Wno-pedantic"))
    runtime = Runtime(net, count=False)
    result = {}
    for batch in (1, len(payloads)):
        clips = payloads[:batch]
        where = np.argwhere(clips.reshape(-1, net.n_inputs))
        start = np.searchsorted(where[:, 0], np.arange(batch * clips.shape[1] + 1)).astype(np.uint32)
        pairs = np.stack([where[:, 1], clips.reshape(-1, net.n_inputs)[tuple(where.T)]], axis=1).astype(np.int16)
        data = folder / f"clips{batch}.bin"
        data.write_bytes(np.array([batch, clips.shape[1], len(where)], np.uint32).tobytes() + start.tobytes() + pairs.tobytes())
        scores = runtime.run(clips)
        weights = (np.arange(batch)[:, None] + 1) * (np.arange(net.n_classes)[None] + 1)

        def time_c(data: Path = data, expected: int = int((scores * weights).sum()), repeats: int = max(1, 4096 // batch)) -> float:
            took, total = subprocess.run([executable, data, str(repeats)], capture_output=True, text=True, check=True).stdout.split()
            if int(total) != expected * repeats:
                raise SystemExit("scores of the generated C and of the runtime must be equal")
            return float(took)

        ours, c = by_turns(lambda clips=clips: seconds(lambda: runtime.run(clips)), time_c)
        result[f"batch_{batch}"] = {
            "runtime": measured(ours, batch), "c": measured(c, batch), "times_the_c": statistics.median(ours) / statistics.median(c)
        }  # fmt: skip
    return result | {"flags": " ".join(C_FLAGS), "compiler": find_compiler()}


def against_peers(python: Path, script: Path, runs: int, names: Sequence[str], batches: Sequence[int]) -> list[dict[str, Any]]:
    """Each peer and the runtime at the firing rate of the peer, the runtime before and after it."""
    rows = []
    for name in names:
        for n_inputs in (16, 40):
            first = peers.time_peer(python, script, name, n_inputs, 1, 1)
            if first is None:
                rows.append({"peer": name, "inputs": n_inputs, "failed": True})
                continue
            net = peers.network_of_rate(n_inputs, first["hidden_rate"])
            for batch in batches:
                runtime, clips = Runtime(net, count=False), peers.events(n_inputs, batch)
                runtime.run(clips)
                before = [seconds(lambda runtime=runtime, clips=clips: runtime.run(clips)) for _ in range(REPEATS)]
                peer = peers.time_peer(python, script, name, n_inputs, batch, runs)
                after = [seconds(lambda runtime=runtime, clips=clips: runtime.run(clips)) for _ in range(REPEATS)]
                ours = batch / statistics.median(before + after)
                row = {
                    "peer": name, "version": peer["version"], "inputs": n_inputs, "batch": batch, "peer_samples_per_s": peer["samples_per_s"],
                    "peer_rate": peer["hidden_rate"], "peer_spread": peer["spread"], "samples_per_s": ours, "rate": peers.firing_rate(net),
                    "spread": (max(before + after) - min(before + after)) / statistics.median(before + after), "ratio": ours / peer["samples_per_s"],
                }  # fmt: skip
                rows.append(row)
                print(f"{name} {n_inputs} {batch}: {row['ratio']:.1f}", file=sys.stderr)
    return rows


def audio_to_keyword(net: Network, pcm: np.ndarray) -> dict[str, float]:
    """Seconds of audio a CPU second: a listener, and its front end alone."""
    front_end = front_end_of(net)
    pieces = np.array_split(pcm.ravel()[: 120 * front_end.sample_rate], 24)
    audio = sum(map(len, pieces)) / front_end.sample_rate

    def listen() -> None:
        listener = Listeners(net, 1)
        for piece in pieces:
            listener.push(piece[None])

    def hear() -> None:
        stream = front_end.stream()
        for piece in pieces:
            stream.push(piece)

    listen()
    whole, front = by_turns(lambda: seconds(listen), lambda: seconds(hear))
    return {"times_real_time": audio / statistics.median(whole), "front_end_alone": audio / statistics.median(front), "seconds_of_audio": audio}


def start_seconds(path: str) -> dict[str, float]:
    """CPU seconds from a fresh process to the first scores, with an empty cache of compiled kernels and with a full one."""
    code = (
        "import sys, numpy as np\nfrom ormia.edge.netfile import read_network\nfrom ormia.edge.runtime import Runtime\n"
        "net = read_network(sys.argv[1])\nRuntime(net).run(np.zeros((1, 10, net.n_inputs), np.int16))\nimport time\nprint(time.process_time())"
    )
    with tempfile.TemporaryDirectory() as cache:
        took = [
            float(
                subprocess.run(
                    [sys.executable, "-c", code, path], capture_output=True, text=True, check=True, env=os.environ | {"NUMBA_CACHE_DIR": cache}
                ).stdout
            )
            for _ in range(4)
        ]
    return {"first": took[0], "second": statistics.median(took[1:])}


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """All figures of one network."""
    net = read_network(given.network)
    pcm = (np.random.default_rng(1).standard_normal((given.clips, 16000)) * 1000).astype(np.int16)
    if given.corpus:
        pcm = read_clips(given.corpus, "test").pcm[: given.clips]
    hears = net.metadata.get("front_end") is not None
    payloads = front_end_of(net).payloads(pcm) if hears else random_payloads(net, given.clips, TIMESTEPS, DENSITY)
    step, timesteps = timestep_ms(net), payloads.shape[1]
    runtime, reference, clip = Runtime(net), Reference(net), events_from_payloads(payloads[0])
    runtime.run(payloads)
    counters = runtime.counters
    stream = Runtime(net, count=False).stream()
    batch, plain, streamed = by_turns(
        lambda: seconds(lambda: runtime.run(payloads)),
        lambda: seconds(lambda: reference.run(clip)),
        lambda: seconds(lambda: [stream.push(payloads[0, t : t + 1]) for t in range(timesteps)]),
    )
    per_clip = measured(batch, len(payloads))["seconds_per_clip"]
    with tempfile.TemporaryDirectory() as folder:
        return {
            "network": {"name": net.name, "digest": network_digest(net)},
            "clips": len(payloads),
            "timesteps": timesteps,
            "corpus": bool(given.corpus),
            "spikes_per_neuron_timestep": counters.spikes / counters.neuron_updates,
            "event_density": float((payloads != 0).mean()),
            "batch": measured(batch, len(payloads)),
            "stream_of_single_timesteps": measured(streamed, 1),
            "times_reference": statistics.median(plain) / per_clip,
            "times_real_time": None if step is None else timesteps * step / 1000 / per_clip,
            "synaptic_operations_per_second": counters.synaptic_operations / len(payloads) / per_clip,
            "generated_c": against_c(net, payloads, Path(folder)),
            "audio_to_keyword": audio_to_keyword(net, pcm) if hears else None,
            "start_cpu_seconds": start_seconds(given.network),
        }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", nargs="?")
    parser.add_argument("--clips", type=int, default=256)
    parser.add_argument("--corpus", help="folder of a corpus; its test clips are the input, else noise and random events")
    parser.add_argument("--peers-script", type=Path)
    parser.add_argument("--peers-python", type=Path)
    parser.add_argument("--peers", nargs="+", default=peers.PEERS, choices=peers.PEERS)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 256], help="clips of a batch, beside peers")
    parser.add_argument("--runs", type=int, default=5, help="timed runs of a peer")
    parser.add_argument("--output")
    given = parser.parse_args()
    result = measure(given) if given.network else {}
    if given.peers_script and given.peers_python:
        result["peers"] = against_peers(given.peers_python.absolute(), given.peers_script.absolute(), given.runs, given.peers, given.batches)
    result["load_average"] = os.getloadavg()
    result["provenance"] = provenance()
    text = json.dumps(result, indent=1)
    print(text)
    if given.output:
        write_whole(given.output, text + "\n")


if __name__ == "__main__":
    main()
