# SPDX-License-Identifier: Apache-2.0
"""HRMAS beside its ablations and controls on one corpus: deployed integers, paired over speakers, folds and seeds.

    ormia data --data RECORDINGS --noise NOISE --output runs/corpora
    python bench/hrmas.py runs/corpora/XXXX --folds 5 --seeds 3
    python bench/hrmas.py runs/corpora/XXXX --folds 5 --seeds 10 --arms full no-plasticity random-search
    python bench/hrmas.py runs/corpora/XXXX --folds 5 --seeds 3 --equal parameters --output bench/results/hrmas_parameters.json

Protocol, set before any run. The figure is the difference of accuracy to arm full in points, with a 95 % interval of a bootstrap over speakers of the
clips' shares of right answers over seeds; where it covers 0 the difference is "not detectable here". A search sees train and valid; then every arm, searched
or not, trains from fresh weights on both together with one recipe, and test is read once from its file. Arm random permutes the types of the topology that
full found with the same seed and fold, so it has as many of each; random-search trains random topologies for a sixth of the epochs each, until it has used
the processor time of that search, and keeps the best on valid. --equal parameters gives dense and feedforward as many weights as full has, in place of as
many neurons.

A part is one arm, seed and fold, a file under --parts that is kept: a second call goes on where the first stopped, and --list shows what is missing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from ormia.edge.cost import core_memories
from ormia.edge.files import make_folder, write_whole
from ormia.edge.netfile import read_network
from ormia.edge.provenance import provenance
from ormia.edge.runtime import Runtime
from ormia.train.comparison import clustered_bootstrap
from ormia.train.config import Config
from ormia.train.corpora import Corpus
from ormia.train.dataset import CorpusSource
from ormia.train.folds import Folds, clusters
from ormia.train.hrmas.config import SearchConfig, load_recipe
from ormia.train.hrmas.result import found_config, memory_saved
from ormia.train.hrmas.search import run_search
from ormia.train.ledger import TestLedger
from ormia.train.loop import accuracy, fit
from ormia.train.program import export_model, make_front_end
from ormia.train.recipe import to_dict, with_settings
from ormia.train.topology import Link, Topology, hand_set, shuffled

SEARCHES: dict[str, list[str]] = {"full": [], "no-plasticity": ["plasticity.on=false"], "no-lateral": ["lateral=false"], "no-motifs": ["lateral=false"]}
ARMS = (*SEARCHES, "dense", "feedforward", "random", "random-search", "hand", "evolved")
SHORT = 6  # a random topology is judged after this share of the epochs


class UnionSource(CorpusSource):
    """Training clips of train and valid together; fixed splits as the corpus has them."""

    def __init__(self, corpus: Corpus, config: Config) -> None:
        union = dataclasses.replace(corpus, split=tuple("train" if split == "valid" else split for split in corpus.split))
        super().__init__(union, make_front_end(config.front_end), config.augment)
        self.parted = corpus

    def fixed_audio(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Clips of a split as they are."""
        chosen = self.parted.indices(split)
        return np.asarray(self.parted.clips[chosen]), self.parted.labels[chosen]


def with_topology(config: Config, topology: Topology, neurons: int) -> Config:
    """A training of one layer with a topology."""
    (layer,) = config.model.layers
    layer = dataclasses.replace(layer, neurons=neurons, motif=topology.size, topology=topology.rows())
    return dataclasses.replace(config, model=dataclasses.replace(config.model, layers=(layer,)))


def weights_of(inputs: int, classes: int, neurons: int, recurrent: Callable[[int], int]) -> int:
    """Weights of a network of one layer."""
    return neurons * (inputs + classes) + recurrent(neurons)


