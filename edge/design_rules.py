# SPDX-License-Identifier: Apache-2.0
"""Design rules: small named functions that yield a sentence for every violation and never stop at the first.

``LIMITS`` are rules of a target, which a network must keep to fit it; ``ADVICE`` are rules of the trade, which ``ormia inspect`` shows as
warnings. Knows networks, sizes and targets; nothing of training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .cost import Footprint, footprint
from .errors import TargetError
from .network import Network
from .target import Target
from .validation import gather_bounds

__all__ = ["ADVICE", "LIMITS", "advice", "check_target", "violations"]

LEAK_UNITS = 64  # threshold * (1 - a): below, truncation (one unit a timestep) bends the time constant
HEADROOM = 8  # largest membrane / threshold


def advice(net: Network) -> list[str]:
    """Sentences of all rules of the trade that ``net`` breaks."""
    return [sentence for rule in ADVICE for sentence in rule(net)]


def violations(net: Network, target: Target) -> list[str]:
    """Sentences of all rules of ``target`` that ``net`` breaks: by how much, and what would fit."""
    sizes = footprint(net)
    return [sentence for rule in LIMITS for sentence in rule(net, target, sizes)]


def check_target(net: Network, target: Target) -> None:
    """Raise ``TargetError`` with every violation, one a line."""
    found = violations(net, target)
    if found:
        raise TargetError("\n".join([f"network {net.name!r} must fit {target.name} ({target.device}):", *(f"  {sentence}" for sentence in found)]))


# --- rules of a target ------------------------------------------------------------------------------------------------------------------


def block_rams_fit(net: Network, target: Target, sizes: Footprint) -> Iterator[str]:
    """The memories of the core must fit the block RAMs, in the better packing."""
    if target.block_rams is None or sizes.block_rams <= target.block_rams:
        return
    over = sizes.block_rams - target.block_rams
    largest = max(sizes.memories, key=lambda memory: memory.block_rams)
    others = sizes.block_rams - largest.block_rams
    room = (target.block_rams - others) * 4096
    fits = f"about {room // largest.bits} rows of {largest.name} would fit" if room > 0 else "the other memories alone leave no room"
    yield (
        f"memories must take at most {target.block_rams} block RAMs, not {sizes.block_rams} in {sizes.packing} packing, {over} too many: "
        f"{largest.name} alone takes {largest.block_rams} ({largest.rows} rows of {largest.bits} bits); {fits}"
    )


def flash_fits(net: Network, target: Target, sizes: Footprint) -> Iterator[str]:
    """Constant tables must fit the flash that is left beside the code."""
    if target.flash_bytes is not None:
        yield from _bytes_fit(net, "constant tables", sizes.flash_bytes, target.flash_bytes, target.reserved_flash_bytes, "flash", net.n_synapses, "synapses")


def ram_fits(net: Network, target: Target, sizes: Footprint) -> Iterator[str]:
    """State must fit the RAM that is left beside front end, stack and application."""
    if target.ram_bytes is not None:
        yield from _bytes_fit(net, "state", sizes.ram_bytes, target.ram_bytes, target.reserved_ram_bytes, "RAM", net.n_neurons, "neurons")


def _bytes_fit(net: Network, what: str, size: int, total: int, reserved: int, memory: str, count: int, unit: str) -> Iterator[str]:
    room = total - reserved
    if size > room:
        yield (
            f"{what} must take at most {room} bytes of {memory} ({total} less {reserved} for the rest of the program), not {size}, {size - room} too many; "
            f"with {count} {unit} it is {size / count:.1f} bytes each: about {room * count // size} would fit"
        )


LIMITS: tuple[Callable[[Network, Target, Footprint], Iterator[str]], ...] = (block_rams_fit, flash_fits, ram_fits)


# --- rules of the trade -----------------------------------------------------------------------------------------------------------------


def leak_is_resolved(net: Network) -> Iterator[str]:
    """``threshold * (1 - a) >= 64`` for every kind that fires and leaks: else the truncation of D1 is part of the leak."""
    full = 1 << net.formats.decay_bits
    for kind in _firing_kinds(net):
        low = int(net.threshold[net.neuron_kind == kind].min())
        lost = full - int(net.kind_membrane_decay[kind])
        if lost and low * lost < LEAK_UNITS * full:
            yield (
                f"kind {kind}: threshold * (1 - membrane_decay / {full}) should be at least {LEAK_UNITS}, not {low * lost / full:.1f} (threshold {low}): "
                f"scale weights and thresholds by {-(-LEAK_UNITS * full // (low * lost))}, or use membrane_bits = 24"
            )


def threshold_leaves_headroom(net: Network) -> Iterator[str]:
    """Thresholds of at most an eighth of the largest membrane: else strong input saturates before the reset sees it."""
    limit = (net.formats.membrane.hi + 1) // HEADROOM
    for kind in _firing_kinds(net):
        high = int(net.threshold[net.neuron_kind == kind].max())
        if high > limit:
            eighth = f"{limit} (an eighth of membrane_bits = {net.formats.membrane_bits})"
            yield f"kind {kind}: thresholds should be at most {eighth}, not {high}: use membrane_bits = 24"


def kinds_are_used(net: Network) -> Iterator[str]:
    """A kind without neurons takes memory for nothing."""
    unused = sorted(set(range(net.n_kinds)) - set(net.neuron_kind.tolist()))
    if unused:
        yield f"every kind should have a neuron; {_listed('kind', unused)} none"


def firing_neurons_can_fire(net: Network) -> Iterator[str]:
    """The largest membrane that any input can cause must reach the threshold."""
    reach = highest_membrane(net)
    silent = np.flatnonzero(net.kind_firing[net.neuron_kind] & (reach + 0.5 < net.threshold))  # half a unit covers float rounding
    if len(silent):
        n = int(silent[0])
        short = f"neuron {n} reaches {int(reach[n])} of {int(net.threshold[n])}"
        yield f"every firing neuron should be able to reach its threshold; {_listed('neuron', silent.tolist())} not the input for it ({short})"


def spikes_are_heard(net: Network) -> Iterator[str]:
    """A firing neuron should have a synapse to somewhere, or be read out."""
    speaks = np.zeros(net.n_sources, bool)
    speaks[net.axon_source[np.diff(net.synapse_start) > 0]] = True
    unheard = net.kind_firing[net.neuron_kind] & ~speaks[net.n_inputs :]
    unheard[net.readout_neuron] = False
    if unheard.any():
        yield f"every firing neuron should have a synapse or be read out; {_listed('neuron', np.flatnonzero(unheard).tolist())} neither"


def inputs_are_used(net: Network) -> Iterator[str]:
    """An input channel without a synapse is computed by the front end for nothing."""
    used = set(net.axon_source[np.diff(net.synapse_start) > 0].tolist())
    idle = [channel for channel in range(net.n_inputs) if channel not in used]
    if idle:
        yield f"every input channel should have a synapse; {_listed('channel', idle)} none"


ADVICE: tuple[Callable[[Network], Iterator[str]], ...] = (
    leak_is_resolved,
    threshold_leaves_headroom,
    kinds_are_used,
    firing_neurons_can_fire,
    spikes_are_heard,
    inputs_are_used,
)


def highest_membrane(net: Network) -> np.ndarray:
    """Upper bound of every membrane in S3, float64 [n_neurons]: all excitation in every timestep for ever, saturation included.

    A truncated decay never exceeds the exact one, so a sum of at most ``drive`` a timestep stays below ``drive / (1 - a)``.
    """
    full = 1 << net.formats.decay_bits
    _, hi = gather_bounds(net)
    kind = net.neuron_kind
    drive = hi.astype(np.float64) * 2.0 ** net.kind_drive_shift[kind][:, None]
    current = _limit(drive, net.kind_current_decay[kind] / full, net.formats.current.hi)
    total = (current / 2.0 ** net.kind_current_shift[kind][:, None]).sum(axis=1) + net.bias
    decay = net.kind_membrane_decay[kind] / full
    first = np.minimum(decay * np.maximum(net.initial_membrane, 0) + total, net.formats.membrane.hi)  # an initial membrane above all that follows
    return np.maximum(first, _limit(total, decay, net.formats.membrane.hi))


def _limit(step: np.ndarray, decay: np.ndarray, top: int) -> np.ndarray:
    """Where ``x = decay * x + step`` settles, at most ``top``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        settled = np.where(decay < 1, step / (1 - decay), np.where(step > 0, np.inf, step))
    return np.minimum(settled, top)


def _firing_kinds(net: Network) -> list[int]:
    return [kind for kind in np.unique(net.neuron_kind).tolist() if net.kind_firing[kind]]


def _listed(what: str, members: list[int]) -> str:
    """``neuron 4 has``, ``neurons 4, 5 have`` or ``87 neurons, 4 the first, have``."""
    if len(members) == 1:
        return f"{what} {members[0]} has"
    return f"{what}s {', '.join(map(str, members))} have" if len(members) <= 8 else f"{len(members)} {what}s, {members[0]} the first, have"
