# SPDX-License-Identifier: Apache-2.0
"""An exported network in its closed loop: observation to payloads, a window of timesteps in the integer runtime, readout membranes to an action.

What the loop needs beside the network (statistics of observations, scales, bounds of actions) is in the file's metadata under ``controller``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...edge.errors import DataError
from ...edge.network import Network
from ...edge.runtime import Runtime
from .control import ControlTask
from .normalizer import Normalizer
from .scales import Scales, round_observations

__all__ = ["Controller", "controller_metadata", "run_controller"]


def controller_metadata(task: ControlTask, normalizer: Normalizer, scale: Scales, sub_steps: int) -> dict[str, Any]:
    """What ``Controller`` reads, JSON-able, of a ``task``, a ``normalizer``, a ``scale`` and the timesteps of a window."""
    return {
        "environment": task.config.env,
        "options": task.config.options,
        "mean": normalizer.mean.tolist(),
        "deviation": normalizer.deviation.tolist(),
        "payload_scale": scale.payload,
        "output_scale": scale.output,
        "timesteps": sub_steps,
        "actions": task.actions.as_dict(),
    }


class Controller:
    """The integer network as it controls.

    Parameters
    ----------
    network : Network
        With ``controller`` in its metadata.

    Attributes
    ----------
    recorded : list of int16 [timesteps, n_inputs]
        Windows shown since the reset, for a check on other backends.
    """

    def __init__(self, network: Network) -> None:
        if "controller" not in network.metadata:
            raise DataError(f"network {network.name!r} must have a controller in its metadata, as `ormia search ec` writes it on a control task")
        self.network, self._about = network, network.metadata["controller"]
        self._mean, self._deviation = np.array(self._about["mean"]), np.array(self._about["deviation"])
        self._runtime = Runtime(network)
        self.reset()

    def reset(self) -> None:
        """Start an episode."""
        self._stream = self._runtime.stream()
        self.recorded: list[np.ndarray] = []

    @property
    def spikes(self) -> int:
        """Of the whole network, since the reset."""
        return int(self._stream.counters.spikes)

    def act(self, observation: np.ndarray) -> np.ndarray:
        """Outputs, float64 [n_outputs], for an ``observation`` (float [n_inputs]) as the environment gives it; state carries on from the last."""
        normal = (np.asarray(observation, np.float64) - self._mean) / self._deviation
        payloads = round_observations(normal, self._about["payload_scale"], self.network.formats.payload_bits).astype(np.int16)
        window = np.repeat(payloads[None], self._about["timesteps"], axis=0)
        self.recorded.append(window)
        return self._stream.push(window)[-1] / self._about["output_scale"]


def run_controller(network: Network, task: ControlTask, seeds: list[int]) -> tuple[np.ndarray, list[np.ndarray], float]:
    """Episodes of an exported network.

    Parameters
    ----------
    network : Network
    task : ControlTask
        Of the environment the network was searched on.
    seeds : list of int
        Initial states.

    Returns
    -------
    float64 [n], list of int16 [n_timesteps, n_inputs], float
        Returns, the payloads of each episode, and spikes in a timestep, the mean over all.
    """
    controller, env = Controller(network), task.environment(0)
    returns, recorded, spikes = np.zeros(len(seeds)), [], 0
    for i, seed in enumerate(seeds):
        controller.reset()
        observation, _ = env.reset(seed=seed)
        for _ in range(task.longest):
            observation, reward, terminated, truncated, _ = env.step(task.actions.decide(controller.act(observation)[None])[0])
            task.check(observation, reward)
            returns[i] += reward
            if terminated or truncated:
                break
        recorded.append(np.concatenate(controller.recorded))
        spikes += controller.spikes
    return returns, recorded, spikes / max(1, sum(len(payloads) for payloads in recorded))
