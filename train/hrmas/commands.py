# SPDX-License-Identifier: Apache-2.0
"""``ormia search hrmas``. Only what the command line needs; heavy imports are inside the function."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["hrmas"]


def hrmas(
    recipe: Annotated[str, typer.Argument(help="A recipe that ships with the package (keywords, quick), or a .toml file.")],
    data: Annotated[Path, typer.Option(help="Corpus folder, as `ormia data` made it, or the files of an event corpus.")],
    output: Annotated[Path, typer.Option(help="Folder of the run; a run that was interrupted goes on.")] = Path("runs/hrmas"),
    settings: Annotated[list[str] | None, typer.Option("--set", help="Change a key of the recipe: --set order=2 --set training.seed=3.")] = None,
    minutes: Annotated[float, typer.Option(help="Stop after the epoch of the search that passes them; the same command goes on.")] = float("inf"),
    name: Annotated[str, typer.Option(help="Name of the network; becomes part of C and Verilog names.")] = "found",
    threads: Annotated[int, typer.Option(min=1, help="Threads of a step; more than 1 helps large networks on idle cores.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> dict[str, Any]:
    """Find motif size and connection types by gradients, with self-repair (HRMAS); then train and export what was found."""
    import numba
    import torch
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from ...edge.console import stderr, write_json, write_line
    from ..program import load_corpus, make_source
    from ..recipe import with_settings
    from .config import load_recipe
    from .plots import write_plots
    from .result import finish
    from .search import run_search

    torch.set_num_threads(threads)
    numba.set_num_threads(threads)
    config = with_settings(load_recipe(recipe), settings or [])
    source = make_source(config.training, load_corpus(config.training, data))
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"), TimeElapsedColumn())
    with Progress(*columns, console=stderr, disable=stderr.quiet) as bar:
        task = bar.add_task("search", total=config.epochs, state="")

        def show(entry: dict[str, Any]) -> None:
            rates = "/".join(f"{rate:.3f}" for rate in entry["rate"])
            state = f"iteration {entry['iteration']}, train {entry['train_loss']:.3f}, valid {entry['valid_loss']:.3f}, rate {rates}"
            bar.update(task, completed=entry["epoch"], state=state)

        search = run_search(config, source, output, minutes=minutes, report=show)
        bar.update(task, completed=search.epoch)
        write_plots(search, output)
        if search.epoch < config.epochs:
            result: dict[str, Any] = {"epochs": search.epoch, "of": config.epochs, "finished": False}
        else:
            task = bar.add_task("training", total=config.training.epochs, state="")
            result = finish(
                search, source, output, name=name,
                report=lambda p: bar.update(task, completed=p.epoch + 1, state=f"loss {p.loss:.3f}, valid {p.valid_accuracy:.3f}, rate {p.rate:.3f}"),
            )  # fmt: skip
    if as_json:
        write_json(result)
        return result
    if "network" not in result:
        write_line(f"{search.epoch} of {config.epochs} epochs; the same command goes on")
        return result
    for number, layer in enumerate(result["layers"]):
        links = layer["links"]
        write_line(
            f"layer {number}: motifs of {layer['size']}, {links['excitatory']} excitatory, {links['inhibitory']} inhibitory, {links['none']} absent links"
        )
    test, memory = result["network"]["accuracy"]["test"], result["memory_bits"]
    write_line(
        f"test: {100 * test['share']:.2f} % of {test['clips']} clips, deployed integers, last epoch; search {result['cpu_seconds'] / 60:.1f} CPU minutes"
    )
    write_line(f"synapse memories: {memory['shared']} bits with lists that motifs share, {memory['plain']} with plain ones")
    write_line(f"in {output / 'network' / 'net.ormia'}")
    return result
