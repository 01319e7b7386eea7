# SPDX-License-Identifier: Apache-2.0
"""Networks whose weights evolve, for comparison: the same spiking network with real weights, a GRU and an LSTM.

They get the rounded observations that the boolean network gets. The spiking network keeps the signs, too: a connection's strength is the positive part
of its weight.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .kernels import Constants, constants
from .model import Layout, NetworkConfig
from .populations import payloads
from .scales import Scales

__all__ = ["WeightPopulation"]

ONE = np.float32(1)


@njit(cache=True, nogil=True)
def _spiking(
    c: Constants, weights: np.ndarray, shown: np.ndarray, steps: int, membrane: np.ndarray, current: np.ndarray, spikes: np.ndarray, output: np.ndarray,
    fired: np.ndarray, drive: np.ndarray, inputs: int,
) -> int:  # fmt: skip
    """``kernels._run`` on weights, float32 [rows, neurons]; ``spikes`` is uint8 [neurons], ``fired`` and ``drive`` are scratch."""
    neurons, total, n_fired = len(membrane), 0, 0
    for j in range(neurons):
        if spikes[j]:
            fired[n_fired] = j
            n_fired += 1
    for _ in range(steps):
        drive[:] = np.float32(0)
        for i in range(n_fired):
            source = fired[i]
            row = weights[inputs + source]
            if source < c.excitatory:
                for j in range(neurons):
                    drive[j] += max(row[j], np.float32(0))
            else:
                for j in range(neurons):
                    drive[j] -= max(row[j], np.float32(0))
        for a in range(len(output)):
            seen = np.float32(0)
            row = weights[inputs + neurons + a]
            for i in range(n_fired):
                strength = max(row[fired[i]], np.float32(0))
                seen += strength if fired[i] < c.excitatory else -strength
            output[a] = c.readout_decay * output[a] + c.readout * seen
        for j in range(neurons):
            current[j] = c.synapse_decay * current[j] + c.recurrent * drive[j]
        for j in range(neurons):
            value = c.membrane_decay * membrane[j] + (c.share * current[j] + shown[j])
            fires = value > ONE
            spikes[j] = fires
            membrane[j] = np.float32(0) if fires else value
        n_fired = 0
        for j in range(neurons):
            if spikes[j]:
                fired[n_fired] = j
                n_fired += 1
        total += n_fired
    return total


@njit(cache=True, nogil=True)
def _advance_spiking(
    c: Constants, weights: np.ndarray, which: np.ndarray, slots: np.ndarray, values: np.ndarray, gain: np.float32, steps: int, membrane: np.ndarray,
    current: np.ndarray, spikes: np.ndarray, output: np.ndarray,
) -> int:  # fmt: skip
    """``kernels.advance`` on weights, float32 [n_genomes, rows, neurons]."""
    neurons = membrane.shape[1]
    shown, drive, fired = np.zeros(neurons, np.float32), np.zeros(neurons, np.float32), np.zeros(neurons, np.int64)
    total = 0
    for i in range(len(which)):
        matrix, slot = weights[which[i]], slots[i]
        shown[:] = np.float32(0)
        for k in range(values.shape[1]):
            value, plus, minus = values[i, k] * gain, matrix[2 * k], matrix[2 * k + 1]
            for j in range(neurons):
                shown[j] += value * (max(plus[j], np.float32(0)) - max(minus[j], np.float32(0)))
        total += _spiking(c, matrix, shown, steps, membrane[slot], current[slot], spikes[slot], output[slot], fired, drive, 2 * values.shape[1])
    return total


@njit(cache=True, nogil=True)
def _accumulate(values: np.ndarray, matrix: np.ndarray, sums: np.ndarray) -> None:
    """``sums += values @ matrix``, row by row."""
    for k in range(len(values)):
        value, row = values[k], matrix[k]
        for j in range(len(sums)):
            sums[j] += value * row[j]


@njit(cache=True, nogil=True)
def _sigmoid(x: np.float32) -> np.float32:
    return ONE / (ONE + np.exp(-x))


@njit(cache=True, nogil=True)
def _advance_gated(
    weights: np.ndarray, which: np.ndarray, slots: np.ndarray, values: np.ndarray, state: np.ndarray, cell: np.ndarray, output: np.ndarray, lstm: bool
) -> None:
    """One step of a GRU (gates reset, update, candidate) or an LSTM (input, forget, candidate, output); ``cell`` is of the LSTM.

    A genome holds the matrices of the input and of the state, [n, gates * hidden] each, two biases, the readout [hidden, n_outputs] and its bias.
    """
    hidden, n, n_outputs = state.shape[1], values.shape[1], output.shape[1]
    gates = (4 if lstm else 3) * hidden
    outer, inner = np.zeros(gates, np.float32), np.zeros(gates, np.float32)
    for i in range(len(which)):
        genome, slot = weights[which[i]], slots[i]
        h = state[slot]
        a, b = n * gates, (n + hidden) * gates
        outer[:] = genome[b : b + gates]
        inner[:] = genome[b + gates : b + 2 * gates]
        _accumulate(values[i], genome[:a].reshape(n, gates), outer)
        _accumulate(h, genome[a:b].reshape(hidden, gates), inner)
        for j in range(hidden):
            if lstm:
                gate_in, gate_forget = _sigmoid(outer[j] + inner[j]), _sigmoid(outer[hidden + j] + inner[hidden + j])
                candidate, gate_out = np.tanh(outer[2 * hidden + j] + inner[2 * hidden + j]), _sigmoid(outer[3 * hidden + j] + inner[3 * hidden + j])
                cell[slot, j] = gate_forget * cell[slot, j] + gate_in * candidate
                h[j] = gate_out * np.tanh(cell[slot, j])
            else:
                reset, update = _sigmoid(outer[j] + inner[j]), _sigmoid(outer[hidden + j] + inner[hidden + j])
                candidate = np.tanh(outer[2 * hidden + j] + reset * inner[2 * hidden + j])
                h[j] = (ONE - update) * candidate + update * h[j]
        c = b + 2 * gates
        output[slot] = genome[c + hidden * n_outputs :]
        _accumulate(h, genome[c : c + hidden * n_outputs].reshape(hidden, n_outputs), output[slot])


class WeightPopulation:
    """Networks with real weights.

    Parameters
    ----------
    model : {"rsnn", "gru", "lstm"}
    config : NetworkConfig
        Of the spiking network, and the rounding of observations for all.
    layout : Layout
    scale : Scales
    hidden : int
        Units of a GRU or an LSTM.

    Attributes
    ----------
    n_weights : int
        Of a genome.
    spikes, timesteps : int
        As ``BooleanPopulation`` counts them; a GRU and an LSTM do not spike.
    """

    def __init__(self, model: str, config: NetworkConfig, layout: Layout, scale: Scales, hidden: int) -> None:
        self.model, self.config, self.layout, self.scale, self.hidden = model, config, layout, scale, hidden
        self.n_outputs = layout.n_outputs
        self.spikes = self.timesteps = 0
        gates = {"rsnn": 0, "gru": 3, "lstm": 4}[model] * hidden
        gated = gates * (layout.n_inputs + hidden + 2) + layout.n_outputs * (hidden + 1)
        self.n_weights = layout.bits if model == "rsnn" else gated
        self._constants = constants(config)
        self.load(np.zeros((0, self.n_weights), np.float32), 0)

    def initial(self, seed: int) -> np.ndarray:
        """Weights before the first generation, float64 [n_weights]: standard normal for the spiking network, of size 1 / sqrt(fan-in) for the others."""
        drawn = np.random.default_rng(seed).standard_normal(self.n_weights)
        return drawn if self.model == "rsnn" else drawn / np.sqrt(self.hidden)

    def load(self, genomes: np.ndarray, slots: int) -> None:
        """Take ``genomes`` (float32 [n, n_weights]) and give ``slots`` networks zero state."""
        units = self.layout.neurons if self.model == "rsnn" else self.hidden
        self._genomes = genomes
        self._first, self._second = np.zeros((slots, units), np.float32), np.zeros((slots, units), np.float32)
        self._spiked = np.zeros((slots, units), np.uint8)
        self._output = np.zeros((slots, self.n_outputs), np.float32)

    def act(self, which: np.ndarray, slots: np.ndarray, observations: np.ndarray) -> np.ndarray:
        """Outputs, float32 [m, n_outputs], of some ``slots`` (int64 [m]) of genomes ``which`` for normalised ``observations`` [m, n_inputs]."""
        shown, unit = payloads(self.config, self.scale, observations)
        if self.model != "rsnn":
            _advance_gated(self._genomes, which, slots, shown / np.float32(unit), self._first, self._second, self._output, self.model == "lstm")
            return self._output[slots]
        gain = np.float32(self.config.membrane_share * self.config.input_gain(self.layout.n_inputs) / unit)
        weights = self._genomes.reshape(len(self._genomes), self.layout.rows, self.layout.neurons)
        self.spikes += _advance_spiking(
            self._constants, weights, which, slots, shown, gain, self.config.sub_steps, self._first, self._second, self._spiked, self._output
        )
        self.timesteps += len(slots) * self.config.sub_steps
        return self._output[slots]
