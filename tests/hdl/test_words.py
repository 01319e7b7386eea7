# SPDX-License-Identifier: Apache-2.0
"""Words as integers are the words of the layouts; a table stores what varies."""

from __future__ import annotations

import pytest
from build import network, neuron, silent
from hypothesis import given
from hypothesis import strategies as st
from ormia.edge.network import Readout
from ormia.hdl.words import Table, Words


@pytest.mark.parametrize(("payload_bits", "signed"), [(1, False), (3, False), (4, True)])
@pytest.mark.parametrize("n_inputs", [0, 1, 5, 8])
def test_event_words_are_those_of_the_layout(payload_bits, signed, n_inputs):
    words = Words(network([silent()], [], n_inputs=n_inputs, payload_bits=payload_bits, payload_signed=signed))
    assert words.event_layout.const({"last": 1}).as_value().value == words.end_of_step
    payloads = range(-(1 << payload_bits - 1), 1 << payload_bits - 1) if signed else range(1 << payload_bits)
    for channel in range(n_inputs):
        for payload in payloads:
            assert words.event_layout.const({"channel": channel, "payload": payload}).as_value().value == words.event(channel, payload)


@pytest.mark.parametrize("mode", list(Readout))
@pytest.mark.parametrize("count", [1, 3])
def test_emitted_and_score_words_are_read_back(mode, count):
    cells = [neuron(5)] * count
    names = tuple("abc"[:count])
    words = Words(network(cells, [], readout=mode, readout_neuron=[*range(count)], readout_class=[*range(count)], labels=names, membrane_bits=9))
    for index in range(count):
        for value in (0, 1) if mode == Readout.SPIKES else (-256, -1, 0, 255):
            for last in (False, True):
                fields = {"value": value, "index": index, "last": last}
                assert words.emitted(words.emitted_layout.const(fields).as_value().value) == (value, index, last)
                assert words.score(words.score_layout.const(fields).as_value().value) == (value, index, last)


columns = st.integers(1, 6).flatmap(
    lambda depth: st.dictionaries(st.sampled_from("abcd"), st.lists(st.none() | st.integers(-300, 300), min_size=depth, max_size=depth), min_size=1)
)


@given(columns)
def test_a_table_gives_back_every_value_it_was_given(drawn):
    table = Table(drawn)
    for i, word in enumerate(table.integers()):
        row = table.layout.from_bits(word)
        for name, column in drawn.items():
            got = table.constants[name] if name in table.constants else row[name]
            assert column[i] is None or got == column[i]


def test_a_table_of_constants_stores_nothing():
    table = Table({"a": [7, None, 7], "b": [None, None, None]})
    assert table.layout.size == 0
    assert table.constants == {"a": 7, "b": 0}
