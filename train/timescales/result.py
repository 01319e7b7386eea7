# SPDX-License-Identifier: Apache-2.0
"""What a search for timescales leaves behind: the network trained with what was chosen, its file, the front, and what its delays and kinds cost."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...edge.errors import MissingTool
from ...edge.files import make_folder, write_whole
from ...edge.netfile import read_network
from ...edge.provenance import provenance
from ..config import Config, from_dict, to_dict
from ..loop import Progress, fit
from ..model import with_timescales
from ..program import export_model
from .config import SearchConfig, count_weights
from .kinds import kinds_table
from .price import price_of
from .search import chosen, front

if TYPE_CHECKING:
    import optuna

__all__ = ["finish", "write_front"]


def finish(
    study: optuna.Study, config: SearchConfig, source: Any, folder: Path, *, name: str = "found", report: Callable[[Progress], None] = lambda _: None
) -> dict[str, Any]:
    """Train what was chosen from fresh weights, export it, score the file; write ``metrics.json``.

    Parameters
    ----------
    study : optuna.Study
    config : SearchConfig
    source : CorpusSource or EventCorpusSource
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
    best = chosen(study)
    short: Config = from_dict(Config, best.user_attrs["training"], "study")
    training = dataclasses.replace(short, epochs=config.training.epochs)
    made = make_folder(folder / "network")
    model = fit(training, source, made, report=report)
    trained = export_model(model, source, training, made, name)
    net, valid = read_network(made / "net.ormia"), source.fixed("valid")
    states = [trial.state.name for trial in study.trials]
    result: dict[str, Any] = {
        "recipe": to_dict(config),
        "corpus": source.digest,
        "trials": {state: states.count(state) for state in sorted(set(states))},
        "front": [{"trial": t.number, "valid": t.values[0], "point": t.params, "price": t.user_attrs["price"]} for t in front(study)],
        "chosen": {"trial": best.number, "point": best.params, "layers": to_dict(with_timescales(training.model))["layers"]},
        "weights": count_weights(training.model, source.n_inputs, len(source.classes)),
        "network": trained,
        "price": dataclasses.asdict(price_of(net, valid[0][: config.clips])),
        "kinds": kinds_table(model, *valid, payload_bits=source.payload_bits) if model.decays else [],
        "made": provenance(),
    }
    write_whole(folder / "metrics.json", json.dumps(result, indent=1) + "\n")
    return result


def write_front(study: optuna.Study, folder: Path) -> list[Path]:
    """Plot accuracy of all trials against memory and clocks to ``folder/plots``; the files.

    Raises
    ------
    MissingTool
        If matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingTool("plots need matplotlib: pip install 'ormia[report]'; the search is kept, the same command goes on")
    from matplotlib.figure import Figure

    figure, best = Figure((7.4, 3.0), layout="constrained"), front(study)
    tried = [trial for trial in study.trials if trial.values]
    for axes, objective, label, scale in zip(figure.subplots(1, 2, sharey=True), (1, 2), ("memories, kbit", "clocks a timestep"), (1000, 1), strict=True):
        for trials, style in ((tried, {"color": "0.65", "ms": 3}), (best, {"color": "#1f6fb2", "ms": 5})):
            axes.plot([t.values[objective] / scale for t in trials], [100 * t.values[0] for t in trials], "o", **style)
        axes.set_xlabel(label)
    figure.axes[0].set_ylabel("accuracy on valid, %")
    target, written = make_folder(folder / "plots"), []
    for kind in ("svg", "png"):
        file = io.BytesIO()
        figure.savefig(file, format=kind, dpi=110, metadata={"Date": None} if kind == "svg" else None)
        written.append(target / f"front.{kind}")
        write_whole(written[-1], file.getvalue())
    return written
