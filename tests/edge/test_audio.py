# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys

import numpy as np
import pytest
import soundfile as sf
from ormia.edge import audio
from ormia.edge.audio import audio_blocks, read_audio, resample, to_int16
from ormia.edge.errors import DataError, MissingTool


def tone(rate: int, seconds: float, channels: int = 1) -> np.ndarray:
    t = np.arange(int(rate * seconds)) / rate
    wave = 0.3 * np.sin(2 * np.pi * 440 * t) + 0.05 * np.random.default_rng(1).standard_normal(len(t))
    return wave if channels == 1 else np.stack([wave * (i + 1) / channels for i in range(channels)], axis=1)


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_a_16_bit_mono_file_at_the_right_rate_comes_back_bit_for_bit(tmp_path, kind):
    pcm = to_int16(tone(16000, 1.3) * 32768)
    sf.write(tmp_path / f"a.{kind.lower()}", pcm, 16000, subtype="PCM_16")
    got = read_audio(tmp_path / f"a.{kind.lower()}", 16000, max_seconds=2)
    assert got.dtype == np.int16
    assert np.array_equal(got, pcm)


FORMATS = [(44100, 2, "PCM_24"), (48000, 1, "FLOAT"), (8000, 3, "PCM_U8"), (22050, 1, "PCM_16"), (16000, 2, "PCM_16"), (11025, 1, "ULAW")]


@pytest.mark.parametrize(("rate", "channels", "subtype"), FORMATS)
@pytest.mark.parametrize("seconds", [0.01, 1.0, 3.3])
def test_any_rate_width_and_channel_count_is_converted_as_if_whole_in_blocks_of_any_size(tmp_path, monkeypatch, rate, channels, subtype, seconds):
    path = tmp_path / "a.wav"
    sf.write(path, tone(rate, seconds, channels), rate, subtype=subtype)
    samples = sf.read(path, dtype="float64", always_2d=True)[0].mean(axis=1)
    expected = to_int16(resample(samples, rate, 16000) * 32768)
    for block in (3, 370, 10_000):
        monkeypatch.setattr(audio, "BLOCK_MS", block)
        blocks = list(audio_blocks(path, 16000))
        assert np.array_equal(np.concatenate(blocks), expected)
        assert block == 10_000 or seconds < 1 or len(blocks) > 2
    assert len(expected) == -(-len(samples) * 16000 // rate)


def test_an_hour_is_read_in_blocks(tmp_path):
    with sf.SoundFile(tmp_path / "long.wav", "w", 8000, 1, "PCM_U8") as file:
        for _ in range(60):
            file.write(np.zeros(60 * 8000))
    assert sum(map(len, audio_blocks(tmp_path / "long.wav", 8000))) == 3600 * 8000
    with pytest.raises(DataError, match=r"at most 1\.05 s, not 3600\.0 s.*--stream"):
        read_audio(tmp_path / "long.wav", 8000, max_seconds=1.05)


def bad_files(folder):
    pcm = np.arange(-2000, 2000, dtype=np.int16)
    sf.write(folder / "good.wav", pcm, 16000)
    good = (folder / "good.wav").read_bytes()
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("hello" * 50)
    (folder / "cut.wav").write_bytes(good[:1000])
    (folder / "header.wav").write_bytes(good[:20])
    (folder / "rate0.wav").write_bytes(good[:24] + bytes(4) + good[28:])
    sf.write(folder / "slow.wav", pcm, 1000)
    sf.write(folder / "none.wav", pcm[:0], 16000)
    sf.write(folder / "nan.wav", np.array([0.0, np.nan, 0.5]), 16000, subtype="FLOAT")
    sf.write(folder / "cut.flac", pcm, 16000)
    (folder / "cut.flac").write_bytes((folder / "cut.flac").read_bytes()[:-400])
    (folder / "folder.wav").mkdir()


@pytest.mark.parametrize(
    ("name", "words"),
    [("empty.wav", "0 bytes"), ("text.wav", "WAV, FLAC"), ("cut.wav", "declares 8000 bytes"), ("header.wav", "WAV, FLAC"), ("rate0.wav", "."),
     ("slow.wav", "at least 4000 Hz"), ("none.wav", "holds none"), ("nan.wav", "NaN"), ("cut.flac", "whole"), ("folder.wav", "must be a file"),
     ("missing.wav", "No such file"), ("nul\0l.wav", "readable")],
)  # fmt: skip
def test_files_that_cannot_be_trusted_get_one_sentence_with_their_name(tmp_path, name, words):
    bad_files(tmp_path)
    with pytest.raises(DataError) as caught:
        read_audio(tmp_path / name, 16000, max_seconds=5)
    assert words in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_scipy_other_rates_say_how_to_get_it(tmp_path, monkeypatch):
    sf.write(tmp_path / "a.wav", tone(8000, 0.2), 8000)
    monkeypatch.setitem(sys.modules, "scipy.signal", None)
    with pytest.raises(MissingTool, match="pip install scipy"):
        read_audio(tmp_path / "a.wav", 16000, max_seconds=5)
    sf.write(tmp_path / "b.wav", tone(16000, 0.2, 2), 16000)
    assert len(read_audio(tmp_path / "b.wav", 16000, max_seconds=5)) == 3200
