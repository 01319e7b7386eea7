# SPDX-License-Identifier: Apache-2.0
"""HRMAS beside its ablations and controls on one corpus: deployed integers, paired over speakers, folds and seeds.

    ormia data --data RECORDINGS --noise NOISE --output runs/corpora
    python bench/hrmas.py runs/corpora/XXXX --folds 5
    python bench/hrmas.py runs/corpora/XXXX --folds 5 --seeds 2 --arms full no-plasticity random random-search

The protocol is at the top of docs/results/hrmas.md (bench/hrmas_page.py) and was written before any run.

A part is one arm, seed and fold, a file under --parts that is kept: a second call goes on where the first stopped, and --list shows what is missing. Arms of
one seed and fold hear the same augmented clips, which are drawn once; each is charged the processor time that drawing took.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
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
from ormia.train.ec.clips import keyword_task
from ormia.train.ec.config import load_recipe as evolution_recipe
from ormia.train.ec.distributed import Workers
from ormia.train.ec.search import Search as Evolution
from ormia.train.ec.topology import MotifTopology
from ormia.train.folds import Folds, clusters
from ormia.train.hrmas.config import SearchConfig, load_recipe
from ormia.train.hrmas.result import found_config, kinds_loss, memory_saved
from ormia.train.hrmas.search import Search, run_search
from ormia.train.ledger import TestLedger
from ormia.train.loop import Epoch, accuracy, fit
from ormia.train.program import export_model, make_front_end
from ormia.train.recipe import to_dict, with_settings
from ormia.train.topology import Link, Topology, hand_set, shuffled
from scipy.stats import norm
from scipy.stats import t as student

SEARCHES: dict[str, list[str]] = {
    "full": [], "no-plasticity": ["plasticity.on=false"], "no-lateral": ["lateral=false"], "no-motifs": ["lateral=false"], "priced": ["price.memory=0.2"],
    "priced-more": ["price.memory=0.5"], "second-order": ["order=2"],
}  # fmt: skip
KEPT = ("kept", "random-kept", "dense-kept")
ARMS = (*SEARCHES, *KEPT, "dense", "feedforward", "dense-weights", "feedforward-weights", "random", "random-search", "hand", "evolved")
EVOLUTION = [  # families would share recurrence, which is what is searched here; links have evidence from all motifs and take larger steps
    "network.motif=16", "method.family=1", "method.population=64", "task.episodes=96", "method.exploration=0.3", "method.learning_rate=1.0",
]  # fmt: skip
SHORT = 6  # a random topology is judged after this share of the epochs


class Drawn:
    """Epochs of augmented clips that were drawn already, by what their generator would have drawn, for the arms of one seed and fold."""

    def __init__(self) -> None:
        self.place: object = None
        self.epochs: dict[tuple[str, str], tuple[Epoch, float]] = {}

    def at(self, place: object) -> Drawn:
        """Forget all that is of another place."""
        if self.place != place:
            self.place, self.epochs = place, {}
        return self


class SharedSource(CorpusSource):
    """A source that draws each epoch once.

    Parameters
    ----------
    corpus : Corpus
    config : Config
    drawn : Drawn
    union : bool
        Whether clips of valid train too; fixed splits stay as the corpus has them.

    Attributes
    ----------
    charged : float
        Processor seconds that the epochs took which were not drawn again.
    """

    def __init__(self, corpus: Corpus, config: Config, drawn: Drawn, *, union: bool) -> None:
        split = tuple("train" if split == "valid" and union else split for split in corpus.split)
        super().__init__(dataclasses.replace(corpus, split=split), make_front_end(config.front_end), config.augment)
        self.parted, self.drawn, self.charged = corpus, drawn, 0.0
        if self.payload_max > np.iinfo(np.int8).max:
            raise SystemExit("payloads must fit 8 bits to be kept: choose another front end")

    def train_epoch(self, rng: np.random.Generator) -> Epoch:
        """Augmented training clips, drawn now or before."""
        key = self.digest, str(rng.bit_generator.state)
        if key not in self.drawn.epochs:
            began = time.thread_time()
            payloads, labels, _ = super().train_epoch(rng)
            self.drawn.epochs[key] = Epoch(payloads.astype(np.int8), labels), time.thread_time() - began
        else:
            self.charged += self.drawn.epochs[key][1]
        return self.drawn.epochs[key][0]

    def fixed_audio(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Clips of a split as they are."""
        chosen = self.parted.indices(split)
        return np.asarray(self.parted.clips[chosen]), self.parted.labels[chosen]

    def clock(self) -> float:
        """Processor seconds of this process, with what was charged."""
        return time.process_time() + self.charged


