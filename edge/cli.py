# SPDX-License-Identifier: Apache-2.0
"""The ``ormia`` command: finds commands by entry point, imports only the one that runs, and turns errors into one line and an exit code.

A command is a plain function with Typer annotations. It raises members of ``edge/errors.py`` and returns anything; the summary in
``--help`` is the first line of its docstring, read without importing its module.
"""

from __future__ import annotations

import ast
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .errors import Error, MissingTool, UsageError

__all__ = ["extras", "main", "missing_extra"]

ORDER = ["demo", "data", "train", "search", "export", "inspect", "run", "eval", "emit", "build", "verify", "energy", "pareto", "report", "bench", "doctor"]
FLAGS = {"-v": 1, "--verbose": 1, "-q": -1, "--quiet": -1}
INTERRUPTED = 130  # what a shell reports for a program ended by Ctrl-C
HINT = "see `ormia --help`"
# command with one entry point for each of its kinds -> (group of entry points, what a kind is called, summary in --help)
FAMILIES = {
    "search": ("ormia.searches", "METHOD", "Search connections, motifs or time constants by one method."),
    "emit": ("ormia.emitters", "LANGUAGE", "Write the network as C or Verilog source."),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 done, 1 error, 2 usage, 3 missing tool or extra, 4 a check found a difference, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    verbose = any(flag in given for flag in ("-v", "--verbose"))
    try:
        code = _dispatch(given)
        sys.stdout.flush()
    except Error as error:
        if verbose and error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        code = _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        code = _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:  # `ormia ... | head`: nobody reads on, and flushing at exit must not complain either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        if verbose:
            raise
        code = _complain(f"this is a fault of ormia itself: {type(error).__name__}: {error} (run it again with -v for the place)".replace("\n", " "), 1)
    sys.exit(code)


def _complain(text: str, code: int) -> int:
    sys.stderr.write(f"ormia: {text}\n")
    return code


def _dispatch(given: list[str]) -> int:
    from .console import set_verbosity

    verbosity = 0
    while given and given[0] in FLAGS:
        verbosity += FLAGS[given.pop(0)]
    set_verbosity(verbosity)
    commands = _entries("ormia.commands")
    families = {name: found for name, (group, _, _) in FAMILIES.items() if (found := _entries(group))}
    names = sorted({*commands, *families}, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    if not given or given[0] in ("-h", "--help"):
        rows = {name: FAMILIES[name][2] if name in families else _row(commands[name]) for name in names}
        _write_help("ormia [-v | -q] COMMAND ...", rows, "One command's options: ormia COMMAND --help")
        return 0 if given else UsageError.exit_code
    if given[0] == "--version":
        return _write_version()
    name, *rest = given
    if name in families:
        kind = FAMILIES[name][1]
        if not rest or rest[0] in ("-h", "--help"):
            rows = {key: _row(entry) for key, entry in sorted(families[name].items())}
            _write_help(f"ormia {name} {kind} ...", rows, f"One {kind.lower()}'s options: ormia {name} {kind} --help")
            return 0 if rest else UsageError.exit_code
        chosen, *rest = rest
        return _run(_choose(families[name], chosen, f"{kind.lower()} of `ormia {name}`"), f"ormia {name} {chosen}", rest, verbosity)
    if name.startswith("-"):
        raise UsageError(f"an option before the command must be -v, -q, --version or --help, not {name!r}: {HINT}")
    return _run(_choose(commands, name, "command", names), f"ormia {name}", rest, verbosity)


def _entries(group: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}


def _choose(entries: dict[str, EntryPoint], name: str, what: str, names: Sequence[str] = ()) -> EntryPoint:
    if name in entries:
        return entries[name]
    near = get_close_matches(name, names or list(entries), n=3, cutoff=0.5)
    meant = f"did you mean {' or '.join(near)}?" if near else f"the names are {', '.join(names or sorted(entries))}"
    raise UsageError(f"{name!r} is no {what}: {meant} ({HINT})")


def _run(entry: EntryPoint, program: str, arguments: list[str], verbosity: int) -> int:
    """Import the command's function, parse its arguments and call it."""
    import typer

    from .console import set_verbosity

    click_error: Any = typer.BadParameter.__mro__[2]  # ClickException, wherever this release of typer keeps it
    try:
        function = entry.load()
        command = _as_command(function)
        own = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        set_verbosity(verbosity + sum(FLAGS[a] for a in arguments if a in FLAGS and a not in own))
        rest = [a for a in arguments if a not in FLAGS or a in own]
        with command.make_context(program, rest) as context:
            command.invoke(context)
    except typer.Exit as done:
        return int(done.exit_code)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except ModuleNotFoundError as error:
        raise _explain_missing(entry, program, error) from error
    except click_error as error:
        raise UsageError(f"{error.format_message()} (see `{program} --help`)".replace("\n", " ")) from error
    return 0


def _as_command(function: Callable[..., Any]) -> Any:
    import typer
    from typer.main import get_command

    if isinstance(function, typer.Typer):
        return get_command(function)
    app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})
    app.command()(function)
    return get_command(app)


