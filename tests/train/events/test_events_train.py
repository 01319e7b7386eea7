# SPDX-License-Identifier: Apache-2.0
"""From the files of an event corpus to a network file by ``ormia train``: one epoch on tiny files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

torch = pytest.importorskip("torch", reason="the train extra is not installed")
h5py = pytest.importorskip("h5py", reason="the train extra is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:tensorboard.*")

from ormia.edge.describe import describe  # noqa: E402
from ormia.edge.errors import UsageError  # noqa: E402
from ormia.edge.netfile import read_network  # noqa: E402
from ormia.edge.runtime import Runtime  # noqa: E402
from ormia.train import commands  # noqa: E402
from ormia.train.config import load_recipe  # noqa: E402
from ormia.train.events import load_event_corpus  # noqa: E402

FEW = ["epochs=1", "batch=4", "model.layers=[{neurons=8, motif=4, tau_membrane=[5.0]}]"]


def write_spikes(path: Path, n: int, seed: int) -> None:
    """Clips of two classes told apart by which units are busy; float16 seconds and uint16 units, as SHD and SSC have them."""
    rng = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (n,), dtype=h5py.vlen_dtype("float16"))
        units = file.create_dataset("spikes/units", (n,), dtype=h5py.vlen_dtype("uint16"))
        for i in range(n):
            times[i], units[i] = np.sort(rng.uniform(0, 1.3, 60)).astype(np.float16), rng.integers(350 * (i % 2), 350 * (i % 2) + 350, 60).astype(np.uint16)
        file["labels"], file["extra/speaker"] = np.arange(n, dtype=np.uint16) % 2, np.arange(n, dtype=np.uint16) // 2
        file["extra/keys"] = np.array([b"low", b"high"])


@pytest.fixture(scope="module")
def shd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shd")
    write_spikes(folder / "shd_train.h5", 12, 1)
    write_spikes(folder / "shd_test.h5", 4, 2)
    return folder


def test_one_epoch_on_shd_gives_a_file_whose_accuracy_is_that_of_its_integers(shd: Path, tmp_path: Path):
    result = commands.train("shd", data=shd, output=tmp_path, settings=[*FEW, "front_end.options={corpus='shd', n_timesteps=20}"], as_json=True)
    net = read_network(tmp_path / "net.ormia")
    assert (net.n_inputs, net.labels, net.formats.payload.hi) == (700, ("low", "high"), 15)
    corpus = load_event_corpus({"corpus": "shd", "n_timesteps": 20}, shd)
    test = corpus.indices("test")
    found = Runtime(net).predict(corpus.clips.select(test)[:])
    assert result["test"]["mean"] == (found == corpus.labels[test]).mean()
    assert json.loads((tmp_path / "metrics.json").read_text())["torch_exact_mode_agrees_on_every_clip"] is True
    assert net.metadata["events"]["corpus"] == "shd"
    assert net.metadata["provenance"]["corpus"] == corpus.digest
    assert describe(net)["front_end"] is None
    again = commands.export(tmp_path, data=shd, as_json=True)
    assert again["network"] == result["runs"][0]["network"]


def test_the_recipes_of_the_paper_train(shd: Path, tmp_path: Path):
    commands.train("shd", data=shd, output=tmp_path / "shd", settings=["epochs=1", "front_end.options.n_timesteps=20"], as_json=True)
    assert read_network(tmp_path / "shd" / "net.ormia").n_neurons == 5 * 32 + 2
    folder = tmp_path / "files"
    folder.mkdir()
    for part in ("train", "valid", "test"):
        write_spikes(folder / f"ssc_{part}.h5", 4, 3)
    commands.train("ssc", data=folder, output=tmp_path / "ssc", settings=["epochs=1", "front_end.options.n_timesteps=20"], as_json=True)
    assert read_network(tmp_path / "ssc" / "net.ormia").n_neurons == 4 * 128 + 2


@pytest.mark.parametrize("name", ["shd", "ssc"])
def test_time_constants_of_the_recipes_rise_as_the_paper_has_it(name: str):
    config = load_recipe(name)
    options = config.front_end.options
    timestep_ms = 1000 * options["seconds"] / (options["n_timesteps"] - 1)
    shape = np.tanh((np.linspace(0, 1, len(config.model.layers)) - 0.5) / 0.5)
    for layer, place in zip(config.model.layers, shape / np.ptp(shape), strict=True):
        expected = (100 + 150 * place) * np.array([0.8, 0.9, 1.0, 1.1, 1.2]) / timestep_ms
        assert layer.tau_membrane == pytest.approx(expected, abs=0.0051)  # two decimals
    assert config.model.tau_readout == pytest.approx(200 / timestep_ms, abs=0.0051)


def write_speech_commands(folder: Path) -> Path:
    """Three words in the layout of Speech Commands v0.02, its lists included; noise told apart by level."""
    lists: dict[str, list[str]] = {"validation_list.txt": [], "testing_list.txt": []}
    for number, word in enumerate(("backward", "bed", "bird")):
        for speaker, listed in (("0a7c2a8d", ""), ("00b01445", ""), ("026290a7", "validation_list.txt"), ("0c40e715", "testing_list.txt")):
            path = folder / word / f"{speaker}_nohash_0.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            sf.write(path, np.random.default_rng(number).integers(-3000, 3000, 8000).astype(np.int16), 16_000)
            if listed:
                lists[listed].append(f"{word}/{path.name}\n")
    for name, lines in lists.items():
        (folder / name).write_text("".join(lines))
    (folder / "_background_noise_").mkdir()
    sf.write(folder / "_background_noise_" / "hiss.wav", np.random.default_rng(9).integers(-300, 300, 48_000).astype(np.int16), 16_000)
    return folder


def test_every_word_of_speech_commands_is_a_class_without_silence_and_trains(tmp_path: Path):
    folder = write_speech_commands(tmp_path / "speech_commands_v0.02")
    made = commands.data(data=folder, output=tmp_path / "store", every_word=True, silence=False, as_json=True)
    assert made["classes"] == ["backward", "bed", "bird"]
    assert made["clips"]["bed"] == {"train": 2, "valid": 1, "test": 1}
    commands.train("gsc35", data=Path(str(made["folder"])), output=tmp_path / "run", settings=FEW, as_json=True)
    net = read_network(tmp_path / "run" / "net.ormia")
    assert net.labels == ("backward", "bed", "bird")
    assert list(net.metadata["detector"]["background"]) == []


def test_every_word_needs_recordings_and_no_keywords(tmp_path: Path):
    with pytest.raises(UsageError, match="--every-word must come with --data"):
        commands.data(every_word=True)
    with pytest.raises(UsageError, match="--no-silence must come with --data"):
        commands.data(silence=False)
    with pytest.raises(UsageError, match="--every-word and --keywords must not be given together"):
        commands.data(data=tmp_path, keywords="yes,no", every_word=True)


def test_data_info_says_where_a_corpus_is_and_how_it_must_lie(capsys: pytest.CaptureFixture[str]):
    listed = commands.data(["info"])
    assert list(listed) == ["shd", "ssc", "n-tidigits", "n-mnist", "dvs-gesture", "ti46", "gsc"]
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(listed)
    for name in listed:
        entry = commands.data(["info", name])
        printed = capsys.readouterr().out
        assert all(text in printed for text in (entry["title"], entry["where"], entry["licence"], *entry["layout"]))
        assert commands.data(["info", name], as_json=True) == entry
        assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(entry))


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (["info", "shdd"], "a corpus must be one of shd, ssc, n-tidigits, n-mnist, dvs-gesture, ti46, gsc, not 'shdd'"),
        (["imfo"], "data takes options, or info and the name of a corpus, not 'imfo'"),
        (["info", "shd", "ssc"], "data takes options, or info and the name of a corpus"),
    ],
)
def test_data_refuses_other_words(about: list[str], message: str):
    with pytest.raises(UsageError, match=message):
        commands.data(about)


def test_what_only_audio_has_is_refused_for_events(shd: Path, tmp_path: Path):
    with pytest.raises(UsageError, match=r"\[augment\] must go with a corpus of audio: shd is events; leave it out"):
        commands.train("shd", data=shd, output=tmp_path, settings=["augment.time_mask=1"])
    assert not (tmp_path / "checkpoint.pt").exists()
