# SPDX-License-Identifier: Apache-2.0
"""Any network of the file format trains through the fused kernels: values of the plain definition bit for bit, its float64 gradients to rounding."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

import ormia.train.ops as ops  # noqa: E402
from networks import Seeded, pick, random_network, random_payloads, sometimes  # noqa: E402
from ormia.edge.errors import NetworkError  # noqa: E402
from ormia.edge.network import Network  # noqa: E402
from ormia.train.fused import FusedNetwork  # noqa: E402
from ormia.train.layer import LayerConstants, scml_layer  # noqa: E402
from ormia.train.model import LayerConfig, ModelConfig, SCMLModel  # noqa: E402
from ormia.train.plain import PlainNetwork, plain_layer  # noqa: E402
from ormia.train.surrogate import SURROGATES  # noqa: E402

TRAINED = ("weight", "threshold", "reset_by", "bias", "membrane_decay", "current_decay")
TOLERANCE = 2e-5  # of the largest gradient of its sort: float32 backward against float64


def _random(seed: int) -> tuple[Network, np.ndarray, dict]:
    """A random network, payloads [T, B, n_inputs] and how to train it."""
    chance = Seeded(np.random.default_rng(seed))
    net = random_network(chance, max_delay=20)
    length = chance.integer(0, net.formats.max_timesteps)
    payloads = np.stack([random_payloads(chance, net, length) for _ in range(3)], 1)
    return net, payloads, {"surrogate": pick(chance, list(SURROGATES.values()))(pick(chance, (0.5, 1.0, 2.5))), "through_reset": sometimes(chance, 2)}


def _leaves(network: PlainNetwork | FusedNetwork) -> list[torch.Tensor]:
    for name in TRAINED:
        setattr(network, name, getattr(network, name).clone().requires_grad_())
    return [getattr(network, name) for name in TRAINED]


def test_every_construct_runs_in_the_kernel_with_the_values_and_gradients_of_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    forward, backward = ops.layer_forward, ops.layer_backward
    monkeypatch.setattr(ops, "layer_forward", lambda *given: (calls.append("forward"), forward(*given))[1])
    monkeypatch.setattr(ops, "layer_backward", lambda *given: (calls.append("backward"), backward(*given))[1])
    seen, compared = set(), 0
    for seed in range(60):
        net, payloads, options = _random(seed)
        plain, kernel = PlainNetwork(net, **options), FusedNetwork(net, **options)
        x, y = torch.from_numpy(payloads.astype(np.float64)).requires_grad_(), torch.from_numpy(payloads.astype(np.float32)).requires_grad_()
        leaves = [[*_leaves(plain), x], [*_leaves(kernel), y]]
        expected = plain.run(x)
        with monkeypatch.context() as alone:  # a fallback to the slow loop fails here
            alone.setattr(PlainNetwork, "run", None)
            alone.setattr("ormia.train.plain.plain_layer", None)
            calls.clear()
            found = kernel.run(y)
        assert calls == ["forward"]
        assert torch.equal(found.spikes.double(), expected.spikes), seed
        assert torch.equal(found.membranes.double(), expected.membranes), seed
        assert torch.equal(found.scores, expected.scores), seed
        cover = plain.coverage
        saturated = [cover.current_saturated_high + cover.current_saturated_low, cover.membrane_saturated_high + cover.membrane_saturated_low]
        assert found.saturated.tolist() == saturated, seed
        seen |= {name for name, count in vars(cover).items() if count}
        if not expected.spikes.numel():
            continue
        chance = torch.Generator().manual_seed(seed)
        mix = [torch.randn(expected.spikes.shape, generator=chance) for _ in range(2)]
        gradients = [
            torch.autograd.grad((out.spikes * mix[0] * 50 + out.membranes * mix[1]).sum(), inputs, allow_unused=True)
            for out, inputs in zip((expected, found), leaves, strict=True)
        ]
        assert calls == ["forward", "backward"]
        by_bias = gradients[0][TRAINED.index("bias")].abs().max()
        for name, a, b in zip((*TRAINED, "payloads"), *gradients, strict=True):
            if a is not None and a.numel():
                compared += 1
                scale = max(1e-3, float(a.abs().max()), float(by_bias) if name == "reset_by" else 0)  # it sums the same terms, with both signs
                np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=0, atol=TOLERANCE * scale, err_msg=f"seed {seed}: {name}")
    assert compared > 200
    assert seen == set(vars(PlainNetwork(net).coverage)), "the draws must reach every branch of the semantics"


def test_the_kernel_gives_the_same_bits_for_any_number_of_threads() -> None:
    import numba

    net, payloads, options = next(found for seed in range(100, 200) if (found := _random(seed))[1].size > 300 and found[0].n_synapses > 40)
    results = []
    for threads in (1, 2):
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        torch.set_num_threads(threads)
        kernel = FusedNetwork(net, **options)
        leaves = _leaves(kernel)
        out = kernel.run(torch.from_numpy(np.tile(payloads, (1, 5, 1)).astype(np.float32)))
        results.append([out.spikes, out.membranes, *torch.autograd.grad(out.spikes.sum() + out.membranes.sum(), leaves)])
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def _layer_arguments(neurons: int = 12, motif: int = 4, inputs: int = 6, refractory: int = 1) -> tuple:
    """A layer of two delays, trained decays, and its arguments."""
    torch.manual_seed(0)
    layers = (LayerConfig(neurons=neurons, motif=motif, reach=1, delays=(0, 3), train_decays=True, tau_current=2.0),)
    model = SCMLModel(ModelConfig(layers=layers, refractory=refractory), inputs, 3, 3)
    source = torch.from_numpy(((np.random.default_rng(0).random((9, 5, inputs)) < 0.4) * 2).astype(np.float32))
    dense = model.weight_integers(model.feed_forward[0], 0) * 2.0 ** int(model.shifts[0])
    intra, lateral = (w * 2.0 ** int(model.shifts[1]) for w in model.recurrent_integers(0))
    neuron = [model.threshold_integers(0), *model.decay_integers(0)]
    return model.constants[0], [x.detach().requires_grad_() for x in (source, dense, intra, lateral, *neuron)]


@pytest.mark.parametrize("changes", [{}, {"lag": 1}, {"through_reset": True, "subtract": np.zeros(12, bool)}, {"firing": np.arange(12) < 8}], ids=str)
def test_the_path_of_other_devices_is_the_same_layer(changes: dict) -> None:
    constants, arguments = _layer_arguments()
    _check_layer(dataclasses.replace(constants, **changes), arguments)


@pytest.mark.parametrize("inputs", [6, 70])
@pytest.mark.parametrize("neurons", [16, 40, 64, 72, 144])
def test_a_layer_of_any_width_is_the_same_layer(neurons: int, inputs: int) -> None:
    """Widths that fill no vector, one, four and some more; the same of what it listens to."""
    _check_layer(*_layer_arguments(neurons, 8, inputs, refractory=neurons // 8 % 2))


@pytest.mark.parametrize("neurons", [5, 20, 48])
def test_a_layer_without_links_is_the_same_layer(neurons: int) -> None:
    constants, (source, dense, _, _, *neuron) = _layer_arguments(neurons, neurons)
    constants = dataclasses.replace(constants, links=np.zeros((0, 0), bool), deltas=np.zeros(0, np.int64), lag=1)
    _check_layer(constants, [source, dense, torch.zeros(0, 1, 1, requires_grad=True), torch.zeros(0, neurons, requires_grad=True), *neuron])


def _check_layer(constants: LayerConstants, arguments: list[torch.Tensor]) -> None:
    """A layer of the kernels has the bits of ``plain_layer`` and its gradients."""
    source, dense, intra, lateral, threshold, membrane_decay, current_decay = arguments
    if len(intra):
        intra = intra * torch.from_numpy(constants.links)  # absent links are no parameters
    found = scml_layer(source, dense, intra, lateral, threshold, constants, membrane_decay=membrane_decay, current_decay=current_decay)
    neuron = torch.stack([threshold, threshold, torch.zeros_like(threshold), membrane_decay, current_decay])
    expected = plain_layer(source, dense, intra, lateral, neuron, constants, not constants.firing.all())
    assert found[0].sum() > 20
    mix = torch.randn(found[0].shape, generator=torch.Generator().manual_seed(0))
    losses = []
    for spikes, after, _ in (expected, found):
        losses.append((spikes * mix).sum() + (after * 1e-3 * mix if after.numel() else after).sum())
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1].flatten(), expected[1].flatten())
    for a, b in zip(*(torch.autograd.grad(loss, arguments, retain_graph=True, allow_unused=True) for loss in losses), strict=True):
        if a is not None and a.numel():
            torch.testing.assert_close(b, a, rtol=0, atol=TOLERANCE * max(1e-3, float(a.abs().max())))


def test_the_operator_keeps_the_rules_of_torch_library() -> None:
    constants, (source, dense, intra, lateral, threshold, membrane_decay, current_decay) = _layer_arguments()
    neuron = torch.stack([threshold, threshold, torch.zeros(12), membrane_decay, current_decay]).detach().requires_grad_()
    wiring = [constants.wiring[0], torch.tensor([-4, 4]), *constants.wiring[2:]]
    given = (source, dense, intra, lateral, torch.zeros(0), neuron, constants.fixed, wiring, 0, [16, 16, 12], 2, 3.0, True, False, True, "layer")
    assert set(torch.library.opcheck(ops.layer_op, given).values()) == {"SUCCESS"}
    with pytest.raises(ValueError, match="one row a distance"):
        ops.layer_op(*given[:3], lateral[:1], *given[4:])


def test_a_sum_that_float32_cannot_hold_is_refused_by_the_name_of_its_layer() -> None:
    constants, (source, dense, *rest) = _layer_arguments()
    with pytest.raises(NetworkError, match=r"must stay within 2\*\*24.*layer 0 can reach"):
        scml_layer(source * 2**10, dense * 2**6, *rest[:3], constants)
    with pytest.raises(NetworkError, match="payloads into layer 0 must be integers"):
        scml_layer(source * 0.5 + source.sign() * 0.25, dense, *rest[:3], constants)
    with pytest.raises(NetworkError, match=r"of layer 0 must be integers"):
        scml_layer(source, dense + 0.5, *rest[:3], constants)


def test_saturation_is_counted_where_the_network_saturates() -> None:
    torch.manual_seed(1)
    model = SCMLModel(ModelConfig(layers=(LayerConfig(neurons=8, motif=4),), current_bits=8), 6, 2, 3)
    with torch.no_grad():
        calm = model(torch.zeros(10, 4, 6)).saturated
        loud = model(torch.full((10, 4, 6), 3.0)).saturated
    assert calm.sum() == 0
    assert 0 < loud[0, 0] <= 1


def test_trained_decays_move_and_are_exported() -> None:
    from ormia.train.export import to_network

    torch.manual_seed(2)
    model = SCMLModel(ModelConfig(layers=(LayerConfig(neurons=16, motif=8, train_decays=True, tau_current=1.0),)), 8, 3, 1)
    before = model.decay_integers(0)[0].detach().clone()
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    source = (torch.rand(30, 8, 8) < 0.4).float()
    for _ in range(3):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(source).emitted.mean(0) / 1024, torch.arange(8) % 3).backward()
        optimizer.step()
    membrane, current = (x.detach().numpy() for x in model.decay_integers(0))
    assert not np.array_equal(membrane, before.numpy())
    net = to_network(model, ("a", "b", "c"), payload_bits=1)
    np.testing.assert_array_equal(net.kind_membrane_decay[net.neuron_kind[:16]], membrane)
    np.testing.assert_array_equal(net.kind_current_decay[net.neuron_kind[:16], 0], current)
