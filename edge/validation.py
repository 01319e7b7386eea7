# SPDX-License-Identifier: Apache-2.0
"""What makes a set of integers a network: every sentence of docs/semantics.md that can be refused, and the proofs P1 and P2.

Each rule yields sentences and never stops at the first; ``check_network`` raises them together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .errors import NetworkError

if TYPE_CHECKING:
    from .network import Network

__all__ = ["check_network", "gather_bounds", "score_bound"]

# F1..F7 and A3, N2: name -> inclusive range
FORMAT_RANGES = {
    "membrane_bits": (8, 24),
    "current_bits": (8, 24),
    "weight_bits": (2, 8),
    "decay_bits": (8, 15),
    "payload_bits": (1, 8),
    "accumulator_bits": (8, 24),
    "score_bits": (8, 32),
    "max_timesteps": (1, 1 << 20),
    "flush": (0, 255),
}
MAX_COMPARTMENTS = 4
MAX_KINDS = 256
SHOWN = 5  # members named in one sentence


def check_network(net: Network) -> None:
    """Raise ``NetworkError`` with every sentence of the specification that ``net`` violates.

    The groups build on each other: a network with a wrong shape or index is reported before its values are read.
    """
    for group in (_formats, _shapes, _indices, _values, _hints, _proofs):
        problems = list(group(net))
        if problems:
            raise NetworkError("\n".join(problems))


def gather_bounds(net: Network) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of every gathered sum (P1).

    Returns
    -------
    lo, hi : int64 [n_neurons, n_compartments]
        Sum of the negative and of the positive worst-case terms over all axons and delays.
    """
    axon = np.repeat(np.arange(net.n_axons), np.diff(net.synapse_start))
    from_input = net.axon_source[axon] < net.n_inputs
    payload = net.formats.payload
    p_lo = np.where(from_input, payload.lo, 0).astype(np.int64)
    p_hi = np.where(from_input, payload.hi, 1).astype(np.int64)
    weight = net.synapse_weight.astype(np.int64) << net.axon_shift[axon].astype(np.int64)
    where = (net.synapse_target, net.axon_compartment[axon])
    lo = np.zeros((net.n_neurons, net.n_compartments), np.int64)
    hi = np.zeros_like(lo)
    np.add.at(lo, where, np.minimum(0, np.minimum(weight * p_hi, weight * p_lo)))
    np.add.at(hi, where, np.maximum(0, np.maximum(weight * p_hi, weight * p_lo)))
    return lo, hi


def score_bound(net: Network) -> int:
    """Largest magnitude a class score can have (P2)."""
    from .network import Readout

    a_step = 1 if net.readout == Readout.SPIKES else 1 << (net.formats.membrane_bits - 1)
    steps = 1 if net.readout == Readout.LAST else net.formats.max_timesteps + net.formats.flush
    members = int(np.bincount(net.readout_class, minlength=1).max())
    return a_step * steps * members


def _formats(net: Network) -> Iterator[str]:
    from .network import Readout

    for name, (lo, hi) in FORMAT_RANGES.items():
        value = getattr(net.formats, name)
        if type(value) is not int or not lo <= value <= hi:
            yield f"{name} must be in {lo}..{hi}, not {value!r}"
    if type(net.formats.payload_signed) is not bool:
        yield f"payload_signed must be true or false, not {net.formats.payload_signed!r}"
    if net.formats.payload_signed and net.formats.payload_bits == 1:
        yield "payload_bits must be at least 2 where payload_signed is set, not 1"
    most = 2**31 - 1 - net.n_neurons  # a source is an int32
    if type(net.n_inputs) is not int or not 0 <= net.n_inputs <= most:
        yield f"n_inputs must be in 0..{most}, not {net.n_inputs!r}"
    if net.readout not in tuple(Readout):
        yield f"readout must be one of {', '.join(f'{int(r)} ({r.name})' for r in Readout)}, not {net.readout!r}"
    if not isinstance(net.name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,47}", net.name):
        yield f"name must be a letter and up to 47 letters, digits or underscores, not {net.name!r}"
    if len(set(net.labels)) != len(net.labels):
        yield "labels must be distinct"


