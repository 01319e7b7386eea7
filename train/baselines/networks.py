# SPDX-License-Identifier: Apache-2.0
"""The non-spiking baselines as float networks: the DS-CNN of MLPerf Tiny and a GRU of about its size.

Both take standardized features float32 [n_clips, n_frames, n_features] and give logits float32 [n_clips, n_classes].
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

__all__ = ["BASELINES", "DSCNN", "GRU", "Baseline"]

CHANNELS, BLOCKS, HIDDEN = 64, 4, 68


class DSCNN(nn.Module):
    """DS-CNN: a 10 x 4 convolution of stride 2 and four depthwise-separable blocks of 64 channels; 22,604 numbers for 12 classes once normalisation is folded.

    Source: the keyword-spotting model of MLPerf Tiny (Banbury et al. 2021, arXiv 2106.07597; ``get_model``, ``ds_cnn`` of its training code), after
    Zhang et al. 2017, "Hello Edge" (arXiv 1711.07128). Same layers, padding and dropout; here all 25 rows are averaged at the end, there the first 24.
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()

        def normalized(*kernel: int, inputs: int = CHANNELS, groups: int = 1, stride: int = 1) -> list[nn.Module]:
            conv = nn.Conv2d(inputs, CHANNELS, kernel, stride=stride, padding=1 if groups > 1 else 0, groups=groups, bias=False)
            return [conv, nn.BatchNorm2d(CHANNELS), nn.ReLU()]

        first = [nn.ZeroPad2d((1, 1, 4, 5)), *normalized(10, 4, inputs=1, stride=2), nn.Dropout(0.2)]
        blocks = [layer for _ in range(BLOCKS) for layer in (*normalized(3, 3, groups=CHANNELS), *normalized(1, 1))]
        self.features = nn.Sequential(*first, *blocks, nn.Dropout(0.4))
        self.head = nn.Linear(CHANNELS, n_classes)
        self.to(memory_format=torch.channels_last)  # a training step takes three quarters of the time

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits."""
        logits: torch.Tensor = self.head(self.features(features[:, None]).mean((2, 3)))
        return logits

    @torch.no_grad()
    def folded(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Weight and bias of each convolution with its normalisation folded in, then of the head."""
        layers = list(self.features)
        found = []
        for conv, norm in itertools.pairwise(layers):
            if isinstance(conv, nn.Conv2d):
                assert isinstance(norm, nn.BatchNorm2d)
                factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)  # type: ignore[operator]
                found.append((conv.weight * factor[:, None, None, None], norm.bias - norm.running_mean * factor))
        return [*found, (self.head.weight.clone(), self.head.bias.clone())]


class GRU(nn.Module):
    """One GRU layer and a linear readout of the mean of its states: 23,268 numbers for 40 bands and 12 classes."""

    def __init__(self, n_classes: int, n_features: int = 40) -> None:
        super().__init__()
        self.recurrent = nn.GRU(n_features, HIDDEN, batch_first=True)
        self.dropout = nn.Dropout(0.4)
        self.head = nn.Linear(HIDDEN, n_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits."""
        states, _ = self.recurrent(features)
        logits: torch.Tensor = self.head(self.dropout(states.mean(1)))
        return logits


@dataclass(frozen=True)
class Baseline:
    """A network and the features it hears.

    Attributes
    ----------
    title : str
        For tables.
    build : callable
        Float network for a number of classes.
    coefficients : int
        Cepstral coefficients; 0 for log-mel bands.
    """

    title: str
    build: Callable[[int], nn.Module]
    coefficients: int = 0


BASELINES = {
    "dscnn": Baseline("DS-CNN, 40 log-mel bands", DSCNN),
    "dscnn-mfcc": Baseline("DS-CNN, 10 MFCC (MLPerf Tiny)", DSCNN, coefficients=10),
    "gru": Baseline("GRU, 40 log-mel bands", GRU),
}
