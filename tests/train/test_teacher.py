# SPDX-License-Identifier: Apache-2.0
"""Teachers hear what their pupils hear, are saved whole, and pull a network toward their opinion."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:tensorboard.*")

from ormia.edge.errors import DataError  # noqa: E402
from ormia.train.config import AugmentConfig, Config  # noqa: E402
from ormia.train.dataset import CorpusSource  # noqa: E402
from ormia.train.loop import Epoch, accuracy, fit, load_model, teacher_of, train_step_loss  # noqa: E402
from ormia.train.model import LayerConfig, ModelConfig, SCMLModel  # noqa: E402
from ormia.train.teacher import Teacher, TeacherConfig, fit_teacher  # noqa: E402

TINY = TeacherConfig(epochs=12, width=4, batch=16, learning_rate=5e-3, time_mask=2, channel_mask=2)


class Tones:
    """A low and a high tone in noise, half a second each."""

    classes, digest = ("low", "high"), "tones"

    def _draw(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(n) % 2
        tone = np.sin(2 * np.pi * np.where(labels, 2500, 400)[:, None] * np.arange(8000) / 16000)
        return (6000 * tone + rng.normal(0, 300, (n, 8000))).astype(np.int16), labels

    def train_audio(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return self._draw(rng, 64)

    def fixed_audio(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        return self._draw(np.random.default_rng(len(split)), 16)


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return fit_teacher(Tones(), TINY, members=2)


def test_a_teacher_learns_and_its_opinion_is_a_distribution(teacher: Teacher) -> None:
    clips, labels = Tones().fixed_audio("valid")
    opinion = teacher.logits(clips)
    assert (opinion.argmax(1) == labels).all()
    assert (np.exp(opinion).sum(1) <= 1 + 1e-5).all()  # a mean of log-probabilities: at most a distribution
    assert len(teacher.members) == 2


def test_a_teacher_is_read_as_it_was_written(teacher: Teacher, tmp_path: Path) -> None:
    teacher.save(tmp_path / "t.safetensors")
    again = Teacher.load(tmp_path / "t.safetensors")
    clips, _ = Tones().fixed_audio("test")
    assert (again.classes, again.corpus, again.digest()) == (("low", "high"), "tones", teacher.digest())
    np.testing.assert_array_equal(again.logits(clips), teacher.logits(clips))
    assert [path.name for path in tmp_path.iterdir()] == ["t.safetensors"]


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"\xff" * 64])
def test_a_file_that_is_no_teacher_is_one_sentence(teacher: Teacher, tmp_path: Path, damage) -> None:
    path = tmp_path / "t.safetensors"
    teacher.save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match="must be a teacher"):
        Teacher.load(path)


def test_a_teacher_of_other_classes_is_refused(teacher: Teacher) -> None:
    corpus = SimpleNamespace(classes=("yes", "no"))
    with pytest.raises(DataError, match=r"must know the classes of the corpus, yes, no; this one knows low, high"):
        CorpusSource(corpus, None, AugmentConfig(), teacher)  # type: ignore[arg-type]


def test_the_loss_falls_as_the_network_comes_to_agree_with_its_teacher() -> None:
    torch.manual_seed(0)
    model = SCMLModel(ModelConfig(layers=(LayerConfig(neurons=16, motif=8),)), 8, 2, 1)
    payloads = (np.random.default_rng(0).random((6, 10, 8)) < 0.4).astype(np.int16)
    with torch.no_grad():
        scores = model(torch.from_numpy(payloads.transpose(1, 0, 2)).float()).emitted.sum(0)
    config, truth, balance = Config(teacher_weight=1.0, rate_weight=0.0), scores.argmax(1), torch.ones(2)
    toward, against = (torch.log_softmax(sign * 3 * torch.nn.functional.one_hot(truth, 2).float(), 1) for sign in (1, -1))
    gain = torch.tensor(50.0)
    losses = [float(train_step_loss(model, gain, config, payloads, truth, 10, balance, opinion)[0].detach()) for opinion in (toward, against)]
    assert losses[0] < losses[1]


class Taught:
    """Labels are of no use; only the teacher knows which half of the channels decides."""

    n_inputs, payload_max, classes, scored_timesteps, digest, teacher_digest = 8, 1, ("low", "high"), 10, "toy", "t1"

    def _draw(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(0, 2, n)
        rate = np.where((np.arange(8) >= 4) == labels[:, None], 0.6, 0.1)
        return (rng.random((n, 10, 8)) < rate[:, None]).astype(np.int16), labels.astype(np.int64)

    def train_epoch(self, rng: np.random.Generator) -> Epoch:
        payloads, labels = self._draw(rng, 96)
        return Epoch(payloads, np.arange(96) % 2, np.log(np.where(labels[:, None] == np.arange(2), 0.95, 0.05)).astype(np.float32))

    def fixed(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        return self._draw(np.random.default_rng(len(split)), 64)


def test_a_network_learns_from_its_teacher_alone_and_the_run_remembers_whose_pupil_it_is(tmp_path: Path) -> None:
    config = Config(epochs=8, batch=16, teacher_weight=1.0, model=ModelConfig(layers=(LayerConfig(neurons=16, motif=8),)))
    model = fit(config, Taught(), tmp_path)
    assert accuracy(model, *Taught().fixed("test")) > 0.9
    assert teacher_of(tmp_path, config, Taught()) == "t1"
    other = Taught()
    other.teacher_digest = "t2"
    with pytest.raises(DataError, match="these keys differ: teacher"):
        fit(dataclasses.replace(config), other, tmp_path)
    load_model(config, other, tmp_path)  # an export needs no teacher
