# SPDX-License-Identifier: Apache-2.0
"""``ormia search hrmas`` from recipe to network file, in two pieces, and its sentences for bad input; the page of results is what its program writes."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from ormia.edge import cli
from ormia.edge.netfile import read_network
from toy_events import Toy

ROOT = Path(__file__).parents[3]
RECIPE = """
epochs = 2
size_epochs = 1
sizes = [2, 4]
[training]
epochs = 1
batch = 16
[training.model]
layers = [{ neurons = 8, tau_membrane = [4.0] }]
"""


@pytest.fixture
def search(tmp_path, monkeypatch, capsys):
    """Run ``ormia search hrmas`` with a small recipe on toy events; returns exit code, stdout, stderr."""
    (tmp_path / "small.toml").write_text(RECIPE)
    monkeypatch.setattr("ormia.train.program.load_corpus", lambda *_: None)
    monkeypatch.setattr("ormia.train.program.make_source", lambda *_: Toy())

    def call(*arguments, recipe=None):
        with pytest.raises(SystemExit) as left:
            cli.main(["-q", "search", "hrmas", recipe or str(tmp_path / "small.toml"), "--data", "toy", "--output", str(tmp_path / "run"), *arguments])
        out, err = capsys.readouterr()
        return left.value.code, out, err

    return call


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:tensorboard.*")
def test_the_command_stops_after_its_minutes_goes_on_and_leaves_a_network(search, tmp_path):
    pytest.importorskip("matplotlib")
    code, out, _ = search("--minutes", "0.000001")
    assert (code, out) == (0, "1 of 2 epochs; the same command goes on\n")
    code, out, _ = search("--json")
    said = json.loads(out)
    assert (code, said["epochs"], said["iterations"]) == (0, 2, 6)
    assert said == json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert len(read_network(tmp_path / "run" / "network" / "net.ormia").motifs) == 1
    assert (tmp_path / "run" / "plots" / "layer0_motif.svg").exists()


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        (["sizes=[3]"], 2, "every motif size must divide the layer: 8 neurons are no whole number of motifs of 3"),
        (["sizse=[2]"], 2, "did you mean 'sizes'"),
        (["price.synapses=1e6", "architecture_rate=9.0"], 1, "a found topology must have links, but every type of layer 0"),
        (["architecture_rate=inf"], 1, "every architecture logit must be finite; it is not at iteration 0"),
        (["training.rate_target=0.00001", "plasticity.on=false"], 1, "every layer must fire between 0.0001 and 0.95"),
    ],
)
def test_bad_input_and_a_search_that_cannot_go_on_are_one_sentence(search, settings, code, words):
    found, out, err = search(*(word for setting in settings for word in ("--set", setting)))
    assert (found, out) == (code, "")
    assert words in err
    assert sum(line.startswith("ormia: ") for line in err.splitlines()) == 1


def test_the_page_of_results_is_what_its_program_writes(tmp_path, monkeypatch):
    results, page = ROOT / "bench" / "results", tmp_path / "page.md"
    files = {name: results / f"hrmas_{name}.json" for name in ("search", "core", "repair")}
    given = [word for name, path in files.items() if path.exists() for word in (f"--{name}", str(path))]
    monkeypatch.setattr(sys, "argv", ["hrmas_page.py", str(results / "hrmas.json"), *given, "--output", str(page)])
    runpy.run_path(str(ROOT / "bench" / "hrmas_page.py"), run_name="__main__")
    assert page.read_text() == (ROOT / "docs" / "results" / "hrmas.md").read_text()
