# SPDX-License-Identifier: Apache-2.0
"""The search: draw, try, learn, evaluate, keep. The same run, bit for bit, with any number of workers and any number of interruptions."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...edge.errors import DataError, UsageError
from ...edge.files import make_folder, write_whole
from ..recipe import from_dict, to_dict
from .baselines import WeightPopulation
from .config import SearchConfig
from .control import EVALUATE, FINAL, ControlTask
from .distributed import Workers
from .evolution import Connectivity, Method, WeightEvolution
from .model import Layout
from .normalizer import Normalizer
from .populations import BooleanPopulation, Population
from .reference import lock_step
from .scales import Scales, scales
from .topology import make_topology

__all__ = ["Search", "make_task", "run_search"]

CHECKPOINT = "checkpoint.npz"
MAY_CHANGE = ("generations", "evaluate_every")  # between the pieces of one run


def make_task(config: SearchConfig, data: Path | None = None) -> Any:
    """The task of a recipe; ``data`` is the corpus folder of keywords."""
    if config.task.kind == "control":
        return ControlTask(config.task, config.seed, config.network.payload_bits)
    from .clips import keyword_task, mts_xor_task

    if config.task.kind == "mts_xor":
        return mts_xor_task(config.task, config.seed)
    if data is None:
        raise UsageError("task keywords must have a corpus: give the folder that `ormia data` printed with --data")
    return keyword_task(config.task, config.seed, data, config.method.families if config.method.family > 1 else 0)


@dataclass
class Search:
    """A run: what is searched, on what, and how far it is.

    Attributes
    ----------
    config : SearchConfig
    task : task
        ``ControlTask`` or ``ClipTask``.
    layout : Layout
    scale : Scales
    population : Population
    method : Method
    normalizer : Normalizer
    history : list of dict
        One entry a generation.
    seconds, cpu_seconds : float
        Of drawing, trying and learning, evaluation not among them: wall time, and this worker's own.
    solved : bool
        Whether the target was reached.
    """

    config: SearchConfig
    task: Any
    layout: Layout
    scale: Scales
    population: Population
    method: Method
    normalizer: Normalizer
    history: list[dict[str, Any]]
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    solved: bool = False

    @classmethod
    def start(cls, config: SearchConfig, task: Any) -> Search:
        """A run before its first generation."""
        network = config.network
        layout = Layout(task.n_inputs, network.neurons, task.n_outputs)
        scale = scales(network, task.n_inputs, task.payload_unit, getattr(task, "n_frames", 1))
        method: Method
        population: Population
        if config.method.kind == "gradient":
            from .gradient import StraightThrough  # torch comes with it

            population = BooleanPopulation(network, layout, scale)
            method = StraightThrough(config.method, make_topology(network, layout), config.seed)
        elif config.method.kind == "ec":
            population = BooleanPopulation(network, layout, scale)
            method = Connectivity(config.method, make_topology(network, layout), config.seed, reference=config.reference)
        else:
            population = WeightPopulation(config.model, network, layout, scale, config.hidden)
            method = WeightEvolution(config.method, population.initial(config.seed), config.seed)
        normalizer = Normalizer(task.n_inputs, reference=config.reference)
        if not config.reference:
            task.warm_up(normalizer)
        return cls(config, task, layout, scale, population, method, normalizer, [])

    def advance(self, workers: Workers) -> dict[str, Any]:
        """One generation; its entry of the history."""
        generation, began, began_cpu, steps = len(self.history), time.perf_counter(), time.process_time(), self.task.steps
        spikes, timesteps = self.population.spikes, self.population.timesteps
        size = self.config.method.population
        mine = workers.mine(size)
        evaluated = None
        if self.config.reference:
            fitness, sums, evaluated = lock_step(self.task, self.population, self.method, size, generation, self.normalizer)
        elif self.config.method.kind == "gradient":
            fitness, sums = self.task.follow(self.population, self.method, generation)
        else:
            fitness, sums = self.task.fitness(self.population, self.method.draw(mine, generation), mine, generation, self.normalizer)
        counted = np.zeros((len(mine), 3))
        counted[:1] = self.task.steps - steps, self.population.spikes - spikes, self.population.timesteps - timesteps
        table = workers.gather(np.concatenate([fitness.reshape(len(mine), -1), counted], axis=1), size)
        self.normalizer.add(sums if self.config.reference else workers.gather(sums, size))
        counts = table[:, -3:].sum(axis=0)
        self.method.learn(table[:, :-3] if fitness.ndim == 2 else table[:, 0], generation)
        fitness = table[:, 0]
        self.seconds += time.perf_counter() - began
        self.cpu_seconds += time.process_time() - began_cpu
        entry = {
            "generation": generation + 1,
            "fitness": float(fitness.mean()),
            "best": float(fitness.max()),
            "steps": int(counts[0]) + (self.history[-1]["steps"] if self.history else 0),
            "spikes_per_timestep": float(counts[1] / counts[2]) if counts[2] else 0.0,
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
        }
        if self.config.method.boolean:
            probability = self.method.parameters
            entry["density"] = float((probability > 0.5).mean())
            entry["decided"] = float((np.minimum(probability, 1 - probability) < 0.01).mean())
        if evaluated is not None:
            entry["evaluation"] = evaluated
        self.history.append(entry)
        return entry

    def evaluate(self, workers: Workers, purpose: int, n: int) -> np.ndarray:
        """Returns (or right answers) of the deployed network on ``n`` fresh episodes, float64 [n]."""
        n = min(n, getattr(self.task, "most", None) or n)
        episodes = workers.mine(n)
        genome = self.method.center()
        generation = len(self.history) if purpose == EVALUATE else 0
        part = self.task.evaluate(self.population, genome, purpose, generation, episodes, self.normalizer)
        return workers.gather(part, n)

    def save(self, folder: Path) -> None:
        """Write the checkpoint."""
        file = io.BytesIO()
        text = {"config": to_dict(self.config), "history": self.history, "seconds": self.seconds, "cpu_seconds": self.cpu_seconds, "solved": self.solved}
        about = np.frombuffer(json.dumps(text).encode(), np.uint8)
        np.savez(file, about=about, **self.method.state(), **self.normalizer.state())
        write_whole(folder / CHECKPOINT, file.getvalue())

    def restore(self, folder: Path) -> bool:
        """Take up the run of a folder; False where there is none.

        Raises
        ------
        DataError
            If the checkpoint cannot be read.
        UsageError
            If it is of another recipe.
        """
        path = folder / CHECKPOINT
        if not path.exists():
            return False
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                arrays = dict(file)
            text = json.loads(bytes(arrays.pop("about")))
            before = to_dict(from_dict(SearchConfig, text["config"], CHECKPOINT))  # keys it did not know have their defaults
            differ = [key for key, value in to_dict(self.config).items() if before[key] != value and key not in MAY_CHANGE]
            if differ:
                raise UsageError(f"{folder} must be empty or hold a run of the same recipe, but {', '.join(differ)} differ: name another --output")
            self.method.restore(arrays)
            self.normalizer.restore(arrays)
            self.history, self.seconds, self.cpu_seconds, self.solved = text["history"], text["seconds"], text["cpu_seconds"], text["solved"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} must be the checkpoint of a search, but cannot be read ({error}): remove it to start again") from None
        return True


def run_search(
    config: SearchConfig,
    folder: Path,
    workers: Workers,
    *,
    data: Path | None = None,
    minutes: float = float("inf"),
    report: Callable[[dict[str, Any]], None] = lambda _: None,
) -> Search:
    """Search until the target, the last generation or the end of the time; go on where an interrupted run stopped.

    Parameters
    ----------
    config : SearchConfig
    folder : Path
        Of the run: the checkpoint of the last generation.
    workers : Workers
        All call this with the same arguments.
    data : Path, optional
        Corpus folder.
    minutes : float
        Stop after the generation that passes them.
    report : callable
        Takes each entry of the history.

    Returns
    -------
    Search
        Its last history entry is the last generation.
    """
    if config.reference and workers.size > 1:
        raise UsageError("reference runs episodes in lock-step, so it must run in one process: leave out torchrun, or reference")
    if config.method.kind == "gradient" and workers.size > 1:
        raise UsageError("method.kind = gradient follows one network, so it must run in one process: leave out torchrun")
    if config.method.family > 1 and config.method.families % workers.size:
        rule = "every worker must have whole families, as many as the others"
        raise UsageError(f"{rule}, but {workers.size} workers share {config.method.families}: change method.population or the number of workers")
    search = Search.start(config, make_task(config, data))
    make_folder(folder)
    search.restore(folder)
    began = time.perf_counter()
    while len(search.history) < config.generations and not search.solved and time.perf_counter() - began < 60 * minutes:
        entry = search.advance(workers)
        if not config.reference and (entry["generation"] % config.evaluate_every == 0 or entry["generation"] == config.generations):
            entry["evaluation"] = float(search.evaluate(workers, EVALUATE, config.task.evaluation).mean())
        if entry.get("evaluation", -np.inf) >= config.task.target:
            entry["final"] = float(search.evaluate(workers, FINAL, config.task.final).mean())
            search.solved = entry["final"] >= config.task.target
        if workers.rank == 0:
            search.save(folder)
            report(entry)
    return search
