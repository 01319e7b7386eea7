# SPDX-License-Identifier: Apache-2.0
"""train/corpora: synthesized speech. The same inputs give the same bytes; no voice is in two splits; no counter-example is a homophone."""

from __future__ import annotations

import importlib.util
import subprocess
import time

import numpy as np
import pytest
from ormia.edge.errors import DataError, MissingTool, UsageError
from ormia.train.audio import speech_power
from ormia.train.corpora import SILENCE, SPLITS, UNKNOWN, Corpus, SynthesisSettings, espeak, synthesize
from ormia.train.corpora.espeak import ACCENTS, Utterance, pronounce, speak, variants, voice_family
from ormia.train.corpora.mixing import clip_length, cut_noise, mix_clips, noise_only, trim
from ormia.train.corpora.noise import NOISE_KINDS, colored, generate_noise
from ormia.train.corpora.room import add_rooms, draw_rooms
from ormia.train.corpora.script import split_voices, unknown_texts
from ormia.train.corpora.words import COMMANDS, UNKNOWN_WORDS, edit_distance, near_misses, parse_keywords, replace_one_word

needs_espeak = pytest.mark.skipif(importlib.util.find_spec("espeakng_loader") is None, reason="espeak-ng is not installed: pip install 'ormia[train]'")
SMALL = SynthesisSettings(train_clips=6, valid_clips=2, test_clips=3, n_noise=2, n_rooms=8, n_near=2)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return synthesize(("yes", "no", "lights on"), SMALL)


# words


def test_keywords_are_separated_by_commas_and_may_be_phrases():
    assert parse_keywords(" yes,no , lights   on,don\u2019t,mother-in-law,7") == ("yes", "no", "lights on", "don't", "mother-in-law", "7")


@pytest.mark.parametrize("text", ["", "yes,,no", "yes,_silence_", "yes,no!", "a/b", "yes,-"])
def test_what_is_no_keyword_is_refused(text: str):
    with pytest.raises(UsageError, match="a keyword must be made of"):
        parse_keywords(text)


def test_a_keyword_given_twice_is_refused():
    with pytest.raises(UsageError, match="each keyword must be given once"):
        parse_keywords("yes,no,Yes")


@pytest.mark.parametrize(("a", "b", "distance"), [("", "", 0), ("", "abc", 3), ("abc", "abc", 0), ("abc", "axc", 1), ("abc", "bc", 1), ("abc", "cab", 2)])
def test_edit_distance_counts_insertions_deletions_and_replacements(a: str, b: str, distance: int):
    assert edit_distance(tuple(a), tuple(b)) == edit_distance(tuple(b), tuple(a)) == distance


def test_near_misses_come_nearest_first():
    phonemes = {"key": [tuple("ki")], "kit": [tuple("kit")], "sea": [tuple("si")], "ox": [tuple("oks")]}
    assert near_misses("key", ["ox", "sea", "kit"], phonemes, 2) == ["kit", "sea"]


def test_a_phrase_is_nearly_missed_by_its_words_and_by_one_word_changed():
    assert replace_one_word("go go", {"go": ["goat"]}) == ["go", "goat go", "go goat"]


@needs_espeak
@pytest.mark.parametrize("keywords", [COMMANDS, ("right on", "know"), ("write",), ("two", "four", "eight", "one")])
def test_no_counter_example_sounds_like_a_keyword_in_any_accent(keywords: tuple[str, ...]):
    general, near = unknown_texts(keywords, 4)
    said = pronounce([*general, *near, *keywords])
    keyword_sounds = {sound for keyword in keywords for sound in said[keyword]}
    assert len(near) >= 4
    assert len(general) >= 50
    assert not [text for text in (*general, *near) if set(said[text]) & keyword_sounds]
    assert not set(keywords) & {*general, *near}
    assert not set(general) & set(near)


