# SPDX-License-Identifier: Apache-2.0
"""The Numba runtime: batches and streams of a network at thousands of times real time, the same integers as ``edge/reference.py``.

Event-driven over axons: a timestep walks the axons of the sources that are active, then sweeps the neurons. Knows nothing of audio.
Every kernel loads narrow arrays into int64, saturates explicitly and stores narrow, so that it computes the same compiled and
interpreted. An absent feature is passed as None, and Numba compiles a kernel without its branches.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from .backend import Clip
from .coverage import BRANCHES, Coverage
from .errors import DataError
from .events import payloads_from_events
from .network import Network, Readout, Reset
from .trace import Counters, Trace, check_events

__all__ = ["NumbaBackend", "Runtime", "Stream", "check_payloads"]

(CURRENT_HIGH, CURRENT_LOW, MEMBRANE_HIGH, MEMBRANE_LOW, TRUNCATED_NEGATIVE, REFRACTORY_HOLD, THRESHOLD_EQUAL, RESET_ZERO, RESET_SUBTRACT,
 DELAYED_AXON, PAYLOAD_ABOVE_1, PAYLOAD_NEGATIVE) = range(len(BRANCHES))  # fmt: skip
SPIKES, SYNAPTIC_OPERATIONS, AXON_ACTIVATIONS, NEURON_UPDATES = range(4)
ZERO, LAST, BY_SPIKE = int(Reset.ZERO), int(Readout.LAST), int(Readout.SPIKES)


class Tables(NamedTuple):
    """A network as the kernels read it: axons sorted by (delay, source), shifts applied to weights."""

    delays: np.ndarray  # int64 [n_delays], ascending
    first_axon: np.ndarray  # int64 [n_delays, n_sources + 1]: axons of a source at a delay
    compartment: np.ndarray  # uint8 [n_axons]
    first_synapse: np.ndarray  # int64 [n_axons + 1]
    target: np.ndarray  # uint32 [n_synapses]
    weight: np.ndarray  # int16 [n_synapses], weight * 2**shift
    kind: np.ndarray  # uint8 [n_neurons]
    threshold: np.ndarray  # int32 [n_neurons]
    reset_by: np.ndarray
    bias: np.ndarray
    initial_membrane: np.ndarray
    membrane_decay: np.ndarray  # uint16 [n_kinds]
    current_decay: np.ndarray  # uint16 [n_kinds, n_compartments]
    firing: np.ndarray  # bool [n_kinds]
    reset: np.ndarray  # uint8 [n_kinds]
    refractory: np.ndarray  # uint8 [n_kinds]
    drive_shift: np.ndarray
    current_shift: np.ndarray
    readout_neuron: np.ndarray  # int32 [n_readouts]
    readout_class: np.ndarray
    n_inputs: int
    decay_bits: int
    membrane_limit: int  # 2**(membrane_bits - 1)
    current_limit: int
    readout: int


class State(NamedTuple):
    """What a clip or a stream carries from timestep to timestep."""

    membrane: np.ndarray  # int32 [n_neurons]
    current: np.ndarray  # int32 [n_neurons, n_compartments]
    drive: np.ndarray  # int32 [n_compartments, n_neurons], zero between timesteps
    spiked: np.ndarray  # uint8 [n_neurons]: fired in the last timestep
    ring_size: np.ndarray  # int32 [max_delay + 1]: active sources of that timestep
    ring_source: np.ndarray  # int32 [max_delay + 1, n_sources]
    ring_payload: np.ndarray  # int16 [max_delay + 1, n_sources]
    slot: np.ndarray  # int64 [1]: the ring's row of the next timestep
    counters: np.ndarray  # int64 [4]


class Record(NamedTuple):
    """What a traced run keeps of each timestep."""

    membranes: np.ndarray  # int32 [n_timesteps, n_neurons]
    raster: np.ndarray  # bool [n_timesteps, n_neurons]
    coverage: np.ndarray  # int64 [len(BRANCHES)]


@njit(cache=True, nogil=True)
def _scale(x: np.int64, factor: np.int64 | int, bits: np.int64 | int) -> np.int64:
    """``toward_zero(x * factor / 2**bits)`` (D1); with factor 1 the shift of S3."""
    magnitude = (abs(x) * factor) >> bits
    return magnitude if x >= 0 else -magnitude


@njit(cache=True, nogil=True)
def _saturate(x: np.int64, limit: int) -> np.int64:
    """Nearest number of ``-limit .. limit - 1`` (D2)."""
    return max(np.int64(-limit), min(np.int64(limit - 1), x))


@njit(cache=True, nogil=True)
def _loses(x: np.int64, factor: np.int64, bits: int) -> bool:
    """Whether D1 truncates a negative number."""
    return bool(x < 0 and (-x * factor) & ((1 << bits) - 1) != 0)


@njit(cache=True, nogil=True)
def _gather(tables: Tables, state: State, slot: int, record: Record | None) -> None:
    """S1: add the synapses of all active axons to the drive."""
    rows, target, weight = len(state.ring_size), tables.target, tables.weight
    for g in range(len(tables.delays)):
        row = (slot - tables.delays[g]) % rows
        for i in range(state.ring_size[row]):
            source = state.ring_source[row, i]
            payload = np.int64(state.ring_payload[row, i])
            for axon in range(tables.first_axon[g, source], tables.first_axon[g, source + 1]):
                drive = state.drive[tables.compartment[axon]]
                first, last = tables.first_synapse[axon], tables.first_synapse[axon + 1]
                for synapse in range(first, last):
                    n = target[synapse]
                    drive[n] = np.int64(drive[n]) + payload * np.int64(weight[synapse])
                state.counters[AXON_ACTIVATIONS] += 1
                state.counters[SYNAPTIC_OPERATIONS] += last - first
                if record is not None:
                    record.coverage[DELAYED_AXON] += tables.delays[g] > 0
                    record.coverage[PAYLOAD_ABOVE_1] += payload > 1
                    record.coverage[PAYLOAD_NEGATIVE] += payload < 0


@njit(cache=True, nogil=True)
def _sweep(tables: Tables, state: State, hold: np.ndarray | None, record: Record | None) -> None:
    """S2 to S6 of every neuron."""
    bits = tables.decay_bits
    for n in range(len(state.membrane)):
        kind = tables.kind[n]
        drive_shift, current_shift = np.int64(tables.drive_shift[kind]), np.int64(tables.current_shift[kind])
        total = np.int64(0)
        for k in range(state.current.shape[1]):  # S2
            before, factor = np.int64(state.current[n, k]), np.int64(tables.current_decay[kind, k])
            exact = _scale(before, factor, bits) + np.int64(state.drive[k, n]) * (1 << drive_shift)
            current = _saturate(exact, tables.current_limit)
            state.current[n, k] = current
            state.drive[k, n] = 0
            total += _scale(current, 1, current_shift)
            if record is not None:
                record.coverage[TRUNCATED_NEGATIVE] += _loses(before, factor, bits)
                record.coverage[CURRENT_HIGH] += exact > tables.current_limit - 1
                record.coverage[CURRENT_LOW] += exact < -tables.current_limit
        state.spiked[n] = 0
        if hold is not None and hold[n] > 0:  # S4
            hold[n] = np.int64(hold[n]) - 1
            if record is not None:
                record.coverage[REFRACTORY_HOLD] += 1
            continue
        before, factor = np.int64(state.membrane[n]), np.int64(tables.membrane_decay[kind])
        exact = _scale(before, factor, bits) + total + np.int64(tables.bias[n])  # S3
        membrane = _saturate(exact, tables.membrane_limit)
        if record is not None:
            record.coverage[TRUNCATED_NEGATIVE] += _loses(before, factor, bits)
            record.coverage[MEMBRANE_HIGH] += exact > tables.membrane_limit - 1
            record.coverage[MEMBRANE_LOW] += exact < -tables.membrane_limit
        threshold = np.int64(tables.threshold[n])
        if tables.firing[kind] and membrane >= threshold:  # S5
            subtracts = tables.reset[kind] != ZERO
            if record is not None:
                record.coverage[THRESHOLD_EQUAL] += membrane == threshold
                record.coverage[RESET_SUBTRACT if subtracts else RESET_ZERO] += 1
            membrane = membrane - np.int64(tables.reset_by[n]) if subtracts else np.int64(0)  # S6
            state.spiked[n] = 1
            if hold is not None:
                hold[n] = tables.refractory[kind]
        state.membrane[n] = membrane


@njit(cache=True, nogil=True)
def _advance(tables: Tables, state: State, hold: np.ndarray | None, payloads: np.ndarray, emitted: np.ndarray, record: Record | None) -> None:
    """Run ``len(emitted)`` timesteps; those beyond ``len(payloads)`` have no input."""
    rows = len(state.ring_size)
    for t in range(len(emitted)):
        slot = state.slot[0]  # its row holds the spikes of the timestep before (S7)
        size = state.ring_size[slot]
        if t < len(payloads):
            for channel in range(tables.n_inputs):
                if payloads[t, channel] != 0:
                    state.ring_source[slot, size] = channel
                    state.ring_payload[slot, size] = payloads[t, channel]
                    size += 1
            state.ring_size[slot] = size
        _gather(tables, state, slot, record)
        _sweep(tables, state, hold, record)
        slot, size = (slot + 1) % rows, 0
        for n in range(len(state.spiked)):
            if state.spiked[n] != 0:
                state.ring_source[slot, size] = tables.n_inputs + n
                state.ring_payload[slot, size] = 1
                size += 1
        state.ring_size[slot] = size
        state.slot[0] = slot
        state.counters[SPIKES] += size
        state.counters[NEURON_UPDATES] += len(state.membrane)
        for r in range(len(tables.readout_neuron)):  # S8
            n = tables.readout_neuron[r]
            emitted[t, r] = state.spiked[n] if tables.readout == BY_SPIKE else state.membrane[n]
        if record is not None:
            record.membranes[t] = state.membrane
            record.raster[t] = state.spiked


@njit(cache=True, nogil=True)
def _reset(tables: Tables, state: State, hold: np.ndarray | None) -> None:
    """Start a clip (S9). Counters go on."""
    state.membrane[:] = tables.initial_membrane
    state.current[:] = 0
    state.drive[:] = 0
    state.spiked[:] = 0
    state.ring_size[:] = 0
    state.slot[0] = 0
    if hold is not None:
        hold[:] = 0


@njit(cache=True, nogil=True)
def _score(tables: Tables, emitted: np.ndarray, scores: np.ndarray) -> None:
    """Class scores of one clip (S8)."""
    scores[:] = 0
    first = max(0, len(emitted) - 1) if tables.readout == LAST else 0
    for t in range(first, len(emitted)):
        for r in range(len(tables.readout_class)):
            scores[tables.readout_class[r]] += np.int64(emitted[t, r])


@njit(cache=True, nogil=True)
def _run_clips(tables: Tables, state: State, hold: np.ndarray | None, payloads: np.ndarray, emitted: np.ndarray, scores: np.ndarray) -> None:
    """Run each clip from reset; ``emitted`` is scratch of T + flush rows."""
    for clip in range(len(payloads)):
        _reset(tables, state, hold)
        _advance(tables, state, hold, payloads[clip], emitted, None)
        _score(tables, emitted, scores[clip])


class Runtime:
    """A network, ready to run.

    Parameters
    ----------
    network : Network
        Any network.
    threads : int, >= 1
        Threads that share the clips of a batch. The kernels release the interpreter lock.

    Attributes
    ----------
    counters : Counters
        C1 over all clips of the last ``run``.
    """

    def __init__(self, network: Network, *, threads: int = 1) -> None:
        self.network = network
        self.threads = threads
        self.counters = Counters()
        self._tables = _tables(network)

    def run(self, payloads: np.ndarray) -> np.ndarray:
        """Scores of each clip of a batch, flush included.

        Parameters
        ----------
        payloads : integer [n_clips, n_timesteps, n_inputs], in the declared payload format
            0 is no event. int16 in C order is not copied.

        Returns
        -------
        int64 [n_clips, n_classes]
            Class scores (S8).

        Raises
        ------
        DataError
            If the payloads break A7 or a clip is longer than max_timesteps.
        """
        clips = check_payloads(self.network, payloads, n_dimensions=3, whole_clips=True)
        scores = np.zeros((len(clips), self.network.n_classes), np.int64)
        parts = np.array_split(np.arange(len(clips)), max(1, min(self.threads, len(clips))))
        with ThreadPoolExecutor(len(parts)) as pool:
            totals = list(pool.map(lambda part: self._run_part(clips, scores, part), parts))
        self.counters = _counters(sum(totals))
        return scores

    def predict(self, payloads: np.ndarray) -> np.ndarray:
        """Label of each clip, int64 [n_clips]: largest score, lowest class on a tie (S8.1). Parameters as ``run``."""
        return self.run(payloads).argmax(axis=1)

    def stream(self) -> Stream:
        """A new stream from the initial state (S9.1)."""
        return Stream(self)

    def trace(self, payloads: np.ndarray, coverage: Coverage | None = None) -> Trace:
        """Trace of one clip, integer [n_timesteps, n_inputs], flush included; adds the branches reached to ``coverage``."""
        net = self.network
        clip = check_payloads(net, payloads, n_dimensions=2, whole_clips=True)
        steps = len(clip) + net.formats.flush
        state, hold = _new_state(self._tables, net)
        record = Record(np.zeros((steps, net.n_neurons), np.int32), np.zeros((steps, net.n_neurons), np.bool_), np.zeros(len(BRANCHES), np.int64))
        emitted, scores = np.zeros((steps, len(net.readout_neuron)), np.int32), np.zeros(net.n_classes, np.int64)
        _advance(self._tables, state, hold, clip, emitted, record)
        _score(self._tables, emitted, scores)
        if coverage is not None:
            for name, count in zip(BRANCHES, record.coverage.tolist(), strict=True):
                setattr(coverage, name, getattr(coverage, name) + count)
        return Trace(record.membranes, record.raster, scores, int(scores.argmax()), _counters(state.counters))

    def _run_part(self, clips: np.ndarray, scores: np.ndarray, part: np.ndarray) -> np.ndarray:
        state, hold = _new_state(self._tables, self.network)
        emitted = np.zeros((clips.shape[1] + self.network.formats.flush, len(self.network.readout_neuron)), np.int32)
        if len(part):
            own = slice(int(part[0]), int(part[-1]) + 1)
            _run_clips(self._tables, state, hold, clips[own], emitted, scores[own])
        return state.counters


class Stream:
    """A network that runs on and on (S9.1): no flush, no score, no reset."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._state, self._hold = _new_state(runtime._tables, runtime.network)

    @property
    def counters(self) -> Counters:
        """C1 since the start of the stream."""
        return _counters(self._state.counters)

    def push(self, payloads: np.ndarray) -> np.ndarray:
        """Advance by some timesteps.

        Parameters
        ----------
        payloads : integer [n_timesteps, n_inputs]
            Input of the next timesteps, any number of them.

        Returns
        -------
        int32 [n_timesteps, n_readouts]
            Emitted values (S8).
        """
        given = check_payloads(self._runtime.network, payloads, n_dimensions=2)
        emitted = np.zeros((len(given), len(self._runtime.network.readout_neuron)), np.int32)
        _advance(self._runtime._tables, self._state, self._hold, given, emitted, None)
        return emitted


