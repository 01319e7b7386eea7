# SPDX-License-Identifier: Apache-2.0
"""What a table of accuracies compares: arms named in a line of text, each trained once per seed and split of the corpus into a folder of its own.

A finished run is kept, an interrupted one goes on, and ``test`` is scored once, with an entry in the log of its reads.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..edge.ccode.layout import lay_out
from ..edge.clips import Clips
from ..edge.errors import DataError, TargetError, UsageError
from ..edge.evaluation import evaluate_clips
from ..edge.files import make_folder, write_whole
from ..edge.netfile import network_digest, read_network
from ..edge.network import Network
from .baselines import BASELINES, BaselineConfig, TrainedBaseline, baseline_config, dense, feed_forward, fit_baseline
from .config import Config, load_recipe, to_dict, with_settings
from .corpora.corpus import Corpus
from .dataset import CorpusSource
from .ledger import TestLedger
from .loop import load_model
from .model import SCMLModel
from .program import export_model, make_front_end, train_network
from .teacher import Teacher, TeacherConfig, fit_teacher

__all__ = ["Arm", "Run", "parse_arm"]

LONGEST_NAME = 255  # bytes of a file name on common file systems


@dataclass(frozen=True)
class Arm:
    """A network and how it is trained.

    Attributes
    ----------
    name : str
        As given.
    config : Config
        Recipe of a spiking network, changes applied; of a baseline, its epochs, batch and augmentation.
    baseline : BaselineConfig, optional
        Where the arm does not spike.
    round_bits : int, optional
        Weight bits to which the trained network is rounded, without training at that width.
    teachers : int
        Networks that teach it, trained on the clips that it trains on; 0 for none.
    lessons : Config
        Recipe whose augmentation those hear: one for all arms of a table.
    """

    name: str
    config: Config
    baseline: BaselineConfig | None = None
    round_bits: int | None = None
    teachers: int = 0
    lessons: Config = Config()


def parse_arm(text: str, recipe: str) -> Arm:
    """Read an arm: ``NAME`` or ``NAME:CHANGE;CHANGE``.

    Parameters
    ----------
    text : str
        NAME is a baseline (``dscnn``, ``dscnn-mfcc``, ``gru``) or a recipe. Changes of a recipe: ``dense`` and ``feedforward`` (spiking rivals of the same
        neurons), ``bits=N`` (of weights; accumulators of 24 bits where N is above the recipe's), ``membrane=N`` (membrane and current bits, with a
        threshold that fits), ``round=N`` (weights rounded after training), or any ``key.subkey=value`` of it. Changes of a baseline: keys of
        ``BaselineConfig``. Of both: ``teachers=N``, distillation from N networks.
    recipe : str
        Recipe from which baselines take epochs, batch and augmentation, and teachers their augmentation.

    Raises
    ------
    UsageError
        For a name or a change that means nothing.
    """
    name, _, rest = text.partition(":")
    given = [change.strip() for change in rest.split(";") if change.strip()]
    changes = [change for change in given if not change.startswith("teachers=")]
    teachers = [change.partition("=")[2] for change in given if change not in changes] or ["0"]
    if not teachers[-1].isdigit():
        raise UsageError(f"teachers of an arm must be a number of networks, as in teachers=3, not {teachers[-1]!r}")
    n_teachers = int(teachers[-1])
    lessons = load_recipe(recipe)
    if name in BASELINES:
        return Arm(text, lessons, with_settings(baseline_config(name, lessons), changes), None, n_teachers, lessons)
    config, round_bits = load_recipe(name), None
    for change in changes:
        key, _, value = change.partition("=")
        if change in _RIVALS:
            config = _RIVALS[change](config)
        elif key in _WIDTHS and not (value.isdigit() and int(value) in _WIDTHS[key]):
            raise UsageError(f"{key} of an arm must be {_WIDTHS[key][0]} to {_WIDTHS[key][-1]} bits, as in {key}={_WIDTHS[key][0]}, not {change!r}")
        elif key == "bits":
            wider = int(value) > config.model.weight_bits  # its sums may be too
            config = with_settings(config, [f"model.weight_bits={value}", *(["model.accumulator_bits=24"] if wider else [])])
        elif key == "membrane":
            nominal = min(config.model.nominal_threshold, (1 << int(value) - 1) // 8)
            config = with_settings(config, [f"model.membrane_bits={value}", f"model.current_bits={value}", f"model.nominal_threshold={nominal}"])
        elif key == "round":
            round_bits = int(value)
        else:
            config = with_settings(config, [change])
    return Arm(text, config, None, round_bits, n_teachers, lessons)


_WIDTHS = {"bits": range(2, 9), "membrane": range(8, 22), "round": range(2, 9)}  # F1 and F2 of docs/semantics.md; wider sums of membranes break P2
_RIVALS: dict[str, Callable[[Config], Config]] = {"dense": dense, "feedforward": feed_forward}


@dataclass(frozen=True)
class Run:
    """One training of an arm.

    Attributes
    ----------
    arm : Arm
    seed : int
    corpus : Corpus
        With the splits of this run.
    folder : Path
        Of all runs on this corpus; the run makes its own within.
    label : str
        What tells the run from others of its arm: the seed, and the fold if there is one.
    """

    arm: Arm
    seed: int
    corpus: Corpus
    folder: Path
    label: str

    @property
    def path(self) -> Path:
        """Folder of this run."""
        return self.folder / _file_name(self.arm.name) / self.label

    def figures(self, splits: tuple[str, ...], *, ledger: TestLedger, table: str, reread: str | None = None, threads: int = 1) -> dict[str, Any]:
        """Train what is not trained, score what is not scored.

        Returns
        -------
        dict
            ``rows``: for each form (a spiking arm has one, a baseline ``float`` and ``int8``) its digest, costs, and for each split ``accuracy``, the
            ``predicted`` classes and, of spiking arms, work ``per_second`` of audio. Also in ``figures.json`` of the run's folder.

        Raises
        ------
        DataError
            If the folder holds a run of another configuration.
        UsageError
            If this table has read ``test`` with this run before.
        """
        path = make_folder(self.path) / "figures.json"
        made_of = json.loads(json.dumps({"config": to_dict(self._config), "baseline": self._baseline and to_dict(self._baseline),
                                         "round_bits": self.arm.round_bits, "teachers": self.arm.teachers, "corpus": self.corpus.digest}))  # fmt: skip
        figures: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"made_of": made_of, "rows": {}, "splits": []}
        if figures["made_of"] != made_of:
            differing = [key for key in made_of if figures["made_of"].get(key) != made_of[key]]
            raise DataError(f"{path} must be of the same run to go on; it differs in {', '.join(differing)}: name another --work or remove its folder")
        missing = [split for split in splits if split not in figures["splits"]]
        if missing:
            score = self._spiking(threads, figures) if self.arm.baseline is None else self._plain(figures)
            for split in missing:
                if split == "test":
                    self._log(ledger, table, figures, reread)
                score(split)
                figures["splits"].append(split)
            write_whole(path, json.dumps(figures))
        return figures

    @property
    def _config(self) -> Config:
        return dataclasses.replace(self.arm.config, seed=self.seed)

    @property
    def _baseline(self) -> BaselineConfig | None:
        return None if self.arm.baseline is None else dataclasses.replace(self.arm.baseline, seed=self.seed)

    def _log(self, ledger: TestLedger, table: str, figures: dict[str, Any], reread: str | None) -> None:
        run = f"{self.arm.name} {self.label}"
        if reread is None:
            ledger.check_unread(table, run)
        digest = next(iter(figures["rows"].values()))["network"]
        ledger.record(
            who="bench/accuracy.py", table=table, run=run, corpus=self.corpus.digest, network=digest, clips=len(self.corpus.indices("test")), reason=reread
        )

    def _source(self) -> CorpusSource:
        return CorpusSource(self.corpus, make_front_end(self.arm.config.front_end), self.arm.config.augment)

    def _teacher(self) -> Teacher | None:
        """The teacher of all arms on this run's training clips; one that heard other folds would tell of the test clips."""
        if not self.arm.teachers:
            return None
        source = CorpusSource(self.corpus, make_front_end(self.arm.lessons.front_end), self.arm.lessons.augment)
        named = hashlib.sha256(json.dumps([self.corpus.digest, to_dict(source.settings)]).encode()).hexdigest()
        file = make_folder(self.folder) / f"teacher{self.arm.teachers}-{named[:12]}.safetensors"
        if not file.exists():
            fit_teacher(source, TeacherConfig(), members=self.arm.teachers).save(file)
        return Teacher.load(file)

    def _spiking(self, threads: int, figures: dict[str, Any]) -> Callable[[str], None]:
        """Train and export; how to score a split. What is scored is the file, by ``edge``."""
        file, config = self.path / "net.ormia", self._config
        if not (self.path / "metrics.json").exists():  # written last
            if self.arm.round_bits is None:
                train_network(config, self.corpus, self.path, threads=threads, splits=("valid",), teacher=self._teacher())
            else:
                self._round(threads)
        figures["torch_agrees_on_valid"] = json.loads((self.path / "metrics.json").read_text())["torch_exact_mode_agrees_on_every_clip"]
        net = read_network(file)
        row = figures["rows"].setdefault("", {"network": network_digest(net), **_network_cost(net)})

        def score(split: str) -> None:
            found = evaluate_clips(net, _clips(self.corpus, split), threads=threads)
            row[split] = {"accuracy": found.accuracy, "predicted": found.predicted.tolist(), "per_second": found.as_dict()["per_second_of_audio"]}

        return score

    def _round(self, threads: int) -> None:
        """Export the network that the arm without rounding trains, with coarser weights."""
        trained = dataclasses.replace(self, arm=dataclasses.replace(self.arm, name=_without_rounding(self.arm.name), round_bits=None))
        source, config = self._source(), self._config
        if not (trained.path / "metrics.json").exists():
            train_network(config, self.corpus, make_folder(trained.path), threads=threads, splits=("valid",), teacher=self._teacher())
        fine = load_model(config, source, trained.path)
        coarse_config = dataclasses.replace(config, model=dataclasses.replace(config.model, weight_bits=self.arm.round_bits or 0))
        coarse = SCMLModel(coarse_config.model, source.n_inputs, len(source.classes), source.payload_max)
        coarse.load_state_dict(fine.state_dict())
        coarse.set_shifts()
        export_model(coarse, source, coarse_config, self.path, "keywords", ("valid",))

    def _plain(self, figures: dict[str, Any]) -> Callable[[str], None]:
        """Train a baseline; how to score a split in both forms."""
        file, source, config = self.path / "baseline.safetensors", self._source(), self._baseline
        assert config is not None
        if not file.exists():
            fit_baseline(source, config, teacher=self._teacher()).save(file)
        trained = TrainedBaseline.load(file)
        for form, cost in trained.costs(self.corpus.n_samples).items():
            figures["rows"].setdefault(form, {"network": trained.digest(), "fine_tuned": trained.tuned and form == "int8", **cost})

        def score(split: str) -> None:
            clips, labels = source.fixed_audio(split)
            for form in ("float", "int8"):
                predicted = trained.predict(clips, integer=form == "int8")
                figures["rows"][form][split] = {"accuracy": float((predicted == labels).mean()), "predicted": predicted.tolist()}

        return score


