# SPDX-License-Identifier: Apache-2.0
"""train/corpora from folders of recordings: layouts, splits, conversion, and one sentence for whatever is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from ormia.edge.errors import DataError, UsageError
from ormia.train.commands import data as data_command
from ormia.train.corpora import COMMANDS, SILENCE, SPLITS, UNKNOWN, Corpus, RecordingSettings, from_folder, open_corpus, recordings
from ormia.train.corpora.layout import list_recordings, speech_commands_split

RATE = 8000
SPEAKERS = "abcdefg"


def write(path: Path, seconds: float = 0.1, rate: int = RATE) -> None:
    """A recording that no other file equals."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(map(ord, str(path.name) + path.parent.name))
    sf.write(path, np.random.default_rng(seed).integers(-3000, 3000, round(seconds * rate)).astype(np.int16), rate)


def words(folder: Path, names: tuple[str, ...] = ("cat", "dog"), speakers: str = SPEAKERS, suffix: str = "wav") -> Path:
    for name in names:
        for speaker in speakers:
            write(folder / name / f"{speaker}_1.{suffix}")
    return folder


def short(**changes: object) -> RecordingSettings:
    return RecordingSettings(**{"clip_seconds": 0.1, "noise_seconds": 0.3, **changes})


def refusal(folder: Path, keywords: tuple[str, ...] | None = None, **changes: object) -> str:
    with pytest.raises((DataError, UsageError)) as caught:
        from_folder(folder, keywords, short(**changes))
    return str(caught.value)


def speakers_of(corpus: Corpus, split: str) -> set[str]:
    return {s for s, at, word in zip(corpus.speakers, corpus.split, corpus.words, strict=True) if at == split and word != SILENCE}


# layouts


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_folder_of_words_is_split_by_speaker(tmp_path: Path, suffix: str):
    corpus = from_folder(words(tmp_path, suffix=suffix), settings=short())
    assert corpus.classes == ("cat", "dog", SILENCE)
    assert corpus.clips.shape == (14 + 5 + 1 + 1, 1600)
    assert corpus.counts() == {name: {"train": 5, "valid": 1, "test": 1} for name in corpus.classes}
    assert set().union(*(speakers_of(corpus, split) for split in SPLITS)) == set(SPEAKERS)
    assert sum(len(speakers_of(corpus, split)) for split in SPLITS) == len(SPEAKERS)
    assert corpus.clip_ids[0] == "cat/a_1"


def test_the_same_folder_gives_the_same_digest_wherever_it_lies(tmp_path: Path):
    first, second = (from_folder(words(tmp_path / name / "words"), settings=short()) for name in ("one", "two"))
    assert first.digest == second.digest
    assert from_folder(tmp_path / "one" / "words", settings=short(seed=2)).digest != first.digest


def test_speakers_are_dealt_so_that_every_class_is_in_every_split(tmp_path: Path):
    words(tmp_path, ("cat", "dog"), "abcdefghijkl")
    for speaker in "abc":  # only three of twelve say this word
        write(tmp_path / "eel" / f"{speaker}_1.wav")
    counts = from_folder(tmp_path, settings=short()).counts()
    assert counts["eel"] == {"train": 1, "valid": 1, "test": 1}


def test_speech_commands_rule_gives_what_its_lists_say():
    # four lines of validation_list.txt and testing_list.txt of version 0.01
    assert [speech_commands_split(f"{name}_nohash_0.wav") for name in ("026290a7", "060cd039", "0c40e715", "0ea0e2f4")] == ["valid", "valid", "test", "test"]
    assert speech_commands_split("bed/0c40e715_nohash_3.wav") == "test"


def test_files_named_as_in_speech_commands_follow_its_rule(tmp_path: Path):
    names = {"026290a7": "valid", "0c40e715": "test", "0a7c2a8d": "train"}
    for word in ("yes", "no"):
        for speaker in names:
            write(tmp_path / word / f"{speaker}_nohash_0.wav")
    corpus = from_folder(tmp_path, settings=short())
    assert {s: at for s, at in zip(corpus.speakers, corpus.split, strict=True) if s} == names


