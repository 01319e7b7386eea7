# SPDX-License-Identifier: Apache-2.0
"""Cost of a training step (forward, backward through time, Adam) beside four spiking libraries and a hand-written torch loop.

    python bench/training.py --peers peer_training.py --peers-python PEERS/bin/python [--threads 2] [--rounds 3] [--output bench/results/training.json]
    python bench/training.py --scaling [--output ...]

The script PEERS names the peers, their network and its sizes; every row of a round runs in a process of its own, rows in turn, rounds repeated, ratios
taken of the medians over rounds. Wall time is what a user waits for and counts only on a quiet machine; CPU time (one thread) is less disturbed by other
processes. The load average before each row is kept beside its figures. Memory is the growth of the resident peak over a step of two timesteps.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PEERS = ("snntorch", "norse", "spikingjelly", "sinabs", "torch_loop", "torch_compile")
OURS = {"ormia_motif": 16, "ormia_dense": 256}  # neurons of a motif
NEURONS, CLASSES, TIMESTEPS, BATCH, DENSITY, RATE = 256, 12, 100, 64, 0.1, 0.13

# run by the peers' Python: the same clocks around their script's own network, data and optimizer
PEER = """
import json, resource, statistics, sys, time
sys.path.insert(0, {folder!r})
import {module} as p
import torch
torch.set_num_threads({threads})
p.N_IN = {inputs}
def memory(field):
    return next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith(field)) / 1024
def steps(count):
    torch.manual_seed(0)
    net, first = p.ALL[{name!r}](torch)
    x, y = p.data(torch, first)
    optimizer = torch.optim.Adam(net.parameters(), 1e-4)
    wall, cpu = [], []
    for _ in range(count):
        w, c = time.perf_counter(), time.process_time()
        score, rate = net(x)
        loss = torch.nn.functional.cross_entropy(score, y)
        optimizer.zero_grad(); loss.backward(); optimizer.step()
        wall.append(time.perf_counter() - w); cpu.append(time.process_time() - c)
    return wall, cpu, rate
