# SPDX-License-Identifier: Apache-2.0
"""What a search leaves behind: the found topology, the network trained with it, its file, and figures with everything that made them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...edge.cost import core_memories
from ...edge.files import make_folder, write_whole
from ...edge.netfile import read_network
from ...edge.network import Network
from ...edge.provenance import provenance
from ..config import Config
from ..loop import Progress, accuracy, fit, predict
from ..model import SCMLModel
from ..program import export_model
from ..recipe import to_dict
from .discretize import discrete_config, discrete_model, found_topologies
from .search import Search
from .supernet import Supernet

__all__ = ["finish", "found_config", "kinds_loss", "memory_saved"]


def found_config(search: Search) -> Config:
    """How the found network is trained: a recipe of ``ormia train``. Raises ``SearchStopped`` where no topology was found."""
    config = search.config
    model = discrete_config(search.supernet, config.training.model, found_topologies(search.supernet), keep_intrinsic=config.keep_intrinsic, kinds=config.kinds)
    return dataclasses.replace(config.training, model=model)


def kinds_loss(search: Search) -> dict[str, Any]:
    """What clustering of the time constants costs, with the weights of the search and the likeliest topology.

    Returns
    -------
    dict
        Accuracy on valid before and after, share of its clips whose label changes, kinds of each layer before and after, largest relative change of tau;
        of R, which needs no kinds but becomes an integer threshold: largest relative change of R / tau, and the share of neurons at a limit of thresholds.
    """
    supernet, config, topologies = search.supernet, search.config, found_topologies(search.supernet)
    models: list[SCMLModel] = []
    for kinds in (None, config.kinds):
        models.append(discrete_model(supernet, discrete_config(supernet, config.training.model, topologies, kinds=kinds)))
    tau = [[np.array(layer.tau_membrane) for layer in model.config.layers] for model in models]
    gains = [_gains(supernet, number) for number in range(len(supernet.candidates))]
    before, after = (predict(model, search.valid_payloads) for model in models)
    return {
        "before": accuracy(models[0], search.valid_payloads, search.valid_labels),
        "after": accuracy(models[1], search.valid_payloads, search.valid_labels),
        "changed": float((before != after).mean()),
        "kinds_before": [len(np.unique(x)) for x in tau[0]],
        "kinds_after": [len(np.unique(x)) for x in tau[1]],
        "largest_change_of_tau": max(float(np.abs(b / a - 1).max()) for a, b in zip(*tau, strict=True)),
        "largest_change_of_gain": max(float(change.max()) for change, _ in gains),
        "thresholds_at_limit": float(np.concatenate([limited for _, limited in gains]).mean()),
    }


def _gains(supernet: Supernet, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Relative change of the R / tau of each neuron by its threshold, an integer within limits, and whether it changes by more than rounding does."""
    resistance, tau, _ = supernet.intrinsic(number)
    wanted = tau / resistance * supernet.config.nominal_threshold
    stored = supernet.threshold_integers(number).detach().numpy().astype(np.float64)
    return np.abs(wanted / stored - 1), np.abs(wanted - stored) > 1


def memory_saved(net: Network) -> dict[str, int]:
    """Bits of the synapse memories of the core (``edge/cost.py``) in packing plain, and with lists that motifs share."""
    names = ("axon table", "targets", "weights")
    found = {packing: [m for m in core_memories(net, shared=packing == "shared") if m.name in names] for packing in ("plain", "shared")}
    return {packing: sum(memory.size for memory in memories) for packing, memories in found.items()}


def finish(search: Search, source: Any, folder: Path, *, name: str = "found", report: Callable[[Progress], None] = lambda _: None) -> dict[str, Any]:
    """Train the found network from fresh weights, export it, score the file; write ``metrics.json``.

    Parameters
    ----------
    search : Search
    source : CorpusSource or EventCorpusSource
        As ``program.make_source`` gives it.
    folder : Path
        Gets ``metrics.json`` and the training run ``network/`` with ``net.ormia``.
    name : str
        Of the network.
    report : callable
        Called after each epoch.

    Returns
    -------
    dict
        Content of ``metrics.json``.
    """
    config = found_config(search)
    topologies = found_topologies(search.supernet)
    made = make_folder(folder / "network")
    trained = export_model(fit(config, source, made, report=report), source, config, made, name)
    plasticity, last = search.config.plasticity, search.history[-1]
    sizes = [candidates.sizes[int(np.argmax(probability))] for candidates, probability in zip(search.supernet.candidates, last["sizes"], strict=True)]  # type: ignore[index]
    measured = [entry for entry in search.history if "rate_after" in entry]
    result: dict[str, Any] = {
        "recipe": to_dict(search.config),
        "corpus": source.digest,
        "epochs": search.epoch,
        "iterations": len(search.history),
        "changes": search.changes,
        "seconds": round(search.seconds, 3),
        "cpu_seconds": round(search.cpu_seconds, 3),
        "layers": [{"size": size, "topology": topology.rows(), "links": topology.counts()} for size, topology in zip(sizes, topologies, strict=True)],
        "rates": {"target": plasticity.target, "first": search.history[0]["rate"], "last": last["rate"], "divergence_last": last["divergence"]},
        "repairs_measured": len(measured),
        "kinds": kinds_loss(search),
        "network": trained,
        "memory_bits": memory_saved(read_network(made / "net.ormia")),
        "made": provenance(),
    }
    write_whole(folder / "metrics.json", json.dumps(result, indent=1) + "\n")
    return result