@needs_espeak
def test_near_misses_are_near():
    _, near = unknown_texts(("yes", "right"), 4)
    assert {"guess", "light"} <= set(near)
    assert "write" not in near
    said = pronounce([*near, "yes", "right"])
    assert all(min(edit_distance(said[text][0], said[word][0]) for word in ("yes", "right")) <= 2 for text in near)


@needs_espeak
def test_two_keywords_that_sound_the_same_are_refused():
    with pytest.raises(UsageError, match="no two keywords may sound the same, as 'no' and 'know' do"):
        synthesize(("no", "know"), SMALL)


@needs_espeak
def test_a_keyword_without_a_sound_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ormia.train.corpora.script.pronounce", lambda texts: dict.fromkeys(texts, ((),)))
    with pytest.raises(UsageError, match="must be able to pronounce"):
        synthesize(("yes",), SMALL)


def test_the_built_in_words_are_plain_and_unique():
    assert len(set(UNKNOWN_WORDS)) == len(UNKNOWN_WORDS) >= 60
    assert all(word.isalpha() and word.islower() for word in UNKNOWN_WORDS)


# the engine


@needs_espeak
def test_one_sequence_of_utterances_gives_the_same_bytes_whatever_was_said_before():
    said = [Utterance(word, f"{accent}+{variant}") for word in ("yes", "no") for accent in ACCENTS for variant in ("f3", "whisper", "Demonic")]
    first, version = speak(said)
    speak([Utterance("something else", "en-us+m1")])
    time.sleep(1.1)  # the engine's own seed is the time in seconds
    again, _ = speak(said)
    assert version == "1.52.0"
    assert len(first) == len(said)
    assert all(len(a) > 2000 and np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@needs_espeak
def test_every_variant_speaks_with_every_accent():
    said, _ = speak([Utterance("yes", f"{ACCENTS[i % len(ACCENTS)]}+{name}") for i, name in enumerate(variants())])
    assert len(said) >= 75
    assert min(map(len, said)) > 2000
    assert len({samples.tobytes() for samples in said}) == len(said)


@needs_espeak
def test_a_voice_that_does_not_exist_is_refused():
    with pytest.raises(MissingTool, match="must have the voice xx-nowhere"):
        pronounce(["yes"], ["en-us", "xx-nowhere"])


def test_without_espeak_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(espeak, "find_spec", lambda name: None)
    with pytest.raises(MissingTool, match=r"pip install 'ormia\[train\]'.*--data DIR"):
        synthesize(("yes",), SMALL)


@needs_espeak
def test_a_crash_of_the_engine_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_options: subprocess.CompletedProcess([], -11, "", ""))
    with pytest.raises(MissingTool, match=r"espeak-ng must work: it does not \(exit status -11\)"):
        speak([Utterance("yes", "en-us")])


@needs_espeak
def test_an_engine_that_hangs_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    def hang(*_args: object, **_options: object) -> None:
        raise subprocess.TimeoutExpired("espeak", 600)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(DataError, match="must finish within 600 s"):
        speak([Utterance("yes", "en-us")])


# the corpus


@needs_espeak
def test_the_corpus_has_what_was_asked_for(corpus: Corpus):
    assert corpus.classes == ("yes", "no", "lights on", UNKNOWN, SILENCE)
    assert corpus.counts()["yes"] == corpus.counts()[SILENCE] == {"train": 6, "valid": 2, "test": 3}
    assert corpus.counts()[UNKNOWN] == {"train": 12, "valid": 2, "test": 3}
    assert corpus.clips.dtype == np.int16
    assert corpus.n_samples % 320 == 0
    assert len(set(corpus.clip_ids)) == len(corpus.clip_ids)
    assert all(len(corpus.noise[split]) == 2 * len(NOISE_KINDS) for split in SPLITS)
    assert np.abs(corpus.clips).max(axis=1).min() > 0
    keyword = np.array([corpus.classes[label] in ("yes", "no", "lights on") for label in corpus.labels])
    assert speech_power(corpus.clips[keyword]).min() > (32768 * 10 ** (-45 / 20)) ** 2


