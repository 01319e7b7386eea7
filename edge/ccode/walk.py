# SPDX-License-Identifier: Apache-2.0
"""What ``templates/network.c`` says of axons: how a list, a row or chunks are walked, and how past events are remembered."""

from __future__ import annotations

from collections.abc import Mapping

from ..network import Network
from .layout import Layout
from .packing import Packing
from .pairs import CHUNK_BITS, ROW_BITS, Pairs
from .tables import times

__all__ = ["history_values", "walk_values"]


def walk_values(net: Network, packing: Packing) -> dict[str, object]:
    """Of the walk over active axons."""
    sources = net.axon_source[list(packing.order[: packing.n_immediate])]
    bits, per = packing.weight_bits, packing.synapses_per_group
    types = {t.name: t.ctype for t in packing.tables}
    pairs = packing.pairs
    drive_type = packing.drive_type
    if bits == 0:
        terms = ["factor"]
    elif bits == 8:
        terms = ["factor * synapse_weight[group]"]
    else:
        terms = [f"factor * ormia_signed_field({f'packed >> {bits * i}u' if i else 'packed'}, {bits}u)" for i in range(per)]
    adds = [f"        drive[target[{i}]] = ({drive_type})(drive[target[{i}]] + {term});" for i, term in enumerate(terms)]
    return {
        "axons": packing.n_axons > 0,
        "others": packing.others,
        **_boolean_values(packing, types),
        "paired": pairs is not None,
        "rows": pairs is not None and pairs.rows,
        "chunks": pairs is not None and pairs.chunks,
        "both": pairs is not None and pairs.rows and pairs.chunks,
        "chunks_alone": pairs is not None and pairs.chunks and not pairs.rows,
        "row_pairs": "" if pairs is None else f"{_n_pairs(pairs, ROW_BITS)}u",
        "row_adds": "" if pairs is None else _adds(pairs, ROW_BITS),
        "chunk_adds": "" if pairs is None else _adds(pairs, CHUNK_BITS),
        "shared": packing.shared,
        "per": per,
        "target_type": types.get("target_offset" if packing.shared else "synapse_target", "uint8_t"),
        "drive_type": drive_type,
        "axon_compartment": packing.compartment.expression,
        "first_target": "" if packing.first.constant == 0 else f" + {packing.first.expression}",
        "gain": times(packing.gain),
        "axon_weight": times(packing.weight),
        "packed": bits in (2, 4),
        "adds": "\n".join(adds),
        "counted": packing.counted.declaration(),
        "immediate": packing.n_immediate > 0,
        "direct": packing.direct,
        "immediate_inputs": bool((sources < net.n_inputs).any()),
        "listens": packing.n_delayed_inputs > 0 or bool((sources < net.n_inputs).any()),
        "immediate_neurons": bool((sources >= net.n_inputs).any()),
    }


def _boolean_values(packing: Packing, types: Mapping[str, str]) -> dict[str, object]:
    """Of bitmaps and lists, and how the place of an axon tells which it has."""
    booleans, paired = packing.booleans, packing.pairs is not None
    if booleans is None:
        return {"booleans": False, "bitmaps": False, "lists": False}
    first, of_lists, of_others = booleans.first, booleans.n_bitmaps, booleans.n_others
    begin = "sums" if first.constant == 0 else f"sums + {'' if paired else '2 * '}{first.expression}"
    forms = [
        (of_lists, f"add_bitmap({begin}, place, factor);", of_lists > 0),
        (of_others, f"add_list({begin}, place{f' - {of_lists}u' if of_lists else ''}, factor);", booleans.n_lists > 0),
        (0, f"add_weights(sums, place - {of_others}u, factor);", packing.others),
    ]
    calls = [(end, call) for end, call, there in forms if there]
    lines = [f"if (place < {end}u) {{\n        {call}\n    }} else " for end, call in calls[:-1]]
    last = calls[-1][1] if len(calls) == 1 else f"{{\n        {calls[-1][1]}\n    }}"
    return {
        "booleans": True,
        "bitmaps": of_lists > 0,
        "lists": booleans.n_lists > 0,
        "axon_place": booleans.place.expression,
        "entry_type": types.get("boolean_target", ""),
        "factor_type": "uint32_t" if paired else "int32_t",
        "bitmap_adds": "\n".join(f"        sums[{k}] += add[packed >> {30 - 2 * k}u{' & 3u' if k else ''}];" for k in range(16)),
        "add_synapses": "    " + "".join(lines) + last,
    }


def _n_pairs(pairs: Pairs, word_bits: int) -> int:
    return word_bits // pairs.bits // 2


def _adds(pairs: Pairs, word_bits: int) -> str:
    """Statements that add the weights of a word to the sums that they belong to."""
    lines = []
    for k in range(_n_pairs(pairs, word_bits)):
        shifted = f"(packed >> {pairs.bits * k}u)" if k else "packed"
        taken = f"({shifted} & 0x{pairs.mask:X}u)"
        weights = f"({taken} - 0x{pairs.bias * 0x10001:X}u)" if pairs.bias else taken
        lines.append(f"        sums[{k}] += {weights} * factor;")
    return "\n".join(lines)


def history_values(net: Network, layout: Layout) -> dict[str, object]:
    """Of the events and spikes of past timesteps."""
    fields = {field.name: field for field in layout.fields}
    inputs, neurons = fields.get("input_history"), fields.get("neuron_history")
    packing = layout.packing
    return {
        "history": inputs is not None or neurons is not None,
        "delayed_inputs": inputs is not None,
        "delayed_neurons": neurons is not None,
        "bit_history": layout.bit_history,
        "input_groups": packing.input_groups,
        "neuron_groups": packing.neuron_groups,
        "input_runs": packing.input_first is not None,
        "neuron_runs": packing.neuron_first is not None,
        "input_first": "" if packing.input_first is None else packing.input_first.expression,
        "neuron_first": "" if packing.neuron_first is None else packing.neuron_first.expression,
        "first_delayed_input": packing.n_immediate,
        "first_delayed_neuron": packing.n_immediate + packing.n_delayed_inputs,
        "input_history": layout.input_history,
        "neuron_history": layout.neuron_history,
        "input_history_type": inputs.ctype if inputs else "",
        "input_width": inputs.shape[1] if inputs else 0,
        "neuron_width": neurons.shape[1] if neurons else 0,
    }
