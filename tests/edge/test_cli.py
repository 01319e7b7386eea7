# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
import os
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
from ormia.edge import cli, errors

COMMANDS = '''
"""Commands of this test."""
import enum, logging
from typing import Annotated
import typer
from ormia.edge.errors import *

class Size(enum.StrEnum):
    SMALL = "small"

def good(word: str, count: Annotated[int, typer.Option(help="How often.")] = 1, size: Size = Size.SMALL) -> dict:
    """Say a word.

    At length.
    """
    logging.getLogger("ormia.test").info("information")
    logging.getLogger("ormia.test").debug("detail")
    typer.echo(" ".join([word] * count))
    return {"word": word}

def fail(kind: str) -> None:
    """Fail."""
    raise {"data": DataError, "net": NetworkFileError, "tool": MissingTool, "check": CheckFailed, "usage": UsageError, "key": KeyError,
           "stop": KeyboardInterrupt, "abort": typer.Abort, "exit": lambda text: typer.Exit(7)}[kind]("what must hold")

def heavy() -> None:
    """Need what is not there."""
    import a_module_that_nobody_has
'''


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run ``ormia`` with the commands above; returns exit code, stdout, stderr."""
    (tmp_path / "cli_test_commands.py").write_text(COMMANDS)
    (tmp_path / "train_test").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    commands = [EntryPoint(name, f"cli_test_commands:{name}", "ormia.commands") for name in ("good", "fail", "heavy")]
    commands.append(EntryPoint("absent", "ormia.edge.no_such_module:absent", "ormia.commands"))
    commands.append(EntryPoint("learn", "cli_test_commands.train:learn", "ormia.commands"))
    emitters = [EntryPoint("c", "cli_test_commands:good", "ormia.emitters")]
    monkeypatch.setattr(cli, "entry_points", lambda group: {"ormia.commands": commands[:4], "ormia.emitters": emitters, "ormia.searches": []}[group])
    before = (logging.getLogger("ormia").handlers[:], logging.getLogger("ormia").propagate, logging.getLogger("ormia").level)

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            cli.main(arguments)
        out, err = capsys.readouterr()
        return left.value.code, out, err

    yield call
    logging.getLogger("ormia").handlers[:], logging.getLogger("ormia").propagate, _ = before
    logging.getLogger("ormia").setLevel(before[2])
    sys.modules.pop("cli_test_commands", None)


def test_a_command_runs_with_its_options(run):
    assert run("-q", "good", "hear", "--count", "2") == (0, "hear hear\n", "")
    assert run("-q", "emit", "c", "hear") == (0, "hear\n", "")


@pytest.mark.parametrize(("kind", "code"), [("data", 1), ("net", 1), ("usage", 2), ("tool", 3), ("check", 4)])
def test_an_error_of_the_family_is_one_line_and_its_exit_code(run, kind, code):
    assert run("fail", kind) == (code, "", "ormia: what must hold\n")


def test_every_member_of_the_family_has_one_of_the_documented_codes():
    assert {name: getattr(errors, name).exit_code for name in errors.__all__} == {
        "Error": 1, "DataError": 1, "NetworkError": 1, "NetworkFileError": 1, "TargetError": 1, "UsageError": 2, "MissingTool": 3, "CheckFailed": 4,
        "SizeError": 1, "LengthError": 1, "ChannelError": 1, "OrderError": 1, "PayloadError": 1, "TablesError": 4, "SelftestError": 4,
    }  # fmt: skip


def test_an_interrupt_is_130_and_one_line(run):
    for kind in ("stop", "abort"):
        assert run("fail", kind) == (130, "", "ormia: interrupted\n")
    assert run("fail", "exit")[0] == 7


def test_a_fault_of_ours_is_one_line_unless_a_traceback_is_asked_for(run):
    code, out, err = run("fail", "key")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "fault of ormia" in err
    assert "KeyError" in err
    with pytest.raises(KeyError):
        cli.main(["-v", "fail", "key"])


def test_unknown_names_are_usage_errors_with_near_names(run):
    for arguments, words in [
        (("goodd",), "did you mean good?"),
        (("xyz",), "the names are"),
        (("emit", "cc"), "did you mean c?"),
        (("--fast", "good"), "not '--fast'"),
        (("good", "x", "--cuont", "2"), "--count"),
        (("good", "x", "--count", "two"), "valid integer"),
        (("good", "x", "--size", "large"), "small"),
        (("good",), "word"),
        (("good", "x", "y"), "y"),
    ]:
        code, out, err = run(*arguments)
        assert (code, out) == (2, ""), arguments
        assert err.startswith("ormia: ")
        assert err.count("\n") == 1
        assert words in err, arguments
        assert "--help" in err


def test_help_lists_every_command_with_the_first_line_of_its_docstring(run):
    code, out, _ = run("--help")
    assert code == 0
    assert "  good    Say a word.\n" in out
    assert "  emit    " in out
    assert "  absent  (not part of this installation)\n" in out
    assert "cli_test_commands" not in sys.modules
    assert run()[0] == 2
    assert "Say a word." in run("emit", "--help")[1]
    assert "How often." in run("good", "--help")[1]


def test_a_command_whose_extra_is_missing_shows_and_says_how_to_install_it(run, monkeypatch):
    lost = EntryPoint("lost", "ormia.train.lost:lost", "ormia.commands")
    monkeypatch.setattr(cli, "entry_points", lambda group: [lost] if group == "ormia.commands" else [])
    monkeypatch.setattr(cli, "extras", lambda: {"train": ["torch", "no-such-distribution"]})
    cli.missing_extra.cache_clear()
    try:
        assert "[needs pip install 'ormia[train]']" in run("--help")[1]
        assert run("lost") == (3, "", "ormia: `ormia lost` needs the extra 'train': pip install 'ormia[train]'\n")
    finally:
        cli.missing_extra.cache_clear()


def test_a_missing_module_is_exit_3_and_a_missing_part_of_ormia_says_so(run):
    assert run("heavy") == (3, "", "ormia: `ormia heavy` needs the Python module 'a_module_that_nobody_has': pip install 'ormia[all]'\n")
    code, _, err = run("absent")
    assert code == 1
    assert "install ormia again" in err


def test_extras_come_from_the_metadata_of_the_package():
    assert {"train", "hdl", "sim", "report"} <= set(cli.extras())
    assert "torch" in cli.extras()["train"]


@pytest.mark.parametrize(("flags", "seen"), [((), "information"), (("-v",), "detail"), (("-q",), ""), (("-v", "-q"), "information")])
def test_the_log_goes_to_stderr_by_verbosity_before_or_after_the_command(run, flags, seen):
    for arguments in ((*flags, "good", "hear"), ("good", "hear", *flags)):
        code, out, err = run(*arguments)
        assert (code, out) == (0, "hear\n")
        assert (seen in err) if seen else not err
        assert ("detail" in err) == (seen == "detail")


def test_help_imports_nothing_heavy():
    heavy = ["torch", "numba", "scipy", "amaranth", "cocotb", "matplotlib", "safetensors", "soundfile", "numpy", "typer"]
    program = f"import sys; from ormia.edge.cli import main\ntry: main(['--help'])\nfinally: print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_closed_pipe_ends_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", "from ormia.edge.cli import main; main(['--help'])"], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")
