# SPDX-License-Identifier: Apache-2.0
"""The arms of a table: read from text, trained once, scored once, and the table and page made of them."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:tensorboard.*")

from ormia.edge.errors import DataError, UsageError  # noqa: E402
from ormia.edge.netfile import read_network  # noqa: E402
from ormia.train.arms import Run, parse_arm  # noqa: E402
from ormia.train.commands import train  # noqa: E402
from ormia.train.config import load_recipe  # noqa: E402
from ormia.train.corpora import SILENCE, Corpus  # noqa: E402
from ormia.train.folds import Folds  # noqa: E402
from ormia.train.ledger import TestLedger  # noqa: E402

BENCH = Path(__file__).parents[2] / "bench"
RECIPE = """
epochs = 1
batch = 16
[model]
weight_bits = 8
layers = [{ neurons = 16, motif = 8 }]
"""


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Ten speakers of two tones, some silence; a fifth of a second each."""
    rng = np.random.default_rng(3)
    labels = np.concatenate([np.tile([0, 1], 20), np.full(10, 2)])
    hz = np.array([400.0, 2500.0, 0.0])[labels][:, None] * rng.uniform(0.9, 1.1, (50, 1))
    clips = np.sin(2 * np.pi * hz * np.arange(3200) / 16000) * 4000 + rng.normal(0, 300, (50, 3200))
    speakers = tuple(f"s{i // 4}" for i in range(40)) + ("sil",) * 10
    side = ["train"] * 24 + ["valid"] * 8 + ["test"] * 8 + ["train"] * 6 + ["valid"] * 2 + ["test"] * 2
    return Corpus(
        clips=clips.astype(np.int16), labels=labels, classes=("low", "high", SILENCE), words=("x",) * 50, speakers=speakers, split=tuple(side),
        clip_ids=tuple(f"c{i}" for i in range(50)), snr_db=np.zeros(50, np.float32), noise={}, provenance={"parameters": {}, "source": "a test"},
    )  # fmt: skip


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return str(path)


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_training_leaves_test_unread_when_told_to_and_logs_it_otherwise(corpus: Corpus, recipe: str, tmp_path: Path):
    corpus.save(tmp_path / "corpus")
    result = train(recipe, tmp_path / "corpus", tmp_path / "run", valid_only=True)
    log = tmp_path / "run" / "test_reads.jsonl"
    assert "test" not in result
    assert not log.exists()
    network = train(recipe, tmp_path / "corpus", tmp_path / "run")["runs"][0]["network"]  # type: ignore[index]
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(entry["network"], entry["clips"]) for entry in entries] == [(network, 10)]


def test_an_arm_is_a_recipe_with_changes():
    base = load_recipe("gsc12")
    arm = parse_arm("gsc12:dense;bits=3;epochs=7", "gsc12")
    assert (arm.config.epochs, arm.config.model.weight_bits, arm.baseline) == (7, 3, None)
    assert [(a.motif, a.neurons) for a in arm.config.model.layers] == [(b.neurons, b.neurons) for b in base.model.layers]
    narrow = parse_arm("gsc12:membrane=12", "gsc12").config.model
    assert (narrow.membrane_bits, narrow.current_bits, narrow.nominal_threshold) == (12, 12, 256)
    assert parse_arm("gsc12:bits=8", "gsc12").config.model.accumulator_bits == 24
    assert parse_arm("gsc12:bits=2", "gsc12").config.model.accumulator_bits == base.model.accumulator_bits
    assert parse_arm("gsc12:bits=8;round=4;teachers=2", "gsc12").round_bits == 4
    assert parse_arm("gsc12:bits=8;round=4;teachers=2", "gsc12").teachers == 2


