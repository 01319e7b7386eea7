# SPDX-License-Identifier: Apache-2.0
"""Cross-validation by speaker, the bootstrap that goes with it and the log of reads of test: known answers on small made-up data."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ormia.edge.errors import DataError, UsageError
from ormia.train.comparison import clustered_bootstrap
from ormia.train.corpora import SILENCE, Corpus
from ormia.train.folds import Folds, clusters, deal
from ormia.train.ledger import TestLedger


def make(n_speakers: int = 12, seed: int = 0) -> Corpus:
    """Speakers of two words with 2 to 7 clips each, some clips of nobody, 15 of silence."""
    rng = np.random.default_rng(seed)
    speakers = [f"s{i}" for i in range(n_speakers) for _ in range(rng.integers(2, 8))] + [""] * 5
    n_words = len(speakers)
    labels = np.concatenate([rng.integers(0, 2, n_words), np.full(15, 2)])
    n = len(labels)
    return Corpus(
        clips=rng.integers(-9, 9, (n, 40)).astype(np.int16), labels=labels, classes=("yes", "no", SILENCE), words=("x",) * n,
        speakers=(*speakers, *["sil"] * 15), split=("train",) * n, clip_ids=tuple(f"clip{i}" for i in range(n)), snr_db=np.zeros(n, np.float32),
        noise={}, provenance={"parameters": {}, "source": "a test"},
    )  # fmt: skip


@settings(max_examples=25)
@given(st.integers(5, 30), st.integers(3, 5), st.integers(0, 99))
def test_every_clip_is_tested_once_and_no_speaker_is_on_two_sides(n_speakers: int, n_folds: int, seed: int):
    corpus = make(n_speakers, seed)
    folds, n = Folds(corpus, n_folds), len(corpus.labels)
    tested = np.concatenate([folds.indices(k)["test"] for k in range(n_folds)])
    assert sorted(tested.tolist()) == list(range(n))
    for k in range(n_folds):
        sides = folds.indices(k)
        assert sorted(np.concatenate(list(sides.values())).tolist()) == list(range(n))
        names = [{folds.clusters[i] for i in side} for side in sides.values()]
        assert all(names)
        assert not names[0] & names[1] | names[0] & names[2] | names[1] & names[2]


def test_folds_are_balanced_in_every_class():
    corpus = make(60)
    tests = [corpus.labels[Folds(corpus).indices(k)["test"]] for k in range(5)]
    for label in range(3):
        counts = [int((t == label).sum()) for t in tests]
        assert max(counts) - min(counts) <= 4
    assert max(map(len, tests)) - min(map(len, tests)) <= 4


def test_folds_do_not_depend_on_the_order_of_the_clips():
    corpus = make(20)
    names, order = clusters(corpus), np.random.default_rng(3).permutation(len(corpus.labels))
    straight = deal(names, corpus.labels, 10)
    assert deal([names[i] for i in order], corpus.labels[order], 10).tolist() == straight[order].tolist()


def test_five_folds_train_on_seven_tenths():
    corpus = make(200)
    shares = {name: len(i) / len(corpus.labels) for name, i in Folds(corpus).indices(2).items()}
    assert shares == pytest.approx({"train": 0.7, "valid": 0.1, "test": 0.2}, abs=0.02)


def test_silence_has_no_speaker_and_clips_of_nobody_stand_alone():
    corpus = make()
    names = clusters(corpus)
    alone = [name for name, speaker in zip(names, corpus.speakers, strict=True) if speaker in ("", "sil")]
    assert len(set(alone)) == len(alone) == 20
    assert names[0] == "speaker s0"


def test_the_corpus_of_a_fold_shares_the_audio_and_has_its_own_digest():
    corpus = make()
    folds = Folds(corpus)
    one = folds.corpus_of(1)
    assert one.clips is corpus.clips
    assert {name: one.indices(name).tolist() for name in ("train", "valid", "test")} == {name: i.tolist() for name, i in folds.indices(1).items()}
    assert len({one.digest, corpus.digest, folds.corpus_of(2).digest}) == 3
    assert Folds(one).corpus_of(1).digest == one.digest  # the corpus's own splits play no part


def test_too_few_speakers_and_too_few_folds_are_refused():
    with pytest.raises(DataError, match=r"5 folds by speaker must have at least 5 speakers, not 4: ask for fewer folds"):
        Folds(make(4), 5)
    with pytest.raises(UsageError, match=r"must have at least 3 folds, to test, to watch and to train, not 2"):
        Folds(make(), 2)
    assert Folds(make(4), 4).corpus_of(0).speaker_counts() == {
        "train": 2 + _nobody(4, "train"),
        "valid": 1 + _nobody(4, "valid"),
        "test": 1 + _nobody(4, "test"),
    }


def _nobody(n: int, split: str) -> int:
    """1 where a clip without a speaker is in the split: the corpus counts it as one."""
    corpus = make(n)
    return int(any(corpus.speakers[i] == "" for i in Folds(corpus, n).indices(0)[split]))


def test_equal_answers_differ_by_nothing():
    right = np.random.default_rng(0).random(200) < 0.8
    found = clustered_bootstrap(right, right, [f"s{i % 20}" for i in range(200)])
    assert (found.mean, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_a_gain_that_all_speakers_share_is_certain():
    """Each of 20 speakers has 10 clips and one more of them right: every sample gives 0.1."""
    clusters = np.repeat([f"s{i}" for i in range(20)], 10)
    rival = np.tile(np.arange(10) < 7, 20)
    better = np.tile(np.arange(10) < 8, 20)
    found = clustered_bootstrap(better, rival, clusters, samples=999)
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert found.p == pytest.approx(2 / 1000)


def test_clips_of_one_speaker_are_not_so_many_witnesses():
    """With one clip a speaker the interval is that of a mean of n; with ten equal clips a speaker it is no narrower."""
    gain = (np.random.default_rng(1).random(100) < 0.3).astype(float)
    alone = clustered_bootstrap(gain, np.zeros(100), [f"s{i}" for i in range(100)])
    half = 1.96 * gain.std() / 10
    assert (alone.low, alone.high) == pytest.approx((gain.mean() - half, gain.mean() + half), abs=0.015)
    tenfold = clustered_bootstrap(np.repeat(gain, 10), np.zeros(1000), np.repeat([f"s{i}" for i in range(100)], 10))
    assert (tenfold.mean, tenfold.low, tenfold.high) == pytest.approx((alone.mean, alone.low, alone.high), abs=1e-12)
    naive = clustered_bootstrap(np.repeat(gain, 10), np.zeros(1000), [f"c{i}" for i in range(1000)])
    assert naive.high - naive.low < 0.5 * (tenfold.high - tenfold.low)


def test_p_is_uniform_enough_where_nothing_differs():
    """Without a difference p is below 0.1 in about a tenth of the trials."""
    rng = np.random.default_rng(5)
    speakers = np.repeat(np.arange(40), 10).astype(str)
    hits = 0
    for trial in range(150):
        ease = np.repeat(rng.normal(0, 0.15, 40), 10)  # speakers differ; the networks do not
        a, b = (rng.random(400) < 0.7 + ease for _ in range(2))
        hits += clustered_bootstrap(a, b, speakers, samples=400, seed=trial).p < 0.1
    assert 5 <= hits <= 28


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_the_interval_leaves_zero_out_where_p_is_small(seed: int):
    rng = np.random.default_rng(seed)
    a, b = rng.random(120) < 0.8, rng.random(120) < 0.7
    found = clustered_bootstrap(a, b, [f"s{i % 15}" for i in range(120)], samples=1999)
    opposite = clustered_bootstrap(b, a, [f"s{i % 15}" for i in range(120)], samples=1999)
    assert (found.low, found.high) == pytest.approx((-opposite.high, -opposite.low))
    assert found.p == opposite.p
    if found.p < 0.045:
        assert found.low > 0 or found.high < 0
    if found.p > 0.055:
        assert found.low <= 0 <= found.high


def test_a_table_reads_test_once_for_each_run(tmp_path: Path):
    ledger = TestLedger(tmp_path / "logs" / "reads.jsonl")
    entry = {"who": "bench", "table": "main", "corpus": "c" * 64, "network": "n" * 64, "clips": 7}
    ledger.check_unread("main", "dscnn-0")
    ledger.record(**entry, run="dscnn-0")
    before = ledger.path.read_bytes()
    ledger.check_unread("main", "dscnn-1")
    ledger.check_unread("other", "dscnn-0")
    with pytest.raises(UsageError, match=r"a table must read test once for each run; dscnn-0 of main read it at \S+ \(network nnnnnnnnnnnn\)"):
        ledger.check_unread("main", "dscnn-0")
    ledger.record(**entry, run="dscnn-1", reason="a bug")
    assert ledger.path.read_bytes().startswith(before)
    assert [(e["run"], e.get("reason")) for e in ledger.entries()] == [("dscnn-0", None), ("dscnn-1", "a bug")]
    assert {"time", "user", "program", "clips", "corpus"} <= set(ledger.entries()[0])


def test_a_damaged_log_is_refused_and_does_not_grow(tmp_path: Path):
    ledger = TestLedger(tmp_path / "reads.jsonl")
    ledger.path.write_text("half a li")
    with pytest.raises(DataError, match=r"must be a log of reads of test, one JSON object a line"):
        ledger.record(who="x", table="t", run="r", corpus="c", network="n", clips=1)
    assert ledger.path.read_text() == "half a li"


def test_differences_are_plain_data():
    assert set(dataclasses.asdict(clustered_bootstrap([1], [0], ["a"], samples=9))) == {"mean", "low", "high", "p"}
