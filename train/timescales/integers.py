# SPDX-License-Identifier: Apache-2.0
"""Networks of ``paper.py`` as integers that C and hardware run: normalization folded with frozen statistics, weights, thresholds and decays rounded.

The subtraction of a spike a timestep late is exact in ``reset_by``: theirs takes 1 from the membrane after its decay, ours takes ``1 / decay`` before it.
"""

from __future__ import annotations

import numpy as np
import torch

from ...edge.errors import UsageError
from ...edge.network import Formats, Network, Readout, Reset
from ...edge.runtime import Runtime
from ..mts_xor import CHANNELS, TIMESTEPS, MtsXor, scored_timesteps
from .paper import Trained

__all__ = ["score_steps", "to_integers"]

HEADROOM = 8  # thresholds that a membrane may hold
LARGEST_SHIFT = 7  # N2 of docs/semantics.md


@torch.no_grad()
def to_integers(trained: Trained, *, weight_bits: int = 8, membrane_bits: int = 16, decay_bits: int = 12, name: str = "mts_xor") -> Network:
    """The network of a training with frozen statistics, each neuron on a grid of its own.

    Layer l of the network is l timesteps behind that of ``paper.py``, for every link takes one; membranes start where biases alone bring them to 0 by then.

    Parameters
    ----------
    trained : Trained
    weight_bits, membrane_bits, decay_bits : int
    name : str

    Raises
    ------
    UsageError
        For a neuron without any weight.
    """
    network, hidden = trained.network, trained.network.config.hidden
    most, highest = (1 << (weight_bits - 1)) - 1, (1 << (membrane_bits - 1)) - 1
    parts: dict[str, list[np.ndarray]] = {"threshold": [], "reset_by": [], "bias": [], "initial_membrane": []}
    kinds: list[tuple[int, bool, int]] = []
    rows: list[tuple[int, int, int, np.ndarray]] = []  # source, delay, first target, weights
    base, below = 0, np.arange(CHANNELS)
    for number, moments in enumerate(trained.frozen):
        fires = number < len(hidden)
        weights, bias, recurrent, decay = (x.numpy().astype(np.float64) for x in network.folded(number, *moments))
        largest = np.abs(np.concatenate([weights, recurrent]) if len(recurrent) else weights).max(0)
        if not largest.all():
            raise UsageError(f"every neuron must have weights; one of layer {number} has none: train longer or with another seed")
        if fires:
            limit = np.full(len(bias), (highest + 1) / HEADROOM)
        else:  # both readout neurons on one grid, on which what they can reach at most fits
            limit = np.full(len(bias), highest / ((np.abs(weights).sum(0) + np.abs(bias)) / (1 - decay)).max())
            largest = np.full(len(bias), largest.max())
        shift = np.clip(np.floor(np.log2(limit * largest / most)), 0, LARGEST_SHIFT)
        unit = np.minimum(limit, most * 2**shift / largest)  # membrane units of a threshold
        late = sum((decay**-k for k in range(1, number + 1)), np.zeros(len(bias)))
        parts["threshold"].append(np.rint(unit) * fires)
        parts["reset_by"].append(np.minimum(np.rint(unit / decay), highest) * fires)
        parts["bias"].append(np.clip(np.rint(bias * unit), -highest, highest))
        parts["initial_membrane"].append(np.clip(np.rint(-bias * late * unit), -highest, highest))
        kinds += [(int(d), fires, int(s)) for d, s in zip(np.rint(decay * 2**decay_bits), shift, strict=True)]
        delays = network.config.delays if fires else (0,)
        from_below = [(int(source), delay) for delay in delays for source in below]
        own = CHANNELS + base + np.arange(len(bias))
        grid = unit / 2**shift
        rows += [(source, delay, base, np.rint(row * grid)) for (source, delay), row in zip(from_below, weights, strict=True)]
        rows += [(int(source), 0, base, np.rint(row * grid)) for source, row in zip(own, recurrent, strict=False)]
        base, below = base + len(bias), own
    linked = [(source, delay, first + np.flatnonzero(row), row[row != 0]) for source, delay, first, row in rows if row.any()]
    table = sorted(set(kinds))
    decays, firing, shifts = (np.array(column) for column in zip(*table, strict=True))
    zeros = np.zeros(len(table), np.int64)
    formats = Formats(
        membrane_bits=membrane_bits, current_bits=membrane_bits, weight_bits=weight_bits, decay_bits=decay_bits, max_timesteps=TIMESTEPS, flush=len(hidden)
    )
    return Network(
        formats=formats, n_inputs=CHANNELS, labels=("0", "1"), name=name, readout=Readout.SUM,
        readout_neuron=np.arange(base - 2, base), readout_class=np.arange(2),
        axon_source=np.array([source for source, *_ in linked]), axon_delay=np.array([delay for _, delay, *_ in linked]),
        synapse_start=np.cumsum([0, *(len(targets) for *_, targets, _ in linked)]),
        synapse_target=np.concatenate([targets for *_, targets, _ in linked]), synapse_weight=np.concatenate([row for *_, row in linked]).astype(np.int64),
        neuron_kind=np.array([table.index(kind) for kind in kinds]), **{key: np.concatenate(found).astype(np.int64) for key, found in parts.items()},
        kind_membrane_decay=decays, kind_current_decay=zeros[:, None], kind_firing=firing, kind_reset=zeros + int(Reset.SUBTRACT), kind_refractory=zeros,
        kind_drive_shift=shifts, kind_current_shift=zeros,
    )  # fmt: skip


def score_steps(net: Network, sequences: MtsXor) -> float:
    """Share of scored timesteps of ``sequences`` that the integers of a network tell right: the larger readout, class 0 on a tie."""
    runtime, right = Runtime(net), []
    for events, targets in zip(sequences.events, sequences.targets, strict=True):
        emitted = runtime.trace(events).membranes[net.formats.flush :, net.readout_neuron]
        right.append((emitted[:, 1] > emitted[:, 0])[scored_timesteps()] == targets[scored_timesteps()].astype(bool))
    return float(np.mean(right))
