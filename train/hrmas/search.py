# SPDX-License-Identifier: Apache-2.0
"""The search: in turn a step of the architecture on validation clips, a step of the weights on training clips, and a repair of the firing rates.

First sizes and types, then types alone at the likeliest size. Epochs draw from their own generators and a checkpoint follows each, so an interrupted
search ends with the same bits as an uninterrupted one.
"""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ...edge.errors import DataError, UsageError
from ...edge.files import make_folder, write_whole
from ..loop import EventSource, calibrate, check_classes, class_weights, draw_epoch, parameter_group, to_input, train_step_loss
from ..recipe import from_dict, to_dict
from .config import SearchConfig
from .discretize import SearchStopped
from .intrinsic import adapt, divergence
from .price import price_loss
from .supernet import Supernet

__all__ = ["CHECKPOINT", "Search", "run_search"]

CHECKPOINT = "search.pt"
MAY_CHANGE = ("epochs", "keep_intrinsic", "kinds")  # between the pieces of one run
REMEDIES = ("learning_rate", "architecture_rate", "rate_weight", "plasticity", "price")  # as well, for a search that was stopped and goes on; in ``changes``
SILENT, SATURATED = 1e-4, 0.95  # mean rates of a layer that end a search
PERTURBATION = 0.1  # of the finite difference, as a share of the length of all weights: a smaller one moves few weights to another integer
Batch = tuple[np.ndarray, torch.Tensor]


