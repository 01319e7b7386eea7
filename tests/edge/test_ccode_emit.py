# SPDX-License-Identifier: Apache-2.0
import re

import numpy as np
import pytest
from build import axon, network, neuron
from networks import Seeded, random_network
from ormia.edge.ccode.codes import BRANCHES, COUNTERS, MEANINGS, Code
from ormia.edge.ccode.emit import c_string, emit
from ormia.edge.ccode.golden import golden_clips, make_golden
from ormia.edge.ccode.template import render
from ormia.edge.coverage import Coverage
from ormia.edge.netfile import network_digest
from ormia.edge.network import Readout
from ormia.edge.trace import Counters


def small(**changes):
    return network([neuron(3), neuron(2)], [axon(0, {0: 1, 1: -2}), axon(1, {1: 3})], **changes)


def test_the_same_network_gives_the_same_text():
    assert emit(small()).files == emit(small()).files


def test_files_are_named_after_the_network_and_say_where_they_come_from():
    sources = emit(small(name="Lights_on2"))
    assert set(sources.files) == {"ormia.h", "ormia_Lights_on2.h", "ormia_Lights_on2.c"}
    for name in ("ormia_Lights_on2.h", "ormia_Lights_on2.c"):
        text = sources.files[name]
        assert text.startswith("/* SPDX-License-Identifier: Apache-2.0")
        assert 'from the network "Lights_on2"' in text
        assert "Semantics version 1" in text
        assert network_digest(small(name="Lights_on2")) in text
        assert "Carries no obligation" in text


@pytest.mark.parametrize("seed", range(12))
def test_generated_code_needs_no_heap_no_float_no_library_and_no_64_bit_product(seed):
    sources = emit(random_network(Seeded(np.random.default_rng(seed))))
    text = "\n".join(sources.files.values())
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    code = code.replace("!defined(ORMIA_PLAIN)\n#include <arm_acle.h>", "")  # intrinsics of the compiler, where the DSP extension is
    assert set(re.findall(r"#include\s+(\S+)", code)) == {"<stdint.h>", '"ormia.h"', f'"{sources.prefix}.h"'}
    assert not re.search(r"\b(float|double|malloc|free|memcpy|memset|int64_t|long)\b", code)
    assert "uint64_t" not in re.sub(r"#ifdef ORMIA_CO.*?#endif", "", code, flags=re.DOTALL)


@pytest.mark.parametrize("seed", range(12))
def test_only_unsigned_numbers_are_shifted_right(seed):
    text = re.sub(r"/\*.*?\*/", "", "\n".join(emit(random_network(Seeded(np.random.default_rng(seed)))).files.values()), flags=re.DOTALL)
    text = text.replace("x < 0 ? ~(~x >> shift) : x >> shift", "")  # of a number that is not negative, or of one made so
    text = text.replace("sums + 0x8000u)", "sums")
    left = set(re.findall(r"(\w+[\])]*) >> ", text.replace("ormia_magnitude(x)", "magnitude")))
    # factor) ends low * factor, 8u] ends (uint32_t)row[neuron / 8u]; all of these are uint32_t
    assert left <= {"crc", "value", "size", "factor)", "8u]", "packed", "magnitude", "number", "sums"}, left


def test_a_construct_that_is_not_used_leaves_no_code():
    text = emit(small()).files["ormia_network.c"]
    for word in ("refractory", "history", "kind", "neuron_bias", "axon_gain", "axon_compartment", "initial_membrane", "reset_subtract", "state->current"):
        assert word not in re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL), word


def test_return_codes_counters_and_branches_stand_in_the_header_in_the_order_of_python():
    header = emit(small()).files["ormia.h"]
    assert re.findall(r"(ORMIA_(?:OK|STEP|ERROR_\w+)) = (\d+)", header) == [(code.c_name, str(int(code))) for code in Code]
    assert set(MEANINGS) == set(Code)
    enums = re.findall(r"\nenum \{\n(.*?)\n\};", header, re.DOTALL)
    assert enums[0].replace(",", "").split() == [*(f"ORMIA_{name.upper()}" for name in COUNTERS), "ORMIA_N_COUNTERS"]
    assert enums[1].replace(",", "").split() == [*(f"ORMIA_{name.upper()}" for name in BRANCHES), "ORMIA_N_BRANCHES"]
    assert list(Coverage().as_dict()) == list(BRANCHES)
    assert [name for name in vars(Counters()) if name != "cycles"] == list(COUNTERS)


def test_labels_become_string_literals_whatever_they_hold():
    assert c_string('a"b\\c') == '"a\\042b\\134c"'
    assert c_string("??/1\n") == '"\\077\\077/1\\012"'
    assert c_string("ü") == '"\\303\\274"'
    assert f"{{ {c_string('*/ #define')} }}" in emit(small(labels=("*/ #define",))).files["ormia_network.h"]


def test_without_clips_there_is_no_self_test():
    sources = emit(small(), clips=())
    assert not any("selftest" in text for text in [sources.files["ormia_network.c"], sources.files["ormia_network.h"]])


def test_golden_clips_are_seeded_sorted_and_include_the_flush():
    net = small(n_inputs=3, payload_bits=3, payload_signed=True, flush=2)
    golden = make_golden(net, golden_clips(net, 5))
    assert golden.declarations() == make_golden(net, golden_clips(net, 5)).declarations()
    assert golden.clips != make_golden(net, golden_clips(net, 6)).clips
    for clip, trace in zip(golden.clips, golden.traces, strict=True):
        assert len(clip) == len(trace.raster)
        assert clip[-2:] == [[], []]
        assert all([channel for channel, _ in events] == sorted(channel for channel, _ in events) for events in clip)


def test_golden_clips_never_exceed_the_longest_clip():
    net = small(max_timesteps=2, readout=Readout.SPIKES)
    assert [len(clip) for clip in golden_clips(net, 1)] == [2, 2, 2]


def test_a_template_chooses_lines_and_misses_no_name():
    text = "@if a\n@if !b\nx\n@else\ny\n@end\n@else\nz\n@end\n"
    assert render(text, {"a": True, "b": False}) == "x\n"
    assert render(text, {"a": True, "b": True}) == "y\n"
    assert render(text, {"a": False, "b": True}) == "z\n"
    with pytest.raises(KeyError):
        render("$x", {})
    with pytest.raises(ValueError, match="@end"):
        render("@if a\n", {"a": True})
