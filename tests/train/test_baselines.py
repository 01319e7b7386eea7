# SPDX-License-Identifier: Apache-2.0
"""Baselines: the published layers, integer inference that is what it says, training that learns, spiking rivals that export."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from ormia.edge.errors import DataError, UsageError  # noqa: E402
from ormia.edge.runtime import Runtime  # noqa: E402
from ormia.train.baselines import BASELINES, BaselineConfig, TrainedBaseline, baseline_config, dense, feed_forward, fit_baseline  # noqa: E402
from ormia.train.baselines.features import Features  # noqa: E402
from ormia.train.baselines.int8 import _depthwise, quantized  # noqa: E402
from ormia.train.baselines.integers import Grid, Multiplier, Table, fake_quantize, integer_matmul, interpolate  # noqa: E402
from ormia.train.baselines.networks import DSCNN, GRU  # noqa: E402
from ormia.train.baselines.training import _descend, _to_tune  # noqa: E402
from ormia.train.config import Config, load_recipe  # noqa: E402
from ormia.train.export import to_network  # noqa: E402
from ormia.train.loop import predict  # noqa: E402
from ormia.train.model import LayerConfig, ModelConfig, SCMLModel  # noqa: E402


class Tones:
    """Two classes: a low tone and a high one, in noise; clips of a quarter of a second."""

    classes = ("low", "high")
    n_samples = 4000

    def _draw(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(0, 2, n)
        hz = np.where(labels, 2500, 400)[:, None] * rng.uniform(0.9, 1.1, (n, 1))
        wave = np.sin(2 * np.pi * hz * np.arange(self.n_samples) / 16000 + rng.uniform(0, 6, (n, 1))) * 3000
        return (wave + rng.normal(0, 1500, wave.shape)).astype(np.int16), labels

    def train_audio(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return self._draw(rng, 96)

    def fixed_audio(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        return self._draw(np.random.default_rng(len(split)), 48)


@pytest.fixture(scope="module", params=["dscnn-mfcc", "gru"])
def trained(request: pytest.FixtureRequest) -> TrainedBaseline:
    return fit_baseline(Tones(), BaselineConfig(network=request.param, epochs=12, batch=16, learning_rate=1e-2, time_mask=1, channel_mask=2))


def test_ds_cnn_has_the_layers_of_mlperf_tiny():
    network = DSCNN(12).eval()
    shapes = [(tuple(w.shape), len(b)) for w, b in network.folded()]
    block = [((64, 1, 3, 3), 64), ((64, 64, 1, 1), 64)]
    assert shapes == [((64, 1, 10, 4), 64), *block * 4, ((12, 64), 12)]
    assert [layer.p for layer in network.modules() if isinstance(layer, torch.nn.Dropout)] == [0.2, 0.4]
    assert network.features[:3](torch.zeros(1, 1, 49, 10)).shape == (1, 64, 25, 5)  # stride 2, padding "same"


def test_costs_are_those_counted_by_hand():
    small, large, gru = (quantized(build(12).eval()) for build in (DSCNN, DSCNN, GRU))
    cost = small.cost(49, 10)
    assert cost.parameters == 640 * 4 + 4 * (576 + 4096) + 768 + 9 * 64 + 12 == 22604
    assert cost.multiply_accumulates == 125 * (2560 + 4 * (576 + 4096)) + 768 == 2656768
    assert (cost.activation_bytes, large.cost(49, 40).activation_bytes) == (2 * 125 * 64, 2 * 500 * 64)
    assert small.cost(49, 10, bits=32).weight_bytes == 4 * 22604
    assert gru.cost(49, 40).multiply_accumulates == 49 * (3 * 68 * 40 + 3 * 68 * 68) + 68 * 12
    assert gru.cost(49, 40).parameters == sum(p.numel() for p in GRU(12).parameters())


@torch.no_grad()
def test_folding_changes_no_score():
    torch.manual_seed(0)
    network, x = DSCNN(5), torch.randn(6, 20, 12)
    network(x * 2 + 1)  # moves the running statistics
    network.eval()
    folded = quantized(network)
    assert torch.allclose(folded.run(x, lambda _, y: y, list(folded.weights)), network(x), atol=1e-4)


@given(st.floats(2.0**-31, 2.0**20), st.integers(-(2**31) + 1, 2**31 - 1))
def test_a_multiplier_rounds_to_nearest_of_its_31_bits(factor: float, x: int):
    multiplier = Multiplier.of(torch.tensor([factor], dtype=torch.float64))
    mantissa, shift = int(multiplier.mantissa), int(multiplier.shift)
    assert 2**30 <= mantissa < 2**31
    assert abs(mantissa / 2**shift - factor) <= factor * 2.0**-30
    assert int(multiplier.apply(torch.tensor([x]))) == (x * mantissa + (1 << (shift - 1))) >> shift


@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from([3, 127, 2**20]))
def test_integer_products_are_exact(seed: int, length: int, largest: int):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(-largest, largest + 1, (3, length)), rng.integers(-largest, largest + 1, (2, length))
    assert integer_matmul(torch.from_numpy(a), torch.from_numpy(b)).tolist() == (a @ b.T).tolist()


def test_depthwise_sums_are_those_of_a_convolution():
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 256, (2, 5, 4, 3)), rng.integers(-127, 128, (3, 3, 3))
    wanted = torch.nn.functional.conv2d(torch.from_numpy(x).double().permute(0, 3, 1, 2), torch.from_numpy(w).double()[:, None], padding=1, groups=3)
    assert _depthwise(torch.from_numpy(x), torch.from_numpy(w)).permute(0, 3, 1, 2).tolist() == wanted.long().tolist()


@given(st.floats(-50, 50), st.floats(-50, 50))
def test_a_grid_holds_zero_and_its_ends(a: float, b: float):
    lo, hi = min(a, b), max(a, b)
    grid = Grid.over(lo, hi)
    assert -128 <= grid.zero <= 127
    assert int(grid.integers(torch.tensor(0.0))) == grid.zero
    ends = (grid.integers(torch.tensor([lo, hi], dtype=torch.float64)) - grid.zero) * grid.scale
    assert ends.tolist() == pytest.approx([lo, hi], abs=grid.scale)


def test_a_table_is_within_two_steps_of_its_function():
    x = torch.arange(-(2**15), 2**15)
    for function in (torch.sigmoid, torch.tanh):
        exact = function(x.double() / 2**12) * 2**15
        inner = interpolate(Table(function), x)
        assert float((inner - exact).abs().max()) < 20  # 15 fraction bits; the curvature of tanh between entries 1/16 apart is 12 of them
        assert inner.max() <= 2**15 - 1


def test_imitated_rounding_passes_gradient_inside_its_range_only():
    x = torch.tensor([0.3, 5.0, -5.0], requires_grad=True)
    y = fake_quantize(x, torch.tensor(0.25), -4, 4)
    assert y.tolist() == [0.25, 1.0, -1.0]
    y.sum().backward()
    assert x.grad.tolist() == [1, 0, 0]


def test_a_trained_baseline_tells_the_classes_apart_in_integers_too(trained: TrainedBaseline):
    clips, labels = Tones().fixed_audio("test")
    assert trained.accuracy(clips, labels) > 0.9
    assert trained.accuracy(clips, labels, integer=True) > 0.9
    scores = trained.logits(clips, integer=True)
    assert scores.dtype == torch.int64
    assert trained.predict(clips, integer=True).tolist() == scores.argmax(1).tolist()


@torch.no_grad()
def test_integers_follow_the_imitated_rounding(trained: TrainedBaseline):
    features = trained.features(Tones().fixed_audio("test")[0])
    imitated, integer = trained.integer(features), trained.integer.integer_logits(features)
    last = len(trained.integer.weights) - 1
    scale = trained.integer.grids[-1].scale if isinstance(trained.network, DSCNN) else 2.0**-7
    real = integer * float(trained.integer._unit_bias(last, scale)[0][0])
    assert float((real - imitated).abs().max()) < 0.05 * float(imitated.std())


def test_stored_weights_are_int8_and_one_scale_serves_the_head(trained: TrainedBaseline):
    for number in range(len(trained.integer.weights)):
        stored = trained.integer.integer_weight(number)
        per_channel = stored.abs().flatten(1).amax(1)
        assert int(per_channel.max()) == 127
        assert (number == len(trained.integer.weights) - 1) or bool((per_channel == 127).all())


def test_a_saved_baseline_comes_back_and_anything_else_is_refused(trained: TrainedBaseline, tmp_path: Path):
    trained.save(tmp_path / "one.safetensors")
    again, (clips, _) = TrainedBaseline.load(tmp_path / "one.safetensors"), Tones().fixed_audio("test")
    assert again.digest() == trained.digest()
    assert again.config == trained.config
    for integer in (False, True):
        assert torch.equal(again.logits(clips, integer=integer), trained.logits(clips, integer=integer))
    (tmp_path / "two.safetensors").write_bytes((tmp_path / "one.safetensors").read_bytes()[:-50])
    for name in ("two", "three"):
        with pytest.raises(DataError, match=r"must be a baseline that this program saved: train it again"):
            TrainedBaseline.load(tmp_path / f"{name}.safetensors")


def test_a_teacher_shapes_what_is_learnt():
    class Contrary:
        """Is sure of the wrong class."""

        def logits(self, clips: np.ndarray) -> np.ndarray:
            low = np.abs(np.diff(clips.astype(np.float32), axis=1)).mean(1) < 2000
            return np.log(np.where(low[:, None], [0.02, 0.98], [0.98, 0.02])).astype(np.float32)

    plan = BaselineConfig(network="gru", epochs=8, batch=16, learning_rate=1e-2, teacher_weight=1.0)
    clips, labels = Tones().fixed_audio("test")
    assert fit_baseline(Tones(), plan, teacher=Contrary()).accuracy(clips, labels) < 0.5
    assert fit_baseline(Tones(), plan).accuracy(clips, labels) > 0.5


def test_training_again_gives_the_same_network():
    plan = BaselineConfig(network="dscnn-mfcc", epochs=1, batch=32)
    assert fit_baseline(Tones(), plan).digest() == fit_baseline(Tones(), plan).digest()
    assert fit_baseline(Tones(), plan).digest() != fit_baseline(Tones(), dataclasses.replace(plan, seed=1)).digest()


def test_rounding_that_loses_is_tuned_and_kept_where_that_helps(monkeypatch: pytest.MonkeyPatch):
    shares = {"float": 0.9, "rounded": 0.8, "tuned": 0.85}

    def accuracy(self: TrainedBaseline, clips: np.ndarray, labels: np.ndarray, *, integer: bool = False) -> float:
        return shares["float" if not integer else "tuned" if self.tuned else "rounded"]

    monkeypatch.setattr(TrainedBaseline, "accuracy", accuracy)
    plan = BaselineConfig(network="gru", epochs=1, batch=32, tune_epochs=1)

    def moved() -> tuple[bool, bool]:
        found = fit_baseline(Tones(), plan)
        return found.tuned, not torch.equal(found.integer.weights[0], found.network.recurrent.weight_ih_l0)

    assert moved() == (True, True)
    shares["tuned"] = 0.75
    assert moved() == (False, False)
    shares["rounded"] = 0.896
    assert moved() == (False, False)


def test_fine_tuning_mends_a_spoiled_network_through_its_rounding(trained: TrainedBaseline):
    """A sixteenth of the steps for activations, and a head that says the contrary."""
    coarse = _to_tune(trained)
    coarse.integer.grids = [Grid(g.scale * 16, round((g.zero + 128) / 16) - 128) for g in coarse.integer.grids]
    coarse.integer.weights[-1].data.neg_()
    clips, labels = Tones().fixed_audio("train")
    features, truth = trained.features(clips), torch.from_numpy(labels)

    def loss() -> float:
        with torch.no_grad():
            return float(torch.nn.functional.cross_entropy(coarse.integer(features), truth, label_smoothing=0.1))

    before = loss()
    _descend(coarse.integer, trained.features, Tones(), trained.config, None, Tones.n_samples, range(12, 16), lambda *_: None)
    assert loss() < 0.5 * before


def test_features_have_zero_mean_and_unit_spread_and_are_silenced_as_events_are():
    clips, _ = Tones().fixed_audio("train")
    for coefficients in (0, 10):
        features = Features(coefficients)
        features.calibrate(clips)
        assert features(clips).std((0, 1)).tolist() == pytest.approx([1.0] * (coefficients or 40), abs=0.02)
    bands = Features()
    bands.calibrate(clips)
    masked = bands(clips, np.random.default_rng(0), time_mask=4, channel_mask=8)
    frames = (masked == 0).all(2).sum(1)
    assert 0 < int(frames.max()) <= 4
    assert 0 < int((masked == 0).all(1).sum(1).max()) <= 8
    second = torch.zeros(1, 16000).numpy().astype(np.int16)
    assert bands(second).shape == (1, 49, 40)


def test_a_baseline_gets_what_the_recipe_says():
    recipe = load_recipe("gsc12")
    plan = baseline_config("gru", recipe, seed=3, learning_rate=1e-3)
    assert (plan.epochs, plan.batch, plan.label_smoothing) == (recipe.epochs, recipe.batch, recipe.label_smoothing)
    assert (plan.time_mask, plan.channel_mask, plan.seed, plan.learning_rate) == (recipe.augment.time_mask, recipe.augment.channel_mask, 3, 1e-3)
    with pytest.raises(UsageError, match=r"a baseline must be one of dscnn, dscnn-mfcc, gru, not 'lstm'"):
        baseline_config("lstm", recipe)
    assert set(BASELINES) == {"dscnn", "dscnn-mfcc", "gru"}


@pytest.mark.parametrize(("rival", "links"), [(dense, 12 * 12 + 8 * 8), (feed_forward, 0)])
def test_spiking_rivals_have_the_neurons_of_the_motif_network_and_their_own_recurrence(rival: object, links: int):
    torch.manual_seed(1)
    config = Config(model=ModelConfig(weight_bits=8, layers=(LayerConfig(neurons=12, motif=4), LayerConfig(neurons=8, motif=4))))
    model = SCMLModel(rival(config).model, 6, 3, 1)  # type: ignore[operator]
    net = to_network(model, ("a", "b", "c"), payload_bits=1)
    assert net.n_neurons == 12 + 8 + 3
    layer = np.repeat([0, 1, 2], [12, 8, 3])
    source = np.repeat(net.axon_source, np.diff(net.synapse_start))
    within = sum(int(s) >= 6 and layer[int(s) - 6] == layer[int(t)] for s, t in zip(source, net.synapse_target, strict=True))
    absent = sum(int((w == 0).sum()) for n in range(2) for w in model.recurrent_integers(n)[:1]) if links else 0
    assert within == links - absent
    payloads = np.random.default_rng(0).integers(0, 2, (20, 15, 6)).astype(np.int16)
    assert np.asarray(Runtime(net).predict(payloads)).tolist() == predict(model, payloads).tolist()


def test_the_command_writes_both_forms_and_logs_its_read_of_test(tmp_path: Path, corpus_folder: Path):
    from ormia.train.commands import baseline

    recipe = tmp_path / "short.toml"
    recipe.write_text("epochs = 1\nbatch = 8\n")
    result = baseline(corpus_folder, tmp_path / "gru.json", network="gru", recipe=str(recipe), seed=0, as_json=True)
    assert json.loads((tmp_path / "gru.json").read_text()) == result
    assert 0 <= result["int8"]["test"] <= 1
    assert result["parameters"] == result["int8"]["parameters"]
    (line,) = (tmp_path / "test_reads.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["program"], entry["table"], entry["run"], entry["corpus"]) == ("ormia baseline", "gru.json", "gru-0", result["corpus"])


@pytest.fixture
def corpus_folder(tmp_path: Path) -> Path:
    from ormia.train.corpora import Corpus

    clips, labels = Tones()._draw(np.random.default_rng(5), 36)
    split = ("train",) * 20 + ("valid",) * 8 + ("test",) * 8
    Corpus(
        clips=clips, labels=labels, classes=Tones.classes, words=tuple(Tones.classes[i] for i in labels), speakers=split, split=split,
        clip_ids=tuple(f"c{i}" for i in range(36)), snr_db=np.full(36, np.inf, np.float32), noise={}, provenance={"parameters": {}, "source": "a test"},
    ).save(tmp_path / "corpus")  # fmt: skip
    return tmp_path / "corpus"
