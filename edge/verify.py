# SPDX-License-Identifier: Apache-2.0
"""``ormia verify``: every backend against the specification, one table, exit 4 at the first integer that differs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from .network import Network
    from .verification import ClipSet, Outcome

__all__ = ["verify"]


def verify(
    network: Annotated[Path, typer.Argument(metavar="NET", help="Network file (.ormia).")],
    data: Annotated[Path | None, typer.Option(help="Corpus folder to take clips from; seeded random events without it.")] = None,
    split: Annotated[str, typer.Option(help="Split of the corpus.")] = "test",
    clips: Annotated[int, typer.Option(min=1, help="How many clips.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of clips or of the random events.")] = 1,
    backends: Annotated[str | None, typer.Option(help="Backends beside the reference, separated by commas.  [default: all that can run]")] = None,
    clip: Annotated[int | None, typer.Option(min=0, help="Run only this one of the clips.")] = None,
    until: Annotated[int | None, typer.Option(min=0, help="Cut clips after this timestep.")] = None,
    output: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> dict[str, Any]:
    """Run the same clips on every backend and compare every spike, membrane, score and counter with the reference."""
    import json

    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from .console import stderr, write_json
    from .errors import CheckFailed, UsageError
    from .files import write_whole
    from .netfile import network_digest, read_network
    from .provenance import provenance
    from .verification import corpus_clips, random_clips, run_backends

    net = read_network(network)
    if until is not None and clip is None:
        raise UsageError("--until must come with --clip: say which clip to cut")
    chosen = random_clips(net, clips, seed) if data is None else corpus_clips(net, data, split, clips, seed)
    if clip is not None:
        chosen = chosen.only(clip, until)
    names = None if backends is None else [name.strip() for name in backends.split(",") if name.strip()]
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=stderr, transient=True, disable=stderr.quiet) as bar:
        task = bar.add_task("")
        outcomes = run_backends(net, chosen, names, lambda name: bar.update(task, description=name))
    failed = [outcome for outcome in outcomes if outcome.differences]
    result: dict[str, Any] = {
        "network": {"name": net.name, "digest": network_digest(net)},
        "clips": chosen.source,
        "backends": [outcome.as_dict() for outcome in outcomes],
        "differences": sum(outcome.differences for outcome in outcomes),
        "first_difference": _report(net, network, chosen, failed[0], clip) if failed else None,
        "provenance": provenance(),
    }
    if output is not None:
        write_whole(output, json.dumps(result, indent=1) + "\n")
    if as_json:
        write_json(result)
    else:
        from .tables import show_verification

        show_verification(result)
    if failed:
        raise CheckFailed("\n".join(result["first_difference"]))
    return result


def _report(net: Network, path: Path, clips: ClipSet, outcome: Outcome, clip: int | None) -> list[str]:
    """First difference of a backend, what led to it, and the command that shows it again."""
    from .verification import explain

    if outcome.first is None:
        return [f"{outcome.backend} must count what the reference counts (C1 or branches); states and scores agree: compare the two with --json"]
    number, difference = outcome.first
    index = number if clip is None else clip
    command = f"ormia verify {shlex.quote(str(path))} {clips.options} --backends {outcome.backend} --clip {index} --until {difference.timestep}"
    return [
        f"{outcome.backend} must equal the reference; clip {index} ({clips.names[number]}), {difference}",
        *(f"  {line}" for line in explain(net, clips.clips[number], difference)),
        f"  replay: {command}",
    ]