def _explain_missing(entry: EntryPoint, program: str, error: ModuleNotFoundError) -> Error:
    extra = _extra_of(entry)
    if extra and missing_extra(extra):
        return MissingTool(f"`{program}` needs the extra {extra!r}: {_install(extra)}")
    if (error.name or "").split(".")[0] == "ormia":
        return Error(f"`{program}` is not part of this installation ({error.name} is missing): install ormia again")
    return MissingTool(f"`{program}` needs the Python module {error.name!r}: {_install('all')}")


def _install(extra: str) -> str:
    return f"pip install 'ormia[{extra}]'"


def _extra_of(entry: EntryPoint) -> str | None:
    """The extra that a command's folder needs: folders with an extra are called like it (ormia.train.commands -> train)."""
    known = set(extras())
    return next((part for part in entry.module.split(".") if part in known), None)


@cache
def extras() -> dict[str, list[str]]:
    """Distributions of each extra, as the installed metadata names them."""
    found_in: dict[str, list[str]] = {}
    try:
        lines = requires("ormia") or []
    except PackageNotFoundError:
        lines = []
    for line in lines:
        found = re.match(r"([A-Za-z0-9._-]+).*;.*extra == [\"']([a-z]+)[\"']", line)
        if found:
            found_in.setdefault(found[2], []).append(found[1])
    return found_in


@cache
def missing_extra(extra: str) -> list[str]:
    """Distributions of an extra that are not installed; empty where the extra is complete."""
    missing = []
    for name in extras().get(extra, []):
        try:
            version(name)
        except PackageNotFoundError:
            missing.append(name)
    return missing


def _row(entry: EntryPoint) -> str:
    """Summary of a command, and how to install what it lacks."""
    extra = _extra_of(entry)
    lacks = f"  [needs {_install(extra)}]" if extra and missing_extra(extra) else ""
    return _summary(entry) + lacks


def _summary(entry: EntryPoint) -> str:
    """First line of the docstring of a command, without importing its module."""
    spec = find_spec(entry.module)
    if spec is None or spec.origin is None:
        return "(not part of this installation)"
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == entry.attr:
            return (ast.get_docstring(node) or "").split("\n")[0]
    return ""


def _write_help(usage: str, rows: dict[str, str], last: str) -> None:
    from .console import write_line

    width = max(map(len, rows), default=0)
    lines = [f"Usage: {usage}", "", "Spoken words with sparse recurrent spiking networks: the same bits in Python, C and hardware.", ""]
    lines += [f"  {name:<{width}}  {summary}" for name, summary in rows.items()]
    write_line("\n".join([*lines, "", last, "Exit codes: 0 done, 1 error, 2 usage, 3 missing tool or extra, 4 a check found a difference"]))


def _write_version() -> int:
    from .console import write_line

    try:
        write_line(f"ormia {version('ormia')}")
    except PackageNotFoundError:
        write_line("ormia (not installed)")
    return 0


if __name__ == "__main__":
    main()
