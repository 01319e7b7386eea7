# SPDX-License-Identifier: Apache-2.0
"""``ormia search timescale``. Only what the command line needs; heavy imports are inside the function."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["timescale"]


def timescale(
    recipe: Annotated[str, typer.Argument(help="A recipe that ships with the package (keywords, quick), or a .toml file.")],
    data: Annotated[Path, typer.Option(help="Corpus folder, as `ormia data` made it, or the files of an event corpus.")],
    output: Annotated[Path, typer.Option(help="Folder of the study; one that was interrupted goes on, and several commands may share it.")] = Path(
        "runs/timescale"
    ),
    settings: Annotated[list[str] | None, typer.Option("--set", help="Change a key of the recipe: --set trials=20 --set budget.history_bits=8192.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes, one thread each.")] = 1,
    name: Annotated[str, typer.Option(help="Name of the network; becomes part of C and Verilog names.")] = "found",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> dict[str, Any]:
    """Find time constants, temporal kernels and delays within a budget; then train and export what was found."""
    from importlib.util import find_spec

    from ...edge.errors import MissingTool

    if find_spec("optuna") is None:
        raise MissingTool("a search for timescales needs optuna: pip install 'ormia[search]'")
    import numba
    import torch
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from ...edge.console import stderr, write_json, write_line
    from ..program import load_corpus, make_source
    from ..recipe import with_settings
    from .config import load_recipe
    from .result import finish, write_front
    from .search import run_trials, run_workers

    torch.set_num_threads(1)
    numba.set_num_threads(1)
    config = with_settings(load_recipe(recipe), settings or [])
    source = make_source(config.training, load_corpus(config.training, data))
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"), TimeElapsedColumn())
    with Progress(*columns, console=stderr, disable=stderr.quiet) as bar:
        task = bar.add_task("search", total=config.trials, state="")

        def show(trial: Any) -> None:
            values = trial.values
            state = f"valid {values[0]:.3f}, {values[1] / 1000:.0f} kbit, {values[2]:.0f} clocks" if values else trial.user_attrs.get("refused", "")[:60]
            bar.update(task, advance=1, state=f"trial {trial.number}: {state}")

        if workers > 1:
            run_workers(config, data, output, workers)
        study = run_trials(config, source, output, report=show)
        bar.update(task, completed=config.trials)
        write_front(study, output)
        task = bar.add_task("training", total=config.training.epochs, state="")
        result = finish(
            study, config, source, output, name=name,
            report=lambda p: bar.update(task, completed=p.epoch + 1, state=f"loss {p.loss:.3f}, valid {p.valid_accuracy:.3f}, rate {p.rate:.3f}"),
        )  # fmt: skip
    if as_json:
        write_json(result)
        return result
    for number, layer in enumerate(result["chosen"]["layers"]):
        taus = layer["tau_membrane"]
        which = "learnt among 0 to" if layer["learn_delays"] else "of"
        delays = f"{layer['delays'][-1]}" if layer["learn_delays"] else ", ".join(map(str, layer["delays"]))
        write_line(f"layer {number}: {layer['neurons']} neurons, time constants {min(taus):.2f} to {max(taus):.2f} timesteps, delays {which} {delays}")
    price, test = result["price"], result["network"]["accuracy"]["test"]
    write_line(f"test: {100 * test['share']:.2f} % of {test['clips']} clips, deployed integers, last epoch; {result['weights']} weights")
    write_line(f"memories {price['memory_bits']} bits, of these {price['history_bits']} for past events; {price['cycles']:.0f} clocks a timestep")
    write_line(f"in {output / 'network' / 'net.ormia'}")
    return result
