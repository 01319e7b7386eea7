# SPDX-License-Identifier: Apache-2.0
"""The recurrent spiking network of Evolving Connectivity: its constants, the layout of its booleans, and its equations in plain numpy.

All magnitude sits in three gains; everything that is searched is boolean. ``PlainNetwork`` is the definition that the packed kernels are held to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...edge.errors import UsageError
from .bits import WORD_BITS

__all__ = ["Layout", "NetworkConfig", "PlainNetwork", "pack_rows", "unpack_rows"]


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Constants of the network; the defaults are those of the released code.

    Attributes
    ----------
    neurons : int
        The first ``round(excitatory * neurons)`` excite, the others inhibit.
    excitatory : float, 0..1
        Share of neurons that excite.
    sub_steps : int, >= 1
        Timesteps of the network for one observation (33 of 0.5 ms are 16.6 ms).
    step_ms, tau_synapse_ms, tau_membrane_ms, tau_readout_ms : float
        Timestep and time constants; a time constant of 0 has no memory, one of infinity (``inf``) forgets nothing.
    gain_input, gain_recurrent, gain_readout : float
        K_in, K_h and K_out of the paper.
    density : float
        Expected share of connections that exist; a constant of the gains, nothing else.
    payload_bits : int, 0 or 2..8
        Width of the signed integers that observations are rounded to, as in the exported network; 0 leaves them unrounded.
    motif, motif_reach : int
        0: every connection is searched. Otherwise one motif of so many neurons serves all, with lateral links to motifs up to ``motif_reach`` away.
    readout_delay : bool
        Whether the readout sees a spike one timestep after it, as in the integer network; the released code sees it at once.
    """

    neurons: int = 256
    excitatory: float = 0.5
    sub_steps: int = 33
    step_ms: float = 0.5
    tau_synapse_ms: float = 5.0
    tau_membrane_ms: float = 10.0
    tau_readout_ms: float = 10.0
    gain_input: float = 0.1
    gain_recurrent: float = 1.0
    gain_readout: float = 5.0
    density: float = 0.5
    payload_bits: int = 8
    motif: int = 0
    motif_reach: int = 1
    readout_delay: bool = True

    def __post_init__(self) -> None:
        if min(self.neurons, self.sub_steps) < 1 or not 0 <= self.excitatory <= 1 or not 0 < self.density <= 1:
            raise UsageError("network must have neurons and sub_steps of at least 1, excitatory in 0..1, density above 0 and at most 1: correct the recipe")
        if self.payload_bits not in (0, *range(2, 9)):
            raise UsageError(f"network.payload_bits must be 0 or in 2..8, not {self.payload_bits}: correct the recipe")
        if self.step_ms <= 0 or min(self.tau_synapse_ms, self.tau_membrane_ms, self.tau_readout_ms) < 0:
            raise UsageError("network.step_ms must be above 0 and no time constant below it: correct the recipe")

    @property
    def n_excitatory(self) -> int:
        """Neurons that excite; they come first."""
        return round(self.neurons * self.excitatory)

    def decay(self, tau_ms: float) -> float:
        """Factor by which a state with this time constant shrinks in a timestep."""
        return math.exp(-self.step_ms / tau_ms) if tau_ms > 0 else 0.0

    @property
    def membrane_share(self) -> float:
        """Share of the input that enters the membrane, 1 - its decay."""
        return 1.0 - self.decay(self.tau_membrane_ms)

    def input_gain(self, n_inputs: int) -> float:
        """R_in: what one connected unit of an observation adds to the input current."""
        return self.gain_input * self.tau_membrane_ms * math.sqrt(2 / (self.density * n_inputs))

    @property
    def recurrent_gain(self) -> float:
        """R: what one spike adds to the synaptic current of a target. Without a synaptic filter tau_synapse counts as one timestep."""
        return self.gain_recurrent * self.tau_membrane_ms / max(self.tau_synapse_ms, self.step_ms) * math.sqrt(2 / (self.density * self.neurons))

    @property
    def readout_gain(self) -> float:
        """R_out."""
        return self.gain_readout * math.sqrt(1 / (self.density * self.neurons))

    @property
    def readout_step(self) -> float:
        """What one spike adds to an output it is connected to: R_out times the rate's share of a spike. An integrator counts spikes, times R_out."""
        decay = self.decay(self.tau_readout_ms)
        return self.readout_gain * ((1.0 - decay) / self.step_ms if decay < 1 else 1.0)


