# SPDX-License-Identifier: Apache-2.0
"""What ``templates/network.c`` says of neurons: decay, saturation, reset, and where gathered sums come from."""

from __future__ import annotations

from ..network import Network
from .layout import Compartment, Layout
from .tables import TYPE_BYTES, Column, times
from .template import load_template, render

__all__ = ["compartments", "sweep_values"]


def sweep_values(net: Network, layout: Layout) -> dict[str, object]:
    """Of the update of every neuron."""
    formats = net.formats
    types = {field.name: field.ctype for field in layout.fields}
    slots = sum(c.slot is not None for c in layout.compartments)
    clear = [f"        state->current[{slot}][n] = 0;" for slot in range(slots)]
    places = range(len(layout.compartments))
    clear += ["        state->refractory[n] = 0u;"] if "refractory" in types else []
    moves = _decayed(layout.membrane_decay, formats.membrane_bits, formats.decay_bits) + (" + sum" if layout.compartments else "")
    moves += "" if layout.bias.constant == 0 else f" + {layout.bias.expression}"
    return {
        "kind_used": layout.kind_used,
        "firing": layout.n_firing > 0,
        "refractory": layout.refractory.expression if "refractory" in types else "",
        "membrane_decay": _unsigned(layout.membrane_decay),
        "moves": "" if moves == "x" else moves,  # an integrator that nothing reaches keeps its membrane
        "membrane_type": types["membrane"],
        "membrane_hi": formats.membrane.hi,
        "membrane_lo": f"({formats.membrane.lo})",
        "initial": layout.initial.expression,
        "threshold": layout.threshold.expression,
        "fired_type": types.get("fired", ""),
        "n_fired_type": types.get("n_fired", ""),
        "check_n_fired": layout.n_firing not in (0, (1 << 8 * TYPE_BYTES[types.get("n_fired", "uint8_t")]) - 1),  # of others any number will do
        "check_fired": layout.n_firing > 0 and net.n_neurons != 1 << 8 * TYPE_BYTES[types["fired"]],
        "reset": layout.reset.expression,
        "reset_mixed": layout.reset.table is not None,
        "reset_subtract": layout.reset.constant == 1,
        "reset_zero": layout.reset.constant == 0,
        "reset_by": layout.threshold.expression if layout.reset_by_threshold else layout.reset_by.expression,
        "readout_neuron": layout.readout_neuron.expression,
        "readout_class": layout.readout_class.expression,
        "one_readout": layout.readout_neuron.constant is not None,
        "clear_neuron": "\n".join(clear),
        "any_drive": bool(places),
        "drive_words": next((field.shape[1] for field in layout.fields if field.name == "drive"), 0),
        "clear_drive": "\n".join(f"        state->drive[{place}][n] = 0;" for place in places),
        "drive_parameters": "".join(f", int32_t drive_{place}" for place in places),
        **_takes(layout, types.get("fired", ""), net.n_neurons % 2 == 1),
        "odd": net.n_neurons % 2 == 1,
    }


def _takes(layout: Layout, fired_type: str, odd: bool) -> dict[str, str]:
    """How gathered sums come to the update of a neuron, or of two."""
    places = range(len(layout.compartments))
    paired = layout.packing.pairs is not None

    def call(neuron: str, half: str) -> str:
        drives = "".join(f", ormia_{half}(sums_{place})" if paired else f", sum_{place}" for place in places)
        indent = " " * (12 if half == "upper" and odd else 8)
        if not layout.n_firing:
            return f"{indent}(void)update(state, {neuron}{drives});"
        return f"{indent}if (update(state, {neuron}{drives}) != 0u) {{\n{indent}    state->fired[n_fired++] = ({fired_type})({neuron});\n{indent}}}"

    taken = [
        f"        const {'uint32_t sums' if paired else 'int32_t sum'}_{place} = state->drive[{place}][{'n / 2u' if paired else 'n'}];\n"
        f"        state->drive[{place}][{'n / 2u' if paired else 'n'}] = 0;"
        for place in places
    ]
    return {"take_sums": "\n".join(taken), "update_one": call("n", "lower"), "update_other": call("n + 1u", "upper")}


def _unsigned(factor: Column) -> str:
    return f"{factor.constant}u" if factor.constant is not None else factor.expression


def _decayed(factor: Column, bits: int, decay_bits: int) -> str:
    """``decay(x, factor)`` (D1) in 32 bits: C divides toward zero, and the product of |x| <= 2**(bits - 1) fits or is split."""
    if factor.constant == 0:
        return "0"
    if factor.constant == 1 << decay_bits:
        return "x"
    if bits - 1 + decay_bits <= 31:
        return f"x * {factor.expression} / DECAY_ONE"
    return f"ormia_decay_wide(x, {_unsigned(factor)}, {decay_bits}u)"


def compartments(net: Network, layout: Layout) -> str:
    """Statements that update the currents of a neuron."""
    numbered = enumerate(zip(layout.packing.compartments, layout.compartments, strict=True))
    return "".join(_compartment(net, k, c, place) for place, (k, c) in numbered)


def _compartment(net: Network, number: int, compartment: Compartment, place: int) -> str:
    formats, shift = net.formats, compartment.shift
    shifted = f"ormia_shift_toward_zero(x, {shift.expression})" if shift.constant is None else f"x / {1 << shift.constant}" if shift.constant else "x"
    values = {
        "number": number,
        "place": place,
        "stored": compartment.slot is not None,
        "slot": compartment.slot,
        "decay": _unsigned(compartment.decay),
        "decayed": _decayed(compartment.decay, formats.current_bits, formats.decay_bits),
        "decay_bits": formats.decay_bits,
        "gain": times(compartment.gain),
        "current_hi": formats.current.hi,
        "current_lo": f"({formats.current.lo})",
        "current_type": _current_type(formats.current_bits),
        "shifted": shifted,
    }
    return render(load_template("compartment.c"), values)


def _current_type(bits: int) -> str:
    return "int8_t" if bits <= 8 else "int16_t" if bits <= 16 else "int32_t"