@needs_espeak
def test_no_voice_nor_its_family_is_in_two_splits(corpus: Corpus):
    families: dict[str, set[str]] = {split: set() for split in SPLITS}
    for speaker, split in zip(corpus.speakers, corpus.split, strict=True):
        if speaker:
            families[split].add(voice_family(speaker.split("+")[1]))
    assert all(families.values())
    assert not (families["train"] & families["valid"])
    assert not (families["train"] & families["test"])
    assert not (families["valid"] & families["test"])


@needs_espeak
def test_all_variants_are_dealt_out_by_family():
    voices = split_voices(np.random.default_rng(3))
    assert sorted(name for split in SPLITS for name in voices[split]) == sorted(variants())
    assert len(voices["train"]) >= 50
    assert min(len(voices["valid"]), len(voices["test"])) >= 10
    assert "robosoft" in next(v for v in voices.values() if "robosoft8" in v)


@needs_espeak
def test_two_runs_give_the_same_digest_and_another_seed_does_not(corpus: Corpus):
    assert synthesize(("yes", "no", "lights on"), SMALL).digest == corpus.digest
    other = synthesize(("yes", "no", "lights on"), SynthesisSettings(**{**SMALL.__dict__, "seed": 2}))
    assert other.digest != corpus.digest
    assert {s for s in other.speakers if s} != {s for s in corpus.speakers if s}


@needs_espeak
def test_every_clip_tells_its_ratio(corpus: Corpus):
    is_silent = corpus.labels == len(corpus.classes) - 1
    is_train = np.array(corpus.split) == "train"
    assert np.isneginf(corpus.snr_db[is_silent]).all()
    assert np.isposinf(corpus.snr_db[is_train & ~is_silent]).all()
    assert set(corpus.snr_db[~is_train & ~is_silent].tolist()) <= set(SMALL.snr_db)


@needs_espeak
def test_phrases_lengthen_the_clips_and_a_given_length_is_kept():
    one = SynthesisSettings(train_clips=2, valid_clips=1, test_clips=1, n_noise=2, n_near=0)
    assert synthesize(("yes",), one).n_samples == 16_000
    long = synthesize(("turn on all the lights in the kitchen now",), one)
    assert 32_000 < long.n_samples < 80_000
    assert long.n_samples % 320 == 0
    assert synthesize(("yes",), SynthesisSettings(**{**one.__dict__, "seconds": 0.5})).n_samples == 8000


@pytest.mark.parametrize("settings", [{"train_clips": 0}, {"seconds": 0.0}, {"seconds": 3600.0}])
def test_settings_that_make_no_corpus_are_refused(settings: dict):
    with pytest.raises(UsageError):
        SynthesisSettings(**settings)


# sound


def test_colored_noise_falls_as_its_name_says():
    for slope in (0.0, 1.0, 2.0):
        power = np.abs(np.fft.rfft(colored(np.random.default_rng(0), 160_000, slope))) ** 2
        low, high = power[2000:4000].mean(), power[20_000:40_000].mean()  # 200..400 Hz and 2..4 kHz
        assert 10 * np.log10(low / high) == pytest.approx(10 * slope, abs=0.7)


def test_generated_noise_is_level_and_needs_talk_to_babble():
    talk = [np.random.default_rng(1).standard_normal(9000)]
    kinds = generate_noise(np.random.default_rng(0), 3, 2.0, talk)
    assert len(kinds) == 3 * len(NOISE_KINDS)
    assert len({recording.tobytes() for recording in kinds}) == len(kinds)
    assert len(generate_noise(np.random.default_rng(0), 1, 2.0)) == len(NOISE_KINDS) - 1
    for recording in kinds:
        assert recording.dtype == np.int16
        assert len(recording) == 32_000
        assert np.sqrt(np.mean(recording.astype(np.float64) ** 2)) < 1700
        assert 500 < np.abs(recording.astype(np.int64)).max() < 32_767


