# SPDX-License-Identifier: Apache-2.0
"""A first account of energy: what a network does in a second of audio, times what each deed costs, from one table of cited constants.

A model, not a measurement. Knows counts and sizes; not how they were measured. The front end is in the account of microcontrollers only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .cost import Memory, footprint
from .cycles import CycleModel
from .describe import timestep_ms
from .errors import DataError
from .network import Network

__all__ = ["CONSTANTS", "Activity", "Constant", "Row", "estimate", "fpga_microwatts", "operation_rows"]


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A number that this repository did not measure on a board, and where it comes from."""

    value: float
    unit: str
    meaning: str
    source: str


_HOROWITZ = "M. Horowitz, Computing's energy problem, ISSCC 2014, doi 10.1109/ISSCC.2014.6757323 (45 nm, 0.9 V)"
_QKERAS = f"{_HOROWITZ}; its int8, int16 and int32 figures as fitted over bits by QKeras, qtools/config_public.py"
_MLPERF = "MLPerf Tiny results, closed division, keyword spotting: energy per inference / (latency x clock)"
_ICE40 = "github.com/tinyvision-ai-inc/ice40_power, measured per rail with a Joulescope on an iCE40UP5K breakout board"
_COUNTED = "bench/results/mcu.json: generated C of the demo's network, clang -O2 (Zig) for Cortex-M4, counted in the emulator Unicorn by bench/mcu.py"
_SYNTZULU = "github.com/gianlucaleone/SYNtzulu, README"

