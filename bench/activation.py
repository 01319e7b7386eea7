# SPDX-License-Identifier: Apache-2.0
"""What a binary activation costs on the events that our networks hear: the same causal convolutions with ReLU and with a step, and a larger network.

    python bench/activation.py runs/corpora/KEY [--recipe gsc12] [--epochs 40] [--seeds 3] [--output bench/results/activation.json]

No spiking network and no integers: float32 convolutions with batch normalization, whose taps are the delays of the recipe's layers, mean over time, linear
readout. All arms train on the same augmented clips, from reset, and are read on ``valid`` only: what is learnt here is where accuracy is lost.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ormia.edge.files import write_whole
from ormia.edge.provenance import provenance
from ormia.train.config import Config, load_recipe
from ormia.train.corpora import Corpus
from ormia.train.dataset import CorpusSource
from ormia.train.model import ModelConfig
from ormia.train.program import make_front_end
from ormia.train.surrogate import step
from ormia.train.teacher import TCResNet
from torch import nn

BATCH, RATE, WEIGHT_DECAY, SMOOTHING = 64, 2e-3, 1e-2, 0.1


class Delayed(nn.Module):
    """Layers of delayed axons as convolutions: events float32 [n_clips, n_timesteps, n_inputs] to logits."""

    def __init__(self, config: Config, n_inputs: int, n_classes: int, step: bool) -> None:
        super().__init__()
        self.step, self.delays = step, [layer.delays for layer in config.model.layers]
        sizes = [n_inputs, *(layer.neurons for layer in config.model.layers)]
        self.taps = nn.ModuleList(nn.Linear(a * len(d), b, bias=False) for (a, b), d in zip(itertools.pairwise(sizes), self.delays, strict=True))
        self.normal = nn.ModuleList(nn.BatchNorm1d(size) for size in sizes[1:])
        self.head = nn.Linear(sizes[-1], n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits float32 [n_clips, n_classes]."""
        for taps, normal, delays in zip(self.taps, self.normal, self.delays, strict=True):
            late = [nn.functional.pad(x, (0, 0, delay, 0))[:, : x.shape[1]] for delay in delays]
            drive = normal(taps(torch.cat(late, 2)).transpose(1, 2)).transpose(1, 2)
            x = step(drive - 1, ModelConfig().derivative) if self.step else torch.relu(drive)
        logits: torch.Tensor = self.head(x.mean(1))
        return logits


def train(network: nn.Module, source: CorpusSource, epochs: int, seed: int) -> dict[str, Any]:
    """Train one network; accuracy on augmented training clips and on ``valid`` (mean of the last three epochs)."""
    began, optimizer = time.process_time(), torch.optim.AdamW(network.parameters(), RATE, weight_decay=WEIGHT_DECAY)
    schedule: Any = None
    valid, valid_labels = source.fixed("valid")
    heard, found = [], []
    for epoch in range(epochs):
        events, labels, _ = source.train_epoch(np.random.default_rng([seed, epoch]))
        x, y = torch.from_numpy(events).float(), torch.from_numpy(labels)
        schedule = schedule or torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * math.ceil(len(y) / BATCH))
        right = 0
        network.train()
        for start in range(0, len(y), BATCH):
            part = slice(start, start + BATCH)
            logits = network(x[part])
            optimizer.zero_grad()
            nn.functional.cross_entropy(logits, y[part], label_smoothing=SMOOTHING).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            right += int((logits.argmax(1) == y[part]).sum())
        network.eval()
        with torch.no_grad():
            found.append(float((network(torch.from_numpy(valid).float()).argmax(1).numpy() == valid_labels).mean()))
        heard.append(right / len(y))
    return {"seed": seed, "train_augmented": statistics.mean(heard[-3:]), "valid": statistics.mean(found[-3:]), "cpu_s": time.process_time() - began}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--recipe", default="gsc12")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("bench/results/activation.json"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    config = load_recipe(given.recipe)
    source = CorpusSource(Corpus.load(given.corpus), make_front_end(config.front_end), dataclasses.replace(config.augment, carry=1))
    arms: dict[str, list[dict[str, Any]]] = {"relu": [], "step": [], "tc_resnet": []}
    for seed in range(given.seeds):
        for name, runs in arms.items():
            torch.manual_seed(seed)
            classes = len(source.classes)
            network = TCResNet(classes, n_features=source.n_inputs) if name == "tc_resnet" else Delayed(config, source.n_inputs, classes, name == "step")
            runs.append({**train(network, source, given.epochs, seed), "parameters": sum(p.numel() for p in network.parameters())})
            print(name, json.dumps(runs[-1]), file=sys.stderr, flush=True)
        result = {"recipe": given.recipe, "corpus": source.digest, "epochs": given.epochs, "arms": arms, "provenance": provenance()}
        write_whole(given.output, json.dumps(result, indent=1) + "\n")
    print(json.dumps({name: {key: statistics.mean(run[key] for run in runs) for key in ("train_augmented", "valid")} for name, runs in arms.items()}))


if __name__ == "__main__":
    main()
