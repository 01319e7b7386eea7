# SPDX-License-Identifier: Apache-2.0
"""The frozen network object: defaults, exact copies, look-ups, equality. What it refuses stands in tests/test_refusals.py."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from build import FORMATS, INPUT, NEURON, axon, network, neuron, silent
from hypothesis import given
from networks import networks
from ormia.edge.network import ARRAYS, Formats, MotifHint, Network, Readout, Reset

NET = network([neuron(5), silent(), neuron(7)], [axon(INPUT, {0: 1, 2: -3}, delay=4), axon(NEURON, {}), axon(NEURON + 2, {1: 2})], n_inputs=1)
FLUSHED = Formats(**(FORMATS | {"flush": 1}))


def test_arrays_have_the_declared_types_and_are_read_only():
    for name, (dtype, _) in ARRAYS.items():
        values = getattr(NET, name)
        assert values.dtype == dtype
        with pytest.raises(ValueError, match="read-only"):
            values[...] = 0


def test_arrays_are_copies_of_what_was_given():
    bias = np.array([1, 2, 3], np.int32)
    net = replace(NET, bias=bias)
    bias[:] = 9
    assert net.bias.tolist() == [1, 2, 3]


def test_a_network_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        NET.n_inputs = 2


def test_optional_arrays_have_defaults():
    net = replace(NET, axon_delay=None, axon_shift=None, axon_compartment=None, axon_boolean=None, reset_by=None, bias=None, initial_membrane=None)
    assert [getattr(net, f"axon_{name}").tolist() for name in ("delay", "shift", "compartment")] == [[0, 0, 0]] * 3
    assert net.axon_boolean.tolist() == [False] * 3
    assert net.reset_by.tolist() == net.threshold.tolist() == [5, 0, 7]
    assert net.bias.tolist() == net.initial_membrane.tolist() == [0, 0, 0]


def test_sizes_and_synapses_are_looked_up():
    assert (NET.n_inputs, NET.n_neurons, NET.n_sources, NET.n_axons, NET.n_synapses, NET.n_kinds, NET.n_compartments, NET.n_classes) == (1, 3, 4, 3, 3, 3, 1, 1)
    assert [[part.tolist() for part in NET.synapses(a)] for a in range(3)] == [[[0, 2], [1, -3]], [[], []], [[1], [2]]]
    assert (NET.max_delay, network([silent()]).max_delay) == (4, 0)


def test_networks_are_equal_when_every_field_is():
    assert replace(NET) == NET
    changes = {
        "name": "other",
        "metadata": {"a": 1},
        "labels": ("b",),
        "readout": Readout.LAST,
        "bias": [0, 0, 1],
        "formats": Formats(**(FORMATS | {"flush": 1})),
    }
    for name, value in changes.items():
        assert replace(NET, **{name: value}) != NET
    assert NET != "network"
    with pytest.raises(TypeError, match="unhashable"):
        hash(NET)


@given(networks())
def test_a_network_is_rebuilt_from_its_fields(net):
    fields = {name: getattr(net, name).tolist() for name in ARRAYS if getattr(net, name).size}
    assert replace(net, **fields) == net
    assert isinstance(net, Network)


def test_formats_say_their_ranges():
    formats = Formats(membrane_bits=8, current_bits=9, weight_bits=2, payload_bits=3, accumulator_bits=10, score_bits=12)
    ranges = {name: str(getattr(formats, name)) for name in ("membrane", "current", "weight", "payload", "accumulator", "score")}
    assert ranges == {"membrane": "-128..127", "current": "-256..255", "weight": "-2..1", "payload": "0..7", "accumulator": "-512..511", "score": "-2048..2047"}
    assert str(replace(formats, payload_signed=True).payload) == "-4..3"


def test_a_motif_lists_targets_ascending_and_drops_links_that_leave_the_array():
    hint = MotifHint(base=10, size=3, count=3, intra=((0, 2), (0, 0)), lateral=((-1, 0), (2, 0), (1, 1)))
    assert [hint.targets(n) for n in (10, 11, 13, 16, 17)] == [[10, 12, 16], [14], [10, 13, 15], [13, 16, 18], []]


def test_numbers_of_modes_are_part_of_the_file_format():
    assert [(int(r), r.name) for r in Reset] == [(0, "ZERO"), (1, "SUBTRACT")]
    assert [(int(r), r.name) for r in Readout] == [(0, "SUM"), (1, "LAST"), (2, "SPIKES")]
