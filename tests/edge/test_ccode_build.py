# SPDX-License-Identifier: Apache-2.0
import ctypes
import os
import re
import stat
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from build import axon, network, neuron
from networks import Seeded, random_network
from ormia.edge.ccode.backend import CBackend
from ormia.edge.ccode.build import SANITIZERS, build_executable, build_library, check_selftest, find_compiler
from ormia.edge.ccode.codes import Code
from ormia.edge.ccode.emit import emit
from ormia.edge.errors import CheckFailed, DataError, MissingTool, TargetError
from ormia.edge.network import Readout, Reset

pytestmark = pytest.mark.skipif(CBackend().available() is not None, reason=str(CBackend().available()))


def many(n, axons):
    """A network of ``n`` equal neurons; the last one is read out."""
    columns = {"neuron_kind": [0] * n, "threshold": [4] * n, "reset_by": [4] * n, "bias": [0] * n, "initial_membrane": [0] * n}
    return network([neuron(4)], axons, readout_neuron=[n - 1], **columns)


def corner(which):
    four = {"current_decay": (4000, 0, 4096, 17)}
    n = [neuron(3, **four, refractory=2, drive_shift=2), neuron(2, **four, reset=Reset.SUBTRACT, current_shift=3), neuron(0, firing=False, **four, bias=-5)]
    kinds = {
        "no inputs": lambda: network([neuron(5, bias=1)], [axon(0, {0: 3})], n_inputs=0),
        "no axons": lambda: network([neuron(5, bias=2)], n_inputs=2),
        "no inputs and no axons": lambda: network([neuron(0, firing=False, bias=2)], n_inputs=0),
        "axons without synapses": lambda: network([neuron(5)], [axon(0, {}), axon(1, {}, delay=2)]),
        "no firing neuron": lambda: network([neuron(0, firing=False), neuron(0, firing=False, bias=1)], [axon(0, {0: 3, 1: -3})]),
        "four compartments": lambda: network(n, [axon(s, {0: 1, 1: -2, 2: 3}, compartment=k) for s in range(2) for k in range(4)]),
        "state of 24 bits": lambda: network(
            n, [axon(0, {0: 99, 1: -128, 2: 127}, shift=7)], membrane_bits=24, current_bits=24, decay_bits=15, kind_membrane_decay=[32768, 29999, 1]
        ),
        "state of 8 bits": lambda: network(n, [axon(0, {0: 99, 1: -128, 2: 127}, shift=3)], membrane_bits=8, current_bits=8, decay_bits=15),
        "delays of both sources": lambda: network(
            n, [axon(s, {0: 1, 2: -3}, delay=d) for s in range(3) for d in (0, 1, 7, 255)], n_inputs=2, payload_bits=8, payload_signed=True
        ),
        "delays of one bit": lambda: network(n, [axon(s, {0: 1, 2: 3}, delay=d) for s in range(9) for d in (3, 9)], n_inputs=9, payload_bits=1),
        "only delayed spikes": lambda: network([neuron(2, bias=1)], [axon(0, {0: -1}, delay=3)], n_inputs=0),
        "mixed shifts": lambda: network(n, [axon(s, {0: 1 + s, 2: -3}, shift=s) for s in range(4)], n_inputs=3),
        "readout SPIKES": lambda: network(
            n, [axon(0, {0: 9, 1: 9})], readout=Readout.SPIKES, readout_neuron=[1, 0], readout_class=[1, 0], labels=("a", "b"), flush=3
        ),
        "readout LAST": lambda: network(n, [axon(0, {0: 9, 1: 9})], readout=Readout.LAST, readout_neuron=[2, 0, 1], readout_class=[1, 0, 1], labels=("a", "b")),
        "255 neurons": lambda: many(255, [axon(0, {t: 1 + t % 3 for t in range(0, 255, 2)})]),
        "256 neurons": lambda: many(256, [axon(0, {t: 1 + t % 3 for t in range(0, 256, 2)})]),
        "300 neurons": lambda: many(300, [axon(0, {t: 1 + t % 3 for t in range(0, 300, 2)}), axon(300, {299: 5})]),
        "a name that other names could meet": lambda: network([neuron()], [axon(0, {0: 20})], name="error"),
    }
    return kinds if which is None else kinds[which]()


