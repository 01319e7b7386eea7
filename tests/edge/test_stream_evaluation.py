# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf
from ormia.edge.clips import read_clips
from ormia.edge.detector import Detection, DetectorConfig
from ormia.edge.errors import DataError, UsageError
from ormia.edge.netfile import write_network
from ormia.edge.recordings import Mix, Recording, Spoken, read_spoken
from ormia.edge.stream_evaluation import Heard, evaluate_streams, hear, margin_for, match, poisson_interval, wilson_interval

LABELS, HOP = ("yes", "no", "_silence_"), 0.02
EAGER = DetectorConfig(smoothing=3000, margin=0, consecutive=1, refractory=10, warm_up=2, background=(2,))


def at(*found: tuple[float, int]) -> list[Detection]:
    return [Detection(round(time / HOP) - 1, label, 0, 0) for time, label in found]


def matched(spoken: list[Spoken], *found: tuple[float, int]) -> tuple[int, int, int]:
    result = match(LABELS, (2,), Heard(np.zeros((0, 3), np.int32), spoken, HOP), at(*found))
    return result.found, result.missed, result.false_accepts


def test_a_word_is_found_once_from_its_onset_to_half_a_second_after_its_end():
    word = [Spoken(2.0, 3.0, "yes")]
    for time, outcome in [(1.98, (0, 1, 1)), (2.0, (1, 0, 0)), (3.5, (1, 0, 0)), (3.52, (0, 1, 1))]:
        assert matched(word, (time, 0)) == outcome, time
    assert matched(word, (2.5, 0), (2.8, 0)) == (1, 0, 1)
    assert matched(word, (2.5, 1)) == (0, 1, 1)
    assert matched(word, (2.5, 1), (2.8, 0)) == (1, 0, 1)


def test_other_speech_is_no_word_to_find_and_overlapping_words_are_each_found():
    assert matched([Spoken(2.0, 3.0, "_speech_"), Spoken(4.0, 5.0, "_silence_")], (2.5, 0), (4.5, 1)) == (0, 0, 2)
    two = [Spoken(1.0, 9.0, "yes"), Spoken(2.0, 3.0, "no"), Spoken(2.1, 3.1, "yes")]
    assert matched(two, (2.5, 0), (2.6, 1), (2.7, 0)) == (3, 0, 0)
    assert matched([Spoken(1.0, 9.0, "yes"), Spoken(2.0, 3.0, "no")], (8.0, 0)) == (1, 1, 0)


def test_delays_are_from_onset_and_from_end():
    result = match(LABELS, (2,), Heard(np.zeros((0, 3), np.int32), [Spoken(2.0, 3.0, "yes")], HOP), at((2.5, 0)))
    assert result.after_onset_s == pytest.approx([0.5])
    assert result.after_offset_s == pytest.approx([-0.5])