def check_payloads(net: Network, payloads: np.ndarray, *, n_dimensions: int, whole_clips: bool = False) -> np.ndarray:
    """Dense payloads as int16 in C order; ``DataError`` unless they obey A7 (and T_max, for whole clips)."""
    given = np.asarray(payloads)
    wanted = ", ".join(["n_clips", "n_timesteps", "n_inputs"][-n_dimensions:])
    if given.ndim != n_dimensions or given.shape[-1] != net.n_inputs:
        raise DataError(f"payloads must have shape [{wanted}] with n_inputs = {net.n_inputs}, not {list(given.shape)}")
    if given.dtype.kind not in "iu":
        raise DataError(f"payloads must be integers, not {given.dtype}")
    if whole_clips and given.shape[-2] > net.formats.max_timesteps:
        raise DataError(f"a clip must have at most max_timesteps = {net.formats.max_timesteps} timesteps, not {given.shape[-2]}")
    allowed = net.formats.payload
    if given.size and not (allowed.lo <= int(given.min()) and int(given.max()) <= allowed.hi):
        where = np.argwhere((given < allowed.lo) | (given > allowed.hi))[0].tolist()
        clip = f"clip {where[0]}, " if n_dimensions == 3 else ""
        raise DataError(f"a payload must be in {allowed}, not {int(given[tuple(where)])} ({clip}timestep {where[-2]}, channel {where[-1]})")
    return np.require(given, np.int16, ["C", "W"])  # writable: Numba would compile all again for read-only arrays


