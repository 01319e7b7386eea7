# SPDX-License-Identifier: Apache-2.0
"""The detector in the generated C: what it stores and the numbers of its template. Twin of ``Detector.step`` in ``edge/detector.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..detector import DECAY_BITS, DetectorConfig, detector_config
from ..errors import TargetError
from ..network import Network, Readout
from .state import Field
from .tables import Table, column, literal

__all__ = ["Detection", "plan_detection"]

LARGEST_SCORE = (1 << 30) - 1  # the difference of two scores fits 32 bits, too


@dataclass(frozen=True)
class Detection:
    """What a detector takes and says.

    Attributes
    ----------
    config : DetectorConfig
        Its parameters.
    reach : int or None
        Largest magnitude of a smoothed score, whatever the network emits; None where there is none.
    tables, fields : tuple
        Constant tables; fields of the state struct.
    values : mapping
        What ``templates/detector.c`` substitutes.
    """

    config: DetectorConfig
    reach: int | None
    tables: tuple[Table, ...]
    fields: tuple[Field, ...]
    values: Mapping[str, object]

    def check(self) -> None:
        """Raise ``TargetError`` for a detector whose scores leave 32 bits."""
        if self.reach is None or self.reach > LARGEST_SCORE:
            got = "grow for ever" if self.reach is None else f"reach {self.reach}"
            raise TargetError(
                f"generated C must have smoothed scores of at most {LARGEST_SCORE}, but with a smoothing of {self.config.smoothing} they {got}: "
                "calibrate the detector with less smoothing"
            )


def plan_detection(net: Network, *, hears: bool) -> Detection | None:
    """The detector of ``net`` in C; None where its metadata has none and it does not hear audio."""
    if net.metadata.get("detector") is None and not hears:
        return None
    config = detector_config(net)
    reach = _reach(net, config)
    background = column("background", [label in config.background for label in range(net.n_classes)], "best", "1 where a class is never detected")
    fields = (
        Field("smoothed", "int32_t", (net.n_classes,), "smoothed score of every class"),
        Field("candidate", "uint32_t", (), "class that led in the last timestep"),
        Field("passed", "uint32_t", (), "timesteps in a row in which it passed"),
        Field("rest", "uint32_t", (), "timesteps left without a detection"),
        Field("detected", "uint32_t", (), "class detected in the last timestep, or ORMIA_NO_KEYWORD"),
        Field("lead", "int32_t", (), "distance of the leading class to the next in the last timestep"),
    )
    limit = min(LARGEST_SCORE, LARGEST_SCORE if reach is None else reach)
    values = {
        "smoothing": config.smoothing,
        "smoothing_bits": DECAY_BITS,
        "one_class": net.n_classes == 1,
        "has_background": background.constant != 0,
        "background": background.expression,
        "least_score": literal(min(max(config.threshold, -limit), limit + 1)),  # as strict as the threshold on all that can occur
        "least_margin": min(config.margin, 2 * limit + 1),
        "consecutive": config.consecutive,
        "rest": config.refractory,
        "warm_up": config.warm_up,
        "warms_up": config.warm_up > 0,
    }
    return Detection(config, reach, () if background.table is None else (background.table,), fields, values)


def _reach(net: Network, config: DetectorConfig) -> int | None:
    """|s| <= E / (1 - a) for s' = decay(s, a) + e, |e| <= E, as decay never adds to a magnitude (D1)."""
    each = 1 if net.readout == Readout.SPIKES else 1 << (net.formats.membrane_bits - 1)
    most = each * int(np.bincount(net.readout_class).max())
    full = 1 << DECAY_BITS
    return None if config.smoothing == full else most * full // (full - config.smoothing)
