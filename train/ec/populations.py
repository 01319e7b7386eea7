# SPDX-License-Identifier: Apache-2.0
"""Networks of a population side by side, each with its own state: what a task sees of an individual.

A slot is a running network; several slots may run one genome.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .kernels import State, advance, constants, count_clip, new_state, run_clip
from .model import Layout, NetworkConfig, unpack_rows
from .scales import Scales, round_observations

__all__ = ["BooleanPopulation", "Population", "payloads"]


class Population(Protocol):
    """What tasks run."""

    n_outputs: int
    spikes: int
    timesteps: int

    def load(self, genomes: np.ndarray, slots: int) -> None:
        """Take genomes and forget all state."""

    def act(self, which: np.ndarray, slots: np.ndarray, observations: np.ndarray) -> np.ndarray:
        """Outputs of some slots, each of genome ``which``."""


def payloads(config: NetworkConfig, scale: Scales, observations: np.ndarray) -> tuple[np.ndarray, float]:
    """What a network is shown for normalised observations, and the payload that means one unit.

    Parameters
    ----------
    config : NetworkConfig
    scale : Scales
    observations : float [...]

    Returns
    -------
    float32 [...], float
    """
    if config.payload_bits == 0:
        return observations.astype(np.float32), 1.0
    return round_observations(observations, scale.payload, config.payload_bits), scale.payload


class BooleanPopulation:
    """Networks on packed bits.

    Parameters
    ----------
    config : NetworkConfig
    layout : Layout
    scale : Scales

    Attributes
    ----------
    spikes, timesteps : int
        Since the population was made; timesteps of all slots.
    state : kernels.State
        One row a slot.
    """

    def __init__(self, config: NetworkConfig, layout: Layout, scale: Scales) -> None:
        self.config, self.layout, self.scale = config, layout, scale
        self.n_outputs = layout.n_outputs
        self.spikes = self.timesteps = 0
        self.state: State = new_state(0, layout.neurons, layout.n_outputs)
        self._constants = constants(config)
        self._genomes = np.zeros((0, layout.rows, layout.words), np.uint64)

    def load(self, genomes: np.ndarray, slots: int) -> None:
        """Take ``genomes`` (uint64 [n, rows, words]) and give ``slots`` networks zero state."""
        self._genomes = genomes
        self.state = new_state(slots, self.layout.neurons, self.n_outputs)

    def act(self, which: np.ndarray, slots: np.ndarray, observations: np.ndarray) -> np.ndarray:
        """Show each of some slots an observation.

        Parameters
        ----------
        which : int64 [m]
            Genome of each.
        slots : int64 [m]
            No slot twice.
        observations : float [m, n_inputs]
            Normalised.

        Returns
        -------
        float32 [m, n_outputs]
        """
        shown, unit = payloads(self.config, self.scale, observations)
        self.spikes += advance(self._constants, self._genomes, which, slots, shown, self._gain(unit), self.config.sub_steps, self.state)
        self.timesteps += len(slots) * self.config.sub_steps
        return self.state.output[slots]

    def listen(self, which: int, events: np.ndarray, outputs: np.ndarray) -> None:
        """Show a network clips, each from zero state.

        Parameters
        ----------
        which : int
            Its genome.
        events : int16 [n_clips, n_frames, n_inputs]
            Payloads.
        outputs : float32 [n_clips, n_frames, n_outputs], written
        """
        gain = self._gain(self.scale.payload)
        for clip in range(len(events)):
            for part in self.state:
                part[0] = 0
            self.spikes += run_clip(self._constants, self._genomes[which], events[clip], gain, self.config.sub_steps, self.state, 0, outputs[clip])
        self.timesteps += events.shape[0] * events.shape[1] * self.config.sub_steps

    def count(self, which: int, events: np.ndarray) -> np.ndarray:
        """Spikes that a readout sees of each neuron in clips, each from zero state; those that inhibit count below 0.

        Parameters
        ----------
        which : int
            The genome.
        events : int16 [n_clips, n_frames, n_inputs]

        Returns
        -------
        float32 [n_clips, neurons]
        """
        gain, seen = self._gain(self.scale.payload), np.zeros((len(events), self.layout.neurons), np.float32)
        for clip in range(len(events)):
            for part in self.state:
                part[0] = 0
            self.spikes += count_clip(self._constants, self._genomes[which], events[clip], gain, self.config.sub_steps, self.state, 0, seen[clip])
        self.timesteps += events.shape[0] * events.shape[1] * self.config.sub_steps
        return seen

    def sums(self, which: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Outputs of integrators, float32 [n_clips, m, n_outputs], of genomes ``which`` (int64 [m]) that ``count`` gave ``seen``."""
        rows = unpack_rows(self._genomes[which, self.layout.readout :]).astype(np.float32)
        outputs: np.ndarray = seen @ rows.reshape(-1, self.layout.neurons).T * np.float32(self.config.readout_step)
        return outputs.reshape(len(seen), len(which), self.n_outputs)

    def _gain(self, unit: float) -> np.float32:
        return np.float32(self.config.membrane_share * self.config.input_gain(self.layout.n_inputs) / unit)
