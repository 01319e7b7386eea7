# SPDX-License-Identifier: Apache-2.0
"""The folder of a run as a report reads it: the network, and what commands measured of this very network. Knows no page.

A file that is missing, damaged or of another network is left out with a sentence that says which command makes it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..clips import Clips, read_clips
from ..errors import DataError, Error
from ..netfile import network_digest, read_network
from ..network import Network

__all__ = ["Run", "read_run"]

Json = dict[str, Any]


@dataclass(frozen=True)
class _Source:
    """A file that a command wrote: where, which command, where it names its network (None: nowhere), entries, whether every report wants it."""

    file: str
    command: str
    digest: Callable[[Json], Any] | None = None
    needs: tuple[str, ...] = ()
    wanted: bool = True


SOURCES = {
    "eval": _Source(
        "eval.json", "ormia eval {run}/net.ormia --data {run}/corpus --output {run}/eval.json", lambda found: found["network"]["digest"],
        ("accuracy", "clips", "correct", "labels", "recall", "confusion", "corpus", "per_second_of_audio", "provenance"),
    ),
    "stream": _Source(
        "stream.json", "ormia eval {run}/net.ormia --stream --data {run}/corpus --output {run}/stream.json", lambda found: found["network"]["digest"],
        ("hours", "operating_point", "curve"),
    ),
    "verify": _Source(
        "verify.json", "ormia verify {run}/net.ormia --data {run}/corpus --output {run}/verify.json", lambda found: found["network"]["digest"],
        ("backends", "differences", "clips"),
    ),
    "inspect": _Source(
        "inspect.json", "ormia inspect {run}/net.ormia --target icebreaker --json > {run}/inspect.json", lambda found: found["digest"], ("footprint", "sizes"),
    ),
    "c": _Source(
        "c.json", "ormia emit c {run}/net.ormia --output {run}/c --check --json > {run}/c.json", lambda found: found["digest"], ("flash_bytes", "state_bytes"),
    ),
    "fpga": _Source(
        "fpga.json", "ormia build {run}/net.ormia --output {run}/fpga --json > {run}/fpga.json", lambda found: found["network_digest"],
        ("logic_cells", "block_rams", "large_rams", "multipliers", "fmax_mhz", "clock_mhz", "packing", "worst_cycles_per_timestep", "bitstream", "board"),
    ),
    "demo": _Source("demo.json", "ormia demo --output {run}", wanted=False),
    "baseline": _Source("baseline.json", "ormia baseline --data {run}/corpus --output {run}/baseline.json", wanted=False),
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """What there is.

    Attributes
    ----------
    folder : Path
    network : Network
    digest : str
        Of the network.
    eval, stream, verify, inspect, c, fpga, baseline, demo : dict or None
        JSON of the commands; those that name a network name this one.
    training : list of dict
        Rows of the training log, numbers by column; empty where there is none.
    corpus : dict or None
        ``corpus.json`` without its lists of clips.
    clips : Clips or None
        Split ``test``.
    left_out : dict of str to str
        A sentence for each file that is not there.
    """

    folder: Path
    network: Network
    digest: str
    eval: Json | None = None
    stream: Json | None = None
    verify: Json | None = None
    inspect: Json | None = None
    c: Json | None = None
    fpga: Json | None = None
    baseline: Json | None = None
    demo: Json | None = None
    training: list[dict[str, float]] = field(default_factory=list)
    corpus: Json | None = None
    clips: Clips | None = None
    left_out: dict[str, str] = field(default_factory=dict)


def read_run(folder: Path) -> Run:
    """Read a folder.

    Raises
    ------
    DataError
        If it is no folder of a run.
    NetworkFileError
        If its network cannot be read.
    """
    path = folder / "net.ormia"
    if not path.is_file():
        raise DataError(f"{folder} must be the folder of a run, with net.ormia in it: make one with `ormia demo --output {folder}`")
    net = read_network(path)
    digest = network_digest(net)
    left_out: dict[str, str] = {}
    found = {name: _read(folder, source, digest, left_out, name) for name, source in SOURCES.items()}
    corpus, clips = _read_corpus(folder, found["eval"], left_out)
    return Run(folder, net, digest, **found, training=_read_log(folder, left_out), corpus=corpus, clips=clips, left_out=left_out)


def _read(folder: Path, source: _Source, digest: str, left_out: dict[str, str], name: str) -> Json | None:
    path, command = folder / source.file, source.command.format(run=folder)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or any(key not in content for key in source.needs):
            raise ValueError("it lacks entries")
        of = None if source.digest is None else source.digest(content)
    except FileNotFoundError:
        if source.wanted:
            left_out[name] = f"There is no {source.file}: `{command}` makes it."
    except (OSError, ValueError, KeyError, TypeError) as error:
        left_out[name] = f"{source.file} cannot be read ({getattr(error, 'strerror', None) or error}): `{command}` makes it again."
    else:
        if of is None or of == digest:
            return content
        left_out[name] = f"{source.file} is of another network, {str(of)[:16]} and not {digest[:16]}: `{command}` makes it again."
    return None


def _read_log(folder: Path, left_out: dict[str, str]) -> list[dict[str, float]]:
    command = f"`ormia train demo --data {folder}/corpus --output {folder}/train` makes it."
    try:
        with open(folder / "train" / "log.csv", encoding="utf-8", newline="") as file:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        if not rows or not {"epoch", "train_accuracy", "valid_accuracy"} <= set(rows[0]):
            raise ValueError("it lacks rows or columns")
    except FileNotFoundError:
        left_out["training"] = f"There is no train/log.csv: {command}"
    except (OSError, ValueError, TypeError, AttributeError) as error:
        left_out["training"] = f"train/log.csv cannot be read ({getattr(error, 'strerror', None) or error}): {command}"
    else:
        return rows
    return []


def _read_corpus(folder: Path, evaluation: Json | None, left_out: dict[str, str]) -> tuple[Json | None, Clips | None]:
    command = f"`ormia demo --output {folder}` makes it."
    try:
        clips = read_clips(folder / "corpus", "test")
        index = json.loads((folder / "corpus" / "corpus.json").read_text(encoding="utf-8"))
        splits = index["split"]
        summary = {
            "digest": clips.digest,
            "source": str(index["provenance"]["source"]),
            "clips": {name: splits.count(name) for name in ("train", "valid", "test")},
        }
        speakers = index.get("speakers")
        if isinstance(speakers, list) and len(speakers) == len(splits):
            summary["speakers"] = {name: len({s for s, split in zip(speakers, splits, strict=True) if split == name and s}) for name in summary["clips"]}
    except (Error, OSError, ValueError, KeyError, TypeError, AttributeError):
        left_out["corpus"] = f"There is no readable corpus in {folder}/corpus: {command}"
        return None, None
    if evaluation is not None and evaluation["corpus"].get("digest") != clips.digest:
        left_out["corpus"] = f"The corpus in {folder}/corpus is not the one that was evaluated: {command}"
        return None, None
    return summary, clips
