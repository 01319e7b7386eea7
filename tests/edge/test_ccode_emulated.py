# SPDX-License-Identifier: Apache-2.0
"""Generated C on emulated cores, and the emulator's own counts against programs whose counts are known."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from build import axon, network, neuron, silent
from ormia.edge.backend import AudioMachine, ReferenceBackend, get_backend
from ormia.edge.ccode import cores
from ormia.edge.ccode.cores import CORES, cross_compile, missing_tools
from ormia.edge.ccode.emit import emit
from ormia.edge.ccode.emulated import EmulatedMachine, _Together
from ormia.edge.ccode.emulator import Emulated
from ormia.edge.clips import front_end_of
from ormia.edge.errors import CheckFailed, TargetError
from ormia.edge.events import events_from_payloads
from ormia.edge.trace import first_difference
from sounds import speechlike

needs_tools = pytest.mark.skipif(missing_tools() is not None, reason=str(missing_tools()))
each_core = pytest.mark.parametrize("core", list(CORES.values()), ids=lambda core: core.name)


def small():
    return network([neuron(3), neuron(2)], [axon(0, {0: 1, 1: -2}), axon(1, {1: 3})])


@needs_tools
@pytest.mark.parametrize("name", ["cortex-m", "riscv"])
def test_audio_gives_the_payloads_and_the_trace_of_python_on_every_core(name, hearing):
    net = hearing()
    machine = get_backend(name).load(net)
    assert isinstance(machine, AudioMachine)
    assert machine.hears
    pcm = speechlike()[: 320 * 40]
    payloads, trace = machine.run_audio(pcm)
    assert np.array_equal(payloads, front_end_of(net).payloads(pcm))
    assert payloads.any()
    want = ReferenceBackend().load(net).run_many([events_from_payloads(payloads)])[0]
    assert first_difference(want, trace) is None
    assert trace.counters == want.counters


@needs_tools
def test_an_integrator_that_nothing_reaches_compiles_without_a_warning():
    net = network([silent(initial_membrane=v) for v in (3, 8)], readout_neuron=[0, 1], readout_class=[0, 1], labels=("a", "b"))
    trace = get_backend("riscv").load(net).run_many([[[], []]])[0]
    assert trace.membranes.tolist() == [[3, 8], [3, 8]]


@needs_tools
def test_cores_that_differ_are_told(tmp_path):
    net = small()
    sources = emit(net, clips=())
    text, count = re.subn(r"(neuron_threshold\[2\] = \{\s+)3", r"\g<1>2", sources.files["ormia_network.c"])
    assert count == 1
    wrong = replace(sources, files={**sources.files, "ormia_network.c": text})
    right, other = (EmulatedMachine(net, text, CORES[core], tmp_path) for text, core in ((sources, "cortex-m4"), (wrong, "cortex-m0plus")))
    told = "cortex-m0plus must give the integers of cortex-m4, but they differ: clip 1, timestep 1, neuron 0: membrane expected 2, got 0"
    with pytest.raises(CheckFailed, match=told):
        _Together([right, other]).run_many([[[]], [[(0, 1)], [(0, 1)]]])


def test_what_is_missing_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setattr(cores, "find_spec", lambda name: None if name == "unicorn" else object())
    assert missing_tools() == "compiling for microcontrollers and emulating them needs unicorn: pip install 'ormia[mcu]'"
    assert get_backend("riscv").available() == missing_tools()


def compiled(core, text, folder):
    return cross_compile(core, {"main.c": text}, ("main.c",), folder)


@needs_tools
@each_core
def test_calls_take_numbers_in_registers_and_on_the_stack(core, tmp_path):
    text = "int f(int a, int b, int c, int d, int e, int g, int h, int i, int j, int k); " + (
        "int f(int a, int b, int c, int d, int e, int g, int h, int i, int j, int k) { return a + 2 * b - c + d + 3 * e - g + h + i + j + 4 * k; }\n"
    )
    program = Emulated(core, compiled(core, text, tmp_path))
    assert program.call("f", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10) == 1 + 4 - 3 + 4 + 15 - 6 + 7 + 8 + 9 + 40
    assert program.call("f", -7, *([0] * 9)) == 2**32 - 7


@needs_tools
@each_core
def test_instructions_are_counted_exactly_whether_a_condition_turns_them_off_or_not(core, tmp_path):
    body = {
        "cortex-m0plus": "movs r1, #1\\n movs r2, #70\\n nop\\n bx lr",
        "rv32imc": "li a1, 70000\\n nop\\n ret",  # li is lui and addi
    }.get(core.name, "movw r1, #4660\\n cmp r1, #0\\n itt eq\\n moveq r2, #1\\n moveq r3, #2\\n bx lr")
    expected = {"cortex-m0plus": 4, "rv32imc": 4}.get(core.name, 6)
    text = f'__attribute__((naked)) void f(void); __attribute__((naked)) void f(void) {{ __asm volatile("{body}"); }}\n'
    program = Emulated(core, compiled(core, text, tmp_path), count=True)
    for _ in range(3):
        program.call("f")
    assert program.instructions() == {"f": 3 * expected}


@needs_tools
@each_core
def test_the_depth_of_the_stack_is_measured(core, tmp_path):
    text = "int f(int n); int f(int n) { volatile char held[400]; held[n] = 1; held[0] = 1; return held[n]; }\n"
    program = Emulated(core, compiled(core, text, tmp_path))
    program.paint_stack()
    assert program.stack_bytes() == 0
    program.call("f", 3)
    assert 380 <= program.stack_bytes() <= 440


@needs_tools
@each_core
def test_a_program_that_touches_no_memory_of_its_own_is_stopped_with_a_sentence(core, tmp_path):
    program = Emulated(core, compiled(core, "int f(int *p); int f(int *p) { return *p; }\n", tmp_path))
    with pytest.raises(CheckFailed, match=f"f must run on {core.name}, but the emulator stopped"):
        program.call("f", 0x40000000)


@needs_tools
@each_core
def test_text_that_needs_a_library_is_refused(core, tmp_path):
    with pytest.raises(TargetError, match="undefined symbol: absent"):
        compiled(core, "int absent(void); int f(void); int f(void) { return absent(); }\n", tmp_path)


@needs_tools
def test_the_bench_tells_an_axon_from_its_synapses_where_all_lists_are_of_one_length(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))
    import mcu

    inputs = [axon(i, {n: 1 + (n + i) % 7 for n in range(32)}) for i in range(16)]
    net = network([neuron(100) for _ in range(48)], inputs, n_inputs=16)
    cut = mcu.by_length(net)
    assert np.diff(cut.synapse_start).tolist() == [8, 16, 24, 32] * 4
    assert np.array_equal(cut.synapse_target[8:24], net.synapse_target[32:48])
    machine = mcu.Measured(cut, emit(cut, clips=()), CORES["cortex-m4"], tmp_path)
    found = machine.synaptic()
    assert 1 < found["synaptic_operation"] < 7
    assert 10 < found["axon"] < 70
    assert found["fit"]["synapses_of_a_source"] == [8, 32]
    assert found["fit"]["unexplained"] < 0.1
    with pytest.raises(CheckFailed, match="lists must differ in length"):
        mcu.Measured(net, emit(net, clips=()), CORES["cortex-m4"], tmp_path).synaptic()


def test_the_document_states_the_figures_of_the_bench():
    root = Path(__file__).parents[2]
    text = (root / "docs" / "mcu.md").read_text()
    mcu = json.loads((root / "bench" / "results" / "mcu.json").read_text())
    cores_of = mcu["cores"].values()
    rows = {
        "instructions a second of audio, mean": lambda c: f"{c['instructions_per_second']['mean'] / 1e6:.2f} M",
        "worst timestep, times 50": lambda c: f"{c['instructions_per_second']['worst_hop'] / 1e6:.2f} M",
        "front end, a timestep": lambda c: f"{c['instructions_per_hop']['mean']['front_end']:,}",
        "neurons, a timestep": lambda c: f"{c['instructions_per_hop']['mean']['neurons']:,}",
        "a synaptic operation inside a list": lambda c: f"{c['instructions_per_synaptic_operation']:.2f}",
        "a synaptic operation, axons and all": lambda c: f"{c['instructions_per_synaptic_operation_all_told']:.2f}",
        "the same inside a thin list": lambda c: f"{c['thin_lists']['synaptic_operation']:.2f}",
        "an axon besides": lambda c: f"{c['instructions_per_axon_besides']:.1f}",
        "a neuron update": lambda c: f"{c['instructions_per_neuron_update']:.2f}",
        "flash, code and tables, bytes": lambda c: f"{c['flash_bytes']['code']:,} + {c['flash_bytes']['constants']:,}",
        "RAM, state and stack, bytes": lambda c: f"{c['ram_bytes']['state']:,} + {c['ram_bytes']['stack']:,}",
    }
    for name, figure in rows.items():
        assert f"| {name} | " + " | ".join(map(figure, cores_of)) + " |" in text
    larger = json.loads((root / "bench" / "results" / "mcu_gsc12.json").read_text())
    for name in ("instructions a second of audio, mean", "a synaptic operation inside a list", "flash, code and tables, bytes", "RAM, state and stack, bytes"):
        assert f"| {name} | " + " | ".join(map(rows[name], larger["cores"].values())) + " |" in text
    gcc, powers = larger["gcc_flash_bytes"]["cortex-m4"], [m["cortex-m4"]["power"] for m in (mcu["cores"], larger["cores"])]
    assert all(f"{size['code']:,} + {size['constants']:,}" in text for size in gcc.values())
    assert max(sum(size.values()) for size in gcc.values()) <= 64 << 10
    for power in powers:  # the comparison with MLPerf Tiny's streaming reference
        least, most = power["active_power_mw"]
        assert f"{least:.2f} to {most:.2f} mW" in text
        assert "{1} to {0} times".format(*power["times_less_than_reference"]) in text
    assert f"{powers[0]['streaming_reference']['average_power_mw']:.1f} mW on that board" in text
    agreed = [json.loads(path.read_text()) for path in (root / "bench" / "results").glob("agreement_emulated*.json")]
    assert {part["differences"] for part in agreed} == {0}
    assert f"0 differences in the {sum(part['timesteps'] for part in agreed):,} timesteps" in text
    found = json.loads((root / "bench" / "results" / "fuzz.json").read_text())["targets"].values()
    assert f"{sum(target['inputs'] for target in found):,} inputs" in text
    assert all(target["findings"] == 0 for target in found)