class _NumbaMachine:
    def __init__(self, network: Network) -> None:
        self._runtime = Runtime(network)
        self.coverage = Coverage()

    def run_many(self, clips: Sequence[Clip]) -> list[Trace]:
        net = self._runtime.network
        for clip in clips:
            check_events(net, clip, whole_clip=True)
        return [self._runtime.trace(payloads_from_events(clip, net.n_inputs), self.coverage) for clip in clips]


class NumbaBackend:
    """The kernels of this file, with full traces."""

    name = "numba"

    def available(self) -> str | None:
        """Always: numba is a dependency of the package."""
        return None

    def load(self, network: Network) -> _NumbaMachine:
        """A machine for ``network``."""
        return _NumbaMachine(network)


def _tables(net: Network) -> Tables:
    delays = np.unique(net.axon_delay).astype(np.int64)
    order = np.lexsort((net.axon_source, net.axon_delay))
    place = np.searchsorted(delays, net.axon_delay[order]) * np.int64(net.n_sources) + net.axon_source[order]
    first = np.searchsorted(place, np.arange(len(delays) * net.n_sources + 1))
    columns = np.arange(net.n_sources + 1)
    lengths = np.diff(net.synapse_start)[order]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    synapses = np.repeat(net.synapse_start[order] - starts[:-1], lengths) + np.arange(net.n_synapses)
    shifts = np.repeat(net.axon_shift[order], lengths).astype(np.int64)
    return Tables(
        delays=delays,
        first_axon=first[np.arange(len(delays))[:, None] * net.n_sources + columns],
        compartment=net.axon_compartment[order],
        first_synapse=starts,
        target=net.synapse_target[synapses].astype(np.uint32),
        weight=(net.synapse_weight[synapses].astype(np.int64) << shifts).astype(np.int16),
        kind=net.neuron_kind,
        threshold=net.threshold,
        reset_by=net.reset_by,
        bias=net.bias,
        initial_membrane=net.initial_membrane,
        membrane_decay=net.kind_membrane_decay,
        current_decay=net.kind_current_decay,
        firing=net.kind_firing,
        reset=net.kind_reset,
        refractory=net.kind_refractory,
        drive_shift=net.kind_drive_shift,
        current_shift=net.kind_current_shift,
        readout_neuron=net.readout_neuron,
        readout_class=net.readout_class,
        n_inputs=net.n_inputs,
        decay_bits=net.formats.decay_bits,
        membrane_limit=1 << (net.formats.membrane_bits - 1),
        current_limit=1 << (net.formats.current_bits - 1),
        readout=int(net.readout),
    )


