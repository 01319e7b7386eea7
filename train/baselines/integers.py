# SPDX-License-Identifier: Apache-2.0
"""Integer arithmetic of int8 inference as microcontroller kernels do it, on torch tensors that hold integers, and its differentiable imitation.

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference" (arXiv 1712.05877).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["Grid", "Multiplier", "Table", "fake_quantize", "integer_matmul", "interpolate", "weight_grid"]

MULTIPLIER_BITS = 31
TABLE_STEP_BITS = 8  # 257 entries over the int16 range, linear between


@dataclass(frozen=True)
class Grid:
    """Affine 8-bit grid of an activation tensor: real = scale * (integer - zero), integers -128..127."""

    scale: float
    zero: int

    @classmethod
    def over(cls, lo: float, hi: float) -> Grid:
        """The grid whose ends are nearest to ``lo..hi``, widened to hold 0, which is on the grid exactly."""
        lo, hi = min(lo, 0.0), max(hi, 0.0, lo + 1e-6)
        scale = (hi - lo) / 255
        return cls(scale, round(-128 - lo / scale))

    def integers(self, real: torch.Tensor) -> torch.Tensor:
        """Nearest integers of the grid, int64."""
        return (torch.round(real.double() / self.scale) + self.zero).clamp(-128, 127).to(torch.int64)


class _Rounded(torch.autograd.Function):
    """Rounding to a grid with its ends; the gradient passes inside them."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: torch.Tensor, scale: torch.Tensor, lo: int, hi: int) -> torch.Tensor:
        steps = torch.round(x / scale)
        ctx.save_for_backward((steps >= lo) & (steps <= hi))
        return steps.clamp(lo, hi) * scale

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (inside,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return grads[0] * inside, None, None, None


def fake_quantize(x: torch.Tensor, scale: torch.Tensor, lo: int, hi: int) -> torch.Tensor:
    """Values of the grid ``scale * (lo..hi)`` nearest to ``x``, differentiable straight through."""
    result: torch.Tensor = _Rounded.apply(x, scale, lo, hi)  # type: ignore[no-untyped-call]
    return result


def weight_grid(weight: torch.Tensor, *, per_channel: bool = True) -> torch.Tensor:
    """Scales of symmetric int8 weights, -127..127: float32 [n_out, 1, ...] per output channel, or one for all."""
    flat = weight.detach().abs().flatten(1)
    largest = flat.amax(1) if per_channel else flat.max().expand(len(flat))
    return (largest.clamp(min=1e-8) / 127).reshape(-1, *[1] * (weight.ndim - 1))


@dataclass(frozen=True)
class Multiplier:
    """Positive reals as 31-bit integers and right shifts: what a core without floating point multiplies by.

    Attributes
    ----------
    mantissa : int64, 2**30..2**31 - 1
    shift : int64, 1..62
    """

    mantissa: torch.Tensor
    shift: torch.Tensor

    @classmethod
    def of(cls, factor: torch.Tensor) -> Multiplier:
        """The nearest to each factor. Raises ``ValueError`` for one outside 2**-32 .. 2**30."""
        if not bool(((factor >= 2.0**-32) & (factor < 2.0**30)).all()):
            raise ValueError(f"a factor must be in 2**-32 .. 2**30, not {factor.min():g} .. {factor.max():g}")
        fraction, exponent = torch.frexp(factor.double())
        mantissa = torch.round(fraction * 2**MULTIPLIER_BITS).to(torch.int64).clamp(max=2**MULTIPLIER_BITS - 1)
        return cls(mantissa, MULTIPLIER_BITS - exponent.to(torch.int64))

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Products of int64 ``x``, at most 31 bits and a sign, rounded to nearest, ties upward."""
        half = torch.ones_like(self.shift) << (self.shift - 1)
        return (x * self.mantissa + half) >> self.shift


def integer_matmul(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """``x @ weight.T`` of int64 tensors, exact: in float32 where every partial sum fits its 24 bits, else in float64."""
    bound = x.shape[-1] * int(x.abs().max()) * int(weight.abs().max()) if x.numel() and weight.numel() else 0
    kind = torch.float32 if bound < 1 << 24 else torch.float64
    return (x.to(kind) @ weight.T.to(kind)).to(torch.int64)


class Table:
    """A function of an int16 number with 12 fraction bits (-8..8), to 15 fraction bits, by 257 stored int16 and linear interpolation."""

    bytes = 2 * 257

    def __init__(self, function: object) -> None:
        places = torch.arange(257, dtype=torch.float64) * 2**TABLE_STEP_BITS - 2**15
        values: torch.Tensor = function(places / 2**12)  # type: ignore[operator]
        self.entries = torch.round(values * 2**15).clamp(-(2**15), 2**15 - 1).to(torch.int64)


def interpolate(table: Table, x: torch.Tensor) -> torch.Tensor:
    """Values of a table at int64 ``x``, -2**15..2**15 - 1."""
    place = x + 2**15
    index, part = place >> TABLE_STEP_BITS, place & (2**TABLE_STEP_BITS - 1)
    low, high = table.entries[index], table.entries[index + 1]
    return low + ((high - low) * part + (1 << (TABLE_STEP_BITS - 1)) >> TABLE_STEP_BITS)
