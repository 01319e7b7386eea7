# SPDX-License-Identifier: Apache-2.0
"""A trained baseline, float and int8: what it makes of clips, what it takes, and its file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import nn

from ...edge.errors import DataError
from ...edge.files import write_whole
from .features import Features
from .int8 import QuantizedDSCNN, QuantizedGRU, quantized
from .integers import Grid
from .networks import BASELINES

__all__ = ["BaselineConfig", "TrainedBaseline"]

CHUNK = 128  # clips at once


@dataclass(frozen=True, kw_only=True)
class BaselineConfig:
    """Everything the training of a baseline depends on, its corpus and augmentation of audio aside.

    Attributes
    ----------
    network : str
        Of ``BASELINES``.
    time_mask, channel_mask : int
        Longest run of frames and of mel bands silenced in a training clip.
    tune_epochs, tune_rate : int, float
        Of the quantization-aware fine-tuning; its rate is in units of ``learning_rate``.
    teacher_weight, teacher_temperature : float
        As in a recipe, where a teacher is given.
    """

    network: str = "dscnn"
    seed: int = 0
    epochs: int = 60
    batch: int = 64
    learning_rate: float = 4e-3
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1
    time_mask: int = 0
    channel_mask: int = 0
    tune_epochs: int = 6
    tune_rate: float = 0.05
    teacher_weight: float = 0.5
    teacher_temperature: float = 2.0


@dataclass
class TrainedBaseline:
    """A trained network with its features, float and int8.

    Attributes
    ----------
    tuned : bool
        Whether the int8 network was fine-tuned.
    """

    config: BaselineConfig
    features: Features
    network: nn.Module
    integer: QuantizedDSCNN | QuantizedGRU
    tuned: bool = False

    @torch.no_grad()
    def logits(self, clips: np.ndarray, *, integer: bool = False) -> torch.Tensor:
        """Scores [n_clips, n_classes] of int16 clips: float32, or int64 of the integer network."""
        self.network.eval()
        run = self.integer.integer_logits if integer else self.network
        return torch.cat([run(self.features(clips[i : i + CHUNK])) for i in range(0, len(clips), CHUNK)])

    def predict(self, clips: np.ndarray, *, integer: bool = False) -> np.ndarray:
        """Classes int64 [n_clips]; ties go to the lowest."""
        return self.logits(clips, integer=integer).numpy().argmax(1)

    def accuracy(self, clips: np.ndarray, labels: np.ndarray, *, integer: bool = False) -> float:
        """Share of clips with the right class."""
        return float((self.predict(clips, integer=integer) == labels).mean())

    def save(self, path: Path) -> None:
        """Write weights, features and grids as safetensors."""
        parts = {"features": self.features, "network": self.network, "integer": self.integer}
        tensors = {f"{name}.{key}": value.contiguous() for name, part in parts.items() for key, value in part.state_dict().items()}
        grids = [asdict(grid) for grid in self.integer.grids]
        header = {"config": asdict(self.config), "n_classes": len(self.integer.biases[-1]), "grids": grids, "tuned": self.tuned}
        write_whole(path, safetensors.torch.save(tensors, {"baseline": json.dumps(header)}))

    @classmethod
    def load(cls, path: Path) -> TrainedBaseline:
        """Read what ``save`` wrote. Raises ``DataError`` for anything else."""
        try:
            with safetensors.safe_open(path, "pt") as file:
                header = json.loads(file.metadata()["baseline"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - a file, no dict
            config = BaselineConfig(**header["config"])
            plan = BASELINES[config.network]
            network = plan.build(header["n_classes"]).eval()
            result = cls(config, Features(plan.coefficients), network, quantized(network), header["tuned"])
            result.integer.grids = [Grid(**grid) for grid in header["grids"]]
            for name, part in (("features", result.features), ("network", network), ("integer", result.integer)):
                part.load_state_dict({key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")})
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
            raise DataError(f"{path} must be a baseline that this program saved: train it again ({type(error).__name__})") from None
        return result

    def digest(self) -> str:
        """SHA-256 of the weights, float and int8."""
        sha = hashlib.sha256()
        for tensor in (*self.network.state_dict().values(), *self.integer.state_dict().values()):
            sha.update(tensor.contiguous().numpy().tobytes())
        return sha.hexdigest()

    def costs(self, n_samples: int) -> dict[str, dict[str, int]]:
        """Sizes and multiply-accumulates (``int8.Cost``) of both forms, for a clip of ``n_samples``."""
        n_frames = 1 + (n_samples - self.features.log_mel.window_samples) // self.features.log_mel.hop
        return {name: asdict(self.integer.cost(n_frames, self.features.n_features, bits=bits)) for name, bits in (("float", 32), ("int8", 8))}
