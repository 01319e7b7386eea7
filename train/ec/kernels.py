# SPDX-License-Identifier: Apache-2.0
"""The network on packed bits: a connection is one bit, and no bit is ever widened in memory.

Event-driven: a timestep adds the packed rows of the neurons that fired, 64 counters at a time (``bits.tally``). Beside this form ``bench/ec.py``
measures popcounts over transposed rows and bit-sliced addition; they win at no activity that a network shows. Additions of floats have one order
and no multiplication is fused, so that a run gives the same bits on every processor.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from .bits import WORD_BITS, add_where, count_bits, lowest_bit, mark_nonzero, tally
from .model import NetworkConfig

__all__ = ["Constants", "State", "advance", "constants", "count_clip", "gather", "new_state", "run_clip", "show"]

ONE = np.float32(1)


class Constants(NamedTuple):
    """What a timestep multiplies by, and how many neurons excite."""

    synapse_decay: np.float32
    recurrent: np.float32  # R
    membrane_decay: np.float32
    share: np.float32  # 1 - membrane_decay
    readout_decay: np.float32
    readout: np.float32  # what a spike adds to an output
    excitatory: int
    readout_delay: bool


class State(NamedTuple):
    """What networks carry from timestep to timestep; one row each."""

    membrane: np.ndarray  # float32 [n, neurons]
    current: np.ndarray  # float32 [n, neurons]
    spikes: np.ndarray  # uint64 [n, words]: fired in the last timestep
    output: np.ndarray  # float32 [n, n_outputs]


def constants(config: NetworkConfig) -> Constants:
    """Constants of a network as the kernels read them."""
    f = np.float32
    return Constants(
        f(config.decay(config.tau_synapse_ms)), f(config.recurrent_gain), f(config.decay(config.tau_membrane_ms)), f(config.membrane_share),
        f(config.decay(config.tau_readout_ms)), f(config.readout_step), config.n_excitatory, config.readout_delay,
    )  # fmt: skip


def new_state(n: int, neurons: int, n_outputs: int) -> State:
    """Zero state of ``n`` networks of ``neurons`` neurons and ``n_outputs`` outputs."""
    floats = np.zeros((2, n, neurons), np.float32)
    return State(floats[0], floats[1], np.zeros((n, neurons // WORD_BITS), np.uint64), np.zeros((n, n_outputs), np.float32))


@njit(cache=True, nogil=True)
def show(genome: np.ndarray, values: np.ndarray, gain: np.float32, shown: np.ndarray) -> None:
    """Input of one timestep or more: sum of the values of connected inputs, times ``gain``.

    Parameters
    ----------
    genome : uint64 [rows, words]
    values : float32 [n_inputs]
    gain : float32
    shown : float32 [neurons], written
    """
    shown[:] = np.float32(0)
    for k in range(len(values)):
        value = values[k]
        if value != np.float32(0):
            for w in range(genome.shape[1]):
                plus, minus = genome[2 * k, w], genome[2 * k + 1, w]
                add_where(shown, w * WORD_BITS, plus & ~minus, value)  # both cancel
                add_where(shown, w * WORD_BITS, minus & ~plus, -value)
    for j in range(len(shown)):
        shown[j] *= gain


@njit(cache=True, nogil=True)
def gather(rows: np.ndarray, spikes: np.ndarray, excitatory: int, counts: np.ndarray) -> bool:
    """Excitatory less inhibitory spikes that reach each neuron; False, and ``counts`` as they were, if none fired.

    Parameters
    ----------
    rows : uint64 [neurons, words]
        Targets of each neuron.
    spikes : uint64 [words]
    excitatory : int
        Neurons that excite.
    counts : int16 [neurons], written
    """
    active = False
    for w in range(len(spikes)):
        word = spikes[w]
        if word != np.uint64(0) and not active:
            counts[:] = np.int16(0)
            active = True
        while word != np.uint64(0):
            source = w * WORD_BITS + lowest_bit(word)
            word &= word - np.uint64(1)
            sign = 1 if source < excitatory else -1
            for target in range(rows.shape[1]):
                tally(counts, target * WORD_BITS, rows[source, target], sign)
    return active


@njit(cache=True, nogil=True)
def _integrate(c: Constants, counts: np.ndarray, active: bool, shown: np.ndarray, current: np.ndarray, membrane: np.ndarray, fired: np.ndarray) -> None:
    """Synapses, membranes, spikes and resets of one timestep; ``fired`` is uint8 [neurons]."""
    if active:
        for j in range(len(membrane)):
            current[j] = c.synapse_decay * current[j] + c.recurrent * np.float32(counts[j])
    else:
        for j in range(len(membrane)):
            current[j] = c.synapse_decay * current[j]
    for j in range(len(membrane)):
        value = c.membrane_decay * membrane[j] + (c.share * current[j] + shown[j])
        fires = value > ONE
        fired[j] = fires
        membrane[j] = np.float32(0) if fires else value


@njit(cache=True, nogil=True)
def _read(c: Constants, rows: np.ndarray, spikes: np.ndarray, output: np.ndarray) -> None:
    """Filter the signed spikes that each output is connected to."""
    for a in range(len(output)):
        total = 0
        for w in range(len(spikes)):
            word = spikes[w] & rows[a, w]
            if word != np.uint64(0):
                first = w * WORD_BITS  # the border between excitation and inhibition may lie within the word
                exciting = max(0, min(WORD_BITS, c.excitatory - first))
                mask = ~np.uint64(0) if exciting == WORD_BITS else (np.uint64(1) << np.uint64(exciting)) - np.uint64(1)
                total += 2 * count_bits(word & mask) - count_bits(word)
        output[a] = c.readout_decay * output[a] + c.readout * np.float32(total)


@njit(cache=True, nogil=True)
def _run(c: Constants, genome: np.ndarray, first: int, shown: np.ndarray, steps: int, state: State, row: int, counts: np.ndarray, fired: np.ndarray) -> int:
    """Some timesteps of one network under one input; the spikes of them. ``first`` is the first recurrent row."""
    last = first + len(shown)
    targets, sources = genome[first:last], genome[last:]
    spikes, output = state.spikes[row], state.output[row]
    total = 0
    for _ in range(steps):
        if c.readout_delay:
            _read(c, sources, spikes, output)
        total += _step(c, targets, shown, state, row, counts, fired)
        if not c.readout_delay:
            _read(c, sources, spikes, output)
    return total


@njit(cache=True, nogil=True)
def _step(c: Constants, targets: np.ndarray, shown: np.ndarray, state: State, row: int, counts: np.ndarray, fired: np.ndarray) -> int:
    """One timestep of one network, its readout aside; the spikes of it."""
    spikes = state.spikes[row]
    active = gather(targets, spikes, c.excitatory, counts)
    _integrate(c, counts, active, shown, state.current[row], state.membrane[row], fired)
    total = 0
    for w in range(len(spikes)):
        spikes[w] = mark_nonzero(fired, w * WORD_BITS)
        total += count_bits(spikes[w])
    return total


@njit(cache=True, nogil=True)
def advance(c: Constants, genomes: np.ndarray, which: np.ndarray, rows: np.ndarray, values: np.ndarray, gain: np.float32, steps: int, state: State) -> int:
    """Show each of some networks one observation for all its timesteps.

    Parameters
    ----------
    c : Constants
    genomes : uint64 [n_genomes, rows, words]
    which : int64 [m]
        Genome of each network.
    rows : int64 [m]
        Its row of the state.
    values : float32 [m, n_inputs]
        Observations.
    gain : float32
        ``share`` times the input gain.
    steps : int
        Timesteps.
    state : State, advanced
        Outputs are in ``state.output``.

    Returns
    -------
    int
        Spikes of all networks.
    """
    neurons = state.membrane.shape[1]
    shown, counts, fired = np.zeros(neurons, np.float32), np.zeros(neurons, np.int16), np.zeros(neurons, np.uint8)
    total = 0
    for i in range(len(which)):
        genome = genomes[which[i]]
        show(genome, values[i], gain, shown)
        total += _run(c, genome, 2 * values.shape[1], shown, steps, state, rows[i], counts, fired)
    return total


@njit(cache=True, nogil=True)
def _show_frame(genome: np.ndarray, frame: np.ndarray, gain: np.float32, values: np.ndarray, shown: np.ndarray) -> None:
    for k in range(len(values)):
        values[k] = np.float32(frame[k])
    show(genome, values, gain, shown)


@njit(cache=True, nogil=True)
def run_clip(c: Constants, genome: np.ndarray, events: np.ndarray, gain: np.float32, steps: int, state: State, row: int, outputs: np.ndarray) -> int:
    """Show one network a clip, from the state it is in.

    Parameters
    ----------
    c : Constants
    genome : uint64 [rows, words]
    events : int16 [n_frames, n_inputs]
        Payloads; a frame is shown for ``steps`` timesteps.
    gain : float32
        ``share`` times the input gain.
    steps : int
        Timesteps.
    state : State, advanced
    row : int
        Of the state.
    outputs : float32 [n_frames, n_outputs], written
        At the last timestep of each frame.

    Returns
    -------
    int
        Spikes.
    """
    neurons = state.membrane.shape[1]
    shown, counts, fired = np.zeros(neurons, np.float32), np.zeros(neurons, np.int16), np.zeros(neurons, np.uint8)
    values = np.zeros(events.shape[1], np.float32)
    total = 0
    for t in range(len(events)):
        _show_frame(genome, events[t], gain, values, shown)
        total += _run(c, genome, 2 * events.shape[1], shown, steps, state, row, counts, fired)
        outputs[t] = state.output[row]
    return total


@njit(cache=True, nogil=True)
def count_clip(c: Constants, genome: np.ndarray, events: np.ndarray, gain: np.float32, steps: int, state: State, row: int, seen: np.ndarray) -> int:
    """Show one network a clip, as ``run_clip``, and count the spikes that a readout sees of each neuron in place of reading.

    Parameters
    ----------
    c : Constants
    genome : uint64 [rows, words]
        The readout's rows are not used.
    events : int16 [n_frames, n_inputs]
    gain : float32
    steps : int
    state : State, advanced
    row : int
        Of the state.
    seen : float32 [neurons], added to
        Excitatory spikes count 1, inhibitory ones -1.

    Returns
    -------
    int
        Spikes.
    """
    neurons = state.membrane.shape[1]
    shown, counts, fired = np.zeros(neurons, np.float32), np.zeros(neurons, np.int16), np.zeros(neurons, np.uint8)
    values = np.zeros(events.shape[1], np.float32)
    first = 2 * events.shape[1]
    targets = genome[first : first + neurons]
    total = 0
    for t in range(len(events)):
        _show_frame(genome, events[t], gain, values, shown)
        for _ in range(steps):
            if c.readout_delay:
                _count(c, state.spikes[row], seen)
            total += _step(c, targets, shown, state, row, counts, fired)
            if not c.readout_delay:
                _count(c, state.spikes[row], seen)
    return total


@njit(cache=True, nogil=True)
def _count(c: Constants, spikes: np.ndarray, seen: np.ndarray) -> None:
    for w in range(len(spikes)):
        word = spikes[w]
        while word != np.uint64(0):
            source = w * WORD_BITS + lowest_bit(word)
            word &= word - np.uint64(1)
            seen[source] += ONE if source < c.excitatory else -ONE
