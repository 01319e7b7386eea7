# SPDX-License-Identifier: Apache-2.0
"""Training runs resume exactly, stop safely and refuse what they cannot train."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:tensorboard.*")

from ormia.edge.errors import DataError, UsageError  # noqa: E402
from ormia.train.config import Config, load_recipe, recipe_names, with_settings  # noqa: E402
from ormia.train.loop import Epoch, Progress, TrainingStopped, accuracy, fit, load_model, to_input  # noqa: E402
from ormia.train.model import LayerConfig, ModelConfig  # noqa: E402

SMALL = Config(epochs=4, batch=16, model=ModelConfig(layers=(LayerConfig(neurons=16, motif=8),)))


class Toy:
    """Two classes told apart by which half of the channels is busy."""

    n_inputs, payload_max, classes, scored_timesteps, teacher_digest = 8, 1, ("low", "high"), 10, ""

    def __init__(self, missing: int | None = None, digest: str = "toy") -> None:
        self.missing, self.digest = missing, digest

    def _draw(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(0, 2, n) if self.missing is None else np.full(n, 1 - self.missing)
        rate = np.where((np.arange(8) >= 4) == labels[:, None], 0.6, 0.1)
        return (rng.random((n, 10, 8)) < rate[:, None]).astype(np.int16), labels.astype(np.int64)

    def train_epoch(self, rng: np.random.Generator) -> Epoch:
        return Epoch(*self._draw(rng, 96))

    def fixed(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        return self._draw(np.random.default_rng(len(split)), 64)


def _weights(model: torch.nn.Module) -> list[torch.Tensor]:
    return [held.detach().clone() for held in model.state_dict().values()]


@pytest.mark.parametrize(("ema", "normalize"), [(0.0, False), (0.9, False), (0.0, True), (0.9, True)])
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path, ema: float, normalize: bool) -> None:
    config = dataclasses.replace(SMALL, ema=ema, model=dataclasses.replace(SMALL.model, normalize=normalize))
    whole = fit(config, Toy(), tmp_path / "whole")
    fit(config, Toy(), tmp_path / "cut", stop_after=2)
    resumed = fit(config, Toy(), tmp_path / "cut")
    assert all(torch.equal(a, b) for a, b in zip(_weights(whole), _weights(resumed), strict=True))
    loaded = load_model(config, Toy(), tmp_path / "cut")
    assert all(torch.equal(a, b) for a, b in zip(_weights(whole), _weights(loaded), strict=True))
    text = (tmp_path / "cut" / "log.csv").read_text()
    assert [row["epoch"] for row in csv.DictReader(text.splitlines())] == ["0", "1", "2", "3"]
    assert text == (tmp_path / "whole" / "log.csv").read_text()


def test_training_learns_a_separable_task(tmp_path: Path) -> None:
    seen: list[Progress] = []
    config = dataclasses.replace(SMALL, epochs=8)
    model = fit(config, Toy(), tmp_path, report=seen.append)
    assert accuracy(model, *Toy().fixed("test")) > 0.9
    assert [p.epoch for p in seen] == list(range(8))


def test_two_seeds_give_two_networks(tmp_path: Path) -> None:
    a = fit(dataclasses.replace(SMALL, epochs=1), Toy(), tmp_path / "a")
    b = fit(dataclasses.replace(SMALL, epochs=1, seed=1), Toy(), tmp_path / "b")
    assert not torch.equal(a.readout, b.readout)


def test_a_checkpoint_of_another_configuration_is_refused_with_the_differing_keys(tmp_path: Path) -> None:
    fit(SMALL, Toy(), tmp_path, stop_after=1)
    with pytest.raises(DataError, match=r"these keys differ: batch, model\.weight_bits"):
        fit(dataclasses.replace(SMALL, batch=8, model=dataclasses.replace(SMALL.model, weight_bits=3)), Toy(), tmp_path)


def test_a_checkpoint_of_another_corpus_is_refused(tmp_path: Path) -> None:
    fit(SMALL, Toy(), tmp_path, stop_after=1)
    with pytest.raises(DataError, match=r"these keys differ: corpus\."):
        fit(SMALL, Toy(digest="other"), tmp_path)


def test_a_checkpoint_from_before_a_key_existed_is_taken_up_with_its_default(tmp_path: Path) -> None:
    fit(SMALL, Toy(), tmp_path, stop_after=1)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    config = json.loads(saved["config"])
    del config["model"]["layers"][0]["inhibitory"], config["ema"]
    torch.save({**saved, "config": json.dumps(config)}, tmp_path / "checkpoint.pt")
    seen: list[Progress] = []
    fit(SMALL, Toy(), tmp_path, report=seen.append)
    assert [p.epoch for p in seen] == [1, 2, 3]


def test_a_damaged_checkpoint_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(DataError, match=r"must be a readable checkpoint of this program: remove it"):
        fit(SMALL, Toy(), tmp_path)


def test_a_class_without_clips_is_refused_before_training_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"every class must have training clips; 'high' has none"):
        fit(SMALL, Toy(missing=1), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(SMALL, Toy(), tmp_path, stop_after=2)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    monkeypatch.setattr("ormia.train.loop.nn.functional.cross_entropy", lambda *_, **__: torch.tensor(float("nan"), requires_grad=True))
    with pytest.raises(TrainingStopped, match=r"the loss must be finite; it is not at epoch 2, step 0\. Lower learning_rate"):
        fit(SMALL, Toy(), tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_input_is_time_major_and_followed_by_the_flush() -> None:
    payloads = np.arange(12, dtype=np.int16).reshape(2, 3, 2)
    x = to_input(payloads, 2)
    assert x.shape == (5, 2, 2)
    assert x[1, 1].tolist() == [8, 9]
    assert x[3:].abs().sum() == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["epoch=3"], r"unknown key 'epoch'; did you mean 'epochs'\?"),
        (["model.weigth_bits=3"], r"--set\.model: unknown key 'weigth_bits'; did you mean 'weight_bits'\?"),
        (["epochs=many"], r"--set\.epochs must be of type int, not 'many'"),
        (["epochs"], r"a setting must look like epochs=3"),
        (["augment.snr_db=[1.0]"], r"must have 2 entries, not 1"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_nearest_key(settings: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        with_settings(Config(), settings)


def test_settings_take_the_type_of_the_configuration() -> None:
    config = with_settings(Config(), ["epochs=3", "learning_rate=1", "model.reset=zero", "model.layers=[{neurons=32, motif=8}]"])
    assert (config.epochs, config.learning_rate, config.model.reset) == (3, 1.0, "zero")
    assert config.model.layers == (LayerConfig(neurons=32, motif=8),)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_that_ships_is_valid(name: str) -> None:
    assert load_recipe(name).epochs > 0


def test_a_motif_that_does_not_divide_its_layer_is_refused(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, model=ModelConfig(layers=(LayerConfig(neurons=20, motif=8),)))
    with pytest.raises(UsageError, match=r"the motif size must divide the layer: 20 neurons"):
        fit(config, Toy(), tmp_path)


def test_the_log_states_how_much_saturates(tmp_path: Path) -> None:
    narrow = dataclasses.replace(SMALL, epochs=1, model=dataclasses.replace(SMALL.model, membrane_bits=10, nominal_threshold=1024))
    seen: list[Progress] = []
    fit(narrow, Toy(), tmp_path, report=seen.append)
    fit(dataclasses.replace(SMALL, epochs=1), Toy(), tmp_path / "wide", report=seen.append)
    assert 1 > seen[0].saturated > seen[1].saturated >= 0
    assert "saturated" in (tmp_path / "log.csv").read_text().splitlines()[0]
