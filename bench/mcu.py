# SPDX-License-Identifier: Apache-2.0
"""Instructions, flash, RAM and stack of the generated C on Cortex-M0+, M4, M7 and RV32IMC, from samples to keywords, by part.

    pip install 'ormia[mcu]'
    python bench/mcu.py NET.ormia RECORDING ... [--seconds 2] [--output bench/results/mcu.json]
    python bench/mcu.py NET.ormia --data CORPUS --clips 10

Compiled by clang (Zig) at -O2 and run in the emulator Unicorn, which counts instructions, not cycles; every event, membrane and detection is compared
with Python's, and a difference is an error. Parts are told apart by function. A synaptic operation and the overhead of an axon are a least-squares fit of
what each source, active alone, costs in a network built for it: the same axons, which keep a quarter, a half, three quarters or all of their lists, without
delays. Energy is an estimate: instructions, times cycles an instruction, times measured energy a cycle.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ormia.edge.audio import audio_blocks
from ormia.edge.ccode.cores import CORES, CROSS_FLAGS, Core, cross_compile, missing_tools
from ormia.edge.ccode.emit import Sources, emit
from ormia.edge.ccode.emulator import Emulated
from ormia.edge.ccode.layout import lay_out
from ormia.edge.ccode.qemu import BOARDS, code_bytes, missing_boards
from ormia.edge.clips import front_end_of
from ormia.edge.errors import CheckFailed, Error, MissingTool, UsageError
from ormia.edge.events import events_from_payloads
from ormia.edge.files import write_whole
from ormia.edge.netfile import network_digest, read_network
from ormia.edge.network import Formats, Network, Readout, Reset
from ormia.edge.provenance import provenance
from ormia.edge.reference import Reference
from ormia.edge.verification import corpus_clips

HARNESS = """
#include "{prefix}.h"
{prefix}_state bench_state;
int bench_init(void);
int bench_idle(void);
int bench_step(uint32_t channel);
int bench_spike(uint32_t neuron);
int bench_init(void) {{ return (int){prefix}_init(&bench_state, sizeof bench_state, {macro}_DIGEST); }}
int bench_idle(void) {{ return (int){prefix}_step(&bench_state, 0, 0u); }}
int bench_step(uint32_t channel)
{{
    ormia_event event;
    event.channel = (uint16_t)channel;
    event.payload = 1;
    return (int){prefix}_step(&bench_state, &event, 1u);
}}
int bench_spike(uint32_t neuron)
{{
    bench_state.n_fired = 1u;
    bench_state.fired[0] = (__typeof__(bench_state.fired[0]))neuron;
    return (int){prefix}_step(&bench_state, 0, 0u);
}}
"""
AUDIO_HARNESS = """
int16_t bench_samples[{hop}];
int bench_push(void);
int bench_push(void) {{ uint32_t used; return (int){prefix}_push_samples(&bench_state, bench_samples, {hop}u, &used) - (int)ORMIA_STEP; }}
"""
PARTS = {
    "front_end": ("hear", "take_frame", "transform", "take_power", "encode", "level_of", "push_samples", "windowed"),
    "axons": ("activate", "activate_source", "take_event", "activate_delayed_inputs", "open_timestep", "activate_delayed_neurons", "remember_spikes"),
    "synapses": ("add_chunks", "add_bitmap", "add_list", "add_weights"),
    "neurons": ("sweep", "update"),
    "readout": ("close_timestep", "emitted", "has_fired"),
    "detector": ("look",),
}
LEVELS = ("-O2", "-Os")  # of GCC, where it is installed
SYNAPTIC = ("axons", "synapses")
PART_OF = {function: part for part, functions in PARTS.items() for function in functions}
IGNORED = ("bench_", "check_", "step", "init", "restart")
# MLPerf Tiny v1.3, streaming wake word, closed division: average power of NUCLEO-L4R5ZI-P at 120 MHz, features and idle time included
STREAMING_REFERENCE = {"board": "STM32L4R5ZI-P", "clock_mhz": 120, "average_power_mw": 25.62, "duty": 0.561, "source": "MLPerf Tiny v1.3 results"}
# measured under a neural network's load, MLPerf Tiny v1.2 and v1.3 (power, time and clock of their result files); DS-CNN: 2,656,768 multiplications
PJ_PER_CYCLE = {"cortex-m4": ("STM32L4R5ZI-P", 275), "cortex-m7": ("STM32H7A3ZI-Q", 434)}
CYCLES_PER_INSTRUCTION = (1.0, 2.0)  # bounds: none of what runs here takes more on average from memory without wait states


@dataclass
class Hop:
    """Instructions of one timestep of audio by part."""

    parts: Counter[str]

    @property
    def total(self) -> int:
        """All of them."""
        return self.parts.total()


def parts_of(found: Counter[str], prefix: str) -> Counter[str]:
    """Instructions by part; the harness and the checks of arguments are left out."""
    parts: Counter[str] = Counter()
    for function, count in found.items():
        name = function.removeprefix(f"{prefix}_")
        if name in PART_OF:
            parts[PART_OF[name]] += count
        elif not name.startswith(IGNORED):
            raise CheckFailed(f"every function must belong to a part; {function} does not: name it in PARTS")
    return parts


class Measured:
    """A network on a core."""

    def __init__(self, net: Network, sources: Sources, core: Core, folder: Path) -> None:
        self.net, self.core, self.prefix, self.operations = net, core, sources.prefix, 0
        values = {"prefix": sources.prefix, "macro": sources.macro, "hop": front_end_of(net).hop_samples if sources.hears else 0}
        files = {**sources.files, "harness.c": (HARNESS + AUDIO_HARNESS * sources.hears).format(**values)}
        self.program = Emulated(core, cross_compile(core, files, (f"{sources.prefix}.c", "harness.c"), folder), count=True)
        self.alone = Emulated(core, cross_compile(core, dict(sources.files), (f"{sources.prefix}.c",), folder))
        self.fields, at = {}, self.program.places["bench_state"]
        for field in lay_out(net).fields:
            self.fields[field.name] = (at, field)
            at += field.n_bytes

    def field(self, name: str) -> np.ndarray:
        """A field of the state."""
        at, field = self.fields[name]
        return np.frombuffer(self.program.read(at, field.n_bytes), field.ctype.removesuffix("_t"))

    def call(self, function: str, *arguments: int) -> Counter[str]:
        """Instructions by part of a call that must return 0."""
        self.program.blocks.clear()
        if code := self.program.call(function, *arguments):
            raise CheckFailed(f"{function} must return 0 on {self.core.name}, not {code}")
        return parts_of(self.program.instructions(), self.prefix)

    def hear(self, pcm: np.ndarray) -> list[Hop]:
        """A recording from reset, hop by hop, checked against Python."""
        front_end = front_end_of(self.net)
        payloads, reference = front_end.payloads(pcm), Reference(self.net)
        events = events_from_payloads(payloads)
        self.call("bench_init")
        hops = []
        for t, samples in enumerate(pcm.reshape(-1, front_end.hop_samples)):
            self.program.write(self.program.places["bench_samples"], samples.astype("<i2").tobytes())
            hops.append(Hop(self.call("bench_push")))
            reference.step(events[t])
            if not (np.array_equal(self.field("payload"), payloads[t]) and self.field("membrane").tolist() == list(reference.membrane)):
                raise CheckFailed(f"{self.core.name} must compute what Python computes, but differs at timestep {t}; run ormia verify")
        self.operations += reference.counters.synaptic_operations
        return hops

    def synaptic(self) -> dict[str, float]:
        """Instructions of a synaptic operation and of an axon besides, from every source active alone, less those of a timestep without events."""
        net, rows = self.net, []
        axons = np.bincount(net.axon_source, minlength=net.n_sources)
        synapses = np.bincount(net.axon_source, np.diff(net.synapse_start), net.n_sources)
        self.call("bench_init")
        idle = self.synaptic_part("bench_idle")
        for source in np.flatnonzero(axons).tolist():
            self.call("bench_init")
            call = ("bench_step", source) if source < net.n_inputs else ("bench_spike", source - net.n_inputs)
            rows.append((axons[source], synapses[source], self.synaptic_part(*call) - idle))
        table = np.array(rows, float)
        if np.linalg.matrix_rank(table[:, :2]) < 2:
            raise CheckFailed("lists must differ in length, or the cost of an axon cannot be told from that of its synapses")
        (axon, synapse), *_ = np.linalg.lstsq(table[:, :2], table[:, 2], rcond=None)
        off = table[:, 2] - table[:, :2] @ (axon, synapse)
        return {
            "synaptic_operation": round(float(synapse), 2),
            "axon": round(float(axon), 1),
            "fit": {
                "sources": len(rows), "synapses_of_a_source": [int(table[:, 1].min()), int(table[:, 1].max())],
                "unexplained": round(float((off**2).sum() / ((table[:, 2] - table[:, 2].mean()) ** 2).sum()), 4),
            },
        }  # fmt: skip

    def synaptic_part(self, function: str, *arguments: int) -> int:
        """Instructions of axons and synapses of a call."""
        found = self.call(function, *arguments)
        return sum(found[part] for part in SYNAPTIC)


def by_length(net: Network) -> Network:
    """The network, its axons by turns cut to a quarter, a half, three quarters and all of their lists, and without delays."""
    length = np.diff(net.synapse_start)
    kept = -(-length * (1 + np.arange(net.n_axons) % 4) // 4)
    place = np.arange(net.n_synapses) - np.repeat(net.synapse_start[:-1], length)
    chosen = place < np.repeat(kept, length)
    return replace(
        net, axon_delay=np.zeros(net.n_axons, int), synapse_start=np.cumsum([0, *kept]), synapse_target=net.synapse_target[chosen],
        synapse_weight=net.synapse_weight[chosen], motifs=(),
    )  # fmt: skip


def thin_lists() -> Network:
    """64 sources with lists of 4 to 32 synapses of 4 bits, thinly spread over 256 neurons, so that each target has to be named."""
    rng, neurons = np.random.default_rng(1), 256
    lengths = 4 * (1 + np.arange(64) % 8)
    weights = rng.integers(1, 8, lengths.sum()) * rng.choice([-1, 1], lengths.sum())
    return Network(
        formats=Formats(payload_bits=3), n_inputs=len(lengths), axon_source=np.arange(len(lengths)), synapse_start=np.cumsum([0, *lengths]),
        synapse_target=np.concatenate([np.sort(rng.choice(neurons, n, replace=False)) for n in lengths]), synapse_weight=weights,
        neuron_kind=np.zeros(neurons, int), threshold=np.full(neurons, 4000), kind_membrane_decay=[3686], kind_current_decay=[[0]], kind_firing=[1],
        kind_reset=[Reset.SUBTRACT], kind_refractory=[0], kind_drive_shift=[0], kind_current_shift=[0], readout_neuron=[0], readout_class=[0],
        readout=Readout.SUM, labels=("one",), name="thin_lists",
    )  # fmt: skip


def measure(net: Network, sources: Sources, core: Core, recordings: Sequence[np.ndarray], folder: Path) -> dict[str, Any]:
    """Everything of one core."""
    machine = Measured(net, sources, core, folder)
    machine.program.paint_stack()
    hops = [hop for pcm in recordings for hop in machine.hear(pcm)]
    stack = machine.program.stack_bytes()
    per_second = front_end_of(net).sample_rate / front_end_of(net).hop_samples
    worst = max(hops, key=lambda hop: hop.total)
    mean = sum((hop.parts for hop in hops), Counter())
    cut = by_length(net)
    found = Measured(cut, emit(cut, clips=()), core, folder).synaptic()
    thin = thin_lists()
    sections = machine.alone.sections
    code, constants = sections.get(".text", 0), sections.get(".rodata", 0)
    neurons = [hop.parts["neurons"] for hop in hops]
    return {
        "device": core.device,
        "instructions_per_second": {"mean": round(sum(mean.values()) / len(hops) * per_second), "worst_hop": round(worst.total * per_second)},
        "instructions_per_hop": {
            "mean": {part: round(mean[part] / len(hops)) for part in PARTS},
            "worst": {part: worst.parts[part] for part in PARTS},
        },
        "instructions_per_synaptic_operation": found["synaptic_operation"],
        "instructions_per_axon_besides": found["axon"],
        "fit": found["fit"],
        "instructions_per_synaptic_operation_all_told": round(sum(mean[part] for part in SYNAPTIC) / machine.operations, 2),
        "thin_lists": Measured(thin, emit(thin, clips=()), core, folder).synaptic(),
        "instructions_per_neuron_update": round(sum(neurons) / len(neurons) / net.n_neurons, 2),
        "flash_bytes": {"code": code, "constants": constants, "all": code + constants},
        "ram_bytes": {"state": sources.state_bytes, "stack": stack, "all": sources.state_bytes + stack + sections.get(".data", 0) + sections.get(".bss", 0)},
    }


def power(core: str, instructions: float) -> dict[str, Any] | None:
    """Average power in real time beside the streaming reference, by energy a cycle."""
    if core not in PJ_PER_CYCLE:
        return None
    board, energy = PJ_PER_CYCLE[core]
    bounds = [round(instructions * cycles * energy * 1e-9, 3) for cycles in CYCLES_PER_INSTRUCTION]
    found: dict[str, Any] = {"board": board, "pj_per_cycle": energy, "cycles_per_instruction": CYCLES_PER_INSTRUCTION, "active_power_mw": bounds}
    if core == "cortex-m4":
        found["streaming_reference"] = STREAMING_REFERENCE
        found["times_less_than_reference"] = [round(STREAMING_REFERENCE["average_power_mw"] / bound, 1) for bound in bounds]
    return found


def main() -> None:
    """Measure every core and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("recordings", type=Path, nargs="*", help="audio files")
    parser.add_argument("--data", type=Path, help="corpus folder, of which test clips are taken besides")
    parser.add_argument("--clips", type=int, default=10, help="how many")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each recording, at most")
    parser.add_argument("--cores", nargs="+", default=list(CORES), choices=CORES)
    parser.add_argument("--output", type=Path, default=Path("bench/results/mcu.json"))
    given = parser.parse_args()
    if (missing := missing_tools()) is not None:
        raise MissingTool(missing)
    net = read_network(given.network)
    sources, front_end = emit(net, clips=()), front_end_of(net)
    if not sources.hears:
        raise UsageError(f"{given.network} must carry an fft front end, which is the one that is generated")
    hop, limit = front_end.hop_samples, int(given.seconds * front_end.sample_rate)
    recordings = [next(audio_blocks(path, front_end.sample_rate))[:limit] for path in given.recordings]
    if given.data is not None:
        recordings += corpus_clips(net, given.data, "test", given.clips, seed=1).audio or []
    recordings = [pcm[: len(pcm) // hop * hop] for pcm in recordings]
    if not any(map(len, recordings)):
        raise UsageError("there must be audio of at least one timestep: name recordings, or a corpus with --data")
    with tempfile.TemporaryDirectory() as folder:
        cores = {}
        for name in given.cores:
            cores[name] = measure(net, sources, CORES[name], recordings, Path(folder))
            cores[name]["power"] = power(name, cores[name]["instructions_per_second"]["mean"])
            print(name, json.dumps(cores[name]), flush=True)
    gcc = None if missing_boards() else {name: {level: code_bytes(sources, board, level) for level in LEVELS} for name, board in BOARDS.items()}
    result = {
        "network": network_digest(net),
        "neurons": net.n_neurons,
        "synapses": net.n_synapses,
        "audio": {"recordings": len(recordings), "seconds": sum(map(len, recordings)) / front_end.sample_rate, "hop_samples": hop},
        "shares": {name: {"state": state, "tables": tables} for name, (state, tables) in sources.shares.items()},
        "cores": cores,
        "flags": CROSS_FLAGS,
        "gcc_flash_bytes": gcc,
    }
    write_whole(given.output, json.dumps(result | {"provenance": provenance()}, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except Error as error:
        sys.exit(str(error))