def _clips(corpus: Corpus, split: str) -> Clips:
    chosen = corpus.indices(split)
    ids = tuple(corpus.clip_ids[i] for i in chosen)
    return Clips(np.asarray(corpus.clips[chosen]), corpus.labels[chosen], corpus.classes, ids, split, corpus.digest, corpus.sample_rate)


def _network_cost(net: Network) -> dict[str, int]:
    """Bytes of the network's tables and state as the generated C has them, and of all of it, front end and detector included."""
    sizes = {"neurons": net.n_neurons, "synapses": net.n_synapses}
    try:
        layout = lay_out(net)
    except TargetError:  # no C for it: the sizes are left out
        return sizes
    state, weights = layout.shares["network"]
    return {**sizes, "weight_bytes": weights, "state_bytes": state, "all_weight_bytes": layout.flash_bytes, "all_state_bytes": layout.state_bytes}


def _without_rounding(name: str) -> str:
    recipe, _, rest = name.partition(":")
    changes = [change for change in rest.split(";") if not change.strip().startswith("round=")]
    return recipe + (f":{';'.join(changes)}" if changes else "")


def _file_name(arm: str) -> str:
    """The arm's name as one of a folder; of a name too long for one, its beginning and a digest of all of it."""
    name = "".join(c if c.isalnum() or c in "-_.=" else "_" for c in arm)
    return name if len(name.encode()) <= LONGEST_NAME else f"{name[:60]}-{hashlib.sha256(arm.encode()).hexdigest()[:12]}"
