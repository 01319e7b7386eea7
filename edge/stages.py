# SPDX-License-Identifier: Apache-2.0
"""A chain of commands in a folder: each run once, again only where its inputs, its code or its outputs have changed. Knows no command.

``stages.json`` in the folder remembers what was made from what. Interrupted, a chain goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .console import stderr
from .errors import DataError
from .files import write_whole
from .process import Finished, Process

__all__ = ["STAMPS", "Outcome", "Stage", "digest_of", "run_stages"]

STAMPS = "stages.json"
PACKAGE = Path(__file__).parents[1]
STATES = {0: "done", 3: "missing"}  # by exit code; any other is "failed"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One command of a chain.

    Attributes
    ----------
    name : str
    command : tuple of str
        Arguments of ``ormia``.
    inputs, outputs : tuple of Path
        Files and folders whose content decides whether the stage is run again.
    code : tuple of str
        Patterns of folders and files of this package on which its outputs depend.
    needs : tuple of str
        Stages without which it cannot run.
    waits : bool
        Whether it also waits for every stage before it, in whatever way they end.
    vital : bool
        Whether the chain ends with it.
    background : bool
        Whether the chain goes on while it runs.
    cached : bool
        False for a command that knows best itself whether anything changed: it is always run.
    resumes : Path, optional
        Folder in which an interrupted command goes on. It is emptied where command, inputs or ``resume_code`` are not those it was begun with.
    resume_code : tuple of str
    after : callable, optional
        What is left to do with the standard output once the command has succeeded.
    """

    name: str
    command: tuple[str, ...]
    inputs: tuple[Path, ...] = ()
    outputs: tuple[Path, ...] = ()
    code: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    waits: bool = False
    vital: bool = False
    background: bool = False
    cached: bool = True
    resumes: Path | None = None
    resume_code: tuple[str, ...] = ()
    after: Callable[[str], None] | None = None


@dataclass(frozen=True)
class Outcome:
    """How a stage ended: done, kept (nothing had changed), missing (a tool), failed or blocked (by a stage that it needs).

    ``seconds`` of a kept stage are those it once took.
    """

    state: str
    seconds: float
    exit_code: int = 0
    sentence: str | None = None


def digest_of(paths: Sequence[Path]) -> dict[str, str]:
    """SHA-256 of each file, and of each file below each folder; absent ones are left out."""
    found: dict[str, str] = {}
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts) if path.is_dir() else [path]
        for file in files:
            with suppress(FileNotFoundError), file.open("rb") as opened:
                found[str(file)] = hashlib.file_digest(opened, "sha256").hexdigest()
    return found


def run_stages(stages: Sequence[Stage], folder: Path, start: Callable[..., Process] = Process) -> dict[str, Outcome]:
    """Run a chain in order.

    Parameters
    ----------
    stages : sequence of Stage
    folder : Path
        Where ``stages.json`` lies and the outputs belong.
    start : callable
        Starts a command, as ``Process`` does.

    Returns
    -------
    dict of str to Outcome
        In the order of the stages; it ends with a vital stage that failed.
    """
    return _Chain(stages, folder, start).run()


