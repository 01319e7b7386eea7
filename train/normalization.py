# SPDX-License-Identifier: Apache-2.0
"""Normalization of what drives a layer, without a trace in the deployed network: thresholds and biases in units of the drive's own mean and spread.

Batch normalization (Ioffe and Szegedy 2015, arXiv 1502.03167) before a neuron that compares with a threshold is a threshold and a bias of that neuron
(as in tdBN, Zheng et al. 2021, arXiv 2011.05280). Here both are integers in every pass of training already, so that nothing is folded afterwards: the
moments of the drive follow from running moments of the events and from the weights as they are.
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["DriveMoments"]

KEEP = 0.98  # of the moments, from batch to batch
STRIDE = 5  # every fifth timestep is enough to see; odd, since level events come in even ones
LEAST_SPREAD = 1.0  # in membrane units: of a neuron that nothing drives


class DriveMoments(nn.Module):
    """Running mean and covariance of the events that a layer sees, over all its delays.

    Parameters
    ----------
    n_sources : int
        Channels of the layer below.
    delays : tuple of int
        Of the axons from there.
    """

    mean: torch.Tensor
    covariance: torch.Tensor
    seen: torch.Tensor

    def __init__(self, n_sources: int, delays: tuple[int, ...]) -> None:
        super().__init__()
        self.delays = delays
        size = n_sources * len(delays)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("covariance", torch.eye(size))
        self.register_buffer("seen", torch.tensor(False))

    @torch.no_grad()
    def observe(self, source: torch.Tensor) -> None:
        """Take in a batch of events, float32 [n_timesteps, n_samples, n_sources]; the first one stands for all that have not been."""
        at = torch.arange(max(self.delays), len(source), STRIDE)
        if not len(at):
            return
        events = torch.cat([source[at - delay] for delay in self.delays], 2).flatten(0, 1)
        mean = events.mean(0)
        covariance = events.T @ events / len(events) - mean[:, None] * mean
        keep = KEEP if self.seen else 0.0
        for held, new in ((self.mean, mean), (self.covariance, covariance)):
            held.mul_(keep).add_(new, alpha=1 - keep)
        self.seen.fill_(True)

    def of(self, dense: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and spread of the drive, float32 [n_neurons] each, of effective weights [n_delays * n_sources, n_neurons]; differentiable by them.

        Without the gradient through the moments nothing is won. In float64, so that an order of summation changes no integer that is rounded from them.
        """
        weights, held = dense.double(), dense.detach().double()
        products = self.covariance.double() @ held
        variance = 2 * (weights * products).sum(0) - (held * products).sum(0)  # its gradient needs no second product
        return (self.mean.double() @ weights).float(), variance.clamp(min=LEAST_SPREAD**2).sqrt().float()