@pytest.mark.parametrize("which", list(corner(None)))
def test_corner_networks_compile_with_warnings_as_errors_and_pass_their_self_test(which, tmp_path, sanitizers):
    sources = emit(corner(which))
    build_executable(sources, "int main(void) { return 0; }\n", tmp_path)
    build_library(sources, tmp_path)
    check_selftest(sources, tmp_path)


@pytest.mark.parametrize("seed", range(6))
def test_random_networks_pass_their_self_test_under_sanitizers(seed, tmp_path, sanitizers):
    check_selftest(emit(random_network(Seeded(np.random.default_rng(1000 + seed)))), tmp_path)


def test_a_network_of_70000_neurons_compiles(tmp_path):
    n = 70_000
    machine = CBackend(tmp_path).load(many(n, [axon(0, {3: 5, n - 1: 5})]))
    assert np.flatnonzero(machine.run_many([[[(0, 1)]]])[0].raster[0]).tolist() == [3, n - 1]


BAD_CALLS = """
#include <stdio.h>
#include "ormia_network.h"
#define EXPECT(call, code) do { const int got = (int)(call); if (got != (int)(code)) { printf("line %d: %d\\n", __LINE__, got); return 1; } } while (0)
#define STEP(n) ormia_network_step(&state, events, n)
static ormia_network_state state, other;
static ormia_event events[4];
static int32_t values[4];
static void put(int i, int channel, int payload) { events[i].channel = (uint16_t)channel; events[i].payload = (int16_t)payload; }
int main(void)
{
    const uint32_t size = (uint32_t)sizeof state;
    uint32_t label, i;
    /* before init, on memory that holds anything */
    for (i = 0u; i < size; i++) { ((uint8_t *)&state)[i] = 0xA5u; }
    EXPECT(STEP(0u), ORMIA_ERROR_STATE);
    EXPECT(ormia_network_reset(&state), ORMIA_ERROR_STATE);
    EXPECT(ormia_network_flush(&state), ORMIA_ERROR_STATE);
    EXPECT(ormia_network_scores(&state, values, 2u, &label), ORMIA_ERROR_STATE);
    EXPECT(ormia_network_emitted(&other, values, 3u), ORMIA_ERROR_STATE);
    EXPECT(ormia_network_init(0, size, ORMIA_NETWORK_DIGEST), ORMIA_ERROR_NULL);
    EXPECT(ormia_network_init(&state, size - 1u, ORMIA_NETWORK_DIGEST), ORMIA_ERROR_SIZE);
    EXPECT(ormia_network_init(&state, 0u, ORMIA_NETWORK_DIGEST), ORMIA_ERROR_SIZE);
    EXPECT(ormia_network_init(&state, size, ORMIA_NETWORK_DIGEST + 1u), ORMIA_ERROR_VERSION);
    EXPECT(STEP(0u), ORMIA_ERROR_STATE);
    EXPECT(ormia_network_init(&state, size, ORMIA_NETWORK_DIGEST), ORMIA_OK);
    /* a state that was damaged where places in memory are found */
    state.n_fired = 3u; EXPECT(STEP(0u), ORMIA_ERROR_STATE);
    state.n_fired = 1u; state.fired[0] = 3u; EXPECT(ormia_network_emitted(&state, values, 3u), ORMIA_ERROR_STATE);
    state.n_fired = 0u; state.input_position = 2u; EXPECT(STEP(0u), ORMIA_ERROR_STATE);
    state.input_position = 0u; state.neuron_position = 2u; EXPECT(ormia_network_reset(&state), ORMIA_ERROR_STATE);
    EXPECT(ormia_network_init(&state, size, ORMIA_NETWORK_DIGEST), ORMIA_OK);
    /* null pointers and sizes */
    EXPECT(ormia_network_step(0, events, 0u), ORMIA_ERROR_NULL);
    EXPECT(ormia_network_step(&state, 0, 1u), ORMIA_ERROR_NULL);
    EXPECT(ormia_network_reset(0), ORMIA_ERROR_NULL);
    EXPECT(ormia_network_flush(0), ORMIA_ERROR_NULL);
    EXPECT(ormia_network_scores(0, values, 2u, &label), ORMIA_ERROR_NULL);
    EXPECT(ormia_network_scores(&state, 0, 2u, &label), ORMIA_ERROR_NULL);
    EXPECT(ormia_network_scores(&state, values, 3u, &label), ORMIA_ERROR_SIZE);
    EXPECT(ormia_network_emitted(0, values, 3u), ORMIA_ERROR_NULL);
    EXPECT(ormia_network_emitted(&state, 0, 3u), ORMIA_ERROR_NULL);
    EXPECT(ormia_network_emitted(&state, values, 2u), ORMIA_ERROR_SIZE);
    EXPECT(ormia_network_selftest(0, size), ORMIA_ERROR_NULL);
    EXPECT(ormia_network_selftest(&other, size + 1u), ORMIA_ERROR_SIZE);
    /* zero timesteps */
    EXPECT(ormia_network_emitted(&state, values, 3u), ORMIA_OK);
    if (values[0] != 0 || values[1] != 0 || values[2] != 0) { return 2; }
    EXPECT(ormia_network_scores(&state, values, 2u, 0), ORMIA_OK);
    if (values[0] != 0 || values[1] != 0) { return 3; }
    /* events that break A7 */
    put(0, 0, 1); put(1, 1, -4); put(2, 2, 3); put(3, 2, 1);
    EXPECT(STEP(4u), ORMIA_ERROR_LENGTH);
    put(0, 3, 1); EXPECT(STEP(1u), ORMIA_ERROR_CHANNEL);
    put(0, 65535, 1); EXPECT(STEP(1u), ORMIA_ERROR_CHANNEL);
    put(0, 1, 1); EXPECT(STEP(2u), ORMIA_ERROR_ORDER);
    put(0, 2, 1); EXPECT(STEP(2u), ORMIA_ERROR_ORDER);
    put(0, 0, 4); EXPECT(STEP(1u), ORMIA_ERROR_PAYLOAD);
    put(0, 0, -5); EXPECT(STEP(1u), ORMIA_ERROR_PAYLOAD);
    put(0, 0, 0); EXPECT(STEP(2u), ORMIA_OK); /* payload 0 is no event */
    EXPECT(ormia_network_step(&state, 0, 0u), ORMIA_OK);
    EXPECT(ormia_network_flush(&state), ORMIA_OK);
    EXPECT(ormia_network_scores(&state, values, 2u, &label), ORMIA_OK);
    /* longer than a clip: still a stream */
    for (i = 0u; i < ORMIA_NETWORK_MAX_TIMESTEPS; i++) { EXPECT(STEP(0u), ORMIA_OK); }
    EXPECT(ormia_network_scores(&state, values, 2u, &label), ORMIA_ERROR_LENGTH);
    EXPECT(ormia_network_emitted(&state, values, 3u), ORMIA_OK);
    EXPECT(ormia_network_reset(&state), ORMIA_OK);
    EXPECT(ormia_network_scores(&state, values, 2u, &label), ORMIA_OK);
    EXPECT(ormia_network_selftest(&other, size), ORMIA_OK);
    EXPECT(ormia_network_step(&other, 0, 0u), ORMIA_OK);
    return 0;
}
"""


