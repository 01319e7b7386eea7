# SPDX-License-Identifier: Apache-2.0
"""The network that peers are compared on, and how they are timed: input channels -> 256 recurrent neurons -> 12 leaky readouts, 100 timesteps.

Dense recurrence, 4-bit weights, events of probability 0.1. Its thresholds are set so that it fires as often as a given peer does.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from ormia.edge.network import Formats, Network, Readout, Reset
from ormia.edge.runtime import Runtime

N_HIDDEN, N_CLASSES, TIMESTEPS, DENSITY = 256, 12, 100, 0.1
PEERS = ("snntorch", "norse", "spikingjelly", "sinabs", "rockpool_torch", "xylosim")
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")}


def recurrent_network(n_inputs: int, threshold: int) -> Network:
    """The network; every hidden neuron has the same threshold."""
    rng, n_neurons = np.random.default_rng(0), N_HIDDEN + N_CLASSES

    def weights(n: int, spread: float, mean: float = 0.0) -> np.ndarray:
        drawn = np.clip(np.rint(rng.standard_normal(n) * spread + mean), -8, 7).astype(int)
        return np.where(drawn == 0, 1, drawn)

    inputs = [weights(N_HIDDEN, 3, 1) for _ in range(n_inputs)]
    hidden = [np.concatenate([weights(N_HIDDEN, 2), weights(N_CLASSES, 3)]) for _ in range(N_HIDDEN)]
    lengths = [N_HIDDEN] * n_inputs + [n_neurons] * N_HIDDEN
    kind = np.repeat([0, 1], [N_HIDDEN, N_CLASSES])
    return Network(
        formats=Formats(max_timesteps=TIMESTEPS), n_inputs=n_inputs, axon_source=np.arange(n_inputs + N_HIDDEN), synapse_start=np.cumsum([0, *lengths]),
        synapse_target=np.concatenate([np.arange(n) for n in lengths]), synapse_weight=np.concatenate(inputs + hidden), neuron_kind=kind,
        threshold=np.where(kind == 0, threshold, 0), kind_membrane_decay=[3686, 3891], kind_current_decay=[[0], [0]], kind_firing=[1, 0],
        kind_reset=[Reset.SUBTRACT, Reset.ZERO], kind_refractory=[0, 0], kind_drive_shift=[4, 2], kind_current_shift=[0, 0],
        readout_neuron=np.arange(N_HIDDEN, n_neurons), readout_class=np.arange(N_CLASSES), readout=Readout.SUM,
        labels=tuple(f"class_{i}" for i in range(N_CLASSES)), name="peer_sized",
    )  # fmt: skip


def events(n_inputs: int, n_clips: int) -> np.ndarray:
    """int16 [n_clips, TIMESTEPS, n_inputs] events of payload 1."""
    return (np.random.default_rng(1).random((n_clips, TIMESTEPS, n_inputs)) < DENSITY).astype(np.int16)


def firing_rate(net: Network) -> float:
    """Spikes of a hidden neuron a timestep."""
    runtime, n = Runtime(net), 16
    runtime.run(events(net.n_inputs, n))
    return runtime.counters.spikes / (n * TIMESTEPS * N_HIDDEN)


def network_of_rate(n_inputs: int, rate: float) -> Network:
    """The network that fires at least as often as ``rate``, with the largest such threshold."""
    low, high = 16, 1 << 14
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if firing_rate(recurrent_network(n_inputs, middle)) >= rate else (low, middle)
    return recurrent_network(n_inputs, low)


def time_peer(python: Path, script: Path, name: str, n_inputs: int, batch: int, runs: int) -> dict[str, Any] | None:
    """What the peers' script says of one peer, timed in a process of its own with one thread; None where it does not run."""
    command = [python, script, "--runs", str(runs), "--child", name, str(n_inputs), str(batch)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | ONE_THREAD)
    lines = [line for line in ran.stdout.splitlines() if line.startswith("RESULT ")]
    return json.loads(lines[0].removeprefix("RESULT ")) if lines else None
