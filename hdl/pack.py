# SPDX-License-Identifier: Apache-2.0
"""Network to memory images of the synapse walker, and back. Knows the walker's addressing and no gateware.

The walker looks up a *part*: a run of slots that it walks one per clock. An axon is one part or several.

* ``plain``: a slot is a word (target, weight) and a part has one pointer.
* ``shared``: weights lie alone, and a slot's target is ``base + offset`` modulo ``2**target_bits`` with offsets from a pool that parts share.
  Where it saves bits, a part covers all links of a motif template, or all neurons between its first and last target; slots without a synapse
  then carry weight 0. Such slots take a clock and are no synaptic operation.
* ``indices`` and ``bitmap`` (``pack_boolean.py``): all slots of a part have one weight, which is a signed power of two and stands in the axon table;
  slots are offsets as in ``shared``, or bits of words that cover neurons from the first target to the last.

Entry of the axon table for part k of source s on plane p (planes are the distinct delays, longest first):
``(p << source_bits | s) + k * stride``. A source without an axon on a plane has an empty part there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from ..edge.cost import WORD_BITS
from ..edge.cycles import CycleModel, WalkLengths
from ..edge.errors import CheckFailed, UsageError
from ..edge.network import MotifHint, Network
from .pack_boolean import boolean_pieces, share_runs, walk_clocks, word_targets, words_of

__all__ = [
    "BOOLEAN_PACKINGS", "PACKINGS", "PackedSynapses", "Part", "block_rams", "check_name", "check_packing", "live_sources", "pack", "table_columns", "unpack",
]  # fmt: skip

BOOLEAN_PACKINGS = ("indices", "bitmap")
PACKINGS = ("plain", "shared", *BOOLEAN_PACKINGS)
PART_BITS = 40  # what one more row of the axon table costs, for the choice between forms of an axon
ALIGNMENTS = (1, 2, 4, 8)  # of the weights of a part (packing shared): fewer bits of pointer in each row for a few weights of padding

Synapses = list[tuple[int, int]]  # (target, weight), zero weights where a slot has no synapse


@dataclass
class Part:
    """One row of the axon table.

    Attributes
    ----------
    count : int
        Clocks that its walk takes: slots, or in packing bitmap ones and words without any.
    head : bool
        First part of an axon: counts as an axon activation.
    more : bool
        Another part follows ``stride`` rows further.
    shift, compartment : int
        Of the axon.
    slot_start, weight_start : int
        First row in the target memory and in the weight memory; equal in packing plain.
    base : int
        Added to offsets; 0 in packing plain. In packing bitmap the number of the first word of neurons.
    weight : int
        Of all slots, a signed power of two (boolean packings).
    again : bool
        Whether a part before it counted its slots as synaptic operations already (boolean packings).
    """

    count: int
    head: bool
    more: bool
    shift: int
    compartment: int
    slot_start: int = 0
    weight_start: int = 0
    base: int = 0
    weight: int = 1
    again: bool = False


@dataclass(frozen=True)
class PackedSynapses:
    """Memory images of one network.

    Attributes
    ----------
    packing : str
        One of ``PACKINGS``.
    delays : tuple of int
        Delay of each plane, descending.
    n_sources, source_bits, target_bits : int
        Input channels and neurons up to the last that has an axon; index widths.
    stride : int
        Rows from a part to the next of the same source and plane; 0 where no axon has several parts.
    table : list of Part or None
        Axon table; None: a row that is never read.
    targets : list of int
        Target of each slot (plain), the pool of offsets (shared, indices), or words of bits (bitmap).
    slot_bits : int
        Width of those.
    weights : list of int
        Weight of each slot; none in boolean packings.
    weight_bits : int
        Width of those.
    alignment : int
        Every ``weight_start`` is a multiple of it (packing shared).
    walk : WalkLengths
        What the cycle model needs.
    considered : mapping of str to int
        ``memory_bits`` of every packing, where "auto" had to compare them.
    """

    packing: str
    delays: tuple[int, ...]
    n_sources: int
    source_bits: int
    target_bits: int
    stride: int
    table: list[Part | None]
    targets: list[int]
    slot_bits: int
    weights: list[int]
    weight_bits: int
    alignment: int
    walk: WalkLengths = field(repr=False)
    considered: Mapping[str, int] = field(default_factory=dict)

    @property
    def memory_bits(self) -> int:
        """Bits of axon table, targets and weights."""
        columns = [{v for v in column if v is not None} for column in table_columns(self).values()]
        row = sum(max(values).bit_length() for values in columns if len(values) > 1)
        return row * len(self.table) + self.slot_bits * len(self.targets) + self.weight_bits * len(self.weights)


def block_rams(depth: int, width: int) -> int:
    """Block RAMs of 4096 bits (iCE40) that a memory takes, in the best of their shapes.

    Examples
    --------
    >>> block_rams(256, 16), block_rams(257, 16), block_rams(19456, 4), block_rams(172, 0)
    (1, 2, 19, 0)
    """
    if not width:
        return 0
    return min(-(-depth // rows) * -(-width // cols) for rows, cols in ((256, 16), (512, 8), (1024, 4), (2048, 2)))


def check_name(packing: str) -> None:
    """Raise ``UsageError`` for a packing that is neither auto nor one of ``PACKINGS``."""
    if packing not in (*PACKINGS, "auto"):
        raise UsageError(f"a packing must be one of auto, {', '.join(PACKINGS)}, not {packing!r}")


def table_columns(packed: PackedSynapses, *, head: bool = False) -> dict[str, list[int | None]]:
    """What the axon table holds of each row, by column; None: any value will do. ``head`` only where something counts it."""
    boolean = packed.packing in BOOLEAN_PACKINGS
    columns = {
        "count": lambda p: p.count,
        "more": lambda p: p.more,
        "shift": lambda p: p.shift + abs(p.weight).bit_length() - 1,
        "compartment": lambda p: p.compartment,
        "slot_start": lambda p: p.slot_start,
        **({"weight_start": lambda p: p.weight_start // packed.alignment} if packed.packing == "shared" else {}),
        "base": lambda p: p.base,
        **({"negative": lambda p: p.weight < 0, "again": lambda p: p.again} if boolean else {}),
        **({"head": lambda p: p.head} if head else {}),
    }
    always = {"count": 0, "more": 0, "head": 0}  # an empty or unused row must say so
    return {name: [int(of(p)) if p is not None and (p.count or name in always) else always.get(name) for p in packed.table] for name, of in columns.items()}


def live_sources(network: Network) -> int:
    """Sources up to the last that has an axon; all input channels are among them."""
    return max(network.n_inputs, int(network.axon_source.max(initial=-1)) + 1)


def pack(network: Network, packing: str = "auto") -> PackedSynapses:
    """Memory images for ``network``.

    Parameters
    ----------
    network : Network
        Any network.
    packing : {"auto", "plain", "shared", "indices", "bitmap"}
        How synapses are stored. Changes clocks and memory, never a result. Auto: of a network with a boolean hint (H2) what takes the fewest bits,
        and of equals what takes the fewest clocks; of others shared where there is a motif hint, else plain.
    """
    check_name(packing)
    if packing != "auto":
        return _pack(network, packing)
    if not np.any(network.axon_boolean & (np.diff(network.synapse_start) > 0)):
        return _pack(network, "shared" if network.motifs else "plain")
    found = [_pack(network, name) for name in PACKINGS]
    best = min(found, key=lambda packed: (packed.memory_bits, CycleModel.of(network, packed.walk).worst_step()))
    return replace(best, considered={packed.packing: packed.memory_bits for packed in found})


def _pack(network: Network, packing: str) -> PackedSynapses:
    n_sources = live_sources(network)
    source_bits = max(1, (n_sources - 1).bit_length()) if n_sources else 1
    target_bits = max(1, (network.n_neurons - 1).bit_length())
    delays = tuple(sorted({int(d) for d in network.axon_delay}, reverse=True)) or (0,)
    rows = ((len(delays) - 1) << source_bits) + n_sources

    chains: dict[int, list[Part]] = {}
    placed: list[tuple[Part, Synapses]] = []
    for axon, pieces in enumerate(_pieces(network, packing, target_bits)):
        row = delays.index(int(network.axon_delay[axon])) << source_bits | int(network.axon_source[axon])
        for k, (piece, weight, again) in enumerate(pieces):
            place = (int(network.axon_shift[axon]), int(network.axon_compartment[axon]))
            placed.append((Part(len(piece), k == 0, True, *place, weight=weight, again=again), piece))
            chains.setdefault(row, []).append(placed[-1][0])
    for row in range(rows):
        chains.setdefault(row, [Part(0, False, True, 0, 0)])[-1].more = False
    table, stride = _displace(chains, rows)

    slot_bits, weight_bits, alignment, weights = target_bits, network.formats.weight_bits, 1, []
    if packing == "plain":
        targets, weights = [t for _, piece in placed for t, _ in piece], _place_weights(placed, 1)
        for part, _ in placed:
            part.slot_start = part.weight_start
    elif packing == "shared":
        targets = _share_offsets(placed, 1 << target_bits)
        alignment = min(ALIGNMENTS, key=lambda a: _memory_cost(network, placed, len(table), len(_place_weights(placed, a)), a))
        weights = _place_weights(placed, alignment)
    elif packing == "indices":
        targets, weight_bits = _share_offsets(placed, 1 << target_bits), 0
        spared = target_bits * (sum(part.count for part, _ in placed) - len(targets))
        if spared <= len(table) * max((part.base for part, _ in placed), default=0).bit_length():  # targets themselves need no base
            targets = []
            for part, piece in placed:
                part.slot_start, part.base = len(targets) if piece else 0, 0
                targets += [t for t, _ in piece]
    else:
        targets, weight_bits, slot_bits = _share_bitmaps(placed), 0, min(WORD_BITS, network.n_neurons)
    walk = WalkLengths(delays, tuple(tuple(tuple(p.count for p in chains[d << source_bits | s]) for s in range(n_sources)) for d in range(len(delays))))
    stored = weights or [0] * (weight_bits > 0)
    return PackedSynapses(packing, delays, n_sources, source_bits, target_bits, stride, table, targets or [0], slot_bits, stored, weight_bits, alignment, walk)


def _pieces(network: Network, packing: str, target_bits: int) -> Iterator[list[tuple[Synapses, int, bool]]]:
    """Of each axon its parts: slots, and for boolean packings their weight and whether they were counted before."""
    split = _Splitter(network, target_bits) if packing == "shared" else None
    for axon in range(network.n_axons):
        if packing in BOOLEAN_PACKINGS:
            yield [([(target, weight) for target in targets], weight, again) for targets, weight, again in boolean_pieces(_synapses(network, axon))]
        else:
            yield [(piece, 1, False) for piece in (split.parts(axon) if split else [_synapses(network, axon)])]


def unpack(packed: PackedSynapses) -> Iterator[tuple[int, int, int, int, Synapses]]:
    """What the walker would do with an event of each source: (source, delay, shift, compartment, synapses) of each axon, zero weights left out."""
    for plane, delay in enumerate(packed.delays):
        for source in range(packed.n_sources):
            row: int | None = plane << packed.source_bits | source
            found: list[tuple[int, int, int, int, list[tuple[int, int, bool]]]] = []
            while row is not None:
                part = packed.table[row]
                if part is None:
                    raise CheckFailed(f"row {row} of the axon table must hold a part of source {source}")
                if part.head:
                    found.append((source, delay, part.shift, part.compartment, []))
                if part.count:
                    if found[-1][2:4] != (part.shift, part.compartment):
                        raise CheckFailed(f"all parts of an axon must have its shift and compartment; those of row {row} of the axon table differ")
                    found[-1][-1].extend((target, weight, part.again) for target, weight in _slots(packed, part) if weight)
                row = row + packed.stride if part.more else None
            yield from ((*axon, _added(slots)) for *axon, slots in found)


def _slots(packed: PackedSynapses, part: Part) -> Iterator[tuple[int, int]]:
    """Target and weight of each slot of a part."""
    if packed.packing == "bitmap":
        return ((target, part.weight) for target in word_targets(packed.targets, part.slot_start, part.base, part.count))
    targets = ((part.base + packed.targets[part.slot_start + i]) & ((1 << packed.target_bits) - 1) for i in range(part.count))
    weights = [part.weight] * part.count if packed.packing == "indices" else packed.weights[part.weight_start : part.weight_start + part.count]
    return zip(targets, weights, strict=True)


def _added(slots: list[tuple[int, int, bool]]) -> Synapses:
    """Slots of an axon, those that were counted before added to the ones that were."""
    found = [(target, weight) for target, weight, again in slots if not again]
    weights = dict(found)
    if len(weights) < len(found):  # a target stands twice, which no axon has
        return found
    for target, weight, again in slots:
        if again and target not in weights:
            raise CheckFailed(f"every slot must be counted as a synapse once; that of target {target} never is")
        if again:
            weights[target] += weight
    return list(weights.items())


def check_packing(network: Network, packed: PackedSynapses) -> None:
    """Raise ``CheckFailed`` unless unpacking gives the axons of ``network``, synapse for synapse, in its order for each source and delay."""
    order = np.lexsort((np.arange(network.n_axons), network.axon_source, -network.axon_delay.astype(np.int64)))
    expected = (
        (int(network.axon_source[a]), int(network.axon_delay[a]), int(network.axon_shift[a]), int(network.axon_compartment[a]), _synapses(network, a))
        for a in (int(a) for a in order)
    )
    got = unpack(packed)
    for number, axon in enumerate(expected):
        found = next(got, None)
        if found is None or found[:4] != axon[:4] or sorted(found[4]) != axon[4]:
            raise CheckFailed(f"packing {packed.packing} must keep every axon; axon {int(order[number])} became {found}")
    if next(got, None) is not None:
        raise CheckFailed(f"packing {packed.packing} must add no axon")


def _synapses(network: Network, axon: int) -> Synapses:
    targets, weights = network.synapses(axon)
    return list(zip(targets.tolist(), weights.tolist(), strict=True))


def _shape(slots: Synapses) -> str:
    """Differences of successive targets, as a string that can be searched for; the same for lists that are shifts of each other."""
    return "".join(chr(b[0] - a[0]) for a, b in pairwise(slots))


class _Splitter:
    """Cuts axons into parts whose offsets are worth sharing (packing shared)."""

    def __init__(self, network: Network, target_bits: int) -> None:
        self.network = network
        self.target_bits = target_bits
        self.cuts = sorted({edge for hint in network.motifs for edge in (hint.base, hint.base + hint.size * hint.count)})
        pieces = [piece for axon in range(network.n_axons) for piece in self._pieces(axon)]
        self.uses = Counter(_shape(piece) for piece in pieces)

    def parts(self, axon: int) -> list[Synapses]:
        """Slots of each part of an axon, in the cheapest of the storable forms."""
        whole = self._cheapest(axon, _synapses(self.network, axon))
        pieces = [self._cheapest(axon, piece) for piece in self._pieces(axon)]
        cut_cost = sum(cost for cost, _ in pieces) + PART_BITS * (len(pieces) - 1)
        return [slots for _, slots in pieces] if pieces and cut_cost < whole[0] else [whole[1]]

    def _pieces(self, axon: int) -> list[Synapses]:
        """The synapses of an axon, cut at the borders of motif arrays."""
        pieces: dict[int, Synapses] = {}
        for target, weight in _synapses(self.network, axon):
            pieces.setdefault(int(np.searchsorted(self.cuts, target, side="right")), []).append((target, weight))
        return list(pieces.values())

    def _cheapest(self, axon: int, own: Synapses) -> tuple[float, Synapses]:
        """Bits and slots of the cheapest form: the list itself, the whole run it spans, or its motif template."""
        if not own:
            return 0, own
        width = self.network.formats.weight_bits
        weights = dict(own)
        forms = [(len(own) * (width + self.target_bits / max(1, self.uses[_shape(own)])), list(weights))]
        run = range(own[0][0], own[-1][0] + 1)
        forms.append((width * len(run), list(run)))
        hint = self._hint(axon, own)
        if hint is not None:
            template = hint.targets(int(self.network.axon_source[axon]) - self.network.n_inputs)
            forms.append((width * len(template), template))
        cost, targets = min(forms, key=lambda form: (form[0], len(form[1])))
        return cost, [(t, weights.get(t, 0)) for t in targets]

    def _hint(self, axon: int, own: Synapses) -> MotifHint | None:
        """The hint that covers these synapses (H1)."""
        if self.network.axon_delay[axon]:
            return None
        neuron = int(self.network.axon_source[axon]) - self.network.n_inputs
        for hint in self.network.motifs:
            array = range(hint.base, hint.base + hint.size * hint.count)
            if neuron in array and own[0][0] in array and own[-1][0] in array:
                return hint
        return None


def _share_offsets(placed: list[tuple[Part, Synapses]], modulus: int) -> list[int]:
    """Pool of offsets in which every part's list is a run; points the parts at them. Runs overlap where they can."""
    pool: list[int] = []
    shape = ""
    for _, piece in sorted(placed, key=lambda p: len(p[1]), reverse=True):  # stable, so that images are reproducible
        if piece and (not pool or _shape(piece) not in shape):
            shape += (chr(-pool[-1] % modulus) if pool else "") + _shape(piece)
            pool += [t - piece[0][0] for t, _ in piece]
    for part, piece in placed:
        if piece:
            part.slot_start = shape.index(_shape(piece))
            part.base = (piece[0][0] - pool[part.slot_start]) % modulus
    return pool


