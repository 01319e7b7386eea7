# SPDX-License-Identifier: Apache-2.0
"""Audio for tests: signals at every extreme, something like speech, and real recordings where there are any."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

N = 1280
_RNG = np.random.default_rng(20260101)
SIGNALS = {
    "zeros": np.zeros(N, np.int16),
    "lowest value everywhere": np.full(N, -32768, np.int16),
    "highest value everywhere": np.full(N, 32767, np.int16),
    "full-scale square of the lowest pitch": np.where(np.arange(N) // 128 % 2, 32767, -32768).astype(np.int16),
    "full-scale square": np.where(np.arange(N) // 9 % 2, 32767, -32768).astype(np.int16),
    "full-scale alternation": np.where(np.arange(N) % 2, 32767, -32768).astype(np.int16),
    "negative impulse": (np.arange(N) == 700).astype(np.int16) * np.int16(-32768),
    "unit impulse": (np.arange(N) == 639).astype(np.int16),
    "one unit up and down": _RNG.integers(-1, 2, N, np.int16),
    "white noise of full scale": _RNG.integers(-32768, 32768, N, np.int16),
    "silence, then a loud tone, then silence": np.where(np.arange(N) // 500 == 1, 32767 * np.sin(np.arange(N) * 0.3), 0).astype(np.int16),
    "a loud chirp": (32767 * np.sin(np.cumsum(np.linspace(0, np.pi, N)))).astype(np.int16),
}


def speechlike(seconds: float = 6.0) -> np.ndarray:
    """int16: bursts of tones and noise of any loudness between pauses, at 16 kHz."""
    rng = np.random.default_rng(9)
    pieces: list[np.ndarray] = []
    while sum(map(len, pieces)) < 16000 * seconds:
        n, loud = int(rng.integers(300, 4000)), 2 ** rng.uniform(0, 14.5)
        tone = np.sin(np.cumsum(np.full(n, rng.uniform(0.01, 2.5)))) * rng.random() + rng.normal(size=n) * rng.random() * 0.3
        pieces += [tone * loud, rng.normal(size=int(rng.integers(0, 3000))) * 2]
    return np.clip(np.concatenate(pieces), -32768, 32767).astype(np.int16)


def real_clips(count: int) -> list[np.ndarray]:
    """Clips of the recordings under ORMIA_DATA (a folder with manifest.csv); the test is skipped where there are none."""
    soundfile = pytest.importorskip("soundfile")
    folder = Path(os.environ.get("ORMIA_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (folder / "manifest.csv").exists():
        pytest.skip(f"no recordings in {folder}; set ORMIA_DATA to a folder with a manifest.csv")
    with (folder / "manifest.csv").open() as file:
        paths = [row["path"] for row in csv.DictReader(file) if row["dataset"] in ("gsc", "noise_gsc")]
    return [soundfile.read(folder / path, dtype="int16")[0] for path in paths[:: len(paths) // count]]
