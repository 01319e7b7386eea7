# SPDX-License-Identifier: Apache-2.0
"""A bitstream and what it took; a network that does not fit; tools that are missing, fail or are interrupted."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from build import FULL, axon, network, neuron, silent
from ec_like import ec_like
from ormia.edge.cycles import CycleModel
from ormia.edge.errors import Error, MissingTool, TargetError, UsageError
from ormia.edge.netfile import network_digest, write_network
from ormia.edge.network import Network
from ormia.edge.target import get_target
from ormia.hdl import build as module
from ormia.hdl import commands
from ormia.hdl.boards import BOARDS, get_board
from ormia.hdl.build import Tool, build_bitstream, find_tool
from ormia.hdl.utilization import Memory, check_fits, check_memories, memories_of, routing_figures

ICEBREAKER = get_target("icebreaker")


def small() -> Network:
    return network(
        [neuron(9, refractory=1), neuron(12, membrane_decay=FULL - 300, current_decay=(2000,)), silent(membrane_decay=FULL - 9)],
        [axon(0, {0: 3, 1: -5}), axon(1, {1: 7, 2: 60}), axon(2, {2: -9}), axon(3, {0: 2, 2: 5})],
        n_inputs=2,
        readout_neuron=[2, 1],
        readout_class=[0, 1],
        labels=("yes", "no"),
        name="small",
    )


def crowded(n_neurons: int) -> Network:
    """As many inputs as neurons, and all of them reach every neuron with random weights."""
    chance = np.random.default_rng(1)
    axons = [axon(s, {n: int(w) for n, w in enumerate(chance.choice([-3, -2, -1, 1, 2, 3, 5, 7], n_neurons))}) for s in range(2 * n_neurons)]
    return network([neuron(50)] * n_neurons, axons, n_inputs=n_neurons, name="crowded", weight_bits=4)


@pytest.fixture
def tools() -> None:
    for name in ("yosys", "nextpnr-ice40", "icepack"):
        try:
            find_tool(name)
        except MissingTool as error:
            pytest.skip(str(error))


def test_a_small_network_becomes_a_bitstream_with_its_figures(tools, tmp_path):
    net, said = crowded(24), []
    report = build_bitstream(net, get_board("icebreaker"), tmp_path, seed=3, progress=said.append)
    assert [text.split(" ")[0] for text in said] == ["generating", "synthesizing", "placing", "packing"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["crowded.bin", "crowded.nextpnr.log", "crowded.utilization.json", "crowded.yosys.log"]
    assert json.loads((tmp_path / "crowded.utilization.json").read_text()) == report
    bitstream = (tmp_path / "crowded.bin").read_bytes()
    assert bitstream.startswith(bytes.fromhex("ff0000ff7eaa997e"))  # start and synchronization word of an iCE40 configuration
    assert report["bitstream_sha256"] == hashlib.sha256(bitstream).hexdigest()
    assert report["network_digest"] == network_digest(net)
    assert (report["board"], report["packing"], report["seed"], report["clock_mhz"]) == ("icebreaker", "plain", 3, 12.0)
    assert report["worst_cycles_per_timestep"] == CycleModel.of(net).worst_step()
    assert 300 < report["logic_cells"]["used"] < 5280 == report["logic_cells"]["available"]
    assert 1 <= report["block_rams"]["used"] <= 30 == report["block_rams"]["available"]
    assert report["multipliers"] == {"used": 1, "available": 8}
    assert report["large_rams"] == {"used": 0, "available": 4}
    assert report["fmax_mhz"] > 12
    assert set(report["tools"]) == {"amaranth", "amaranth-boards", "yosys", "nextpnr-ice40", "icepack"}


def test_a_network_that_does_not_fit_is_refused_before_any_tool_runs(tools, tmp_path, monkeypatch):
    def never(*args):
        raise AssertionError("a tool ran")

    monkeypatch.setattr(module, "_run", never)
    with pytest.raises(TargetError) as caught:
        build_bitstream(crowded(130), get_board("icebreaker"), tmp_path)
    first, taken, fitting = str(caught.value).split("\n")
    assert first == "network 'crowded' must fit icebreaker (iCEBreaker, iCE40UP5K):"
    assert taken.startswith("  its memories take ")
    assert " of 30 block RAMs (EBR), " in taken
    assert "walker.targets" in taken
    assert fitting.endswith("of its 33800 synapses would fit")
    assert list(tmp_path.iterdir()) == []


def test_what_fits_with_another_packing_is_said():
    too_many = [Memory("walker.targets", 16384, 8), Memory("sweep.membranes", 100, 16)]
    taken = r"32 of 30 block RAMs \(EBR\), 2 too many: walker.targets 32 \(16384 rows of 8 bits\), sweep.membranes 1 \(100 rows of 16 bits\)"
    with pytest.raises(TargetError, match=rf"its memories take {taken}\n.*--packing shared would fit: 20 of 30"):
        check_memories(small(), ICEBREAKER, too_many, {"shared": [Memory("walker.targets", 10240, 8)]})
    check_memories(small(), ICEBREAKER, too_many[1:], {})
    with pytest.raises(TargetError, match="fewer neurons or shorter delays would fit"):
        check_memories(small(), ICEBREAKER, [Memory("queue.rows", 16384, 8)], {})


def test_too_many_cells_are_refused_with_how_many():
    check_fits(small(), ICEBREAKER, {"logic_cells": 5280, "block_rams": 30, "multipliers": 8})
    with pytest.raises(
        TargetError, match=r"it takes 7000 of 5280 logic cells, 1720 too many\n.*it takes 9 of 8 multipliers \(DSP\), 1 too many\n.*about 2 of its 3 neurons"
    ):
        check_fits(small(), ICEBREAKER, {"logic_cells": 7000, "block_rams": 30, "multipliers": 9})


def test_figures_are_read_from_what_the_tools_write():
    rtlil = "module \\top.core.walker\n  wire width 3 \\x\n  memory width 8 size 4800 \\targets\nmodule \\top.core.queue\n  memory width 11 size 256 \\rows\n"
    assert memories_of(rtlil) == [Memory("walker.targets", 4800, 8), Memory("queue.rows", 256, 11)]
    log = "Info: Device utilisation:\nInfo: \t         ICESTORM_LC:    5400/   5280   102%\nInfo: \t        ICESTORM_RAM:      22/     30    73%\n"
    assert routing_figures(log) == {"logic_cells": 5400, "block_rams": 22, "large_rams": 0, "multipliers": 0}


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Error("nextpnr failed")])
def test_a_build_that_stops_changes_nothing(tools, tmp_path, monkeypatch, stop):
    (tmp_path / "small.bin").write_bytes(b"of before")

    def stopped(*args):
        raise stop

    monkeypatch.setattr(module, "_run", stopped)
    with pytest.raises((KeyboardInterrupt, Error)):
        build_bitstream(small(), get_board("icebreaker"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["small.bin"]
    assert (tmp_path / "small.bin").read_bytes() == b"of before"


def test_a_tool_that_fails_is_one_error_with_the_end_of_its_log(tmp_path):
    shell = Tool("yosys", shutil.which("sh"), "yosys 0.1")
    with pytest.raises(Error, match=r"yosys 0.1 must accept the generated design, but failed:\nERROR: no"):
        module._run(shell, ["-c", "echo ERROR: no; exit 1"], tmp_path)


def test_missing_tools_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(MissingTool, match=r"building a bitstream needs yosys, which is not installed: pip install 'ormia\[hdl\]'"):
        build_bitstream(small(), get_board("icebreaker"), tmp_path)


def test_an_unknown_board_is_refused_with_near_names():
    with pytest.raises(UsageError, match=r"a board must be one of icebreaker, not 'icebraker' \(did you mean icebreaker\?\)"):
        get_board("icebraker")


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_board_s_clock_makes_its_baud_rate(board):
    assert abs(board.clock_hz / board.divisor / board.baud - 1) < 0.02
    assert board.make_platform().default_clk_constraint.frequency == board.clock_hz


def test_the_command_prints_what_the_build_took(tmp_path, monkeypatch, capsys):
    figures = {name: {"used": i, "available": 9} for i, name in enumerate(("logic_cells", "block_rams", "large_rams", "multipliers"))}
    made = {"network": "small", "board": "icebreaker", "packing": "plain", "fmax_mhz": 30.5, "bitstream": "small.bin", **figures}
    made |= {"synapse_memory_bits": 90, "considered_memory_bits": {"plain": 90, "bitmap": 120}}
    monkeypatch.setattr(module, "build_bitstream", lambda *args, **options: made)
    write_network(tmp_path / "small.ormia", small())
    commands.build(tmp_path / "small.ormia", tmp_path, json=True)
    assert json.loads(capsys.readouterr().out) == made
    commands.build(tmp_path / "small.ormia", tmp_path)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"{tmp_path / 'small.bin'}: network small for icebreaker, plain packing, 30.5 MHz"
    assert shown[2].split() == ["block", "rams", "1", "of", "9"]
    assert shown[5] == "  bits of synapses by packing: plain 90, bitmap 120"


def test_what_the_packer_compared_is_in_the_readme_and_the_json_of_emitted_verilog(tmp_path, capsys):
    write_network(tmp_path / "ec.ormia", ec_like(n_inputs=1, neurons=20))
    commands.emit_verilog(tmp_path / "ec.ormia", tmp_path / "out", json=True)
    stated = json.loads(capsys.readouterr().out)
    assert stated["packing"] == "bitmap"
    assert stated["synapse_memory_bits"] == stated["considered_memory_bits"]["bitmap"] == min(stated["considered_memory_bits"].values())
    sizes = sorted(stated["considered_memory_bits"].items(), key=lambda found: found[1])
    readme = (tmp_path / "out" / "README.md").read_text()
    assert f"Synapses are in bitmap packing, of memory bits {', '.join(f'{name} {bits}' for name, bits in sizes)}." in readme


def test_emitted_verilog_is_the_same_bytes_again_and_says_what_it_is(tmp_path, capsys):
    write_network(tmp_path / "small.ormia", small())
    for folder in ("first", "second"):
        commands.emit_verilog(tmp_path / "small.ormia", tmp_path / folder, json=folder == "second")
    printed = capsys.readouterr().out
    assert printed.splitlines()[:2] == [str(tmp_path / "first" / name) for name in ("ormia_small.sv", "README.md")]
    assert json.loads("\n".join(printed.splitlines()[2:]))["network_digest"] == network_digest(small())
    texts = [{path.name: path.read_text() for path in Path(tmp_path, folder).iterdir()} for folder in ("first", "second")]
    assert texts[0] == texts[1]
    assert "\nmodule ormia_small(" in texts[0]["ormia_small.sv"]
    readme = texts[0]["README.md"]
    assert f"Network digest: `{network_digest(small())}`" in readme
    assert "carry no obligation" in readme
    assert "| `events__payload` | input | 6 | input of the timesteps: event words |" in readme
    assert "trace__valid" not in readme
    commands.emit_verilog(tmp_path / "small.ormia", tmp_path / "traced", trace=True)
    assert "| `trace__membrane` | output | 16 |" in (tmp_path / "traced" / "README.md").read_text()
