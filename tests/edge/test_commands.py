# SPDX-License-Identifier: Apache-2.0
"""``ormia inspect``, ``run`` and ``eval`` as a user types them."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf
from ormia.edge.clips import read_clips
from ormia.edge.detector import Detector, DetectorConfig
from ormia.edge.evaluation import evaluate_clips
from ormia.edge.events import events_from_payloads
from ormia.edge.frontend import FrontEnd
from ormia.edge.listen import Listener
from ormia.edge.netfile import network_digest, write_network
from ormia.edge.reference import Reference


@pytest.fixture
def net_file(tmp_path, hearing):
    write_network(tmp_path / "net.ormia", hearing())
    return tmp_path / "net.ormia"


@pytest.fixture
def recording(tmp_path):
    pcm = (np.random.default_rng(2).standard_normal(16000) * np.linspace(0, 6000, 16000)).astype(np.int16)
    sf.write(tmp_path / "word.wav", pcm, 16000)
    return tmp_path / "word.wav"


@pytest.fixture
def stdin(monkeypatch):
    """Give bytes to stdin in pieces of uneven size, as a pipe does."""

    class Pieces(io.BytesIO):
        def read1(self, size=-1):
            return self.read(min(size, 3331))

    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Pieces(data)))

    return give


def pcm_of(path) -> np.ndarray:
    return sf.read(path, dtype="int16")[0]


def test_run_prints_the_label_and_scores_of_the_reference(ormia, net_file, recording, hearing):
    net = hearing()
    payloads = FrontEnd.from_dict(net.metadata["front_end"]).payloads(pcm_of(recording))
    trace = Reference(net).run(events_from_payloads(payloads))
    code, out, err = ormia("run", net_file, recording, "--json")
    assert (code, err) == (0, "")
    scores = dict(zip(net.labels, trace.scores.tolist(), strict=True))
    assert json.loads(out) == [{"audio": str(recording), "label": net.labels[trace.label], "scores": scores, "seconds": 1.0}]
    code, out, _ = ormia("run", net_file, recording, recording)
    assert code == 0
    assert out.count(f"word.wav: {net.labels[trace.label]}  (") == 2


def test_run_reads_raw_samples_from_stdin(ormia, net_file, recording, stdin):
    expected = json.loads(ormia("run", net_file, recording, "--json")[1])[0]
    stdin(pcm_of(recording).tobytes())
    got = json.loads(ormia("run", net_file, "-", "--json")[1])[0]
    assert got == expected | {"audio": "-"}


def test_a_stereo_recording_at_another_rate_is_converted(ormia, net_file, recording, tmp_path):
    from scipy.signal import resample_poly

    up = resample_poly(pcm_of(recording) / 32768, 441, 160)
    sf.write(tmp_path / "cd.flac", np.stack([up, up], axis=1) * 0.9, 44100, subtype="PCM_24")
    code, out, _ = ormia("run", net_file, tmp_path / "cd.flac", "--json")
    assert code == 0
    assert json.loads(out)[0]["seconds"] == pytest.approx(1.0, abs=0.001)


@pytest.mark.parametrize("size", [16, 320, 5000, 10**6])
def test_a_stream_detects_the_same_in_blocks_of_any_size(hearing, size):
    net = replace(hearing(), metadata=hearing().metadata | {"detector": DetectorConfig(warm_up=3, refractory=10, margin=1).as_dict()})
    pcm = (np.random.default_rng(4).standard_normal(5 * 16000) * (np.arange(5 * 16000) // 8000 % 2) * 4000).astype(np.int16)
    listener = Listener(net)
    found = list(listener.listen(pcm[i : i + size] for i in range(0, len(pcm), size)))
    reference, detector, expected = Reference(net), Detector(net), []
    for events in events_from_payloads(FrontEnd.from_dict(net.metadata["front_end"]).payloads(pcm)):
        reference.step(events)
        detection = detector.step(reference.emitted())
        if detection is not None:
            expected.append(((detection.timestep + 1) * 0.02, detection))
    assert found == expected
    assert len(found) > 2
    assert listener.seconds == 5.0


def test_run_stream_prints_one_line_a_detection(ormia, hearing, recording, stdin, tmp_path):
    net_file = tmp_path / "eager.ormia"
    write_network(net_file, replace(hearing(), metadata=hearing().metadata | {"detector": DetectorConfig(warm_up=3, refractory=10).as_dict()}))
    long = np.tile(pcm_of(recording), 4)
    sf.write(tmp_path / "long.wav", long, 16000)
    code, out, err = ormia("-q", "run", net_file, "--stream", tmp_path / "long.wav", "--json")
    assert (code, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines
    assert set(lines[0]) == {"audio", "seconds", "label", "score", "margin"}
    stdin(long.tobytes())
    piped = [json.loads(line) for line in ormia("-q", "run", net_file, "--stream", "-", "--json")[1].splitlines()]
    assert [line | {"audio": ""} for line in piped] == [line | {"audio": ""} for line in lines]
    assert " s  " in ormia("run", net_file, "--stream", tmp_path / "long.wav")[1]


def test_inspect_shows_and_prints_json_of_the_same(ormia, net_file, hearing):
    code, out, err = ormia("inspect", net_file, "--json")
    assert (code, err) == (0, "")
    content = json.loads(out)
    assert content["digest"] == network_digest(hearing())
    assert content["timestep_ms"] == 20.0
    membrane = content["kinds"][0]["membrane"]
    assert membrane["timesteps"] == pytest.approx(-1 / np.log(3700 / 4096))
    assert membrane["ms"] == pytest.approx(20 * membrane["timesteps"])
    assert content["kinds"][1]["currents"][0] == {"decay": 0, "timesteps": 0.0, "ms": 0.0}
    code, out, _ = ormia("inspect", net_file)
    assert code == 0
    for words in ("hearing", "yes, no, _silence_", "24 inputs, 27 neurons", "197 ms", "never fires", "block RAMs", "front end fft, 8 channels"):
        assert words in out


def test_inspect_of_any_network_works(ormia, random_network, tmp_path):
    for seed in range(8):
        write_network(tmp_path / "any.ormia", random_network(seed))
        for option in ((), ("--json",), ("--target", "cortex-m7")):
            code, _, err = ormia("inspect", tmp_path / "any.ormia", *option)
            assert (code, err) == (0, ""), seed


def test_inspect_with_a_target_that_is_too_small_shows_all_and_exits_1(ormia, net_file, monkeypatch):
    from ormia.edge import target

    assert ormia("inspect", net_file, "--target", "icebreaker")[0] == 0
    assert "fits icebreaker" in ormia("inspect", net_file, "--target", "icebreaker")[1]
    monkeypatch.setitem(target.TARGETS, "icebreaker", replace(target.TARGETS["icebreaker"], block_rams=1))
    code, out, err = ormia("inspect", net_file, "--target", "icebreaker")
    assert code == 1
    assert "memories of the core" in out
    assert "must take at most 1 block RAMs" in err


def test_eval_counts_what_the_runtime_and_the_reference_count(ormia, net_file, saved_corpus, tmp_path, hearing):
    net = hearing()
    code, out, err = ormia("-q", "eval", net_file, "--data", saved_corpus, "--json", "--output", tmp_path / "eval.json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    stored = json.loads((tmp_path / "eval.json").read_text())
    assert stored["confusion"] == result["confusion"]
    clips = read_clips(saved_corpus, "test")
    traces = [Reference(net).run(events_from_payloads(p)) for p in FrontEnd.from_dict(net.metadata["front_end"]).payloads(clips.pcm)]
    labels = [net.labels.index(clips.classes[i]) for i in clips.labels]  # the corpus orders its classes otherwise
    assert result["clips"] == 20
    assert result["correct"] == sum(trace.label == label for trace, label in zip(traces, labels, strict=True))
    confusion = np.zeros((3, 3), int)
    for trace, label in zip(traces, labels, strict=True):
        confusion[label, trace.label] += 1
    assert result["confusion"] == confusion.tolist()
    assert result["seconds_of_audio"] == 20.0
    assert result["per_second_of_audio"]["spikes"] > 10
    assert result["per_second_of_audio"]["spikes"] == pytest.approx(sum(t.counters.spikes for t in traces) / 20)
    assert result["per_second_of_audio"]["synaptic_operations"] == pytest.approx(sum(t.counters.synaptic_operations for t in traces) / 20)
    assert result["corpus"]["digest"] == clips.digest
    assert {"versions", "machine", "time", "commit"} <= set(result["provenance"])
    assert "accuracy" in ormia("-q", "eval", net_file, "--data", saved_corpus, "--split", "valid", "--threads", "2")[1]


def test_recall_of_a_class_without_clips_is_none(hearing, saved_corpus):
    clips = read_clips(saved_corpus, "test")
    few = replace(clips, pcm=clips.pcm[:1], labels=clips.labels[:1], ids=clips.ids[:1])
    assert sorted(str(v) for v in evaluate_clips(hearing(), few).as_dict()["recall"].values()).count("None") == 2


BAD = [
    (("run", "{net}", "{folder}/missing.wav"), 1, "No such file"),
    (("run", "{net}", "{folder}"), 1, "must be a file"),
    (("run", "{folder}/missing.ormia", "{word}"), 1, "readable .ormia file"),
    (("run", "{word}", "{word}"), 1, "must be"),
    (("run", "{net}", "{folder}/short.wav"), 1, "at least one timestep, 320 samples, not 5"),
    (("run", "{net}", "{folder}/long.wav"), 1, "--stream"),
    (("run", "{deaf}", "{word}"), 1, "must carry a front end"),
    (("run", "{deaf}", "--stream", "{word}"), 1, "must carry a front end"),
    (("run", "{net}"), 2, "AUDIO"),
    (("run", "{net}", "{word}", "--strem"), 2, "--strem"),
    (("eval", "{net}"), 2, "--data"),
    (("eval", "{net}", "--data", "{folder}"), 1, "a whole folder that `ormia data` wrote"),
    (("eval", "{net}", "--data", "{corpus}", "--split", "tset"), 2, "not 'tset'"),
    (("eval", "{other}", "--data", "{corpus}"), 1, "_silence_, yes is not among maybe, no"),
    (("eval", "{net}", "--data", "{corpus}", "--output", "{folder}/no/such.json"), 1, "existing folder"),
    (("inspect", "{net}", "--target", "icebraker"), 2, "did you mean icebreaker"),
    (("inspect", "{word}"), 1, "no readable header"),
    (("inspekt", "{net}"), 2, "did you mean inspect"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), BAD, ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")
def test_bad_input_gives_one_line_and_its_exit_code(ormia, net_file, recording, saved_corpus, hearing, tmp_path, arguments, code, words):
    write_network(tmp_path / "deaf.ormia", replace(hearing(), metadata={}))
    write_network(tmp_path / "other.ormia", hearing(labels=("maybe", "no")))
    sf.write(tmp_path / "short.wav", np.zeros(5, np.int16), 16000)
    sf.write(tmp_path / "long.wav", np.zeros(65 * 320 + 1, np.int16), 16000)
    names = {"net": net_file, "folder": tmp_path, "word": recording, "deaf": tmp_path / "deaf.ormia", "other": tmp_path / "other.ormia", "corpus": saved_corpus}
    got, out, err = ormia("-q", *(argument.format(**names) for argument in arguments))
    assert got == code
    assert out == ""
    assert err.startswith("ormia: ")
    assert err.count("\n") == 1
    assert words in err


def test_a_clip_of_exactly_max_timesteps_is_heard(ormia, net_file, tmp_path):
    sf.write(tmp_path / "long.wav", np.zeros(65 * 320 - 1, np.int16), 16000)
    assert ormia("run", net_file, tmp_path / "long.wav")[0] == 0


RAW = [
    (b"", (), "at least one timestep"),
    (b"", ("--stream",), "before the first one"),
    (bytes(999), (), "odd byte"),
    (bytes(999), ("--stream",), "odd byte"),
    (bytes(65 * 640), (), "--stream"),
]


@pytest.mark.parametrize(("data", "options", "words"), RAW)
def test_bad_raw_samples_give_one_line(ormia, net_file, stdin, data, options, words):
    stdin(data)
    code, out, err = ormia("-q", "run", net_file, "-", *options)
    assert (code, out) == (1, "")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("damage", ["labels", "json", "clips", "format", "missing"])
def test_a_damaged_corpus_gives_one_line(ormia, net_file, saved_corpus, damage):
    if damage == "labels":
        np.save(saved_corpus / "labels.npy", np.full(40, 7))
    elif damage == "json":
        (saved_corpus / "corpus.json").write_text("{")
    elif damage == "clips":
        (saved_corpus / "clips.npy").write_bytes((saved_corpus / "clips.npy").read_bytes()[:-100])
    elif damage == "format":
        index = json.loads((saved_corpus / "corpus.json").read_text())
        (saved_corpus / "corpus.json").write_text(json.dumps(index | {"format": 9}))
    else:
        (saved_corpus / "labels.npy").unlink()
    code, out, err = ormia("-q", "eval", net_file, "--data", saved_corpus)
    assert (code, out) == (1, "")
    assert "make it again" in err
    assert err.count("\n") == 1
