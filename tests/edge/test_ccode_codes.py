# SPDX-License-Identifier: Apache-2.0
"""What generated C refuses with a code, Python refuses with the member of that name."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from build import axon, network, neuron
from ormia.edge import errors
from ormia.edge.ccode.backend import EVENT, CBackend
from ormia.edge.ccode.build import build_library
from ormia.edge.ccode.codes import Code, refusal
from ormia.edge.ccode.emit import emit
from ormia.edge.errors import CheckFailed, DataError
from ormia.edge.runtime import Runtime
from ormia.edge.trace import check_events

needs_compiler = pytest.mark.skipif(CBackend().available() is not None, reason=str(CBackend().available()))
NAMED = {member.c_name: member for name in errors.__all__ if hasattr(member := getattr(errors, name), "c_name")}


def two_inputs():
    return network([neuron(3)], [axon(0, {0: 1}), axon(1, {0: 2})], n_inputs=2)


def test_the_members_with_a_code_are_named_as_in_the_header_and_cover_what_python_can_see():
    assert set(NAMED) <= {code.c_name for code in Code}
    seen = {code for code in Code if code.c_name in NAMED}
    assert set(Code) - seen == {Code.OK, Code.STEP, Code.NULL, Code.VERSION, Code.STATE}  # pointers, headers and states are the caller's in C alone
    assert [refusal(code) for code in (Code.TABLES, Code.SELFTEST, Code.STATE)] == [errors.TablesError, errors.SelftestError, CheckFailed]


BAD_EVENTS = {
    "more events than inputs": [(0, 1), (1, 1), (1, 1)],
    "a channel that is none": [(0, 1), (2, 1)],
    "a channel twice": [(1, 1), (1, 1)],
    "a payload too large": [(0, 1), (1, 99)],
    "a channel that is none, twice": [(5, 1), (5, 1)],
    "a payload too large, twice": [(1, 99), (1, 99)],
    "a channel twice, then a payload too large": [(1, 1), (1, 99)],
}


@needs_compiler
@pytest.mark.parametrize("case", BAD_EVENTS)
def test_python_raises_what_generated_c_returns(case, tmp_path):
    net, events = two_inputs(), BAD_EVENTS[case]
    sources = emit(net, clips=())
    library = ctypes.CDLL(str(build_library(sources, tmp_path)))
    library.driver_state_bytes.restype = ctypes.c_uint32
    size = library.driver_state_bytes()
    state, given = np.zeros(size // 8 + 1, np.uint64), np.array(events, EVENT)
    assert library.ormia_network_init(ctypes.c_void_p(state.ctypes.data), ctypes.c_uint32(size), ctypes.c_uint32(int(sources.digest[:8], 16))) == Code.OK
    code = Code(library.ormia_network_step(ctypes.c_void_p(state.ctypes.data), ctypes.c_void_p(given.ctypes.data), ctypes.c_uint32(len(events))))
    assert code > Code.STEP
    with pytest.raises(DataError) as raised:
        check_events(net, [events])
    assert type(raised.value) is NAMED[code.c_name]


def test_dense_payloads_are_refused_by_the_same_members():
    net = two_inputs()
    runtime, longest = Runtime(net), net.formats.max_timesteps
    cases = [(np.zeros((1, 2, 3), np.int16), errors.SizeError), (np.zeros((1, longest + 1, 2), np.int16), errors.LengthError)]
    cases += [(np.full((1, 2, 2), 99, np.int16), errors.PayloadError)]
    for payloads, member in cases:
        with pytest.raises(member):
            runtime.run(payloads)
