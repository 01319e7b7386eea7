# SPDX-License-Identifier: Apache-2.0
"""Running statistics of observations, frozen within a generation and exported with the network.

The default counts every observation that training visits and bounds the standard deviation from below; ``reference`` counts what its caller gives it
and bounds as the released code does.
"""

from __future__ import annotations

import numpy as np

__all__ = ["Normalizer"]

RELATIVE_FLOOR = 1e-2  # of |mean|: a dimension that hardly moves must not explode when it moves
ABSOLUTE_FLOOR = 1e-6
REFERENCE_RANGE = (1e-6, 1e6)


class Normalizer:
    """Mean and standard deviation of each dimension of an observation.

    Parameters
    ----------
    n : int
        Dimensions.
    reference : bool
        Floors of the released code.

    Attributes
    ----------
    count : float
        Observations so far.
    mean, squares : float64 [n]
        Their mean, and the sum of their squared distances from it.
    """

    def __init__(self, n: int, *, reference: bool = False) -> None:
        self.reference = reference
        self.count = 0.0
        self.mean, self.squares = np.zeros(n), np.zeros(n)

    @property
    def deviation(self) -> np.ndarray:
        """What observations are divided by, float64 [n]; 1 before the first observation."""
        if self.count == 0:
            return np.ones(len(self.mean))
        deviation = np.sqrt(self.squares / self.count)
        if self.reference:
            return np.clip(deviation, *REFERENCE_RANGE)
        return np.maximum(deviation, np.maximum(RELATIVE_FLOOR * np.abs(self.mean), ABSOLUTE_FLOOR))

    def apply(self, observations: np.ndarray) -> np.ndarray:
        """Normalised observations, float64 [..., n], of ``observations`` in the same shape."""
        return (observations - self.mean) / self.deviation

    def add(self, sums: np.ndarray) -> None:
        """Take in what workers gathered about the frozen mean, one row an individual, in order.

        Parameters
        ----------
        sums : float64 [population, 1 + 2 n]
            Count, sum of deviations from ``mean``, sum of their squares.
        """
        n = len(self.mean)
        total = np.zeros(1 + 2 * n)
        for row in sums:  # one order of additions, however many workers there were
            total += row
        if total[0] == 0:
            return
        shift, count = total[1 : 1 + n] / total[0], self.count + total[0]
        inside = total[1 + n :] - total[0] * shift**2
        self.squares = self.squares + np.maximum(inside, 0) + shift**2 * self.count * total[0] / count
        self.mean = self.mean + shift * total[0] / count
        self.count = count

    def gather(self, sums: np.ndarray, which: np.ndarray, observations: np.ndarray) -> None:
        """Add observations to rows of what ``add`` takes.

        Parameters
        ----------
        sums : float64 [n_rows, 1 + 2 n], added to
        which : int64 [m]
            Row of each observation; no row twice.
        observations : float64 [m, n]
        """
        away = observations - self.mean
        n = len(self.mean)
        sums[which, 0] += 1
        sums[which, 1 : 1 + n] += away
        sums[which, 1 + n :] += away**2

    def state(self) -> dict[str, np.ndarray]:
        """Arrays of a checkpoint."""
        return {"normalizer_count": np.array(self.count), "normalizer_mean": self.mean, "normalizer_squares": self.squares}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take ``arrays``, which ``state`` gave."""
        self.count = float(arrays["normalizer_count"])
        self.mean, self.squares = arrays["normalizer_mean"].copy(), arrays["normalizer_squares"].copy()