def test_a_room_keeps_the_direct_path_and_rings_after_it():
    rooms = draw_rooms(np.random.default_rng(0), 8)
    assert (rooms[:, 0] == 1).all()
    assert not rooms[:2, 1:].any()
    assert rooms[2:, 1:].any(axis=1).all()
    clips = np.zeros((3, 16_000))
    clips[:, 100] = 1.0
    wet = add_rooms(clips, rooms, np.array([0, 5, 7]))
    assert np.allclose(wet[0], clips[0], atol=1e-12)
    assert np.allclose(wet[1, 100:6500], rooms[5], atol=1e-12)
    assert np.allclose(wet[2, :100], 0, atol=1e-12)


def test_clips_are_mixed_at_the_ratio_they_tell():
    rng = np.random.default_rng(0)
    speech = [rng.standard_normal(int(n)) * 1000 for n in rng.integers(3000, 20_000, 40)]
    rooms = draw_rooms(np.random.default_rng(1), 4)
    noise = generate_noise(np.random.default_rng(2), 2, 3.0)
    mixed, snr_db = mix_clips(np.random.default_rng(3), speech, 16_000, rooms, (-38, -20), noise, (5.0, 20.0), lambda done, total: None)
    clean, none = mix_clips(np.random.default_rng(3), speech, 16_000, rooms, (-38, -20), noise, (), lambda done, total: None)
    again, _ = mix_clips(np.random.default_rng(3), speech, 16_000, rooms, (-38, -20), noise, (5.0, 20.0), lambda done, total: None)
    assert np.array_equal(mixed, again)
    assert np.isposinf(none).all()
    assert set(snr_db.tolist()) == {5.0, 20.0}
    level = 10 * np.log10(speech_power(clean) / 32768.0**2)
    assert level.min() > -38.1
    assert level.max() < -19.9


def test_noise_lies_at_its_ratio_below_the_speech():
    speech = [np.random.default_rng(0).standard_normal(8000) * 1000]
    dry = np.zeros((1, 10))
    dry[0, 0] = 1.0
    noise = [np.random.default_rng(1).integers(-2000, 2000, 16_000).astype(np.int16)]
    clean = mix_clips(np.random.default_rng(3), speech, 16_000, dry, (-26, -26), noise, (np.inf,), lambda done, total: None)[0].astype(np.float64)
    for snr_db in (0.0, 10.0, 20.0):
        mixed = mix_clips(np.random.default_rng(3), speech, 16_000, dry, (-26, -26), noise, (snr_db,), lambda done, total: None)[0]
        added = mixed - clean
        assert 10 * np.log10(speech_power(clean)[0] / np.mean(added * added)) == pytest.approx(snr_db, abs=0.05)


def test_trimming_removes_silence_alone():
    samples = np.concatenate([np.zeros(3200), np.full(640, 100.0), np.full(320, 1.0), np.zeros(999)])
    assert trim(samples).tolist() == [100.0] * 640 + [1.0] * 320
    assert len(trim(np.zeros(500))) == 0
    assert len(trim(np.zeros(0))) == 0


def test_clips_hold_nearly_all_utterances_and_whole_frames():
    assert clip_length([np.zeros(8000)] * 10, 16_000) == 16_000
    assert clip_length([np.zeros(20_000)] * 10, 16_000) == 21_760


def test_noise_shorter_than_a_clip_repeats():
    assert cut_noise(np.random.default_rng(0), [np.array([1, 2], np.int16)], 6).tolist() in ([1, 2, 1, 2, 1, 2], [2, 1, 2, 1, 2, 1])


def test_clips_without_speech_are_soft_noise():
    clips = noise_only(np.random.default_rng(0), [np.zeros(10, np.int16), np.arange(-500, 500, dtype=np.int16)], 30, 1600)
    rms = np.sqrt(np.mean(clips.astype(np.float64) ** 2, axis=1))
    assert rms.max() < 32768 * 10 ** (-25.9 / 20)
    assert rms.min() == 0.0
    assert np.median(rms) > 10
