# SPDX-License-Identifier: Apache-2.0
"""``ormia search timescale``. Only what the command line needs; heavy imports are inside the function."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["timescale"]


def timescale(
    recipe: Annotated[str, typer.Argument(help="A recipe that ships with the package (keywords, quick, boolean), or a .toml file.")],
    data: Annotated[Path | None, typer.Option(help="Corpus folder, as `ormia data` made it, or the files of an event corpus.")] = None,
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

    from ...edge.errors import MissingTool, UsageError

    if find_spec("optuna") is None:
        raise MissingTool("a search for timescales needs optuna: pip install 'ormia[search]'")
    from .boolean import is_boolean

    if is_boolean(recipe):
        if workers > 1:
            raise UsageError(f"--workers must be 1 for boolean connections, not {workers}: start the command several times, one --output for all")
        return _boolean(recipe, data, output, settings or [], name, as_json)
    if data is None:
        raise UsageError(f"recipe {recipe} must have a corpus: give the folder that `ormia data` printed with --data")
    import numba
    import torch
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from ...edge.console import stderr, write_json, write_line
    from ..program import load_corpus, make_source
    from ..recipe import with_settings
    from .config import load_recipe
    from .result import finish, write_front
    from .search import chosen, run_trials, run_workers

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
        chosen(study)  # there must be one, before anything is written of it
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


def _boolean(recipe: str, data: Path | None, output: Path, settings: list[str], name: str, as_json: bool) -> dict[str, Any]:
    """``ormia search timescale`` on boolean connections."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from ...edge.console import stderr, write_json, write_line
    from ..recipe import with_settings
    from .boolean import load_boolean, search_boolean

    config = with_settings(load_boolean(recipe), settings)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"), TimeElapsedColumn())
    with Progress(*columns, console=stderr, disable=stderr.quiet) as bar:
        task = bar.add_task("search", total=config.trials, state="")

        def show(trial: Any) -> None:
            bar.update(task, advance=1, state=f"trial {trial.number}: deployed {trial.value:.4g}")

        result = search_boolean(config, output, data=data, name=name, report=show)
    if as_json:
        write_json(result)
        return result
    chosen, final = result["chosen"], result["network"]["final"]
    write_line(f"time constants of trial {chosen['trial']}: " + ", ".join(f"{key.removesuffix('_ms')} {tau:.1f} ms" for key, tau in chosen["taus"].items()))
    write_line(f"deployed, float: {final['mean']:.4g} over {final['episodes']} fresh episodes")
    if "integer" in result["network"]:
        write_line(f"deployed, integers: {result['network']['integer']['mean']:.4g}; in {output / 'network' / 'net.ormia'}")
    return result
