# SPDX-License-Identifier: Apache-2.0
"""What tests of searches share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ormia.train.corpora.corpus import Corpus


@pytest.fixture(scope="session")
def spoken(tmp_path_factory) -> Path:
    """Folder of a corpus of three tones that begin in noise, a fifth of a second each."""
    rng, n = np.random.default_rng(3), 60
    hz = np.array([400.0, 1200.0, 3000.0])[np.arange(n) % 3][:, None] * rng.uniform(0.9, 1.1, (n, 1))
    clips = np.sin(2 * np.pi * hz * np.arange(3200) / 16000) * 4000 * (np.arange(3200) > 1000) + rng.normal(0, 300, (n, 3200))
    split = tuple(("train", "train", "train", "valid", "test")[i // 3 % 5] for i in range(n))
    folder = tmp_path_factory.mktemp("corpora") / "tones"
    Corpus(
        clips=clips.astype(np.int16), labels=np.arange(n) % 3, classes=("low", "middle", "high"), words=("x",) * n, speakers=split, split=split,
        clip_ids=tuple(f"c{i}" for i in range(n)), snr_db=np.zeros(n, np.float32), noise={}, provenance={"parameters": {}, "source": "a test"},
    ).save(folder)  # fmt: skip
    return folder
