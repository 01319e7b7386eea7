# SPDX-License-Identifier: Apache-2.0
"""Random networks and clips over every construct of docs/semantics.md.

One generator with two sources of chance: a seeded numpy generator for bulk runs, hypothesis for examples that
shrink. Scales are chosen so that networks are lively: they saturate, fire, rest and leak within a few timesteps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
from hypothesis import strategies as st
from ormia.edge.network import Formats, MotifHint, Network, Readout, Reset
from ormia.edge.validation import gather_bounds, score_bound


class Chance(Protocol):
    """A source of random choices."""

    def integer(self, lo: int, hi: int) -> int:
        """An integer in lo..hi, both included."""


class Seeded:
    """Choices of a numpy generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def integer(self, lo: int, hi: int) -> int:
        return int(self._rng.integers(lo, hi, endpoint=True))


class Drawn:
    """Choices of hypothesis, which records and shrinks them toward ``lo``."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self._draw = draw

    def integer(self, lo: int, hi: int) -> int:
        return self._draw(st.integers(lo, hi))


def pick(chance: Chance, options: Sequence[Any]) -> Any:
    return options[chance.integer(0, len(options) - 1)]


def sometimes(chance: Chance, one_in: int) -> bool:
    return chance.integer(0, one_in - 1) == one_in - 1


def scaled(chance: Chance, lo: int, hi: int) -> int:
    """An integer of lo..hi whose magnitude is spread over the powers of two; both ends are likely."""
    way = chance.integer(0, 9)
    if way >= 8:
        return lo if way == 8 else hi
    magnitude = chance.integer(0, (1 << chance.integer(0, max(hi, -lo).bit_length())) - 1)
    return min(hi, max(lo, -magnitude if way % 2 else magnitude))


def subset(chance: Chance, members: Sequence[int], one_in: int) -> list[int]:
    return [member for member in members if sometimes(chance, one_in)]


def shuffled(chance: Chance, members: Sequence[Any]) -> list[Any]:
    left = list(members)
    return [left.pop(chance.integer(0, len(left) - 1)) for _ in range(len(left))]


def random_formats(chance: Chance) -> dict[str, Any]:
    """Widths of every construct; the narrow ones are likely because they saturate."""
    signed = sometimes(chance, 2)
    return {
        "membrane_bits": pick(chance, (8, 9, 12, 16, 24, chance.integer(8, 24))),
        "current_bits": pick(chance, (8, 9, 12, 16, 24, chance.integer(8, 24))),
        "weight_bits": chance.integer(2, 8),
        "decay_bits": pick(chance, (8, 12, 15, chance.integer(8, 15))),
        "payload_bits": chance.integer(2 if signed else 1, 8),
        "payload_signed": signed,
        "flush": pick(chance, (0, 0, 0, 1, 3, 9)),
    }


def random_kinds(chance: Chance, n_kinds: int, n_compartments: int, decay_bits: int) -> dict[str, list[Any]]:
    """A kind table (N2)."""
    full = 1 << decay_bits

    def factor() -> int:
        return pick(chance, (0, full, full, chance.integer(1, full - 1), full - chance.integer(1, full // 8), full // 2))

    def kind() -> tuple[Any, ...]:
        return (
            factor(),
            [factor() for _ in range(n_compartments)],
            not sometimes(chance, 6),
            pick(chance, (Reset.ZERO, Reset.SUBTRACT)),
            pick(chance, (0, 0, 1, 2, 3, 5, chance.integer(0, 255))),
            pick(chance, (0, 0, 1, chance.integer(0, 7))),
            pick(chance, (0, 0, 1, chance.integer(0, 15))),
        )

    names = ("membrane_decay", "current_decay", "firing", "reset", "refractory", "drive_shift", "current_shift")
    columns = zip(*(kind() for _ in range(n_kinds)), strict=True)
    return {f"kind_{name}": list(column) for name, column in zip(names, columns, strict=True)}


def random_neurons(chance: Chance, kinds: dict[str, list[Any]], n_neurons: int, membrane_bits: int) -> dict[str, list[int]]:
    """Kind, threshold, reset_by, bias and initial membrane of every neuron (N3..N5)."""
    hi = (1 << (membrane_bits - 1)) - 1
    columns: dict[str, list[int]] = {name: [] for name in ("neuron_kind", "threshold", "reset_by", "bias", "initial_membrane")}
    for _ in range(n_neurons):
        kind = chance.integer(0, len(kinds["kind_firing"]) - 1)
        bias = pick(chance, (0, 0, 1, scaled(chance, -hi - 1, hi), -scaled(chance, 0, hi), scaled(chance, 1, 64)))
        threshold = reset_by = 0
        if kinds["kind_firing"][kind]:
            # a multiple of the bias is met exactly by an integrator
            threshold = pick(chance, (1, max(1, scaled(chance, 1, hi)), max(1, scaled(chance, 1, 100)), min(hi, max(1, bias * chance.integer(1, 3)))))
            reset_by = pick(chance, (threshold, threshold, 0, hi, scaled(chance, 0, hi)))
        initial = pick(chance, (0, 0, threshold, scaled(chance, -hi - 1, hi)))
        for column, value in zip(columns.values(), (kind, threshold, reset_by, bias, initial), strict=True):
            column.append(value)
    return columns


def random_motif(chance: Chance, n_neurons: int) -> MotifHint:
    """An array of motifs somewhere in the neurons (H1)."""
    size = chance.integer(1, max(1, n_neurons // 2))
    count = chance.integer(1, n_neurons // size)
    base = chance.integer(0, n_neurons - size * count)
    intra = [(i, j) for i in range(size) for j in range(size) if sometimes(chance, 2)]
    lateral = [(delta, j) for delta in (-2, -1, 1, 2) for j in range(size) if sometimes(chance, 3)]
    return MotifHint(base=base, size=size, count=count, intra=tuple(intra), lateral=tuple(lateral))


def random_axons(
    chance: Chance,
    n_axons: int,
    sources: Sequence[int],
    n_inputs: int,
    n_neurons: int,
    n_compartments: int,
    weight_bits: int,
    max_delay: int,
    motif: MotifHint | None,
    boolean_one_in: int = 4,
) -> dict[str, list[Any]]:
    """Axons in no order, with lists of every length from none to all neurons (A1..A4, H2)."""
    lo, hi = -(1 << (weight_bits - 1)), (1 << (weight_bits - 1)) - 1
    columns: dict[str, list[Any]] = {f"axon_{name}": [] for name in ("source", "delay", "shift", "compartment", "boolean")}
    start, target, weight = [0], [], []
    for _ in range(n_axons):
        source = pick(chance, sources)
        delay = min(max_delay, pick(chance, (0, 0, 0, 1, 2, 3, chance.integer(0, 12), 255 if sometimes(chance, 8) else 0)))
        one_in = pick(chance, (1, 2, 2, 3, 5))
        targets = subset(chance, range(n_neurons), one_in) if not sometimes(chance, 10) else []
        if motif is not None and source >= n_inputs and delay == 0:
            array = range(motif.base, motif.base + motif.size * motif.count)
            if source - n_inputs in array:
                links = motif.targets(source - n_inputs)
                targets = sorted({t for t in targets if t not in array} | set(subset(chance, links, 2)))
        boolean = sometimes(chance, boolean_one_in)
        weights = [scaled(chance, lo, hi) or pick(chance, (1, -1)) for _ in targets]
        if boolean:
            weights = weights[:1] * len(targets)
        row = (source, delay, pick(chance, (0, 0, 1, chance.integer(0, 7))), chance.integer(0, n_compartments - 1), boolean)
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
        target += targets
        weight += weights
        start.append(len(target))
    return columns | {"synapse_start": start, "synapse_target": target, "synapse_weight": weight}


def random_readout(chance: Chance, firing: Sequence[bool]) -> dict[str, Any]:
    """Readout neurons, their classes and the score rule (S8)."""
    mode = pick(chance, tuple(Readout))
    able = [n for n, fires in enumerate(firing) if fires]
    if mode == Readout.SPIKES and not able:
        mode = Readout.LAST
    members = shuffled(chance, able if mode == Readout.SPIKES else range(len(firing)))
    members = members[: chance.integer(1, len(members))]
    n_classes = chance.integer(1, len(members))
    classes = shuffled(chance, [*range(n_classes), *(chance.integer(0, n_classes - 1) for _ in members[n_classes:])])
    labels = tuple(f"class_{c}" for c in range(n_classes))
    return {"readout_neuron": members, "readout_class": classes, "readout": mode, "labels": labels}


def smallest_accumulator(given: dict[str, Any], n_compartments: int) -> int:
    """Fit P1: lower the shifts of all axons until 24 bits hold every gathered sum, then return the least width."""
    draft = SimpleNamespace(
        n_axons=len(given["axon_source"]),
        n_neurons=len(given["neuron_kind"]),
        n_compartments=n_compartments,
        n_inputs=given["n_inputs"],
        formats=Formats(**given["formats"]),
        **{
            name: np.array(given[name], np.int64)
            for name in ("axon_source", "axon_shift", "axon_compartment", "synapse_start", "synapse_target", "synapse_weight")
        },
    )
    while True:
        lo, hi = (int(bound) for bound in (gather_bounds(draft)[0].min(), gather_bounds(draft)[1].max()))
        bits = max(8, hi.bit_length() + 1, (-lo - 1).bit_length() + 1 if lo else 1)
        if bits <= 24:
            given["axon_shift"] = draft.axon_shift
            return bits
        draft.axon_shift = np.maximum(draft.axon_shift - 1, 0)


def random_network(
    chance: Chance, *, max_neurons: int = 10, max_inputs: int = 6, max_delay: int = 255, max_timesteps: int = 48, boolean_one_in: int = 4
) -> Network:
    """A valid network of at most the given sizes; sizes of zero are likely where they are legal (A9)."""
    n_inputs, n_neurons = chance.integer(0, max_inputs), chance.integer(1, max_neurons)
    n_compartments = pick(chance, (1, 1, 2, 3, 4))
    formats = random_formats(chance)
    kinds = random_kinds(chance, chance.integer(1, 4), n_compartments, formats["decay_bits"])
    neurons = random_neurons(chance, kinds, n_neurons, formats["membrane_bits"])
    firing = [kinds["kind_firing"][kind] for kind in neurons["neuron_kind"]]
    motif = random_motif(chance, n_neurons) if sometimes(chance, 3) else None
    sources = [*range(n_inputs), *(n_inputs + n for n in range(n_neurons) if firing[n])]
    n_axons = 0 if not sources or sometimes(chance, 12) else chance.integer(1, 3 * len(sources))
    axons = random_axons(chance, n_axons, sources, n_inputs, n_neurons, n_compartments, formats["weight_bits"], max_delay, motif, boolean_one_in)
    readout = random_readout(chance, firing)
    given = {"formats": formats, "n_inputs": n_inputs, **axons, **kinds, **neurons, **readout, "motifs": (motif,) if motif else ()}
    formats["accumulator_bits"] = smallest_accumulator(given, n_compartments)
    a_step = score_bound(
        SimpleNamespace(
            formats=SimpleNamespace(**formats, max_timesteps=1 - formats["flush"]), readout=readout["readout"], readout_class=readout["readout_class"]
        )
    )
    formats["max_timesteps"] = max_timesteps
    if readout["readout"] != Readout.LAST:  # P2: clips no longer than 32 bits of score allow
        formats["flush"] = min(formats["flush"], (2**31 - 1) // a_step - 1)
        formats["max_timesteps"] = min(max_timesteps, (2**31 - 1) // a_step - formats["flush"])
        a_step *= formats["max_timesteps"] + formats["flush"]
    formats["score_bits"] = pick(chance, (32, max(8, a_step.bit_length() + 1)))
    return Network(**(given | {"formats": Formats(**formats)}))


def random_payloads(chance: Chance, net: Network, timesteps: int | None = None) -> np.ndarray:
    """Payloads int16 [T, n_inputs] of one clip: none, sparse or dense, of every magnitude the format has.

    T is ``timesteps`` or drawn, 0 and the longest clip included, and never above the longest clip.
    """
    longest = net.formats.max_timesteps
    length = pick(chance, (0, 1, longest, chance.integer(0, longest))) if timesteps is None else min(timesteps, longest)
    clip = np.zeros((length, net.n_inputs), np.int16)
    one_in = pick(chance, (1, 2, 2, 4, 16))
    for t in range(length):
        for channel in range(net.n_inputs):
            if sometimes(chance, one_in):
                clip[t, channel] = scaled(chance, net.formats.payload.lo, net.formats.payload.hi)
    return clip


@st.composite
def networks(draw: Callable[[Any], Any]) -> Network:
    """Strategy: small networks."""
    return random_network(Drawn(draw), max_neurons=4, max_inputs=3, max_delay=6, max_timesteps=10)


@st.composite
def networks_with_clips(draw: Callable[[Any], Any]) -> tuple[Network, list[np.ndarray]]:
    """Strategy: a small network and one or two clips, run one after the other."""
    net = draw(networks())
    chance = Drawn(draw)
    return net, [random_payloads(chance, net) for _ in range(chance.integer(1, 2))]
