# SPDX-License-Identifier: Apache-2.0
"""``scml_layer``: one SC-ML layer over whole sequences as a differentiable torch operation.

On a CPU the fused kernels (``train/ops.py``); on any other device ``plain.plain_layer``, the same integers step by step.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from .ops import layer_op
from .plain import plain_layer
from .surrogate import FastSigmoid, Surrogate
from .vectors import WIDTH

__all__ = ["LayerConstants", "scml_layer"]

MOST_DISTANCES = 48  # a motif whose links span more distances is kept as a block


@dataclass(frozen=True, kw_only=True)
class LayerConstants:
    """What of a layer is not trained: integers of the kind table per neuron, formats, surrogate.

    Attributes
    ----------
    current_decay, membrane_decay, refractory, drive_shift, current_shift, bias, initial : int64 [n_neurons]
        Decays and bias are what ``scml_layer`` takes where it is given none.
    subtract, firing : bool [n_neurons]
    deltas : int64 [n_deltas]
        Motif distance of each lateral link.
    links : bool [size, size]
        Which weights within a motif exist; the others are never read.
    lag : int, 0 or 1
        1 where the source is the spikes of a layer below (S7), 0 for payloads.
    delays : tuple of int
        Delay of each block of feed-forward weights.
    membrane_bits, current_bits, decay_bits : int
    surrogate : Surrogate
    through_reset : bool
        Whether gradients flow through S6.
    name : str
        For errors.
    """

    current_decay: np.ndarray
    membrane_decay: np.ndarray
    refractory: np.ndarray
    drive_shift: np.ndarray
    current_shift: np.ndarray
    bias: np.ndarray
    initial: np.ndarray
    subtract: np.ndarray
    firing: np.ndarray
    deltas: np.ndarray
    links: np.ndarray
    lag: int = 0
    delays: tuple[int, ...] = (0,)
    membrane_bits: int = 16
    current_bits: int = 16
    decay_bits: int = 12
    surrogate: Surrogate = FastSigmoid(2.0)
    through_reset: bool = False
    name: str = "the layer"
    fixed: torch.Tensor = field(init=False, repr=False)  # rows of ``kernels.layer_forward``
    wiring: list[torch.Tensor] = field(init=False, repr=False)
    place: torch.Tensor | None = field(init=False, repr=False)  # see ``_diagonals``

    def __post_init__(self) -> None:
        rows = (self.firing, self.subtract, self.refractory, self.initial, self.drive_shift, self.current_shift)
        deltas, place = self.deltas.astype(np.int64) * len(self.links), None
        distances = sorted({int(j - i) for i, j in np.argwhere(self.links)})
        if len(distances) <= MOST_DISTANCES:
            place = torch.from_numpy(_diagonals(self.links, distances, len(self.firing)))
            deltas = np.concatenate([np.array(distances, np.int64), deltas])
        none, start = torch.zeros(0, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
        wiring = [torch.tensor(self.delays, dtype=torch.int64), torch.from_numpy(deltas), start, none, none, start, none]
        object.__setattr__(self, "fixed", torch.from_numpy(np.stack([row.astype(np.int64) for row in rows])))
        object.__setattr__(self, "wiring", wiring)
        object.__setattr__(self, "place", place)


def _diagonals(links: np.ndarray, distances: list[int], n: int) -> np.ndarray:
    """Where in the flattened ``intra`` the weight from neuron x to ``x + distance`` is, int64 [n_distances, n]; one past its end where there is no link."""
    size = len(links)
    motif, i = np.divmod(np.arange(n), max(1, size))
    j = i + np.array(distances, np.int64).reshape(-1, 1)
    inside = (j >= 0) & (j < size)
    found = np.where(inside, motif * size * size + i * size + j, n * size)
    found[inside & ~links[np.broadcast_to(i, j.shape), np.clip(j, 0, max(0, size - 1))]] = n * size
    return found


def scml_layer(
    source: torch.Tensor,
    dense: torch.Tensor,
    intra: torch.Tensor,
    lateral: torch.Tensor,
    threshold: torch.Tensor,
    constants: LayerConstants,
    *,
    bias: torch.Tensor | None = None,
    membrane_decay: torch.Tensor | None = None,
    current_decay: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Run an SC-ML layer over whole sequences, exactly as S1 to S7 of docs/semantics.md.

    Parameters
    ----------
    source : float32 [n_timesteps, n_samples, n_sources]
        Payloads, or the spikes of the layer below: integers, as are all that follow.
    dense : float32 [n_delays * n_sources, n_neurons]
        Effective feed-forward weights (shift included), one block a delay.
    intra : float32 [n_motifs, size, size], lateral : float32 [n_deltas, n_neurons]
        Effective recurrent weights; n_motifs = 0 is none.
    threshold : float32 [n_neurons]
        Also the amount of a subtractive reset.
    constants : LayerConstants
        The rest.
    bias, membrane_decay, current_decay : float32 [n_neurons], optional
        In place of those of ``constants``, which are not trained.

    Returns
    -------
    spikes : float32 [n_timesteps, n_samples, n_neurons]
        0 or 1.
    membrane : float32 [n_timesteps, n_samples, n_neurons]
        After S6, where the layer has non-firing neurons; else empty.
    saturated : int64 [2]
        How many currents and membranes saturated; not counted outside a CPU, 0 there.

    Raises
    ------
    NetworkError
        If float32 might not hold a sum exactly, or a value is no integer.
    """
    c, n = constants, len(constants.firing)

    def trained(given: torch.Tensor | None, constant: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(constant.astype(np.float32)).to(source.device) if given is None else given

    rows = [threshold, threshold, trained(bias, c.bias), trained(membrane_decay, c.membrane_decay), trained(current_decay, c.current_decay)]
    neuron = torch.stack(rows)
    emit = not bool(c.firing.all())
    if source.device.type != "cpu":
        return plain_layer(source, dense, intra, lateral, neuron, c, emit)
    decays = any(x is not None and x.requires_grad for x in (membrane_decay, current_decay))
    if c.place is not None and len(intra):
        padded = torch.cat([intra.flatten(), intra.new_zeros(1)])
        lateral = torch.cat([padded.index_select(0, c.place.flatten()).view(c.place.shape), lateral])
        intra = intra.new_zeros(0, 1, 1)
    fixed, idle = c.fixed, -n % WIDTH if not (len(intra) or len(lateral)) else 0
    if idle:  # a readout: neurons that do nothing fill its last vector
        dense, neuron, fixed, lateral = (nn.functional.pad(x, (0, idle)) for x in (dense, neuron, fixed, lateral))
    weight = source.new_zeros(0)
    spikes, after, _, _, _, counts = layer_op(
        source, dense, intra, lateral, weight, neuron, fixed, c.wiring, c.lag, [c.membrane_bits, c.current_bits, c.decay_bits],
        c.surrogate.code, c.surrogate.scale, c.through_reset, emit, decays, c.name,
    )  # fmt: skip
    if idle:
        spikes, after = spikes[..., :n], after[..., :n]
    return spikes, after, counts[:, :2].sum(0)
