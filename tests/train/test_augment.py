# SPDX-License-Identifier: Apache-2.0
"""train/augment.py: each effect does what its unit says, and nothing else moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ormia.train.audio import speech_power
from ormia.train.augment import Augmentation, Draws, NoiseBank, apply, augment, draw

NONE = NoiseBank.from_recordings([])


def clips(n: int = 3, n_samples: int = 16_000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-9000, 9000, (n, n_samples)).astype(np.int16)


def still(n: int, **changes: object) -> Draws:
    """Draws that change nothing."""
    draws = Draws(np.zeros(n, np.int64), np.ones(n), np.ones(n), np.ones(n), np.full(n, -1), np.zeros(n, np.int64))
    return replace(draws, **changes)


def test_nothing_drawn_changes_nothing():
    given = clips()
    assert np.array_equal(apply(given, still(3), NONE), given)


def test_a_shift_moves_samples_and_fills_with_zeros():
    given = clips(2)
    moved = apply(given, still(2, shift=np.array([100, -7])), NONE)
    assert np.array_equal(moved[0, 100:], given[0, :-100])
    assert not moved[0, :100].any()
    assert np.array_equal(moved[1, :-7], given[1, 7:])
    assert not moved[1, -7:].any()


def test_a_shift_longer_than_the_clip_leaves_silence():
    assert not apply(clips(2, 50), still(2, shift=np.array([50, -1000])), NONE).any()


def test_gain_rounds_to_nearest_even_and_saturates():
    given = np.array([[1, 3, -3, 30_000, -30_000]], np.int16)
    assert apply(given, still(1, gain=np.array([0.5])), NONE).tolist() == [[0, 2, -2, 15_000, -15_000]]
    assert apply(given, still(1, gain=np.array([2.0])), NONE).tolist() == [[2, 6, -6, 32767, -32768]]


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_speed_changes_the_pitch_by_its_factor(speed: float):
    t = np.arange(16_000) / 16_000
    given = np.round(8000 * np.sin(2 * np.pi * 1000 * t)).astype(np.int16)[None]
    out = apply(given, still(1, speed=np.array([speed])), NONE)[0].astype(np.float64)
    middle = out[4000:12_000]
    assert np.abs(np.fft.rfft(middle)).argmax() == 1000 * speed / 2
    assert np.sqrt(np.mean(middle * middle)) == pytest.approx(8000 / np.sqrt(2), rel=0.02)


def test_interpolation_is_exact_on_a_line():
    line = np.arange(0, 4000, 4, dtype=np.int16)[None]  # 1000 samples
    out = apply(line, still(1, speed=np.array([0.5])), NONE)[0]
    middle = (line.shape[1] - 1) / 2
    expected = 4 * ((np.arange(1000) - middle) * 0.5 + middle)
    assert np.array_equal(out, np.rint(expected).astype(np.int16))


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
def test_noise_is_mixed_at_its_ratio_to_the_speech(snr_db: float):
    given = clips(1)
    given[0, 8000:] = 0  # a pause does not count
    bank = NoiseBank.from_recordings([clips(1, 40_000, 1)[0]])
    draws = still(1, recording=np.zeros(1, np.int64), snr=np.array([10.0 ** (snr_db / 10)]), noise_start=np.array([123]))
    mixed = apply(given, draws, bank).astype(np.float64) - given
    measured = 10 * np.log10(speech_power(given[0]) / np.mean(mixed * mixed))
    assert measured == pytest.approx(snr_db, abs=0.01)


def test_noise_comes_from_the_drawn_place_and_starts_over_at_its_end():
    recordings = [np.full(10, 5000, np.int16), np.array([100, 200, 300], np.int16)]
    draws = still(1, recording=np.array([1]), noise_start=np.array([2]), snr=np.array([1.0]))
    out = apply(np.full((1, 5), 1000, np.int16), draws, NoiseBank.from_recordings(recordings), 2)[0].astype(np.float64)
    noise = np.concatenate([out[:2], out[2:] - 1000])
    shape = np.array([300, 100, 200, 300, 100, 200, 300])
    assert np.abs(noise - shape * 1000 / np.sqrt(np.mean(shape**2))).max() <= 0.5


def test_pre_roll_is_noise_before_the_unchanged_clip():
    given = clips(2)
    bank = NoiseBank.from_recordings([clips(1, 40_000, 1)[0]])
    draws = still(2, recording=np.zeros(2, np.int64), snr=np.full(2, 1e4))
    out = apply(given, draws, bank, 8000)
    assert out.shape == (2, 24_000)
    assert np.sqrt(np.mean(out[:, :8000].astype(np.float64) ** 2, axis=1)) == pytest.approx(np.sqrt([speech_power(c) / 1e4 for c in given]), rel=0.05)
    assert np.array_equal(apply(given, still(2), NONE, 8000)[:, 8000:], given)


def test_silent_clips_and_silent_noise_do_no_harm():
    silent = np.zeros((2, 1000), np.int16)
    bank = NoiseBank.from_recordings([np.zeros(500, np.int16), clips(1, 500)[0]])
    out = apply(silent, still(2, recording=np.array([0, 1])), bank)
    assert not out[0].any()
    assert np.abs(out[1]).max() <= 2


def test_the_same_generator_gives_the_same_bytes_and_another_does_not():
    given, bank = clips(20), NoiseBank.from_recordings([clips(1, 40_000, 1)[0]])
    first, again, other = (augment(given, np.random.default_rng(seed), bank, Augmentation(preroll_samples=320)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == (20, 16_320)
    assert first.dtype == np.int16


def test_what_is_drawn_stays_in_its_range():
    settings = Augmentation(shift_ms=50, speed=(0.8, 0.9), gain_db=(-6, 0), snr_db=(5, 10), noise_share=0.5, quiet_snr_db=60)
    bank = NoiseBank.from_recordings([np.zeros(9, np.int16), np.zeros(0, np.int16), np.zeros(4, np.int16)])
    draws = draw(np.random.default_rng(0), 2000, settings, bank)
    assert -800 <= draws.shift.min() < -780
    assert 780 < draws.shift.max() <= 800
    assert 0.8 <= draws.speed.min()
    assert draws.speed.max() <= 0.9
    assert 10 ** (-6 / 20) <= draws.gain.min()
    assert draws.gain.max() <= 1
    loud = draws.snr < 1e5
    assert 0.45 < loud.mean() < 0.55
    assert draws.snr[loud].min() >= 10**0.5
    assert draws.snr[loud].max() <= 10.0001
    assert set(draws.recording.tolist()) == {0, 1}
    assert (draws.noise_start < bank.lengths[draws.recording]).all()
    assert set(draws.noise_start[draws.recording == 1].tolist()) == {0, 1, 2, 3}


def test_without_noise_recordings_none_is_mixed():
    draws = draw(np.random.default_rng(0), 5, Augmentation(), NONE)
    assert set(draws.recording.tolist()) == {-1}


def test_draws_for_another_number_of_clips_are_refused():
    with pytest.raises(ValueError, match="draws must be for 3 clips"):
        apply(clips(3), still(2), NONE)
