# SPDX-License-Identifier: Apache-2.0
"""A supernet of certain choices is the discrete network, which exports bit for bit; candidates are what motifs allow, tied over motifs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from ormia.edge.cost import core_memories  # noqa: E402
from ormia.edge.errors import UsageError  # noqa: E402
from ormia.edge.events import events_from_payloads  # noqa: E402
from ormia.edge.reference import Reference  # noqa: E402
from ormia.train.export import to_network  # noqa: E402
from ormia.train.hrmas.config import PriceConfig  # noqa: E402
from ormia.train.hrmas.discretize import SearchStopped, cluster, discrete_config, discrete_model, found_topologies  # noqa: E402
from ormia.train.hrmas.price import expected_price, price_loss  # noqa: E402
from ormia.train.hrmas.result import memory_saved  # noqa: E402
from ormia.train.hrmas.supernet import Candidates, Supernet  # noqa: E402
from ormia.train.loop import calibrate, to_input  # noqa: E402
from ormia.train.model import LayerConfig, ModelConfig, SCMLModel  # noqa: E402
from ormia.train.topology import Link, Topology, shuffled  # noqa: E402

CONFIG = ModelConfig(layers=(LayerConfig(neurons=24, tau_membrane=(4.0,)), LayerConfig(neurons=12, inhibitory=-0.4)))
SIZES = (2, 3, 4, 6)


def clips(rng, n=6):
    return (rng.random((n, 20, 8)) < 0.4).astype(np.int16)


def supernet(lateral=True, seed=0, **options):
    torch.manual_seed(seed)
    found = Supernet(CONFIG, SIZES, lateral, 8, 3, 1, **options)
    calibrate(found, clips(np.random.default_rng(seed)), target=0.15)
    return found


def decide(net, rng):
    """Certain sizes and types, drawn at random, and neurons each with an R and a tau of their own."""
    for number, candidates in enumerate(net.candidates):
        with torch.no_grad():
            candidates.size_logits.zero_()[number + 1] = 1e4
            drawn = torch.from_numpy(rng.integers(0, 3, len(candidates.link_logits)))
            candidates.link_logits.copy_(torch.nn.functional.one_hot(drawn, 3) * 1e4)
        resistance, tau, _ = net.intrinsic(number)
        net.set_intrinsic(number, resistance * rng.uniform(0.6, 2, len(tau)), tau * rng.uniform(0.6, 3, len(tau)))
    return net


@pytest.mark.parametrize(
    ("options", "sizes"),
    [({}, [3, 4]), ({"lateral": False}, [3, 4]), ({"ring": True}, [3, 4]), ({"untied": True}, [24, 12]), ({"ring": True, "untied": True}, [24, 12])],
)
def test_a_supernet_of_certain_choices_is_the_discrete_network_bit_for_bit(options, sizes):
    rng = np.random.default_rng(len(options))
    net = decide(supernet(**options), rng)
    found = discrete_model(net, discrete_config(net, CONFIG, found_topologies(net)))
    assert [topology.size for topology in found.topologies] == sizes
    payloads = to_input(clips(rng), 2)
    a, b = net(payloads), found(payloads)
    for one, other in zip(a.spikes, b.spikes, strict=True):
        assert 0.02 < one.mean() < 0.6
        assert torch.equal(one, other)
    assert torch.equal(a.emitted, b.emitted)


def test_the_found_network_exports_bit_for_bit_and_motifs_share_its_lists():
    pack = pytest.importorskip("ormia.hdl.pack", reason="the hdl extra is not installed")
    rng = np.random.default_rng(3)
    net = decide(supernet(), rng)
    model = discrete_model(net, discrete_config(net, CONFIG, found_topologies(net), kinds=5))
    network = to_network(model, ("a", "b", "c"), payload_bits=1)
    assert len(network.kind_firing) <= 2 * 5 + 1
    reference, payloads = Reference(network), clips(rng, 3)
    with torch.no_grad():
        out = model(to_input(payloads, 2))
    fired = torch.cat(out.spikes, 2).numpy().astype(bool)
    for i, clip in enumerate(payloads):
        trace = reference.run(events_from_payloads(clip))
        assert np.array_equal(trace.raster[:, :36], fired[:, i])
        assert np.array_equal(trace.membranes[:, 36:], out.emitted[:, i].numpy())
    packed = pack.pack(network, "shared")
    pack.check_packing(network, packed)  # unpacks every list and compares
    assert len(packed.targets) < len(pack.pack(network, "plain").targets)
    saved = memory_saved(network)
    assert saved["shared"] < saved["plain"]
    assert saved["plain"] == sum(m.size for m in core_memories(network) if m.name in ("axon table", "targets", "weights"))


def test_a_layer_whose_size_is_fixed_runs_fewer_distances_to_the_same_bits_and_gradients():
    nets = [supernet(), supernet()]
    for net in nets:
        with torch.no_grad():
            for candidates, k in zip(net.candidates, (1, 2), strict=True):
                candidates.size_logits[k] = 1e4
    assert nets[0].fix_sizes() == [3, 4]
    assert [len(c.rows) for c in nets[0].candidates] == [2 * 3 + 1, 2 * 4 + 1]  # 1 - size .. size - 1, and both neighbors
    assert [len(net.constants[0].deltas) for net in nets] == [7, 13]
    outs = [net(to_input(clips(np.random.default_rng(1)), 2)) for net in nets]
    for one, other in zip(outs[0].spikes, outs[1].spikes, strict=True):
        assert torch.equal(one, other)
    for out in outs:
        out.emitted.square().mean().backward()
    for one, other in zip(nets[0].lateral, nets[1].lateral, strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-4, atol=1e-4 * float(one.grad.abs().max()))


@pytest.mark.parametrize(("neurons", "size", "intra", "between"), [(800, 16, 12800, 1568), (400, 16, 6400, 768), (512, 2, 1024, 1020)])
def test_candidates_are_as_many_as_motifs_allow(neurons, size, intra, between):
    candidates = Candidates(neurons, (size,), True)
    place = candidates.place.numpy()
    assert np.count_nonzero(place < size * size) == intra
    assert np.count_nonzero((place >= size * size) & (place < candidates.starts[-1])) == between


def test_a_ring_links_the_last_motif_to_the_first_with_the_types_of_all_others():
    rng = np.random.default_rng(4)
    chain, ring = (decide(supernet(ring=closed), np.random.default_rng(4)).candidates[0].topology() for closed in (False, True))
    assert (chain.deltas, ring.deltas) == ((-1, 1), (-1, 1, 7, -7))  # 8 motifs of 3
    assert np.array_equal(ring.intra, chain.intra)
    assert np.array_equal(ring.lateral, np.concatenate([chain.lateral, chain.lateral]))
    assert Candidates(12, (6,), True, ring=True).topology().deltas == (-1, 1)  # the other of two motifs is a neighbor already
    both = decide(supernet(ring=True, untied=True), rng).candidates[0].topology()
    far = np.subtract.outer(np.arange(24), np.arange(24))
    assert {int(d) for d in np.unique(np.abs(far[both.intra > 0]))} == {0, 1, 2, 3, 21}


def test_untied_types_differ_between_motifs():
    topology = decide(supernet(untied=True), np.random.default_rng(0)).candidates[0].topology()
    blocks = [topology.intra[3 * m : 3 * m + 3, 3 * m : 3 * m + 3] for m in range(8)]
    assert all(np.array_equal(block, blocks[0]) for block in blocks)
    between = np.array([np.diag(topology.intra[3 * m : 3 * m + 3, 3 * m + 3 : 3 * m + 6]) for m in range(7)])
    assert len(np.unique(between, axis=0)) > 1


def test_gradients_by_logits_are_those_of_the_mixture():
    net = supernet()
    net.recurrent_integers(0)[1].square().sum().backward()
    candidates = net.candidates[0]
    assert all(bool((p.grad != 0).any()) for p in (candidates.size_logits, candidates.link_logits, net.lateral[0]))
    assert candidates.link_logits.grad.sum(1).abs().max() < 1e-2 * candidates.link_logits.grad.abs().max()
    assert net.candidates[1].link_logits.grad is None


def test_one_type_serves_all_motifs():
    net = decide(supernet(), np.random.default_rng(0))
    shares = net.candidates[0].shares().detach()  # size 3
    rows = {int(d): k for k, d in enumerate(net.candidates[0].distances)}
    for distance in (0, 1, -1, 2, 3):
        by_motif = shares[:, rows[distance]].view(2, 8, 3)
        for j in range(3):
            inside = by_motif[:, :7, j] if distance == 3 else by_motif[:, :, j]
            assert (inside == inside[:, :1]).all()


def test_an_inhibitory_weight_is_never_trained_and_an_excitatory_one_never_negative():
    rows = ("+-", ".+", "-1: -+", "1: +.")
    config = ModelConfig(layers=(LayerConfig(neurons=8, topology=rows, inhibitory=-0.3),))
    torch.manual_seed(0)
    model = SCMLModel(config, 8, 3, 1)
    calibrate(model, clips(np.random.default_rng(0)), target=0.3)
    before = [w.detach().clone() for w in model.recurrent_integers(0)]
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    for _ in range(3):
        optimizer.zero_grad()
        model(to_input(clips(np.random.default_rng(1)), 1)).emitted.square().mean().div(1e4).backward()
        optimizer.step()
        model.constrain()
    after = [w.detach() for w in model.recurrent_integers(0)]
    inhibitory = torch.from_numpy(model.topologies[0].intra == Link.INHIBITORY).expand_as(before[0])
    fixed = round(-0.3 * 1024 / 2 ** int(model.shifts[1]))
    assert set(after[0][inhibitory].tolist()) == {fixed}
    assert after[1][0, 0::2].tolist() == [0, fixed, fixed, fixed]
    assert (after[0][~inhibitory] >= 0).all()
    assert not torch.equal(before[0], after[0])
    assert (after[0][:, 1, 0] == 0).all()


def test_rows_give_back_the_topology_and_a_shuffle_keeps_its_counts():
    rng = np.random.default_rng(0)
    topology = Topology(rng.integers(0, 4, (5, 5)).astype(np.int8), (-1, 1), rng.integers(0, 4, (2, 5)).astype(np.int8))
    again = Topology.from_rows(topology.rows())
    assert np.array_equal(again.types, topology.types)
    assert again.deltas == (-1, 1)
    other = shuffled(topology, rng)
    assert other.counts() == topology.counts()
    assert not np.array_equal(other.intra, topology.intra)


@pytest.mark.parametrize("rows", [("+-", "."), ("+x", ".."), ("+",  "0: +"), ("1: +",), ("+", "1: ++"), ("+", "1: +", "1: .")])  # fmt: skip
def test_rows_that_are_no_topology_are_refused(rows):
    with pytest.raises(UsageError, match="a topology must be as many rows"):
        Topology.from_rows(rows)


def test_time_constants_are_drawn_together_to_few_kinds():
    rng = np.random.default_rng(0)
    tau = rng.uniform(2, 30, 64)
    for kinds in (1, 6, 24):
        few = cluster(tau, kinds)
        assert len(np.unique(few)) <= kinds
        assert np.abs(np.log(few / tau)).max() <= np.log(tau.max() / tau.min()) / kinds / 2 + 1e-12
    assert np.array_equal(cluster(tau, 64), tau)


@pytest.mark.parametrize("options", [{}, {"ring": True}, {"untied": True}])
def test_the_price_of_certain_choices_is_what_the_network_takes(options):
    rng = np.random.default_rng(2)
    net = decide(supernet(**options), rng)
    with torch.no_grad():
        for weights in net.lateral:
            weights.clamp_(min=0.2)  # none rounds to 0, for that would not be stored
    model = discrete_model(net, discrete_config(net, CONFIG, found_topologies(net)))
    network = to_network(model, ("a", "b", "c"), payload_bits=1)
    rate = torch.from_numpy(rng.random(24).astype(np.float32))
    with torch.no_grad():
        price = expected_price(net.candidates[0], rate, weight_bits=4, target_bits=6)
    fan_out = np.zeros(24)
    for axon in range(network.n_axons):
        source, targets = network.axon_source[axon] - 8, network.synapses(axon)[0]
        if 0 <= source < 24 and targets[0] < 24:
            fan_out[source] = len(targets)
    counts = model.topologies[0].counts()
    assert float(price.synapses) == fan_out.sum()
    assert float(price.cycles) == pytest.approx(float((fan_out * rate.numpy()).sum()), rel=1e-5)
    assert float(price.memory) == 4 * fan_out.sum() + 6 * (counts["excitatory"] + counts["inhibitory"])  # untied: one motif, which lists every link


def test_a_price_pulls_links_away():
    net = supernet()
    rates = [torch.full((layer.neurons,), 0.1) for layer in CONFIG.layers]
    loss = price_loss(net, rates, PriceConfig(synapses=1.0, memory=1.0, cycles=1.0))
    assert 0 < float(loss.detach()) < 3
    loss.backward()
    for candidates in net.candidates:
        assert (candidates.link_logits.grad[:, 0] < 0).all()  # descent raises "none"
        assert candidates.size_logits.grad[-1] > 0 > candidates.size_logits.grad[0]


def test_a_topology_without_any_link_is_refused():
    net = supernet()
    with torch.no_grad():
        net.candidates[1].link_logits[:, 0] = 9.0
    with pytest.raises(SearchStopped, match=r"must have links, but every type of layer 1 \(motif size 2\) is none: search on with more epochs"):
        found_topologies(net)


def test_a_size_that_does_not_divide_a_layer_is_refused():
    with pytest.raises(UsageError, match=r"every motif size must divide the layer: 24 neurons are no whole number of motifs of 5"):
        Supernet(CONFIG, (2, 5), True, 8, 3, 1)
    with pytest.raises(UsageError, match="the motif size must divide the layer: 9 neurons"):
        SCMLModel(dataclasses.replace(CONFIG, layers=(LayerConfig(neurons=9, topology=("+-", ".+")),)), 8, 3, 1)
