# SPDX-License-Identifier: Apache-2.0
"""Surrogate gradients: what stands in for the derivative of S5 (fire) in the backward pass.

Each is a function of x = (membrane - threshold) / threshold with its code for the fused kernel; the spike itself stays exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numba
import torch

__all__ = ["SURROGATES", "ArcTan", "Boxcar", "FastSigmoid", "MultiGaussian", "Surrogate", "Triangle", "step", "surrogate_slope"]


@dataclass(frozen=True)
class Surrogate:
    """A surrogate derivative with one width parameter.

    Parameters
    ----------
    scale : float, > 0
        See each class; larger is narrower.
    """

    scale: float = 1.0
    code: ClassVar[int] = -1

    def slope(self, x: torch.Tensor) -> torch.Tensor:
        """Derivative at x, elementwise, same dtype and shape."""
        raise NotImplementedError


class _Step(torch.autograd.Function):
    """1 above 0; backward by the surrogate."""

    @staticmethod
    def forward(ctx, x, surrogate):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        ctx.surrogate = surrogate
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        return grad * ctx.surrogate.slope(ctx.saved_tensors[0]), None


def step(x: torch.Tensor, surrogate: Surrogate) -> torch.Tensor:
    """1 where ``x`` is above 0, else 0, same dtype and shape; its derivative is the surrogate's. For floats: S5 itself fires at its threshold, too."""
    found: torch.Tensor = _Step.apply(x, surrogate)
    return found


class Boxcar(Surrogate):
    """1 within ``|x| < 0.5 / scale``: the straight-through estimator of Bengio et al. 2013 (arXiv 1308.3432), windowed."""

    code = 0

    def slope(self, x: torch.Tensor) -> torch.Tensor:
        """Derivative at x."""
        return ((x.abs() * self.scale) < 0.5).to(x.dtype) * self.scale


class Triangle(Surrogate):
    """``max(0, 1 - scale |x|)``: Bellec et al. 2018 (arXiv 1803.09574)."""

    code = 1

    def slope(self, x: torch.Tensor) -> torch.Tensor:
        """Derivative at x."""
        return torch.clamp(1 - self.scale * x.abs(), min=0)


class FastSigmoid(Surrogate):
    """``1 / (1 + scale |x|)**2``: SuperSpike, Zenke and Ganguli 2018, equation 5 (arXiv 1705.11146)."""

    code = 2

    def slope(self, x: torch.Tensor) -> torch.Tensor:
        """Derivative at x."""
        return 1 / (1 + self.scale * x.abs()) ** 2


class ArcTan(Surrogate):
    """``1 / (1 + (pi/2 scale x)**2)``: Fang et al. 2021 (arXiv 2007.05785)."""

    code = 3

    def slope(self, x: torch.Tensor) -> torch.Tensor:
        """Derivative at x."""
        return 1 / (1 + (math.pi / 2 * self.scale * x) ** 2)


class MultiGaussian(Surrogate):
    """Gaussian with two negative side lobes: Yin, Corradi and Bohte 2021, equation 6 (h = 0.15, s = 6, sigma = 0.5 / scale)."""

    code = 4

    def slope(self, x: torch.Tensor) -> torch.Tensor:
        """Derivative at x."""
        sigma = 0.5 / self.scale

        def lobe(center: float, width: float) -> torch.Tensor:
            return torch.exp(-((x - center) ** 2) / (2 * width**2)) / (width * math.sqrt(2 * math.pi))

        return 1.15 * lobe(0, sigma) - 0.15 * (lobe(sigma, 6 * sigma) + lobe(-sigma, 6 * sigma))


SURROGATES: dict[str, type[Surrogate]] = {
    "boxcar": Boxcar,
    "triangle": Triangle,
    "fast_sigmoid": FastSigmoid,
    "arctan": ArcTan,
    "multi_gaussian": MultiGaussian,
}


@numba.njit(inline="always", fastmath={"nnan", "ninf", "nsz"})
def surrogate_slope(code: int, scale: float, x: float) -> float:
    """Twin of the ``slope`` methods for the fused kernel."""
    if code == 0:
        return scale if abs(x) * scale < 0.5 else 0.0
    if code == 1:
        return max(0.0, 1.0 - scale * abs(x))
    if code == 2:
        return 1.0 / ((1.0 + scale * abs(x)) * (1.0 + scale * abs(x)))
    if code == 3:
        return 1.0 / (1.0 + (math.pi / 2 * scale * x) ** 2)
    s = 0.5 / scale
    near = math.exp(-(x * x) / (2 * s * s)) / (s * math.sqrt(2 * math.pi))
    wide = 6 * s
    left = math.exp(-((x - s) ** 2) / (2 * wide * wide)) / (wide * math.sqrt(2 * math.pi))
    right = math.exp(-((x + s) ** 2) / (2 * wide * wide)) / (wide * math.sqrt(2 * math.pi))
    return 1.15 * near - 0.15 * (left + right)
