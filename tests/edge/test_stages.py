# SPDX-License-Identifier: Apache-2.0
"""A chain runs each command once, again only where something has changed, and says how each ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ormia.edge import stages as module
from ormia.edge.errors import DataError
from ormia.edge.process import Finished
from ormia.edge.stages import STAMPS, Stage, digest_of, run_stages


class Commands:
    """Stands in for processes: a command is ("write", FILE, text), ("fail", code) or ("interrupt",)."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, ...]] = []
        self.stopped: list[tuple[str, ...]] = []
        self.joined: list[tuple[str, ...]] = []

    def __call__(self, command, *, shown):
        self.ran.append(command)
        return Running(self, command)


class Running:
    def __init__(self, commands, command):
        self.commands, self.command = commands, command

    def runs(self):
        return True

    def wait(self):
        self.commands.joined.append(self.command)
        what, *rest = self.command
        if what == "interrupt":
            raise KeyboardInterrupt
        if what == "fail":
            return Finished(int(rest[0]), "", "what must hold")
        if what == "write":
            Path(rest[0]).parent.mkdir(exist_ok=True)
            Path(rest[0]).write_text(rest[1])
        return Finished(0, "said")

    def stop(self):
        self.commands.stopped.append(self.command)


@pytest.fixture
def commands():
    return Commands()


def write(folder, name, text="x", **fields):
    path = folder / f"{name}.txt"
    return Stage(name=name, command=("write", str(path), text), outputs=(path,), **fields)


def states(outcomes):
    return {name: outcome.state for name, outcome in outcomes.items()}


def test_a_second_run_keeps_what_is_there_and_tells_its_time(tmp_path, commands):
    chain = [write(tmp_path, "a"), write(tmp_path, "b", inputs=(tmp_path / "a.txt",))]
    first = run_stages(chain, tmp_path, commands)
    assert states(first) == {"a": "done", "b": "done"}
    second = run_stages(chain, tmp_path, commands)
    assert states(second) == {"a": "kept", "b": "kept"}
    assert [second[name].seconds for name in "ab"] == [first[name].seconds for name in "ab"]
    assert len(commands.ran) == 2


def test_a_moved_folder_keeps_what_is_there(tmp_path, commands):
    (tmp_path / "one").mkdir()
    run_stages([write(tmp_path / "one", "a")], tmp_path / "one", commands)
    (tmp_path / "one").rename(tmp_path / "two")
    assert states(run_stages([write(tmp_path / "two", "a")], tmp_path / "two", commands)) == {"a": "kept"}


@pytest.mark.parametrize("change", ["input", "output", "loss", "command", "code", "stamps"])
def test_a_change_runs_a_stage_again(tmp_path, commands, monkeypatch, change):
    monkeypatch.setattr(module, "PACKAGE", tmp_path / "package")
    (tmp_path / "package").mkdir()
    source, given, run = tmp_path / "package/a.py", tmp_path / "given", tmp_path / "run"
    run.mkdir()
    source.write_text("1")
    given.write_text("1")

    def chain(text):
        return [write(run, "a", text, inputs=(given,), code=("*.py",))]

    run_stages(chain("x"), run, commands)
    assert states(run_stages(chain("x"), run, commands)) == {"a": "kept"}
    if change == "input":
        given.write_text("2")
    elif change == "output":
        (run / "a.txt").write_text("y")
    elif change == "loss":
        (run / "a.txt").unlink()
    elif change == "code":
        source.write_text("2")
    elif change == "stamps":
        (run / STAMPS).write_text("{broken")
    assert states(run_stages(chain("y" if change == "command" else "x"), run, commands)) == {"a": "done"}


def test_a_stage_that_is_not_cached_always_runs(tmp_path, commands):
    chain = [write(tmp_path, "a", cached=False)]
    assert [states(run_stages(chain, tmp_path, commands))["a"] for _ in range(2)] == ["done", "done"]


