# SPDX-License-Identifier: Apache-2.0
"""The Verilog module that cocotb sees: the core and beside it registers that collect what a timestep hands out.

The core pulses one membrane a clock. Python that woke for each of them would cost more than the simulation; here flip-flops gather the
pulses of a timestep, and Python reads all membranes as one word when the timestep is done. The registers only copy what the core's
ports say, count what comes twice, and know nothing of semantics.
"""

from __future__ import annotations

from amaranth.lib.wiring import Component

from ..edge.network import Network
from ..hdl.emit import port_table
from ..hdl.words import Words

__all__ = ["BENCH", "bench_source"]

BENCH = "bench"  # name of the module


def bench_source(network: Network, core: Component, name: str) -> str:
    """SystemVerilog of the bench around ``core``.

    Parameters
    ----------
    network : Network
        What the core runs.
    core : SpikingCore
        With trace, so that its ports are known.
    name : str
        Its module name.

    Returns
    -------
    str
        A module ``bench`` with the ports of the core, ``finished`` (a pulse in the clock after ``step_done``, from a flip-flop: it never
        glitches) and these registers, which change one clock later and then hold for a whole timestep: ``membranes`` (n_neurons words of
        membrane_bits), ``spikes`` (a bit a neuron), ``updates`` (a bit for each neuron that was updated), ``repeated`` (an update came
        twice), ``emitted_values`` (n_readouts words of value bits), ``emitted_seen`` (a bit for each index handed out) and
        ``emitted_wrong`` (an index or last flag was not as declared).
    """
    words = Words(network)
    ports = port_table(core)
    bits, value_bits, index_bits = network.formats.membrane_bits, words.value_bits, words.emitted_layout["index"].width
    n_neurons, n_readouts = network.n_neurons, len(network.readout_neuron)
    declarations = ["input logic clk", "input logic rst", *(f"{way} logic [{width - 1}:0] {port}" for port, (way, width) in ports.items())]
    connections = [f".{port}({port})" for port in ("clk", "rst", *ports)]
    index = f"emitted__payload[{value_bits + index_bits - 1}:{value_bits}]"
    last = f"emitted__payload[{value_bits + index_bits}]"
    return f"""\
// Bench of one core: see ormia's sim/bench.py. What cocotb reads and writes is public; keeping the core's inside private lets Verilator optimize it.
/* verilator public_flat_rw_on */
module {BENCH} (
  {_lines(declarations)}
);
  {name} core (
    {_lines(connections, 4)}
  );

  // what the timestep under way has handed out so far
  logic [{bits - 1}:0] membranes_now [0:{n_neurons - 1}];
  logic [{n_neurons - 1}:0] spikes_now = 0;
  logic [{n_neurons - 1}:0] updates_now = 0;
  logic repeated_now = 0;
  logic [{n_readouts * value_bits - 1}:0] emitted_values_now = 0;
  logic [{n_readouts - 1}:0] emitted_seen_now = 0;
  logic emitted_wrong_now = 0;
  logic [31:0] emitted_count = 0;

  // the same of the timestep done last
  logic [{n_neurons * bits - 1}:0] membranes = 0;
  logic [{n_neurons - 1}:0] spikes = 0;
  logic [{n_neurons - 1}:0] updates = 0;
  logic repeated = 0;
  logic [{n_readouts * value_bits - 1}:0] emitted_values = 0;
  logic [{n_readouts - 1}:0] emitted_seen = 0;
  logic emitted_wrong = 0;

  logic finished = 0;  // a timestep ended in the clock before
  logic moved;  // an emitted word is transferred
  assign moved = emitted__valid & emitted__ready;

  always_ff @(posedge clk) begin
    finished <= step_done & ~rst & ~reset_clip;
    if (finished) begin
      for (int n = 0; n < {n_neurons}; n++) membranes[n * {bits} +: {bits}] <= membranes_now[n];
      spikes <= spikes_now;
      updates <= updates_now;
      repeated <= repeated_now;
      emitted_values <= emitted_values_now;
      emitted_seen <= emitted_seen_now;
      emitted_wrong <= emitted_wrong_now;
    end
    if (finished | rst | reset_clip) begin
      updates_now <= 0;
      repeated_now <= 0;
      emitted_seen_now <= 0;
      emitted_wrong_now <= 0;
      emitted_count <= 0;
    end else begin
      if (trace__valid) begin
        membranes_now[trace__neuron] <= trace__membrane;
        spikes_now[trace__neuron] <= trace__spike;
        updates_now[trace__neuron] <= 1'b1;
        if (updates_now[trace__neuron]) repeated_now <= 1'b1;
      end
      if (moved) begin
        emitted_values_now[32'({index}) * {value_bits} +: {value_bits}] <= emitted__payload[{value_bits - 1}:0];
        emitted_seen_now[{index}] <= 1'b1;
        emitted_count <= emitted_count + 1;
        if (32'({index}) != emitted_count || {last} != (emitted_count == {n_readouts - 1})) emitted_wrong_now <= 1'b1;
      end
    end
  end
endmodule
/* verilator public_off */
"""


def _lines(items: list[str], indent: int = 2) -> str:
    return (",\n" + " " * indent).join(items)