class Search:
    """A run: the supernet, its optimizers and how far it is.

    Parameters
    ----------
    config : SearchConfig
    source : EventSource
        Weights learn on its training clips, the architecture on those of valid.

    Attributes
    ----------
    supernet : Supernet
    history : list of dict
        One entry an iteration.
    epoch : int
        Epochs done.
    seconds, cpu_seconds : float
        Wall and processor time of the epochs.
    changes : list of dict
        Settings that another piece of the run had until an epoch.
    """

    def __init__(self, config: SearchConfig, source: EventSource) -> None:
        self.config, self.source, self.training = config, source, config.searching
        torch.manual_seed(self.training.seed)
        about = (source.n_inputs, len(source.classes), source.payload_max)
        self.supernet = Supernet(self.training.model, config.sizes, config.lateral, *about, ring=config.ring, untied=config.untied)
        self.gain = nn.Parameter(torch.tensor(1.0))
        self.valid_payloads, self.valid_labels = source.fixed("valid")
        if not len(self.valid_labels):
            raise DataError("a search must have clips of valid, on which the architecture learns, but there are none: give some speakers to valid")
        _, (payloads, labels, _) = draw_epoch(self.training, source, 0)
        check_classes(source, labels)
        self.balance = class_weights(self.training, source, labels)
        calibrate(self.supernet, payloads[: 2 * self.training.batch], target=self.training.rate_target)
        named = [*self.supernet.weights, ("gain", self.gain)]
        self.weights = [parameter for _, parameter in named]
        groups = [parameter_group(self.training, name, parameter) for name, parameter in named]
        self.weight_optimizer = torch.optim.AdamW(groups, weight_decay=self.training.weight_decay)
        self.architecture_optimizer = torch.optim.Adam(
            self.supernet.architecture, lr=config.architecture_rate, betas=(0.5, 0.999), weight_decay=config.architecture_decay
        )
        self.history: list[dict[str, Any]] = []
        self.changes: list[dict[str, Any]] = []
        self.epoch, self.seconds, self.cpu_seconds = 0, 0.0, 0.0

    def loss(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss of a batch, and its logits."""
        payloads, labels = batch
        loss, logits, *_ = train_step_loss(self.supernet, self.gain, self.training, payloads, labels, self.source.scored_timesteps, self.balance)
        return loss, logits

    def architecture_step(self, train: Batch, valid: Batch) -> float:
        """One step of the logits on validation clips; the loss there, without the price.

        Raises
        ------
        SearchStopped
            If the loss or a logit is no longer a number.
        """
        logits = self.supernet.architecture
        if self.config.order == 1:
            loss, _ = self.loss(valid)
            gradients = self._gradients(loss, logits)
        else:
            loss, gradients = self._second_order(train, valid)
        price = self.config.price
        if price.synapses or price.memory or price.cycles:
            cost = price_loss(self.supernet, self._rates(train), price)
            gradients = [g + p for g, p in zip(gradients, self._gradients(cost, logits), strict=True)]
        self._check_finite("the loss on valid", loss)
        for parameter, gradient in zip(logits, gradients, strict=True):
            parameter.grad = gradient
        for candidates in self.supernet.candidates:
            if candidates.chosen >= 0:  # type: ignore[operator]
                candidates.size_logits.grad = None  # neither momentum nor decay may move them
        self.architecture_optimizer.step()
        self._check_finite("every architecture logit", *logits)
        return float(loss.detach())

    def weight_step(self, train: Batch) -> tuple[float, int]:
        """One step of the weights; loss and how many clips were right. Raises ``SearchStopped`` if the loss is no longer a number."""
        loss, found = self.loss(train)
        self._check_finite("the loss on train", loss)
        for parameter, gradient in zip(self.weights, self._gradients(loss, self.weights), strict=True):
            parameter.grad = gradient
        nn.utils.clip_grad_norm_(self.weights, self.training.grad_clip)
        self.weight_optimizer.step()
        self.supernet.constrain()
        return float(loss.detach()), int((found.argmax(1) == train[1]).sum())

    def repair(self, train: Batch) -> dict[str, list[float]]:
        """Intrinsic plasticity over a window of one batch; rate and divergence of each layer before it, and after it where they are measured."""
        plasticity = self.config.plasticity
        rasters = self._rasters(train)
        found = {"rate": [float(r.mean()) for r in rasters], "divergence": [divergence(r.mean(0), plasticity.target) for r in rasters]}
        if not plasticity.on:
            return found
        for number, raster in enumerate(rasters):
            resistance, tau, start = self.supernet.intrinsic(number)
            limits = {"target": plasticity.target, "trace": plasticity.trace, "largest_change": plasticity.largest_change}
            self.supernet.set_intrinsic(number, *adapt(raster, resistance, tau, start, **limits))
        if len(self.history) % plasticity.measure_every == 0:
            rasters = self._rasters(train)
            found["rate_after"] = [float(r.mean()) for r in rasters]
            found["divergence_after"] = [divergence(r.mean(0), plasticity.target) for r in rasters]
        return found

    def iterate(self, train: Batch, valid: Batch) -> dict[str, Any]:
        """One iteration; its entry of the history."""
        valid_loss = self.architecture_step(train, valid)
        train_loss, right = self.weight_step(train)
        entry = {"iteration": len(self.history), "epoch": self.epoch, "valid_loss": valid_loss, "train_loss": train_loss, "accuracy": right / len(train[1])}
        entry |= self.repair(train)
        entry["sizes"] = [c.size_probabilities().detach().tolist() for c in self.supernet.candidates]  # type: ignore[operator]
        self.history.append(entry)
        return entry

    def run_epoch(self, folder: Path, report: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
        """All iterations of an epoch, then logs and checkpoint in ``folder``.

        Raises
        ------
        SearchStopped
            If something is no longer a number, or a layer fell silent or saturated and was not repaired; the last checkpoint stays.
        """
        began, began_cpu = time.perf_counter(), time.process_time()
        if self.epoch == self.config.size_epochs and self.supernet.candidates[0].chosen < 0:
            self.supernet.fix_sizes()
        first = len(self.history)
        logits: list[list[np.ndarray]] = []
        for train, valid in self._batches():
            report(self.iterate(train, valid))
            logits.append([p.detach().numpy().astype(np.float32) for p in self.supernet.architecture])
        self._check_alive(self.history[first:])
        self.epoch += 1
        self.seconds += time.perf_counter() - began
        self.cpu_seconds += time.process_time() - began_cpu
        self._log(folder, [np.stack(steps) for steps in zip(*logits, strict=True)])
        self.save(folder)

    def save(self, folder: Path) -> None:
        """Write the checkpoint."""
        file = io.BytesIO()
        about = {"config": to_dict(self.config), "corpus": self.source.digest, "history": self.history, "epoch": self.epoch, "changes": self.changes}
        about |= {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds, "chosen": [c.chosen for c in self.supernet.candidates]}
        parts = {"supernet": self.supernet.state_dict(), "gain": self.gain.detach(), "about": json.dumps(about)}
        torch.save(parts | {"weights": self.weight_optimizer.state_dict(), "architecture": self.architecture_optimizer.state_dict()}, file)
        write_whole(folder / CHECKPOINT, file.getvalue())

    def restore(self, folder: Path) -> bool:
        """Take up the run of a folder; False where there is none.

        Raises
        ------
        DataError
            If the checkpoint cannot be read.
        UsageError
            If it is of another recipe or corpus.
        """
        path = folder / CHECKPOINT
        if not path.exists():
            return False
        try:
            saved = torch.load(path, weights_only=True)
            about = json.loads(saved["about"])
            before = to_dict(from_dict(SearchConfig, about["config"], CHECKPOINT)) | {"corpus": about["corpus"]}
            ours = to_dict(self.config) | {"corpus": self.source.digest}
            differ = [key for key, value in ours.items() if before[key] != value and key not in MAY_CHANGE]
            remedies = {key: before[key] for key in differ if key in REMEDIES and about["epoch"] < self.config.epochs}
            if differ := [key for key in differ if key not in remedies]:
                raise UsageError(
                    f"{folder} must be empty or hold a search of the same recipe and corpus, but {', '.join(differ)} differ: name another --output"
                )
            self.supernet.load_state_dict(saved["supernet"])
            for optimizer, name in ((self.weight_optimizer, "weights"), (self.architecture_optimizer, "architecture")):
                rates = [group["lr"] for group in optimizer.param_groups]
                optimizer.load_state_dict(saved[name])
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate
            self.gain.data.copy_(saved["gain"])
            if min(about["chosen"]) >= 0:
                self.supernet.fix_sizes(about["chosen"])
            self.history, self.epoch, self.seconds, self.cpu_seconds = (about[key] for key in ("history", "epoch", "seconds", "cpu_seconds"))
            self.changes = about.get("changes", []) + ([remedies | {"until_epoch": self.epoch}] if remedies else [])
        except UsageError:
            raise
        except Exception as error:  # whatever a damaged archive makes torch raise
            raise DataError(f"{path} must be the checkpoint of a search: remove it to start again ({type(error).__name__})") from None
        return True

    def _second_order(self, train: Batch, valid: Batch) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """DARTS: the gradient on valid at weights one step ahead, less the step times a mixed second derivative by finite differences."""
        logits, weights = self.supernet.architecture, self.weights
        steps = [group["lr"] for group in self.weight_optimizer.param_groups]
        kept = [w.detach().clone() for w in weights]
        ahead = self._gradients(self.loss(train)[0], weights)

        def move(direction: list[torch.Tensor], amounts: list[float]) -> None:
            with torch.no_grad():
                for w, k, d, a in zip(weights, kept, direction, amounts, strict=True):
                    w.copy_(k + a * d)
            self.supernet.constrain()

        move(ahead, [-step for step in steps])
        loss, _ = self.loss(valid)
        both = self._gradients(loss, [*logits, *weights])
        by_logits, by_weights = both[: len(logits)], both[len(logits) :]
        by_weights = [step * g for step, g in zip(steps, by_weights, strict=True)]  # each matrix has its own step
        norm, length = (math.sqrt(sum(float(x.square().sum()) for x in many)) for many in (by_weights, kept))
        if norm > 0:
            epsilon = PERTURBATION * length / norm
            sides = []
            for sign in (1, -1):
                move(by_weights, [sign * epsilon] * len(weights))
                sides.append(self._gradients(self.loss(train)[0], logits))
            by_logits = [g - (p - m) / (2 * epsilon) for g, p, m in zip(by_logits, *sides, strict=True)]
        move(kept, [0.0] * len(weights))
        return loss, by_logits

    def _gradients(self, loss: torch.Tensor, parameters: list[nn.Parameter]) -> list[torch.Tensor]:
        found = torch.autograd.grad(loss, parameters, allow_unused=True)  # sizes that were fixed have none
        return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]

    @torch.no_grad()
    def _rasters(self, batch: Batch) -> list[np.ndarray]:
        return [spikes.numpy() for spikes in self.supernet(to_input(batch[0], len(self.supernet.constants))).spikes]

    def _rates(self, batch: Batch) -> list[torch.Tensor]:
        return [torch.from_numpy(raster.mean((0, 1))) for raster in self._rasters(batch)]

    def _batches(self) -> Iterator[tuple[Batch, Batch]]:
        """Training batches of this epoch, each with as many validation clips, which come round as often as it takes."""
        _, (payloads, labels, _) = draw_epoch(self.training, self.source, self.epoch)
        rng = np.random.default_rng([self.training.seed, self.epoch, 1])
        n, size = len(self.valid_labels), min(self.training.batch, len(self.valid_labels))
        order = np.concatenate([rng.permutation(n) for _ in range(-(-size * (len(labels) // self.training.batch + 1) // n))])
        for k, start in enumerate(range(0, len(labels), self.training.batch)):
            part, chosen = slice(start, start + self.training.batch), order[k * size : (k + 1) * size]
            yield (
                (payloads[part], torch.from_numpy(labels[part])),
                (self.valid_payloads[chosen], torch.from_numpy(self.valid_labels[chosen])),
            )

    @property
    def _kept(self) -> str:
        """What a stop leaves."""
        return f"{CHECKPOINT} holds the last good epoch, from which the command then goes on" if self.epoch else "no epoch was good yet"

    def _check_finite(self, what: str, *values: torch.Tensor) -> None:
        if not all(bool(torch.isfinite(value).all()) for value in values):
            raise SearchStopped(
                f"{what} must be finite; it is not at iteration {len(self.history)}. Lower learning_rate (now {self.config.learning_rate}) or "
                f"architecture_rate (now {self.config.architecture_rate}); {self._kept}"
            )

    def _check_alive(self, entries: list[dict[str, Any]]) -> None:
        """Refuse a layer whose rate over the last entries is out of all bounds."""
        for number, rate in enumerate(np.mean([entry["rate"] for entry in entries[-10:]], axis=0) if entries else []):
            if not SILENT <= rate <= SATURATED:
                raise SearchStopped(
                    f"every layer must fire between {SILENT} and {SATURATED} spikes a timestep; layer {number} is at {rate:.2g} by iteration "
                    f"{len(self.history) - 1}. Turn plasticity on or raise rate_weight, or training.rate_target in another --output; {self._kept}"
                )

    def _log(self, folder: Path, logits: list[np.ndarray]) -> None:
        """Logits of every iteration of the epoch, and the table of all iterations so far."""
        make_folder(folder / "logits")
        arrays = {f"layer{k // 2}_{'links' if k % 2 else 'sizes'}": steps for k, steps in enumerate(logits)}
        file = io.BytesIO()
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        write_whole(folder / "logits" / f"epoch{self.epoch - 1:04}.npz", file.getvalue())
        rows = [_flat(entry) for entry in self.history]
        text = io.StringIO()
        table = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        write_whole(folder / "log.csv", text.getvalue())


def run_search(
    config: SearchConfig, source: EventSource, folder: Path, *, minutes: float = float("inf"), report: Callable[[dict[str, Any]], None] = lambda _: None
) -> Search:
    """Search until the last epoch or the end of the time; go on where an interrupted run stopped.

    Parameters
    ----------
    config : SearchConfig
    source : EventSource
    folder : Path
        Of the run: ``search.pt``, ``log.csv`` and ``logits/``.
    minutes : float
        Stop after the epoch that passes them.
    report : callable
        Takes each entry of the history.

    Raises
    ------
    SearchStopped, DataError, UsageError
        See ``Search``.
    """
    search = Search(config, source)
    make_folder(folder)
    search.restore(folder)
    began = time.perf_counter()
    while search.epoch < config.epochs and time.perf_counter() - began < 60 * minutes:
        search.run_epoch(folder, report)
    return search


def _flat(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry as columns: a list by layer becomes ``name_layer``, one of lists ``name_layer_k``."""
    flat: dict[str, Any] = {}
    for key, value in entry.items():
        for number, one in enumerate(value if isinstance(value, list) else []):
            flat |= {f"{key}_{number}_{k}": x for k, x in enumerate(one)} if isinstance(one, list) else {f"{key}_{number}": one}
        if not isinstance(value, list):
            flat[key] = value
    return flat
