# SPDX-License-Identifier: Apache-2.0
"""Which corpora of others this package reads: where each is, on what terms, and how it must lie on disk. Imports a loader only to run it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ...edge.errors import DataError, UsageError
from ..recipe import from_dict
from .corpus import EventCorpus

__all__ = ["CATALOG", "CorpusEntry", "corpus_entry", "load_event_corpus"]


@dataclass(frozen=True, kw_only=True)
class CorpusEntry:
    """A corpus that users fetch themselves.

    Attributes
    ----------
    title, where, licence : str
    layout : tuple of str
        Lines of what ``--data`` must hold.
    use : str
        A command that reads it.
    loader : str
        ``module:function:settings`` of an event corpus, "" for recordings.
    """

    title: str
    where: str
    licence: str
    layout: tuple[str, ...]
    use: str
    loader: str = ""


CATALOG = {
    "shd": CorpusEntry(
        title="Spiking Heidelberg Digits: 20 spoken digits of 12 speakers, 700 channels, 10,420 clips",
        where="https://zenkelab.org/resources/spiking-heidelberg-datasets-shd/",
        licence="CC BY 4.0",
        layout=("shd_train.h5, shd_test.h5 (unpacked)", "  spikes/times, spikes/units: one list a clip; labels; extra/keys; extra/speaker"),
        use="ormia train shd --data DIR",
        loader="heidelberg:load_shd:ShdSettings",
    ),
    "ssc": CorpusEntry(
        title="Spiking Speech Commands: 35 words, 700 channels, about 106,000 clips",
        where="https://zenkelab.org/resources/spiking-heidelberg-datasets-shd/",
        licence="CC BY 4.0",
        layout=("ssc_train.h5, ssc_valid.h5, ssc_test.h5 (unpacked)", "  as shd"),
        use="ormia train ssc --data DIR",
        loader="heidelberg:load_ssc:SscSettings",
    ),
    "n-tidigits": CorpusEntry(
        title="N-TIDIGITS: 11 spoken digits through a silicon cochlea of 64 channels, about 4,950 clips of one digit",
        where="https://docs.google.com/document/d/1Uxe7GsKKXcy6SlDUX4hoJVAC0-UkH-8kr5UXp0Ndi1M",
        licence="derived from TIDIGITS (LDC93S10): the terms of the Linguistic Data Consortium apply; do not pass it on",
        layout=("n-tidigits.hdf5", "  train_labels, test_labels: names SPEAKER-...-DIGITS; groups {train,test}_{addresses,timestamps} by name"),
        use='a recipe with front_end = { kind = "events", options = { corpus = "n-tidigits" } }',
        loader="n_tidigits:load_n_tidigits:NTidigitsSettings",
    ),
    "n-mnist": CorpusEntry(
        title="N-MNIST: handwritten digits before a moving event camera of 34 x 34 pixels, 70,000 clips",
        where="https://www.garrickorchard.com/datasets/n-mnist",
        licence="CC BY-SA 4.0",
        layout=("Train/0..9/*.bin, Test/0..9/*.bin (Train.zip and Test.zip, unpacked)", "  5 bytes an event"),
        use='a recipe with front_end = { kind = "events", options = { corpus = "n-mnist" } }',
        loader="n_mnist:load_n_mnist:NMnistSettings",
    ),
    "dvs-gesture": CorpusEntry(
        title="DVS128 Gesture: 11 gestures of 29 people before an event camera of 128 x 128 pixels, about 1,460 trials",
        where="https://research.ibm.com/interactive/dvsgesture/",
        licence="CC BY 4.0",
        layout=(
            "userNN_LIGHT.aedat, userNN_LIGHT_labels.csv, trials_to_train.txt, trials_to_test.txt (as published, AEDAT 3.1)",
            "or ibmGestureTrain/userNN_LIGHT/0..10.npy and ibmGestureTest/: events x, y, polarity, time in ms",
            "or train/0..10/userNN_*.npz and test/: `frames`, counts [n_frames, 2, 128, 128]",
        ),
        use='a recipe with front_end = { kind = "events", options = { corpus = "dvs-gesture" } }',
        loader="dvs_gesture:load_dvs_gesture:DvsGestureSettings",
    ),
    "ti46": CorpusEntry(
        title="TI46: 26 letters or 20 words of 16 speakers, recordings at 12,500 Hz",
        where="https://catalog.ldc.upenn.edu/LDC93S9",
        licence="licensed by the Linguistic Data Consortium; not to be passed on",
        layout=(
            "ti_alpha/{train,test}/.../0af1set0.wav and ti20/{train,test}/.../00f1s1t0.wav (NIST SPHERE, pcm of either byte order)",
            "  word code, speaker, then set0..set9 in train or session and token in test; another form by the option `pattern`",
        ),
        use='a recipe with front_end = { kind = "events", options = { corpus = "ti46", part = "alpha" } }',
        loader="ti46:load_ti46:Ti46Settings",
    ),
    "gsc": CorpusEntry(
        title="Speech Commands v0.02: 35 words, 105,829 recordings of 1 s",
        where="https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
        licence="CC BY 4.0",
        layout=("WORD/SPEAKER_nohash_N.wav, validation_list.txt, testing_list.txt, _background_noise_/ (unpacked)",),
        use="ormia data --data DIR (ten words), ormia data --data DIR --every-word --no-silence (35, for the recipe gsc35)",
    ),
}


def corpus_entry(name: str) -> CorpusEntry:
    """An entry by name; ``UsageError`` for another."""
    if name not in CATALOG:
        raise UsageError(f"a corpus must be one of {', '.join(CATALOG)}, not {name!r}")
    return CATALOG[name]


def load_event_corpus(options: dict[str, Any], folder: Path) -> EventCorpus:
    """Read the corpus that the options of a recipe's front end name.

    Parameters
    ----------
    options : dict
        ``corpus``, and settings of its loader.
    folder : Path
        Where its files lie.

    Raises
    ------
    UsageError
        If no such corpus or setting exists.
    DataError
        If the files cannot be used.
    """
    name = options.get("corpus")
    names = [name for name, entry in CATALOG.items() if entry.loader]
    if name not in names:
        raise UsageError(f"front_end.options.corpus must be one of {', '.join(names)}, not {name!r}")
    if not folder.is_dir():
        raise DataError(f"the corpus {name} must be a folder: {folder} is none; `ormia data info {name}` says what it must hold")
    module, loader, settings = CATALOG[name].loader.split(":")
    found = import_module(f".{module}", __package__)
    chosen = from_dict(getattr(found, settings), {key: value for key, value in options.items() if key != "corpus"}, "front_end.options")
    corpus: EventCorpus = getattr(found, loader)(folder, chosen)
    return corpus
