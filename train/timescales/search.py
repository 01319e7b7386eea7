# SPDX-License-Identifier: Apache-2.0
"""A search for timescales: Optuna over what has no gradient, gradients over the rest; accuracy against memory and clocks, in a study that workers share.

Each trial is a short training of the exact integer network. Objectives are read from its export, by the cost model of ``edge``.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from ...edge.errors import DataError, Error, NetworkError, TargetError, UsageError
from ...edge.files import make_folder
from ...edge.network import Network
from ..config import Config, to_dict
from ..export import to_network
from ..loop import accuracy, fit
from ..program import load_corpus, make_source
from .config import SearchConfig, training_of
from .price import check_history, price_of

__all__ = ["chosen", "finished", "front", "open_study", "optimize", "run_trials", "run_workers", "suggest"]

STUDY = "study.jsonl"
DONE = (TrialState.COMPLETE, TrialState.PRUNED)
DIRECTIONS = ("maximize", "minimize", "minimize")  # accuracy on valid, bits of memory, clocks of a timestep


def open_study(config: Any, corpus: str, folder: Path, seed: int = 0, directions: tuple[str, ...] = DIRECTIONS) -> optuna.Study:
    """The study of a ``folder``, made where there is none.

    Parameters
    ----------
    config : SearchConfig or boolean.BooleanConfig
        Its ``trials`` may differ from those of the study that is there, nothing else.
    corpus : str
        Digest.
    folder : Path
    seed : int
        Of the sampler; each worker its own.
    directions : tuple of str
        Of the objectives.

    Raises
    ------
    DataError
        If the folder holds the study of another recipe or corpus.
    """
    make_folder(folder)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = str(folder / STUDY)
    storage = JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))
    sampler: optuna.samplers.BaseSampler
    if config.sampler == "tpe":
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(4, config.trials // 4))
    else:
        sampler = optuna.samplers.NSGAIISampler(seed=seed, population_size=max(4, config.trials // 6))
    study = optuna.create_study(study_name="timescales", storage=storage, sampler=sampler, directions=directions, load_if_exists=True)
    made_of = json.dumps({"recipe": {**to_dict(config), "trials": 0}, "corpus": corpus}, sort_keys=True)  # more trials go on with the same study
    if study.user_attrs.setdefault("made_of", made_of) != made_of:
        raise DataError(f"{path} must be of the same recipe and corpus to go on: choose another --output or remove it")
    study.set_user_attr("made_of", made_of)
    return study


def suggest(trial: optuna.Trial, config: SearchConfig) -> dict[str, Any]:
    """A point of the space."""
    space = config.space
    point: dict[str, Any] = {name: trial.suggest_float(name, *getattr(space, name)) for name in ("mean", "spread", "jitter")}
    point |= {name: trial.suggest_int(name, *getattr(space, name)) for name in ("kernel", "kernel_spread", "dilation", "dilation_spread")}
    point |= {
        name: trial.suggest_categorical(name, list(getattr(space, which))) for name, which in (("shape", "shapes"), ("train", "train"), ("delays", "delays"))
    }
    if point["shape"] == "power":
        point["exponent"] = trial.suggest_float("exponent", 0.3, 3.0, log=True)
    if point["shape"] == "tanh":
        point["steepness"] = trial.suggest_float("steepness", 0.1, 1.0)
    return point


def run_trials(config: SearchConfig, source: Any, folder: Path, *, seed: int = 0, report: Callable[[FrozenTrial], None] = lambda _: None) -> optuna.Study:
    """Try points until the study has as many as the recipe asks for.

    Parameters
    ----------
    config : SearchConfig
    source : CorpusSource or EventCorpusSource
    folder : Path
        Of the study; several processes may work on it.
    seed : int
        Of the sampler, together with how many trials there are.
    report : callable
        Takes each finished trial.
    """
    study = open_study(config, source.digest, folder)
    study = open_study(config, source.digest, folder, seed=1000 * seed + len(study.trials))
    valid = source.fixed("valid")

    def objective(trial: optuna.Trial) -> tuple[float, float, float]:
        point = suggest(trial, config)
        try:
            training = _training(config, point, source)
            net, found = _train(training, source, valid, folder / "trials" / f"{trial.number:04}")
        except (UsageError, TargetError, NetworkError) as refused:  # a point that cannot be: no time constant, no room, no proof
            trial.set_user_attr("refused", str(refused))
            raise optuna.TrialPruned(str(refused)) from None
        price = price_of(net, valid[0][: config.clips])
        limits = {"memory_bits": (price.memory_bits, config.budget.memory_bits), "cycles": (price.cycles, config.budget.cycles)}
        over = {name: float(value - most) for name, (value, most) in limits.items() if most}
        for name, excess in over.items():
            trial.set_constraint(name, excess)
        trial.set_user_attr("training", json.loads(json.dumps(to_dict(training))))
        trial.set_user_attr("price", dataclasses.asdict(price))
        trial.set_user_attr("over_budget", over)
        return found, float(price.memory_bits), price.cycles

    optimize(study, objective, config.trials, report)
    return study


def optimize(study: optuna.Study, objective: Callable[[optuna.Trial], Any], trials: int, report: Callable[[FrozenTrial], None]) -> None:
    """Try points until ``trials`` of the study have ended, in whatever process; ``report`` takes each that this one tried."""

    def show(study: optuna.Study, trial: FrozenTrial) -> None:
        report(trial)
        if finished(study) >= trials:
            study.stop()

    if finished(study) < trials:
        study.optimize(objective, callbacks=[show])


def run_workers(config: SearchConfig, data: Path, folder: Path, workers: int) -> None:
    """Try points in several processes of one thread each, which share the study.

    Parameters
    ----------
    config : SearchConfig
    data : Path
        Of the corpus, which every worker reads.
    folder : Path
    workers : int

    Raises
    ------
    Error
        If a worker ended badly.
    """
    start = multiprocessing.get_context("spawn")
    processes = [start.Process(target=_work, args=(config, data, folder, number)) for number in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    bad = [process.exitcode for process in processes if process.exitcode]
    if bad:
        raise Error(f"every worker must end well; {len(bad)} of {workers} ended with {bad[0]}: finished trials are kept, the same command goes on")


def front(study: optuna.Study) -> list[FrozenTrial]:
    """Trials within all budgets that no other beats in accuracy, memory and clocks at once, the most accurate first."""
    fitting = [
        trial for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) if max(trial.user_attrs["over_budget"].values(), default=0.0) <= 0
    ]

    def beaten(a: FrozenTrial) -> bool:
        mine = (-a.values[0], *a.values[1:])
        return any(all(x <= y for x, y in zip(theirs, mine, strict=True)) and theirs != mine for b in fitting if (theirs := (-b.values[0], *b.values[1:])))

    return sorted((trial for trial in fitting if not beaten(trial)), key=lambda trial: (-trial.values[0], trial.values[1]))


def chosen(study: optuna.Study) -> FrozenTrial:
    """The most accurate trial within all budgets, of equals that of less memory. Raises ``DataError`` where there is none."""
    found = front(study)
    if not found:
        refused = [trial.user_attrs["refused"] for trial in study.trials if "refused" in trial.user_attrs]
        raise DataError(f"some trial must be within the budget; none of {len(study.trials)} is" + (f". The last refusal: {refused[-1]}" if refused else ""))
    return found[0]


def _training(config: SearchConfig, point: dict[str, Any], source: Any) -> Config:
    """The short training of a point; refused before it starts where its history cannot fit."""
    training = training_of(config, point, source.n_inputs, len(source.classes))
    if config.budget.history_bits:
        neurons = sum(layer.neurons for layer in training.model.layers)
        longest = max(max(layer.delays) for layer in training.model.layers)
        check_history(longest, source.n_inputs + neurons, neurons, source.payload_bits, config.budget.history_bits)
    return dataclasses.replace(training, epochs=config.epochs)


def _train(training: Config, source: Any, valid: Any, folder: Path) -> tuple[Network, float]:
    model = fit(training, source, folder)
    return to_network(model, source.classes, payload_bits=source.payload_bits), accuracy(model, *valid)


def _work(config: SearchConfig, data: Path, folder: Path, number: int) -> None:
    import numba
    import torch

    torch.set_num_threads(1)
    numba.set_num_threads(1)
    try:
        run_trials(config, make_source(config.training, load_corpus(config.training, data)), folder, seed=number)
    except Error as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


def finished(study: optuna.Study) -> int:
    """Trials that ended, well or refused."""
    return sum(trial.state in DONE for trial in study.get_trials(deepcopy=False))