def test_a_missing_tool_does_not_end_the_chain_but_blocks_what_needs_it(tmp_path, commands):
    chain = [Stage(name="a", command=("fail", "3")), write(tmp_path, "b"), write(tmp_path, "c", needs=("a",)), write(tmp_path, "d", waits=True)]
    outcomes = run_stages(chain, tmp_path, commands)
    assert states(outcomes) == {"a": "missing", "b": "done", "c": "blocked", "d": "done"}
    assert (outcomes["a"].exit_code, outcomes["a"].sentence, outcomes["c"].sentence) == (3, "what must hold", "needs a")


def test_a_vital_stage_that_fails_ends_the_chain_and_stops_what_runs(tmp_path, commands):
    slow = write(tmp_path, "slow", background=True)
    outcomes = run_stages([slow, Stage(name="a", command=("fail", "1"), vital=True), write(tmp_path, "b")], tmp_path, commands)
    assert states(outcomes) == {"a": "failed"}
    assert commands.stopped == [slow.command]
    assert not (tmp_path / "b.txt").exists()


def test_the_chain_goes_on_beside_a_stage_in_the_background_until_one_waits_for_it(tmp_path, commands):
    slow = write(tmp_path, "slow", background=True)
    chain = [slow, write(tmp_path, "a"), write(tmp_path, "b", waits=True)]
    outcomes = run_stages(chain, tmp_path, commands)
    assert [Path(command[1]).stem for command in commands.ran] == ["slow", "a", "b"]
    assert [Path(command[1]).stem for command in commands.joined] == ["a", "slow", "b"]
    assert list(outcomes) == ["slow", "a", "b"]


def test_an_interrupt_stops_everything_and_the_next_run_goes_on(tmp_path, commands):
    stuck = Stage(name="b", command=("interrupt",))
    with pytest.raises(KeyboardInterrupt):
        run_stages([write(tmp_path, "slow", background=True), write(tmp_path, "a"), stuck], tmp_path, commands)
    assert [command[0] for command in commands.stopped] == ["write", "interrupt"]
    assert states(run_stages([write(tmp_path, "a"), write(tmp_path, "b")], tmp_path, commands)) == {"a": "kept", "b": "done"}


def test_a_command_that_did_not_write_what_it_should_has_failed(tmp_path, commands):
    outcome = run_stages([Stage(name="a", command=("nothing",), outputs=(tmp_path / "a",))], tmp_path, commands)["a"]
    assert outcome.state == "failed"
    assert outcome.sentence == f"`ormia nothing` must write {tmp_path / 'a'}, but did not"
    assert "key" not in json.loads((tmp_path / STAMPS).read_text())["a"]


def test_what_is_left_to_do_gets_what_the_command_printed(tmp_path, commands):
    said = []
    run_stages([write(tmp_path, "a", after=said.append)], tmp_path, commands)
    assert said == ["said"]


def test_a_folder_in_which_a_command_goes_on_is_emptied_only_where_its_inputs_changed(tmp_path, commands):
    given, folder = tmp_path / "given", tmp_path / "work"
    given.write_text("1")

    def chain(command):
        return [Stage(name="a", command=command, inputs=(given,), resumes=folder)]

    folder.mkdir()
    (folder / "foreign").write_text("nobody of us began here")
    run_stages(chain(("fail", "1")), tmp_path, commands)
    run_stages(chain(("fail", "1")), tmp_path, commands)
    assert (folder / "foreign").exists()
    given.write_text("2")
    run_stages(chain(("fail", "1")), tmp_path, commands)
    assert not folder.exists()


def test_digests_cover_every_file_below_a_folder(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_bytes(b"")
    (tmp_path / "a/__pycache__").mkdir()
    (tmp_path / "a/__pycache__/d").write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest_of([tmp_path / "a", tmp_path / "absent"]) == {str(tmp_path / "a/b/c"): empty}


def test_stamps_that_cannot_be_read_are_refused(tmp_path, commands):
    (tmp_path / STAMPS).mkdir()
    with pytest.raises(DataError, match="must be readable"):
        run_stages([], tmp_path, commands)
