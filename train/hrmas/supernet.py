# SPDX-License-Identifier: Apache-2.0
"""The supernet: every motif size and every connection type at once, mixed by softmax, as the one band of recurrent weights that a layer then runs with.

All candidates of all sizes link neurons of few distances, so a layer of any mixture is, to the fused kernel, a layer of motifs of one neuron with many
lateral links: one matrix is built for each step of the optimizer, and gradients by it give those by logits and weights. Once every probability is 0
or 1 the integers are those of the discrete ``SCMLModel``.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from torch import nn

from ...edge.errors import UsageError
from ..model import ModelConfig, SCMLModel, decay_factor, with_timescales
from ..quantize import round_clamp
from ..topology import Link, Topology

__all__ = ["TYPES", "Candidates", "Supernet"]

TYPES = (Link.NONE, Link.EXCITATORY, Link.INHIBITORY)  # columns of the logits of a link; a column is its Link
LARGEST = 4.0  # of a trained recurrent weight, in units of the nominal threshold, as in TSSL-BP


class Candidates(nn.Module):
    """What a layer can become: logits of motif sizes, and of the type of every link, tied over motifs, for each size apart.

    Parameters
    ----------
    neurons : int
        Of the layer.
    sizes : tuple of int
        Motif sizes; each divides the layer.
    lateral : bool
        Whether there are links between motifs.
    ring : bool
        Whether the last motif is a neighbor of the first, where there are more than two.
    untied : bool
        Whether every link between motifs has a type of its own.

    Attributes
    ----------
    size_logits : float32 [n_sizes]
    link_logits : float32 [n_links, 3]
        Links of each size in turn: intra (i, j) row by row, then lateral (delta, j) for -1 and 1; j counts the neurons of the layer where types are
        untied, of a motif else. Columns are ``TYPES``.
    distances : int64 [n_distances]
        From source to target neuron, ascending: rows of the band.
    place : int64 [n_sizes, n_distances * neurons]
        Link of each entry (distance, source) of the band at each size; ``n_links`` where there is none.
    chosen : int
        Index of the size that was fixed, -1 before.
    rows : int64 [n_rows]
        Distances that some entry of a size that may still be chosen has: all before a size was fixed, then few.
    """

    def __init__(self, neurons: int, sizes: tuple[int, ...], lateral: bool, *, ring: bool = False, untied: bool = False) -> None:
        super().__init__()
        self.neurons, self.sizes, self.deltas, self.ring, self.untied, self.chosen = neurons, sizes, (-1, 1) if lateral else (), ring, untied, -1
        self.starts = np.concatenate([[0], np.cumsum([size * size + len(self.deltas) * self._width(size) for size in sizes])])
        self.size_logits = nn.Parameter(torch.zeros(len(sizes)))
        self.link_logits = nn.Parameter(1e-3 * torch.randn(int(self.starts[-1]), len(TYPES)))
        found = {int(d) for size in sizes for d in range(1 - size, size)}
        found |= {hop * size for size in sizes for delta in self.deltas for hop in self.hops(size, delta)}
        self.distances = np.array(sorted(found), np.int64)
        self.place = torch.from_numpy(np.stack([self._place(k) for k in range(len(sizes))]))
        self.rows = torch.arange(len(self.distances))

    def hops(self, size: int, delta: int) -> tuple[int, ...]:
        """Motif distances over which neighbor ``delta`` is reached: none in a layer of one motif, two where a ring is closed."""
        count = self.neurons // size
        return ((delta, -delta * (count - 1)) if self.ring and count > 2 else (delta,)) if count > 1 else ()

    def _width(self, size: int) -> int:
        return self.neurons if self.untied else size

    def _place(self, k: int) -> np.ndarray:
        size, n = self.sizes[k], self.neurons
        source, target = np.arange(n), np.arange(n) + self.distances[:, None]
        inside = (target >= 0) & (target < n)
        place = np.full(inside.shape, self.starts[-1])
        intra = inside & (source // size == target // size)
        place[intra] = (self.starts[k] + source % size * size + target % size)[intra]
        for d, delta in enumerate(self.deltas):
            sent = inside & np.isin(self.distances, [hop * size for hop in self.hops(size, delta)])[:, None]
            link = self.starts[k] + size * size + d * self._width(size) + source % self._width(size)
            place[sent] = np.broadcast_to(link, inside.shape)[sent]
        return place.ravel()

    def size_probabilities(self) -> torch.Tensor:
        """Float32 [n_sizes], of sum 1."""
        if self.chosen >= 0:
            return nn.functional.one_hot(torch.tensor(self.chosen), len(self.sizes)).float()
        return self.size_logits.softmax(0)

    def link_probabilities(self) -> torch.Tensor:
        """Float32 [n_links, 3], rows of sum 1."""
        return self.link_logits.softmax(1)

    def shares(self) -> torch.Tensor:
        """Float32 [2, n_rows, neurons]: share of every entry of the band that is excitatory, and that is inhibitory."""
        links = self.link_probabilities()
        padded = [torch.cat([links[:, kind], links.new_zeros(1)]) for kind in (Link.EXCITATORY, Link.INHIBITORY)]
        places = self.place.view(len(self.sizes), len(self.distances), self.neurons)[:, self.rows].flatten(1)
        total = links.new_zeros(2, places.shape[1])
        for k, (probability, place) in enumerate(zip(self.size_probabilities(), places, strict=True)):
            if self.chosen in (-1, k):  # one row at a time: the gradient of a gather from a matrix is many times as slow
                total = total + probability * torch.stack([row.index_select(0, place) for row in padded])
        return total.view(2, len(self.rows), self.neurons)

    def fix_size(self, k: int | None = None) -> int:
        """Keep size ``k``, the likeliest where it is absent, alone; it is returned."""
        self.chosen = int(self.size_logits.detach().argmax()) if k is None else k
        used = self.place[self.chosen].view(len(self.distances), self.neurons) < int(self.starts[-1])
        self.rows = used.any(1).nonzero().flatten()
        return self.sizes[self.chosen]

    def topology(self) -> Topology:
        """The likeliest type of every link of the likeliest size; one motif as large as the layer where types are untied."""
        k = self.chosen if self.chosen >= 0 else int(self.size_logits.detach().argmax())
        motif, types = self.motif(k, self.link_logits.detach().numpy()), self.types(k, self.link_logits.detach().numpy())
        if not self.untied:
            return motif
        size, n = motif.size, self.neurons
        intra, source = np.kron(np.eye(n // size, dtype=np.int8), motif.intra), np.arange(n)
        for delta, row in zip(self.deltas, types[size * size :].reshape(-1, n), strict=True):
            for hop in self.hops(size, delta):
                sent = source[(source + hop * size >= 0) & (source + hop * size < n)]
                intra[sent, sent + hop * size] = row[sent]
        return Topology(intra, (), np.zeros((0, n), np.int8))

    def types(self, k: int, logits: np.ndarray) -> np.ndarray:
        """The likeliest types of the links of size ``k``, int8 in the order of the logits, float32 [n_links, 3]."""
        return logits[self.starts[k] : self.starts[k + 1]].argmax(1).astype(np.int8)

    def motif(self, k: int, logits: np.ndarray) -> Topology:
        """The likeliest motif of size ``k``, without the links to others where their types are untied."""
        size, types = self.sizes[k], self.types(k, logits)
        reached = [] if self.untied else [(hop, d) for d, delta in enumerate(self.deltas) for hop in self.hops(size, delta) or (delta,)]
        reached.sort(key=lambda one: abs(one[0]))
        lateral = types[size * size :].reshape(len(self.deltas), self._width(size))[[d for _, d in reached]]
        return Topology(types[: size * size].reshape(size, size), tuple(hop for hop, _ in reached), lateral.reshape(len(reached), size))


class Supernet(SCMLModel):
    """A model whose recurrence is a mixture of all candidates, and whose neurons have each their own R and tau.

    Parameters
    ----------
    config : ModelConfig
        Neurons, time constants, inhibitory weights and formats; motif, reach and topology are what is searched.
    sizes : tuple of int
        Motif sizes.
    lateral, ring, untied : bool
        See ``Candidates``.
    n_inputs, n_classes, payload_max : int
        As ``SCMLModel`` takes them.

    Attributes
    ----------
    candidates : list of Candidates
        One a layer.
    resistance, tau, start : list of float64 [n_neurons]
        R and tau of each layer; tau before the search, which is also R then.
    """

    def __init__(
        self, config: ModelConfig, sizes: tuple[int, ...], lateral: bool, n_inputs: int, n_classes: int, payload_max: int, *, ring: bool = False,
        untied: bool = False,
    ) -> None:  # fmt: skip
        for layer in config.layers:
            wrong = [size for size in sizes if layer.neurons % size]
            if wrong:
                raise UsageError(f"every motif size must divide the layer: {layer.neurons} neurons are no whole number of motifs of {wrong[0]}: correct sizes")
        if config.normalize:
            raise UsageError("normalize gives thresholds in units of the drive, intrinsic plasticity in those of R: leave normalize out of a search")
        config = with_timescales(config)
        candidates = [Candidates(layer.neurons, sizes, lateral, ring=ring, untied=untied) for layer in config.layers]
        single = [  # motifs of one neuron; the link of distance 0 is its own
            Topology(np.zeros((1, 1), np.int8), tuple(c.distances.tolist()), np.full((len(c.distances), 1), Link.EXCITATORY, np.int8)) for c in candidates
        ]
        layers = tuple(dataclasses.replace(layer, motif=1, topology=(), threshold=(1.0,), train_decays=False) for layer in config.layers)
        super().__init__(dataclasses.replace(config, layers=layers), n_inputs, n_classes, payload_max, single)
        self.candidates = nn.ModuleList(candidates)
        links = sum(size + len(candidates[0].deltas) for size in sizes) / len(sizes)
        for number, layer in enumerate(layers):
            self.intra[number].requires_grad_(False)
            self.threshold[number].requires_grad_(False)
            with torch.no_grad():
                self.lateral[number].copy_(torch.randn_like(self.lateral[number]).abs() * 0.3 / math.sqrt(links))
            tau = np.array(layer.tau_membrane)[np.arange(layer.neurons) % len(layer.tau_membrane)]
            self.register_buffer(f"start_{number}", torch.from_numpy(tau))
            self.register_buffer(f"tau_{number}", torch.from_numpy(tau.copy()))
            self.register_buffer(f"resistance_{number}", torch.from_numpy(tau.copy()))
        self.set_shifts()

    @property
    def weights(self) -> list[tuple[str, nn.Parameter]]:
        """What the weight step trains, by name."""
        return [(name, p) for name, p in self.named_parameters() if p.requires_grad and not name.startswith("candidates.")]

    @property
    def architecture(self) -> list[nn.Parameter]:
        """What the architecture step trains: of each layer the logits of sizes, then those of links."""
        return [p for c in self.candidates for p in (c.size_logits, c.link_logits)]

    def intrinsic(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """R, tau and tau before the search of the neurons of a layer, float64 [n_neurons] each."""
        resistance, tau, start = (self.get_buffer(f"{name}_{number}").numpy() for name in ("resistance", "tau", "start"))
        return resistance, tau, start

    def set_intrinsic(self, number: int, resistance: np.ndarray, tau: np.ndarray) -> None:
        """Give the neurons of a layer their R and tau; R / tau, the gain of a neuron, becomes a threshold of tau / R."""
        self.get_buffer(f"resistance_{number}").copy_(torch.from_numpy(resistance))
        self.get_buffer(f"tau_{number}").copy_(torch.from_numpy(tau))
        with torch.no_grad():
            self.threshold[number].copy_(torch.from_numpy(tau / resistance))

    def decay_integers(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Decay factors of the membranes, by tau, and of the currents of a layer, float32 [n_neurons] each."""
        decays = [decay_factor(tau, self.config.decay_bits) for tau in self.get_buffer(f"tau_{number}").tolist()]
        return torch.tensor(decays, dtype=torch.float32), super().decay_integers(number)[1]

    def recurrent_spread(self, number: int) -> float:
        """As in the base class, with room for the inhibitory weight."""
        return max(super().recurrent_spread(number), -self.config.layers[number].inhibitory / 3)

    def recurrent_integers(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """No links within motifs of one neuron; the band [n_rows, N] in units of the grid: a mixture of stored weights, rounded to membrane units."""
        place, layer = 2 * number + 1, self.config.layers[number]
        unit = 2.0 ** int(self.shifts[place])
        candidates = self.candidates[number]
        excitatory, inhibitory = candidates.shares()  # type: ignore[operator]
        fixed = self.weight_integers(torch.tensor(layer.inhibitory), place)
        mixed = excitatory * self.weight_integers(self.lateral[number][candidates.rows], place) + inhibitory * fixed  # type: ignore[index]
        largest = 1 << self.config.membrane_bits
        return torch.zeros(layer.neurons, 1, 1), round_clamp(mixed * unit, -largest, largest) / unit

    def fix_sizes(self, chosen: list[int | None] | None = None) -> list[int]:
        """Keep one size of each layer, the likeliest where none is named; from then on a layer runs only the distances that this size has."""
        sizes = []
        for number, (candidates, k) in enumerate(zip(self.candidates, chosen or [None] * len(self.candidates), strict=True)):
            assert isinstance(candidates, Candidates)
            sizes.append(candidates.fix_size(k))
            self.constants[number] = dataclasses.replace(self.constants[number], deltas=candidates.distances[candidates.rows.numpy()])
        return sizes

    def constrain(self) -> None:
        """Keep recurrent weights within 0..4 thresholds. Call after each weight step."""
        with torch.no_grad():
            for weights in self.lateral:
                weights.clamp_(0, LARGEST)
