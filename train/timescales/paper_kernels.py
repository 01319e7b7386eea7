# SPDX-License-Identifier: Apache-2.0
"""A layer of leaky neurons in float32 over whole sequences, forward and backward: the model of arXiv 2407.18838, no integers of ours.

Samples lie innermost, in chunks of ``LANES`` that the compiler turns into vector operations. ``train/timescales/paper.py`` puts layers together.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch

__all__ = ["LANES", "backward_layer", "forward_layer", "moments", "neurons"]

LANES = 64

_jit = numba.njit(cache=True, fastmath={"contract", "reassoc", "nsz", "arcp"}, nogil=True)


@_jit
def forward_layer(
    source: np.ndarray, weight: np.ndarray, shift: np.ndarray, recurrent: np.ndarray, decay: np.ndarray, fires: bool, membrane: np.ndarray, spikes: np.ndarray
) -> None:
    """Run neurons over all timesteps: ``V = decay V + source @ weight + shift + (recurrent - 1) spikes of the timestep before``.

    Parameters
    ----------
    source : float32 [n_chunks, T, K, LANES]
    weight : float32 [K, N], shift : float32 [N]
        Normalization and input gain included.
    recurrent : float32 [N, N] or [0, 0]
        From spikes of the timestep before.
    decay : float32 [N]
    fires : bool
        Whether neurons spike above 1; a readout does not.
    membrane, spikes : float32 [n_chunks, T, N, LANES], filled
        The second is left alone where neurons do not fire.
    """
    chunks, timesteps, inputs, _ = source.shape
    n = len(shift)
    total = np.empty((n, LANES), np.float32)
    for c in range(chunks):
        for t in range(timesteps):
            for j in range(n):
                for b in range(LANES):
                    total[j, b] = shift[j]
                for k in range(inputs):
                    w = weight[k, j]
                    for b in range(LANES):
                        total[j, b] += w * source[c, t, k, b]
            if t > 0 and len(recurrent):
                for j in range(n):
                    for k in range(n):
                        w = recurrent[k, j]
                        for b in range(LANES):
                            total[j, b] += w * spikes[c, t - 1, k, b]
            for j in range(n):
                a = decay[j]
                if t > 0:
                    for b in range(LANES):
                        total[j, b] += a * membrane[c, t - 1, j, b]
                    if fires:
                        for b in range(LANES):
                            total[j, b] -= spikes[c, t - 1, j, b]
                for b in range(LANES):
                    membrane[c, t, j, b] = total[j, b]
                if fires:
                    for b in range(LANES):
                        spikes[c, t, j, b] = np.float32(1.0) if total[j, b] > np.float32(1.0) else np.float32(0.0)


@_jit
def backward_layer(
    g_out: np.ndarray, source: np.ndarray, weight: np.ndarray, recurrent: np.ndarray, decay: np.ndarray, fires: bool, membrane: np.ndarray,
    spikes: np.ndarray, g_source: np.ndarray, g_weight: np.ndarray, g_shift: np.ndarray, g_recurrent: np.ndarray, g_decay: np.ndarray,
) -> None:  # fmt: skip
    """Gradients of ``forward_layer``; the surrogate is a box, 1 where ``|V - 1| < 0.5``, and the gradient passes through the reset.

    Parameters
    ----------
    g_out : float32 [n_chunks, T, N, LANES], changed
        By spikes, or by membranes where neurons do not fire.
    source, weight, recurrent, decay, fires, membrane, spikes
        As ``forward_layer`` had and filled them.
    g_source : float32 as ``source``, or of no chunk; filled
    g_weight, g_shift, g_recurrent, g_decay : float64, added to
    """
    chunks, timesteps, inputs, _ = source.shape
    n = len(decay)
    drives = np.empty((timesteps, n, LANES), np.float32)  # gradients by the membranes
    for c in range(chunks):
        for t in range(timesteps - 1, -1, -1):
            last = t + 1 == timesteps
            if not last and len(recurrent):
                for k in range(n):
                    for j in range(n):
                        w = recurrent[k, j]
                        for b in range(LANES):
                            g_out[c, t, k, b] += w * drives[t + 1, j, b]
            for j in range(n):
                a = decay[j]
                for b in range(LANES):
                    later = np.float32(0.0) if last else drives[t + 1, j, b]
                    by = g_out[c, t, j, b]
                    if fires:
                        by = by - later if abs(membrane[c, t, j, b] - np.float32(1.0)) < np.float32(0.5) else np.float32(0.0)
                    drives[t, j, b] = a * later + by
        for j in range(n):
            for t in range(timesteps):
                total, held = np.float32(0.0), np.float32(0.0)
                for b in range(LANES):
                    total += drives[t, j, b]
                if t > 0:
                    for b in range(LANES):
                        held += drives[t, j, b] * membrane[c, t - 1, j, b]
                g_shift[j] += total
                g_decay[j] += held
        for t in range(timesteps):
            for k in range(inputs):
                for j in range(n):
                    total = np.float32(0.0)
                    for b in range(LANES):
                        total += drives[t, j, b] * source[c, t, k, b]
                    g_weight[k, j] += total
            if len(g_source):
                for k in range(inputs):
                    for b in range(LANES):
                        g_source[c, t, k, b] = 0
                    for j in range(n):
                        w = weight[k, j]
                        for b in range(LANES):
                            g_source[c, t, k, b] += w * drives[t, j, b]
        if len(recurrent):
            for t in range(1, timesteps):
                for k in range(n):
                    for j in range(n):
                        total = np.float32(0.0)
                        for b in range(LANES):
                            total += drives[t, j, b] * spikes[c, t - 1, k, b]
                        g_recurrent[k, j] += total


@_jit
def sum_products(source: np.ndarray, sums: np.ndarray, products: np.ndarray) -> None:
    """Add up channels and products of channels over samples and timesteps.

    Parameters
    ----------
    source : float32 [n_chunks, T, K, LANES]
    sums : float64 [K], products : float64 [K, K]
        Added to; of products the lower triangle.
    """
    chunks, timesteps, inputs, _ = source.shape
    for c in range(chunks):
        for t in range(timesteps):
            for k in range(inputs):
                total = np.float32(0.0)
                for b in range(LANES):
                    total += source[c, t, k, b]
                sums[k] += total
                for m in range(k + 1):
                    total = np.float32(0.0)
                    for b in range(LANES):
                        total += source[c, t, k, b] * source[c, t, m, b]
                    products[k, m] += total


@_jit
def mix_channels(source: np.ndarray, mixing: np.ndarray, shift: np.ndarray, out: np.ndarray) -> None:
    """``out = mixing @ source + shift`` at every sample and timestep.

    Parameters
    ----------
    source, out : float32 [n_chunks, T, K, LANES]
    mixing : float32 [K, K], shift : float32 [K]
    """
    chunks, timesteps, inputs, _ = source.shape
    for c in range(chunks):
        for t in range(timesteps):
            for k in range(inputs):
                for b in range(LANES):
                    out[c, t, k, b] = shift[k]
                for m in range(inputs):
                    w = mixing[k, m]
                    for b in range(LANES):
                        out[c, t, k, b] += w * source[c, t, m, b]


class _Moments(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, source: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        source = source.contiguous()
        k = source.shape[2]
        sums, products = np.zeros(k), np.zeros((k, k))
        sum_products(source.numpy(), sums, products)
        ctx.save_for_backward(source)
        ctx.count = n = source.numel() // k
        mean, second = sums / n, (products + np.tril(products, -1).T) / n
        ctx.mean = torch.from_numpy(mean).float()
        return ctx.mean.clone(), torch.from_numpy(second - np.outer(mean, mean)).float()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (source,) = ctx.saved_tensors
        mixing = (grads[1] + grads[1].T) / ctx.count
        out = torch.empty_like(source)
        mix_channels(source.numpy(), mixing.contiguous().numpy(), (grads[0] / ctx.count - mixing @ ctx.mean).numpy(), out.numpy())
        return out


def moments(source: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean [K] and covariance [K, K] of the channels of a ``source`` over samples and timesteps, differentiable."""
    found: tuple[torch.Tensor, torch.Tensor] = _Moments.apply(source)
    return found


