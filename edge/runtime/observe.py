# SPDX-License-Identifier: Apache-2.0
"""Counts of the branches that a timestep reaches: an observer that reads a state between gathering and sweeping and changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ..coverage import BRANCHES
from .plan import NEVER, Plan, State

__all__ = ["observe"]

(CURRENT_HIGH, CURRENT_LOW, MEMBRANE_HIGH, MEMBRANE_LOW, TRUNCATED_NEGATIVE, REFRACTORY_HOLD, THRESHOLD_EQUAL, RESET_ZERO, RESET_SUBTRACT,
 DELAYED_AXON, PAYLOAD_ABOVE_1, PAYLOAD_NEGATIVE) = range(len(BRANCHES))  # fmt: skip


@njit(cache=True, nogil=True)
def _loses(x: Any, factor: Any, bits: int) -> Any:
    """Whether D1 truncates a negative number."""
    return x < 0 and (-x * factor) & ((1 << bits) - 1) != 0


@njit(cache=True, nogil=True)
def _toward_zero(x: Any, factor: Any, bits: Any) -> Any:
    return (x * factor) >> bits if x >= 0 else -((-x * factor) >> bits)


@njit(cache=True, nogil=True)
def observe(plan: Plan, states: State, reached: np.ndarray) -> None:
    """Count the branches that gathering took and that sweeping will take, of the first stream."""
    slot, size, source = states.slot[0, 0], states.ring_size[0], states.ring_source[0]
    channel, payloads, drive, current = states.ring_channel[0], states.ring_payload[0], states.drive[0], states.current[0]
    bits = plan.decay_bits
    for g in range(len(plan.delays)):
        row, base = (slot - plan.delays[g]) % len(size), g * (plan.n_inputs + plan.n_neurons)
        for i in range(size[row, 0]):
            reached[DELAYED_AXON] += plan.work[base + source[row, i], 0] * (plan.delays[g] > 0)
        for i in range(size[row, 1]):
            axons, payload = plan.work[base + channel[row, i], 0], payloads[row, i]
            reached[DELAYED_AXON] += axons * (plan.delays[g] > 0)
            reached[PAYLOAD_ABOVE_1] += axons * (payload > 1)
            reached[PAYLOAD_NEGATIVE] += axons * (payload < 0)
    for n in range(plan.n_neurons):
        total = np.int64(0)
        for k in range(len(drive)):
            exact = np.int64(drive[k, n]) << np.int64(plan.drive_shift[n])
            if plan.memory:
                exact += _toward_zero(np.int64(current[k, n]), np.int64(plan.current_decay[k, n]), bits)
                reached[TRUNCATED_NEGATIVE] += _loses(np.int64(current[k, n]), np.int64(plan.current_decay[k, n]), bits)
            reached[CURRENT_HIGH] += exact > plan.current_limit - 1
            reached[CURRENT_LOW] += exact < -plan.current_limit
            total += _toward_zero(max(-plan.current_limit, min(plan.current_limit - 1, exact)), 1, np.int64(plan.current_shift[n]))
        if plan.rests and states.hold[0, n] > 0:
            reached[REFRACTORY_HOLD] += 1
            continue
        before, factor = np.int64(states.membrane[0, n]), np.int64(plan.membrane_decay[n])
        exact = _toward_zero(before, factor, bits) + total + np.int64(plan.bias[n])
        membrane = max(-plan.membrane_limit, min(plan.membrane_limit - 1, exact))
        reached[TRUNCATED_NEGATIVE] += _loses(before, factor, bits)
        reached[MEMBRANE_HIGH] += exact > plan.membrane_limit - 1
        reached[MEMBRANE_LOW] += exact < -plan.membrane_limit
        if plan.threshold[n] != NEVER and membrane >= plan.threshold[n]:
            reached[THRESHOLD_EQUAL] += membrane == plan.threshold[n]
            reached[RESET_SUBTRACT if plan.keep[n] != 0 else RESET_ZERO] += 1