def test_the_lists_of_speech_commands_come_before_its_rule(tmp_path: Path):
    for word in ("yes", "no"):
        for speaker in ("026290a7", "0c40e715", "0a7c2a8d"):
            write(tmp_path / word / f"{speaker}_nohash_0.wav")
    (tmp_path / "validation_list.txt").write_text("yes/0a7c2a8d_nohash_0.wav\nno/0a7c2a8d_nohash_0.wav\n")
    (tmp_path / "testing_list.txt").write_text("yes/026290a7_nohash_0.wav\nno/026290a7_nohash_0.wav\n")
    write(tmp_path / "_background_noise_" / "tap.wav", 1.0)
    corpus = from_folder(tmp_path, settings=short())
    assert {s: at for s, at in zip(corpus.speakers, corpus.split, strict=True) if s} == {"0a7c2a8d": "valid", "026290a7": "test", "0c40e715": "train"}
    assert [len(corpus.noise[split][0]) for split in SPLITS] == [11_200, 2400, 2400]  # of one second at 16 kHz
    assert corpus.counts()[SILENCE] == {"train": 1, "valid": 1, "test": 1}
    assert corpus.provenance["noise"] == dict.fromkeys(SPLITS, "recorded")


def manifest(folder: Path, header: str, rows: list[str]) -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_manifest_beside_the_folder_is_found_and_followed(tmp_path: Path):
    words(tmp_path / "pets", speakers="abc")
    rows = [f"pets/{w}/{s}_1.wav,{w},person-{s},{at}" for w in ("cat", "dog") for s, at in (("a", "test"), ("b", "train"), ("c", "validation"))]
    manifest(tmp_path, "path,word,speaker,split", [*rows, "elsewhere/x_1.wav,cat,x,train"])
    corpus = from_folder(tmp_path / "pets", settings=short())
    assert [speakers_of(corpus, split) for split in SPLITS] == [{"person-b"}, {"person-c"}, {"person-a"}]


def test_a_manifest_of_paths_and_words_alone_is_split_by_file_name(tmp_path: Path):
    words(tmp_path / "flat", ("x",), "abcdef")
    for speaker in "abcdef":
        write(tmp_path / "flat" / "x" / f"{speaker}_2.wav")
    manifest(tmp_path / "flat", "path,word", [f"x/{s}_{take},{word}".replace(",", ".wav,") for s in "abcdef" for take, word in ((1, "cat"), (2, "dog"))])
    corpus = from_folder(tmp_path / "flat", settings=short())
    assert corpus.classes[:2] == ("cat", "dog")
    assert sum(len(speakers_of(corpus, split)) for split in SPLITS) == 6


def test_validation_speakers_come_from_train_where_a_manifest_names_none(tmp_path: Path):
    words(tmp_path, speakers="abcde")
    manifest(tmp_path, "path,word,speaker,split", [f"{w}/{s}_1.wav,{w},{s},{'test' if s == 'a' else 'train'}" for w in ("cat", "dog") for s in "abcde"])
    corpus = from_folder(tmp_path, settings=short())
    assert speakers_of(corpus, "test") == {"a"}
    assert len(speakers_of(corpus, "valid")) == 1
    assert len(speakers_of(corpus, "train")) == 3


def test_a_manifest_path_cannot_leave_the_folder(tmp_path: Path):
    words(tmp_path / "pets")
    write(tmp_path / "secret" / "a_1.wav")
    manifest(tmp_path / "pets", "path,word", ["../secret/a_1.wav,cat", f"{tmp_path}/secret/a_1.wav,cat", "cat/../../secret/a_1.wav,cat", "cat/a_1.wav,cat"])
    assert [row.path.name for row in list_recordings(tmp_path / "pets")] == ["a_1.wav"]


def test_a_speaker_pattern_reads_names_of_another_form(tmp_path: Path):
    for word in ("cat", "dog"):
        for speaker in SPEAKERS:
            write(tmp_path / word / f"rec-{speaker}{speaker}-001.wav")
    corpus = from_folder(tmp_path, settings=short(speaker_pattern=r"^rec-(\w+)-"))
    assert speakers_of(corpus, "train") < {2 * s for s in SPEAKERS}
    assert "does not tell" in refusal(tmp_path)
    assert "one group" in refusal(tmp_path, speaker_pattern="rec")
    assert "regular expression" in refusal(tmp_path, speaker_pattern="(")


# what becomes of the recordings