def _share_bitmaps(placed: list[tuple[Part, Synapses]]) -> list[int]:
    """Pool of words in which every part's bitmap is a run; points the parts at them and sets their clocks."""
    runs = [words_of([target for target, _ in piece]) for _, piece in placed]
    pool, starts = share_runs(runs)
    for (part, piece), run, start in zip(placed, runs, starts, strict=True):
        part.count, part.slot_start, part.base = walk_clocks(run), start, piece[0][0] // WORD_BITS if piece else 0
    return pool


def _place_weights(placed: list[tuple[Part, Synapses]], alignment: int) -> list[int]:
    """Weight memory; points the parts at it."""
    weights: list[int] = []
    for part, piece in placed:
        if piece:
            weights += [0] * (-len(weights) % alignment)
            part.weight_start = len(weights)
            weights += [w for _, w in piece]
    return weights


def _memory_cost(network: Network, placed: list[tuple[Part, Synapses]], rows: int, n_weights: int, alignment: int) -> int:
    """Block RAMs of the axon table and the weights."""
    columns = zip(*((p.count, p.more, p.shift, p.compartment, p.slot_start, p.weight_start // alignment, p.base) for p, _ in placed), strict=True)
    bits = sum(max(column).bit_length() for column in columns if len(set(column)) > 1)
    return block_rams(rows, bits) + block_rams(n_weights, network.formats.weight_bits)


def _displace(chains: dict[int, list[Part]], rows: int) -> tuple[list[Part | None], int]:
    """Axon table with the smallest stride that lets no two parts fall on one row."""
    deeper = np.array([(row, k) for row, parts in chains.items() for k in range(1, len(parts))], np.int64).reshape(-1, 2)
    stride = 0
    if len(deeper):
        first = np.fromiter(chains, np.int64)  # all rows up to ``rows``, which deeper parts must lie beyond
        for stride in range(rows - int(deeper[:, 0].min()), rows + 1):
            used = np.concatenate([first, deeper[:, 0] + deeper[:, 1] * stride])
            if len(np.unique(used)) == len(used):
                break
    size = max([rows, 1, *(int(row + k * stride) + 1 for row, k in deeper)])
    table: list[Part | None] = [None] * size
    for row, parts in chains.items():
        for k, part in enumerate(parts):
            table[row + k * stride] = part
    return table, stride
