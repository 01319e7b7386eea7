# SPDX-License-Identifier: Apache-2.0
"""Spectral features of the non-spiking baselines, in float32: log-mel bands, or the cepstral coefficients of MLPerf Tiny made from them.

Their cost is in no account of a baseline, as that of our front end is in none of a spiking network.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from ..dataset import mask_events

__all__ = ["BANDS", "Features", "LogMel"]

BANDS = 40


class LogMel(nn.Module):
    """Log-mel features: 30 ms Hann window, 20 ms hop, mel bands from 20 to 7600 Hz.

    Input float32 [n, n_samples], full scale 1; output float32 [n, n_frames, bands]: 49 frames in a second at 16 kHz.
    """

    def __init__(self, sample_rate: int = 16000, bands: int = BANDS) -> None:
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
        frames = torch.nn.functional.pad(audio.unfold(1, self.window_samples, self.hop) * self.window, (0, self.size - self.window_samples))
        power = torch.fft.rfft(frames).abs().square()
        return torch.log(power @ self.bank.T + 1e-6)


class Features(nn.Module):
    """Standardized features of int16 clips.

    Parameters
    ----------
    coefficients : int
        Cepstral coefficients (the first of a DCT-II over the bands); 0 for the bands themselves.
    sample_rate : int, Hz
    """

    def __init__(self, coefficients: int = 0, sample_rate: int = 16000) -> None:
        super().__init__()
        self.log_mel = LogMel(sample_rate)
        self.n_features = coefficients or BANDS
        self.register_buffer("mean", torch.zeros(BANDS))
        self.register_buffer("spread", torch.ones(self.n_features))
        angle = math.pi / BANDS * (torch.arange(BANDS) + 0.5)[:, None] * torch.arange(coefficients)
        self.register_buffer("cosines", torch.cos(angle) if coefficients else torch.eye(BANDS))

    @torch.no_grad()
    def calibrate(self, clips: np.ndarray) -> None:
        """Take the mean of each band and the spread of each feature from int16 clips."""
        bands = self.log_mel(_full_scale(clips))
        self.mean.copy_(bands.mean((0, 1)))
        self.spread.copy_(((bands - self.mean) @ self.cosines).std((0, 1)) + 1e-3)

    @torch.no_grad()
    def forward(self, clips: np.ndarray, rng: np.random.Generator | None = None, time_mask: int = 0, channel_mask: int = 0) -> torch.Tensor:
        """Features float32 [n_clips, n_frames, n_features]; with a generator, frames and bands are silenced as ``dataset.mask_events`` does for events."""
        bands = self.log_mel(_full_scale(clips)) - self.mean
        if rng is not None:
            mask_events(bands.numpy(), rng, BANDS, time_mask, channel_mask)
        result: torch.Tensor = bands @ self.cosines / self.spread
        return result


def _full_scale(clips: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(clips)).float() / 32768


def _to_mel(hz: float) -> float:
    return 1127 * math.log1p(hz / 700)


def _from_mel(mel: torch.Tensor) -> torch.Tensor:
    return 700 * torch.expm1(mel / 1127)
