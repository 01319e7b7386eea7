# SPDX-License-Identifier: Apache-2.0
"""Models with delayed axons are the networks they export to."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from ormia.edge.errors import UsageError  # noqa: E402
from ormia.edge.events import events_from_payloads  # noqa: E402
from ormia.edge.network import Network  # noqa: E402
from ormia.edge.reference import Reference  # noqa: E402
from ormia.train.export import to_network  # noqa: E402
from ormia.train.loop import calibrate, to_input  # noqa: E402
from ormia.train.model import LayerConfig, ModelConfig, SCMLModel  # noqa: E402
from ormia.train.plain import delayed  # noqa: E402


def assert_runs_as_exported(model: SCMLModel, net: Network, payloads: np.ndarray) -> None:
    """Every spike and readout membrane of a model is that of the reference on its network, and its last layer fires."""
    with torch.no_grad():
        out = model(to_input(payloads, len(layers := model.config.layers)))
    fired = torch.cat(out.spikes, 2).numpy().astype(bool)
    hidden = fired.shape[2]
    assert fired[:, :, hidden - layers[-1].neurons :].any()
    reference = Reference(net)
    for i, clip in enumerate(payloads):
        trace = reference.run(events_from_payloads(clip))
        np.testing.assert_array_equal(trace.raster[:, :hidden], fired[:, i])
        np.testing.assert_array_equal(trace.membranes[:, hidden:], out.emitted[:, i].numpy())


def test_delayed_axons_of_every_layer_export_bit_for_bit() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    layers = (LayerConfig(neurons=16, motif=8, delays=(0, 2, 5)), LayerConfig(neurons=12, motif=4, delays=(3, 1)))
    model = SCMLModel(ModelConfig(layers=layers), 10, 3, 3)
    payloads = ((rng.random((4, 20, 10)) < 0.3) * rng.integers(1, 4, (4, 20, 10))).astype(np.int16)
    calibrate(model, payloads, target=0.2)
    net = to_network(model, ("a", "b", "c"), payload_bits=2)
    assert set(net.axon_delay[net.axon_source < 10]) == {0, 2, 5}
    assert_runs_as_exported(model, net, payloads)


def test_a_delay_beyond_the_clip_carries_nothing() -> None:
    events = torch.arange(1.0, 4.0)[:, None, None]
    assert delayed(events, (1, 3, 7))[:, 0].tolist() == [[0, 0, 0], [1, 0, 0], [2, 0, 0]]


@pytest.mark.parametrize("delays", [(), (-1, 0), (2, 2)])
def test_delays_must_be_different_numbers_from_0_up(delays: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="delays must be different"):
        SCMLModel(ModelConfig(layers=(LayerConfig(neurons=8, motif=8, delays=delays),)), 4, 2, 1)