def test_keywords_keep_their_order_and_other_words_are_unknown(tmp_path: Path):
    corpus = from_folder(words(tmp_path, ("ant", "bee", "cat", "dog")), ("dog", "ant"), short(unknown_ratio=1.0))
    assert corpus.classes == ("dog", "ant", UNKNOWN, SILENCE)
    assert corpus.counts()[UNKNOWN] == {"train": 5, "valid": 1, "test": 1}
    assert {w for w, label in zip(corpus.words, corpus.labels, strict=True) if label == 2} <= {"bee", "cat"}


def test_the_ten_command_words_are_the_default_where_all_are_there(tmp_path: Path):
    corpus = from_folder(words(tmp_path, (*COMMANDS, "tree"), "abc"), settings=short())
    assert corpus.classes == (*COMMANDS, UNKNOWN, SILENCE)


def test_any_rate_and_channel_count_is_converted_once(tmp_path: Path):
    words(tmp_path, speakers="abcd")
    sf.write(tmp_path / "cat" / "a_1.wav", np.full((4800, 2), [0.25, 0.75]), 48_000, subtype="FLOAT")
    corpus = from_folder(tmp_path, settings=short())
    clip = corpus.clips[corpus.clip_ids.index("cat/a_1")]
    assert abs(int(clip[800]) - 16_384) <= 150  # 0.5, but for the ripple of the filter


def test_silence_that_is_recorded_is_used(tmp_path: Path):
    words(tmp_path)
    for i in range(14):
        write(tmp_path / SILENCE / f"room_{i:02d}.wav")
    corpus = from_folder(tmp_path, settings=short())
    assert corpus.counts()[SILENCE] == {"train": 10, "valid": 2, "test": 2}
    assert np.isposinf(corpus.snr_db).all()


def test_silence_can_be_left_out(tmp_path: Path):
    assert from_folder(words(tmp_path), settings=short(silence=False)).classes == ("cat", "dog")


def test_noise_of_a_manifest_stays_in_its_split(tmp_path: Path):
    for name in ("a", "b", "c"):
        write(tmp_path / "noise" / "rain" / f"{name}.wav", 0.5, 16_000)
    manifest(tmp_path / "noise", "path,word,split", ["rain/a.wav,rain,train", "rain/b.wav,rain,train", "rain/c.wav,rain,test"])
    write(tmp_path / "more" / "d.wav", 1.0, 16_000)
    words(tmp_path / "pets")
    corpus = from_folder(tmp_path / "pets", settings=short(noise=(tmp_path / "noise",)))
    assert corpus.provenance["noise"] == {"train": "recorded", "valid": "generated", "test": "recorded"}
    assert [len(x) for x in corpus.noise["train"]] == [8000, 8000]
    both = from_folder(tmp_path / "pets", settings=short(noise=(tmp_path / "noise", tmp_path / "more")))
    assert [len(x) for x in both.noise["train"]] == [8000, 8000, 11_200]
    assert [len(x) for x in both.noise["valid"]] == [2400]


# what is wrong


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path):
    assert "must be a folder" in refusal(tmp_path / "nowhere")
    (tmp_path / "file.wav").touch()
    assert "must be a folder" in refusal(tmp_path / "file.wav")


def test_an_empty_folder_is_refused(tmp_path: Path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "notes.txt").touch()
    assert "must hold recordings" in refusal(tmp_path)


def test_a_folder_of_one_word_is_refused(tmp_path: Path):
    assert "at least 2 words, one folder each, not 1" in refusal(words(tmp_path, ("cat",)))


def test_too_few_speakers_are_refused(tmp_path: Path):
    assert "at least 3 speakers to split, not 1" in refusal(words(tmp_path / "one", speakers="a"))
    assert "at least 3 speakers to split, not 2" in refusal(words(tmp_path / "two", speakers="ab"))


def test_a_class_without_a_clip_in_some_split_is_refused(tmp_path: Path):
    words(tmp_path, ("cat", "dog"))
    write(tmp_path / "eel" / "a_1.wav")
    sentence = refusal(tmp_path)
    assert "every class must have a clip in every split" in sentence
    assert sentence.count("eel in ") == 2


def test_a_keyword_that_is_no_word_of_the_folder_is_refused_with_near_ones(tmp_path: Path):
    assert "choose among such as cat" in refusal(words(tmp_path), ("cats",))


