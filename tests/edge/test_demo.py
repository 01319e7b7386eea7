# SPDX-License-Identifier: Apache-2.0
"""``ormia demo``: which commands it runs, what it does with what they print, and how it ends. The chain itself: tests/test_chain.py."""

from __future__ import annotations

import fcntl
import functools
import json
from pathlib import Path

import pytest
from ormia.edge import stages
from ormia.edge.demo import demo
from ormia.edge.errors import CheckFailed, DataError, Error, MissingTool
from ormia.edge.process import Finished


class Chain:
    """Stands in for every command: writes the file or folder after --output, and ends as ``ends`` says."""

    def __init__(self, corpus: Path) -> None:
        self.corpus = corpus
        self.ran: dict[str, tuple[str, ...]] = {}
        self.ends: dict[str, int] = {}

    def __call__(self, command, *, shown):
        name = " ".join(command[:2]) if command[0] == "emit" else command[0]
        self.ran[name] = command
        self.name, self.command = name, command
        return Ended(self, name, command)


class Ended:
    def __init__(self, chain, name, command):
        self.chain, self.name, self.command = chain, name, command

    def runs(self):
        return False

    def wait(self):
        code = self.chain.ends.get(self.name, 0)
        if code:
            return Finished(code, "", f"{self.name} must hold")
        if self.name == "data":
            return Finished(0, json.dumps({"folder": str(self.chain.corpus)}))
        if self.name == "report":
            (Path(self.command[1]) / "report.html").write_text("<html>")
        if "--output" in self.command:
            output = Path(self.command[self.command.index("--output") + 1])
            if output.suffix == ".json":
                output.write_text("{}")
            else:
                output.mkdir(exist_ok=True)
        if self.name == "train":
            for file in ("net.ormia", "metrics.json", "log.csv"):
                (output / file).write_text(file)
        return Finished(0, "{}\n")

    def stop(self):
        pass


@pytest.fixture
def chain(tmp_path, monkeypatch):
    corpus = tmp_path / "made"
    corpus.mkdir()
    (corpus / "corpus.json").write_text("{}")
    (corpus / "clips.npy").write_text("clips")
    chain = Chain(corpus)
    monkeypatch.setattr(stages, "run_stages", functools.partial(stages.run_stages, start=chain))
    return chain


def test_a_demo_leaves_every_file_of_the_chain(tmp_path, chain, capsys):
    run = tmp_path / "run"
    result = demo(output=run)
    assert {name: stage["state"] for name, stage in result["stages"].items()} == dict.fromkeys(
        ("corpus", "train", "bitstream", "inspect", "evaluate", "stream", "c", "verilog", "verify", "report"), "done"
    )
    assert {path.name for path in run.iterdir() if not path.name.startswith(".")} == {
        "corpus", "train", "net.ormia", "fpga", "fpga.json", "inspect.json", "eval.json", "stream.json", "c", "c.json", "verilog", "verify.json", "report.html",
        "demo.json", "stages.json",
    }  # fmt: skip
    assert (run / "net.ormia").read_text() == "net.ormia"
    assert (run / "corpus/clips.npy").read_text() == "clips"
    assert not (run / "corpus").is_symlink()
    assert json.loads((run / "demo.json").read_text())["provenance"]["versions"]["python"]
    assert f"report: {run / 'report.html'}" in capsys.readouterr().out


def test_keywords_recordings_and_settings_reach_their_commands(tmp_path, chain):
    demo(keywords="yes,no", data=tmp_path, noise=[tmp_path, tmp_path], recipe="gsc12", settings=["epochs=2"], clips=7, baseline=True, output=tmp_path / "run")
    assert chain.ran["data"][1:9] == ("--keywords", "yes,no", "--data", str(tmp_path), "--noise", str(tmp_path), "--noise", str(tmp_path))
    assert chain.ran["train"][1] == "gsc12"
    assert chain.ran["train"][-3:] == ("--set", "epochs=2", "--json")
    assert chain.ran["verify"][chain.ran["verify"].index("--clips") + 1] == "7"
    assert "baseline" in chain.ran


def test_quick_takes_little_of_everything_and_says_so(tmp_path, chain):
    assert demo(quick=True, output=tmp_path / "run")["quick"] is True
    assert "--clips" in chain.ran["data"]
    assert "epochs=6" in chain.ran["train"]
    assert chain.ran["verify"][chain.ran["verify"].index("--clips") + 1] == "3"


def test_a_missing_tool_is_told_at_the_end_and_the_rest_is_done(tmp_path, chain):
    chain.ends = {"build": 3, "emit verilog": 3}
    with pytest.raises(MissingTool, match=r"^stage bitstream: build must hold\n\(also verilog: see above\)$"):
        demo(output=tmp_path / "run")
    assert (tmp_path / "run/report.html").exists()
    assert json.loads((tmp_path / "run/demo.json").read_text())["stages"]["bitstream"]["state"] == "missing"


def test_a_failed_check_outweighs_everything_else(tmp_path, chain):
    chain.ends = {"build": 1, "verify": 4, "eval": 3}
    with pytest.raises(CheckFailed, match="verify must hold"):
        demo(output=tmp_path / "run")


def test_without_a_network_nothing_follows(tmp_path, chain):
    chain.ends = {"train": 1}
    with pytest.raises(Error, match="train must hold"):
        demo(output=tmp_path / "run")
    assert list(chain.ran) == ["data", "train"]


def test_another_corpus_takes_the_place_of_the_first(tmp_path, chain):
    demo(output=tmp_path / "run")
    other = tmp_path / "other"
    other.mkdir()
    (other / "corpus.json").write_text('{"other": 1}')
    chain.corpus = other
    result = demo(output=tmp_path / "run")
    assert [path.name for path in (tmp_path / "run/corpus").iterdir()] == ["corpus.json"]
    assert result["stages"]["train"]["state"] == "done"


def test_two_demos_in_one_folder_are_refused(tmp_path, chain):
    (tmp_path / ".lock").touch()
    with (tmp_path / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="only one demo at a time"):
            demo(output=tmp_path)


def test_an_output_that_is_a_file_is_refused(tmp_path, chain):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="must be a folder"):
        demo(output=tmp_path / "file")
