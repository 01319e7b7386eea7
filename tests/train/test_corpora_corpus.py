# SPDX-License-Identifier: Apache-2.0
"""train/corpora/corpus.py: a corpus comes back from disk as it was, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ormia.edge.errors import DataError
from ormia.train.corpora import SILENCE, UNKNOWN, Corpus


def make(**changes: object) -> Corpus:
    rng = np.random.default_rng(0)
    split = ("train", "train", "valid", "test", "train", "test")
    fields = {
        "clips": rng.integers(-32768, 32768, (6, 320)).astype(np.int16),
        "labels": np.array([0, 1, 0, 1, 2, 2]),
        "classes": ("yes", "no", SILENCE),
        "words": ("yes", "no", "yes", "no", SILENCE, SILENCE),
        "speakers": ("a", "a", "b", "c", "room", "room"),
        "split": split,
        "clip_ids": tuple(f"clip{i}" for i in range(6)),
        "snr_db": np.array([np.inf, np.inf, 10, 20, -np.inf, -np.inf], np.float32),
        "noise": {"train": (np.arange(50, dtype=np.int16), np.arange(7, dtype=np.int16)), "test": (np.ones(3, np.int16),)},
        "provenance": {"parameters": {"seed": 1}, "source": "a test"},
    }
    return Corpus(**{**fields, **changes})


def test_a_saved_corpus_comes_back_whole(tmp_path: Path):
    corpus = make()
    corpus.save(tmp_path / "corpus")
    loaded = Corpus.load(tmp_path / "corpus")
    assert isinstance(loaded.clips, np.memmap)
    for name in ("clips", "labels", "snr_db"):
        assert np.array_equal(getattr(loaded, name), getattr(corpus, name))
    for name in ("classes", "words", "speakers", "split", "clip_ids", "provenance", "sample_rate", "digest"):
        assert getattr(loaded, name) == getattr(corpus, name)
    assert [[x.tolist() for x in loaded.noise[s]] for s in loaded.noise] == [[x.tolist() for x in corpus.noise[s]] for s in corpus.noise]
    assert [p.name for p in tmp_path.iterdir()] == ["corpus"]


def test_a_corpus_without_noise_comes_back(tmp_path: Path):
    make(noise={}).save(tmp_path / "corpus")
    assert Corpus.load(tmp_path / "corpus").noise == {"train": (), "valid": (), "test": ()}


def test_saving_replaces_what_was_there(tmp_path: Path):
    make().save(tmp_path / "corpus")
    other = make(classes=("yes", "nope", SILENCE))
    other.save(tmp_path / "corpus")
    assert Corpus.load(tmp_path / "corpus").digest == other.digest
    assert [p.name for p in tmp_path.iterdir()] == ["corpus"]


def test_counts_are_by_class_and_split_and_speakers_leave_silence_out():
    corpus = make()
    assert corpus.counts()["yes"] == {"train": 1, "valid": 1, "test": 0}
    assert corpus.counts()[SILENCE] == {"train": 1, "valid": 0, "test": 1}
    assert corpus.speaker_counts() == {"train": 1, "valid": 1, "test": 1}
    assert corpus.indices("train").tolist() == [0, 1, 4]
    assert corpus.n_samples == 320


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": np.array([0, 1, 0, 1, 2, 1])},
        {"snr_db": np.zeros(6, np.float32)},
        {"clip_ids": tuple("abcdef")},
        {"provenance": {"parameters": {"seed": 2}}},
        {"noise": {}},
        {"clips": make().clips ^ np.int16(1)},
    ],
)
def test_the_digest_changes_with_the_content(changes: dict):
    assert make(**changes).digest != make().digest


def test_the_digest_does_not_change_with_where_it_was_made():
    assert make(provenance={"parameters": {"seed": 1}, "source": "elsewhere"}).digest == make().digest


def test_a_speaker_in_two_splits_is_refused():
    with pytest.raises(DataError, match="no speaker may be in two splits: 'a' is in train and test"):
        make(speakers=("a", "a", "b", "a", "", ""))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"clips": np.zeros((6, 320))}, "must be int16"),
        ({"words": ("yes",)}, "must have as many words"),
        ({"labels": np.array([0, 1, 0, 1, 2, 3])}, "must be in 0..2"),
        ({"labels": np.array([0, 1, 0, 1, 2, -1])}, "must be in 0..2"),
        ({"split": ("train",) * 5 + ("dev",)}, "must be one of train, valid, test, not 'dev'"),
    ],
)
def test_parts_that_disagree_are_refused(changes: dict, sentence: str):
    with pytest.raises(DataError, match=sentence):
        make(**changes)


def flip_a_bit(folder: Path) -> None:
    content = bytearray((folder / "clips.npy").read_bytes())
    content[-1] ^= 1
    (folder / "clips.npy").write_bytes(content)


def change_index(folder: Path, **changes: object) -> None:
    index = json.loads((folder / "corpus.json").read_text())
    (folder / "corpus.json").write_text(json.dumps({**index, **changes}))


def pickle_clips(folder: Path) -> None:
    np.save(folder / "clips.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_bit,
        pickle_clips,
        lambda folder: (folder / "clips.npy").write_bytes((folder / "clips.npy").read_bytes()[:500]),
        lambda folder: (folder / "clips.npy").write_bytes(b""),
        lambda folder: (folder / "noise.npy").unlink(),
        lambda folder: (folder / "corpus.json").unlink(),
        lambda folder: (folder / "corpus.json").write_text('{"format": 1, "classes"'),
        lambda folder: (folder / "corpus.json").write_text("[]"),
        lambda folder: change_index(folder, format=2),
        lambda folder: change_index(folder, words=["no"] * 6),
        lambda folder: change_index(folder, words=None),
        lambda folder: change_index(folder, noise_samples={"train": [50, 8], "valid": [], "test": [2]}),
        lambda folder: change_index(folder, noise_samples={"train": [50, 7], "valid": [], "test": []}),
        lambda folder: np.save(folder / "labels.npy", np.zeros(6)),
    ],
)
def test_a_damaged_corpus_is_refused_with_one_sentence(tmp_path: Path, damage):
    make().save(tmp_path / "corpus")
    damage(tmp_path / "corpus")
    with pytest.raises(DataError, match=r"a saved corpus must be whole: .* delete it and run `ormia data` again") as caught:
        Corpus.load(tmp_path / "corpus")
    assert "\n" not in str(caught.value)


def test_a_corpus_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make().save(tmp_path / "corpus")
    save = np.save

    def full_disk(path: Path, array: np.ndarray) -> None:
        if path.name == "noise.npy":
            raise OSError(28, "No space left on device")
        save(path, array)

    monkeypatch.setattr(np, "save", full_disk)
    with pytest.raises(DataError, match="No space left on device"):
        make(classes=("a", "b", SILENCE)).save(tmp_path / "corpus")
    assert Corpus.load(tmp_path / "corpus").classes == ("yes", "no", SILENCE)
    assert [p.name for p in tmp_path.iterdir()] == ["corpus"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="must be writable"):
        make().save(tmp_path / "file" / "corpus")


def test_unknown_and_silence_are_named_as_in_speech_commands():
    assert (UNKNOWN, SILENCE) == ("_unknown_", "_silence_")


def test_replacing_a_field_gives_a_new_digest():
    assert replace(make(), words=("a",) * 6).digest != make().digest
