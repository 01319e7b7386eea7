# SPDX-License-Identifier: Apache-2.0
"""From a corpus and a configuration to a ``.ormia`` file and its accuracy as ``edge`` computes it from that file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

from ..edge import frontend
from ..edge.clips import Clips
from ..edge.detector import DECAY_BITS, DetectorConfig, detector_config
from ..edge.errors import DataError, UsageError
from ..edge.files import write_whole
from ..edge.netfile import network_digest, read_network, write_network
from ..edge.network import Network
from ..edge.recordings import Mix
from ..edge.runtime import Runtime
from ..edge.stream_evaluation import hear, margin_for
from .config import AugmentConfig, Config, FrontEndConfig, from_dict, to_dict
from .corpora.corpus import Corpus
from .dataset import CorpusSource, Judge
from .events import EventCorpus, load_event_corpus
from .events.source import EventCorpusSource
from .export import to_network
from .ledger import TestLedger
from .loop import Progress, fit, load_model, predict, teacher_of
from .model import SCMLModel
from .scoring import leak

__all__ = ["calibrate_detector", "export_checkpoint", "export_model", "load_corpus", "make_front_end", "make_source", "train_network"]

EVENTS = "events"  # kind of front end that stands for none
BATCH = 256  # clips scored at once
CONSECUTIVE = 4  # timesteps in a row in which a keyword must lead
CALIBRATION_HOURS = 1.0
CALIBRATION_S_A_CLIP = 16.0  # a clip is heard about four times; more would tell nothing new


def make_front_end(config: FrontEndConfig) -> frontend.FrontEnd:
    """The front end a recipe asks for."""
    presets: dict[str, Callable[..., frontend.FrontEnd]] = {"fft": frontend.fft_front_end, "bank": frontend.bank_front_end}
    if config.kind not in presets:
        raise UsageError(f"front_end.kind must be one of {', '.join(presets)}, not {config.kind!r}")
    try:
        return presets[config.kind](**config.options)
    except TypeError as error:
        raise UsageError(f"front_end.options must be options of the {config.kind} front end: {error}") from None


def load_corpus(config: Config, folder: Path) -> Corpus | EventCorpus:
    """What a recipe trains on: a corpus that ``ormia data`` made, or the event corpus its front end names.

    Raises
    ------
    DataError, UsageError
    """
    return load_event_corpus(config.front_end.options, folder) if config.front_end.kind == EVENTS else Corpus.load(folder)


def make_source(config: Config, corpus: Corpus | EventCorpus, teacher: Judge | None = None) -> CorpusSource | EventCorpusSource:
    """The events of a corpus.

    Raises
    ------
    UsageError
        If the recipe wants of an event corpus what only audio has.
    """
    if isinstance(corpus, Corpus):
        return CorpusSource(corpus, make_front_end(config.front_end), config.augment, teacher)
    if teacher is not None or config.augment != AugmentConfig():
        raise UsageError(f"{'a teacher' if teacher is not None else '[augment]'} must go with a corpus of audio: {corpus.name} is events; leave it out")
    return EventCorpusSource(corpus)


def train_network(
    config: Config,
    corpus: Corpus | EventCorpus,
    output: Path,
    *,
    name: str = "keywords",
    report: Callable[[Progress], None] = lambda _: None,
    threads: int = 1,
    splits: tuple[str, ...] = ("valid", "test"),
    teacher: Judge | None = None,
) -> dict[str, Any]:
    """Train (or resume), export to ``output/net.ormia`` and score the file.

    Parameters
    ----------
    config : Config
    corpus : Corpus or EventCorpus
    output : Path
        Folder of the run.
    name : str
        Of the network.
    report : callable
        Called after each epoch.
    threads : int
        For torch and the kernels. More than one helps large networks on idle cores only: at the demo's size their threads wait for one another.
    splits : tuple of str
        What to score.
    teacher : Judge, optional
        For distillation.

    Returns
    -------
    dict
        Also written to ``output/metrics.json``: accuracy of the deployed integers on each of ``splits`` (last epoch), whether torch's exact
        mode labels every clip the same, digests, seed. A read of ``test`` is logged in ``output/test_reads.jsonl``.
    """
    torch.set_num_threads(threads)
    numba.set_num_threads(threads)
    source = make_source(config, corpus, teacher)
    model = fit(config, source, output, report=report)
    return export_model(model, source, config, output, name, splits)


def export_model(
    model: SCMLModel, source: CorpusSource | EventCorpusSource, config: Config, output: Path, name: str, splits: tuple[str, ...] = ("valid", "test")
) -> dict[str, Any]:
    """Write ``net.ormia`` and ``metrics.json`` for a trained model; see ``train_network``."""
    metadata = {
        **json.loads(json.dumps(source.metadata())),
        "provenance": {"config": json.loads(json.dumps(to_dict(config))), "corpus": source.digest, "teacher": source.teacher_digest or None},
    }
    net = to_network(model, source.classes, payload_bits=source.payload_bits, name=name, metadata=metadata)
    if isinstance(source, CorpusSource):
        net = dataclasses.replace(net, metadata={**metadata, "detector": calibrate_detector(net, source, config).as_dict()})
    path = output / "net.ormia"
    write_network(path, net)
    runtime = Runtime(read_network(path))  # what is scored is the file, not the object in memory
    metrics: dict[str, Any] = {"network": network_digest(net), "corpus": source.digest, "seed": config.seed, "epochs": config.epochs, "accuracy": {}}
    same = True
    for split in splits:
        payloads, labels = source.fixed(split)
        if split == "test":
            TestLedger(output / "test_reads.jsonl").record(
                who="ormia", table=path.name, run=f"{name} seed{config.seed}", corpus=source.digest, network=metrics["network"], clips=len(labels)
            )
        found = np.concatenate([runtime.predict(payloads[i : i + BATCH]) for i in range(0, len(payloads), BATCH)])
        metrics["accuracy"][split] = {"share": float((found == labels).mean()), "clips": len(labels)}
        same &= bool(np.array_equal(found, predict(model, payloads)))
    metrics["torch_exact_mode_agrees_on_every_clip"] = same
    write_whole(output / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    return metrics


def calibrate_detector(net: Network, source: CorpusSource, config: Config) -> DetectorConfig:
    """The detector with the least margin at which a mix of ``valid`` raises no more false alarms than the recipe allows; the least without ``_silence_``."""
    smoothing = round((1 << DECAY_BITS) * leak(config.detector_timesteps))
    detector = dataclasses.replace(detector_config(net), smoothing=smoothing, consecutive=CONSECUTIVE)
    audio, labels = source.fixed_audio("valid")
    clips = Clips(audio, labels, source.classes, tuple(map(str, range(len(labels)))), "valid", source.digest, source.corpus.sample_rate)
    try:
        mix = Mix(clips, min(CALIBRATION_HOURS, len(labels) * CALIBRATION_S_A_CLIP / 3600))
    except (DataError, UsageError):  # no clip, no keyword, or no silence to put it on
        return detector
    net = dataclasses.replace(net, metadata={**net.metadata, "detector": detector.as_dict()})
    return dataclasses.replace(detector, margin=margin_for(net, [hear(net, mix)], config.false_accepts_per_hour))


def export_checkpoint(output: Path, data: Path, name: str) -> dict[str, Any]:
    """Export the checkpoint of a run folder as it stands, scored on the corpus in ``data``. Raises ``DataError`` where there is none."""
    try:
        values = json.loads((output / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise DataError(f"{output} must be the folder of a training run, with config.json and checkpoint.pt: run `ormia train` first") from None
    config: Config = from_dict(Config, values, "config.json")
    source = make_source(config, load_corpus(config, data))
    source.teacher_digest = teacher_of(output, config, source)
    return export_model(load_model(config, source, output), source, config, output, name)
