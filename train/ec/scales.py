# SPDX-License-Identifier: Apache-2.0
"""How the network becomes integers: every connection weighs 1 times a power of two, and the rounding of observations absorbs what is left.

One unit of an observation's payload, one recurrent spike and one spike at the readout add powers of two, so threshold, payload and output get scales
that are no powers of two. Training rounds observations with the same scale, so that what is exported was searched that way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...edge.errors import UsageError
from .model import NetworkConfig

__all__ = ["Scales", "round_observations", "scales"]

CURRENT_SHIFT = 3  # fraction bits of the current below the membrane's unit
LARGEST_UNIT = (1 << 15) // 8  # threshold and output unit: a membrane of 16 bits holds 8 of them
LEAST_LEAK = 100  # what a membrane at threshold loses in a timestep: rounding must be small beside it
STEPS_OF_UNIT = 16  # payload steps in one unit (standard deviation) of an observation, within a factor of the square root of 2


@dataclass(frozen=True)
class Scales:
    """Integers of an exported network.

    Attributes
    ----------
    threshold : int
        Of every firing neuron.
    recurrent_shift, input_shift : int
        Powers of two, in units of the current, that a recurrent spike and a unit of payload add.
    readout_shift : int
        Power of two that a spike adds to the membrane of a readout neuron.
    payload : float
        Payload of one unit of a normalised observation.
    output : float
        Membrane of a readout neuron that means an output of 1.
    """

    threshold: int
    recurrent_shift: int
    input_shift: int
    readout_shift: int
    payload: float
    output: float


def scales(config: NetworkConfig, n_inputs: int, payload_unit: float | None = None, longest: int = 1) -> Scales:
    """Scales of a network of ``n_inputs`` inputs.

    Parameters
    ----------
    config : NetworkConfig
    n_inputs : int
    payload_unit : float, optional
        Payload of one unit of input, where it is given and not ours to choose (events of a front end).
    longest : int
        Timesteps an output without leak sums over.

    Raises
    ------
    UsageError
        If the constants leave no integers that fit.
    """
    spike = config.membrane_share * config.recurrent_gain * (1 << CURRENT_SHIFT)
    enough = math.ceil(math.log2(LEAST_LEAK * config.recurrent_gain * (1 << CURRENT_SHIFT)))
    recurrent_shift = min(enough, math.floor(math.log2(LARGEST_UNIT * spike)))
    threshold = (1 << max(recurrent_shift, 0)) / spike
    unit = config.membrane_share * config.input_gain(n_inputs) * threshold * (1 << CURRENT_SHIFT)  # of the current, for one unit of input
    input_shift = round(math.log2(unit / (payload_unit or STEPS_OF_UNIT)))
    if config.decay(config.tau_readout_ms) < 1:
        readout_shift = math.floor(math.log2(LARGEST_UNIT * config.readout_step))
    else:  # as much as the longest sum leaves
        readout_shift = math.floor(math.log2((1 << 15) / (longest * max(config.n_excitatory, config.neurons - config.n_excitatory))))
    if not (0 <= input_shift <= 14 and 0 <= recurrent_shift <= 14 and 0 <= readout_shift <= 14):
        shifts = f"{recurrent_shift}, {input_shift} and {readout_shift}"
        raise UsageError(f"the shifts of recurrence, input and readout must lie in 0..14, not {shifts}: change gains or time constants of the recipe")
    return Scales(round(threshold), recurrent_shift, input_shift, readout_shift, unit / (1 << input_shift), (1 << readout_shift) / config.readout_step)


def round_observations(observations: np.ndarray, payload: float, bits: int) -> np.ndarray:
    """Normalised observations as payloads.

    Parameters
    ----------
    observations : float [...]
    payload : float
        Payload of one unit.
    bits : int
        Width, two's complement; the range is used symmetrically.

    Returns
    -------
    float32 [...]
        Whole numbers, exact.
    """
    limit = (1 << (bits - 1)) - 1
    return np.clip(np.rint(np.asarray(observations, np.float64) * payload), -limit, limit).astype(np.float32)
