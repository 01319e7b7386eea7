# SPDX-License-Identifier: Apache-2.0
"""What a network takes: memories of the gateware core as rows of bits, and bytes of the generated C. An account before any tool runs.

Knows sizes only. Plain packing is counted as ``hdl/pack.py`` stores it, but for holes that several axons of one source may leave in the axon
table; other packings are estimates, for the packer weighs more forms, and packings without weights are counted only where every axon has a boolean
hint and a weight that is a power of two. Class scores lie in registers. What synthesis made of all this is in
the files that ``ormia build`` writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .network import Network, Readout, Reset
from .validation import gather_bounds

__all__ = ["Footprint", "Memory", "block_rams", "core_memories", "footprint", "index_bits"]

BLOCK_SHAPES = ((256, 16), (512, 8), (1024, 4), (2048, 2))  # of an iCE40 block RAM: Lattice FPGA-TN-02002, table of EBR configurations
WORD_BITS = 16  # neurons of a word of a bitmap; the widest shape of an iCE40 block RAM
PART_BITS = 40  # what one more row of the axon table costs, as in hdl/pack.py


@dataclass(frozen=True)
class Memory:
    """One memory of the core.

    Attributes
    ----------
    name : str
        What it holds.
    rows, bits : int
        Its depth and width; a width of 0 needs no memory.
    """

    name: str
    rows: int
    bits: int

    @property
    def size(self) -> int:
        """Bits in all."""
        return self.rows * self.bits

    @property
    def block_rams(self) -> int:
        """Block RAMs of 4096 bits, in the best of their shapes.

        Examples
        --------
        >>> Memory("words", 257, 16).block_rams, Memory("weights", 19456, 4).block_rams, Memory("none", 172, 0).block_rams
        (2, 19, 0)
        """
        return min(-(-self.rows // rows) * -(-self.bits // bits) for rows, bits in BLOCK_SHAPES)


@dataclass(frozen=True)
class Footprint:
    """Sizes of a network on every kind of target.

    Attributes
    ----------
    plain, shared : list of Memory
        Memories of the core in packings with weights.
    flash_bytes, ram_bytes : int
        Constant tables and state struct of the generated C, without code; with a front end of kind fft, where there is one.
    boolean : mapping of str to list of Memory
        Memories of the core in packings ``indices`` and ``bitmap``, where they can be counted.
    """

    plain: list[Memory]
    shared: list[Memory]
    flash_bytes: int
    ram_bytes: int
    boolean: Mapping[str, list[Memory]] = field(default_factory=dict)

    @property
    def packing(self) -> str:
        """The packing that takes the fewest block RAMs."""
        found = {"plain": self.plain, "shared": self.shared, **self.boolean}
        return min(found, key=lambda name: block_rams(found[name]))

    @property
    def memories(self) -> list[Memory]:
        """Memories of the core in that packing."""
        return {"plain": self.plain, "shared": self.shared, **self.boolean}[self.packing]

    @property
    def block_rams(self) -> int:
        """Block RAMs of that packing."""
        return block_rams(self.memories)


def block_rams(memories: list[Memory]) -> int:
    """Block RAMs that memories surely take: one that fits a single block may become logic."""
    return sum(memory.block_rams for memory in memories if memory.block_rams > 1)


def footprint(net: Network) -> Footprint:
    """Sizes of ``net``. Raises ``TargetError`` where no C can be generated for it at all."""
    from .ccode.layout import lay_out

    layout = lay_out(net)
    others = core_memories(net)[3:]
    boolean = {name: [*synapses, *others] for name, synapses in _boolean_synapses(net).items()}
    return Footprint(core_memories(net), core_memories(net, shared=True), layout.flash_bytes, layout.state_bytes, boolean)


def core_memories(net: Network, *, shared: bool = False) -> list[Memory]:
    """Memories of the core.

    Parameters
    ----------
    net : Network
        Any network.
    shared : bool
        Weights alone and target offsets in a pool that axons share, in place of (target, weight) words.
    """
    formats, neurons = net.formats, net.n_neurons
    neuron_bits = index_bits(neurons)
    synapses = _shared_synapses(net, neuron_bits) if shared else _plain_synapses(net, neuron_bits)
    lo, hi = gather_bounds(net)
    gathered = max(int(hi.max()).bit_length(), (~int(lo.min())).bit_length()) + 1
    planes = (net.n_compartments - 1 << neuron_bits) + neurons
    firing = net.kind_firing[net.neuron_kind]
    subtracts = firing & (net.kind_reset[net.neuron_kind] == Reset.SUBTRACT)
    parameters = [net.threshold[firing], net.bias, net.initial_membrane, np.unique(net.neuron_kind, return_inverse=True)[1]]
    if np.any((net.reset_by != net.threshold) & subtracts):
        parameters.append(net.reset_by[subtracts])
    sources = _live_sources(net)
    events = _power_of_two(max(2, (net.max_delay + 1) * max(1, sources) if net.max_delay else sources - net.n_inputs))
    first_rows = [Memory("first events", _power_of_two(net.max_delay + 1), index_bits(events))] if net.max_delay else []
    longest_hold = int((net.kind_refractory * net.kind_firing)[np.unique(net.neuron_kind)].max(initial=0))
    payload = formats.payload_bits if formats.payload_bits > 1 else 0
    return [
        *synapses,
        Memory("event queue", events, index_bits(sources) + payload),
        *first_rows,
        Memory("accumulators", planes, gathered),
        Memory("currents", planes, formats.current_bits if np.any(net.kind_current_decay[np.unique(net.neuron_kind)]) else 0),
        Memory("membranes", neurons, formats.membrane_bits + longest_hold.bit_length() + (net.readout == Readout.SPIKES)),
        Memory("neuron parameters", neurons, sum(map(_column_bits, parameters))),
    ]


def _plain_synapses(net: Network, neuron_bits: int) -> list[Memory]:
    counts = np.diff(net.synapse_start)
    columns = [counts, net.synapse_start[:-1], net.axon_shift, net.axon_compartment]
    rows, chained = _axon_rows(net)
    return [
        Memory("axon table", rows, sum(map(_column_bits, columns)) + chained),
        Memory("targets", max(1, net.n_synapses), neuron_bits),
        Memory("weights", max(1, net.n_synapses), net.formats.weight_bits),
    ]


def _shared_synapses(net: Network, neuron_bits: int) -> list[Memory]:
    """Lists cut at the borders of motif arrays; equal sequences of distances between targets are stored once."""
    cuts = sorted({edge for hint in net.motifs for edge in (hint.base, hint.base + hint.size * hint.count)})
    pieces = [piece for axon in range(net.n_axons) for piece in _pieces(net.synapses(axon)[0], cuts)]
    shapes = [tuple(np.diff(piece).tolist()) for piece in pieces]
    # a piece may also be stored as the whole run it spans, zero weights included: its distances are all 1, a list that is there once
    longest_run, weights, pool = 0, 0, {}
    uses = {shape: shapes.count(shape) for shape in set(shapes)}
    width = net.formats.weight_bits
    for piece, shape in zip(pieces, shapes, strict=True):
        span = int(piece[-1] - piece[0]) + 1
        if width * span <= len(piece) * (width + neuron_bits / uses[shape]):
            longest_run, weights = max(longest_run, span), weights + span
        else:
            pool[shape], weights = len(piece), weights + len(piece)
    slots = longest_run + sum(pool.values())
    rows, _ = _axon_rows(net)
    rows += len(pieces) - int(np.count_nonzero(np.diff(net.synapse_start)))
    longest = max([longest_run, *pool.values()], default=0)
    columns = [net.axon_shift, net.axon_compartment]
    entry = index_bits(longest + 1) + index_bits(slots) + index_bits(weights) + neuron_bits + 1 + sum(map(_column_bits, columns))
    return [Memory("axon table", rows, entry), Memory("targets", slots, neuron_bits), Memory("weights", weights, width)]


def _boolean_synapses(net: Network) -> dict[str, list[Memory]]:
    """Packings without weights: lists of offsets, and words of bits from that of the first target to that of the last; equal ones are stored once."""
    counts = np.diff(net.synapse_start)
    weights = np.array([net.synapse_weight[start] for start in net.synapse_start[:-1][counts > 0]], np.int64)
    if not len(weights) or not net.axon_boolean[counts > 0].all() or np.any(np.abs(weights) & (np.abs(weights) - 1)):
        return {}
    word = min(WORD_BITS, net.n_neurons)
    lists = [net.synapses(axon)[0].astype(np.int64) for axon in np.flatnonzero(counts).tolist()]
    bitmaps = [np.bincount(own // WORD_BITS - own[0] // WORD_BITS, weights=1 << own % WORD_BITS).astype(np.int64) for own in lists]
    clocks = [int(np.maximum(1, np.bincount(own // WORD_BITS - own[0] // WORD_BITS)).sum()) for own in lists]
    words = sum(map(len, {tuple(own.tolist()) for own in bitmaps}))
    offsets = sum(map(len, {tuple((own - own[0]).tolist()) for own in lists}))
    base = np.array([own[0] for own in lists])
    rows, chained = _axon_rows(net)
    if index_bits(net.n_neurons) * (net.n_synapses - offsets) <= rows * _column_bits(base):  # targets themselves need no base
        offsets = net.n_synapses
    bases = {"indices": base if offsets < net.n_synapses else base * 0, "bitmap": base // WORD_BITS}
    shift = net.axon_shift[counts > 0] + np.log2(np.abs(weights)).astype(np.int64)
    columns = [shift, net.axon_compartment[counts > 0], weights < 0]

    def table(name: str, walked: list[int], pool: int) -> Memory:
        varying = [_column_bits(column.astype(np.int64)) for column in [*columns, bases[name]]]
        return Memory("axon table", rows, sum(varying) + _column_bits(np.array([*walked, 0])) + index_bits(pool) + chained)

    return {
        "indices": [table("indices", counts.tolist(), offsets), Memory("targets", offsets, index_bits(net.n_neurons))],
        "bitmap": [table("bitmap", clocks, words), Memory("targets", words, word)],
    }


def _pieces(targets: np.ndarray, cuts: list[int]) -> list[np.ndarray]:
    return [piece for piece in np.split(targets, np.searchsorted(targets, cuts)) if len(piece)]


def _axon_rows(net: Network) -> tuple[int, bool]:
    """Rows of the axon table and whether some source has several axons of one delay, which chains rows."""
    places = np.stack([net.axon_delay.astype(np.int64), net.axon_source.astype(np.int64)])
    planes = max(1, len(np.unique(net.axon_delay)))
    sources = _live_sources(net)
    several = net.n_axons - np.unique(places, axis=1).shape[1]
    return (planes - 1 << index_bits(sources)) + sources + several, several > 0


def _live_sources(net: Network) -> int:
    """Sources up to the last that has an axon, all input channels among them."""
    return max(net.n_inputs, int(net.axon_source.max(initial=-1)) + 1)


def _column_bits(values: np.ndarray) -> int:
    """Width of a stored column; 0 where it is constant, for then it is logic."""
    if len(values) == 0 or values.min() == values.max():
        return 0
    lo, hi = int(values.min()), int(values.max())
    return hi.bit_length() if lo >= 0 else max(hi.bit_length(), (~lo).bit_length()) + 1


def index_bits(count: int) -> int:
    """Width of an index of one of ``count`` things, at least 1; 0 for none."""
    return max(1, (count - 1).bit_length()) if count else 1


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()
