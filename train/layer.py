# SPDX-License-Identifier: Apache-2.0
"""``scml_layer``: the fused kernels of ``train/kernels.py`` as one differentiable torch operation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .kernels import layer_backward, layer_forward
from .surrogate import FastSigmoid, Surrogate

__all__ = ["LayerConstants", "scml_layer"]

PARTS = 8  # partial sums of weight gradients: fixed, so that results do not depend on the number of threads


@dataclass(frozen=True, kw_only=True)
class LayerConstants:
    """What of a layer is not trained: integers of the kind table per neuron, formats, surrogate.

    Attributes
    ----------
    current_decay, membrane_decay, refractory, drive_shift, current_shift, bias, initial : int64 [n_neurons]
    subtract, firing : bool [n_neurons]
    deltas : int64 [n_deltas]
    membrane_bits, current_bits, decay_bits : int
    surrogate : Surrogate
    through_reset : bool
        Whether gradients flow through S6.
    """

    current_decay: np.ndarray
    membrane_decay: np.ndarray
    refractory: np.ndarray
    drive_shift: np.ndarray
    current_shift: np.ndarray
    bias: np.ndarray
    initial: np.ndarray
    subtract: np.ndarray
    firing: np.ndarray
    deltas: np.ndarray
    membrane_bits: int = 16
    current_bits: int = 16
    decay_bits: int = 12
    surrogate: Surrogate = FastSigmoid(2.0)
    through_reset: bool = False


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(ctx, drive, intra, lateral, threshold, bias, c):  # type: ignore[no-untyped-def]
        t, b, n = drive.shape
        narrow = np.int16 if max(c.membrane_bits, c.current_bits) <= 16 else np.int32
        spikes = torch.empty(t, b, n)
        membrane, current = np.empty((t, b, n), narrow), np.empty((t, b, n), narrow)
        status = np.empty((t, b, n), np.uint8)
        theta = threshold.detach().numpy().astype(np.int64)
        links = intra.detach().numpy().astype(np.int32), lateral.detach().numpy().astype(np.int32)
        bits = (c.membrane_bits, c.current_bits, c.decay_bits)
        offset = c.bias if bias is None else bias.detach().numpy().astype(np.int64)
        layer_forward(
            drive.detach().contiguous().numpy(), *links, c.deltas, c.current_decay, c.membrane_decay, theta, theta, c.subtract, c.refractory, c.firing,
            offset, c.initial, c.drive_shift, c.current_shift, bits, spikes.numpy(), membrane, current, status,
        )  # fmt: skip
        fired = status == 1
        after = torch.from_numpy(np.where(fired, np.where(c.subtract, membrane - theta, 0), membrane).astype(np.float32)) if not c.firing.all() else None
        ctx.saved = (c, bias is not None, theta, intra.detach(), lateral.detach(), membrane, current, status, bits)
        if after is None:
            after = torch.zeros(0)
            ctx.mark_non_differentiable(after)
        return spikes, after

    @staticmethod
    def backward(ctx, g_spikes, g_after):  # type: ignore[no-untyped-def]
        c, biased, theta, intra, lateral, membrane, current, status, bits = ctx.saved
        t, b, n = membrane.shape
        zeros = np.zeros((t, b, n), np.float32)
        g_membrane = zeros if c.firing.all() or g_after is None else g_after.contiguous().numpy()
        g_drive = torch.empty(t, b, n)
        g_intra, g_lateral = np.zeros((PARTS, *intra.shape), np.float32), np.zeros((PARTS, *lateral.shape), np.float32)
        g_neuron = np.zeros((PARTS, 5, n), np.float32)
        layer_backward(
            zeros if g_spikes is None else g_spikes.contiguous().numpy(), g_membrane, membrane, current, status, intra.numpy(), lateral.numpy(), c.deltas,
            c.current_decay, c.membrane_decay, theta, theta, c.subtract, c.firing, c.initial, c.drive_shift, c.current_shift, bits,
            (c.surrogate.code, c.surrogate.scale), c.through_reset, biased, PARTS, g_drive.numpy(), g_intra, g_lateral, g_neuron,
        )  # fmt: skip
        by_threshold = g_neuron[:, 0].sum(0) + np.where(c.subtract, g_neuron[:, 1].sum(0), 0)
        by_bias = torch.from_numpy(g_neuron[:, 2].sum(0)) if biased else None
        return g_drive, torch.from_numpy(g_intra.sum(0)), torch.from_numpy(g_lateral.sum(0)), torch.from_numpy(by_threshold), by_bias, None


def scml_layer(
    drive: torch.Tensor, intra: torch.Tensor, lateral: torch.Tensor, threshold: torch.Tensor, constants: LayerConstants, bias: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run an SC-ML layer over whole sequences, exactly as S2 to S7 of docs/semantics.md.

    Parameters
    ----------
    drive : float32 [n_timesteps, n_samples, n_neurons]
        Feed-forward part of S1: integers below 2**24.
    intra : float32 [n_motifs, size, size], lateral : float32 [n_deltas, n_neurons]
        Effective recurrent weights (shift included): integers.
    threshold : float32 [n_neurons]
        Integers; also the amount of a subtractive reset.
    constants : LayerConstants
        The rest.
    bias : float32 [n_neurons], optional
        Integers; in place of those of ``constants``, which are not trained.

    Returns
    -------
    spikes : float32 [n_timesteps, n_samples, n_neurons]
        0 or 1.
    membrane : float32 [n_timesteps, n_samples, n_neurons]
        After S6, where the layer has non-firing neurons; else empty.
    """
    result: tuple[torch.Tensor, torch.Tensor] = _Layer.apply(drive, intra, lateral, threshold, bias, constants)
    return result
