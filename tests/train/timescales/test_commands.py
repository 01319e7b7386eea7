# SPDX-License-Identifier: Apache-2.0
"""``ormia search timescale`` from recipe to network file, and its sentences for bad input."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("optuna", reason="the search extra is not installed")
pytest.importorskip("matplotlib", reason="the report extra is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:tensorboard.*")

from ormia.edge import cli  # noqa: E402
from ormia.edge.netfile import read_network  # noqa: E402
from toy_events import Toy  # noqa: E402

ROOT = Path(__file__).parents[3]
LITTLE = ["trials=2", "training.epochs=1", "training.batch=16", "training.model.layers=[{neurons=8, motif=4}, {neurons=8, motif=4}]", "space.delays=['kernel']"]


@pytest.fixture
def search(tmp_path, monkeypatch, capsys):
    """Run ``ormia search timescale quick`` on toy events; returns exit code, stdout, stderr."""
    monkeypatch.setattr("ormia.train.program.load_corpus", lambda *_: None)
    monkeypatch.setattr("ormia.train.program.make_source", lambda *_: Toy())

    def call(*settings, options=()):
        given = [word for setting in (*LITTLE, *settings) for word in ("--set", setting)]
        with pytest.raises(SystemExit) as left:
            cli.main(["-q", "search", "timescale", "quick", "--data", "toy", "--output", str(tmp_path / "run"), *given, *options])
        out, err = capsys.readouterr()
        return left.value.code, out, err

    return call


def test_the_command_searches_trains_and_says_what_events_of_the_past_take(search, tmp_path):
    code, out, _ = search()
    result = json.loads((tmp_path / "run" / "metrics.json").read_text())
    net = read_network(tmp_path / "run" / "network" / "net.ormia")
    assert code == 0
    assert net.max_delay == result["price"]["max_delay"] > 0
    assert f"of these {result['price']['history_bits']} for past events" in out
    assert "layer 1: 8 neurons, time constants" in out
    assert (tmp_path / "run" / "plots" / "front.svg").exists()
    code, out, _ = search(options=["--json"])
    assert (code, json.loads(out)["chosen"]) == (0, result["chosen"])


@pytest.mark.parametrize(
    ("setting", "code", "sentence"),
    [
        ("budget.history_bits=64", 1, "not even the events of one timestep fit"),
        ("budget.weights=20", 1, "at most budget.weights = 20 weights"),
        ("space.mean=[0.2, 0.4]", 1, "must be within 1 to 4095.5 timesteps"),
        ("space.kernel=[3, 2]", 2, "space.kernel must be a range from low to high, not 3 to 2"),
        ("trails=3", 2, "did you mean 'trials'?"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(search, tmp_path, setting, code, sentence):
    found, out, err = search(setting)
    assert (found, out) == (code, "")
    assert sentence in err
    assert not (tmp_path / "run" / "network").exists()
    assert not (tmp_path / "run" / "plots").exists()


def test_the_page_of_results_is_what_its_program_writes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    monkeypatch.setattr(sys, "argv", ["timescales_page.py", "--results", str(ROOT / "bench" / "results"), "--output", str(tmp_path)])
    runpy.run_path(str(ROOT / "bench" / "timescales_page.py"), run_name="__main__")
    assert (tmp_path / "timescales.md").read_text() == (ROOT / "docs" / "results" / "timescales.md").read_text()
