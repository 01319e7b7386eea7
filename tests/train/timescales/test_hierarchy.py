# SPDX-License-Identifier: Apache-2.0
"""Hierarchies of time constants, their input gain, learnt delays, and what is refused."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from ormia.edge.errors import UsageError  # noqa: E402
from ormia.edge.events import events_from_payloads  # noqa: E402
from ormia.edge.reference import Reference  # noqa: E402
from ormia.train.config import load_recipe  # noqa: E402
from ormia.train.export import to_network  # noqa: E402
from ormia.train.loop import calibrate, to_input  # noqa: E402
from ormia.train.model import LayerConfig, ModelConfig, SCMLModel, decay_factor, with_timescales  # noqa: E402
from ormia.train.timescales.hierarchy import Timescales, achievable, check_time_constants, depth_profile, drive_factors, within_layer  # noqa: E402

THREE = tuple(LayerConfig(neurons=12, motif=4) for _ in range(3))


def draw_payloads(n_timesteps: int = 20, n_inputs: int = 10) -> np.ndarray:
    rng = np.random.default_rng(0)
    return ((rng.random((4, n_timesteps, n_inputs)) < 0.3) * rng.integers(1, 4, (4, n_timesteps, n_inputs))).astype(np.int16)


@given(st.sampled_from(["tanh", "linear", "power"]), st.integers(2, 6), st.floats(0.05, 3), st.floats(0, 1), st.floats(0.2, 4))
def test_every_shape_rises_from_minus_to_plus_a_half(shape, layers, steepness, center, exponent):
    profile = depth_profile(Timescales(shape=shape, steepness=steepness, center=center, exponent=exponent), layers)
    assert profile[0] == -0.5
    assert profile[-1] == pytest.approx(0.5)
    assert all(a <= b for a, b in itertools.pairwise(profile))


def test_the_published_table_of_the_tanh_shape():
    scales = Timescales(shape="tanh", mean=300.0, spread=500.0)
    for layers, expected in ((2, [50, 550]), (3, [50, 300, 550]), (4, [50, 194, 406, 550]), (5, [50, 148, 300, 452, 550])):
        config = with_timescales(ModelConfig(layers=THREE[:1] * layers, timescales=scales))
        assert [layer.tau_membrane for layer in config.layers] == [(pytest.approx(tau, abs=0.6),) for tau in expected]


@pytest.mark.parametrize(("recipe", "timestep_ms"), [("shd", 14.14), ("ssc", 7.04)])
def test_the_recipes_of_the_paper_are_the_hierarchy_of_its_settings(recipe, timestep_ms):
    model = load_recipe(recipe).model
    mean, spread = 100 / timestep_ms, 150 / timestep_ms
    scales = Timescales(shape="tanh", mean=mean, spread=spread, jitter=0.2, kinds=5)
    made = with_timescales(dataclasses.replace(model, timescales=scales))
    for layer, given_layer in zip(made.layers, model.layers, strict=True):
        assert np.mean(layer.tau_membrane) == pytest.approx(np.mean(given_layer.tau_membrane), rel=0.002)


def test_jitter_keeps_the_mean_and_makes_as_many_kinds():
    for shape in ("uniform", "normal"):
        taus = within_layer(Timescales(jitter=0.2, jitter_shape=shape, kinds=4), 10.0)
        assert len(set(taus)) == 4
        assert np.mean(taus) == pytest.approx(10.0)
    model = SCMLModel(ModelConfig(layers=THREE, timescales=Timescales(shape="linear", mean=9.0, spread=8.0, jitter=0.1, kinds=3)), 4, 2, 1)
    assert [len(set(c.membrane_decay)) for c in model.constants] == [3, 3, 3]


@pytest.mark.parametrize(("train", "shares"), [("layer", 1), ("motif", 3), ("neuron", 12)])
def test_time_constants_are_trained_by_layer_motif_or_neuron(train, shares):
    torch.manual_seed(1)
    config = ModelConfig(layers=THREE, timescales=Timescales(shape="tanh", mean=6.0, spread=4.0, train=train))
    model = SCMLModel(config, 10, 3, 3)
    assert [len(model.decays[str(k)]) for k in range(3)] == [shares + 1] * 3  # and one of the currents
    calibrate(model, draw_payloads(), target=0.2)
    out = model(to_input(draw_payloads(), 3))
    out.emitted.square().mean().backward()
    assert all(float(model.decays[str(k)].grad[:-1].abs().min()) > 0 for k in (0, 1)) if train != "neuron" else model.decays["0"].grad.abs().sum() > 0
    with torch.no_grad():
        model.decays["0"][0] = 0.5
    changed = np.flatnonzero(model.decay_integers(0)[0].detach().numpy() == 2048)
    assert changed.tolist() == list(range({"layer": 12, "motif": 4, "neuron": 1}[train]))


def test_input_gain_alone_scales_drives_and_leaves_time_constants():
    scales = Timescales(shape="tanh", mean=10.0, gain_spread=16.0)
    factors = drive_factors(scales, 3)
    assert factors[1] == pytest.approx(1.0)
    assert factors == pytest.approx([(1 - np.exp(-1 / 10)) / (1 - np.exp(-1 / tau)) for tau in (2.0, 10.0, 18.0)])
    spread = []
    for used in (scales, dataclasses.replace(scales, gain_spread=0.0)):
        torch.manual_seed(1)
        model = SCMLModel(ModelConfig(layers=THREE, timescales=used), 10, 3, 3)
        calibrate(model, draw_payloads(), target=0.2)
        assert {int(x) for c in model.constants for x in c.membrane_decay} == {decay_factor(10.0, 12)}
        spread.append([float(w.detach().std()) for w in model.feed_forward])
    assert np.divide(*spread) == pytest.approx(factors, rel=1e-5)


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ({"mean": 2.0, "spread": 3.0}, r"layer 0 must be within 1 to 4095.5 timesteps; 0.5 is below one timestep"),
        ({"mean": 2.0, "spread": -9.0}, r"layer 2 must be within 1 to 4095.5 timesteps; -2.5 is negative"),
        ({"mean": 4000.0, "spread": 1000.0}, r"layer 2 must be within 1 to 4095.5 timesteps; 4500 is beyond decay factors of 12 bits"),
        ({"mean": 1.1, "jitter": 0.2}, "below one timestep"),
    ],
)
def test_time_constants_that_no_decay_stands_for_are_refused_with_the_range(scales, message):
    with pytest.raises(UsageError, match=message):
        SCMLModel(ModelConfig(layers=THREE, timescales=Timescales(shape="linear", **scales)), 4, 2, 1)


def test_a_layers_own_time_constants_are_checked_too():
    with pytest.raises(UsageError, match=r"layer 0 must be within 1 to 255.5 timesteps; 300 is beyond decay factors of 8 bits"):
        SCMLModel(ModelConfig(layers=(LayerConfig(neurons=8, motif=8, tau_membrane=(3.0, 300.0)),), decay_bits=8), 4, 2, 1)


@given(st.integers(4, 16))
def test_the_achievable_range_is_that_of_the_decay_factors(bits):
    low, high = achievable(bits)
    check_time_constants((low, high), bits, "x")
    assert decay_factor(high, bits) == 2**bits - 1


@pytest.mark.parametrize("wrong", [{"shape": "cubic"}, {"train": "synapse"}, {"jitter_shape": "gamma"}, {"jitter": 1.0}, {"steepness": 0.0}, {"kinds": 0}])
def test_wrong_settings_of_a_hierarchy_are_refused(wrong):
    with pytest.raises(UsageError, match="timescales"):
        Timescales(**wrong)


def test_learnt_delays_are_whole_timesteps_that_export_bit_for_bit_and_have_gradients():
    torch.manual_seed(0)
    layers = (
        LayerConfig(neurons=16, motif=8, delays=tuple(range(6)), learn_delays=True),
        LayerConfig(neurons=12, motif=4, delays=tuple(range(4)), learn_delays=True),
    )
    model = SCMLModel(ModelConfig(layers=layers), 10, 3, 3)
    payloads = draw_payloads()
    calibrate(model, payloads, target=0.2)
    out = model(to_input(payloads, 2))
    out.emitted.square().mean().backward()
    assert all(float(model.places[k].grad.abs().sum()) > 0 and float(model.feed_forward[int(k)].grad.abs().sum()) > 0 for k in "01")
    with torch.no_grad():
        for place in model.places.values():
            place.sub_(0.3 * place.grad.sign())
        out = model(to_input(payloads, 2))
    net = to_network(model, ("a", "b", "c"), payload_bits=2)
    assert net.max_delay == 5
    assert net.n_synapses <= sum(w.numel() for w in (*model.feed_forward, model.readout, *model.intra)) + 2 * 28
    fired, reference = torch.cat(out.spikes, 2).numpy().astype(bool), Reference(net)
    for i, clip in enumerate(payloads):
        trace = reference.run(events_from_payloads(clip))
        np.testing.assert_array_equal(trace.raster[:, :28], fired[:, i])
        np.testing.assert_array_equal(trace.membranes[:, 28:], out.emitted[:, i].numpy())


def test_the_gradient_of_a_learnt_delay_points_to_where_the_cause_lies():
    """One synapse, an event 4 timesteps before the wanted time: the delay moves from 1 toward 4."""
    layer = LayerConfig(neurons=2, motif=1, topology=(".",), delays=tuple(range(7)), learn_delays=True, delay_sigma=1.5)
    model = SCMLModel(ModelConfig(layers=(layer,)), 1, 2, 1)
    with torch.no_grad():
        model.places["0"].fill_(1.4)
        model.feed_forward[0].copy_(torch.tensor([[1.0, -1.0]]))
        model.set_shifts()
    model.feed_forward_integers(0)[4].sum().backward()
    assert (model.places["0"].grad * model.feed_forward[0].detach()).min() > 0  # later where the weight is to grow, earlier where it is to fall


def test_a_delay_that_no_file_holds_is_refused_before_training_and_by_how_much():
    with pytest.raises(UsageError, match="delays must be at most 255 timesteps, not 300: take 45 off"):
        SCMLModel(ModelConfig(layers=(LayerConfig(neurons=8, motif=8, delays=(0, 300)),)), 4, 2, 1)


@pytest.mark.parametrize("delays", [(0, 2, 4), (1, 2)])
def test_learnt_delays_need_consecutive_candidates(delays):
    with pytest.raises(UsageError, match="learnt delays must be among 0, 1"):
        SCMLModel(ModelConfig(layers=(LayerConfig(neurons=8, motif=8, delays=delays, learn_delays=True),)), 4, 2, 1)


def test_a_search_for_motifs_starts_from_the_hierarchy_and_what_plasticity_found_stands():
    from ormia.train.hrmas.discretize import discrete_config
    from ormia.train.hrmas.supernet import Supernet

    config = ModelConfig(layers=THREE, timescales=Timescales(shape="linear", mean=9.0, spread=8.0))
    supernet = Supernet(config, (4,), True, 10, 3, 3)
    topologies = [c.topology() for c in supernet.candidates]
    assert [set(supernet.intrinsic(k)[1]) for k in range(3)] == [{5.0}, {9.0}, {13.0}]
    supernet.tau_1.fill_(7.0)
    for keep, expected in ((True, [{5.0}, {7.0}, {13.0}]), (False, [{5.0}, {9.0}, {13.0}])):
        found = with_timescales(discrete_config(supernet, config, topologies, keep_intrinsic=keep))
        assert [set(layer.tau_membrane) for layer in found.layers] == expected


def test_what_a_search_for_motifs_learnt_of_delays_is_in_its_discrete_network():
    from ormia.train.hrmas.discretize import discrete_config, discrete_model
    from ormia.train.hrmas.supernet import Supernet

    layer = LayerConfig(neurons=8, motif=4, delays=(0, 1, 2, 3), learn_delays=True)
    config = ModelConfig(layers=(layer,))
    supernet = Supernet(config, (4,), False, 10, 3, 3)
    found = discrete_model(supernet, discrete_config(supernet, config, [c.topology() for c in supernet.candidates]))
    assert torch.equal(found.feed_forward_integers(0), supernet.feed_forward_integers(0))
