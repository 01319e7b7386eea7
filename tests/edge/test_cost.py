# SPDX-License-Identifier: Apache-2.0
"""The account of memories against what the packer really stores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ec_like import ec_like
from ormia.edge.cost import Memory, core_memories, footprint
from ormia.edge.network import Formats, MotifHint, Network, Readout

config = pytest.importorskip("ormia.hdl.config", reason="the packer of the core needs amaranth: pip install 'ormia[hdl]'")


# memory of the generated core -> its name in the account
NAMES = {
    "queue.rows": "event queue", "queue.firsts": "first events", "walker.axons": "axon table", "walker.targets": "targets", "walker.weights": "weights",
    "walker.bitmap": "targets", "walker.sums": "accumulators", "sweep.parameters": "neuron parameters", "sweep.membranes": "membranes",
    "sweep.currents": "currents",
}  # fmt: skip


def generated(net: Network, packing: str) -> dict[str, Memory]:
    """Memories of the gateware itself, but for class scores."""
    from amaranth.back import rtlil
    from ormia.hdl.core import SpikingCore
    from ormia.hdl.utilization import memories_of

    found = memories_of(rtlil.convert(SpikingCore(net, config.CoreConfig(packing=packing))))
    return {NAMES[m.name]: Memory(NAMES[m.name], m.rows, m.bits) for m in found if m.name in NAMES}


@pytest.mark.parametrize("seed", range(12))
def test_plain_packing_is_what_the_generated_core_has(random_network, seed):
    net = random_network(seed, n_inputs=4)
    expected = generated(net, "plain")
    account = {memory.name: memory for memory in core_memories(net) if memory.size}
    several = len(set(zip(net.axon_source.tolist(), net.axon_delay.tolist(), strict=True))) < net.n_axons
    if several:  # of one source and delay: their rows are chained, and may lie apart
        assert account.pop("axon table").rows <= expected.pop("axon table").rows
    assert account == expected


def test_the_estimate_of_shared_packing_is_near(motif_network):
    expected = generated(motif_network, "shared")
    memories = {memory.name: memory for memory in core_memories(motif_network, shared=True)}
    assert sum(m.size for m in memories.values()) == pytest.approx(sum(m.size for m in expected.values()), rel=0.1)
    plain = sum(memory.size for memory in core_memories(motif_network))
    assert sum(memory.size for memory in memories.values()) < 0.8 * plain


def test_slots_of_dense_lists_are_counted_exactly(hearing):
    net = hearing()
    for packing in ("plain", "shared"):
        expected = generated(net, packing)
        account = {memory.name: memory for memory in core_memories(net, shared=packing == "shared")}
        for name in ("targets", "weights"):
            assert account[name] == expected[name]


@pytest.fixture
def motif_network() -> Network:
    """Inputs to all of 128 neurons, which are 8 motifs of 16 with links to their neighbors, and a readout."""
    rng = np.random.default_rng(2)
    links = tuple((i, j) for i in range(16) for j in range(16) if rng.random() < 0.3)
    hint = MotifHint(base=0, size=16, count=8, intra=links, lateral=tuple((d, j) for d in (-1, 1) for j in range(0, 16, 2)))
    lists = [np.arange(128)] * 40 + [np.array([*hint.targets(n), *range(128, 138)]) for n in range(128)]
    n_synapses = sum(map(len, lists))
    kind = np.array([0] * 128 + [1] * 10)
    return Network(
        formats=Formats(), n_inputs=40, axon_source=np.arange(168), synapse_start=np.cumsum([0, *map(len, lists)]), synapse_target=np.concatenate(lists),
        synapse_weight=rng.choice([-8, -3, 1, 5, 7], n_synapses), neuron_kind=kind, threshold=np.where(kind == 0, 500, 0), kind_membrane_decay=[3500, 4000],
        kind_current_decay=[[3000], [0]], kind_firing=[1, 0], kind_reset=[0, 0], kind_refractory=[0, 0], kind_drive_shift=[4, 0],
        kind_current_shift=[0, 0], readout_neuron=np.arange(128, 138), readout_class=np.arange(10), readout=Readout.SUM,
        labels=tuple(f"word{i}" for i in range(10)), motifs=(hint,),
    )  # fmt: skip


@pytest.mark.parametrize("density", [0.03, 0.5])
@pytest.mark.parametrize("packing", ["indices", "bitmap"])
def test_packings_without_weights_are_counted_as_the_generated_core_has_them(packing, density):
    net = ec_like(neurons=120, density=density)
    expected = generated(net, packing)
    account = {memory.name: memory for memory in footprint(net).boolean[packing] if memory.size}
    assert account["targets"].bits == expected["targets"].bits
    assert account["targets"].rows == pytest.approx(expected["targets"].rows, rel=0.1)  # the packer also lays short lists into longer ones
    assert account["axon table"].bits == pytest.approx(expected["axon table"].bits, abs=1)
    assert {name for name in expected if account.get(name) != expected[name]} <= {"targets", "axon table"}


def test_the_packing_that_takes_the_fewest_block_rams_is_named():
    assert footprint(ec_like(neurons=250)).packing == "bitmap"
    assert footprint(ec_like(neurons=250, density=0.04)).packing == "indices"
    assert footprint(replace(ec_like(neurons=250), axon_boolean=np.zeros(258, bool))).boolean == {}
