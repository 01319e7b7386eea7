# SPDX-License-Identifier: Apache-2.0
"""The kernels of the published model are its equations, forward and backward; its training quirks are as described."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from ormia.edge.errors import UsageError  # noqa: E402
from ormia.train.mts_xor import scored_timesteps  # noqa: E402
from ormia.train.timescales.paper import Chunks, PaperAdam, PaperConfig, PaperNetwork, evaluate, train_paper  # noqa: E402
from ormia.train.timescales.paper_kernels import LANES, moments, neurons  # noqa: E402


class Box(torch.autograd.Function):
    """A spike above 1; its surrogate is 1 within a half of it."""

    @staticmethod
    def forward(ctx, v):
        ctx.save_for_backward(v)
        return (v > 1).to(v.dtype)

    @staticmethod
    def backward(ctx, grad):
        return grad * ((ctx.saved_tensors[0] - 1).abs() < 0.5)


def plain(drive, recurrent, decay, fires):
    """The equations, a timestep at a time; drive [S, T, N]."""
    v = s = torch.zeros(drive.shape[0], drive.shape[2], dtype=drive.dtype)
    out = []
    for t in range(drive.shape[1]):
        linked = s @ recurrent if len(recurrent) else 0
        v = decay * v + drive[:, t] + linked - s
        s = Box.apply(v) if fires else s
        out.append(s if fires else v)
    return torch.stack(out, 1)


def lanes(x):
    """[S, T, K] in the layout of the kernels."""
    return x.reshape(-1, LANES, *x.shape[1:]).permute(0, 2, 3, 1).contiguous()


@pytest.mark.parametrize(("fires", "linked"), [(True, False), (True, True), (False, False)])
def test_a_layer_is_its_equations_with_all_gradients(fires, linked):
    torch.manual_seed(0)
    source = (torch.rand(2 * LANES, 12, 5) < 0.4).double()
    given = [torch.randn(5, 3) * 0.6, torch.randn(3) * 0.2, torch.randn(3, 3) * 0.4 if linked else torch.zeros(0, 0), torch.tensor([0.5, 0.9, 0.97])]
    wanted = torch.randn(2 * LANES, 12, 3)

    def run(double):
        to = (lambda x: x.double()) if double else (lambda x: x.float())
        x, w, shift, recurrent, decay = (to(p).clone().requires_grad_() for p in (source, *given))
        found = plain(x @ w + shift, recurrent, decay, fires) if double else neurons(lanes(x), w, shift, recurrent, decay, fires=fires)
        (found * to(wanted if double else lanes(wanted))).sum().backward()
        return [found.detach(), x.grad, w.grad, shift.grad, recurrent.grad, decay.grad]

    theirs, ours = run(double=True), run(double=False)
    assert torch.equal(ours[0], lanes(theirs[0]).float()) if fires else torch.allclose(ours[0], lanes(theirs[0]).float(), atol=1e-5)
    assert theirs[0].abs().sum() > 0
    for a, b in zip(theirs[1:], ours[1:], strict=True):
        assert a is None or torch.allclose(a.float(), b, atol=2e-4, rtol=1e-4)


def test_moments_are_mean_and_covariance_with_their_gradient():
    torch.manual_seed(0)
    x = torch.rand(LANES, 9, 4, dtype=torch.float64).requires_grad_()
    by_mean, by_covariance = torch.randn(4), torch.randn(4, 4)
    flat = x.reshape(-1, 4)
    mean, covariance = flat.mean(0), torch.cov(flat.T, correction=0)
    ((mean * by_mean).sum() + (covariance * by_covariance).sum()).backward()
    y = lanes(x.detach().float()).requires_grad_()
    found = moments(y)
    ((found[0] * by_mean).sum() + (found[1] * by_covariance).sum()).backward()
    assert torch.allclose(found[0], mean.float(), atol=1e-6)
    assert torch.allclose(found[1], covariance.float(), atol=1e-6)
    assert torch.allclose(y.grad, lanes(x.grad).float(), atol=1e-6)


def test_normalization_is_that_of_batch_and_time_before_the_neurons():
    config = PaperConfig(hidden=(6,), batch=LANES, sequences=LANES, spread_ms=0.0)
    network, (events, _, known) = PaperNetwork(config), next(Chunks(LANES, np.random.default_rng(0)).batches(LANES))
    x = events.permute(0, 3, 1, 2).flatten(0, 1)
    for number, weights in enumerate(network.weights):
        drive = torch.nn.functional.batch_norm((x @ weights).flatten(0, 1), None, None, network.scales[number], network.offsets[number], True, 0.0, 1e-5)
        decay = network.decays[number]
        drive = drive.view(*x.shape[:2], -1) * (1 - decay if number == 1 else 1)
        x = plain(drive, torch.zeros(0, 0), decay, fires=number == 0)
    found = network(events, known).detach()
    frozen: list = []
    assert torch.allclose(found[0].T, (x[:, :, 1] - x[:, :, 0]).detach(), atol=1e-4)
    assert torch.equal(network(events, frozen=frozen), network(events, frozen=frozen)[...])
    assert len(frozen) == 2


@pytest.mark.parametrize(("epoch", "ratio"), [(0, 1.97), (5, 0.49), (20, 0.28)])
def test_adam_by_epochs_takes_the_published_share_of_the_textbook_step(epoch, ratio):
    """20 batches an epoch; a gradient that never changes."""
    steps = []
    for by_epoch in (True, False):
        p = torch.zeros(1)
        adam = PaperAdam([p])
        for batch in range(20 * (epoch + 1)):
            before, p.grad = p.clone(), torch.ones(1)
            adam.step(0.01, batch // 20 + 1 if by_epoch else batch + 1)
        steps.append(float(before - p))
    assert steps[0] / steps[1] == pytest.approx(ratio, abs=0.01)


def test_the_hierarchy_jitters_every_neuron_and_is_clipped_as_published():
    network = PaperNetwork(PaperConfig(hidden=(200, 200), spread_ms=500.0))
    fast, slow = (np.median(tau) for tau in network.time_constants())
    assert fast == pytest.approx(50, rel=0.05)
    assert slow == pytest.approx(550, rel=0.05)
    assert not any(d.requires_grad for d in network.decays)
    assert PaperNetwork(PaperConfig()).n_weights == 520


def test_a_gain_scales_the_drive_by_what_a_membrane_forgets():
    events, _, known = next(Chunks(LANES, np.random.default_rng(0)).batches(LANES))
    spikes = []
    for gain in ("none", "rate"):
        network = PaperNetwork(PaperConfig(hidden=(8,), jitter=0.0, batch=LANES, sequences=LANES, gain=gain))
        with torch.no_grad():
            if gain == "rate":
                for parameter in (network.scales[0], network.offsets[0]):
                    parameter.div_(1 - network.decays[0])
            spikes.append(network(events, known))
    assert torch.allclose(*spikes, atol=1e-4)


def test_a_short_training_tells_more_than_chance_and_keeps_the_best_epoch_on_valid():
    config = PaperConfig(hidden=(10,), recurrent=True, sequences=2048, batch=128, epochs=5, steps_by="iteration", schedule="cosine", train_decays=True)
    result = train_paper(config)
    best = max(result["history"], key=lambda entry: entry["valid"])
    assert (result["valid"], result["epoch"]) == (best["valid"], best["epoch"])
    assert result["test"] > 0.6
    assert result["test_frozen"] > 0.6
    assert result["n_weights"] == 400 + 90 + 20 + 10
    assert len(result["history"][0]["tau_ms"]) == 1


def test_only_scored_timesteps_count():
    chunks = Chunks(LANES, np.random.default_rng(0))
    sure = torch.from_numpy(chunks.signs.astype(np.float32)) * torch.from_numpy(np.where(scored_timesteps(), 1.0, -1.0)).float()[:, None]

    class Told(torch.nn.Module):
        config = PaperConfig(batch=LANES, sequences=LANES)

        def forward(self, events, known, frozen=None):
            return sure

    assert evaluate(Told(), chunks) == 1.0


@pytest.mark.parametrize("wrong", [{"gain": "double"}, {"steps_by": "day"}, {"batch": 100}, {"sequences": 1000}, {"schedule": "none"}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(UsageError, match="must be"):
        PaperConfig(**wrong)


def test_a_relative_gain_changes_nothing_without_hierarchy():
    events, _, known = next(Chunks(LANES, np.random.default_rng(0)).batches(LANES))
    told = [PaperNetwork(PaperConfig(hidden=(8,), jitter=0.0, batch=LANES, sequences=LANES, gain=gain))(events, known) for gain in ("none", "relative")]
    assert torch.allclose(*told, atol=1e-4)
