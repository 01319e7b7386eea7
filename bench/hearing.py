# SPDX-License-Identifier: Apache-2.0
"""Instructions a second of audio of the whole generated C, from samples to keywords: front end, network and detector apart, and bytes.

    python bench/hearing.py NET.ormia RECORDING [--output bench/results/hearing.json]

On the host at -O2 without vectorization, counted by ``valgrind --tool=callgrind``; on Cortex-M0 and M4 and RISC-V as in bench/mcu.py, where
its packages are installed. The front end is what samples take more than the events they give. Payloads are checked against Python on every core.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from bisect import bisect_right
from collections import Counter
from pathlib import Path

import numpy as np
from mcu import CORES, FLAGS, LINKER, Core
from ormia.edge.audio import audio_blocks
from ormia.edge.ccode.build import find_compiler
from ormia.edge.ccode.emit import Sources, emit
from ormia.edge.ccode.layout import lay_out
from ormia.edge.clips import front_end_of
from ormia.edge.errors import CheckFailed, Error, MissingTool, UsageError
from ormia.edge.files import write_whole
from ormia.edge.netfile import network_digest, read_network
from ormia.edge.network import Network
from ormia.edge.provenance import provenance

HOST_FLAGS = ("-std=c99", "-O2", "-fno-tree-vectorize", "-g")
HARNESS = """
#include "{prefix}.h"
{prefix}_state bench_heard, bench_given;
int16_t bench_samples[{hop}];
ormia_event bench_events[{n}];
int bench_init(void)
{{
    return {prefix}_init(&bench_heard, sizeof bench_heard, {macro}_DIGEST) + {prefix}_init(&bench_given, sizeof bench_given, {macro}_DIGEST);
}}
int bench_push(void) {{ uint32_t used; return {prefix}_push_samples(&bench_heard, bench_samples, {hop}u, &used) - ORMIA_STEP; }}
int bench_step(void) {{
    uint32_t n = 0u, i;
    for (i = 0u; i < {n}u; i++) {{
        if (bench_heard.payload[i]) {{ bench_events[n].channel = (uint16_t)i; bench_events[n].payload = bench_heard.payload[i]; n++; }}
    }}
    return {prefix}_step(&bench_given, bench_events, n);
}}
"""
HOST_MAIN = """
#include <stdio.h>
extern int16_t bench_samples[{hop}];
extern {prefix}_state bench_heard;
int bench_init(void), bench_push(void), bench_step(void);
int main(void) {{
    int wrong = bench_init();
    while (fread(bench_samples, 2, {hop}, stdin) == {hop}) {{
        wrong += bench_push() + bench_step();
        fwrite(bench_heard.payload, sizeof bench_heard.payload, 1, stdout);
    }}
    return wrong;
}}
"""
FREESTANDING = """
void *memset(void *to, int value, __SIZE_TYPE__ n) { unsigned char *p = to; while (n--) { *p++ = (unsigned char)value; } return to; }
void *memcpy(void *to, const void *from, __SIZE_TYPE__ n) { unsigned char *p = to; const unsigned char *q = from; while (n--) { *p++ = *q++; } return to; }
"""


class ByFunction(Core):
    """A program in the emulator that counts instructions by function; the harness itself is not counted."""

    def __init__(self, program: Path, model: str | None) -> None:
        self.addresses: Counter[int] = Counter()
        super().__init__(program, model)
        self._starts = sorted((place & ~1, name) for name, place in self.places.items() if not name.startswith(("$", ".")))

    def _one(self, _: object, address: int, *rest: object) -> None:
        self.addresses[address] += 1

    def functions(self, call: str) -> Counter[str]:
        """Instructions of a call by function."""
        self.addresses.clear()
        self.call(call)
        found: Counter[str] = Counter()
        for address, count in self.addresses.items():
            found[self._starts[bisect_right(self._starts, (address, "~")) - 1][1]] += count
        return Counter({name: count for name, count in found.items() if not name.startswith("bench_")})


def write_sources(net: Network, sources: Sources, folder: Path, more: str) -> tuple[str, ...]:
    """Generated C and harness in a folder; the names to compile."""
    for name, text in sources.files.items():
        (folder / name).write_text(text)
    values = {"prefix": sources.prefix, "macro": sources.macro, "hop": front_end_of(net).hop_samples, "n": net.n_inputs}
    (folder / "harness.c").write_text(HARNESS.format(**values) + (more if more == FREESTANDING else more.format(**values)))
    return f"{sources.prefix}.c", "harness.c"


def shares(pushed: int, stepped: int, looked: int, seconds: float) -> dict[str, int]:
    """Instructions a second of audio by part."""
    parts = {"front_end": pushed - stepped, "network": stepped - looked, "detector": looked, "all": pushed}
    return {name: round(count / seconds) for name, count in parts.items()}


def check(payloads: np.ndarray, want: np.ndarray, where: str) -> None:
    """The integers come first."""
    if not np.array_equal(payloads.reshape(want.shape), want):
        raise CheckFailed(f"{where} must hear what Python hears; run ormia verify")


def on_host(net: Network, sources: Sources, hops: np.ndarray, want: np.ndarray, seconds: float) -> dict[str, int]:
    """Under callgrind."""
    for tool in ("valgrind", "callgrind_annotate"):
        if shutil.which(tool) is None:
            raise MissingTool(f"counting instructions on the host needs {tool}: install valgrind")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        names = write_sources(net, sources, folder, HOST_MAIN)
        subprocess.run([find_compiler(), *HOST_FLAGS, *names, "-o", "bench"], cwd=folder, check=True)
        command = ["valgrind", "-q", "--tool=callgrind", "--callgrind-out-file=out", "./bench"]
        ran = subprocess.run(command, cwd=folder, input=hops.astype("<i2").tobytes(), capture_output=True, check=True)
        annotate = ["callgrind_annotate", "--inclusive=yes", "--threshold=100", "out"]
        told = subprocess.run(annotate, cwd=folder, capture_output=True, text=True, check=True).stdout
    check(np.frombuffer(ran.stdout, np.uint8), want, "the host")
    counts = {name: int(count.replace(",", "")) for count, name in re.findall(r"^\s*([\d,]+) .*?:(\w+) ", told, re.MULTILINE)}
    return shares(counts[f"{sources.prefix}_push_samples"], counts[f"{sources.prefix}_step"], counts["look"] // 2, seconds)


def on_core(core: str, net: Network, sources: Sources, hops: np.ndarray, want: np.ndarray, seconds: float) -> dict[str, int]:
    """In the emulator."""
    options, model = CORES[core]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        names = write_sources(net, sources, folder, FREESTANDING)
        (folder / "bench.ld").write_text(LINKER)
        subprocess.run([sys.executable, "-m", "ziglang", "cc", *options, *FLAGS, *names, "-o", "bench.elf"], cwd=folder, check=True)
        machine = ByFunction(folder / "bench.elf", model)
    fields = lay_out(net).fields
    place = machine.places["bench_heard"] + sum(field.n_bytes for field in fields[: [field.name for field in fields].index("payload")])
    machine.call("bench_init")
    pushed, stepped, payloads = Counter(), Counter(), []
    for samples in hops:
        machine.machine.mem_write(machine.places["bench_samples"], samples.astype("<i2").tobytes())
        pushed += machine.functions("bench_push")
        payloads.append(np.frombuffer(bytes(machine.machine.mem_read(place, net.n_inputs)), np.uint8))
        stepped += machine.functions("bench_step")
    check(np.array(payloads), want, core)
    return shares(pushed.total(), stepped.total(), stepped["look"], seconds)


def main() -> None:
    """Measure and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--output", type=Path, default=Path("bench/results/hearing.json"))
    given = parser.parse_args()
    net = read_network(given.network)
    sources, front_end = emit(net, clips=()), front_end_of(net)
    if not sources.hears:
        raise UsageError(f"{given.network} must carry an fft front end, which is the one that is generated")
    pcm = next(audio_blocks(given.recording, front_end.sample_rate))[: int(given.seconds * front_end.sample_rate)]
    hops = pcm[: len(pcm) // front_end.hop_samples * front_end.hop_samples].reshape(-1, front_end.hop_samples)
    want, seconds = front_end.payloads(hops.ravel()), hops.size / front_end.sample_rate
    measured = {"host": on_host(net, sources, hops, want, seconds)}
    try:
        measured |= {core: on_core(core, net, sources, hops, want, seconds) for core in CORES}
    except MissingTool as error:
        print(f"Only the host: {error}", file=sys.stderr)
    bytes_of = {name: {"state": state, "flash": flash} for name, (state, flash) in sources.shares.items()}
    work = {"seconds": seconds, "events_per_second": round(np.count_nonzero(want) / seconds)}
    result = {"network": network_digest(net), "audio": work, "instructions_per_second": measured, "bytes": bytes_of, "flags": [HOST_FLAGS, FLAGS]}
    write_whole(given.output, json.dumps(result | {"provenance": provenance()}, indent=1) + "\n")
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    try:
        main()
    except Error as error:
        sys.exit(str(error))
