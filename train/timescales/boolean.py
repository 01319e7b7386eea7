# SPDX-License-Identifier: Apache-2.0
"""Boolean connections with searched time constants: Optuna over those of synapses, membranes and readout, each point a short search by Evolving Connectivity.

What is best is then evolved for all generations and exported as ``ormia search ec`` does.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from ...edge.errors import DataError, UsageError
from ...edge.files import make_folder, write_whole
from ...edge.provenance import provenance
from ..ec import config as ec
from ..ec.control import EVALUATE
from ..ec.distributed import Workers
from ..ec.result import finish
from ..ec.search import run_search
from ..recipe import read_recipe, to_dict, with_settings
from .config import RECIPES
from .hierarchy import check_time_constants
from .search import open_study, optimize

__all__ = ["BooleanConfig", "is_boolean", "load_boolean", "search_boolean"]

DECAY_BITS = 12  # of the exported network
TAUS = ("tau_synapse_ms", "tau_membrane_ms", "tau_readout_ms")


@dataclass(frozen=True, kw_only=True)
class BooleanConfig:
    """Everything a search depends on, its corpus aside.

    Attributes
    ----------
    connections : str
        Recipe of ``ormia search ec`` that finds the connections: its name, or a path.
    settings : tuple of str
        Changes of it, as ``--set`` of that command takes them.
    trials, generations : int
        Points to try; of each point. What is best gets the generations of the recipe.
    sampler : str
        ``tpe`` or ``nsga2`` of Optuna.
    taus : dict
        Range of each time constant that is searched, in ms: ``tau_synapse_ms``, ``tau_membrane_ms``, ``tau_readout_ms``; drawn on a logarithmic scale.
    """

    connections: str
    settings: tuple[str, ...] = ()
    trials: int = 12
    generations: int = 10
    sampler: str = "tpe"
    taus: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if min(self.trials, self.generations) < 1 or self.sampler not in ("tpe", "nsga2"):
            raise UsageError(
                f"trials and generations must be at least 1 and sampler tpe or nsga2, not {self.trials}, {self.generations} and {self.sampler!r}: "
                "correct the recipe"
            )
        ranges = [(name, *pair) for name, pair in self.taus.items() if name in TAUS and isinstance(pair, list) and len(pair) == 2]
        if not ranges or len(ranges) < len(self.taus) or any(low > high for _, low, high in ranges):
            raise UsageError(f"taus must give some of {', '.join(TAUS)} a range from low to high, not {self.taus}: correct the recipe")
        step = self.evolved().network.step_ms
        for name, *pair in ranges:
            check_time_constants(tuple(tau / step for tau in pair), DECAY_BITS, f"taus.{name}, which steps of {step:g} ms divide,")

    def evolved(self) -> ec.SearchConfig:
        """The search for connections, before its time constants are chosen."""
        return with_settings(ec.load_recipe(self.connections), list(self.settings))


def is_boolean(name: str) -> bool:
    """Whether a recipe of ``ormia search timescale`` is for boolean connections."""
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    return path.is_file() and any(line.partition("=")[0].strip() == "connections" for line in path.read_text(encoding="utf-8", errors="replace").splitlines())


def load_boolean(name: str) -> BooleanConfig:
    """Read a recipe by its ``name`` or path. Raises ``UsageError`` where there is none, or it is not valid."""
    return read_recipe(name, BooleanConfig, RECIPES)


def search_boolean(
    config: BooleanConfig, folder: Path, *, data: Path | None = None, name: str = "found", report: Callable[[FrozenTrial], None] = lambda _: None
) -> dict[str, Any]:
    """Try points until the study has as many as the recipe asks for, evolve the best, export it.

    Parameters
    ----------
    config : BooleanConfig
    folder : Path
        Gets the study, ``trials/``, ``network/`` (with ``net.ormia``) and ``metrics.json``; a search that was interrupted goes on.
    data : Path, optional
        Corpus folder of keywords.
    name : str
        Of the network.
    report : callable
        Takes each finished trial.

    Returns
    -------
    dict
        Content of ``metrics.json``.
    """
    study = open_study(config, str(data), folder, directions=("maximize",))
    study = open_study(config, str(data), folder, seed=len(study.trials), directions=("maximize",))
    evolved, alone = config.evolved(), Workers()

    def with_taus(taus: dict[str, float], **changes: int) -> ec.SearchConfig:
        return dataclasses.replace(evolved, network=dataclasses.replace(evolved.network, **taus), **changes)

    def objective(trial: optuna.Trial) -> float:
        taus = {key: trial.suggest_float(key, *pair, log=True) for key, pair in config.taus.items()}
        short = with_taus(taus, generations=config.generations, evaluate_every=config.generations)
        found = run_search(short, folder / "trials" / f"{trial.number:04}", alone, data=data)
        return float(found.evaluate(alone, EVALUATE, short.task.evaluation).mean())

    optimize(study, objective, config.trials, report)
    tried = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not tried:
        raise DataError(f"some trial must have ended well; none of {len(study.trials)} has: choose another --output")
    best = max(tried, key=lambda trial: trial.value or 0.0)
    made = make_folder(folder / "network")
    found = finish(run_search(with_taus(best.params), made, alone, data=data), made, alone, name=name, verify=[])
    result = {
        "recipe": to_dict(config),
        "trials": [{"trial": trial.number, "taus": trial.params, "deployed": trial.value} for trial in tried],
        "chosen": {"trial": best.number, "taus": best.params},
        "network": {key: found[key] for key in ("generations", "final", "integer") if key in found},
        "made": provenance(),
    }
    write_whole(folder / "metrics.json", json.dumps(result, indent=1) + "\n")
    return result
