# SPDX-License-Identifier: Apache-2.0
"""Time constants that change with depth: shapes, spread within a layer, input gain, temporal kernels, and what the decay format can hold.

Numbers only; ``train/model.py`` applies them to its layers. Time is in timesteps throughout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from ...edge.errors import UsageError

__all__ = [
    "SHAPES",
    "Timescales",
    "achievable",
    "check_time_constants",
    "depth_profile",
    "dilations",
    "drive_factors",
    "kernel_sizes",
    "layer_means",
    "taps",
    "within_layer",
]

SHAPES = ("given", "tanh", "linear", "power")
JITTERS = ("uniform", "normal")
TRAINED = ("", "layer", "motif", "neuron")


@dataclass(frozen=True, kw_only=True)
class Timescales:
    """A hierarchy of time constants over the layers of a network.

    Attributes
    ----------
    shape : str
        ``given`` leaves the layers as they are; ``tanh``, ``linear`` and ``power`` set every layer's time constants from what follows.
    mean : float, timesteps
        Half-way between the first and the last layer; the mean of all layers where the shape is symmetric.
    spread : float, timesteps
        Last layer less first; 0 is the reference without hierarchy, below 0 slow layers come first.
    steepness, center : float
        Of tanh: ``tanh((x - center) / steepness)`` over depths x in 0..1; a small steepness is a step.
    exponent : float, > 0
        Of power: ``x ** exponent``.
    jitter : float, 0..1
        Within a layer, as a share of its time constant: half the width of a uniform spread, or standard deviation of a normal one; 0 makes neurons equal.
    jitter_shape : str
        ``uniform`` or ``normal``.
    kinds : int, >= 1
        Different time constants in a layer, at quantiles of the jitter: neuron kinds of the exported network.
    gain_spread : float, timesteps
        The drive of each layer is scaled after its calibration as the input gain of a hierarchy of this spread would scale it (``drive_factors``).
    train : str
        ``layer``, ``motif`` or ``neuron``: time constants trained by gradient, shared that far, from those above; empty is none.

    Source: arXiv 2407.18838 and its code (EIS-Hub/hSNN).
    """

    shape: str = "given"
    mean: float = 5.0
    spread: float = 0.0
    steepness: float = 0.5
    center: float = 0.5
    exponent: float = 1.0
    jitter: float = 0.0
    jitter_shape: str = "uniform"
    kinds: int = 5
    gain_spread: float = 0.0
    train: str = ""

    def __post_init__(self) -> None:
        for name, known in (("shape", SHAPES), ("jitter_shape", JITTERS), ("train", TRAINED)):
            if getattr(self, name) not in known:
                raise UsageError(f"timescales.{name} must be one of {', '.join(map(repr, known))}, not {getattr(self, name)!r}: correct the recipe")
        if self.steepness <= 0 or self.exponent <= 0 or not 0 <= self.jitter < 1 or self.kinds < 1:
            raise UsageError(
                "timescales must have steepness and exponent above 0, jitter from 0 to below 1 and kinds from 1 up, not "
                f"{self.steepness}, {self.exponent}, {self.jitter} and {self.kinds}: correct the recipe"
            )


def achievable(decay_bits: int) -> tuple[float, float]:
    """Least and largest time constant of a membrane, in timesteps: one timestep, and that of the largest decay factor.

    Examples
    --------
    >>> [round(tau, 1) for tau in achievable(12)]
    [1.0, 4095.5]
    """
    return 1.0, -1.0 / math.log1p(-(2.0**-decay_bits))


def check_time_constants(taus: tuple[float, ...], decay_bits: int, where: str) -> None:
    """Refuse time constants that no decay factor of ``decay_bits`` stands for.

    Raises
    ------
    UsageError
        With the achievable range.
    """
    low, high = achievable(decay_bits)
    wrong = [tau for tau in taus if not low <= tau <= high]
    if wrong:
        reason = "is negative" if wrong[0] < 0 else "is below one timestep" if wrong[0] < low else f"is beyond decay factors of {decay_bits} bits"
        raise UsageError(
            f"time constants of {where} must be within {low:g} to {high:.1f} timesteps; {wrong[0]:.4g} {reason}: "
            + ("lower the mean or the spread" if wrong[0] > high else "raise the mean or lower spread and jitter")
        )


def depth_profile(scales: Timescales, layers: int) -> list[float]:
    """Place of each layer between fast and slow, -1/2 (first) to 1/2 (last); 0 for a single layer.

    Examples
    --------
    >>> [round(h, 3) for h in depth_profile(Timescales(shape="tanh"), 4)]
    [-0.5, -0.211, 0.211, 0.5]
    >>> depth_profile(Timescales(shape="linear"), 3), depth_profile(Timescales(shape="power", exponent=2.0), 3)
    ([-0.5, 0.0, 0.5], [-0.5, -0.25, 0.5])
    """
    if layers == 1:
        return [0.0]
    depths = [k / (layers - 1) for k in range(layers)]
    raw = {
        "tanh": [math.tanh((x - scales.center) / scales.steepness) for x in depths],
        "power": [x**scales.exponent for x in depths],
    }.get(scales.shape, depths)
    return [(y - raw[0]) / (raw[-1] - raw[0]) - 0.5 for y in raw]


def layer_means(scales: Timescales, layers: int, spread: float | None = None) -> list[float]:
    """Time constant of each layer: ``mean + spread * depth_profile``; ``spread`` in place of that of ``scales`` where it is given.

    Examples
    --------
    >>> layer_means(Timescales(shape="tanh", mean=30.0, spread=50.0), 2)
    [5.0, 55.0]
    """
    spread = scales.spread if spread is None else spread
    return [scales.mean + spread * h for h in depth_profile(scales, layers)]


def within_layer(scales: Timescales, tau: float) -> tuple[float, ...]:
    """Time constants dealt to the neurons of a layer: quantiles of the jitter about ``tau``, one without jitter.

    Examples
    --------
    >>> within_layer(Timescales(jitter=0.2, kinds=5), 10.0)
    (8.4, 9.2, 10.0, 10.8, 11.6)
    """
    if scales.jitter == 0:
        return (tau,)
    quantiles = [(k + 0.5) / scales.kinds for k in range(scales.kinds)]
    offsets = [2 * q - 1 if scales.jitter_shape == "uniform" else NormalDist().inv_cdf(q) for q in quantiles]
    return tuple(round(tau * (1 + scales.jitter * x), 12) for x in offsets)


def drive_factors(scales: Timescales, layers: int) -> list[float]:
    """By what the drive of each layer is scaled: (1 - decay) at ``mean`` over (1 - decay) at the time constant that ``gain_spread`` would give the layer.

    A membrane that adds its drive without (1 - decay) rests at ``drive / (1 - decay)``: this is that gain, without the memory.
    """
    if scales.gain_spread == 0:
        return [1.0] * layers
    means = layer_means(scales, layers, scales.gain_spread)
    check_time_constants(tuple(means), 32, "the input gain")
    return [math.expm1(-1 / scales.mean) / math.expm1(-1 / tau) for tau in means]


def kernel_sizes(size: int, spread: int, layers: int) -> list[int]:
    """Taps of the temporal kernel of each layer: linear from ``size - spread / 2`` to ``size + spread / 2``, truncated, at least 1.

    Examples
    --------
    >>> kernel_sizes(5, 3, 2), kernel_sizes(5, -4, 2), kernel_sizes(5, 4, 3)
    ([3, 6], [7, 3], [3, 5, 7])
    """
    first, last = (max(1, int(size + sign * spread / 2)) for sign in (-1, 1))
    return [int(first + (last - first) * k / max(1, layers - 1)) for k in range(layers)]


def dilations(dilation: int, spread: int, layers: int) -> list[int]:
    """Dilation of the temporal kernel of each layer, truncated, at least 1.

    Examples
    --------
    >>> [dilations(5, spread, 2) for spread in (-3, 0, 1, 3)]
    [[6, 3], [5, 5], [4, 5], [3, 6]]
    """
    return [max(1, int(dilation + spread * (k - (layers - 1) / 2) / max(1, layers - 1))) for k in range(layers)]


def taps(size: int, dilation: int) -> tuple[int, ...]:
    """Delays of the axons that are a causal kernel of ``size`` taps.

    Examples
    --------
    >>> taps(3, 4)
    (0, 4, 8)
    """
    return tuple(dilation * k for k in range(size))
