# SPDX-License-Identifier: Apache-2.0
"""A source of events that is learnt in seconds."""

from __future__ import annotations

import numpy as np
from ormia.train.loop import Epoch


class Toy:
    """Two classes told apart by which half of the channels is busy."""

    n_inputs, payload_max, classes, scored_timesteps, teacher_digest, payload_bits = 8, 1, ("low", "high"), 10, "", 1

    def metadata(self):
        return {}

    def __init__(self, digest="toy", valid=24):
        self.digest, self.valid = digest, valid

    def _draw(self, rng, n):
        labels = rng.integers(0, 2, n)
        rate = np.where((np.arange(8) >= 4) == labels[:, None], 0.6, 0.1)
        return (rng.random((n, 10, 8)) < rate[:, None]).astype(np.int16), labels.astype(np.int64)

    def train_epoch(self, rng):
        return Epoch(*self._draw(rng, 40))

    def fixed(self, split):
        return self._draw(np.random.default_rng(len(split)), self.valid)
