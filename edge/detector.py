# SPDX-License-Identifier: Apache-2.0
"""The detector: from the emitted values of a stream (S9.1 of docs/semantics.md) to keywords, in integers.

Knows classes and timesteps; not how the values came about. Plain Python integers: a stream has tens of timesteps a second. What a
detector does, each timestep, is the text of ``Detector.step``; its parameters ship in the metadata of a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from .errors import NetworkFileError
from .fixedpoint import decay
from .network import Network

__all__ = ["DECAY_BITS", "Detection", "Detector", "DetectorConfig", "detector_config"]

DECAY_BITS = 12
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """Parameters of a detector, all integers.

    Attributes
    ----------
    smoothing : int, 0..4096
        Decay factor of the class scores in 1/4096 a timestep: 4096 * (1 - 1 / n) averages over about n timesteps.
    threshold : int
        Least score of a keyword.
    margin : int, >= 0
        Least distance to the best other class, background classes among them.
    consecutive : int, >= 1
        Timesteps in a row in which the same keyword must pass both.
    refractory : int, >= 0
        Timesteps after a detection in which there is no other.
    warm_up : int, >= 0
        Timesteps after the start in which there is none.
    background : tuple of int
        Classes that compete but are never detected, such as silence.
    """

    smoothing: int = 3968
    threshold: int = -(1 << 31)
    margin: int = 1
    consecutive: int = 2
    refractory: int = 40
    warm_up: int = 50
    background: tuple[int, ...] = ()
    version: int = VERSION

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form, for the metadata of a network under "detector"."""
        return asdict(self) | {"background": list(self.background)}


RANGES = {"smoothing": (0, 1 << DECAY_BITS), "threshold": (-(1 << 47), 1 << 47), "margin": (0, 1 << 47), "consecutive": (1, 1 << 20),
          "refractory": (0, 1 << 20), "warm_up": (0, 1 << 20), "version": (VERSION, VERSION)}  # fmt: skip


@dataclass(frozen=True)
class Detection:
    """A keyword at a timestep: its class, its smoothed score and its distance to the best other class."""

    timestep: int
    label: int
    score: int
    margin: int


class Detector:
    """A running detector of one stream.

    Parameters
    ----------
    network : Network
        Gives classes and readouts.
    config : DetectorConfig, optional
        Default ``detector_config(network)``.

    Attributes
    ----------
    scores : list of int
        Smoothed score of each class.
    """

    def __init__(self, network: Network, config: DetectorConfig | None = None) -> None:
        self.config = detector_config(network) if config is None else config
        self._classes = network.readout_class.tolist()
        self.scores = [0] * network.n_classes
        self._timestep = 0
        self._passed = 0  # timesteps in a row that `_candidate` passed
        self._candidate = -1
        self._rest = 0  # timesteps left without detection

    def step(self, emitted: Sequence[int]) -> Detection | None:
        """Advance one timestep.

        Parameters
        ----------
        emitted : sequence of int, one a readout neuron
            Emitted values (S8).

        Returns
        -------
        Detection or None
            What was detected in this timestep.
        """
        config = self.config
        self.scores = [decay(score, config.smoothing, DECAY_BITS) for score in self.scores]
        for label, value in zip(self._classes, emitted, strict=True):
            self.scores[label] += int(value)
        timestep, self._timestep = self._timestep, self._timestep + 1
        best = max(range(len(self.scores)), key=lambda label: (self.scores[label], -label))  # the lowest class wins a tie, as S8.1
        margin = self.scores[best] - max((score for label, score in enumerate(self.scores) if label != best), default=0)
        passes = best not in config.background and self.scores[best] >= config.threshold and margin >= config.margin
        self._passed = (self._passed + 1 if best == self._candidate else 1) if passes else 0
        self._candidate = best
        if self._rest > 0:
            self._rest -= 1
            return None
        if self._passed < config.consecutive or timestep < config.warm_up:
            return None
        self._rest, self._passed = config.refractory, 0
        return Detection(timestep, best, self.scores[best], margin)

    def push(self, emitted: np.ndarray) -> list[Detection]:
        """Advance by integer [n_timesteps, n_readouts] emitted values, as ``Stream.push`` returns them."""
        found = [self.step(values) for values in emitted.tolist()]
        return [detection for detection in found if detection is not None]


def detector_config(net: Network) -> DetectorConfig:
    """The detector of a network: that of its metadata, else the default with every label in underscores as background.

    Raises
    ------
    NetworkFileError
        If the metadata has a detector that is none.
    """
    given = net.metadata.get("detector")
    if given is None:
        return DetectorConfig(background=tuple(i for i, label in enumerate(net.labels) if label.startswith("_")))
    names = {f.name for f in fields(DetectorConfig)}
    if not isinstance(given, Mapping) or set(given) != names:
        raise NetworkFileError(f"detector: it must have exactly {', '.join(sorted(names))}; export the network again")
    for name, (lo, hi) in RANGES.items():
        if type(given[name]) is not int or not lo <= given[name] <= hi:
            raise NetworkFileError(f"detector: {name} must be an integer in {lo}..{hi}, not {given[name]!r:.40}; export the network again")
    background = given["background"]
    if not isinstance(background, list | tuple) or any(type(label) is not int or not 0 <= label < net.n_classes for label in background):
        raise NetworkFileError(f"detector: background must list classes in 0..{net.n_classes - 1}, not {background!r:.60}; export the network again")
    return DetectorConfig(**(dict(given) | {"background": tuple(background)}))
