# SPDX-License-Identifier: Apache-2.0
"""What a user would otherwise pick, trained on the same clips with the same augmentation: DS-CNN and GRU, float and int8, and plain spiking networks."""

from .networks import BASELINES
from .rivals import dense, feed_forward
from .trained import BaselineConfig, TrainedBaseline
from .training import AudioEpochs, baseline_config, fit_baseline, score_baseline

__all__ = ["BASELINES", "AudioEpochs", "BaselineConfig", "TrainedBaseline", "baseline_config", "dense", "feed_forward", "fit_baseline", "score_baseline"]
