# SPDX-License-Identifier: Apache-2.0
"""Clips in a row are scored as the device scores them: the first from reset, later ones by the detector's average."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:tensorboard.*")

from ormia.edge.errors import UsageError  # noqa: E402
from ormia.edge.frontend import fft_front_end  # noqa: E402
from ormia.train import scoring  # noqa: E402
from ormia.train.config import AugmentConfig, Config  # noqa: E402
from ormia.train.corpora.corpus import Corpus  # noqa: E402
from ormia.train.dataset import CorpusSource  # noqa: E402
from ormia.train.loop import accuracy, fit  # noqa: E402
from ormia.train.model import LayerConfig, ModelConfig  # noqa: E402
from ormia.train.scoring import clip_scores, in_rows  # noqa: E402

from .test_loop import Toy  # noqa: E402


def tones() -> Corpus:
    """Eight clips of a fifth of a second, for training."""
    clips = np.random.default_rng(0).normal(0, 300, (8, 3200)) + np.sin(np.arange(3200) * np.array([[0.2], [0.7]] * 4)) * 4000
    return Corpus(
        clips=clips.astype(np.int16), labels=np.tile([0, 1], 4), classes=("low", "high"), words=("x",) * 8, speakers=("a",) * 8, split=("train",) * 8,
        clip_ids=tuple(f"c{i}" for i in range(8)), snr_db=np.zeros(8, np.float32), noise={}, provenance={"parameters": {}, "source": "a test"},
    )  # fmt: skip


def test_a_clip_follows_its_predecessor_in_the_same_row():
    clips = np.arange(24).reshape(6, 2, 2)
    rows = in_rows(clips, 3)
    assert rows.shape == (2, 6, 2)
    assert np.array_equal(rows[1, 2:4], clips[4])
    assert np.array_equal(in_rows(clips, 4), clips)


def test_the_first_clip_of_a_row_has_the_sum_of_its_scored_timesteps():
    emitted = torch.randn(12 + 2, 5, 3)
    assert torch.allclose(clip_scores(emitted, 5, 8, 2, 4.0), emitted[4:].sum(0))
    assert torch.allclose(clip_scores(emitted, 10, 5, 2, 4.0)[::2], emitted[1:8].sum(0))


def test_a_later_clip_has_the_score_the_detector_has_at_its_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scoring, "EARLY", 0)
    emitted, average = torch.randn(3 * 10 + 2, 4, 3).double(), 5.0
    found = clip_scores(emitted, 12, 10, 2, average)
    smoothed = torch.zeros(4, 3)
    for t in range(22):
        smoothed = smoothed * (1 - 1 / average) + emitted[t]
    ratio = found[1::3] / smoothed
    assert torch.allclose(ratio, torch.full_like(ratio, 0.7 * 10 / average), rtol=1e-5)


def test_the_front_end_hears_the_clips_of_a_row_as_one_recording():
    corpus, front_end = tones(), fft_front_end()
    still = AugmentConfig(shift_ms=0, gain_db=0, noise_probability=0, speed=0, time_mask=0, channel_mask=0, snr_db=(90.0, 90.0))
    source = CorpusSource(corpus, front_end, dataclasses.replace(still, carry=2))
    epoch, audio = source.train_epoch(np.random.default_rng(0)), source.train_audio(np.random.default_rng(0))[0]
    steps = audio.shape[1] // front_end.hop_samples
    pair = front_end.payloads(audio[:2, : steps * front_end.hop_samples].reshape(-1))
    assert np.array_equal(epoch.payloads[0], pair[:steps])
    assert np.array_equal(epoch.payloads[1], pair[steps:])
    assert not np.array_equal(epoch.payloads[1], front_end.payloads(audio[1])[:steps])


def test_an_epoch_has_whole_rows_and_every_clip():
    corpus = tones()
    clips = len(corpus.indices("train"))
    row = next(row for row in (3, 4, 5, 7) if clips % row)
    source = CorpusSource(corpus, fft_front_end(), AugmentConfig(carry=row))
    labels, audio_labels = source.train_epoch(np.random.default_rng(0)).labels, source.train_audio(np.random.default_rng(0))[1]
    assert len(labels) % row == 0
    assert len(labels) - clips < row
    assert np.array_equal(labels[:clips], audio_labels)
    assert np.array_equal(labels[clips:], labels[: len(labels) - clips])


def test_training_in_rows_learns_clips_that_start_from_reset(tmp_path: Path):
    config = Config(epochs=10, batch=16, detector_timesteps=6, augment=AugmentConfig(carry=4), model=ModelConfig(layers=(LayerConfig(neurons=16, motif=8),)))
    assert accuracy(fit(config, Toy(), tmp_path), *Toy().fixed("test")) > 0.9


def test_a_batch_that_is_no_whole_number_of_rows_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="not 16 with rows of 3"):
        fit(Config(batch=16, augment=AugmentConfig(carry=3)), Toy(), tmp_path)


def test_a_detector_that_averages_over_no_timestep_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="at least 1, not 0"):
        fit(Config(batch=16, detector_timesteps=0), Toy(), tmp_path)
