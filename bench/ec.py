# SPDX-License-Identifier: Apache-2.0
"""How fast the packed network of EC runs: forms of the synapse sum, whole forwards on several threads, and the same with weights, in one run.

Ratios are of CPU seconds, which a busy machine bends less than wall seconds.

python bench/ec.py [--threads N] [--jax PYTHON] [--output FILE]; --jax names a Python with jax, in which bench/ec_jax.py is timed in between.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numba import njit
from ormia.edge.files import write_whole
from ormia.edge.provenance import provenance
from ormia.train.ec.baselines import WeightPopulation
from ormia.train.ec.bits import count_bits, lowest_bit, tally
from ormia.train.ec.kernels import gather
from ormia.train.ec.model import Layout, NetworkConfig, pack_rows, unpack_rows
from ormia.train.ec.populations import BooleanPopulation, Population
from ormia.train.ec.scales import scales

NEURONS, INPUTS, OUTPUTS, POPULATION, FRAMES, REPEATS = 256, 11, 3, 64, 50, 15
ACTIVITIES = (0, 1, 2, 5, 10, 20, 40, 80)  # spikes in a timestep
INPUT_SCALES = (0.3, 0.5, 0.7, 1.0, 1.5, 2.5, 4.0)  # of normal observations: they set the activity
ANCHOR = {"forwards_per_second": 28_500, "of": "released JAX code, 2 cores, population 64, Hopper-sized observation; other machine, measured earlier"}
PLANES = 9  # of bit-sliced counters: counts up to 256, and a sign


@njit(nogil=True)
def popcount(columns: np.ndarray, spikes: np.ndarray, excitatory: np.ndarray, counts: np.ndarray) -> None:
    """Spikes of each sign that reach a neuron, from transposed rows."""
    for j in range(len(counts)):
        total = 0
        for w in range(len(spikes)):
            word = columns[j, w] & spikes[w]
            total += 2 * count_bits(word & excitatory[w]) - count_bits(word)
        counts[j] = total


@njit(nogil=True)
def sliced(rows: np.ndarray, spikes: np.ndarray, excitatory: int, counts: np.ndarray, planes: np.ndarray) -> None:
    """Bit-sliced addition: ripple each row into planes of carries, one set a sign, then widen the planes."""
    counts[:] = 0
    planes[:] = 0
    deepest = 0
    for w in range(len(spikes)):
        word = spikes[w]
        while word != np.uint64(0):
            source = w * 64 + lowest_bit(word)
            word &= word - np.uint64(1)
            sign = 0 if source < excitatory else 1
            for target in range(rows.shape[1]):
                carry, depth = rows[source, target], 0
                while carry != np.uint64(0):
                    before = planes[sign, depth, target]
                    planes[sign, depth, target] = before ^ carry
                    carry &= before
                    depth += 1
                deepest = max(deepest, depth)
    for depth in range(deepest):
        for target in range(rows.shape[1]):
            tally(counts, target * 64, planes[0, depth, target], 1 << depth)
            tally(counts, target * 64, planes[1, depth, target], -(1 << depth))


@njit(nogil=True)
def by_bytes(rows: np.ndarray, spikes: np.ndarray, excitatory: int, counts: np.ndarray) -> None:
    """Event-driven over one byte a connection."""
    counts[:] = 0
    for w in range(len(spikes)):
        word = spikes[w]
        while word != np.uint64(0):
            source = w * 64 + lowest_bit(word)
            word &= word - np.uint64(1)
            row = rows[source]
            if source < excitatory:
                for j in range(len(counts)):
                    counts[j] += row[j]
            else:
                for j in range(len(counts)):
                    counts[j] -= row[j]


def fastest(run: Callable[[], object]) -> tuple[float, float]:
    """Least wall seconds and least CPU seconds of some repeats, the first of which compiles."""
    times = []
    for _ in range(REPEATS + 1):
        began, began_cpu = time.perf_counter(), time.process_time()
        run()
        times.append((time.perf_counter() - began, time.process_time() - began_cpu))
    return min(wall for wall, _ in times[1:]), min(cpu for _, cpu in times[1:])


def synapse_sums() -> list[dict[str, float]]:
    """Nanoseconds of one sum over all neurons, for each form and activity; populations large enough that genomes leave the first cache."""
    rng, n, half = np.random.default_rng(1), NEURONS, NEURONS // 2
    genomes = rng.integers(0, 2**64, (POPULATION, n, n // 64), dtype=np.uint64)
    bits = unpack_rows(genomes)
    columns, widened = pack_rows(bits.transpose(0, 2, 1)), bits.astype(np.int8)
    excitatory, counts, planes = pack_rows(np.arange(n) < half), np.zeros(n, np.int16), np.zeros((2, PLANES, n // 64), np.uint64)

    rows = []
    for active in ACTIVITIES:
        fired = np.zeros(n, bool)
        fired[rng.permutation(n)[:active]] = True
        spikes = pack_rows(fired)
        expected = (np.where(np.arange(n) < half, 1, -1) * fired) @ widened[-1].astype(np.int64)
        row: dict[str, float] = {"spikes": active}
        forms = {
            "event_driven_packed": lambda g, s=spikes: gather(genomes[g], s, half, counts),
            "popcount": lambda g, s=spikes: popcount(columns[g], s, excitatory, counts),
            "bit_sliced": lambda g, s=spikes: sliced(genomes[g], s, half, counts, planes),
            "event_driven_bytes": lambda g, s=spikes: by_bytes(widened[g], s, half, counts),
        }
        for name, form in forms.items():
            form(POPULATION - 1)
            if active and not np.array_equal(counts, expected):
                raise SystemExit(f"{name} must count what a matrix product counts, at {active} spikes")
        for name, loop in LOOPS.items():
            data = {"event_driven_packed": genomes, "popcount": columns, "bit_sliced": genomes, "event_driven_bytes": widened}[name]
            row[name] = 1e9 * fastest(lambda loop=loop, data=data, s=spikes: loop(data, s, excitatory, half, counts, planes))[1] / POPULATION / 20
        rows.append({key: round(value, 1) for key, value in row.items()})
    return rows


@njit(nogil=True)
def _loop_events(data, spikes, mask, half, counts, planes):
    for _ in range(20):
        for g in range(len(data)):
            gather(data[g], spikes, half, counts)


@njit(nogil=True)
def _loop_popcount(data, spikes, mask, half, counts, planes):
    for _ in range(20):
        for g in range(len(data)):
            popcount(data[g], spikes, mask, counts)


@njit(nogil=True)
def _loop_sliced(data, spikes, mask, half, counts, planes):
    for _ in range(20):
        for g in range(len(data)):
            sliced(data[g], spikes, half, counts, planes)


@njit(nogil=True)
def _loop_bytes(data, spikes, mask, half, counts, planes):
    for _ in range(20):
        for g in range(len(data)):
            by_bytes(data[g], spikes, half, counts)


LOOPS = {"event_driven_packed": _loop_events, "popcount": _loop_popcount, "bit_sliced": _loop_sliced, "event_driven_bytes": _loop_bytes}


def forwards(make: Callable[[], Population], genomes: np.ndarray, scale: float, threads: int) -> tuple[float, float, float]:
    """Forwards per second of a population on all threads, forwards per CPU second, and spikes per timestep."""
    observations = scale * np.random.default_rng(0).normal(size=(FRAMES, POPULATION, INPUTS))
    parts = np.array_split(np.arange(POPULATION), threads)
    populations = [make() for _ in parts]

    def run(worker: int) -> None:
        which = np.arange(len(parts[worker]))
        populations[worker].load(genomes[parts[worker]], len(which))
        for seen in observations:
            populations[worker].act(which, which, seen[parts[worker]])

    with ThreadPoolExecutor(threads) as pool:
        wall, cpu = fastest(lambda: list(pool.map(run, range(threads))))
    return FRAMES * POPULATION / wall, FRAMES * POPULATION / cpu, sum(p.spikes for p in populations) / sum(p.timesteps for p in populations)


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--jax", metavar="PYTHON")
    parser.add_argument("--output")
    given = parser.parse_args()
    config, layout = NetworkConfig(payload_bits=0), Layout(INPUTS, NEURONS, OUTPUTS)
    scale, rng = scales(config, INPUTS), np.random.default_rng(2)
    genomes = pack_rows(rng.random((POPULATION, layout.rows, NEURONS)) < 0.5)
    weights = rng.standard_normal((POPULATION, layout.bits)).astype(np.float32)
    whole = []
    for size in INPUT_SCALES:
        rate, cpu_rate, spikes = forwards(lambda: BooleanPopulation(config, layout, scale), genomes, size, given.threads)
        _, dense, dense_spikes = forwards(lambda: WeightPopulation("rsnn", config, layout, scale, 0), weights, size, given.threads)
        row = {"input_scale": size, "spikes_per_timestep": spikes, "forwards_per_second": rate, "forwards_per_cpu_second": cpu_rate,
               "times_anchor": rate / ANCHOR["forwards_per_second"], "weights_spikes_per_timestep": dense_spikes,
               "weights_forwards_per_cpu_second": dense, "times_weights": cpu_rate / dense}  # fmt: skip
        if given.jax:
            command = [given.jax, str(Path(__file__).with_name("ec_jax.py")), str(size)]
            _, jax_spikes, jax_rate = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)[0]
            row |= {"jax_spikes_per_timestep": jax_spikes, "jax_forwards_per_cpu_second": jax_rate, "times_jax": cpu_rate / jax_rate}
        whole.append(row)
    result = {
        "threads": given.threads,
        "neurons": NEURONS,
        "timesteps_of_a_forward": config.sub_steps,
        "population": POPULATION,
        "anchor": ANCHOR,
        "forwards": whole,
        "synapse_sum_ns": synapse_sums(),
        "bytes_per_individual": {"packed": int(genomes[0].nbytes), "one_byte_a_connection": layout.bits, "weights": int(weights[0].nbytes)},
        "provenance": provenance(),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if given.output:
        write_whole(given.output, text + "\n")


if __name__ == "__main__":
    main()
