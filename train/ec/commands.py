# SPDX-License-Identifier: Apache-2.0
"""``ormia search ec``. Only what the command line needs; heavy imports are inside the function."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["ec"]


def ec(
    recipe: Annotated[str, typer.Argument(help="A recipe that ships with the package (cartpole, inverted_pendulum, hopper, ...), or a .toml file.")],
    output: Annotated[Path, typer.Option(help="Folder of the run; a run that was interrupted goes on.")] = Path("runs/ec"),
    settings: Annotated[list[str] | None, typer.Option("--set", help="Change a key of the recipe: --set seed=3 --set method.population=64.")] = None,
    data: Annotated[Path | None, typer.Option(help="Corpus folder, for recipes of kind keywords.")] = None,
    minutes: Annotated[float, typer.Option(help="Stop after the generation that passes them; the same command goes on.")] = float("inf"),
    name: Annotated[str, typer.Option(help="Name of the network; becomes part of C and Verilog names.")] = "evolved",
    verify: Annotated[str, typer.Option(help="Backends to hold to the reference on recorded observations, separated by commas.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> dict[str, Any]:
    """Evolve boolean connections without gradients (Evolving Connectivity), on control or keywords."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from ...edge.console import stderr, write_json, write_line
    from ..recipe import with_settings
    from .config import load_recipe
    from .distributed import open_workers
    from .result import finish
    from .search import run_search

    config = with_settings(load_recipe(recipe), settings or [])
    with open_workers() as workers:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"), TimeElapsedColumn())
        with Progress(*columns, console=stderr, disable=workers.rank > 0 or stderr.quiet) as bar:
            task = bar.add_task(recipe, total=config.generations, state="")

            def show(entry: dict[str, Any]) -> None:
                best = f", deployed {entry['evaluation']:.4g}" if "evaluation" in entry else ""
                bar.update(task, completed=entry["generation"], state=f"generation {entry['generation']}, population {entry['fitness']:.4g}{best}")

            search = run_search(config, output, workers, data=data, minutes=minutes, report=show)
            bar.update(task, description="final evaluation and export")
            backends = [backend.strip() for backend in verify.split(",") if backend.strip()]
            result = finish(search, output, workers, name=name, verify=backends)
    if workers.rank > 0:
        return result
    if as_json:
        write_json(result)
        return result
    final, integer = result["final"], result.get("integer")
    write_line(f"generations {result['generations']}, steps {result['steps']}, {result['seconds']:.1f} s, {'solved' if result['solved'] else 'not solved'}")
    write_line(f"deployed, float: {final['mean']:.4g} +- {final['spread']:.2g} over {final['episodes']} fresh episodes")
    if integer is not None:
        write_line(f"deployed, integers: {integer['mean']:.4g} +- {integer['spread']:.2g}; {integer['synapses']} synapses of one bit")
        for row in integer.get("verified", []):
            state = f"{row['differences']} differences in {row['membranes']} membranes" if row["available"] else f"cannot run: {row['reason']}"
            write_line(f"{row['backend']}: {state}")
        write_line(f"in {output / 'net.ormia'}")
    return result
