# SPDX-License-Identifier: Apache-2.0
"""Teachers for distillation: TC-ResNets on log-mel bands, too large for a device, whose opinion of each augmented clip a small network learns too.

Sources: the network, Choi et al. 2019, "Temporal Convolution for Real-time Keyword Spotting on Mobile Devices" (arXiv 1904.03814);
distillation, Hinton, Vinyals and Dean 2015 (arXiv 1503.02531).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from ..edge.errors import DataError
from .baselines.features import BANDS, Features

__all__ = ["TCResNet", "Teacher", "TeacherConfig", "fit_teacher"]

CHUNK = 128


class Lessons(Protocol):
    """Where a teacher learns: int16 [n_clips, n_samples] and labels int64 [n_clips]."""

    classes: tuple[str, ...]
    digest: str

    def train_audio(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Augmented training clips in random order."""

    def fixed_audio(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Clips of a split as they are."""


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """A teacher and its training; ``width`` is the number of channels of the first convolution."""

    seed: int = 0
    epochs: int = 100
    width: int = 24
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    label_smoothing: float = 0.1
    time_mask: int = 7
    channel_mask: int = 7


class _Block(nn.Module):
    """Two temporal convolutions of nine frames and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv1d(inputs, outputs, 9, stride, 4, bias=False), nn.BatchNorm1d(outputs), nn.ReLU(),
            nn.Conv1d(outputs, outputs, 9, 1, 4, bias=False), nn.BatchNorm1d(outputs),
        )  # fmt: skip
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Sequential(nn.Conv1d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm1d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.path(x) + self.shortcut(x))


class TCResNet(nn.Module):
    """TC-ResNet14: six blocks. Input float32 [n_clips, n_frames, n_bands], output logits [n_clips, n_classes]."""

    def __init__(self, n_classes: int, width: int = 24, n_features: int = BANDS) -> None:
        super().__init__()
        channels = [width, width * 3 // 2, width * 3 // 2, width * 2, width * 2, width * 3, width * 3]
        blocks = [_Block(a, b, 1 + (i + 1) % 2) for i, (a, b) in enumerate(itertools.pairwise(channels))]
        self.features = nn.Sequential(nn.Conv1d(n_features, width, 3, 1, 1, bias=False), *blocks, nn.Dropout(0.5))
        self.head = nn.Linear(channels[-1], n_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits."""
        logits: torch.Tensor = self.head(self.features(features.transpose(1, 2)).mean(2))
        return logits


class Teacher:
    """One network or several, whose log-probabilities are averaged.

    Parameters
    ----------
    members : list of (Features, TCResNet)
    classes : tuple of str
    corpus : str
        Digest of the corpus they learnt from.
    """

    def __init__(self, members: list[tuple[Features, TCResNet]], classes: tuple[str, ...], corpus: str) -> None:
        self.members, self.classes, self.corpus = members, classes, corpus

    @torch.no_grad()
    def logits(self, clips: np.ndarray) -> np.ndarray:
        """Mean log-probabilities float32 [n_clips, n_classes] of int16 clips [n_clips, n_samples]."""
        total = np.zeros((len(clips), len(self.classes)), np.float32)
        for features, network in self.members:
            network.eval()
            for start in range(0, len(clips), CHUNK):
                part = slice(start, start + CHUNK)
                total[part] += torch.log_softmax(network(features(clips[part])), 1).numpy() / np.float32(len(self.members))
        return total

    def digest(self) -> str:
        """SHA-256 of all weights."""
        sha = hashlib.sha256()
        for name, tensor in sorted(self._tensors().items()):
            sha.update(name.encode() + tensor.contiguous().numpy().tobytes())
        return sha.hexdigest()

    def save(self, path: Path) -> None:
        """Write a safetensors file, whole or not at all."""
        header = {
            "classes": json.dumps(self.classes),
            "corpus": self.corpus,
            "widths": json.dumps([network.head.in_features // 3 for _, network in self.members]),
        }
        beside = path.with_name(path.name + ".part")
        save_file(self._tensors(), beside, header)
        os.replace(beside, path)

    @classmethod
    def load(cls, path: Path) -> Teacher:
        """Read a file that ``save`` wrote.

        Raises
        ------
        DataError
            If it is none.
        """
        try:
            with safe_open(path, "pt") as file:
                header = file.metadata()
                classes, widths = tuple(json.loads(header["classes"])), json.loads(header["widths"])
                members = [(Features(), TCResNet(len(classes), width)) for width in widths]
                for number, member in enumerate(members):
                    for part, module in zip(("features", "network"), member, strict=True):
                        module.load_state_dict({name: file.get_tensor(f"{number}.{part}.{name}") for name in module.state_dict()})
            return cls(members, classes, header["corpus"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError):
            raise DataError(f"{path} must be a teacher that `ormia teacher` wrote: it is missing, damaged or something else") from None

    def _tensors(self) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}
        for number, member in enumerate(self.members):
            for part, module in zip(("features", "network"), member, strict=True):
                found |= {f"{number}.{part}.{name}": tensor.clone() for name, tensor in module.state_dict().items()}
        return found


def fit_teacher(source: Lessons, config: TeacherConfig, *, members: int = 1, report: Callable[[int, int, float], None] = lambda *_: None) -> Teacher:
    """Train ``members`` networks, with seeds counted up, to the last epoch.

    Parameters
    ----------
    source : Lessons
    config : TeacherConfig
    members : int, >= 1
    report : callable (member, epoch, loss)
        Called after each epoch.
    """
    trained = []
    for member in range(members):
        seed = config.seed + member
        torch.manual_seed(seed)
        features, network = Features(), TCResNet(len(source.classes), config.width)
        n_samples = source.fixed_audio("valid")[0].shape[1]
        features.calibrate(source.train_audio(np.random.default_rng([seed, 0]))[0][:512, -n_samples:])
        optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
        schedule: Any = None
        network.train()
        for epoch in range(config.epochs):
            rng = np.random.default_rng([seed, epoch])
            clips, labels = source.train_audio(rng)
            schedule = schedule or torch.optim.lr_scheduler.OneCycleLR(
                optimizer, config.learning_rate, total_steps=config.epochs * math.ceil(len(labels) / config.batch)
            )
            total = 0.0
            for start in range(0, len(labels), config.batch):
                part = slice(start, start + config.batch)
                heard = features(clips[part, -n_samples:], rng, config.time_mask, config.channel_mask)
                loss = nn.functional.cross_entropy(network(heard), torch.from_numpy(labels[part]), label_smoothing=config.label_smoothing)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                total += float(loss.detach()) * len(labels[part])
            report(member, epoch, total / len(labels))
        trained.append((features, network.eval()))
    return Teacher(trained, source.classes, source.digest)
