# SPDX-License-Identifier: Apache-2.0
"""How the kernels store a network and the state of its streams: specialised on what the network has, exact whatever it is.

Axons of one source, delay and compartment become one row of weights: sums are exact, so adding weights first changes no bit (S1). What
a network lacks is None, and Numba compiles the kernels without it. Counts of axons and synapses are kept beside, as C1 wants them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..network import Network, Reset
from ..validation import gather_bounds
from .lean import PLACES, lean_tables
from .memory import aligned_zeros, padded

__all__ = ["BOOLEAN", "LIST", "TOGETHER", "WINDOW", "Lists", "Plan", "State", "make_plan", "new_state"]

TOGETHER = 16  # rows of a matrix that are added at a time
WINDOW, LIST, BOOLEAN = range(3)  # kinds of segments
NEVER = (1 << 31) - 1  # threshold of neurons that do not fire; above every membrane
MATRIX_BYTES = 1 << 20  # what stays near a core
LANES = 12  # a list of synapses costs about as much as a window this many times as long
SHORTEST_WINDOW = 6


class Lists(NamedTuple):
    """Rows in segments, for networks that are large or sparse. Motifs of one topology share their offsets."""

    first: np.ndarray  # int64 [n_delays * n_sources + 1]: segments of a source at a delay
    kind: np.ndarray  # uint8 [n_segments]: WINDOW, LIST or BOOLEAN
    compartment: np.ndarray  # uint8 [n_segments]
    target: np.ndarray  # int64 [n_segments]: first target
    size: np.ndarray  # int64 [n_segments]: synapses, or length of the window
    offset_start: np.ndarray  # int64 [n_segments]
    weight_start: np.ndarray  # int64 [n_segments]
    offset: np.ndarray  # uint32: targets of lists, less the first
    weight: np.ndarray  # int16 or int32: weight * 2**shift, summed over like axons; one of a BOOLEAN segment


class Plan(NamedTuple):
    """A network as the kernels read it. P is n_neurons ``padded``; what pads never fires."""

    n_inputs: int
    n_neurons: int
    decay_bits: int
    membrane_limit: int  # 2**(membrane_bits - 1)
    current_limit: int
    payload_lo: int
    payload_hi: int
    readout: int
    counts: bool  # whether counters are kept
    unit: bool  # whether every event has payload 1
    dense: bool  # rows lie in ``matrix``, else in ``lists``
    short: bool  # 8 bits hold the sum of any TOGETHER rows of the matrix
    memory: bool  # currents last; else there is one compartment, and no current outlives its timestep
    rests: bool  # a kind is refractory
    wide: int | None  # None: 16-bit states, whose products fit 32 bits; the one thing that the kernel is compiled for
    delays: np.ndarray  # int64 [n_delays], ascending
    work: np.ndarray  # int64 [n_delays * n_sources, 2]: axons and synapses
    matrix: np.ndarray  # int8 [n_delays * n_compartments * (n_sources + 1), P]; the last row of each part is 0
    lists: Lists
    lean: np.ndarray  # of ``lean_tables``; [0, 0] where 16 bits do not do
    places: np.ndarray  # PLACES
    drive_shift: np.ndarray  # uint8 [P]
    current_shift: np.ndarray  # uint8 [P]
    current_decay: np.ndarray  # uint16 [n_compartments, P]
    membrane_decay: np.ndarray  # uint16 [P]
    bias: np.ndarray  # int16 or int32 [P], as all states
    threshold: np.ndarray  # int32 [P]
    keep: np.ndarray  # as states [P]: mask of the membrane where it fires; 0 for ZERO
    reset_by: np.ndarray  # as states [P]: 0 for ZERO
    initial_membrane: np.ndarray  # as states [P]
    refractory: np.ndarray  # uint8 [P]
    readout_neuron: np.ndarray  # int64 [n_readouts]
    readout_class: np.ndarray


class State(NamedTuple):
    """What streams carry from timestep to timestep. Every array has one axis more than said, the first: streams."""

    membrane: np.ndarray  # int16 or int32 [P]
    current: np.ndarray  # the same [n_compartments, P], without neurons where currents do not last
    drive: np.ndarray  # the same [n_compartments, P], zero between timesteps
    hold: np.ndarray  # uint8 [P]: r of S4; empty where no kind rests
    spiked: np.ndarray  # uint8 [P]: fired in the last timestep
    ring_size: np.ndarray  # int64 [max_delay + 1, 2]: sources of payload 1, and other events, of that timestep
    ring_source: np.ndarray  # uint32 [max_delay + 1, n_sources + TOGETHER]
    ring_channel: np.ndarray  # uint32 [max_delay + 1, n_inputs]
    ring_payload: np.ndarray  # int16 [max_delay + 1, n_inputs]
    slot: np.ndarray  # int64 [1]: the ring's row of the next timestep
    total: np.ndarray  # int32 [P], scratch: what the currents add to a membrane
    counters: np.ndarray  # int64 [4]: spikes, synaptic operations, axon activations, neuron updates


def make_plan(net: Network, *, count: bool = True) -> Plan:
    """Store ``net`` for the kernel."""
    formats, kind = net.formats, net.neuron_kind
    lo, hi = gather_bounds(net)
    narrow = formats.membrane_bits <= 16 and formats.current_bits <= 16 and -(1 << 15) <= int(lo.min()) and int(hi.max()) < 1 << 15
    dtype = np.int16 if narrow else np.int32

    def pad(values: np.ndarray, to: type) -> np.ndarray:
        filled = aligned_zeros((*values.shape[:-1], padded(net.n_neurons)), to)
        filled[..., : net.n_neurons] = values
        return filled

    delays, rows = _rows(net)
    matrix = _matrix(net, len(delays), rows) if narrow else None
    subtracts = net.kind_reset[kind] != Reset.ZERO
    return Plan(
        n_inputs=net.n_inputs,
        n_neurons=net.n_neurons,
        decay_bits=formats.decay_bits,
        membrane_limit=1 << (formats.membrane_bits - 1),
        current_limit=1 << (formats.current_bits - 1),
        payload_lo=formats.payload.lo,
        payload_hi=formats.payload.hi,
        readout=int(net.readout),
        counts=count,
        unit=(formats.payload.lo, formats.payload.hi) == (0, 1),
        dense=matrix is not None,
        short=matrix is not None and -128 <= TOGETHER * int(matrix.min()) and TOGETHER * int(matrix.max()) < 128,
        memory=bool(net.n_compartments > 1 or net.kind_current_decay.any()),
        rests=bool(net.kind_refractory.any()),
        wide=None if narrow else 1,
        delays=delays,
        work=_work(net, delays),
        matrix=np.zeros((0, 0), np.int8) if matrix is None else matrix,
        lists=_lists(net, len(delays), rows if matrix is None else (rows[0][:0], rows[1][:0], rows[2][:0]), dtype),
        lean=lean_tables(net) if narrow else np.zeros((0, 0), np.int16),
        places=PLACES,
        drive_shift=pad(net.kind_drive_shift[kind], np.uint8),
        current_shift=pad(net.kind_current_shift[kind], np.uint8),
        current_decay=pad(net.kind_current_decay[kind].T, np.uint16),
        membrane_decay=pad(net.kind_membrane_decay[kind], np.uint16),
        bias=pad(net.bias, dtype),
        threshold=pad(np.where(net.kind_firing[kind], net.threshold, NEVER), np.int32),
        keep=pad(np.where(subtracts, -1, 0), dtype),
        reset_by=pad(np.where(subtracts, net.reset_by, 0), dtype),
        initial_membrane=pad(net.initial_membrane, dtype),
        refractory=pad(net.kind_refractory[kind], np.uint8),
        readout_neuron=net.readout_neuron.astype(np.int64),
        readout_class=net.readout_class.astype(np.int64),
    )


def new_state(plan: Plan, n_streams: int) -> State:
    """State of streams at their start (S9)."""
    n_compartments, width = plan.current_decay.shape
    rows, n_sources = int(plan.delays.max(initial=0)) + 1, plan.n_inputs + plan.n_neurons

    def zeros(*shape: int, dtype: type | np.dtype = plan.bias.dtype) -> np.ndarray:
        return aligned_zeros((n_streams, *shape), dtype)

    membrane = zeros(width)
    membrane[:] = plan.initial_membrane
    return State(
        membrane=membrane,
        current=zeros(n_compartments, width if plan.memory else 0),
        drive=zeros(n_compartments, width),
        hold=zeros(width if plan.rests else 0, dtype=np.uint8),
        spiked=zeros(width, dtype=np.uint8),
        ring_size=zeros(rows, 2, dtype=np.int64),
        ring_source=zeros(rows, n_sources + TOGETHER, dtype=np.uint32),
        ring_channel=zeros(rows, plan.n_inputs + 1, dtype=np.uint32),
        ring_payload=zeros(rows, plan.n_inputs + 1, dtype=np.int16),
        slot=zeros(1, dtype=np.int64),
        total=zeros(width, dtype=np.int32),
        counters=zeros(4, dtype=np.int64),
    )


def _rows(net: Network) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Delays, and the synapses merged by (delay, source, compartment, target): row number ascending, target, weight that is not 0."""
    delays = np.unique(net.axon_delay).astype(np.int64)
    axon = np.repeat(np.arange(net.n_axons), np.diff(net.synapse_start))
    row = (np.searchsorted(delays, net.axon_delay[axon]) * np.int64(net.n_sources) + net.axon_source[axon]) * net.n_compartments + net.axon_compartment[axon]
    place, inverse = np.unique(row * net.n_neurons + net.synapse_target, return_inverse=True)
    weight = np.zeros(len(place), np.int64)
    np.add.at(weight, inverse, net.synapse_weight.astype(np.int64) << net.axon_shift[axon].astype(np.int64))
    kept = weight != 0
    return delays, (place[kept] // net.n_neurons, place[kept] % net.n_neurons, weight[kept])


def _work(net: Network, delays: np.ndarray) -> np.ndarray:
    where = np.searchsorted(delays, net.axon_delay) * np.int64(net.n_sources) + net.axon_source
    work = np.zeros((len(delays) * net.n_sources, 2), np.int64)
    np.add.at(work, (where, 0), 1)
    np.add.at(work, (where, 1), np.diff(net.synapse_start))
    return work


def _matrix(net: Network, n_delays: int, rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray | None:
    """The rows in full, where they are dense and small enough for it to pay."""
    row, target, weight = rows
    width = padded(net.n_neurons)
    shape = (n_delays, net.n_compartments, net.n_sources + 1, width)
    fits = weight.size and -128 <= int(weight.min()) and int(weight.max()) < 128
    if not fits or int(np.prod(shape)) > MATRIX_BYTES or LANES * weight.size < len(np.unique(row)) * width:
        return None
    matrix = aligned_zeros(shape, np.int8)
    place, compartment = np.divmod(row, net.n_compartments)
    matrix[place // net.n_sources, compartment, place % net.n_sources, target] = weight
    return matrix.reshape(-1, width)


def _lists(net: Network, n_delays: int, rows: tuple[np.ndarray, np.ndarray, np.ndarray], dtype: type) -> Lists:
    """The rows as windows where targets lie close, as lists elsewhere."""
    row, target, weight = rows
    segments: list[tuple[int, int, int, int, int, int, int]] = []  # place, then the columns of Lists
    offsets, weights, shared = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], dict[bytes, int]()
    n_offsets = n_weights = 0

    def add(place: int, kind: int, compartment: int, targets: np.ndarray, size: int, values: np.ndarray) -> None:
        nonlocal n_offsets, n_weights
        start = 0
        if kind != WINDOW:
            pattern = targets - targets[0]
            start = shared.setdefault(pattern.tobytes(), n_offsets)
            if start == n_offsets:
                offsets.append(pattern)
                n_offsets += len(pattern)
        segments.append((place, kind, compartment, int(targets[0]), size, start, n_weights))
        weights.append(values)
        n_weights += len(values)

    ends = np.flatnonzero(np.diff(row, append=-1)) + 1
    for begin, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=False):
        place, compartment = divmod(int(row[begin]), net.n_compartments)
        scattered = np.ones(end - begin, bool)
        runs = np.flatnonzero(np.diff(target[begin:end], prepend=-(LANES + 1)) > LANES)
        for first, last in zip(runs.tolist(), [*runs[1:].tolist(), end - begin], strict=True):
            own = slice(begin + first, begin + last)
            length = int(target[own][-1] - target[own][0]) + 1
            if last - first < SHORTEST_WINDOW or length > LANES * (last - first):
                continue
            scattered[first:last] = False
            values = np.zeros(length, np.int64)
            values[target[own] - target[own][0]] = weight[own]
            add(place, WINDOW, compartment, target[own], length, values)
        if scattered.any():
            chosen, values = target[begin:end][scattered], weight[begin:end][scattered]
            boolean = bool((values == values[0]).all())
            add(place, BOOLEAN if boolean else LIST, compartment, chosen, len(chosen), values[:1] if boolean else values)
    columns = np.array(segments, np.int64).reshape(-1, 7)
    return Lists(
        first=np.searchsorted(columns[:, 0], np.arange(n_delays * net.n_sources + 1)).astype(np.int64),
        kind=columns[:, 1].astype(np.uint8),
        compartment=columns[:, 2].astype(np.uint8),
        target=columns[:, 3].copy(),
        size=columns[:, 4].copy(),
        offset_start=columns[:, 5].copy(),
        weight_start=columns[:, 6].copy(),
        offset=np.concatenate(offsets).astype(np.uint32),
        weight=np.concatenate(weights).astype(dtype),
    )
