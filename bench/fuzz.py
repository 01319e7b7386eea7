# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing of the generated C by libFuzzer, under address and undefined-behavior sanitizers: nothing found, or the input that does it.

    apt install clang                                   # with libclang-rt of the same version
    python bench/fuzz.py NET.ormia --minutes 30 [--output bench/results/fuzz.json]

Three targets, a share of the time each. ``calls``: any order of calls with any pointers, sizes, samples and events, on two streams; a call that is refused
must have changed nothing. ``state``: the same on states that are overwritten meanwhile; memory outside a state must never be reached (sums of damaged
numbers may overflow, so that one check is off). ``tables``: a byte of a table is changed, and the self test must say so.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ormia.edge.ccode.emit import Sources, emit
from ormia.edge.errors import CheckFailed, Error, MissingTool, UsageError
from ormia.edge.files import write_whole
from ormia.edge.netfile import network_digest, read_network
from ormia.edge.provenance import provenance

FLAGS = ("-std=c99", "-O1", "-g", "-fno-sanitize-recover=all", "-Wall", "-Wextra", "-Werror")
CHECKS = "fuzzer,address,undefined"
LESS = {"calls": (), "state": ("-fno-sanitize=signed-integer-overflow",), "tables": ()}
SHARE = {"calls": 5, "state": 4, "tables": 1}  # of the time
TARGET = """
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#define ORMIA_SELFTEST
#ifdef FUZZ_TABLES
#define const
#include "{prefix}.c"
#undef const
#else
#include "{prefix}.h"
#endif
#define STATE {prefix}_state
#define CALL(name) {prefix}_##name
#define DIGEST {macro}_DIGEST

static const uint8_t *data;
static size_t left;
static uint32_t take(uint32_t n)
{{
    uint32_t value = 0u;
    while (n-- != 0u) {{
        value = value << 8 | (left != 0u ? *data : 0u);
        if (left != 0u) {{ data++; left--; }}
    }}
    return value;
}}
#ifdef FUZZ_TABLES
static const struct {{ void *start; size_t size; }} tables[] = {{ {tables} }};
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{{
    static STATE state;
    (void)argc;
    (void)argv;
    if (CALL(selftest)(&state, (uint32_t)sizeof state) != ORMIA_OK) {{ abort(); }}
    return 0;
}}
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{{
    static STATE state;
    uint8_t *place, change;
    uint32_t which;
    data = input;
    left = size;
    which = take(1u) % (sizeof tables / sizeof *tables);
    place = (uint8_t *)tables[which].start + take(3u) % tables[which].size;
    change = (uint8_t)take(1u);
    if (change == 0u) {{ return 0; }}
    *place ^= change;
    const ormia_code code = CALL(selftest)(&state, (uint32_t)sizeof state);
    *place ^= change;
    if (code != ORMIA_ERROR_TABLES) {{ abort(); }}
    return 0;
}}
#else
/* What is read must be no larger than it is said to be */
static void *exactly(size_t n)
{{
    void *memory = malloc(n != 0u ? n : 1u);
    if (memory == 0) {{ abort(); }}
    return memory;
}}
static ormia_code one(STATE *state)
{{
    const uint32_t what = take(1u);
    ormia_code code = ORMIA_OK;
    uint32_t i, n, used, label;
    switch (what % 12u) {{
    case 0: case 1: case 2: {{
        const uint32_t length = what < 128u ? take(2u) % 1200u : take(1u) % 8u;
        int16_t *samples = exactly(2u * length);
        const uint32_t loud = take(1u), seed = take(2u);
        for (i = 0u; i < length; i++) {{
            samples[i] = (int16_t)(loud < 64u ? take(2u) : ((i * 2654435761u + seed * 40503u) >> (16u + loud % 16u)));
        }}
        for (i = 0u; i < length && code <= ORMIA_STEP; i += used) {{
            used = 0u;
            code = CALL(push_samples)(state, samples + i, length - i, &used);
            if (code <= ORMIA_STEP && used > length - i) {{ abort(); }}
        }}
        free(samples);
        break;
    }}
    case 3:
        n = take(1u);
        code = CALL(push_samples)(n & 1u ? state : 0, 0, n & 2u ? 0u : take(4u), n & 4u ? &used : 0);
        break;
    case 4: case 5: {{
        ormia_event *events;
        n = take(1u) % ({macro}_N_INPUTS + 3u);
        events = exactly(sizeof *events * n);
        for (i = 0u; i < n; i++) {{
            events[i].channel = (uint16_t)(what < 128u ? i : take(2u));
            events[i].payload = (int16_t)(what & 1u ? take(2u) : take(1u) % 8u);
        }}
        code = CALL(step)(state, events, n);
        free(events);
        break;
    }}
    case 6:
        code = CALL(step)(take(1u) & 1u ? state : 0, 0, take(4u));
        break;
    case 7:
        n = take(1u) % ({macro}_N_CLASSES + 2u);
        {{
            int32_t *values = exactly(sizeof *values * n);
            code = CALL(scores)(state, take(1u) & 1u ? values : 0, n, take(1u) & 1u ? &label : 0);
            free(values);
        }}
        break;
    case 8:
        n = take(1u) % ({macro}_N_READOUTS + 2u);
        {{
            int32_t *values = exactly(sizeof *values * n);
            code = CALL(emitted)(state, take(1u) & 1u ? values : 0, n);
            free(values);
        }}
        break;
    case 9: {{
        ormia_detection found;
        code = CALL(detect)(state, take(1u) & 3u ? &found : 0);
        if (code == ORMIA_OK && found.label >= {macro}_N_CLASSES && found.label != ORMIA_NO_KEYWORD) {{ abort(); }}
        break;
    }}
    case 10:
        code = what & 16u ? CALL(flush)(state) : CALL(reset)(state);
        break;
    default:
        n = take(1u);
        code = CALL(init)(n & 1u ? state : 0, n & 2u ? (uint32_t)sizeof *state : take(4u), n & 4u ? DIGEST : take(4u));
        break;
    }}
    return code;
}}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{{
    STATE *states[2], before;
    uint32_t i, calls = 0u;
    data = input;
    left = size;
    for (i = 0u; i < 2u; i++) {{
        states[i] = exactly(sizeof *states[i]);
        memset(states[i], (int)take(1u), sizeof *states[i]);
        if (take(1u) & 7u) {{ (void)CALL(init)(states[i], (uint32_t)sizeof *states[i], DIGEST); }}
    }}
    while (left != 0u && calls++ < 64u) {{
        STATE *state = states[take(1u) & 1u];
#ifdef FUZZ_STATE
        uint32_t n = take(1u) % 8u, at = take(2u) % (uint32_t)sizeof *state;
        for (i = at < 4u ? 4u : at; i < at + n && i < sizeof *state; i++) {{ ((uint8_t *)state)[i] = (uint8_t)take(1u); }}
#endif
        before = *state;
        const ormia_code code = one(state);
        if (code < ORMIA_OK || code > ORMIA_ERROR_SELFTEST) {{ abort(); }}
        if (code > ORMIA_STEP && memcmp(&before, state, sizeof before) != 0) {{ abort(); }}
    }}
    free(states[0]);
    free(states[1]);
    return 0;
}}
#endif
"""


