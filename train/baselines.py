# SPDX-License-Identifier: Apache-2.0
"""What a user would otherwise pick, trained on the same clips with the same augmentation: a small DS-CNN on log-mel features.

Source: the keyword-spotting model of MLPerf Tiny (Banbury et al. 2021, arXiv 2106.07597), after Zhang et al. 2017, "Hello Edge"
(arXiv 1711.07128): a 10 x 4 convolution with stride 2 and four depthwise-separable blocks of 64 channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import nn

__all__ = ["DSCNN", "AudioEpochs", "LogMel", "fit_baseline"]


class AudioEpochs(Protocol):
    """Where a baseline gets its audio: int16 [n_clips, n_samples] and labels int64 [n_clips]."""

    classes: tuple[str, ...]

    def train_audio(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Augmented training clips in random order."""

    def fixed_audio(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Clips of a split as they are."""


class LogMel(nn.Module):
    """Log-mel features: 30 ms Hann window, 20 ms hop, 40 mel bands from 20 to 7600 Hz.

    Input float32 [n, n_samples], full scale 1; output float32 [n, 1, n_frames, 40].
    """

    def __init__(self, sample_rate: int = 16000, bands: int = 40) -> None:
        super().__init__()
        self.window_samples, self.hop, self.size = round(0.03 * sample_rate), round(0.02 * sample_rate), 512
        edges = _from_mel(torch.linspace(_to_mel(20.0), _to_mel(7600.0), bands + 2))
        frequency = torch.linspace(0, sample_rate / 2, self.size // 2 + 1)
        rising = (frequency - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
        falling = (edges[2:, None] - frequency) / (edges[2:] - edges[1:-1])[:, None]
        self.register_buffer("bank", torch.minimum(rising, falling).clamp(min=0))
        self.register_buffer("window", torch.hann_window(self.window_samples))

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Features of each clip."""
        spectrum = torch.stft(audio, self.size, self.hop, self.window_samples, self.window, center=False, return_complex=True)
        return torch.log(self.bank @ spectrum.abs().square() + 1e-6).transpose(1, 2)[:, None]


class DSCNN(nn.Module):
    """DS-CNN: about 22,600 parameters for 12 classes. Input float32 [n, 1, n_frames, n_bands], output [n, n_classes]."""

    def __init__(self, n_classes: int, channels: int = 64) -> None:
        super().__init__()

        def normalized(conv: nn.Module) -> list[nn.Module]:
            return [conv, nn.BatchNorm2d(channels), nn.ReLU()]

        self.features = nn.Sequential(
            *normalized(nn.Conv2d(1, channels, (10, 4), stride=2, padding=(4, 1), bias=False)),
            nn.Dropout(0.2),
            *[
                layer
                for _ in range(4)
                for layer in (
                    *normalized(nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)),
                    *normalized(nn.Conv2d(channels, channels, 1, bias=False)),
                )
            ],
            nn.Dropout(0.4),
        )
        self.head = nn.Linear(channels, n_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits."""
        logits: torch.Tensor = self.head(self.features(features).mean((2, 3)))
        return logits


def fit_baseline(
    source: AudioEpochs, *, seed: int, epochs: int, batch: int = 64, learning_rate: float = 4e-3, report: Callable[[int, float, float], None] | None = None
) -> dict[str, float | int]:
    """Train the DS-CNN to the last epoch and score it.

    Returns
    -------
    dict
        ``parameters``, and accuracy on ``valid`` and ``test`` (float network, last epoch).
    """
    torch.manual_seed(seed)
    log_mel = LogMel()
    model = DSCNN(len(source.classes))
    first, labels = source.train_audio(np.random.default_rng([seed, 0]))
    with torch.no_grad():
        sample = log_mel(torch.from_numpy(first[:256]).float() / 32768)
    mean, spread = sample.mean((0, 2), keepdim=True), sample.std((0, 2), keepdim=True) + 1e-3
    steps = math.ceil(len(labels) / batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps * epochs)

    def features(clips: np.ndarray) -> torch.Tensor:
        with torch.no_grad():
            result: torch.Tensor = (log_mel(torch.from_numpy(clips).float() / 32768) - mean) / spread
            return result

    @torch.no_grad()
    def score(split: str) -> float:
        model.eval()
        clips, truth = source.fixed_audio(split)
        found = [model(features(clips[i : i + 256])).argmax(1).numpy() for i in range(0, len(clips), 256)]
        model.train()
        return float((np.concatenate(found) == truth).mean())

    for epoch in range(epochs):
        clips, labels = source.train_audio(np.random.default_rng([seed, epoch]))
        total = 0.0
        for start in range(0, len(labels), batch):
            truth = torch.from_numpy(labels[start : start + batch])
            loss = nn.functional.cross_entropy(model(features(clips[start : start + batch])), truth, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(truth)
        if report:
            report(epoch, total / len(labels), score("valid"))
    return {"parameters": sum(p.numel() for p in model.parameters()), "valid": score("valid"), "test": score("test")}


def _to_mel(hz: float) -> float:
    return 1127 * math.log1p(hz / 700)


def _from_mel(mel: torch.Tensor) -> torch.Tensor:
    return 700 * torch.expm1(mel / 1127)