@pytest.mark.parametrize("readout", [Readout.SUM, Readout.LAST])
def test_bad_calls_return_their_codes_and_touch_nothing(readout, tmp_path, sanitizers):
    neurons = [neuron(3, initial_membrane=2), neuron(4), neuron(0, firing=False, bias=1, initial_membrane=7)]
    net = network(
        neurons,
        [axon(s, {0: 1, 1: 2, 2: -3}, delay=d) for s in range(5) for d in (0, 2)],
        n_inputs=3,
        payload_bits=3,
        payload_signed=True,
        flush=2,
        readout=readout,
        readout_neuron=[2, 0, 1],
        readout_class=[0, 1, 1],
        labels=("a", "b"),
    )
    program = build_executable(emit(net), BAD_CALLS, tmp_path, ("-DORMIA_SELFTEST", *SANITIZERS))
    ran = subprocess.run([program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_two_networks_and_two_streams_share_nothing(tmp_path):
    main = """
#include "ormia_network.h"
int main(void)
{
    static ormia_network_state a, b;
    int32_t value;
    ormia_event event;
    event.channel = 0u;
    event.payload = 1;
    ormia_network_init(&a, (uint32_t)sizeof a, ORMIA_NETWORK_DIGEST);
    ormia_network_init(&b, (uint32_t)sizeof b, ORMIA_NETWORK_DIGEST);
    ormia_network_step(&a, &event, 1u);
    ormia_network_step(&b, 0, 0u);
    ormia_network_emitted(&a, &value, 1u);
    if (value != 3) { return 1; }
    ormia_network_emitted(&b, &value, 1u);
    return value;
}
"""
    assert subprocess.run([build_executable(emit(network([neuron()], [axon(0, {0: 3})])), main, tmp_path)], check=False).returncode == 0


def test_several_networks_live_in_one_program_with_several_streams_each(tmp_path):
    nets = {name: network([neuron(), neuron(2)], [axon(0, {0: weight, 1: 1})], name=name) for name, weight in (("lights", 3), ("music", 5))}
    sources = {name: emit(net) for name, net in nets.items()}
    main = """
#include "ormia_lights.h"
#include "ormia_music.h"
#define RUN(name, NAME, state, event, n, want) do { int32_t value = 0; \\
    if (ormia_##name##_step(&state, event, n) != ORMIA_OK || ormia_##name##_emitted(&state, &value, 1u) != ORMIA_OK || value != want) { return 1; } } while (0)
int main(void)
{
    static ormia_lights_state one, two;
    static ormia_music_state three;
    const ormia_event event = {0u, 1};
    if (ormia_lights_init(&one, (uint32_t)sizeof one, ORMIA_LIGHTS_DIGEST) != ORMIA_OK) { return 2; }
    if (ormia_lights_init(&two, (uint32_t)sizeof two, ORMIA_LIGHTS_DIGEST) != ORMIA_OK) { return 3; }
    if (ormia_music_init(&three, (uint32_t)sizeof three, ORMIA_LIGHTS_DIGEST) != ORMIA_ERROR_VERSION) { return 4; }
    if (ormia_music_init(&three, (uint32_t)sizeof three, ORMIA_MUSIC_DIGEST) != ORMIA_OK) { return 5; }
    RUN(lights, LIGHTS, one, &event, 1u, 3);
    RUN(music, MUSIC, three, &event, 1u, 5);
    RUN(lights, LIGHTS, two, 0, 0u, 0);
    if (ormia_lights_step((ormia_lights_state *)(void *)&three, 0, 0u) != ORMIA_ERROR_STATE) { return 6; }
    if (ormia_lights_selftest(&one, (uint32_t)sizeof one) != ORMIA_OK || ormia_music_selftest(&three, (uint32_t)sizeof three) != ORMIA_OK) { return 7; }
    return (int)(ORMIA_LIGHTS_STATE_BYTES != sizeof one || ORMIA_MUSIC_FLASH_BYTES == 0u);
}
"""
    both = replace(sources["lights"], files={**sources["music"].files, **sources["lights"].files, "ormia_both.c": '#include "ormia_music.c"\n'})
    main_with_second = main.replace('#include "ormia_lights.h"', '#include "ormia_lights.h"\n#include "ormia_both.c"', 1).replace(
        '#include "ormia_music.h"\n', "", 1
    )
    program = build_executable(both, main_with_second, tmp_path, ("-DORMIA_SELFTEST",))
    assert subprocess.run([program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("events", "code", "sentence"),
    [
        ([(0, 1), (0, 1)], Code.ORDER, "at most one event"),
        ([(2, 1)], Code.CHANNEL, "channel must be in 0..1"),
        ([(1, 4)], Code.PAYLOAD, "payload must be in 0..3"),
        ([(0, 1), (1, 1), (1, 2)], Code.LENGTH, "at most one event"),
    ],
)
def test_what_c_refuses_by_a_code_python_refuses_by_a_sentence(events, code, sentence, tmp_path):
    net = network([neuron()], [axon(0, {0: 1})], n_inputs=2, payload_bits=2)
    library = ctypes.CDLL(str(build_library(emit(net, clips=()), tmp_path)))
    state = (ctypes.c_uint64 * (library.driver_state_bytes() // 8))()
    digest = int(emit(net, clips=()).digest[:8], 16)
    assert library.ormia_network_init(state, ctypes.c_uint32(ctypes.sizeof(state)), ctypes.c_uint32(digest)) == Code.OK
    given = np.array(events, [("channel", np.uint16), ("payload", np.int16)])
    assert library.ormia_network_step(state, ctypes.c_void_p(given.ctypes.data), ctypes.c_uint32(len(given))) == code
    with pytest.raises(DataError, match=sentence):
        CBackend(tmp_path).load(net).run_many([[events]])


def changed(sources, pattern, replacement):
    name = f"{sources.prefix}.c"
    text, count = re.subn(pattern, replacement, sources.files[name], count=1)
    assert count == 1
    return replace(sources, files={**sources.files, name: text})


def test_the_self_test_tells_a_damaged_table_from_damaged_code(tmp_path):
    sources = emit(network([neuron(4), neuron(7)], [axon(0, {0: 2, 1: 3})]))
    check_selftest(sources, tmp_path, sanitize=False)
    with pytest.raises(CheckFailed, match="ORMIA_ERROR_TABLES"):
        check_selftest(changed(sources, r"(neuron_threshold\[2\] = \{\s+)4", r"\g<1>5"), tmp_path, sanitize=False)
    with pytest.raises(CheckFailed, match="ORMIA_ERROR_SELFTEST"):
        check_selftest(changed(sources, r"x >= neuron_threshold\[n\]", "x > neuron_threshold[n]"), tmp_path, sanitize=False)


def test_a_sanitizer_finding_fails_the_self_test(tmp_path, sanitizers):
    sources = emit(network([neuron(4), neuron(7)], [axon(0, {0: 2, 1: 3})]))
    wrong = changed(sources, r"state->membrane\[n\] = \(int16_t\)x;", "state->membrane[n] = (int16_t)(0x7FFFFFFF + (int32_t)n + x);")
    with pytest.raises(CheckFailed, match=r"must run clean under sanitizers, but: .*overflow"):
        check_selftest(wrong, tmp_path)


def test_a_header_of_another_network_does_not_compile(tmp_path):
    one, two = emit(network([neuron(4)])), emit(network([neuron(5)]))
    mixed = replace(one, files={**one.files, "ormia_network.h": two.files["ormia_network.h"]})
    with pytest.raises(TargetError, match="must be the ones that were generated with this file"):
        build_library(mixed, tmp_path)


def test_the_header_compiles_in_cpp_too(tmp_path):
    sources = emit(network([neuron(4)], [axon(0, {0: 3})]))
    for name, text in sources.files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "use.cc").write_text('#include "ormia_network.h"\nint main() { ormia_network_state s; return (int)ormia_network_init(&s, sizeof s, 0u); }\n')
    compiler = find_compiler()
    ran = subprocess.run(
        [compiler, "-x", "c++", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "use.cc"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    if "c++" in ran.stderr and "not" in ran.stderr and "error" not in ran.stderr:
        pytest.skip("the C compiler has no C++")
    assert ran.returncode == 0, ran.stderr


def test_a_build_is_reused_and_never_half_there(tmp_path):
    sources = emit(network([neuron(4)]))
    first = build_library(sources, tmp_path)
    stamp = first.stat().st_mtime_ns
    assert build_library(sources, tmp_path) == first
    assert first.stat().st_mtime_ns == stamp
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    ctypes.CDLL(str(first))


def test_a_missing_compiler_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(MissingTool, match=r"a C compiler \(cc, gcc or clang\) must be found on PATH"):
        find_compiler()
    assert "must be found on PATH" in str(CBackend().available())
    monkeypatch.setenv("CC", "nocc")
    with pytest.raises(MissingTool, match=r"the compiler that CC names \(nocc\)"):
        find_compiler()


def test_a_compiler_that_fails_leaves_nothing_behind(monkeypatch, tmp_path):
    broken = tmp_path / "brokencc"
    broken.write_text("#!/bin/sh\necho 'x.c:1: error: no such thing' >&2\nexit 1\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CC", str(broken))
    with pytest.raises(TargetError, match="no such thing"):
        build_library(emit(network([neuron(4)])), tmp_path / "builds")
    assert os.listdir(tmp_path / "builds") == []


def test_a_compiler_without_sanitizers_is_told_from_bad_text(monkeypatch, tmp_path):
    poor = tmp_path / "poorcc"
    poor.write_text(f'#!/bin/sh\ncase "$*" in *-fsanitize*) echo \'error: cannot find -lasan\' >&2; exit 1;; esac\nexec {find_compiler()} "$@"\n')
    poor.chmod(poor.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CC", str(poor))
    sources = emit(network([neuron(4)]))
    with pytest.raises(MissingTool, match="must have the address and undefined-behavior sanitizers"):
        check_selftest(sources, tmp_path)
    with pytest.raises(TargetError, match="must accept the generated C"):
        check_selftest(changed(sources, "static ORMIA_APART void sweep", "static double sweep"), tmp_path)


def test_codes_are_numbered_without_gaps():
    assert [int(code) for code in Code] == list(range(len(Code)))
