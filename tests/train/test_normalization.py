# SPDX-License-Identifier: Apache-2.0
"""Normalized layers are ordinary integer networks whose thresholds and biases follow the drive."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from ormia.edge.errors import UsageError  # noqa: E402
from ormia.train.export import to_network  # noqa: E402
from ormia.train.hrmas.supernet import Supernet  # noqa: E402
from ormia.train.loop import calibrate, to_input  # noqa: E402
from ormia.train.model import LayerConfig, ModelConfig, SCMLModel  # noqa: E402
from ormia.train.normalization import STRIDE, DriveMoments  # noqa: E402
from ormia.train.timescales.hierarchy import Timescales  # noqa: E402

from .test_model import assert_runs_as_exported  # noqa: E402

LAYERS = (LayerConfig(neurons=16, motif=8, delays=(0, 2)), LayerConfig(neurons=12, motif=4, train_decays=True))


def _payloads(seed: int, clips: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return ((rng.random((clips, 40, 10)) < 0.3) * rng.integers(1, 4, (clips, 40, 10))).astype(np.int16)


def _model(**changes: object) -> SCMLModel:
    torch.manual_seed(0)
    model = SCMLModel(ModelConfig(layers=LAYERS, normalize=True, **changes), 10, 3, 3)  # type: ignore[arg-type]
    calibrate(model, _payloads(0), target=0.1)
    return model


def test_mean_and_spread_are_those_of_the_drive() -> None:
    events = torch.from_numpy(_payloads(1)).float().transpose(0, 1)
    moments, weights = DriveMoments(10, (0, 2)), torch.randn(20, 7) * 100
    moments.observe(events)
    at = torch.arange(2, len(events), STRIDE)
    drive = (torch.cat([events[at], events[at - 2]], 2) @ weights).flatten(0, 1)
    mean, spread = moments.of(weights)
    torch.testing.assert_close(mean, drive.mean(0), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(spread, drive.std(0, correction=0), rtol=1e-4, atol=1e-3)


def test_gradients_of_the_moments_are_their_slopes() -> None:
    moments = DriveMoments(10, (0, 1))
    moments.observe(torch.from_numpy(_payloads(2)).float().transpose(0, 1))
    weights = (torch.randn(20, 5) * 100).requires_grad_()
    mean, spread = moments.of(weights)
    (mean + 3 * spread).sum().backward()
    covariance, w = moments.covariance.double(), weights.detach().double().requires_grad_()
    plain = moments.mean.double() @ w + 3 * torch.einsum("in,ij,jn->n", w, covariance, w).sqrt()
    plain.sum().backward()
    torch.testing.assert_close(weights.grad.double(), w.grad, rtol=1e-4, atol=1e-6)


def test_calibration_makes_every_layer_fire_at_the_target() -> None:
    model = _model()
    with torch.no_grad():
        rates = [float(spikes.mean()) for spikes in model(to_input(_payloads(0), 2)).spikes]
    assert all(0.05 < rate < 0.2 for rate in rates), rates


def test_a_normalized_network_is_exported_bit_for_bit_with_its_biases() -> None:
    model, payloads = _model(), _payloads(3)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(5):  # thresholds, biases and moments move
        optimizer.zero_grad()
        (model(to_input(payloads, 2)).emitted[..., 0].sum() * 1e-6).backward()
        optimizer.step()
    net = to_network(model, ("a", "b", "c"), payload_bits=2)
    assert len(set(net.bias[:28].tolist())) > 10
    assert_runs_as_exported(model, net, payloads)


def test_weights_three_times_as_large_have_moments_three_times_as_large() -> None:
    model = _model()
    dense = model.dense_integers(0).detach()
    for once, thrice in zip(model.moments[0].of(dense), model.moments[0].of(dense * 3), strict=True):
        torch.testing.assert_close(thrice, once * 3, rtol=1e-4, atol=1e-2)


def test_only_training_moves_the_moments() -> None:
    model, x = _model(), to_input(_payloads(4), 2)
    held = model.moments[1].mean.clone()
    with torch.no_grad():
        model(x)
    model.eval()(x)
    assert torch.equal(model.moments[1].mean, held)
    model.train()(x)
    assert not torch.equal(model.moments[1].mean, held)


def test_a_clip_shorter_than_the_longest_delay_is_not_observed() -> None:
    moments = DriveMoments(4, (0, 9))
    moments.observe(torch.ones(9, 2, 4))
    assert not moments.seen


def test_a_search_and_an_input_gain_refuse_normalize() -> None:
    with pytest.raises(UsageError, match="leave normalize out of a search"):
        Supernet(ModelConfig(layers=LAYERS, normalize=True), (4,), True, 8, 3, 1)
    scales = Timescales(shape="linear", mean=6.0, gain_spread=4.0)
    with pytest.raises(UsageError, match="leave out one of them"):
        SCMLModel(ModelConfig(layers=LAYERS, timescales=scales, normalize=True), 8, 3, 1)