def _shapes(net: Network) -> Iterator[str]:
    from .network import ARRAYS

    decay = net.kind_current_decay
    if decay.ndim != 2 or not 1 <= decay.shape[1] <= MAX_COMPARTMENTS:
        yield f"kind_current_decay must be [n_kinds, n_compartments] with 1..{MAX_COMPARTMENTS} compartments, not {decay.shape}"
        return
    lengths = {
        "axons": (net.n_axons,),
        "axons + 1": (net.n_axons + 1,),
        "synapses": (net.n_synapses,),
        "neurons": (net.n_neurons,),
        "kinds": (net.n_kinds,),
        "kinds, compartments": (net.n_kinds, decay.shape[1]),
        "readouts": (len(net.readout_neuron),),
    }
    for name, (_, length) in ARRAYS.items():
        shape = getattr(net, name).shape
        if shape != lengths[length]:
            yield f"{name} must have shape {lengths[length]} ({length}), not {shape}"
    if not 1 <= net.n_kinds <= MAX_KINDS:
        yield f"a network must have 1..{MAX_KINDS} kinds, not {net.n_kinds}"
    if len(net.readout_neuron) == 0:
        yield "a network must have at least one readout neuron"


def _outside(name: str, values: np.ndarray, lo: int, hi: int, what: str) -> Iterator[str]:
    wrong = np.flatnonzero((values < lo) | (values > hi))
    if len(wrong):
        shown = ", ".join(f"{what} {i}: {int(values[i])}" for i in wrong[:SHOWN])
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        yield f"{name} must be in {lo}..{hi}, not ({shown}{more})"


def _indices(net: Network) -> Iterator[str]:
    yield from _outside("axon_source", net.axon_source, 0, net.n_sources - 1, "axon")
    yield from _outside("axon_compartment", net.axon_compartment, 0, net.n_compartments - 1, "axon")
    yield from _outside("synapse_target", net.synapse_target, 0, net.n_neurons - 1, "synapse")
    yield from _outside("neuron_kind", net.neuron_kind, 0, net.n_kinds - 1, "neuron")
    yield from _outside("readout_neuron", net.readout_neuron, 0, net.n_neurons - 1, "readout")
    yield from _outside("readout_class", net.readout_class, 0, net.n_classes - 1, "readout")
    start = net.synapse_start
    if start[0] != 0 or start[-1] != net.n_synapses or np.any(np.diff(start) < 0):
        yield f"synapse_start must rise from 0 to n_synapses = {net.n_synapses}"
    if len(set(net.readout_neuron.tolist())) != len(net.readout_neuron):
        yield "readout neurons must be distinct"
    missing = sorted(set(range(net.n_classes)) - set(net.readout_class.tolist()))
    if missing:
        yield f"every class must have a readout neuron; class {missing[0]} has none"


def _values(net: Network) -> Iterator[str]:
    from .network import Readout, Reset

    formats = net.formats
    yield from _outside("axon_shift", net.axon_shift, 0, 7, "axon")
    yield from _outside(f"weight (weight_bits = {formats.weight_bits})", net.synapse_weight, formats.weight.lo, formats.weight.hi, "synapse")
    if np.any(net.synapse_weight == 0):
        yield f"a stored weight must not be 0 (synapse {int(np.flatnonzero(net.synapse_weight == 0)[0])}): leave the synapse out"
    step = np.diff(net.synapse_target.astype(np.int64))
    inner = np.ones(len(step), bool)
    cut = net.synapse_start[1:-1]
    inner[cut[(cut > 0) & (cut <= len(step))] - 1] = False
    if np.any(step[inner] <= 0):
        yield "the targets of an axon must be strictly ascending"
    full = 1 << formats.decay_bits
    yield from _outside("kind_membrane_decay", net.kind_membrane_decay, 0, full, "kind")
    yield from _outside("kind_current_decay", net.kind_current_decay.ravel(), 0, full, "entry")
    yield from _outside("kind_drive_shift", net.kind_drive_shift, 0, 7, "kind")
    yield from _outside("kind_current_shift", net.kind_current_shift, 0, 15, "kind")
    yield from _outside("kind_reset", net.kind_reset, Reset.ZERO, Reset.SUBTRACT, "kind")
    membrane = formats.membrane
    yield from _outside(f"bias (membrane_bits = {formats.membrane_bits})", net.bias, membrane.lo, membrane.hi, "neuron")
    yield from _outside(f"initial_membrane (membrane_bits = {formats.membrane_bits})", net.initial_membrane, membrane.lo, membrane.hi, "neuron")
    firing = net.kind_firing[net.neuron_kind]
    for name, lo in (("threshold", 1), ("reset_by", 0)):
        wrong = np.where(firing, getattr(net, name), lo)
        yield from _outside(f"{name} (membrane_bits = {formats.membrane_bits})", wrong, lo, membrane.hi, "neuron")
        silent = np.where(firing, 0, getattr(net, name))
        yield from _outside(f"{name} of a non-firing neuron", silent, 0, 0, "neuron")
    neuron_axon = net.axon_source >= net.n_inputs
    mute = np.flatnonzero(neuron_axon & ~np.append(firing, True)[np.where(neuron_axon, net.axon_source - net.n_inputs, -1)])
    if len(mute):
        yield f"a non-firing neuron must source no axon; axon {int(mute[0])} has neuron {int(net.axon_source[mute[0]] - net.n_inputs)}"
    if net.readout == Readout.SPIKES and not np.all(firing[net.readout_neuron]):
        yield "in readout mode SPIKES every readout neuron must be of a firing kind"