def test_intervals_are_those_of_the_tables():
    assert poisson_interval(0) == pytest.approx((0, 3.6889), abs=1e-4)
    assert poisson_interval(1) == pytest.approx((0.0253, 5.5716), abs=1e-4)
    assert poisson_interval(10) == pytest.approx((4.7954, 18.3904), abs=1e-4)
    assert poisson_interval(1000) == pytest.approx((938.973, 1063.957), abs=0.01)
    assert wilson_interval(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert wilson_interval(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.fixture
def eager(hearing):
    net = hearing()
    return replace(net, metadata=net.metadata | {"detector": EAGER.as_dict()})


@pytest.fixture
def recording(tmp_path):
    """Ten seconds of bursts, and a list of what is spoken in them."""
    rng = np.random.default_rng(2)
    pcm = (rng.standard_normal((20, 8000)) * rng.choice([30, 3000, 12000], (20, 1))).astype(np.int16).ravel()
    sf.write(tmp_path / "day.flac", pcm, 16000)
    (tmp_path / "day.csv").write_text("onset_s,offset_s,label,word\n5.0,6.0,no,no\n1.0,2.0,yes,yes\n7.0,8.0,_speech_,order\n")
    return tmp_path / "day.flac"


def test_a_curve_falls_with_the_margin_and_marks_the_margin_of_the_file(eager, recording):
    given = Recording(recording, recording.with_suffix(".csv"))
    heard = hear(eager, given)
    assert heard.hours == pytest.approx(10 / 3600)
    shipped = replace(eager, metadata=eager.metadata | {"detector": replace(EAGER, margin=700).as_dict()})
    result = evaluate_streams(shipped, [heard, heard], [given.source()] * 2)
    assert result["keywords"] == 4
    assert [point["margin"] for point in result["curve"] if point["shipped"]] == [700]
    accepts = [point["false_accepts_per_hour"]["value"] for point in result["curve"]]
    assert accepts[0] > accepts[-1] == 0
    assert result["curve"][-1]["false_reject_rate"]["value"] == 1.0
    point = result["operating_point"]
    assert point["false_accepts_per_hour"]["low"] <= point["false_accepts_per_hour"]["value"] <= point["false_accepts_per_hour"]["high"]
    assert point["found"] + point["false_rejects"] == 4
    assert margin_for(eager, [heard], 1e9) == 0
    assert evaluate_streams(eager, [heard], [{}], margin=margin_for(eager, [heard], 0.0))["tuned_point"]["false_accepts"] == 0


def test_a_mix_is_a_function_of_clips_hours_and_seed_and_says_what_is_spoken(saved_corpus):
    clips = read_clips(saved_corpus, "test")
    mixes = [Mix(clips, 0.01, seed, keyword_share=1.0) for seed in (1, 1, 2)]
    pcm = [np.concatenate(list(mix.blocks(16000))) for mix in mixes]
    assert np.array_equal(pcm[0], pcm[1])
    assert mixes[0].spoken == mixes[1].spoken
    assert not np.array_equal(pcm[0][:16000], pcm[2][:16000])
    assert len(pcm[0]) >= 36 * 16000
    assert {each.label for each in mixes[0].spoken} == {"no", "yes"}
    first = mixes[0].spoken[0]
    assert first.offset_s - first.onset_s == pytest.approx(1.0)
    begin = round(first.onset_s * 16000)
    power = [float((pcm[0][a : a + 16000].astype(float) ** 2).mean()) for a in (begin,)]
    assert any(abs(float((clip.astype(float) ** 2).mean()) / power[0] - 1) < 0.5 for clip in clips.pcm)


def test_a_mix_is_refused_without_noise_or_at_another_rate(saved_corpus):
    clips = read_clips(saved_corpus, "test")
    with pytest.raises(DataError, match="_silence_ in split test: it has 20 and 0"):
        Mix(replace(clips, labels=np.ones_like(clips.labels)), 0.1)
    with pytest.raises(DataError, match="8000 Hz, not 16000 Hz"):
        next(Mix(clips, 0.1).blocks(8000))
    with pytest.raises(UsageError, match="not 0"):
        Mix(clips, 0.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("onset,offset_s,label\n", "lacks onset_s"),
        ("", "lacks onset_s, offset_s, label"),
        ("onset_s,offset_s,label\n1,2,yes\n1,x,yes\n", r"not '1' and 'x': .*line 3"),
        ("onset_s,offset_s,label\n3,2,yes\n", "not 3 and 2"),
        ("onset_s,offset_s,label\n-1,2,yes\n", "not -1 and 2"),
        ("onset_s,offset_s,label\nnan,2,yes\n", "not nan and 2"),
        ("onset_s,offset_s,label\n1,2,\n", "has none"),
        ("onset_s,offset_s,label\n1\n", "must be seconds"),
        (None, "No such file"),
        (b"\xff\xfe\x00onset", "CSV file in UTF-8"),
    ],
)
def test_a_list_that_does_not_say_what_is_spoken_is_refused_in_one_sentence(tmp_path, text, words):
    path = tmp_path / "day.csv"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=words) as refused:
        read_spoken(path)
    assert "\n" not in str(refused.value)


def test_a_list_of_another_recording_or_of_other_words_is_refused(eager, recording):
    table = recording.with_suffix(".csv")
    table.write_text(table.read_text() + "10.0,10.5,yes,yes\n")
    with pytest.raises(DataError, match=r"goes on to 10\.50 s .* ends at 10\.00 s"):
        hear(eager, Recording(recording, table))
    table.write_text("onset_s,offset_s,label\n1,2,maybe\n")
    with pytest.raises(DataError, match="has maybe; rename it"):
        hear(eager, Recording(recording, table))


def test_eval_stream_writes_the_figures_and_tunes_on_valid_alone(ormia, eager, recording, saved_corpus, tmp_path):
    write_network(tmp_path / "net.ormia", eager)
    code, out, _ = ormia("-q", "eval", tmp_path / "net.ormia", "--stream", "--audio", recording, "--json", "--output", tmp_path / "stream.json")
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "stream.json").read_text())
    mixed = ("-q", "eval", tmp_path / "net.ormia", "--stream", "--data", saved_corpus, "--hours", "0.01")
    code, out, _ = ormia(*mixed, "--tune", "0", "--json")
    result = json.loads(out)
    assert code == 0
    assert result["tuned_point"]["tuned_on"]["split"] == "valid"
    assert result["sources"][0]["split"] == "test"
    code, out, _ = ormia(*mixed)
    assert code == 0
    assert "false accepts/h" in out
    for arguments, words in [
        (("--stream",), "--audio FILE"), (("--data", saved_corpus, "--tune", "1"), "add --stream"),
        (("--stream", "--data", saved_corpus, "--split", "valid", "--tune", "1"), "split valid it tunes on"),
    ]:  # fmt: skip
        code, _, err = ormia("-q", "eval", tmp_path / "net.ormia", *arguments)
        assert code == 2
        assert words in " ".join(err.split())
