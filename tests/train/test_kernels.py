# SPDX-License-Identifier: Apache-2.0
"""The fused kernels, the plain definition and the reference are one network: values bit for bit, gradients to rounding."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from ormia.edge.events import events_from_payloads  # noqa: E402
from ormia.edge.reference import Reference  # noqa: E402
from ormia.train.export import to_network  # noqa: E402
from ormia.train.loop import calibrate, to_input  # noqa: E402
from ormia.train.model import LayerConfig, ModelConfig, SCMLModel  # noqa: E402
from ormia.train.plain import PlainNetwork  # noqa: E402
from ormia.train.surrogate import SURROGATES, surrogate_slope  # noqa: E402

CLASSES = ("a", "b", "c", "d", "e")


def _model(seed: int, **options: object) -> tuple[SCMLModel, np.ndarray]:
    """A small lively model whose weights lie inside their grids, and payloads for it."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    layers = (LayerConfig(neurons=32, motif=8, tau_current=1.5), LayerConfig(neurons=12, motif=4, reach=1))
    model = SCMLModel(ModelConfig(layers=layers, **options), 20, len(CLASSES), 3)  # type: ignore[arg-type]
    payloads = ((rng.random((6, 25, 20)) < 0.25) * rng.integers(1, 4, (6, 25, 20))).astype(np.int16)
    calibrate(model, payloads, target=0.2)
    limit = (1 << (model.config.weight_bits - 1)) - 1
    with torch.no_grad():
        for place, weights in enumerate([w for pair in zip(model.feed_forward, model.intra, strict=True) for w in pair] + [model.readout]):
            weights.clamp_(*(sign * limit * 2 ** int(model.shifts[place]) / model.config.nominal_threshold for sign in (-1, 1)))
        for number, lateral in enumerate(model.lateral):
            lateral.clamp_(*(sign * limit * 2 ** int(model.shifts[2 * number + 1]) / model.config.nominal_threshold for sign in (-1, 1)))
    return model, payloads


VARIANTS = [
    {},
    {"reset": "zero", "refractory": 2},
    {"refractory": 1, "through_reset": True},
    {"reset": "zero", "through_reset": True, "surrogate": "arctan"},
    {"weight_bits": 2, "membrane_bits": 20, "current_bits": 12, "surrogate": "boxcar", "surrogate_scale": 0.5},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_forward_pass_is_the_exported_network_bit_for_bit(options: dict[str, object]) -> None:
    model, payloads = _model(1, **options)
    net = to_network(model, CLASSES, payload_bits=2)
    with torch.no_grad():
        out = model(to_input(payloads, 2))
    fired = torch.cat(out.spikes, 2).numpy().astype(bool)
    assert fired.mean() > 0.02
    reference = Reference(net)
    for i, clip in enumerate(payloads):
        trace = reference.run(events_from_payloads(clip))
        np.testing.assert_array_equal(trace.raster[:, : fired.shape[2]], fired[:, i])
        np.testing.assert_array_equal(trace.membranes[:, fired.shape[2] :], out.emitted[:, i].numpy())
        np.testing.assert_array_equal(trace.scores, out.scores[i].numpy())


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_gradients_equal_those_of_the_plain_definition(options: dict[str, object]) -> None:
    model, payloads = _model(2, **options)
    net = to_network(model, CLASSES, payload_bits=2)
    mix = torch.randn(len(payloads), len(CLASSES), generator=torch.Generator().manual_seed(0))
    (model(to_input(payloads, 2)).emitted.sum(0) * mix).sum().backward()
    plain = PlainNetwork(net, model.constants[0].surrogate, through_reset=model.config.through_reset)
    for leaf in (plain.weight, plain.threshold, plain.reset_by):
        leaf.requires_grad_()
    (plain.run(torch.from_numpy(payloads.transpose(1, 0, 2).astype(np.float64))).scores * mix).sum().backward()
    nominal = model.config.nominal_threshold
    ours, theirs = [], plain.weight.grad.numpy()
    for axon in range(net.n_axons):
        source = int(net.axon_source[axon])
        ours += [_gradient(model, source, int(target)) for target in net.synapses(axon)[0]]
    scale = np.abs(theirs).max()
    assert scale > 0
    np.testing.assert_allclose(np.array(ours) / scale, theirs / scale, atol=2e-5)
    by_threshold = plain.threshold.grad + (plain.reset_by.grad if model.config.reset == "subtract" and plain.reset_by.grad is not None else 0)
    for number, base in ((0, 0), (1, 32)):
        expected = by_threshold[base : base + len(model.threshold[number])].numpy()
        np.testing.assert_allclose(model.threshold[number].grad.numpy() / nominal, expected, atol=2e-5 * float(by_threshold.abs().max()))


def _gradient(model: SCMLModel, source: int, target: int) -> float:
    """Gradient by the stored integer of one synapse, from the gradient of its parameter."""
    base = (0, 32, 44)
    layer = next(i for i in (2, 1, 0) if target >= base[i])
    neuron, place = source - model.n_inputs, 2 * layer
    if layer == 2:
        grad, place = model.readout.grad[neuron - 32, target - 44], 4
    elif source < model.n_inputs or neuron < base[layer]:
        grad = model.feed_forward[layer].grad[source if layer == 0 else neuron, target - base[layer]]
    else:
        size, place = model.config.layers[layer].motif, 2 * layer + 1
        (m, i), (to_m, j) = divmod(neuron - base[layer], size), divmod(target - base[layer], size)
        grad = model.intra[layer].grad[m, i, j] if m == to_m else model.lateral[layer].grad[(-1, 1).index(to_m - m), neuron - base[layer]]
    return float(grad) * 2 ** int(model.shifts[place]) / model.config.nominal_threshold


def test_gradients_do_not_depend_on_the_number_of_threads() -> None:
    import numba

    grads = []
    for threads in (1, 2):
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        model, payloads = _model(3)
        model(to_input(payloads, 2)).emitted.sum().backward()
        grads.append([p.grad.clone() for p in model.parameters()])
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


@pytest.mark.parametrize("name", SURROGATES)
def test_surrogate_in_the_kernel_is_the_documented_one(name: str) -> None:
    x = torch.linspace(-3, 3, 101, dtype=torch.float64)
    surrogate = SURROGATES[name](1.7)
    np.testing.assert_allclose([surrogate_slope(surrogate.code, 1.7, float(v)) for v in x], surrogate.slope(x).numpy(), atol=1e-12)
