# SPDX-License-Identifier: Apache-2.0
"""Rounding with a straight-through gradient (Bengio et al. 2013, arXiv 1308.3432): exact integers forward, identity backward."""

from __future__ import annotations

import torch

__all__ = ["round_clamp", "weight_shift"]


class _RoundClamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: torch.Tensor, lo: int | torch.Tensor, hi: int) -> torch.Tensor:
        rounded = torch.round(x)
        ctx.save_for_backward((rounded > hi), (rounded < lo))
        return torch.clamp(rounded, min=lo).clamp(max=hi)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        above, below = ctx.saved_tensors  # type: ignore[attr-defined]
        grad = grads[0]
        outward = (above & (grad < 0)) | (below & (grad > 0))
        return grad.masked_fill(outward, 0), None, None


def round_clamp(x: torch.Tensor, lo: int | torch.Tensor, hi: int) -> torch.Tensor:
    """Nearest integer, half to even, within ``lo..hi`` (``lo`` may differ by element); beyond it the gradient passes only where it points inside."""
    result: torch.Tensor = _RoundClamp.apply(x, lo, hi)
    return result


def weight_shift(spread: float, weight_bits: int) -> int:
    """Left shift (A3) that puts weights of a given spread on the grid of ``weight_bits``.

    Parameters
    ----------
    spread : float, > 0
        Root mean square of the weights, in membrane units.
    weight_bits : int, 2..8
        Width.

    Returns
    -------
    int, 0..7
        Such that about three spreads reach the largest weight; wider weights get a finer grid.
    """
    largest = (1 << (weight_bits - 1)) - 0.5
    shift = 0
    while shift < 7 and 3.0 * spread > largest * 2**shift:
        shift += 1
    return shift