def with_topology(config: Config, topology: Topology, neurons: int) -> Config:
    """A training of one layer with a topology."""
    (layer,) = config.model.layers
    layer = dataclasses.replace(layer, neurons=neurons, motif=topology.size, topology=topology.rows())
    return dataclasses.replace(config, model=dataclasses.replace(config.model, layers=(layer,)))


def weights_of(inputs: int, classes: int, neurons: int, topology: Topology) -> int:
    """Weights of a network of one layer, those that may round to 0 among them."""
    copies = neurons // topology.size
    between = sum(max(0, copies - abs(delta)) * int(np.count_nonzero(row)) for delta, row in zip(topology.deltas, topology.lateral, strict=True))
    return neurons * (inputs + classes) + copies * int(np.count_nonzero(topology.intra)) + between


def whole(neurons: int) -> Topology:
    """Fully connected."""
    return Topology(np.full((neurons, neurons), Link.FREE, np.int8), (), np.zeros((0, neurons), np.int8))


NOTHING = Topology(np.zeros((1, 1), np.int8), (), np.zeros((0, 1), np.int8))


class Part:
    """One arm, seed and fold.

    Parameters
    ----------
    options : argparse.Namespace
    arm : str
    seed : int
        Of the arm; every fold starts from a number of its own.
    fold : int or None
    corpus : Corpus
        Under the splits of the fold.
    drawn : Drawn
    """

    def __init__(self, options: argparse.Namespace, arm: str, seed: int, fold: int | None, corpus: Corpus, drawn: Drawn) -> None:
        self.options, self.arm, self.seed, self.fold, self.corpus, self.drawn = options, arm, seed, fold, corpus, drawn
        self.place = f"seed{seed}" + ("" if fold is None else f"_fold{fold}")
        self.name = f"{arm}_{self.place}"
        self.path = options.parts / corpus.digest[:12] / f"{self.name}.json"
        self.work = options.work / corpus.digest[:12]
        self.start = seed * max(1, options.folds) + (fold or 0)
        config = with_settings(load_recipe(options.recipe), [*(options.set or []), f"training.seed={self.start}"])
        self.config: SearchConfig = with_settings(config, [*SEARCHES.get(arm, []), f"keep_intrinsic={str(arm in KEPT).lower()}"])
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
        self.drawn.at((self.corpus.digest, self.start))
        searching = SharedSource(self.corpus, self.config.training, self.drawn, union=False)
        training, search = self._found(searching)
        searched = search["cpu_seconds"] if search else 0.0
        folder = make_folder(self.work / self.name)
        source = SharedSource(self.corpus, training, self.drawn, union=True)
        began = source.clock()
        model = fit(training, source, folder / "network")
        trained = source.clock() - began
        figures = export_model(model, source, training, folder / "network", "found", splits=("valid",))
        net = read_network(folder / "network" / "net.ormia")
        payloads, labels = source.fixed("test")
        ledger = TestLedger(self.options.parts / "test_reads.jsonl")
        ledger.record(
            who="bench/hrmas.py", table=self.options.output.stem, run=self.name, corpus=self.corpus.digest, network=figures["network"], clips=len(labels)
        )
        right = np.asarray(Runtime(net).predict(payloads)) == labels
        (layer,) = training.model.layers
        topology, made = Topology.from_rows(layer.topology), not self.arm.startswith(("dense", "feedforward"))
        part = {
            "arm": self.arm, "seed": self.seed, "fold": self.fold, "corpus": self.corpus.digest, "neurons": layer.neurons,
            "topology": layer.topology if made else None, "links": topology.counts() if made else None,
            "weights": weights_of(net.n_inputs, len(net.labels), layer.neurons, topology), "synapses": net.n_synapses,
            "memory_bits": memory_saved(net) | {"all_plain": sum(m.size for m in core_memories(net))}, "accuracy": float(right.mean()),
            "right": "".join("01"[int(x)] for x in right), "network": figures["network"], "exact": figures["torch_exact_mode_agrees_on_every_clip"],
            "cpu_seconds": {"search": searched, "training": trained}, "search": search, "recipe": to_dict(self.config), "made": provenance(),
        }  # fmt: skip
        make_folder(self.path.parent)
        write_whole(self.path, json.dumps(part) + "\n")

    def _found(self, source: SharedSource) -> tuple[Config, dict[str, Any] | None]:
        """How the arm's network is trained, and what was searched."""
        training = self.config.training
        if self.arm in SEARCHES:
            began = source.clock()
            search = run_search(self.config, source, self.work / self.name / "search")
            return found_config(search), {"cpu_seconds": max(source.clock() - began, search.cpu_seconds), **_of_search(search)}  # the latter: one taken up
        if self.arm == "hand":
            return with_topology(training, hand_set(16), self.neurons), None
        full = self.full()
        if self.arm == "evolved":
            return self._evolved(full["search"]["cpu_seconds"])
        if self.arm in KEPT:
            search = run_search(self.config, source, self.work / f"full_{self.place}" / "search")
            if list(found_config(search).model.layers[0].topology) != full["topology"]:
                raise SystemExit(f"{self.name} must have the search of arm full, which {self.work} does not hold: run that arm there again")
            kept = found_config(search)
            if self.arm == "random-kept":
                kept = with_topology(kept, self._shuffled(full), self.neurons)
            if self.arm == "dense-kept":
                kept = with_topology(kept, whole(self.neurons), self.neurons)
            return kept, full["search"] | ({"kinds": kinds_loss(search)} if self.arm == "kept" else {})
        if self.arm == "random":
            return with_topology(training, self._shuffled(full), self.neurons), None
        if self.arm == "random-search":
            return self._random_search(source, full["search"]["cpu_seconds"])
        neurons, shape = self.neurons, whole if self.arm.startswith("dense") else lambda _: NOTHING
        if self.arm.endswith("-weights"):
            neurons = min(range(4, 4 * neurons), key=lambda n: abs(weights_of(source.n_inputs, len(self.corpus.classes), n, shape(n)) - full["weights"]))
        return with_topology(training, shape(neurons), neurons), None

    def _shuffled(self, full: dict[str, Any]) -> Topology:
        """As many links of each type as full found, in random places."""
        return shuffled(Topology.from_rows(tuple(full["topology"])), np.random.default_rng([self.start, 7]))

    def _random_search(self, source: SharedSource, budget: float) -> tuple[Config, dict[str, Any]]:
        """Random topologies trained for a while each, until the processor time is used; the best on valid."""
        training = self.config.training
        short = dataclasses.replace(training, epochs=max(1, training.epochs // SHORT))
        rng, began, tried = np.random.default_rng([self.start, 8]), source.clock(), []
        best: tuple[float, Topology] | None = None
        while best is None or source.clock() - began < budget:
            size, share = int(rng.choice(self.config.sizes)), rng.dirichlet(np.ones(3))
            topology = Topology(rng.choice(3, (size, size), p=share).astype(np.int8), (-1, 1), rng.choice(3, (2, size), p=share).astype(np.int8))
            with tempfile.TemporaryDirectory() as folder:
                tried.append(accuracy(fit(with_topology(short, topology, self.neurons), source, Path(folder)), *source.fixed("valid")))
            if best is None or tried[-1] > best[0]:
                best = tried[-1], topology
        return with_topology(training, best[1], self.neurons), {"cpu_seconds": source.clock() - began, "budget": budget, "valid": tried}

    def _evolved(self, budget: float) -> tuple[Config, dict[str, Any]]:
        """One motif of booleans by evolving connectivity on training clips, until the processor time is used; a link has the sign of where it starts."""
        config = with_settings(evolution_recipe("keywords"), [*EVOLUTION, f"network.neurons={self.neurons}", f"seed={self.start}"])
        with tempfile.TemporaryDirectory() as folder:
            self.corpus.save(Path(folder) / "corpus")
            began = time.process_time()
            evolution = Evolution.start(config, keyword_task(config.task, config.seed, Path(folder) / "corpus"))
        start = evolution.method.deployed()  # type: ignore[attr-defined]
        while time.process_time() - began < budget:
            evolution.advance(Workers())
        spent, fitness = time.process_time() - began, [entry["fitness"] for entry in evolution.history]
        method: Any = evolution.method
        found: MotifTopology = method.topology
        (hint,), (first,) = found.hints(method.deployed()), found.hints(start)
        moved = len(set(hint.intra) ^ set(first.intra)) + len(set(hint.lateral) ^ set(first.lateral))
        types = np.where(np.arange(found.size) < config.network.n_excitatory // found.count, Link.EXCITATORY, Link.INHIBITORY).astype(np.int8)
        intra, lateral = np.zeros((found.size, found.size), np.int8), np.zeros((len(found.deltas), found.size), np.int8)
        for source, target in hint.intra:
            intra[source, target] = types[source]
        for delta, neuron in hint.lateral:
            lateral[found.deltas.index(delta), neuron] = types[neuron]
        figures = {"cpu_seconds": spent, "budget": budget, "generations": len(fitness), "fitness": fitness, "links_moved": moved}
        return with_topology(self.config.training, Topology(intra, found.deltas, lateral), self.neurons), figures


def _of_search(search: Search) -> dict[str, Any]:
    """What a search was like."""
    last = search.history[-1]
    figures = {"iterations": len(search.history), "changes": search.changes, "sizes": last["sizes"], "rate": last["rate"], "valid_loss": last["valid_loss"]}
    return figures | {"size_after_phase": [entry for entry in search.history if entry["epoch"] < max(1, search.config.size_epochs)][-1]["sizes"]}


def summarize(parts: list[Part], corpora: dict[int | None, Corpus]) -> list[dict[str, Any]]:
    """A row for each arm: mean and spread over seeds, difference to full on the clips and seeds that both have."""
    found = {(part.arm, part.seed, part.fold): json.loads(part.path.read_text(encoding="utf-8")) for part in parts if part.path.exists()}
    named = {fold: np.array(clusters(corpus))[corpus.indices("test")] for fold, corpus in corpora.items()}
    rows = []
    for arm in dict.fromkeys(part.arm for part in parts):
        own = {key[1:]: part for key, part in found.items() if key[0] == arm}
        if not own:
            continue
        seeds, folds = sorted({seed for seed, _ in own}), sorted({fold for _, fold in own}, key=str)
        over_seeds = [statistics.fmean(part["accuracy"] for (_, f), part in own.items() if f == fold) for fold in folds]
        row: dict[str, Any] = {"arm": arm, "parts": len(own), "seeds": seeds, "folds": folds, "mean": statistics.fmean(over_seeds)}
        means = [statistics.fmean(part["accuracy"] for (s, _), part in own.items() if s == seed) for seed in seeds]
        row["spread"] = statistics.stdev(means) if len(seeds) > 1 and len(own) == len(seeds) * len(folds) else None  # else seeds are on other clips
        row["cpu_minutes"] = {kind: statistics.fmean(part["cpu_seconds"][kind] for part in own.values()) / 60 for kind in ("search", "training")}
        row["synapses"] = statistics.fmean(part["synapses"] for part in own.values())
        row["weights"] = statistics.fmean(part["weights"] for part in own.values())
        row["neurons"] = statistics.fmean(part["neurons"] for part in own.values())
        row["memory_bits"] = {packing: statistics.fmean(part["memory_bits"][packing] for part in own.values()) for packing in ("plain", "shared")}
        kinds = [part["search"]["kinds"] for part in own.values() if (part["search"] or {}).get("kinds")]
        row["kinds"] = {key: float(np.mean([one[key] for one in kinds])) for key in kinds[0]} if kinds else None
        sizes = [seen for part in own.values() if (seen := (part["search"] or {}).get("size_after_phase")) and part["topology"]]
        row["sizes"] = [len(part["topology"][0]) for part in own.values()] if sizes else None
        row["rate"] = float(np.mean([part["search"]["rate"] for part in own.values()])) if sizes else None
        row["evolution"] = _of_evolution(list(own.values())) if arm == "evolved" else None
        row["exact"] = all(part["exact"] for part in own.values())
        if arm != "full":
            row |= compared(own, {key[1:]: part for key, part in found.items() if key[0] == "full"}, named)
        if arm.endswith("-kept") or arm == "no-plasticity":
            row["beside_kept"] = compared(own, {key[1:]: part for key, part in found.items() if key[0] == "kept"}, named)
        rows.append(row)
    return rows


def compared(own: dict[Any, Any], base: dict[Any, Any], named: dict[int | None, np.ndarray]) -> dict[str, Any]:
    """Difference between the parts of two arms, by seed and fold, on what both have; nothing where that is nothing."""
    both = [key for key in own if key in base]
    if not both:
        return {}
    shares, names = [], []
    for fold in sorted({fold for _, fold in both}, key=str):
        pairs = [(own[key]["right"], base[key]["right"]) for key in both if key[1] == fold]
        shares.append(np.mean([[np.frombuffer(x.encode(), np.uint8) - ord("0") for x in pair] for pair in pairs], axis=0))
        names.append(named[fold])
    right, clusters_of = np.concatenate(shares, axis=1), np.concatenate(names).tolist()
    less = dataclasses.asdict(clustered_bootstrap(right[0], right[1], clusters_of))
    over_parts = paired_interval([own[key]["accuracy"] - base[key]["accuracy"] for key in both])
    return {
        "less": less, "over_parts": over_parts, "clips": right.shape[1], "clusters": len(set(clusters_of)), "least_found": least_found(less, over_parts),
        "detectable": all(one["low"] > 0 or one["high"] < 0 for one in (less, over_parts)),
    }  # fmt: skip


def _of_evolution(parts: list[dict[str, Any]]) -> dict[str, float]:
    """Means over searches: generations, fitness of the first and the last tenth of them, links that moved and links found."""
    searches = [part["search"] for part in parts]
    tenths = [max(1, found["generations"] // 10) for found in searches]
    return {
        "generations": statistics.fmean(found["generations"] for found in searches),
        "first": statistics.fmean(statistics.fmean(found["fitness"][:n]) for found, n in zip(searches, tenths, strict=True)),
        "last": statistics.fmean(statistics.fmean(found["fitness"][-n:]) for found, n in zip(searches, tenths, strict=True)),
        "links_moved": statistics.fmean(found["links_moved"] for found in searches),
        "links": statistics.fmean(part["links"]["excitatory"] + part["links"]["inhibitory"] for part in parts),
    }


def paired_interval(differences: list[float]) -> dict[str, float | int]:
    """Mean difference over trainings with its 95 % interval of Student's t; no bounds (-1 to 1) from a single one."""
    n, mean = len(differences), statistics.fmean(differences)
    half = float(student.ppf(0.975, n - 1)) * statistics.stdev(differences) / n**0.5 if n > 1 else 1.0
    return {"parts": n, "mean": mean, "low": mean - half, "high": mean + half}


def least_found(over_speakers: dict[str, Any], over_parts: dict[str, Any]) -> float | None:
    """Least true difference that both 95 % intervals, as wide as these, leave 0 out of with a chance of 80 %, by the wider of the two; None from one part."""
    if over_parts["parts"] < 2:
        return None
    wide = 1 + float(norm.ppf(0.8) / norm.ppf(0.975))  # in halves of an interval
    freedom = over_parts["parts"] - 1
    halves = [(one["high"] - one["low"]) / 2 for one in (over_speakers, over_parts)]
    return max(halves[0] * wide, halves[1] * (1 + float(student.ppf(0.8, freedom) / student.ppf(0.975, freedom))))


def main() -> None:
    """Read the command line, run what is missing, write the table after each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="folder that `ormia data` made")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--seeds", type=int, default=1, help="seeds of each arm, counted from 0")
    parser.add_argument("--folds", type=int, default=0, help="cross-validation by speaker over all clips; without it the splits of the corpus")
    parser.add_argument("--only", type=int, nargs="+", help="run parts of these folds alone")
    parser.add_argument("--recipe", default=str(Path(__file__).with_name("hrmas_small.toml")), help="of `ormia search hrmas`, with one layer")
    parser.add_argument("--set", action="append", help="a change to every arm, such as epochs=3")
    parser.add_argument("--work", type=Path, default=Path("runs/bench/hrmas"), help="folder of the runs")
    parser.add_argument("--parts", type=Path, default=Path("bench/results/hrmas"), help="folder of the finished parts")
    parser.add_argument("--output", type=Path, default=Path("bench/results/hrmas.json"))
    parser.add_argument("--list", action="store_true", help="show which parts are missing and stop")
    parser.add_argument("--summarize", action="store_true", help="write the table of the parts that are there and stop")
    options = parser.parse_args()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    corpus = Corpus.load(options.corpus)
    folds = Folds(corpus, options.folds) if options.folds else None
    corpora: dict[int | None, Corpus] = {None: corpus} if folds is None else {fold: folds.corpus_of(fold) for fold in range(folds.n_folds)}
    order = sorted(options.arms, key=lambda arm: arm != "full")
    drawn = Drawn()
    parts = [Part(options, arm, seed, fold, corpora[fold], drawn) for seed in range(options.seeds) for fold in corpora for arm in order]
    missing = [part for part in parts if not part.path.exists() and (options.only is None or part.fold in options.only)]
    print(f"{len(missing)} of {len(parts)} parts are missing")
    if options.list:
        print(*(part.name for part in missing), sep="\n")
    for part in [] if options.list or options.summarize else missing:
        began = time.perf_counter()
        part.run()
        print(f"{part.name}: {json.loads(part.path.read_text())['accuracy']:.4f} in {(time.perf_counter() - began) / 60:.1f} minutes", flush=True)
        _write_table(options, corpus, parts, corpora)
    if not options.list:
        _write_table(options, corpus, parts, corpora)


def _write_table(options: argparse.Namespace, corpus: Corpus, parts: list[Part], corpora: dict[int | None, Corpus]) -> None:
    table = {"corpus": corpus.digest, "folds": options.folds or None, "arms": summarize(parts, corpora), "made": provenance()}
    make_folder(options.output.parent)
    write_whole(options.output, json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
