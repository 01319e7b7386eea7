# SPDX-License-Identifier: Apache-2.0
"""Cost of the front end candidates: arithmetic, memory, events on real clips, speed, and instructions of straightforward C.

    python bench/frontend.py --data RECORDINGS [--output bench/results/frontend.json]

RECORDINGS is a folder with a manifest.csv (columns path, dataset, word, split). Instructions are those of the host compiler at -O2
without vectorization, counted by ``valgrind --tool=callgrind``; the C is checked against the Numba front end on the clips it is counted on.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from ormia.edge.errors import CheckFailed, DataError, Error, MissingTool
from ormia.edge.frontend import FrontEnd, bank_front_end, fft_front_end
from ormia.edge.frontend.config import BankSpectrum
from ormia.edge.provenance import provenance

SOURCES = Path(__file__).parent / "frontend_c"
PARTS = {
    "fft": ("front_end_hop", "peak_bits", "load_frame", "first_stages", "later_stages", "sum_bands", "encode"),
    "bank": ("front_end_hop", "split", "filter", "encode"),
}
FLAGS = ("-std=gnu99", "-O2", "-fno-tree-vectorize", "-g", "-Wall", "-Wextra", "-Werror")


def load_clips(data: Path, dataset: str, split: str, limit: int) -> list[np.ndarray]:
    """Clips of a split, evenly spread over the manifest."""
    if not (data / "manifest.csv").exists():
        raise DataError(f"{data} must hold a manifest.csv; give the folder of recordings with --data")
    with (data / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["dataset"] == dataset and split in (row["split"], "any")]
    return [soundfile.read(data / row["path"], dtype="int16")[0] for row in rows[:: max(1, len(rows) // limit)]]


def arithmetic(front_end: FrontEnd) -> dict[str, int]:
    """Multiplications and units of work a second of audio, and bytes, from the tables alone."""
    spectrum, channels = front_end.spectrum, front_end.n_channels
    hops = front_end.sample_rate // front_end.hop_samples
    events_ram, log_rom = channels * (4 + 2) + 2, 32
    if not isinstance(spectrum, BankSpectrum):
        butterflies = 8 * 128
        turning = sum(128 - 2 * (128 >> stage) for stage in range(1, 8))  # those whose twiddle is neither 1 nor -i
        bins = sum(band >= 0 for band in spectrum.bin_band[1:])
        return {
            "butterflies": hops * butterflies,
            "section_updates": 0,
            "multiplications": hops * (512 + 512 + 4 * turning + 4 * 127 + 2 * 255 + 2 * bins),
            "rom_bytes": 2 * 512 + 4 * 256 + 256 + 256 + log_rom,
            "ram_bytes": 2 * 513 + 4 * 256 + 8 * (channels + 2) + events_ram,
        }
    rates = [front_end.sample_rate // rate for rate in spectrum.node_rate]
    owned = np.diff(spectrum.first)
    sections = int(sum(n * spectrum.sections * rate for n, rate in zip(owned, rates, strict=True)))
    splits = [rate for rate, parent, mirror in zip(rates, spectrum.node_parent, spectrum.node_mirror, strict=True) if parent >= 0 and not mirror]
    taps = len(spectrum.half_band)
    return {
        "butterflies": 0,
        "section_updates": sections,
        "multiplications": 3 * sections + sum(splits) * taps,
        "rom_bytes": 2 * 3 * channels + channels + 2 * taps + 5 * len(rates) + log_rom,
        "ram_bytes": 4 * (2 * spectrum.sections + 1) * channels + 8 * len(rates) + 4 * 4 * taps * len(splits) + events_ram,
    }


def event_rates(front_end: FrontEnd, clips: list[np.ndarray], skip_seconds: float = 0.0) -> dict[str, float]:
    """Events a second of each group of input channels."""
    n, names, skip = front_end.n_channels, ("on", "off", "level"), int(skip_seconds * front_end.sample_rate / front_end.hop_samples)
    counts, timesteps = np.zeros(3), 0
    for clip in clips:
        active = front_end.payloads(clip)[skip:] > 0
        timesteps += len(active)
        for group in range(front_end.n_inputs // n):
            counts[group] += active[:, group * n : (group + 1) * n].sum()
    rates = counts / (timesteps * front_end.hop_samples / front_end.sample_rate)
    return {name: round(float(rate), 1) for name, rate in zip(names, rates, strict=True)} | {"all": round(float(rates.sum()), 1)}


def real_time_factor(front_end: FrontEnd, clips: list[np.ndarray], repeats: int = 5) -> float:
    """Seconds of audio a second of one core, the best of some repeats (in processor time, so that other load does not count)."""
    front_end.payloads(clips[0])
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        for clip in clips:
            front_end.payloads(clip)
        best = min(best, time.process_time() - start)
    return round(sum(map(len, clips)) / front_end.sample_rate / best)


def tables_header(front_end: FrontEnd) -> str:
    """``tables.h`` of bench/frontend_c."""
    spectrum, coding = front_end.spectrum, front_end.coding
    macros = {"HOP": front_end.hop_samples, "N_CHANNELS": front_end.n_channels, "N_INPUTS": front_end.n_inputs} | {
        name.upper(): value for name, value in (coding.to_dict() | spectrum.to_dict()).items() if isinstance(value, int) and name != "n_channels"
    }
    tables = {name: array.tolist() for name, array in (coding.arrays | spectrum.arrays).items()}
    if isinstance(spectrum, BankSpectrum):
        macros |= {"N_NODES": len(spectrum.node_rate), "N_TAPS": len(spectrum.half_band)}
    else:
        tables["bit_reversed"] = [int(f"{i:08b}"[::-1], 2) for i in range(256)]
    lines = ["#include <stdint.h>"]
    lines += [f"#define {name} {value}" for name, value in macros.items()]
    for name, values in tables.items():
        low, high = min(values), max(values)
        kind = "uint8_t" if 0 <= low and high < 256 else "int8_t" if -128 <= low and high < 128 else "int16_t" if high < 32768 else "int32_t"
        lines.append(f"static const {kind} {name}[{len(values)}] __attribute__((unused)) = {{{', '.join(map(str, values))}}};")
    return "\n".join(lines) + "\n"


def instructions(front_end: FrontEnd, clip: np.ndarray) -> dict[str, Any]:
    """Instructions a second of audio of the C, in all and by part; the C must give the payloads of the Numba front end."""
    for tool in ("cc", "valgrind"):
        if shutil.which(tool) is None:
            raise MissingTool(f"counting instructions needs {tool}; install it with: apt-get install gcc valgrind")
    hops = len(clip) // front_end.hop_samples
    seconds = hops * front_end.hop_samples / front_end.sample_rate
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "front_end"
        (Path(folder) / "tables.h").write_text(tables_header(front_end))
        sources = [str(SOURCES / "common.c"), str(SOURCES / f"{front_end.kind}.c")]
        subprocess.run(["cc", *FLAGS, f"-I{folder}", f"-I{SOURCES}", *sources, "-o", str(program)], check=True)
        output = subprocess.run([program], input=clip.tobytes(), stdout=subprocess.PIPE, check=True).stdout
        got = np.frombuffer(output, np.uint8).reshape(-1, front_end.n_inputs)
        if not np.array_equal(got, front_end.payloads(clip)):
            raise CheckFailed(f"the C of the {front_end.kind} front end must give the payloads of ormia.edge.frontend, and does not")
        parts = {}
        for part in PARTS[front_end.kind]:
            command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", f"--toggle-collect={part}", str(program)]
            log = subprocess.run(command, input=clip.tobytes(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True).stderr.decode()
            collected = re.search(r"Collected\s*:\s*(\d+)", log)
            if collected is None:
                raise MissingTool("valgrind must report what callgrind collected; this version says nothing of it")
            parts[part] = round(int(collected[1]) / seconds)
    compiler = subprocess.run(["cc", "--version"], stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()[0]
    return {"per_second": parts.pop("front_end_hop"), "parts": parts, "flags": " ".join(FLAGS), "compiler": compiler}


def main() -> int:
    """Measure both candidates and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "frontend.json")
    arguments = parser.parse_args()
    try:
        clips = load_clips(arguments.data, "gsc", "train", 400)
        noise = load_clips(arguments.data, "noise_gsc", "any", 4)
        result: dict[str, Any] = {"clips": len(clips), "candidates": {}}
        for front_end in (fft_front_end(), bank_front_end()):
            print(f"measuring {front_end.kind}", file=sys.stderr)
            result["candidates"][front_end.kind] = {
                "channels": front_end.n_channels,
                "inputs": front_end.n_inputs,
                "payload_bits": front_end.payload_bits,
                "per_second_of_audio": arithmetic(front_end),
                "instructions": instructions(front_end, np.concatenate(clips[:4])),
                "events_per_second_speech": event_rates(front_end, clips),
                "events_per_second_noise": event_rates(front_end, noise, skip_seconds=5),
                "real_time_factor": real_time_factor(front_end, clips[:50]),
                "coding": {name: value for name, value in front_end.coding.to_dict().items() if isinstance(value, int)},
            }
        result["provenance"] = provenance()
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        beside = arguments.output.with_suffix(".part")
        beside.write_text(json.dumps(result, indent=1) + "\n")
        beside.rename(arguments.output)
    except Error as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
