# SPDX-License-Identifier: Apache-2.0
"""The quick form of ``bench/agreement.py``: random networks over every construct, the runtime's traces, batches and streams against the reference."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[1] / "bench" / "agreement.py"


def test_five_thousand_random_timesteps_agree_in_every_way_to_run_them(tmp_path):
    ran = subprocess.run([sys.executable, BENCH, "--timesteps", "5000", "--seed", "9000", "--output", tmp_path / "out.json"], capture_output=True, text=True)
    result = json.loads((tmp_path / "out.json").read_text())
    assert (ran.returncode, result["differences"], result["first_difference"]) == (0, 0, None), ran.stderr
    assert result["timesteps"] >= 5000
    assert min(result["branches"].values()) > 100
