# SPDX-License-Identifier: Apache-2.0
"""train/events from HDF5: SHD, SSC and N-TIDIGITS on tiny files in their formats, and one sentence for whatever is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ormia.edge.errors import DataError, UsageError
from ormia.train.events import EventCorpus, load_event_corpus

h5py = pytest.importorskip("h5py", reason="the train extra is not installed")

WORDS = (b"null", b"eins")
Clip = tuple[list[float], list[int], int, int]  # times, units, label, speaker


def write_spikes(path: Path, clips: list[Clip], keys: tuple[bytes, ...] = WORDS) -> Path:
    """A file as SHD and SSC have it: float16 seconds, uint16 units."""
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (len(clips),), dtype=h5py.vlen_dtype("float16"))
        units = file.create_dataset("spikes/units", (len(clips),), dtype=h5py.vlen_dtype("uint16"))
        for i, (at, unit, _, _) in enumerate(clips):
            times[i], units[i] = np.array(at, np.float16), np.array(unit, np.uint16)
        file["labels"] = np.array([clip[2] for clip in clips], np.uint16)
        file["extra/speaker"] = np.array([clip[3] for clip in clips], np.uint16)
        file["extra/keys"] = np.array(keys)
    return path


def clip(label: int, speaker: int) -> Clip:
    return [0.0, 0.25, 0.25, 0.75], [0, 5 + 300 * label, 5 + 300 * label, 699], label, speaker


def write_shd(folder: Path) -> Path:
    write_spikes(folder / "shd_train.h5", [clip(label, speaker) for speaker in range(4) for label in (0, 1)])
    write_spikes(folder / "shd_test.h5", [clip(label, 7) for label in (0, 1)])
    return folder


def load(folder: Path, corpus: str = "shd", **settings: object) -> EventCorpus:
    return load_event_corpus({"corpus": corpus, **settings}, folder)


def refusal(folder: Path, corpus: str = "shd", **settings: object) -> str:
    with pytest.raises((DataError, UsageError)) as caught:
        load(folder, corpus, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_spike_falls_into_the_bin_that_digitize_gives(tmp_path: Path):
    corpus = load(write_shd(tmp_path), n_timesteps=15)  # edges every 0.1 s
    dense = corpus.clips[:1][0]
    assert dense.shape == (15, 700)
    assert {(t, c): int(dense[t, c]) for t, c in zip(*map(np.ndarray.tolist, np.nonzero(dense)), strict=True)} == {(1, 0): 1, (3, 5): 2, (8, 699): 1}
    assert corpus.clips[:].dtype == np.int16
    assert corpus.timestep_ms == pytest.approx(100)


def test_units_are_grouped_and_counts_clipped(tmp_path: Path):
    write_shd(tmp_path)
    dense = load(tmp_path, n_timesteps=15, group=5, payload_bits=1).clips[:1][0]
    assert dense.shape == (15, 140)
    assert [tuple(cell) for cell in np.argwhere(dense).tolist()] == [(1, 0), (3, 1), (8, 139)]
    assert load(tmp_path, payload_bits=1).provenance["clipped_events"] == 10


def test_events_after_the_last_edge_are_left_out_and_counted(tmp_path: Path):
    corpus = load(write_shd(tmp_path), seconds=0.5)
    assert corpus.provenance["late_events"] == 10
    assert corpus.provenance["events"] == 40


def test_validation_speakers_are_in_no_other_split_of_the_training_file(tmp_path: Path):
    corpus = load(write_shd(tmp_path))
    assert corpus.classes == ("null", "eins")
    assert corpus.counts() == {word: {"train": 3, "valid": 1, "test": 1} for word in corpus.classes}
    assert corpus.shared_speakers == ()


def test_validation_by_clips_takes_a_share_of_each_class(tmp_path: Path):
    corpus = load(write_shd(tmp_path), validation="clips", validation_share=0.5)
    assert corpus.counts()["null"] == {"train": 2, "valid": 2, "test": 1}


def test_speakers_in_two_splits_are_told(tmp_path: Path):
    write_shd(tmp_path)
    write_spikes(tmp_path / "shd_test.h5", [clip(0, 0), clip(1, 1), clip(0, 2), clip(1, 3)])
    assert set(load(tmp_path).shared_speakers) == {"0", "1", "2", "3"}


def test_ssc_keeps_the_splits_of_its_files(tmp_path: Path):
    for part, n in (("train", 3), ("valid", 2), ("test", 1)):
        write_spikes(tmp_path / f"ssc_{part}.h5", [clip(label, 0) for label in (0, 1)] * n)
    assert load(tmp_path, "ssc").counts()["eins"] == {"train": 3, "valid": 2, "test": 1}


def test_the_digest_follows_content_and_settings(tmp_path: Path):
    first = load(write_shd(tmp_path)).digest
    assert load(tmp_path).digest == first
    assert load(tmp_path, n_timesteps=50).digest != first
    write_spikes(tmp_path / "shd_test.h5", [clip(1, 7), clip(0, 7)])
    assert load(tmp_path).digest != first


def test_selected_clips_come_in_the_order_asked_for(tmp_path: Path):
    clips = load(write_shd(tmp_path)).clips
    chosen = clips.select(np.array([3, 0]))
    assert len(chosen) == 2
    assert np.array_equal(chosen[:], np.stack([clips[3:4][0], clips[0:1][0]]))


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ([([0.5, 0.25], [1, 2], 0, 0)], r"times of events must ascend; event 1 comes before .*clip 0 of .*shd_train.h5 is damaged"),
        ([([0.25], [700], 0, 0)], r"the channel of an event must be in 0\.\.699, not 700"),
        ([([0.25, 0.5], [1], 0, 0)], r"every event must have a time and a channel, not 2 times and 1 channels"),
        ([([np.nan], [1], 0, 0)], r"the times of events must be finite"),
        ([clip(0, 0), clip(2, 0)], r"the label of a clip must be in 0\.\.1, not 2: clip 1 of"),
    ],
)
def test_damaged_clips_are_refused(tmp_path: Path, clips: list[Clip], message: str):
    write_spikes(write_shd(tmp_path) / "shd_train.h5", clips)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_files_that_are_missing_packed_cut_or_no_hdf5_are_refused(tmp_path: Path):
    assert "must have the file shd_train.h5" in refusal(tmp_path)
    assert "`ormia data info shd` says where to get it" in refusal(tmp_path)
    (tmp_path / "shd_train.h5.gz").write_bytes(b"")
    assert "unpack shd_train.h5.gz" in refusal(tmp_path)
    path = write_shd(tmp_path) / "shd_test.h5"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "must be whole HDF5" in refusal(tmp_path)
    path.write_bytes(b"no HDF5 at all")
    assert "must be whole HDF5" in refusal(tmp_path)
    assert "must be a folder" in refusal(tmp_path / "none")


def test_a_file_without_a_data_set_or_with_other_classes_is_refused(tmp_path: Path):
    with h5py.File(write_shd(tmp_path) / "shd_test.h5", "a") as file:
        del file["spikes/units"]
    assert "shd_test.h5 must hold the data set 'spikes/units'" in refusal(tmp_path)
    write_spikes(tmp_path / "shd_test.h5", [clip(0, 7)], (b"null", b"zwei"))
    assert "the same classes in extra/keys" in refusal(tmp_path)


def test_one_training_speaker_cannot_be_split(tmp_path: Path):
    write_spikes(write_shd(tmp_path) / "shd_train.h5", [clip(label, 1) for label in (0, 1)])
    assert 'at least 2 training speakers to choose from, not 1; use validation = "clips"' in refusal(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"corpus": "sdh"}, "front_end.options.corpus must be one of shd, ssc, n-tidigits, n-mnist, dvs-gesture, ti46, not 'sdh'"),
        ({"n_timestep": 3}, "unknown key 'n_timestep'; did you mean 'n_timesteps'?"),
        ({"n_timesteps": 2000}, "n_timesteps of an event corpus must be in 1..1024, not 2000"),
        ({"payload_bits": 9}, "payload_bits of an event corpus must be in 1..8, not 9"),
        ({"group": 3}, "group must divide 700 units, not 3"),
        ({"seconds": 0.0}, "bins need seconds above 0"),
        ({"validation": "dice"}, "validation must be by speakers or clips, not 'dice'"),
        ({"validation_share": 1.0}, "validation_share must be between 0 and 1"),
    ],
)
def test_impossible_settings_are_refused(tmp_path: Path, settings: dict[str, object], message: str):
    assert message in refusal(write_shd(tmp_path), **settings)


# N-TIDIGITS


def write_n_tidigits(folder: Path, **changes: list[float]) -> Path:
    """Two clips of a digit for each of three speakers, one of connected digits; ``changes`` replaces addresses or timestamps of all clips."""
    names = {"train": [f"man-{who}-a-{said}" for who in ("ab", "cd") for said in ("z", "o", "12")], "test": ["woman-ef-b-z", "woman-ef-b-9"]}
    content = {"addresses": [63.0, 0.0, 7.0], "timestamps": [0.001, 0.012, 0.5]} | changes
    with h5py.File(folder / "n-tidigits.hdf5", "w") as file:
        for part, ids in names.items():
            file[f"{part}_labels"] = np.array([name.encode() for name in ids])
            for what, values in content.items():
                for name in ids:
                    file[f"{part}_{what}/{name}"] = np.array(values)
    return folder


def test_n_tidigits_gives_single_digits_by_speaker(tmp_path: Path):
    corpus = load(write_n_tidigits(tmp_path), "n-tidigits")
    assert corpus.clip_ids == ("man-ab-a-z", "man-ab-a-o", "man-cd-a-z", "man-cd-a-o", "woman-ef-b-z", "woman-ef-b-9")
    assert [corpus.classes[label] for label in corpus.labels] == ["zero", "oh", "zero", "oh", "zero", "nine"]
    assert corpus.speakers == ("man-ab",) * 2 + ("man-cd",) * 2 + ("woman-ef",) * 2
    assert sorted(corpus.split) == ["test"] * 2 + ["train"] * 2 + ["valid"] * 2
    assert [tuple(cell) for cell in np.argwhere(corpus.clips[:1][0]).tolist()] == [(0, 63), (2, 0), (100, 7)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"addresses": [64.0, 0.0, 7.0]}, r"the channel of an event must be in 0\.\.63, not 64: clip man-ab-a-z of"),
        ({"timestamps": [0.5, 0.1, 0.6]}, "the times of events must ascend; event 1"),
        ({"timestamps": [0.5]}, "not 1 times and 3 channels"),
    ],
)
def test_damaged_n_tidigits_is_refused(tmp_path: Path, changes: dict[str, list[float]], message: str):
    with pytest.raises(DataError, match=message):
        load(write_n_tidigits(tmp_path, **changes), "n-tidigits")


def test_n_tidigits_without_its_events_or_with_a_strange_name_is_refused(tmp_path: Path):
    with h5py.File(write_n_tidigits(tmp_path) / "n-tidigits.hdf5", "a") as file:
        del file["test_addresses/woman-ef-b-9"]
    assert "has no 'woman-ef-b-9' in /test_addresses" in refusal(tmp_path, "n-tidigits")
    with h5py.File(write_n_tidigits(tmp_path) / "n-tidigits.hdf5", "a") as file:
        del file["train_labels"]
        file["train_labels"] = np.array([b"man-ab-a-q"])
    assert "must end in digits after its last hyphen (z123456789o), not 'man-ab-a-q'" in refusal(tmp_path, "n-tidigits")
