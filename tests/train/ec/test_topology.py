# SPDX-License-Identifier: Apache-2.0
"""One motif that serves all: its links in every motif, its hint borne out by the exported network."""

from __future__ import annotations

import numpy as np
import pytest
from ormia.edge.errors import UsageError
from ormia.train.ec.config import RECIPES, load_recipe
from ormia.train.ec.export import to_network
from ormia.train.ec.model import Layout, NetworkConfig, pack_rows, unpack_rows
from ormia.train.ec.scales import scales
from ormia.train.ec.topology import FreeTopology, MotifTopology, make_topology
from ormia.train.recipe import recipe_names

LAYOUT, CONFIG = Layout(2, 128, 3), NetworkConfig(neurons=128, motif=16, motif_reach=2)


def drawn(topology, seed=0):
    return pack_rows(np.random.default_rng(seed).random(topology.bits) < 0.3)


def exported(topology, words):
    labels = ("a", "b", "c")
    return to_network(words, CONFIG, topology, scales(CONFIG, 2), labels, payload_bits=8, payload_signed=True)


def test_every_motif_has_the_links_of_the_one_that_is_searched():
    topology = make_topology(CONFIG, LAYOUT)
    words = drawn(topology)
    rows = unpack_rows(topology.connect(words[None])[0])
    back = np.argsort(topology.order)  # neuron of the network at each exported place
    recurrent = rows[LAYOUT.recurrent : LAYOUT.readout][np.ix_(back, back)].reshape(8, 16, 8, 16)
    (hint,) = topology.hints(words)
    intra = np.zeros((16, 16), bool)
    intra[tuple(np.array(hint.intra).T)] = True
    lateral = {delta: np.zeros(16, bool) for delta in (-2, -1, 1, 2)}
    for delta, j in hint.lateral:
        lateral[delta][j] = True
    for m in range(8):
        for other in range(8):
            expected = intra if m == other else np.diag(lateral.get(other - m, np.zeros(16, bool)))
            assert np.array_equal(recurrent[m, :, other], expected)
    assert topology.bits < LAYOUT.bits / 8


def test_each_motif_has_the_same_neurons_that_excite():
    topology = make_topology(CONFIG, LAYOUT)
    excites = np.zeros(128, bool)
    excites[topology.order[:64]] = True
    assert (excites.reshape(8, 16) == (np.arange(16) < 8)).all()


def test_the_exported_hint_is_verified_and_the_network_is_the_one_that_was_searched():
    motif, free = make_topology(CONFIG, LAYOUT), FreeTopology(LAYOUT)
    words = drawn(motif, 5)
    net = exported(motif, words)  # its construction refuses a hint that the synapses do not bear out
    assert net.motifs == motif.hints(words)
    other = exported(free, motif.connect(words[None]).reshape(-1))
    assert net.n_synapses == other.n_synapses
    assert net.axon_boolean.all()
    order = np.concatenate([motif.order, np.arange(128, 131)])
    links = {(int(order[s - 2]), tuple(sorted(order[other.synapses(a)[0]].tolist()))) for a, s in enumerate(other.axon_source) if s >= 2}
    assert links == {(int(s) - 2, tuple(net.synapses(a)[0].tolist())) for a, s in enumerate(net.axon_source) if s >= 2}


@pytest.mark.parametrize(("size", "excitatory"), [(24, 64), (16, 60), (-1, 64)])
def test_motifs_that_do_not_fill_the_network_evenly_are_refused(size, excitatory):
    with pytest.raises(UsageError, match="divide the neurons"):
        MotifTopology(LAYOUT, size, 1, excitatory)


@pytest.mark.parametrize("name", recipe_names(RECIPES))
@pytest.mark.parametrize("n_inputs", [1, 4, 40, 120, 348])
def test_integers_of_every_recipe_fit_a_network(name, n_inputs):
    config = load_recipe(name).network
    layout, clips = Layout(n_inputs, config.neurons, 3), config.sub_steps == 1
    topology = FreeTopology(layout)
    scale = scales(config, n_inputs, 1.0 if clips else None, 100)
    net = to_network(drawn(topology), config, topology, scale, ("a", "b", "c"), payload_bits=3 if clips else 8, payload_signed=not clips)
    assert scale.threshold * config.membrane_share > 64
    assert net.threshold.max() == scale.threshold <= 4096