def test_an_arm_may_be_a_baseline_trained_as_a_recipe_says():
    arm = parse_arm("gru:learning_rate=0.002", "gsc12")
    assert arm.baseline is not None
    assert (arm.baseline.network, arm.baseline.learning_rate, arm.baseline.epochs) == ("gru", 0.002, load_recipe("gsc12").epochs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dsnn", r"a recipe must be a \.toml file or one of .*gsc12.*, not 'dsnn'"),
        ("gsc12:bits=9", r"bits of an arm must be 2 to 8 bits, as in bits=2, not 'bits=9'"),
        ("gsc12:membrane=wide", r"membrane of an arm must be 8 to 21 bits"),
        ("gsc12:sparse", r"a setting must look like"),
        ("gru:learning_rat=1.0", r"unknown key 'learning_rat'; did you mean 'learning_rate'\?"),
        ("gru:teachers=some", r"teachers of an arm must be a number of networks"),
    ],
)
def test_an_arm_that_means_nothing_is_refused(text: str, message: str):
    with pytest.raises(UsageError, match=message):
        parse_arm(text, "gsc12")


def test_a_run_is_trained_once_scored_once_and_read_once(corpus: Corpus, recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ledger = TestLedger(tmp_path / "reads.jsonl")
    run = Run(parse_arm("gru", recipe), 0, corpus, tmp_path / "work", "seed0")
    tuning = run.figures(("valid",), ledger=ledger, table="t")
    assert not ledger.path.exists()
    assert set(tuning["rows"]) == {"float", "int8"}
    assert "test" not in tuning["rows"]["int8"]
    monkeypatch.setattr("ormia.train.arms.fit_baseline", lambda *_: pytest.fail("trained again"))
    figures = run.figures(("valid", "test"), ledger=ledger, table="t")
    assert figures["rows"]["int8"]["valid"] == tuning["rows"]["int8"]["valid"]
    assert len(figures["rows"]["int8"]["test"]["predicted"]) == 10
    assert run.figures(("valid", "test"), ledger=ledger, table="t") == figures
    (entry,) = ledger.entries()
    assert (entry["run"], entry["table"], entry["clips"], entry["network"]) == ("gru seed0", "t", 10, figures["rows"]["int8"]["network"])
    (run.path / "figures.json").unlink()
    with pytest.raises(UsageError, match=r"a table must read test once for each run; gru seed0 of t read it"):
        run.figures(("valid", "test"), ledger=ledger, table="t")
    assert run.figures(("valid", "test"), ledger=ledger, table="t", reread="lost the folder") == figures
    assert [e.get("reason") for e in ledger.entries()] == [None, "lost the folder"]


def test_the_folder_of_another_run_is_refused(corpus: Corpus, recipe: str, tmp_path: Path):
    ledger = TestLedger(tmp_path / "reads.jsonl")
    Run(parse_arm("gru", recipe), 0, corpus, tmp_path, "x").figures(("valid",), ledger=ledger, table="t")
    with pytest.raises(DataError, match=r"must be of the same run to go on; it differs in config, baseline"):
        Run(parse_arm("gru", recipe), 1, corpus, tmp_path, "x").figures(("valid",), ledger=ledger, table="t")


@pytest.mark.parametrize("bits", [8, 21])
def test_the_narrowest_and_the_widest_membrane_export(corpus: Corpus, recipe: str, tmp_path: Path, bits: int):
    run = Run(parse_arm(f"{recipe}:membrane={bits};bits=4", recipe), 0, corpus, tmp_path, "seed0")
    run.figures(("valid",), ledger=TestLedger(tmp_path / "reads.jsonl"), table="t")
    assert read_network(run.path / "net.ormia").formats.membrane_bits == bits


def test_an_arm_with_a_long_text_has_a_folder_of_its_own(corpus: Corpus, recipe: str, tmp_path: Path):
    folders = set()
    for epochs in (1, 2):
        arm = parse_arm(f"{recipe}:" + "seed=1;" * 60 + f"epochs={epochs}", recipe)
        folder = Run(arm, 0, corpus, tmp_path / "work", "seed0").path
        folder.mkdir(parents=True)
        folders.add(folder)
    assert len(folders) == 2


def test_rounding_after_training_keeps_the_network_and_narrows_its_weights(corpus: Corpus, recipe: str, tmp_path: Path):
    ledger = TestLedger(tmp_path / "reads.jsonl")
    run = Run(parse_arm(f"{recipe}:round=3", recipe), 0, corpus, tmp_path, "seed0")
    (row,) = run.figures(("valid",), ledger=ledger, table="t")["rows"].values()
    fine = Run(parse_arm(recipe, recipe), 0, corpus, tmp_path, "seed0")
    wide, narrow = read_network(fine.path / "net.ormia"), read_network(run.path / "net.ormia")
    assert (wide.formats.weight_bits, narrow.formats.weight_bits) == (8, 3)
    assert np.array_equal(wide.threshold, narrow.threshold)
    assert row["weight_bytes"] < fine.figures(("valid",), ledger=ledger, table="t")["rows"][""]["weight_bytes"]
    assert {"spikes", "synaptic_operations"} <= set(row["valid"]["per_second"])


def test_a_teacher_hears_the_training_clips_of_its_fold_only(corpus: Corpus, recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from ormia.train import arms

    heard: list[str] = []

    def short(source: object, config: object, members: int) -> object:
        heard.append(source.digest)  # type: ignore[attr-defined]
        return arms_fit(source, arms.TeacherConfig(epochs=1), members=members)

    arms_fit = arms.fit_teacher
    monkeypatch.setattr(arms, "fit_teacher", short)
    folds, ledger = Folds(corpus, 3), TestLedger(tmp_path / "reads.jsonl")
    for fold in (0, 1):
        for arm in ("gru:teachers=1", f"{recipe}:teachers=1"):
            Run(parse_arm(arm, recipe), 0, folds.corpus_of(fold), tmp_path, f"fold{fold}").figures(("valid",), ledger=ledger, table="t")
    assert heard == [folds.corpus_of(0).digest, folds.corpus_of(1).digest]


@pytest.mark.parametrize("folds", [[], ["--folds", "3"]])
def test_the_bench_writes_a_table_answers_and_a_page(
    corpus: Corpus, recipe: str, tmp_path: Path, folds: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    corpus.save(tmp_path / "corpus")
    bench, page = load("accuracy"), load("accuracy_page")
    output = tmp_path / "small.json"
    arguments = [str(tmp_path / "corpus"), "--arms", recipe, "gru", "--recipe", recipe, "--against", "gru int8", *folds, "--seeds", "2",
                 "--work", str(tmp_path / "work"), "--output", str(output), "--ledger", str(tmp_path / "reads.jsonl")]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["accuracy.py", *arguments])
    bench.main()
    table = json.loads(output.read_text())
    assert set(table["arms"]) == {recipe, "gru float", "gru int8"}
    answered = json.loads((tmp_path / "small_clips.json").read_text())
    labels, found = np.array(answered["label"]), np.array(answered["predicted"]["gru int8"])
    tested = found[0] >= 0
    assert int(tested.sum()) == (50 if folds else 10)
    assert table["arms"]["gru int8"]["test"]["mean"] == pytest.approx(float((found == labels)[:, tested].mean()))
    ours = next(c for c in table["comparisons"] if c["arm"] == recipe)
    both = [np.array(answered["predicted"][name])[:, tested] == labels[tested] for name in (recipe, "gru int8")]
    assert (ours["rival"], ours["clips"]) == ("gru int8", int(tested.sum()))
    assert ours["mean"] == pytest.approx(float(both[0].mean() - both[1].mean()))
    reads = (tmp_path / "reads.jsonl").read_text()
    assert len(reads.splitlines()) == 2 * 2 * (3 if folds else 1)
    capsys.readouterr()
    bench.main()
    assert (tmp_path / "reads.jsonl").read_text() == reads
    monkeypatch.setattr(sys, "argv", ["accuracy_page.py", str(output), "--output", str(tmp_path / "page.md")])
    page.main()
    text = (tmp_path / "page.md").read_text()
    assert f"{100 * table['arms']['gru int8']['test']['mean']:.1f}" in text
    assert f"{100 * ours['mean']:+.1f}" in text
    output.write_text('{"arms": {}}')
    with pytest.raises(SystemExit, match="1"):
        page.main()
    assert (tmp_path / "page.md").read_text() == text
