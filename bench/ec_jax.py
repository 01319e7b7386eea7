# SPDX-License-Identifier: Apache-2.0
"""RSNN forwards per CPU second of the released code's arithmetic under JAX: boolean kernels of one byte, int8 recurrent product, a scan of 33 timesteps.

python bench/ec_jax.py SCALE ... (any Python with jax; bench/ec.py --jax PYTHON runs it) prints a JSON list of [scale, spikes per timestep, forwards/CPU s].
"""

from __future__ import annotations

import json
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

NEURONS, INPUTS, OUTPUTS, STEPS, POPULATION, FRAMES, REPEATS = 256, 11, 3, 33, 64, 50, 5
SYNAPSE, MEMBRANE = np.float32(np.exp(-0.5 / 5)), np.float32(np.exp(-0.5 / 10))
GAIN_IN, GAIN, GAIN_OUT = np.float32(np.sqrt(2 / (0.5 * INPUTS))), np.float32(0.25), np.float32(5 * np.sqrt(1 / (0.5 * NEURONS)))
SIGN = np.where(np.arange(NEURONS) < NEURONS // 2, 1, -1).astype(np.int8)


def forward(kernels, state, observation):
    """One observation of one individual."""
    inputs, recurrent, readout = kernels
    shown = GAIN_IN * jnp.concatenate([observation, -observation]) @ inputs.astype(jnp.float32)

    def step(carry, _):
        membrane, current, signed, rate = carry
        current = SYNAPSE * current + GAIN * (signed @ recurrent.astype(jnp.int8)).astype(jnp.float32)
        membrane = MEMBRANE * membrane + (1 - MEMBRANE) * (current + shown)
        fired = membrane > 1
        membrane, signed = jnp.where(fired, 0, membrane), jnp.where(fired, SIGN, 0).astype(jnp.int8)
        return (membrane, current, signed, MEMBRANE * rate + (1 - MEMBRANE) * signed.astype(jnp.float32) / 0.5), jnp.sum(fired)

    state, fired = jax.lax.scan(step, state, None, STEPS)
    return state, (GAIN_OUT * state[3] @ readout.astype(jnp.float32), jnp.sum(fired))


@jax.jit
def episode(kernels, state, observations):
    """A population on a sequence of observations."""
    return jax.lax.scan(lambda state, seen: jax.vmap(forward)(kernels, state, seen), state, observations)


def main() -> None:
    """Measure and print."""
    rng = np.random.default_rng(0)
    kernels = tuple(jnp.asarray(rng.random((POPULATION, *shape)) < 0.5) for shape in ((2 * INPUTS, NEURONS), (NEURONS, NEURONS), (NEURONS, OUTPUTS)))
    zero = np.zeros((POPULATION, NEURONS), np.float32)
    rows = []
    for scale in map(float, sys.argv[1:]):
        observations = jnp.asarray((scale * rng.normal(size=(FRAMES, POPULATION, INPUTS))).astype(np.float32))
        state = (jnp.asarray(zero), jnp.asarray(zero), jnp.asarray(zero.astype(np.int8)), jnp.asarray(zero))
        best = float("inf")
        for _ in range(REPEATS + 1):  # the first compiles
            began = time.process_time()
            _, (_, fired) = jax.block_until_ready(episode(kernels, state, observations))
            best = min(best, time.process_time() - began)
        rows.append([scale, float(fired.sum()) / FRAMES / POPULATION / STEPS, FRAMES * POPULATION / best])
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