def find_clang() -> str:
    """A clang that links libFuzzer."""
    names = [os.environ.get("CLANG", "clang"), *(f"clang-{version}" for version in range(22, 12, -1))]
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        raise MissingTool("fuzzing needs clang with libFuzzer: apt install clang, or name it in CLANG")
    return found


def build(sources: Sources, kind: str, folder: Path) -> Path:
    """The fuzzer of one kind."""
    for name, text in sources.files.items():
        (folder / name).write_text(text)
    tables = ", ".join(f"{{(void *){name}, sizeof {name}}}" for name in sources.table_bytes)
    (folder / f"{kind}.c").write_text(TARGET.format(prefix=sources.prefix, macro=sources.macro, tables=tables))
    units = [f"{kind}.c"] if kind == "tables" else [f"{kind}.c", f"{sources.prefix}.c"]
    options = (*FLAGS, f"-fsanitize={CHECKS}", *LESS[kind], f"-DFUZZ_{kind.upper()}", "-o", f"fuzz_{kind}")
    ran = subprocess.run([find_clang(), *options, *units], cwd=folder, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise MissingTool(f"clang must accept the target and link libFuzzer, but: {(ran.stderr.strip().splitlines() or ['it failed'])[0]}")
    return folder / f"fuzz_{kind}"


def fuzz(program: Path, seconds: int, kept: Path) -> dict[str, Any]:
    """Run for some time; figures, or ``CheckFailed`` with the input that was kept."""
    corpus = program.parent / f"corpus_{program.name}"
    corpus.mkdir()
    command = [str(program), str(corpus), f"-max_total_time={seconds}", "-max_len=4096", "-print_final_stats=1", "-seed=1", "-artifact_prefix=found_"]
    begin = time.monotonic()
    ran = subprocess.run(command, cwd=program.parent, capture_output=True, text=True, errors="replace", check=False)
    took = time.monotonic() - begin
    if ran.returncode != 0:
        kept.mkdir(parents=True, exist_ok=True)
        for path in program.parent.glob("found_*"):
            shutil.copy(path, kept)
        first = next((line for line in ran.stderr.splitlines() if "ERROR" in line or "runtime error" in line), "it ended by itself")
        raise CheckFailed(f"{program.name} must find nothing, but: {first.strip()} (input kept in {kept})")
    stats = dict(re.findall(r"stat::(\w+):\s+(\d+)", ran.stderr))
    covered = re.findall(r"cov: (\d+) ft: (\d+)", ran.stderr)
    edges, features = covered[-1] if covered else ("0", "0")
    runs = int(stats.get("number_of_executed_units", 0))
    if runs == 0:
        raise CheckFailed(f"{program.name} must run inputs, but ran none")
    return {"seconds": round(took), "inputs": runs, "edges": int(edges), "features": int(features), "findings": 0}


def main() -> None:
    """Fuzz and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--minutes", type=float, default=30.0, help="all targets together")
    parser.add_argument("--targets", nargs="+", default=list(SHARE), choices=list(SHARE))
    parser.add_argument("--kept", type=Path, default=Path("runs/fuzz"), help="where inputs that find something go")
    parser.add_argument("--output", type=Path, default=Path("bench/results/fuzz.json"))
    given = parser.parse_args()
    net = read_network(given.network)
    sources = emit(net)
    if not sources.hears:
        raise UsageError(f"{given.network} must carry an fft front end, so that audio can be fuzzed")
    whole = sum(SHARE[kind] for kind in given.targets)
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        for kind in given.targets:
            seconds = max(1, round(60 * given.minutes * SHARE[kind] / whole))
            found[kind] = fuzz(build(sources, kind, Path(scratch)), seconds, given.kept)
            print(kind, json.dumps(found[kind]), flush=True)
    release = subprocess.run([find_clang(), "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    result = {"network": network_digest(net), "compiler": release, "flags": FLAGS, "sanitizers": CHECKS, "without": LESS, "targets": found}
    write_whole(given.output, json.dumps(result | {"provenance": provenance()}, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except Error as error:
        sys.exit(str(error))