@dataclass(frozen=True)
class Layout:
    """Rows of booleans, each as long as the network has neurons: what the search searches.

    Row 2k and 2k + 1 connect observation k and its negative; then one row of targets for each neuron; then one row of sources for each output.

    Attributes
    ----------
    n_inputs, neurons, n_outputs : int
        Length of an observation, neurons, outputs.
    """

    n_inputs: int
    neurons: int
    n_outputs: int

    def __post_init__(self) -> None:
        if self.neurons % WORD_BITS:
            raise UsageError(f"network.neurons must be a multiple of {WORD_BITS}, for rows are packed in words of {WORD_BITS} bits, not {self.neurons}")

    @property
    def recurrent(self) -> int:
        """First row of the recurrent connections."""
        return 2 * self.n_inputs

    @property
    def readout(self) -> int:
        """First row of the readout."""
        return self.recurrent + self.neurons

    @property
    def rows(self) -> int:
        """All rows."""
        return self.readout + self.n_outputs

    @property
    def bits(self) -> int:
        """Booleans in all."""
        return self.rows * self.neurons

    @property
    def words(self) -> int:
        """Words of 64 bits in a row."""
        return self.neurons // WORD_BITS


def pack_rows(rows: np.ndarray) -> np.ndarray:
    """Bits to words.

    Parameters
    ----------
    rows : bool [..., neurons]
        ``neurons`` is a multiple of 64.

    Returns
    -------
    uint64 [..., neurons / 64]
        Bit b of word w is element 64 * w + b.
    """
    return np.ascontiguousarray(np.packbits(np.asarray(rows, bool), axis=-1, bitorder="little")).view("<u8").astype(np.uint64)


def unpack_rows(words: np.ndarray) -> np.ndarray:
    """Inverse of ``pack_rows``.

    Parameters
    ----------
    words : uint64 [..., words]
        Packed rows.
    """
    return np.unpackbits(np.ascontiguousarray(words.astype("<u8")).view(np.uint8), axis=-1, bitorder="little").astype(bool)


class PlainNetwork:
    """The equations, one network, in float64.

    Parameters
    ----------
    config : NetworkConfig
    inputs : number [2 * n_inputs, neurons]
        Connections of +x (even rows) and -x (odd rows).
    recurrent : number [neurons, neurons]
        Row: source.
    readout : number [n_outputs, neurons]
        Row: output.
    membrane : float [neurons], optional
        Initial membranes.

    Attributes
    ----------
    rate : float64 [neurons]
        Filtered signed spikes per millisecond.
    spikes : int
        Spikes so far.
    """

    def __init__(self, config: NetworkConfig, inputs: np.ndarray, recurrent: np.ndarray, readout: np.ndarray, membrane: np.ndarray | None = None) -> None:
        self.config = config
        self.inputs, self.recurrent, self.readout = (np.asarray(part, np.float64) for part in (inputs, recurrent, readout))
        n = len(self.recurrent)
        self.sign = np.where(np.arange(n) < config.n_excitatory, 1.0, -1.0)
        self.membrane = np.zeros(n) if membrane is None else np.array(membrane, np.float64)
        self.current, self.signed, self.rate = np.zeros(n), np.zeros(n), np.zeros(n)
        self.spikes = 0

    def step(self, observation: np.ndarray) -> np.ndarray:
        """Show one normalised observation for all its timesteps.

        Parameters
        ----------
        observation : float [n_inputs]

        Returns
        -------
        float64 [n_outputs]
            Outputs after the last timestep, not clipped.
        """
        config = self.config
        both = np.stack([observation, -np.asarray(observation)], axis=1).ravel()
        shown = config.input_gain(len(observation)) * (both @ self.inputs)
        decay_out = config.decay(config.tau_readout_ms)
        for _ in range(config.sub_steps):
            before = self.signed
            self.current = config.decay(config.tau_synapse_ms) * self.current + config.recurrent_gain * (before @ self.recurrent)
            membrane = config.decay(config.tau_membrane_ms) * self.membrane + config.membrane_share * (self.current + shown)
            fired = membrane > 1
            self.membrane = np.where(fired, 0.0, membrane)
            self.signed = self.sign * fired
            seen = before if config.readout_delay else self.signed
            self.rate = decay_out * self.rate + (1 - decay_out) * seen / config.step_ms
            self.spikes += int(fired.sum())
        return config.readout_gain * (self.readout @ self.rate)