class Part:
    """One arm, seed and fold.

    Parameters
    ----------
    options : argparse.Namespace
    arm : str
    seed : int
    fold : int or None
    corpus : Corpus
        Under the splits of the fold.
    """

    def __init__(self, options: argparse.Namespace, arm: str, seed: int, fold: int | None, corpus: Corpus) -> None:
        self.options, self.arm, self.seed, self.fold, self.corpus = options, arm, seed, fold, corpus
        self.place = f"seed{seed}" + ("" if fold is None else f"_fold{fold}")
        other = options.equal == "parameters" and arm in ("dense", "feedforward")
        self.name = f"{arm}_{self.place}" + ("_equal-parameters" if other else "")
        self.path = options.parts / corpus.digest[:12] / f"{self.name}.json"
        self.folder = options.work / corpus.digest[:12] / self.name
        config = with_settings(load_recipe(options.recipe), [*(options.set or []), f"training.seed={seed}"])
        self.config: SearchConfig = with_settings(config, SEARCHES.get(arm, []))
        if arm == "no-motifs":
            self.config = dataclasses.replace(self.config, sizes=(self.neurons,), size_epochs=0)

    @property
    def neurons(self) -> int:
        """Of the layer."""
        (layer,) = self.config.training.model.layers
        return layer.neurons

    def full(self) -> dict[str, Any]:
        """The part of arm full with this seed and fold, which the controls are made from."""
        path = self.path.with_name(f"full_{self.place}.json")
        if not path.exists():
            raise SystemExit(f"{self.name} needs {path}: run arm full first")
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def run(self) -> None:
        """Search where there is one, train, export, read test once, write the part."""
        began = time.process_time()
        training, search = self._found()
        searched = time.process_time() - began
        make_folder(self.folder)
        source = UnionSource(self.corpus, training)
        began = time.process_time()
        model = fit(training, source, self.folder / "network")
        trained = time.process_time() - began
        figures = export_model(model, source, training, self.folder / "network", "found", splits=("valid",))
        net = read_network(self.folder / "network" / "net.ormia")
        payloads, labels = source.fixed("test")
        ledger = TestLedger(self.options.parts / "test_reads.jsonl")
        ledger.record(
            who="bench/hrmas.py", table=self.options.output.stem, run=self.name, corpus=self.corpus.digest, network=figures["network"], clips=len(labels)
        )
        right = np.asarray(Runtime(net).predict(payloads)) == labels
        (layer,) = training.model.layers
        part = {
            "arm": self.arm, "seed": self.seed, "fold": self.fold, "corpus": self.corpus.digest, "topology": layer.topology, "neurons": layer.neurons,
            "synapses": net.n_synapses, "memory_bits": memory_saved(net) | {"all_plain": sum(m.size for m in core_memories(net))},
            "accuracy": float(right.mean()), "right": "".join("01"[int(x)] for x in right), "network": figures["network"],
            "exact": figures["torch_exact_mode_agrees_on_every_clip"], "cpu_seconds": {"search": searched, "training": trained}, "search": search,
            "recipe": to_dict(self.config), "made": provenance(),
        }  # fmt: skip
        make_folder(self.path.parent)
        write_whole(self.path, json.dumps(part, indent=1) + "\n")

    def _found(self) -> tuple[Config, dict[str, Any] | None]:
        """How the arm's network is trained, and what was searched."""
        training = self.config.training
        if self.arm in SEARCHES:
            search = run_search(self.config, CorpusSource(self.corpus, make_front_end(training.front_end), training.augment), self.folder / "search")
            last = search.history[-1]
            return found_config(search), {"cpu_seconds": search.cpu_seconds, "iterations": len(search.history), "sizes": last["sizes"], "rate": last["rate"]}
        full = None if self.arm == "hand" else self.full()
        if self.arm == "random":
            assert full is not None
            return with_topology(training, shuffled(Topology.from_rows(tuple(full["topology"])), np.random.default_rng([self.seed, 7])), self.neurons), None
        if self.arm == "random-search":
            assert full is not None
            return self._random_search(full["search"]["cpu_seconds"])
        if self.arm == "evolved":
            if self.options.evolved is None:
                raise SystemExit("arm evolved needs --evolved FILE, a JSON list of topology rows")
            return with_topology(training, Topology.from_rows(tuple(json.loads(self.options.evolved.read_text()))), self.neurons), None
        if self.arm == "hand":
            return with_topology(training, hand_set(16), self.neurons), None
        assert full is not None
        recurrent = (lambda n: n * n) if self.arm == "dense" else (lambda n: 0)
        neurons = self.neurons
        if self.options.equal == "parameters":
            inputs, classes = make_front_end(training.front_end).n_inputs, len(self.corpus.classes)
            neurons = min(range(4, 8 * neurons), key=lambda n: abs(weights_of(inputs, classes, n, recurrent) - full["synapses"]))
        whole = Topology(np.full((neurons, neurons), Link.FREE, np.int8), (), np.zeros((0, neurons), np.int8))
        none = Topology(np.zeros((1, 1), np.int8), (), np.zeros((0, 1), np.int8))
        return with_topology(training, whole if self.arm == "dense" else none, neurons), None

    def _random_search(self, budget: float) -> tuple[Config, dict[str, Any]]:
        """Random topologies trained for a while each, until the processor time is used; the best on valid."""
        training = self.config.training
        short = dataclasses.replace(training, epochs=max(1, training.epochs // SHORT))
        source = CorpusSource(self.corpus, make_front_end(training.front_end), training.augment)
        rng, began, tried = np.random.default_rng([self.seed, 8]), time.process_time(), []
        best: tuple[float, Topology] | None = None
        while best is None or time.process_time() - began < budget:
            size, share = int(rng.choice(self.config.sizes)), rng.dirichlet(np.ones(3))
            topology = Topology(rng.choice(3, (size, size), p=share).astype(np.int8), (-1, 1), rng.choice(3, (2, size), p=share).astype(np.int8))
            model = fit(with_topology(short, topology, self.neurons), source, self.folder / f"tried{len(tried)}")
            tried.append(accuracy(model, *source.fixed("valid")))
            if best is None or tried[-1] > best[0]:
                best = tried[-1], topology
        return with_topology(training, best[1], self.neurons), {"cpu_seconds": time.process_time() - began, "budget": budget, "valid": tried}


def summarize(parts: list[Part], corpora: dict[int | None, Corpus]) -> list[dict[str, Any]]:
    """A row for each arm: mean and spread over seeds, difference to full on the clips and seeds that both have."""
    found = {(part.arm, part.seed, part.fold): json.loads(part.path.read_text(encoding="utf-8")) for part in parts if part.path.exists()}
    named = {fold: np.array(clusters(corpus))[corpus.indices("test")] for fold, corpus in corpora.items()}
    rows = []
    for arm in dict.fromkeys(part.arm for part in parts):
        own = {key[1:]: part for key, part in found.items() if key[0] == arm}
        if not own:
            continue
        seeds = sorted({seed for seed, _ in own})
        means = [statistics.fmean(part["accuracy"] for (s, _), part in own.items() if s == seed) for seed in seeds]
        row: dict[str, Any] = {"arm": arm, "parts": len(own), "seeds": seeds, "mean": statistics.fmean(means)}
        row["spread"] = statistics.stdev(means) if len(means) > 1 else None
        row["cpu_minutes"] = {kind: statistics.fmean(part["cpu_seconds"][kind] for part in own.values()) / 60 for kind in ("search", "training")}
        row["synapses"] = statistics.fmean(part["synapses"] for part in own.values())
        both = [key for key in own if ("full", *key) in found]
        if arm != "full" and both:
            shares, names = [], []
            for fold in sorted({fold for _, fold in both}, key=str):
                pairs = [(own[key]["right"], found["full", *key]["right"]) for key in both if key[1] == fold]
                shares.append(np.mean([[np.frombuffer(x.encode(), np.uint8) - ord("0") for x in pair] for pair in pairs], axis=0))
                names.append(named[fold])
            right = np.concatenate(shares, axis=1)
            row["less_full"] = dataclasses.asdict(clustered_bootstrap(right[0], right[1], np.concatenate(names).tolist()))
            row["detectable"] = row["less_full"]["low"] > 0 or row["less_full"]["high"] < 0
        rows.append(row)
    return rows


def main() -> None:
    """Read the command line, run what is missing, write the table after each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="folder that `ormia data` made")
    parser.add_argument("--arms", nargs="+", default=[arm for arm in ARMS if arm != "evolved"], choices=ARMS)
    parser.add_argument("--seeds", type=int, default=1, help="seeds of each arm, counted from 0")
    parser.add_argument("--folds", type=int, default=0, help="cross-validation by speaker over all clips; without it the splits of the corpus")
    parser.add_argument("--recipe", default="keywords", help="of `ormia search hrmas`, with one layer")
    parser.add_argument("--set", action="append", help="a change to every arm, such as epochs=3")
    parser.add_argument("--equal", choices=("neurons", "parameters"), default="neurons", help="what dense and feedforward have in common with full")
    parser.add_argument("--evolved", type=Path, help="JSON list of topology rows, for arm evolved")
    parser.add_argument("--work", type=Path, default=Path("runs/bench/hrmas"), help="folder of the runs")
    parser.add_argument("--parts", type=Path, default=Path("bench/results/hrmas"), help="folder of the finished parts")
    parser.add_argument("--output", type=Path, default=Path("bench/results/hrmas.json"))
    parser.add_argument("--list", action="store_true", help="show which parts are missing and stop")
    options = parser.parse_args()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    corpus = Corpus.load(options.corpus)
    folds = Folds(corpus, options.folds) if options.folds else None
    corpora: dict[int | None, Corpus] = {None: corpus} if folds is None else {fold: folds.corpus_of(fold) for fold in range(folds.n_folds)}
    order = sorted(options.arms, key=lambda arm: arm != "full")
    parts = [Part(options, arm, seed, fold, corpora[fold]) for seed in range(options.seeds) for arm in order for fold in corpora]
    missing = [part for part in parts if not part.path.exists()]
    print(f"{len(missing)} of {len(parts)} parts are missing")
    for part in missing:
        if options.list:
            print(part.name)
            continue
        began = time.perf_counter()
        part.run()
        print(f"{part.name}: {json.loads(part.path.read_text())['accuracy']:.4f} in {(time.perf_counter() - began) / 60:.1f} minutes", flush=True)
        table = {"corpus": corpus.digest, "folds": options.folds or None, "equal": options.equal, "arms": summarize(parts, corpora), "made": provenance()}
        write_whole(options.output, json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
