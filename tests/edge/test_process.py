# SPDX-License-Identifier: Apache-2.0
"""A command in its own process: what it printed, what it failed with, and how it is stopped."""

from __future__ import annotations

import os
import signal

import pytest
from ormia.edge.process import Finished, Process, stop_on_signals


def test_a_command_hands_back_what_it_printed(capfd):
    finished = Process(("--version",), shown=False).wait()
    assert (finished.exit_code, finished.sentence) == (0, None)
    assert finished.output.startswith("ormia ")
    assert capfd.readouterr() == ("", "")


def test_the_sentence_of_an_error_is_kept_and_shown(capsys):
    finished = Process(("inspect", "/nonexistent/net.ormia"), shown=True).wait()
    sentence = "/nonexistent/net.ormia must be a readable .ormia file, but: no such file or directory"
    assert finished == Finished(1, "", sentence)
    assert sentence in capsys.readouterr().err


def test_a_command_that_is_not_shown_says_nothing(capsys):
    finished = Process(("inspect", "/nonexistent/net.ormia"), shown=False).wait()
    assert finished.sentence is not None
    assert capsys.readouterr().err == ""


def test_a_stopped_command_is_gone_and_says_so():
    process = Process(("run", "/dev/null", "-"), shown=False)
    process.stop()
    assert not process.runs()
    finished = process.wait()
    assert finished.exit_code != 0
    assert finished.sentence is not None


def test_being_told_to_end_is_an_interrupt():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), stop_on_signals():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
