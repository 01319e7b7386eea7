# SPDX-License-Identifier: Apache-2.0
"""train/events from event cameras: N-MNIST and DVS Gesture on tiny files in their formats, and one sentence for whatever is wrong."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ormia.edge.errors import DataError, UsageError
from ormia.train.events import EventCorpus, load_event_corpus
from ormia.train.events.aedat import read_aedat
from ormia.train.events.n_mnist import read_events

REAL = Path(os.environ.get("ORMIA_TEST_RECORDINGS", Path(__file__).parents[4] / "shared" / "data")) / "nmnist"
Event = tuple[int, int, int, int]  # x, y, polarity, time in microseconds


def load(folder: Path, corpus: str, **settings: object) -> EventCorpus:
    return load_event_corpus({"corpus": corpus, **settings}, folder)


def refusal(folder: Path, corpus: str, **settings: object) -> str:
    with pytest.raises((DataError, UsageError)) as caught:
        load(folder, corpus, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def cells(corpus: EventCorpus, clip: int) -> list[tuple[int, ...]]:
    return [tuple(cell) for cell in np.argwhere(corpus.clips[clip : clip + 1][0]).tolist()]


# N-MNIST


def pack(events: list[Event]) -> bytes:
    return b"".join(bytes([x, y, polarity << 7 | t >> 16, t >> 8 & 255, t & 255]) for x, y, polarity, t in events)


def write_n_mnist(folder: Path, events: list[Event] | None = None) -> Path:
    for part, n in (("Train", 2), ("Test", 1)):
        for digit in range(10):
            inside = folder / part / str(digit)
            inside.mkdir(parents=True, exist_ok=True)
            for i in range(n):
                (inside / f"{i + 1:05d}.bin").write_bytes(
                    pack(events or [(0, 0, 0, 0), (33, 1, 1, 2999), (33, 1, 1, 3000), (2, 2, 0, 299_999), (2, 2, 0, 300_000)])
                )
    return folder


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 239), st.integers(0, 1), st.integers(0, (1 << 23) - 1)), min_size=1, max_size=20))
def test_n_mnist_events_are_read_as_they_were_packed(tmp_path_factory: pytest.TempPathFactory, events: list[Event]):
    path = tmp_path_factory.getbasetemp() / "events.bin"
    path.write_bytes(pack(events))
    times, x, y, polarity = read_events(path)
    assert list(zip(x.tolist(), y.tolist(), polarity.tolist(), times.tolist(), strict=True)) == events


def test_a_row_of_240_moves_later_times_and_is_no_event(tmp_path: Path):
    (tmp_path / "a.bin").write_bytes(pack([(1, 1, 0, 5), (0, 240, 0, 0), (1, 1, 0, 5), (0, 240, 0, 0), (1, 1, 1, 6)]))
    times, x, *_ = read_events(tmp_path / "a.bin")
    assert times.tolist() == [5, 5 + 8192, 6 + 16384]
    assert len(x) == 3


def test_n_mnist_is_binned_by_polarity_row_and_column(tmp_path: Path):
    corpus = load(write_n_mnist(tmp_path), "n-mnist", validation_share=0.5)
    on = (34 + 1) * 34 + 33
    assert corpus.clips.shape == (30, 100, 2 * 34 * 34)
    assert cells(corpus, 0) == [(0, 0), (0, on), (1, on), (99, 2 * 34 + 2)]
    assert corpus.counts()["7"] == {"train": 1, "valid": 1, "test": 1}
    assert corpus.provenance["late_events"] == 30
    assert corpus.clip_ids[-1] == "Test/9/00001.bin"


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([(34, 0, 0, 0)], r"pixels of N-MNIST must be in 0\.\.33, not \(34, 0\): event 0 of"),
        ([(0, 0, 0, 9), (0, 0, 0, 8)], "the times of events must ascend; event 1"),
    ],
)
def test_damaged_n_mnist_is_refused(tmp_path: Path, events: list[Event], message: str):
    with pytest.raises(DataError, match=message):
        load(write_n_mnist(tmp_path, events), "n-mnist")


def test_n_mnist_that_is_cut_strange_or_missing_is_refused(tmp_path: Path):
    assert "must have the folder Train" in refusal(tmp_path, "n-mnist")
    path = write_n_mnist(tmp_path) / "Test" / "3" / "00001.bin"
    path.write_bytes(pack([(0, 0, 0, 0)])[:4])
    assert "must hold whole events of 5 bytes" in refusal(tmp_path, "n-mnist")
    (tmp_path / "Train" / "10").mkdir()
    assert "must be the digits 0 to 9, not '10'" in refusal(tmp_path, "n-mnist")


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:tensorboard.*")
def test_a_network_trains_on_n_mnist(tmp_path: Path):
    pytest.importorskip("torch", reason="the train extra is not installed")
    from ormia.train import commands

    recipe = tmp_path / "n_mnist.toml"
    recipe.write_text("""epochs = 1
