# SPDX-License-Identifier: Apache-2.0
"""The whole chain, small: speech to a report by ``ormia demo``, and every file of it about one and the same network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

LITTLE = ("--keywords", "yes,no", "--quick", "--set", "epochs=1", "--clips", "1")


def demo(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ormia.edge.cli", "demo", *LITTLE, "--output", str(folder), "--json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=550, check=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a run, and what the demo printed."""
    folder = tmp_path_factory.mktemp("chain")
    done = demo(folder)
    if done.returncode == 3:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr[-2000:]
    return folder, json.loads(done.stdout)


def read(folder: Path, name: str):
    return json.loads((folder / name).read_text())


def test_every_stage_is_done(run):
    _, result = run
    assert {stage["state"] for stage in result["stages"].values()} == {"done"}
    assert len(result["stages"]) == 10


def test_every_file_is_about_the_same_network(run):
    folder, _ = run
    digests = {
        "train": read(folder, "train/metrics.json")["network"],
        "inspect": read(folder, "inspect.json")["digest"],
        "eval": read(folder, "eval.json")["network"]["digest"],
        "c": read(folder, "c.json")["digest"],
        "fpga": read(folder, "fpga.json")["network_digest"],
        "verify": read(folder, "verify.json")["network"]["digest"],
    }
    assert len(set(digests.values())) == 1, digests
    digest = digests["eval"]
    assert digest in next((folder / "c").glob("ormia_*.c")).read_text()
    assert digest in next((folder / "verilog").glob("*.sv")).read_text()
    assert digest[:12] in (folder / "report.html").read_text()


def test_evaluation_and_training_score_the_file_alike(run):
    folder, _ = run
    metrics, evaluation = read(folder, "train/metrics.json"), read(folder, "eval.json")
    assert metrics["accuracy"]["test"] == {"share": evaluation["accuracy"], "clips": evaluation["clips"]}
    assert metrics["torch_exact_mode_agrees_on_every_clip"] is True
    assert metrics["corpus"] == evaluation["corpus"]["digest"] == read(folder, "corpus/corpus.json")["digest"]


def test_no_backend_differs(run):
    folder, _ = run
    verification = read(folder, "verify.json")
    assert verification["differences"] == 0
    ran = {row["backend"] for row in verification["backends"] if row["available"]}
    assert ran >= {"reference", "numba", "torch", "c"}
    assert len({json.dumps(row["counters"]) for row in verification["backends"] if row["available"]}) == 1


def test_the_bitstream_is_whole(run):
    folder, _ = run
    built = read(folder, "fpga.json")
    assert (folder / "fpga" / built["bitstream"]).stat().st_size == built["bitstream_bytes"] > 100_000


def test_a_second_run_has_nothing_to_do(run):
    folder, _ = run
    done = demo(folder)
    assert done.returncode == 0, done.stderr[-2000:]
    states = {name: stage["state"] for name, stage in json.loads(done.stdout)["stages"].items()}
    assert states == {name: "done" if name == "corpus" else "kept" for name in states}