CONSTANTS: dict[str, Constant] = {
    "add_per_bit": Constant(value=0.003125, unit="pJ/bit", meaning="integer addition", source=_QKERAS),
    "multiply_per_bit2": Constant(value=0.0029948, unit="pJ/bit²", meaning="integer multiplication, square term", source=_QKERAS),
    "multiply_per_bit": Constant(value=0.0010417, unit="pJ/bit", meaning="integer multiplication, linear term", source=_QKERAS),
    "sram_8k": Constant(value=10, unit="pJ/64 bit", meaning="access to an SRAM of 8 KiB, also taken for smaller ones, which need less", source=_HOROWITZ),
    "sram_32k": Constant(value=20, unit="pJ/64 bit", meaning="of 32 KiB; sizes between are interpolated", source=_HOROWITZ),
    "sram_1m": Constant(value=100, unit="pJ/64 bit", meaning="of 1 MiB, also taken for larger ones", source=_HOROWITZ),
    "m4_cycle": Constant(value=351, unit="pJ/cycle", meaning="STM32L4R5, Cortex-M4, 120 MHz, 1.8 V", source=f"{_MLPERF}, v1.2"),
    "m4_switched_cycle": Constant(value=275, unit="pJ/cycle", meaning="STM32L4R5, Cortex-M4, 120 MHz, switched supply", source=f"{_MLPERF}, v1.3"),
    "m33_cycle": Constant(value=141, unit="pJ/cycle", meaning="STM32U575, Cortex-M33, 160 MHz, 1.8 V", source=f"{_MLPERF}, v1.2"),
    "m33_low_cycle": Constant(value=53, unit="pJ/cycle", meaning="STM32U385, Cortex-M33, 96 MHz, 1.8 V", source=f"{_MLPERF}, v1.3"),
    "front_end_instructions": Constant(value=35294, unit="instructions", meaning="a timestep of the FFT front end, 20 ms of audio", source=_COUNTED),
    "axon_instructions": Constant(value=55.1, unit="instructions", meaning="an axon activation, its synapses aside", source=_COUNTED),
    "synapse_instructions": Constant(value=2.55, unit="instructions", meaning="a synaptic operation", source=_COUNTED),
    "neuron_instructions": Constant(value=29.38, unit="instructions", meaning="a neuron update", source=_COUNTED),
    "decision_instructions": Constant(value=686, unit="instructions", meaning="readout and detector in a timestep", source=_COUNTED),
    "cycles_per_instruction": Constant(value=1.5, unit="cycles", meaning="an instruction", source="assumed: loads and taken branches take 2 or more, others 1"),
    "ice40_static": Constant(value=104, unit="µW", meaning="core rail, configured, clock stopped", source=_ICE40),
    "ice40_clock": Constant(value=52, unit="µW/MHz", meaning="oscillator and clock tree", source=_ICE40),
    "ice40_cell": Constant(value=0.014, unit="µW/MHz/LC", meaning="a logic cell that toggles little", source=_ICE40),
    "ice40_multiply": Constant(value=24.1, unit="pJ", meaning="8 x 8 multiplication in a DSP block, with two counters", source=_ICE40),
    "syntzulu_clock": Constant(value=24, unit="MHz", meaning="a spiking core on the same part, as a check", source=_SYNTZULU),
    "syntzulu_cells": Constant(value=3473, unit="LC", meaning="its size", source=_SYNTZULU),
    "syntzulu_measured": Constant(value=9500, unit="µW", meaning="its measured power at work", source=_SYNTZULU),
}
MICROCONTROLLERS = ("m4_cycle", "m4_switched_cycle", "m33_cycle", "m33_low_cycle")


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What a network does in a second of audio (C1 of docs/semantics.md)."""

    spikes: float
    synaptic_operations: float
    axon_activations: float
    neuron_updates: float

    @classmethod
    def of(cls, evaluation: Mapping[str, Any]) -> Activity:
        """From the JSON of ``ormia eval``. Raises ``DataError`` where a count is missing."""
        rates = evaluation.get("per_second_of_audio")
        try:
            return cls(**{name: float(rates[name]) for name in cls.__dataclass_fields__})  # type: ignore[index]
        except (KeyError, TypeError, ValueError):
            raise DataError("an evaluation must have all counters under per_second_of_audio: run `ormia eval` again") from None


@dataclass(frozen=True)
class Row:
    """One line of an account: what is done, how often a second, energy each in pJ."""

    name: str
    per_second: float
    picojoules: float

    @property
    def microwatts(self) -> float:
        """Power of all of them."""
        return self.per_second * self.picojoules * 1e-6


def _c(name: str) -> float:
    return CONSTANTS[name].value


def _add(bits: int) -> float:
    return _c("add_per_bit") * bits


def _multiply(bits: int) -> float:
    return _c("multiply_per_bit2") * bits**2 + _c("multiply_per_bit") * bits


def _access(memory: Memory) -> float:
    """Energy in pJ of reading or writing a row, by the size of the memory.

    Examples
    --------
    >>> _access(Memory("small", 64, 16)), _access(Memory("large", 32768, 8))
    (2.5, 2.5)
    """
    a_bit = np.interp(memory.size / 8, (8 << 10, 32 << 10, 1 << 20), (_c("sram_8k"), _c("sram_32k"), _c("sram_1m"))) / 64
    return float(a_bit) * memory.bits


def operation_rows(net: Network, activity: Activity) -> list[Row]:
    """Arithmetic and memory accesses in a 45 nm circuit that is organized as the gateware core is; no clock, no leakage, no control.

    A synaptic operation reads its synapse and adds to an accumulator; an axon activation passes the queue and reads the axon table; a neuron
    update takes and clears its accumulators, decays its currents and its membrane, writes both back and reads its parameters. Widths are those
    of the core's memories in its smallest packing. Payloads above 1 are counted as one multiplication a synaptic operation, an upper bound; packings
    without weights multiply nothing, and a word of a bitmap is counted as read for each of its synapses, an upper bound too.
    """
    formats, compartments = net.formats, net.n_compartments
    sizes = footprint(net)
    memories = {memory.name: memory for memory in sizes.memories}
    weighs = "weights" in memories
    multiplies = weighs and formats.payload_bits > 1
    access, sum_bits = {name: _access(memory) for name, memory in memories.items()}, memories["accumulators"].bits
    state = 2 * compartments * (access["accumulators"] + access["currents"]) + 2 * access["membranes"] + access["neuron parameters"]
    operations, updates, axons = activity.synaptic_operations, activity.neuron_updates, activity.axon_activations
    return [
        Row("synapses: read", operations, access["targets"] + (access["weights"] if weighs else 0)),
        Row("synapses: accumulator read and written", operations, 2 * access["accumulators"]),
        Row("synapses: addition", operations, _add(sum_bits)),
        *([Row("synapses: times payload", operations, _multiply(max(formats.payload_bits, formats.weight_bits)))] if multiplies else []),
        Row("axons: queue and table", axons, 2 * access["event queue"] + access["axon table"]),
        Row("neurons: state and parameters", updates, state),
        Row("neurons: decay multiplications", updates, compartments * _multiply(formats.current_bits) + _multiply(formats.membrane_bits)),
        Row("neurons: additions and comparison", updates, 2 * compartments * _add(formats.current_bits) + 2 * _add(formats.membrane_bits)),
        Row("spikes: reset", activity.spikes, _add(formats.membrane_bits)),
    ]


def fpga_microwatts(clock_mhz: float, logic_cells: int, multiplications: float = 0.0) -> float:
    """Core rail of an iCE40UP5K at a clock, with ``multiplications`` a second in DSP blocks.

    Examples
    --------
    >>> round(fpga_microwatts(12, 1500))
    980
    """
    return _c("ice40_static") + clock_mhz * (_c("ice40_clock") + logic_cells * _c("ice40_cell")) + multiplications * _c("ice40_multiply") * 1e-6


def estimate(
    net: Network,
    activity: Activity,
    *,
    logic_cells: int | None = None,
    board_mhz: float | None = None,
    cycles: float | None = None,
    worst_cycles: int | None = None,
) -> dict[str, Any]:
    """Account of a network on three kinds of device.

    Parameters
    ----------
    net : Network
        With a front end in its metadata, which says how long a timestep lasts.
    activity : Activity
        Per second of audio.
    logic_cells : int, optional
        Of the placed core; without it there is no estimate for the FPGA.
    board_mhz : float, optional
        Clock of the board.
    cycles : float, optional
        Mean clocks of the core in a timestep, as a backend counted them.
    worst_cycles : int, optional
        Clocks of a timestep in which everything is active, of the core that was built; that of packing plain if absent.

    Returns
    -------
    dict
        JSON-able; every power is in µW while listening.
    """
    step = timestep_ms(net)
    if step is None:
        raise DataError(f"a network must say how long a timestep lasts to be given a power; {net.name!r} has no front end")
    rows = operation_rows(net, activity)
    hears = net.metadata["front_end"].get("kind") == "fft"
    instructions = {
        "front end": 1000 / step * _c("front_end_instructions") if hears else 0.0,
        "axons": activity.axon_activations * _c("axon_instructions"),
        "synapses": activity.synaptic_operations * _c("synapse_instructions"),
        "neurons": activity.neuron_updates * _c("neuron_instructions"),
        "readout and detector": 1000 / step * _c("decision_instructions"),
    }
    per_second = _c("cycles_per_instruction") * sum(instructions.values())
    return {
        "activity": asdict(activity),
        "operations": {
            "rows": [{"name": row.name, "per_second": row.per_second, "picojoules": row.picojoules, "microwatts": row.microwatts} for row in rows],
            "microwatts": sum(row.microwatts for row in rows),
        },
        "microcontroller": {
            "instructions_per_second": instructions,
            "front_end_included": hears,
            "cycles_per_second": per_second,
            "parts": [{"part": CONSTANTS[name].meaning, "microwatts": per_second * _c(name) * 1e-6} for name in MICROCONTROLLERS],
        },
        "fpga": _fpga(net, activity, step, logic_cells, board_mhz, cycles, worst_cycles),
        "constants": {name: asdict(constant) for name, constant in CONSTANTS.items()},
    }


def _fpga(
    net: Network, activity: Activity, step_ms: float, logic_cells: int | None, board_mhz: float | None, cycles: float | None, worst_cycles: int | None
) -> dict[str, Any] | None:
    """Power at the clock that just keeps up on average and at the board's; None without a placed core."""
    if logic_cells is None:
        return None
    multiplications = activity.neuron_updates * (net.n_compartments + 1)
    worst = CycleModel.of(net).worst_step() if worst_cycles is None else worst_cycles
    needed = None if cycles is None else cycles / step_ms / 1000

    def at(clock: float | None) -> dict[str, float] | None:
        return None if clock is None else {"mhz": clock, "microwatts": fpga_microwatts(clock, logic_cells, multiplications)}

    return {
        "cycles_per_timestep": cycles,
        "worst_cycles_per_timestep": worst,
        "mean": at(needed),
        "worst": at(worst / step_ms / 1000),
        "board": at(board_mhz),
        "check": {"model": fpga_microwatts(_c("syntzulu_clock"), int(_c("syntzulu_cells"))), "measured": _c("syntzulu_measured")},
    }