batch = 10
front_end = { kind = "events", options = { corpus = "n-mnist", n_timesteps = 10, timestep_ms = 30 } }
model = { accumulator_bits = 24, layers = [{ neurons = 8, motif = 4 }] }
""")
    result = commands.train(str(recipe), data=write_n_mnist(tmp_path / "n-mnist"), output=tmp_path / "run", as_json=True)
    assert result["runs"][0]["torch_exact_mode_agrees_on_every_clip"] is True
    assert result["test"]["mean"] == 0.1  # all digits of these files look alike


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real N-MNIST files in {REAL}; set ORMIA_TEST_RECORDINGS to a folder that holds nmnist/")
def test_real_n_mnist_files_are_read():
    corpus = load(REAL, "n-mnist")
    assert {split: len(corpus.indices(split)) for split in ("train", "valid", "test")} == {"train": 180, "valid": 20, "test": 40}
    lost = int(str(corpus.provenance["late_events"]))
    assert lost / int(str(corpus.provenance["events"])) < 0.1  # three saccades of about 100 ms end soon after the last timestep
    assert min(int(corpus.clips[i : i + 1].sum()) for i in range(len(corpus.clips))) > 500


# DVS Gesture


def packet(events: list[Event], kind: int = 1, overflows: int = 0, valid: int = 1) -> bytes:
    words = b"".join(struct.pack("<Ii", x << 17 | y << 2 | polarity << 1 | valid, t) for x, y, polarity, t in events)
    return struct.pack("<hhiiiiii", kind, 1, 8, 4, overflows, len(events), len(events), len(events)) + words


def aedat(*packets: bytes) -> bytes:
    return b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n" + b"".join(packets)


@given(st.lists(st.tuples(st.integers(0, 32767), st.integers(0, 32767), st.integers(0, 1), st.integers(0, (1 << 31) - 1)), max_size=20), st.integers(0, 5))
def test_polarity_events_are_read_as_they_were_packed(tmp_path_factory: pytest.TempPathFactory, events: list[Event], overflows: int):
    path = tmp_path_factory.getbasetemp() / "events.aedat"
    path.write_bytes(aedat(packet([(9, 9, 1, 9)], kind=0), packet(events, overflows=overflows), packet([(9, 9, 1, 9)], valid=0)))
    found = read_aedat(path)
    expected = [(x, y, polarity, t + (overflows << 31)) for x, y, polarity, t in events]
    assert list(zip(found.x.tolist(), found.y.tolist(), found.polarity.tolist(), found.times.tolist(), strict=True)) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must begin with #!AER-DAT3.1 and a whole header"),
        (aedat().replace(b"3.1", b"2.0"), "must begin with #!AER-DAT3.1"),
        (aedat()[:-3], "and a whole header"),
        (aedat(packet([(1, 1, 1, 1)]))[:-1], "must hold whole packets: .* ends within the one at byte"),
        (aedat(packet([])[:20]), "must hold whole packets"),
        (aedat(struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, 1, 2, 2) + bytes(8)), r"must hold 0\.\.1 events of a size, not 2"),
        (aedat(struct.pack("<hhiiiiii", 1, 1, 16, 4, 0, 1, 1, 1) + bytes(16)), "must have 8 bytes, its time in the last 4"),
        (aedat(struct.pack("<hhiiiiii", 0, 1, -8, 4, 0, 1, 1, 1)), r"must hold 0\.\.1 events of a size, not 1 of -8"),
    ],
)
def test_a_damaged_aedat_file_is_refused(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "a.aedat").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_aedat(tmp_path / "a.aedat")


def write_gestures(folder: Path, events: list[Event] | None = None, labels: str = "1,1000,1100000\n11,2000000,2500000\n") -> Path:
    """Three people with one recording of two trials each."""
    recordings = {"user01_lab": "train", "user02_led": "train", "user24_led": "test"}
    for name in recordings:
        (folder / f"{name}.aedat").write_bytes(
            aedat(packet(events or [(0, 0, 0, 500), (5, 127, 1, 1000), (6, 127, 1, 20_999), (0, 0, 0, 21_000), (1, 1, 1, 2_100_000)]))
        )
        (folder / f"{name}_labels.csv").write_text("class,startTime_usec,endTime_usec\n" + labels)
    for split in ("train", "test"):
        (folder / f"trials_to_{split}.txt").write_text("".join(f"{name}.aedat\n" for name, at in recordings.items() if at == split))
    return folder


def test_gestures_as_published_are_cut_into_trials_by_person(tmp_path: Path):
    corpus = load(write_gestures(tmp_path), "dvs-gesture", timestep_ms=20)
    assert corpus.labels.tolist() == [0, 10] * 3
    assert corpus.speakers == ("user01",) * 2 + ("user02",) * 2 + ("user24",) * 2
    assert sorted(corpus.split) == ["test"] * 2 + ["train"] * 2 + ["valid"] * 2
    assert corpus.clips.shape == (6, 300, 2 * 32 * 32)
    assert cells(corpus, 0) == [(0, (32 + 31) * 32 + 1), (1, 0)]
    assert corpus.clips[:1][0, 0, (32 + 31) * 32 + 1] == 2
    assert cells(corpus, 1) == [(5, 32 * 32)]
    assert corpus.clip_ids[1] == "user01_lab/1"
    assert corpus.provenance["form"] == "published"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("12,0,5\n", r"a trial must have a class in 1\.\.11 and end after its start, not 12, 0\.\.5: line 2 of"),
        ("1,5,5\n", r"not 1, 5\.\.5: line 2 of"),
        ("1,5\n", "must be a CSV file of whole numbers"),
        ("1,5,x\n", "must be a CSV file of whole numbers"),
    ],
)
def test_damaged_labels_of_gestures_are_refused(tmp_path: Path, labels: str, message: str):
    with pytest.raises(DataError, match=message):
        load(write_gestures(tmp_path, labels=labels), "dvs-gesture")


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([(128, 0, 0, 0)], r"pixels in 0\.\.127 and polarity 0 or 1, not \(128, 0\), 0: event 0 of"),
        ([(0, 0, 0, 9), (0, 0, 0, 8)], "the times of events must ascend; event 1"),
    ],
)
def test_damaged_events_of_gestures_are_refused(tmp_path: Path, events: list[Event], message: str):
    with pytest.raises(DataError, match=message):
        load(write_gestures(tmp_path, events), "dvs-gesture")


def test_gestures_without_lists_labels_or_recordings_are_refused(tmp_path: Path):
    assert "must have trials_to_train.txt, ibmGestureTrain/ or train/" in refusal(tmp_path, "dvs-gesture")
    write_gestures(tmp_path)
    (tmp_path / "user02_led.aedat").unlink()
    assert "an AEDAT file must be readable" in refusal(tmp_path, "dvs-gesture")
    (tmp_path / "user01_lab_labels.csv").unlink()
    assert "the labels of a recording must be a CSV file" in refusal(tmp_path, "dvs-gesture")
    (tmp_path / "user01_lab_labels.csv").write_text("class,start,end\n1,2,3\n")
    assert "must begin with class,startTime_usec,endTime_usec, not class,start,end" in refusal(tmp_path, "dvs-gesture")
    assert "pool must divide 128 pixels, not 3" in refusal(tmp_path, "dvs-gesture", pool=3)
    assert "timestep_ms must be above 0" in refusal(tmp_path, "dvs-gesture", timestep_ms=0.0)


def test_gestures_cut_into_arrays_begin_at_their_first_event(tmp_path: Path):
    events = np.array([[0, 0, 0, 100.0], [5, 127, 1, 119.0], [5, 127, 1, 120.0]])
    for person, part in (("user01_lab", "Train"), ("user02_lab", "Train"), ("user24_led", "Test")):
        (tmp_path / f"ibmGesture{part}" / person).mkdir(parents=True)
        for label in (0, 10):
            np.save(tmp_path / f"ibmGesture{part}" / person / f"{label}.npy", events)
    corpus = load(tmp_path, "dvs-gesture")
    assert corpus.labels.tolist() == [0, 10] * 3
    assert corpus.speakers[0] == "user01"
    on = (32 + 31) * 32 + 1
    assert cells(corpus, 0) == [(0, 0), (0, on), (1, on)]
    path = tmp_path / "ibmGestureTest" / "user24_led" / "10.npy"
    whole = path.read_bytes()
    for content, message in (
        (whole[:-8], "must be whole and hold no pickle"),
        (b"", "must be whole and hold no pickle"),
        (b"events", "must be whole and hold no pickle"),
    ):
        path.write_bytes(content)
        assert message in refusal(tmp_path, "dvs-gesture")
    np.save(path, events[:, :3])
    assert "an array of x, y, polarity and time in ms [n_events, 4]" in refusal(tmp_path, "dvs-gesture")
    path.unlink()
    np.save(path.with_name("11.npy"), events)
    assert "a class must be in 0..10, not '11'" in refusal(tmp_path, "dvs-gesture")


def test_frames_of_gestures_are_pooled_and_cut(tmp_path: Path):
    frames = np.zeros((5, 2, 128, 128), np.float32)
    frames[0, 0, 0:2, 0:2] = 1
    frames[1, 1, 127, 5] = 9
    frames[4, 0, 0, 0] = 1
    for person, part in (("user01_lab_0", "train"), ("user02_lab_0", "train"), ("user24_led_0", "test")):
        for label in range(2):
            (tmp_path / part / str(label)).mkdir(parents=True, exist_ok=True)
            np.savez(tmp_path / part / str(label) / f"{person}.npz", frames=frames)
    corpus = load(tmp_path, "dvs-gesture", n_timesteps=4)
    assert corpus.labels.tolist() == [0, 0, 1, 1, 0, 1]
    assert cells(corpus, 0) == [(0, 0), (1, (32 + 31) * 32 + 1)]
    assert corpus.clips[:1].max() == 7  # 3 bits
    assert corpus.clips[:1][0, 0, 0] == 4
    assert (corpus.provenance["late_events"], corpus.provenance["clipped_events"], corpus.provenance["events"]) == (6, 12, 84)
    np.savez(tmp_path / "test" / "1" / "user24_led_0.npz", frames=frames + 0.5)
    assert "must hold `frames`, counts [n_frames, 2, 128, 128]" in refusal(tmp_path, "dvs-gesture")
    np.savez(tmp_path / "test" / "1" / "user24_led_0.npz", t=frames)
    assert "must hold `frames`" in refusal(tmp_path, "dvs-gesture")