def test_a_speaker_in_two_splits_of_a_manifest_is_refused(tmp_path: Path):
    words(tmp_path)
    manifest(tmp_path, "path,word,speaker,split", [f"{w}/{s}_1.wav,{w},p,{at}" for w in ("cat", "dog") for s, at in zip("abc", SPLITS, strict=True)])
    assert "no speaker may be in two splits" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("header", "row", "sentence"),
    [
        ("file,word", "cat/a_1.wav,cat", "must have the columns path and word: .* lacks path"),
        ("path,word,split", "cat/a_1.wav,cat,dev2", "a split must be train, valid or test, not 'dev2': line 2"),
        ("path,word,split", "cat/a_1.wav,cat,train\ncat/b_1.wav,cat,", "must have a split, or none"),
        ("path,word", "cat/a_1.wav,", "must name a word"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused(tmp_path: Path, header: str, row: str, sentence: str):
    words(tmp_path)
    manifest(tmp_path, header, [row, "dog/a_1.wav,dog" + ",train" * (header.count(",") - 1)])
    with pytest.raises(DataError, match=sentence):
        from_folder(tmp_path, settings=short())


def test_a_manifest_that_is_no_text_is_refused(tmp_path: Path):
    words(tmp_path)
    (tmp_path / "manifest.csv").write_bytes(b"\xff\xfe\x00\x01" * 10)
    assert "readable UTF-8 CSV" in refusal(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    other = manifest(tmp_path / "elsewhere", "path,word", ["x/y.wav,cat"])
    assert "lists none under" in refusal(tmp_path / "cat", manifest=other)


def spoil(folder: Path) -> list[str]:
    """One file of every kind of damage; returns their names."""
    (folder / "cat" / "a_1.wav").write_bytes(b"")
    (folder / "cat" / "b_1.wav").write_bytes(b"not audio at all" * 9)
    whole = (folder / "dog" / "a_1.wav").read_bytes()
    (folder / "dog" / "a_1.wav").write_bytes(whole[: len(whole) // 2])
    sf.write(folder / "dog" / "b_1.wav", np.array([0.1, np.nan]), RATE, subtype="FLOAT")
    write(folder / "dog" / "c_1.wav", 61.0, 4000)
    return ["a_1.wav", "b_1.wav", "a_1.wav", "b_1.wav", "c_1.wav"]


def test_files_that_cannot_be_used_are_listed_together(tmp_path: Path):
    bad = spoil(words(tmp_path, speakers="abcdefghijkl"))
    sentence = refusal(tmp_path)
    assert sentence.startswith("every file of a corpus must be usable, 5 of 24 in")
    assert "--skip-bad" in sentence
    lines = sentence.splitlines()[1:]
    assert [Path(next(part for part in line.replace(";", " ").split() if ".wav" in part).rstrip(":")).name for line in lines] == bad


def test_files_that_cannot_be_used_are_left_out_on_demand(tmp_path: Path):
    spoil(words(tmp_path, speakers="abcdefghijkl"))
    corpus = from_folder(tmp_path, settings=short(skip_bad=True))
    assert sum(sum(row.values()) for name, row in corpus.counts().items() if name != SILENCE) == 19
    assert corpus.provenance["skipped_files"] == 5
    assert "cat/a_1" not in corpus.clip_ids


def test_a_long_list_of_bad_files_is_cut(tmp_path: Path):
    for path in words(tmp_path, speakers="abcdefghijkl").glob("*/*.wav"):
        path.write_bytes(b"")
    sentence = refusal(tmp_path)
    assert sentence.count("must not be empty") == 10
    assert sentence.endswith("and 14 more")


def test_a_file_a_manifest_names_but_nobody_has_is_listed(tmp_path: Path):
    words(tmp_path)
    manifest(tmp_path, "path,word", [f"{w}/{s}_1.wav,{w}" for w in ("cat", "dog") for s in SPEAKERS] + ["cat/a_2.wav,cat"])
    assert "a_2.wav is not (No such file or directory)" in refusal(tmp_path)


def test_noise_that_is_no_audio_is_listed_too(tmp_path: Path):
    words(tmp_path / "pets")
    (tmp_path / "noise").mkdir()
    assert "--noise must hold audio files" in refusal(tmp_path / "pets", noise=(tmp_path / "noise",))
    (tmp_path / "noise" / "a.wav").touch()
    assert "must not be empty" in refusal(tmp_path / "pets", noise=(tmp_path / "noise",))
    assert "--noise must be a folder" in refusal(tmp_path / "pets", noise=(tmp_path / "nowhere",))


@pytest.mark.parametrize("settings", [{"clip_seconds": 0.0}, {"clip_seconds": 1e9}, {"unknown_ratio": -1.0}, {"noise_seconds": 0.0}])
def test_settings_that_make_no_corpus_are_refused(settings: dict):
    with pytest.raises(UsageError):
        RecordingSettings(**settings)


# kept on disk, and the command


def test_a_corpus_is_made_once_for_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    words(tmp_path / "pets")
    first, folder = open_corpus(tmp_path / "store", None, tmp_path / "pets", recordings=short())
    made = recordings.read_audio
    monkeypatch.setattr(recordings, "read_audio", lambda *_args, **_options: pytest.fail("the files were read again"))
    again, same = open_corpus(tmp_path / "store", None, tmp_path / "pets", recordings=short())
    assert (again.digest, same) == (first.digest, folder)
    monkeypatch.setattr(recordings, "read_audio", made)
    write(tmp_path / "pets" / "cat" / "a_1.wav", 0.2)
    changed, other = open_corpus(tmp_path / "store", None, tmp_path / "pets", recordings=short())
    assert changed.digest != first.digest
    assert other != folder


def test_a_damaged_store_is_refused_not_overwritten(tmp_path: Path):
    words(tmp_path / "pets")
    _, folder = open_corpus(tmp_path / "store", None, tmp_path / "pets", recordings=short())
    (folder / "clips.npy").write_bytes(b"")
    with pytest.raises(DataError, match="delete it and run `ormia data` again"):
        open_corpus(tmp_path / "store", None, tmp_path / "pets", recordings=short())
    assert (folder / "clips.npy").read_bytes() == b""


def test_nothing_is_kept_of_a_refused_folder(tmp_path: Path):
    spoil(words(tmp_path / "pets"))
    with pytest.raises(DataError):
        open_corpus(tmp_path / "store", None, tmp_path / "pets", recordings=short())
    assert not (tmp_path / "store").exists()


def test_the_command_prints_a_table_and_the_same_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words(tmp_path / "pets")
    result = data_command(data=tmp_path / "pets", output=tmp_path / "store", clip_seconds=0.1)
    printed = capsys.readouterr().out
    assert result["digest"] in printed
    assert all(name in printed for name in ("cat", "dog", SILENCE, "train", "valid", "test", "speakers"))
    assert data_command(data=tmp_path / "pets", output=tmp_path / "store", clip_seconds=0.1, as_json=True) == result
    assert json.loads(capsys.readouterr().out) == result
    assert result["clips"]["cat"] == {"train": 5, "valid": 1, "test": 1}
    assert result["speakers"] == {"train": 5, "valid": 1, "test": 1}


def test_the_command_refuses_options_of_recordings_without_recordings(tmp_path: Path):
    with pytest.raises(UsageError, match="--noise must come with --data"):
        data_command(noise=[tmp_path])


# real recordings, where there are any

REAL = Path(os.environ.get("ORMIA_TEST_RECORDINGS", Path(__file__).parents[3] / "shared" / "data"))


@pytest.mark.parametrize(
    ("name", "n_classes", "clips", "speakers"),
    [("gsc", 12, (2079, 505, 610), (124, 30, 36)), ("arabic", 21, (756, 126, 126), (18, 3, 3)), ("wakeword", 3, (437, 133, 138), (6, 2, 3))],
)
def test_real_recordings_follow_their_manifest(name: str, n_classes: int, clips: tuple[int, ...], speakers: tuple[int, ...]):
    if not (REAL / name).is_dir():
        pytest.skip(f"no recordings in {REAL / name}; set ORMIA_TEST_RECORDINGS")
    corpus = from_folder(REAL / name)
    assert len(corpus.classes) == n_classes
    assert tuple(len(corpus.indices(split)) for split in SPLITS) == clips
    assert tuple(corpus.speaker_counts().values()) == speakers
    assert corpus.n_samples == 16_000
