# SPDX-License-Identifier: Apache-2.0
"""One ``ormia`` command in a process of its own: its result, its exit code and the sentence it failed with, shown or not.

A process of its own keeps torch, compilers and simulators apart, and a command that dies takes nothing with it.
"""

from __future__ import annotations

import codecs
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Thread
from types import FrameType
from typing import IO

from .console import stderr

__all__ = ["Finished", "Process", "stop_on_signals"]

COMPLAINT = "ormia: "  # how edge/cli.py begins the sentence of an error
TAIL = 1 << 16
PATIENCE = 5.0  # seconds to leave


@dataclass(frozen=True)
class Finished:
    """What a command left: exit code, standard output, and the sentence of its error."""

    exit_code: int
    output: str
    sentence: str | None = None


class Process:
    """A running command.

    Parameters
    ----------
    command : sequence of str
        Arguments of ``ormia``.
    shown : bool
        Whether its log and progress bars go where ours go.
    """

    def __init__(self, command: Sequence[str], *, shown: bool) -> None:
        shown = shown and not stderr.quiet
        environment = dict(os.environ)
        if shown and stderr.is_terminal:  # it writes into a pipe of ours, at the end of which there is a terminal
            environment |= {"TTY_COMPATIBLE": "1", "COLUMNS": str(shutil.get_terminal_size().columns)}
        self._command, self._shown = command, shown
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.cli", *([] if shown else ["-q"]), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            process_group=0,  # Ctrl-C comes to us alone, and we hand it on to the command and all that it started
        )
        self._output, self._said = bytearray(), ""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            Thread(target=self._keep, args=(self._process.stdout,), daemon=True),
            Thread(target=self._hear, args=(self._process.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def wait(self) -> Finished:
        """Its end. An interrupt meanwhile leaves it running: ``stop`` it."""
        for reader in self._readers:
            reader.join()
        code = self._process.wait()
        self._close()
        return Finished(code, self._output.decode(errors="replace"), self._sentence(code))

    def stop(self) -> None:
        """Interrupt it and all that it started; end and then kill what does not leave."""
        self._shown = False  # that it was interrupted is no news
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self.runs():
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, number)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        self._close()

    def _close(self) -> None:
        for reader, stream in zip(self._readers, (self._process.stdout, self._process.stderr), strict=True):
            if stream is not None and not reader.is_alive():
                stream.close()

    def _keep(self, stream: IO[bytes]) -> None:
        while data := os.read(stream.fileno(), TAIL):
            self._output += data

    def _hear(self, stream: IO[bytes]) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        while data := os.read(stream.fileno(), TAIL):
            text = decoder.decode(data)
            self._said = (self._said + text)[-TAIL:]
            if self._shown:
                sys.stderr.write(text)
                sys.stderr.flush()

    def _sentence(self, code: int) -> str | None:
        """What it complained of: the command line writes it last."""
        if code == 0:
            return None
        place = f"\n{self._said}".rfind(f"\n{COMPLAINT}")
        if place >= 0:
            return self._said[place + len(COMPLAINT) :].strip()
        ended = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        last = self._said.strip().splitlines()[-1:] or ["it said nothing"]
        return f"`ormia {' '.join(self._command)}` must end by itself, but {ended}; the last it said: {last[0]}"


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Within it, being told to end (SIGTERM, SIGHUP) is an interrupt like Ctrl-C, so that what was started is stopped."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