full = p.T, p.B
p.T, p.B = 2, 2
steps(2)
p.T, p.B = full
before = memory('VmRSS')
open('/proc/self/clear_refs', 'w').write('5')
wall, cpu, rate = steps({runs} + 2)
print(json.dumps(dict(wall=wall[2:], cpu=cpu[2:], rates=[rate], mib=memory('VmHWM') - before)))
"""


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--peers-python", default=sys.executable)
    parser.add_argument("--only", help="comma-separated rows")
    parser.add_argument("--inputs", default="16,32,64")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--scaling", action="store_true", help="cost against timesteps and synapses, and 16,384 neurons, instead of peers")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        print(json.dumps(_ours(**json.loads(given.worker))))
        return
    from ormia.edge.files import write_whole
    from ormia.edge.provenance import provenance

    key = "scaling" if given.scaling else f"peers_{given.threads}_threads"
    found = _scaling(given) if given.scaling else _compare(given)
    kept = json.loads(given.output.read_text()) if given.output and given.output.exists() else {}
    text = json.dumps({**kept, key: {**found, "provenance": provenance()}}, indent=1)
    print(text)
    if given.output:
        write_whole(given.output, text + "\n")
    if given.scaling and given.plot:
        _plot(found, given.plot)


def _compare(given: argparse.Namespace) -> dict[str, Any]:
    """All rows in turn, ``rounds`` times; medians, and their ratios to our motif network."""
    if given.peers is None:
        raise SystemExit("training.py: --peers must name the script of the peers' networks")
    names = given.only.split(",") if given.only else [*OURS, *PEERS]
    table: dict[str, Any] = {}
    for inputs in map(int, given.inputs.split(",")):
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for number in range(given.rounds):
            for name in names:
                print(f"{inputs} inputs, round {number + 1}, {name}", file=sys.stderr)
                rows[name].append(_row(name, inputs, given))
        table[str(inputs)] = _summary(rows)
    return {"network": f"inputs -> 2 x {NEURONS} recurrent -> {CLASSES}, {TIMESTEPS} timesteps, batch {BATCH}", "threads": given.threads, "inputs": table}


def _row(name: str, inputs: int, given: argparse.Namespace) -> dict[str, Any]:
    if name in OURS:
        wanted = {"inputs": inputs, "motif": OURS[name], "threads": given.threads, "runs": given.runs}
        return _run([sys.executable, __file__, "--worker", json.dumps(wanted)])
    places = {"folder": str(given.peers.resolve().parent), "module": given.peers.stem, "threads": given.threads, "inputs": inputs}
    return _run([given.peers_python, "-c", PEER.format(**places, name=name, runs=given.runs)])


def _run(command: list[str]) -> dict[str, Any]:
    load = os.getloadavg()[0]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no output"])[-1]}
    return {**json.loads(done.stdout.strip().splitlines()[-1]), "load": load}


def _summary(rows: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for name, rounds in rows.items():
        good = [row for row in rounds if "error" not in row]
        if not good:
            summary[name] = {"error": rounds[0]["error"]}
            continue
        summary[name] = {
            "wall_ms": 1e3 * statistics.median(statistics.median(row["wall"]) for row in good),
            "wall_ms_least": 1e3 * min(min(row["wall"]) for row in good),
            "cpu_ms": 1e3 * statistics.median(statistics.median(row["cpu"]) for row in good),
            "cpu_ms_least": 1e3 * min(min(row["cpu"]) for row in good),
            "memory_mib": statistics.median(row["mib"] for row in good),
            "spike_rates": good[0]["rates"],
            "load_before": [row["load"] for row in good],
        }
    base = summary.get("ormia_motif", {})
    if "error" not in base:
        for row in summary.values():
            if "error" not in row and base:
                row["times_ours"] = {clock: row[clock] / base[clock] for clock in ("wall_ms", "wall_ms_least", "cpu_ms", "cpu_ms_least", "memory_mib")}
    return summary


def _ours(
    *, inputs: int, motif: int, threads: int, runs: int, neurons: int = NEURONS, timesteps: int = TIMESTEPS, batch: int = BATCH, layers: int = 2
) -> dict[str, Any]:
    """Times of training steps of our network at the peers' firing rate, in this process."""
    import numba
    import numpy as np
    import ormia.train  # noqa: F401  before torch: it says how long idle threads spin
    import torch
    from ormia.train.loop import calibrate, to_input
    from ormia.train.model import LayerConfig, ModelConfig, SCMLModel

    torch.set_num_threads(threads)
    numba.set_num_threads(threads)
    torch.manual_seed(0)
    layer = LayerConfig(neurons=neurons, motif=motif, reach=motif // 2 if motif == neurons else 2)
    model = SCMLModel(ModelConfig(layers=(layer,) * layers), inputs, CLASSES, 1)
    payloads = (np.random.default_rng(0).random((batch, timesteps, inputs)) < DENSITY).astype(np.int16)
    calibrate(model, payloads[:4], target=RATE)
    x, truth = to_input(payloads, layers), torch.randint(0, CLASSES, (batch,))
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)

    def step(x: torch.Tensor, truth: torch.Tensor) -> list[torch.Tensor]:
        out = model(x)
        loss = torch.nn.functional.cross_entropy(out.emitted.mean(0) / model.config.nominal_threshold, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return out.spikes

    for _ in range(2):
        step(x[:2, :2].contiguous(), truth[:2])
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    wall, cpu, spikes = [], [], []
    for _ in range(runs + 2):
        spikes.clear()  # those of the last step are nobody's any more, as in training
        w, c = time.perf_counter(), time.process_time()
        spikes = step(x, truth)
        wall.append(time.perf_counter() - w)
        cpu.append(time.process_time() - c)
    synapses = sum(int(mask.sum()) for masks in model.masks for mask in masks) + sum(p.numel() for p in (*model.feed_forward, model.readout))
    rates = [float(s.detach().mean()) for s in spikes]
    return {"wall": wall[2:], "cpu": cpu[2:], "rates": rates, "mib": _memory("VmHWM") - before, "synapses": synapses}


def _memory(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def _sequence(*, neurons: int, timesteps: int, batch: int, motif: int, threads: int, runs: int) -> dict[str, Any]:
    """Times of steps of one recurrent layer of motifs alone, each neuron with its own input channel: every term of its cost is linear."""
    import numba
    import numpy as np
    import torch
    from ormia.edge.network import Formats, Network, Readout, Reset
    from ormia.train.fused import FusedNetwork
    from ormia.train.topology import hand_set

    torch.set_num_threads(threads)
    numba.set_num_threads(threads)
    rng, topology = np.random.default_rng(0), hand_set(motif)
    source, start, target = [], [0], []
    for n in range(neurons):
        m, j = divmod(n, motif)
        own = {m * motif + int(k) for k in np.flatnonzero(topology.intra[j])} | {n + d * motif for d in topology.deltas}
        for links in ([n], sorted(k for k in own if 0 <= k < neurons)):
            source.append(len(source) // 2 + (neurons if len(source) % 2 else 0))
            target += links
            start.append(len(target))
    weight = rng.integers(1, 8, len(target)) * rng.choice([-1, 1], len(target))
    weight[np.array(start)[0:-1:2]] = 7
    zero, one = np.zeros(1, np.int64), np.ones(1, np.int64)
    network = Network(
        formats=Formats(max_timesteps=timesteps), n_inputs=neurons, axon_source=np.array(source), synapse_start=np.array(start),
        synapse_target=np.array(target), synapse_weight=weight, neuron_kind=np.zeros(neurons, np.int64), threshold=np.full(neurons, 10),
        kind_membrane_decay=3500 * one, kind_current_decay=zero[:, None], kind_firing=one, kind_reset=int(Reset.SUBTRACT) * one, kind_refractory=zero,
        kind_drive_shift=zero, kind_current_shift=zero, readout_neuron=np.arange(2), readout_class=np.arange(2), readout=Readout.SUM, labels=("a", "b"),
    )  # fmt: skip
    kernel = FusedNetwork(network)
    kernel.weight.requires_grad_()
    x = torch.from_numpy((rng.random((timesteps, batch, neurons)) < DENSITY).astype(np.float32))
    cpu, rate = [], 0.0
    for _ in range(runs + 1):
        begin = time.process_time()
        out = kernel.run(x)
        out.spikes.mean().backward()
        cpu.append(time.process_time() - begin)
        rate = float(out.spikes.detach().mean())
    return {"cpu_ms": 1e3 * statistics.median(cpu[1:]), "synapses": network.n_synapses, "timesteps": timesteps, "rate": rate}


def _scaling(given: argparse.Namespace) -> dict[str, Any]:
    """Cost against timesteps and against synapses over four sizes each, and a training step of 16,384 neurons."""
    common = {"batch": 8, "motif": 16, "threads": 1, "runs": given.runs}
    by_timesteps = [_sequence(neurons=256, timesteps=t, **common) for t in (100, 200, 400, 800)]
    by_synapses = [_sequence(neurons=n, timesteps=50, **common) for n in (256, 1024, 4096, 16384)]
    large = _ours(inputs=32, motif=16, threads=given.threads, runs=3, neurons=16384, timesteps=50, batch=8, layers=1)
    return {
        "unit": "CPU milliseconds of one forward and backward pass, one thread, batch 8",
        "timesteps": by_timesteps,
        "synapses": by_synapses,
        "neurons_16384": {key: large[key] for key in ("wall", "cpu", "rates", "mib", "synapses")},
        "load": os.getloadavg()[0],
    }


def _plot(found: dict[str, Any], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for axis, name in zip(axes, ("timesteps", "synapses"), strict=True):
        rows = found[name]
        axis.loglog([row[name] for row in rows], [row["cpu_ms"] for row in rows], "o-", label="measured")
        first = rows[-1]["cpu_ms"] / rows[-1][name]
        axis.loglog([row[name] for row in rows], [first * row[name] for row in rows], ":", color="gray", label="proportional")
        axis.set_xlabel(name)
        axis.set_ylabel("CPU ms a training step")
        axis.legend()
    figure.savefig(path)


if __name__ == "__main__":
    main()