def _new_state(tables: Tables, net: Network) -> tuple[State, np.ndarray | None]:
    """State at clip start, and r of S4 (uint8 [n_neurons]): None where no kind is refractory, so that the kernels omit S4."""
    rows = net.max_delay + 1
    state = State(
        membrane=np.zeros(net.n_neurons, np.int32),
        current=np.zeros((net.n_neurons, net.n_compartments), np.int32),
        drive=np.zeros((net.n_compartments, net.n_neurons), np.int32),
        spiked=np.zeros(net.n_neurons, np.uint8),
        ring_size=np.zeros(rows, np.int32),
        ring_source=np.zeros((rows, net.n_sources), np.int32),
        ring_payload=np.zeros((rows, net.n_sources), np.int16),
        slot=np.zeros(1, np.int64),
        counters=np.zeros(4, np.int64),
    )
    hold = np.zeros(net.n_neurons, np.uint8) if net.kind_refractory.any() else None
    _reset(tables, state, hold)
    return state, hold


def _counters(counts: Any) -> Counters:
    """Counters from int64 [4] (0 for a batch without clips)."""
    spikes, operations, activations, updates = np.broadcast_to(counts, 4).tolist()
    return Counters(spikes=spikes, synaptic_operations=operations, axon_activations=activations, neuron_updates=updates)