def _hints(net: Network) -> Iterator[str]:
    for number, hint in enumerate(net.motifs):
        links = [*hint.intra, *hint.lateral]
        numbers = [hint.base, hint.size, hint.count, *(v for link in links for v in link)]
        if any(len(link) != 2 for link in links) or not all(isinstance(v, int | np.integer) for v in numbers):
            yield f"motif hint {number} must hold integers and pairs of integers"
            continue
        last = hint.base + hint.size * hint.count
        if hint.size < 1 or hint.count < 1 or hint.base < 0 or last > net.n_neurons:
            yield f"motif hint {number} must lie within neurons 0..{net.n_neurons - 1}, not {hint.base}..{last - 1}"
            continue
        pairs = [*hint.intra, *((0, j) for _, j in hint.lateral)]
        if any(not (0 <= a < hint.size and 0 <= b < hint.size) for a, b in pairs) or any(d == 0 for d, _ in hint.lateral):
            yield f"links of motif hint {number} must lie within 0..{hint.size - 1} and have delta_m != 0"
            continue
        for axon in np.flatnonzero((net.axon_source >= net.n_inputs + hint.base) & (net.axon_source < net.n_inputs + last) & (net.axon_delay == 0)):
            targets = net.synapses(int(axon))[0]
            inside = targets[(targets >= hint.base) & (targets < last)]
            stray = sorted(set(inside.tolist()) - set(hint.targets(int(net.axon_source[axon]) - net.n_inputs)))
            if stray:
                yield f"motif hint {number} must cover every link within its array; axon {int(axon)} also reaches neuron {stray[0]}"
                break
    for axon in np.flatnonzero(net.axon_boolean):
        weights = net.synapses(int(axon))[1]
        if len(set(weights.tolist())) > 1:
            yield f"all weights of a boolean axon must be equal; axon {int(axon)} has {sorted(set(weights.tolist()))[:SHOWN]}"
            break


def _proofs(net: Network) -> Iterator[str]:
    lo, hi = gather_bounds(net)
    fits = net.formats.accumulator
    wrong = np.argwhere((lo < fits.lo) | (hi > fits.hi))
    if len(wrong):
        n, k = (int(i) for i in wrong[0])
        need = max((~int(lo.min())).bit_length() + 1, int(hi.max()).bit_length() + 1)
        remedy = f"{need} bits would do" if need <= FORMAT_RANGES["accumulator_bits"][1] else "no width would do: lower shifts, weights, payload_bits or fan-in"
        yield (
            f"every gathered sum must fit accumulator_bits = {net.formats.accumulator_bits} ({fits}); neuron {n}, compartment {k} can reach "
            f"{int(lo[n, k])}..{int(hi[n, k])} ({len(wrong)} such sums; {remedy})"
        )
    bound = score_bound(net)
    if bound > net.formats.score.hi:
        yield f"every class score must fit score_bits = {net.formats.score_bits}; {bound} can be reached in max_timesteps = {net.formats.max_timesteps}"