class _Chain:
    def __init__(self, stages: Sequence[Stage], folder: Path, start: Callable[..., Process]) -> None:
        self._stages, self._folder, self._start = stages, folder, start
        self._stamps = _read_stamps(folder)
        self._outcomes: dict[str, Outcome] = {}
        self._running: dict[str, tuple[Stage, Process, float]] = {}

    def run(self) -> dict[str, Outcome]:
        try:
            for number, stage in enumerate(self._stages, 1):
                self._join(None if stage.waits else stage.needs)
                self._begin(stage, f"[bold]{number}/{len(self._stages)} {stage.name}[/bold]")
                if stage.vital and self._outcomes[stage.name].exit_code:
                    break
            else:
                self._join(None)
        finally:
            for _, process, _ in self._running.values():
                process.stop()
        return {stage.name: self._outcomes[stage.name] for stage in self._stages if stage.name in self._outcomes}

    def _begin(self, stage: Stage, title: str) -> None:
        lacking = [name for name in stage.needs if self._outcomes[name].state not in ("done", "kept")]
        if lacking:
            self._outcomes[stage.name] = Outcome("blocked", 0.0, 0, f"needs {', '.join(lacking)}")
            stderr.print(f"{title}  left out: it needs {', '.join(lacking)}", highlight=False)
            return
        stamp = self._stamps.get(stage.name, {})
        key = self._key(stage, stage.code)
        if stage.cached and stamp.get("key") == key and stamp.get("outputs") == self._relative(digest_of(stage.outputs)):
            self._outcomes[stage.name] = Outcome("kept", stamp["seconds"])
            stderr.print(f"{title}  kept, nothing has changed", highlight=False)
            return
        stderr.print(f"{title}  ormia {' '.join(stage.command)}{'  (in the background)' if stage.background else ''}", highlight=False, soft_wrap=True)
        begun = self._key(stage, stage.resume_code)
        if stage.resumes is not None and stamp.get("begun", begun) != begun:
            shutil.rmtree(stage.resumes, ignore_errors=True)
        self._stamp(stage, {"begun": begun})
        process = self._start(stage.command, shown=not stage.background)
        self._running[stage.name] = (stage, process, time.monotonic())
        if not stage.background:
            self._join((stage.name,))

    def _join(self, names: Sequence[str] | None) -> None:
        """Wait for stages that run, all of them for None."""
        for name in [name for name in self._running if names is None or name in names]:
            stage, process, begun = self._running[name]
            if stage.background and process.runs():
                stderr.print(f"    waiting for {name}", highlight=False)
            finished = process.wait()
            del self._running[name]
            self._finish(stage, finished, round(time.monotonic() - begun, 1))

    def _finish(self, stage: Stage, finished: Finished, seconds: float) -> None:
        code, sentence = finished.exit_code, finished.sentence
        if code == 0:
            if stage.after is not None:
                stage.after(finished.output)
            absent = [str(path) for path in stage.outputs if not path.exists()]
            if absent:
                code, sentence = 1, f"`ormia {' '.join(stage.command)}` must write {', '.join(absent)}, but did not"
        state = STATES.get(code, "failed")
        self._outcomes[stage.name] = Outcome(state, seconds, code, sentence)
        if state == "done":
            stamp = {"key": self._key(stage, stage.code), "outputs": self._relative(digest_of(stage.outputs)), "seconds": seconds}
            self._stamp(stage, self._stamps[stage.name] | stamp)
        if stage.background and sentence:
            stderr.print(f"    {stage.name}: {sentence}", highlight=False, markup=False, soft_wrap=True)
        stderr.print(f"    {stage.name} {state} in {seconds:.1f} s", highlight=False)

    def _stamp(self, stage: Stage, stamp: dict[str, Any]) -> None:
        self._stamps[stage.name] = stamp
        write_whole(self._folder / STAMPS, json.dumps(self._stamps, indent=1) + "\n")

    def _key(self, stage: Stage, code: Sequence[str]) -> str:
        """Digest of the command, its inputs and the code behind it, wherever the folder lies."""
        command = [part.replace(str(self._folder), "RUN") for part in stage.command]
        files = [path for pattern in code for path in sorted(PACKAGE.glob(pattern))]
        sources = {name.removeprefix(str(PACKAGE)): digest for name, digest in digest_of(files).items()}
        content = [command, self._relative(digest_of(stage.inputs)), sources]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _relative(self, digests: dict[str, str]) -> dict[str, str]:
        return {name.replace(str(self._folder), "RUN"): digest for name, digest in digests.items()}


def _read_stamps(folder: Path) -> dict[str, Any]:
    """What an earlier run left; nothing where that is not readable."""
    try:
        stamps = json.loads((folder / STAMPS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DataError(f"{folder / STAMPS} must be readable, but: {(error.strerror or str(error)).lower()}") from error
    except ValueError:
        return {}
    return {name: stamp for name, stamp in stamps.items() if isinstance(stamp, dict)} if isinstance(stamps, dict) else {}