class _Neurons(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, source: torch.Tensor, weight: torch.Tensor, shift: torch.Tensor, recurrent: torch.Tensor, decay: torch.Tensor, fires: bool
    ) -> torch.Tensor:
        shape = (*source.shape[:2], len(shift), LANES)
        membrane, spikes = torch.empty(shape), torch.empty(shape if fires else (0, 0, 0, 0))
        given = [x.detach().contiguous().numpy() for x in (source, weight, shift, recurrent, decay)]
        forward_layer(*given, fires, membrane.numpy(), spikes.numpy())
        ctx.save_for_backward(source, weight, recurrent, decay, membrane, spikes)
        ctx.fires = fires
        return spikes if fires else membrane

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        source, weight, recurrent, decay, membrane, spikes = (x.detach().contiguous() for x in ctx.saved_tensors)
        g_source = torch.empty(source.shape if ctx.needs_input_grad[0] else (0, 0, 0, 0))
        sums = [torch.zeros(x.shape, dtype=torch.float64) for x in (weight, decay, recurrent, decay)]
        g_out = grads[0].clone(memory_format=torch.contiguous_format)
        backward_layer(
            g_out.numpy(), source.numpy(), weight.numpy(), recurrent.numpy(), decay.numpy(), ctx.fires, membrane.numpy(), spikes.numpy(), g_source.numpy(),
            *(x.numpy() for x in sums),
        )  # fmt: skip
        return g_source if ctx.needs_input_grad[0] else None, *(x.float() for x in sums), None


def neurons(source: torch.Tensor, weight: torch.Tensor, shift: torch.Tensor, recurrent: torch.Tensor, decay: torch.Tensor, *, fires: bool) -> torch.Tensor:
    """Spikes of a layer, or the membranes of a readout (``fires`` false), differentiable; shapes as ``forward_layer`` has them."""
    found: torch.Tensor = _Neurons.apply(source, weight, shift, recurrent, decay, fires)
    return found
