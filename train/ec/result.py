# SPDX-License-Identifier: Apache-2.0
"""What a search leaves behind: the network file, and figures with everything that made them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ...edge.backend import get_backend
from ...edge.errors import CheckFailed
from ...edge.events import events_from_payloads
from ...edge.files import write_whole
from ...edge.netfile import network_digest, read_network, write_network
from ...edge.network import Network
from ...edge.provenance import provenance
from ...edge.verification import ClipSet, run_backends
from ..recipe import to_dict
from .control import FINAL, ControlTask, episode_seed
from .controller import controller_metadata, run_controller
from .distributed import Workers
from .export import to_network
from .search import Search

__all__ = ["finish"]

VERIFIED_WINDOWS = 8  # of each recorded episode


def finish(search: Search, folder: Path, workers: Workers, *, name: str, verify: list[str]) -> dict[str, Any]:
    """Evaluate the deployed network, export it, evaluate and verify the file; write ``metrics.json``.

    Parameters
    ----------
    search : Search
    folder : Path
        Gets ``net.ormia``, of boolean connections, and ``metrics.json``.
    workers : Workers
        All call this; the first writes.
    name : str
        Of the network.
    verify : list of str
        Backends that must give the reference's integers on recorded observations; none: not checked.

    Returns
    -------
    dict
        Content of ``metrics.json``.
    """
    config = search.config
    population = search.population
    spikes, timesteps = population.spikes, population.timesteps
    returns = search.evaluate(workers, FINAL, config.task.final)
    counted = workers.gather(np.array([[population.spikes - spikes, population.timesteps - timesteps]], float), workers.size).sum(axis=0)
    boolean = config.method.boolean
    weights = int(np.size(search.method.parameters))
    result: dict[str, Any] = {
        "recipe": _plain(to_dict(config)),
        "workers": workers.size,
        "solved": search.solved,
        "generations": len(search.history),
        "steps": search.history[-1]["steps"] if search.history else 0,
        "seconds": round(search.seconds, 3),
        "cpu_seconds": round(search.cpu_seconds, 3),
        "final": {
            "mean": float(returns.mean()),
            "spread": float(returns.std()),
            "episodes": len(returns),
            "spikes_per_timestep": counted[0] / max(1, counted[1]),
        },
        "bits": weights * (1 if boolean else 32),
        "bytes_per_individual": weights // 8 if boolean else 4 * weights,
    }
    if workers.rank == 0:
        if boolean and config.network.readout_delay and config.network.payload_bits:
            result["integer"] = _deploy(search, folder, name, verify)
        result["history"] = search.history
        result["provenance"] = provenance()
        write_whole(folder / "metrics.json", json.dumps(result, indent=1) + "\n")
    return result


def _deploy(search: Search, folder: Path, name: str, verify: list[str]) -> dict[str, Any]:
    """Write the network, run the file, and compare backends on what it saw."""
    task, config = search.task, search.config
    metadata = {"provenance": {"recipe": _plain(to_dict(config.network))}}
    control = isinstance(task, ControlTask)
    metadata |= {"controller": controller_metadata(task, search.normalizer, search.scale, config.network.sub_steps)} if control else task.metadata
    offsets = None if control else task.offsets(search.population, search.method.center())
    net = to_network(
        search.method.deployed(), config.network, search.method.topology, search.scale, task.labels, name=name, metadata=metadata,
        payload_bits=task.payload_bits, payload_signed=control, offsets=offsets,
    )  # fmt: skip
    write_network(folder / "net.ormia", net)
    net = read_network(folder / "net.ormia")  # what is evaluated is the file
    n = config.task.final
    if control:
        returns, recorded, rate = run_controller(net, task, [episode_seed(config.seed, FINAL, 0, episode) for episode in range(n)])
        figures = {"mean": float(returns.mean()), "spread": float(returns.std()), "episodes": n, "spikes_per_timestep": rate}
        clips = [payloads[: VERIFIED_WINDOWS * config.network.sub_steps] for payloads in recorded[:3]]
    else:
        figures, clips = task.deployed(net, n)
    figures |= {"network": network_digest(net), "synapses": net.n_synapses, "neurons": net.n_neurons}
    return figures | ({"verified": _verify(net, clips, verify)} if verify else {})


def _verify(net: Network, clips: list[np.ndarray], names: list[str]) -> list[dict[str, Any]]:
    for backend in names:
        get_backend(backend)  # a wrong name is refused before anything is built
    chosen = ClipSet([events_from_payloads(clip) for clip in clips], tuple(f"recording {i}" for i in range(len(clips))), {"recorded": len(clips)}, "")
    outcomes = run_backends(net, chosen, names)
    for outcome in outcomes:
        if outcome.differences:
            raise CheckFailed(f"{outcome.backend} must equal the reference on recorded observations: {outcome.differences} differences, first {outcome.first}")
    return [outcome.as_dict() for outcome in outcomes]


def _plain(value: Any) -> Any:
    """``value`` without what JSON lacks: infinity, as a target or a time constant, becomes its word."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
