# SPDX-License-Identifier: Apache-2.0
"""train/audio.py: whole files come out right, damaged ones get one sentence."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from ormia.edge.errors import DataError
from ormia.train.audio import fit_length, frame_powers, read_audio, resample, speech_power, to_int16


def noise(n: int = 16_000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-9000, 9000, n).astype(np.int16)


def refusal(path: Path, **options: float) -> str:
    with pytest.raises(DataError) as caught:
        read_audio(path, **options)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_sixteen_bit_mono_at_sixteen_khz_comes_back_bit_for_bit(tmp_path: Path, suffix: str):
    samples = noise()
    samples[:2] = -32768, 32767
    sf.write(tmp_path / f"a.{suffix}", samples, 16_000)
    assert np.array_equal(read_audio(tmp_path / f"a.{suffix}"), samples)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_other_rates_keep_length_pitch_and_level(tmp_path: Path, rate: int):
    sf.write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate) / rate), rate, subtype="PCM_24")
    read = read_audio(tmp_path / "a.wav")
    assert len(read) == 16_000
    spectrum = np.abs(np.fft.rfft(read.astype(np.float64)))
    assert spectrum.argmax() == 1000
    assert np.sqrt(np.mean(read.astype(np.float64) ** 2)) == pytest.approx(0.5 * 32768 / np.sqrt(2), rel=0.01)


def test_channels_are_averaged(tmp_path: Path):
    sf.write(tmp_path / "a.wav", np.stack([np.full(500, 300, np.int16), np.full(500, 101, np.int16)], axis=1), 16_000)
    assert set(read_audio(tmp_path / "a.wav").tolist()) == {200}  # 200.5, ties to even


def test_float_samples_beyond_full_scale_saturate(tmp_path: Path):
    sf.write(tmp_path / "a.wav", np.array([2.0, -2.0, 0.5]), 16_000, subtype="FLOAT")
    assert read_audio(tmp_path / "a.wav").tolist() == [32767, -32768, 16384]


def test_an_empty_file_is_refused(tmp_path: Path):
    (tmp_path / "a.wav").touch()
    assert "must not be empty" in refusal(tmp_path / "a.wav")


def test_a_file_without_samples_is_refused(tmp_path: Path):
    sf.write(tmp_path / "a.wav", np.zeros(0, np.int16), 16_000)
    assert "must hold samples" in refusal(tmp_path / "a.wav")


@pytest.mark.parametrize(("suffix", "kept"), [("wav", 9000), ("flac", 9000), ("wav", 30)])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, kept: int):
    path = tmp_path / f"a.{suffix}"
    sf.write(path, noise(), 16_000)
    path.write_bytes(path.read_bytes()[:kept])
    assert "must be whole" in refusal(path)


def test_a_wav_that_was_streamed_with_an_unknown_length_is_read(tmp_path: Path):
    path = tmp_path / "a.wav"
    sf.write(path, noise(), 16_000)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff" * 4
    path.write_bytes(content)
    assert np.array_equal(read_audio(path), noise())


@pytest.mark.parametrize("content", [b"word,speaker\n" * 40, b"\x00" * 4000, b"RIFF\xff\xff\xff\xffWAVEfmt "])
def test_what_is_no_audio_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "a.wav").write_bytes(content)
    assert "libsndfile reads" in refusal(tmp_path / "a.wav")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path: Path, value: float):
    sf.write(tmp_path / "a.wav", np.array([0.0, value, 0.1]), 16_000, subtype="FLOAT")
    assert "finite" in refusal(tmp_path / "a.wav")


@pytest.mark.parametrize("rate", [0, 1000])
def test_a_header_of_an_impossible_rate_is_refused(tmp_path: Path, rate: int):
    path = tmp_path / "a.wav"
    sf.write(path, noise(), 16_000)
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", rate)
    path.write_bytes(content)
    assert "audio file must" in refusal(path)


def three_hours(path: Path) -> None:
    """A WAV of three hours that takes no room on disk."""
    n_bytes = 3 * 3600 * 16_000 * 2
    sf.write(path, noise(100), 16_000)
    header = bytearray(path.read_bytes()[:44])
    header[4:8], header[40:44] = struct.pack("<I", n_bytes + 36), struct.pack("<I", n_bytes)
    path.write_bytes(header)
    os.truncate(path, 44 + n_bytes)


def test_a_three_hour_file_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    three_hours(tmp_path / "a.wav")
    monkeypatch.setattr(sf.SoundFile, "read", lambda *_args, **_options: pytest.fail("samples were read"))
    assert "at most 60 s, not 10800 s" in refusal(tmp_path / "a.wav")


def test_of_three_hours_of_noise_only_the_start_is_read(tmp_path: Path):
    three_hours(tmp_path / "a.wav")
    assert len(read_audio(tmp_path / "a.wav", first_seconds=2.0)) == 32_000


def test_a_missing_file_is_refused(tmp_path: Path):
    assert "must be readable" in refusal(tmp_path / "a.wav")


def test_a_folder_is_no_audio_file(tmp_path: Path):
    assert "must be readable" in refusal(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read every file")
def test_a_file_without_permission_is_refused(tmp_path: Path):
    sf.write(tmp_path / "a.wav", noise(), 16_000)
    (tmp_path / "a.wav").chmod(0)
    assert "must be readable" in refusal(tmp_path / "a.wav")


def test_a_file_the_system_denies_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sf.write(tmp_path / "a.wav", noise(), 16_000)

    def deny(self: Path, *_args: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", deny)
    assert "Permission denied" in refusal(tmp_path / "a.wav")


def test_rounding_is_to_nearest_with_ties_to_even_and_saturates():
    assert to_int16(np.array([0.5, 1.5, 2.5, -0.5, -1.5, 32767.4, 1e9, -1e9])).tolist() == [0, 2, 2, 0, -2, 32767, 32767, -32768]


def test_resampling_gives_what_scipy_gives():
    from scipy.signal import resample_poly

    samples = np.random.default_rng(1).standard_normal(4000)
    assert np.array_equal(resample(samples, 22_050, 16_000), resample_poly(samples, 320, 441))
    assert resample(samples, 16_000, 16_000) is samples


def test_a_short_recording_is_centered_between_zeros():
    assert fit_length(np.array([1, 2, 3], np.int16), 6).tolist() == [0, 1, 2, 3, 0, 0]
    assert fit_length(np.array([1, 2, 3], np.int16), 3).tolist() == [1, 2, 3]


def test_a_long_recording_keeps_its_loudest_part_in_the_middle():
    recording = np.zeros(48_000, np.int16)
    recording[30_000:34_000] = noise(4000)
    kept = fit_length(recording, 16_000)
    inside = np.flatnonzero(kept)
    assert kept.shape == (16_000,)
    assert len(inside) > 3900
    assert abs((inside[0] + inside[-1]) / 2 - 8000) < 200


def test_speech_power_leaves_pauses_out():
    clip = np.zeros(16_000)
    clip[3200:6400] = 100.0
    clip[6400:9600] = 1.0  # 40 dB below
    assert speech_power(clip) == 10_000.0
    assert frame_powers(clip).tolist() == [0.0] * 10 + [10_000.0] * 10 + [1.0] * 10 + [0.0] * 20
    assert speech_power(np.zeros((2, 700))).tolist() == [0.0, 0.0]
    assert speech_power(np.full(10, 3, np.int16)) == 9.0
