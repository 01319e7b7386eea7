# SPDX-License-Identifier: Apache-2.0
"""A feed-forward stack of SC-ML layers with a leaky readout, whose forward pass is the integer network it exports to.

Parameters are floats in units of the nominal threshold; every forward pass rounds them to the integers of docs/semantics.md
(straight through) and runs those. Knows nothing of corpora, losses or files.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ..edge.errors import UsageError
from ..edge.network import ARRAYS
from .layer import LayerConstants, scml_layer
from .normalization import DriveMoments
from .quantize import round_clamp, weight_shift
from .surrogate import SURROGATES, Surrogate
from .timescales.hierarchy import Timescales, check_time_constants, drive_factors, layer_means, within_layer
from .topology import Link, Topology, hand_set

__all__ = ["LayerConfig", "ModelConfig", "Outputs", "SCMLModel", "decay_factor", "with_timescales"]

LONGEST_DELAY = int(np.iinfo(ARRAYS["axon_delay"][0]).max)  # A3 of docs/semantics.md
LEAK_MARGIN = 64  # least threshold * (1 - decay), in membrane units: below it the truncation leak of D1 is felt
NORMAL_SPREAD = 0.4  # of a normalized drive, in nominal thresholds: thresholds of two or three spreads then lie near the nominal one


@dataclass(frozen=True, kw_only=True)
class LayerConfig:
    """One SC-ML layer.

    Attributes
    ----------
    neurons, motif : int
        Size of the layer and of its motifs; the motif divides the layer.
    reach : int
        Ring neighbors to each side (``topology.hand_set``).
    topology : tuple of str
        Types of all links (``topology.Topology.rows``), in place of motif and reach.
    inhibitory : float, < 0
        Weight of every inhibitory link, in units of the nominal threshold; never trained.
    tau_membrane : tuple of float
        Time constants in timesteps, dealt in turn to the neurons or the motifs.
    tau_by : str
        ``neuron`` or ``motif``: to what they are dealt.
    threshold : tuple of float
        Thresholds before training, in units of the nominal one, dealt likewise: what R / tau of intrinsic plasticity amounts to.
    tau_current : float
        Of the synaptic current, in timesteps; 0 is no memory.
    delays : tuple of int
        Delays of the axons from the layer below, one set of weights each: a causal dilated convolution in time.
    train_decays : bool
        Whether the decays of membranes and currents are trained (quantized, straight through), from the time constants given. Neurons dealt one
        constant stay together, so the table of kinds stays as long.
    learn_delays : bool
        Each synapse from below has one delay of ``delays``, which must be 0, 1, ... D, and it is trained: whole timesteps forward, a Gaussian of
        ``delay_sigma`` about the learnt place for the gradient (after DCLS, arXiv 2306.17670, whose Gaussian is forward too and narrows).
    delay_sigma : float, > 0
        In timesteps.
    """

    neurons: int = 128
    motif: int = 16
    reach: int = 2
    topology: tuple[str, ...] = ()
    inhibitory: float = -0.25
    tau_membrane: tuple[float, ...] = (2.0, 3.0, 4.0, 6.0)
    tau_by: str = "neuron"
    threshold: tuple[float, ...] = (1.0,)
    tau_current: float = 0.0
    delays: tuple[int, ...] = (0,)
    train_decays: bool = False
    learn_delays: bool = False
    delay_sigma: float = 1.0

    @property
    def motif_size(self) -> int:
        """Neurons of a motif."""
        return sum(":" not in row for row in self.topology) or self.motif

    def dealt(self, count: int) -> np.ndarray:
        """Which of ``count`` time constants each neuron has, int64 [neurons]."""
        return np.arange(self.neurons) // (self.motif_size if self.tau_by == "motif" else 1) % count


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Shape and formats of a model; ``timescales`` may set the time constants of all layers.

    With ``normalize``, thresholds and trained biases of a layer are in units of what drives it (``normalization.py``), in place of the nominal threshold.
    """

    layers: tuple[LayerConfig, ...] = (LayerConfig(), LayerConfig())
    timescales: Timescales = Timescales()
    tau_readout: float = 20.0
    nominal_threshold: int = 1024
    weight_bits: int = 4
    membrane_bits: int = 16
    current_bits: int = 16
    decay_bits: int = 12
    accumulator_bits: int = 16
    reset: str = "subtract"
    refractory: int = 0
    surrogate: str = "fast_sigmoid"
    surrogate_scale: float = 3.0
    through_reset: bool = True
    normalize: bool = False

    @property
    def derivative(self) -> Surrogate:
        """What stands in for the derivative of S5."""
        return SURROGATES[self.surrogate](self.surrogate_scale)


@dataclass
class Outputs:
    """What a forward pass gives.

    Attributes
    ----------
    scores : float32 [n_samples, n_classes]
        Class scores of S8, exact integers.
    emitted : float32 [n_timesteps, n_samples, n_classes]
        Readout membranes.
    spikes : list of float32 [n_timesteps, n_samples, n_neurons]
        Of each layer.
    saturated : float32 [n_layers + 1, 2]
        Share of the currents and of the membranes of each layer, then of the readout, that saturated (D2).
    """

    scores: torch.Tensor
    emitted: torch.Tensor
    spikes: list[torch.Tensor]
    saturated: torch.Tensor


def decay_factor(tau: float, decay_bits: int) -> int:
    """Decay factor of a time constant in timesteps: ``round(2**decay_bits * exp(-1 / tau))``; 0 for tau = 0."""
    return 0 if tau == 0 else min((1 << decay_bits) - 1, round((1 << decay_bits) * math.exp(-1 / tau)))


def with_timescales(config: ModelConfig) -> ModelConfig:
    """The configuration with what ``timescales`` asks for written into its layers, and ``timescales`` then empty.

    Raises
    ------
    UsageError
        For a time constant that the decay format has no factor for.
    """
    scales = config.timescales
    means = layer_means(scales, len(config.layers))
    layers = []
    for number, (layer, mean) in enumerate(zip(config.layers, means, strict=True)):
        taus = layer.tau_membrane if scales.shape == "given" else within_layer(scales, mean)
        check_time_constants(taus, config.decay_bits, f"layer {number}")
        if scales.train in ("motif", "neuron"):
            count = layer.neurons // (layer.motif_size if scales.train == "motif" else 1)
            layer = dataclasses.replace(layer, tau_by=scales.train)
            taus = tuple(taus[k % len(taus)] for k in range(count))
        layers.append(dataclasses.replace(layer, tau_membrane=taus, train_decays=layer.train_decays or scales.train != ""))
    return dataclasses.replace(config, layers=tuple(layers), timescales=Timescales())


class SCMLModel(nn.Module):
    """SC-ML layers and a readout.

    Parameters
    ----------
    config : ModelConfig
    n_inputs, n_classes : int
    payload_max : int
        Largest input payload, for the gather bound.
    topologies : list of Topology, optional
        One a layer; hand-set if absent.
    """

    def __init__(self, config: ModelConfig, n_inputs: int, n_classes: int, payload_max: int, topologies: list[Topology] | None = None) -> None:
        super().__init__()
        scales, config = config.timescales, with_timescales(config)
        self.drive = drive_factors(scales, len(config.layers))
        self.config, self.n_inputs, self.n_classes, self.payload_max = config, n_inputs, n_classes, payload_max
        if config.normalize and scales.gain_spread != 0:
            raise UsageError("normalize takes away the gain that timescales.gain_spread asks for: leave out one of them")
        if config.surrogate not in SURROGATES:
            raise UsageError(f"surrogate must be one of {', '.join(SURROGATES)}, not {config.surrogate!r}")
        self.topologies = topologies or [
            Topology.from_rows(layer.topology) if layer.topology else hand_set(layer.motif, reach=layer.reach) for layer in config.layers
        ]
        for layer, topology in zip(config.layers, self.topologies, strict=True):
            if layer.neurons % topology.size:
                raise UsageError(f"the motif size must divide the layer: {layer.neurons} neurons are no whole number of motifs of {topology.size}")
            if not layer.inhibitory < 0 or not layer.threshold or min(layer.threshold) <= 0:
                raise UsageError(f"inhibitory must be below 0 and thresholds above it, not {layer.inhibitory} and {layer.threshold}: correct the recipe")
            if not layer.delays or min(layer.delays) < 0 or len(set(layer.delays)) < len(layer.delays):
                raise UsageError(f"delays must be different numbers of timesteps from 0 up, at least one, not {layer.delays}")
            if max(layer.delays) > LONGEST_DELAY:
                over = max(layer.delays) - LONGEST_DELAY
                raise UsageError(f"delays must be at most {LONGEST_DELAY} timesteps, not {max(layer.delays)}: take {over} off, or a coarser timestep")
            if layer.learn_delays and (layer.delays != tuple(range(len(layer.delays))) or layer.delay_sigma <= 0):
                raise UsageError(
                    f"learnt delays must be among 0, 1, ... D with delay_sigma above 0, not {layer.delays} and {layer.delay_sigma}: correct the recipe"
                )
            if layer.tau_by not in ("neuron", "motif"):
                raise UsageError(f"tau_by must be 'neuron' or 'motif', not {layer.tau_by!r}: correct the recipe")
        self.feed_forward = nn.ParameterList()
        self.intra, self.lateral, self.threshold = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        self.places = nn.ParameterDict()  # learnt delays, in timesteps
        self.moments, self.bias = nn.ModuleList(), nn.ParameterList()  # where ``normalize`` is set
        fan_in = n_inputs
        for number, (layer, topology) in enumerate(zip(config.layers, self.topologies, strict=True)):
            n, size = layer.neurons, topology.size
            if config.normalize:
                self.moments.append(DriveMoments(fan_in, layer.delays))
                self.bias.append(nn.Parameter(torch.zeros(n)))
            if layer.learn_delays:
                self.places[str(number)] = nn.Parameter(torch.rand(fan_in, n) * layer.delays[-1])
            else:
                fan_in *= len(layer.delays)
            scale = 1.0 / math.sqrt(fan_in * (0.15 if number else 0.1))
            self.feed_forward.append(nn.Parameter(torch.randn(fan_in, n) * scale * 0.6))
            links = topology.intra.astype(bool).sum() / size + len(topology.deltas)
            self.intra.append(nn.Parameter(torch.randn(n // size, size, size) * 0.3 / math.sqrt(max(1.0, links))))
            self.lateral.append(nn.Parameter(torch.randn(len(topology.deltas), n) * 0.3 / math.sqrt(max(1.0, links))))
            self.threshold.append(nn.Parameter(torch.tensor(layer.threshold)[torch.arange(n) % len(layer.threshold)]))
            fan_in = n
        self.readout = nn.Parameter(torch.randn(fan_in, n_classes) * 0.5 / math.sqrt(fan_in))
        self.readout_bias = nn.Parameter(torch.zeros(n_classes))  # decides clips without any event
        self.masks = [self._masks(layer.neurons, topology) for layer, topology in zip(config.layers, self.topologies, strict=True)]
        for number, topology in enumerate(self.topologies):
            with torch.no_grad():
                for weights, types in self._links(number, topology):
                    weights.copy_(torch.where(types == Link.EXCITATORY, weights.abs(), weights))
        self.register_buffer("shifts", torch.zeros(2 * len(config.layers) + 1, dtype=torch.int64))
        self.set_shifts()
        self.constants = [self._constants(number) for number in range(len(config.layers))]
        self.decays = nn.ParameterDict()  # of each trained layer: a share for every time constant of the membrane, then for the current
        for number, layer in enumerate(config.layers):
            if layer.train_decays:
                factors = [decay_factor(tau, config.decay_bits) for tau in (*layer.tau_membrane, layer.tau_current)]
                self.decays[str(number)] = nn.Parameter(torch.tensor(factors) / 2.0**config.decay_bits)
        self.readout_constants = self._readout_constants()

    @torch.no_grad()
    def normalize_weights(self, number: int, source: torch.Tensor) -> None:
        """Scale the feed-forward weights of a layer so that events like ``source`` drive its neurons with a spread of ``NORMAL_SPREAD`` nominal thresholds."""
        self.moments[number].observe(source)  # type: ignore[operator]
        _, spread = self.moments[number].of(self.dense_integers(number))  # type: ignore[operator]
        self.feed_forward[number].mul_(NORMAL_SPREAD * self.config.nominal_threshold / float(spread.mean()))
        self.set_shifts()

    def set_shifts(self) -> None:
        """Choose the power-of-two grid of every weight matrix from its present spread: feed-forward and recurrent of each layer, then readout."""
        nominal, bits = self.config.nominal_threshold, self.config.weight_bits
        shifts = []
        for number in range(len(self.config.layers)):
            shifts.append(weight_shift(float(self.feed_forward[number].detach().std()) * nominal, bits))
            shifts.append(weight_shift(self.recurrent_spread(number) * nominal, bits))
        shifts.append(weight_shift(float(self.readout.detach().std()) * nominal, bits))
        self.shifts.copy_(torch.tensor(shifts))

    def recurrent_spread(self, number: int) -> float:
        """Spread of the recurrent weights of a layer, for their grid; with types, of those that are trained, and wide enough for the inhibitory one."""
        topology = self.topologies[number]
        if not topology.typed:
            return float(self.intra[number].detach().std())
        kept = [weights.detach()[((types == Link.EXCITATORY) | (types == Link.FREE)).expand_as(weights)] for weights, types in self._links(number, topology)]
        trained = torch.cat(kept)
        inhibitory = -self.config.layers[number].inhibitory / 3 if (topology.types == Link.INHIBITORY).any() else 0.0
        return max(float(trained.square().mean().sqrt()) if len(trained) else 0.0, inhibitory)

    def weight_integers(self, parameter: torch.Tensor, place: int) -> torch.Tensor:
        """Stored weights (``weight_bits`` two's complement, without shift) of a parameter, differentiable."""
        nominal, bits = self.config.nominal_threshold, self.config.weight_bits
        return round_clamp(parameter * (nominal / 2.0 ** int(self.shifts[place])), -(1 << (bits - 1)), (1 << (bits - 1)) - 1)

    def feed_forward_integers(self, number: int) -> torch.Tensor:
        """Stored weights from below of a layer, [n_delays * n_sources, n_neurons], differentiable, by learnt delays too."""
        weights, layer = self.weight_integers(self.feed_forward[number], 2 * number), self.config.layers[number]
        if not layer.learn_delays:
            return weights
        place = self.places[str(number)].clamp(0, layer.delays[-1])
        at = torch.arange(len(layer.delays)).view(-1, 1, 1)
        bell = torch.softmax(-0.5 * ((at - place) / layer.delay_sigma) ** 2, 0) * weights
        return ((at == place.round()) * weights.detach() + (bell - bell.detach())).flatten(0, 1)  # what is added is 0, and carries the gradient

    @property
    def membrane_limit(self) -> int:
        """The least magnitude that a membrane cannot hold on both sides."""
        return 1 << (self.config.membrane_bits - 1)

    def threshold_integers(self, number: int) -> torch.Tensor:
        """Thresholds of a layer, differentiable; high enough for the decay of each neuron, at most an eighth of the membrane format."""
        return self.neuron_integers(number)[0]

    def neuron_integers(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Thresholds and biases of a layer, float32 [n_neurons] each, differentiable; without ``normalize`` there is no bias."""
        highest, limit = self.membrane_limit // 8, self.membrane_limit - 1
        leak = 1 - self.decay_integers(number)[0].detach().numpy() / (1 << self.config.decay_bits)
        lowest = torch.from_numpy(np.minimum(np.ceil(LEAK_MARGIN / np.maximum(leak, 1e-6)), highest).astype(np.float32))
        threshold = self.threshold[number]
        if not self.config.normalize:
            return round_clamp(threshold * self.config.nominal_threshold, lowest, highest), torch.zeros(len(threshold))
        mean, spread = self.moments[number].of(self.dense_integers(number))  # type: ignore[operator]
        return round_clamp(threshold * spread, lowest, highest), round_clamp(self.bias[number] * spread - mean, -limit, limit)

    def dense_integers(self, number: int) -> torch.Tensor:
        """Effective feed-forward weights of a layer, as ``feed_forward_integers`` with the shift."""
        return self.feed_forward_integers(number) * 2.0 ** int(self.shifts[2 * number])

    def decay_integers(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Decay factors of the membranes and currents of a layer, float32 [n_neurons] each, differentiable where they are trained."""
        if str(number) not in self.decays:
            c = self.constants[number]
            return torch.from_numpy(c.membrane_decay.astype(np.float32)), torch.from_numpy(c.current_decay.astype(np.float32))
        full = 1 << self.config.decay_bits
        factors = round_clamp(self.decays[str(number)] * full, 0, full - 1)
        place = torch.from_numpy(self.config.layers[number].dealt(len(factors) - 1))
        return factors[place], factors[-1].expand(len(place))

    def readout_bias_integers(self) -> torch.Tensor:
        """Biases of the readout neurons, differentiable."""
        highest = self.membrane_limit - 1
        return round_clamp(self.readout_bias * (self.config.nominal_threshold / 16), -highest, highest)

    def recurrent_integers(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Stored intra [M, size, size] and lateral [n_deltas, N] weights of a layer, absent links 0, inhibitory ones at their fixed value."""
        fixed = torch.tensor(self.config.layers[number].inhibitory)
        intra, lateral = (
            self.weight_integers(torch.where(types == Link.INHIBITORY, fixed, weights), 2 * number + 1) * mask
            for (weights, types), mask in zip(self._links(number, self.topologies[number]), self.masks[number], strict=True)
        )
        return intra, lateral

    def forward(self, payloads: torch.Tensor) -> Outputs:
        """Run clips from reset.

        Parameters
        ----------
        payloads : float32 [n_timesteps, n_samples, n_inputs]
            Input payloads, the flush (one timestep a layer, all zero) included by the caller.
        """
        layer_input, spikes, counts = payloads, [], []
        for number, constants in enumerate(self.constants):
            if self.config.normalize and self.training and torch.is_grad_enabled():
                self.moments[number].observe(layer_input)  # type: ignore[operator]
            dense = self.dense_integers(number)
            intra, lateral = (w * 2.0 ** int(self.shifts[2 * number + 1]) for w in self.recurrent_integers(number))
            membrane_decay, current_decay = self.decay_integers(number)
            threshold, bias = self.neuron_integers(number)
            layer_input, _, saturated = scml_layer(
                layer_input, dense, intra, lateral, threshold, constants, bias=bias, membrane_decay=membrane_decay, current_decay=current_decay
            )
            spikes.append(layer_input)
            counts.append(saturated / max(1, layer_input.numel()))
        dense = self.weight_integers(self.readout, -1) * 2.0 ** int(self.shifts[-1])
        none = torch.zeros(0, 1, 1), torch.zeros(0, self.n_classes), torch.zeros(self.n_classes)
        _, emitted, saturated = scml_layer(layer_input, dense, *none, self.readout_constants, bias=self.readout_bias_integers())
        counts.append(saturated / max(1, emitted.numel()))
        return Outputs(emitted.double().sum(0).float(), emitted, spikes, torch.stack(counts))

    def gather_bound(self) -> int:
        """Largest magnitude of a feed-forward plus recurrent sum (P1), in membrane units."""
        worst = 0.0
        for number in range(len(self.config.layers)):
            w = self.dense_integers(number).detach() * (self.payload_max if number == 0 else 1)
            intra, lateral = (x.detach() * 2.0 ** int(self.shifts[2 * number + 1]) for x in self.recurrent_integers(number))
            for sign in (1, -1):
                total = (w * sign).clamp(min=0).sum(0) + (intra * sign).clamp(min=0).sum(1).flatten()
                total = total + (lateral * sign).clamp(min=0).sum(0).max()  # a bound: the exact proof is the export's
                worst = max(worst, float(total.max()))
        w = self.weight_integers(self.readout, -1).detach().abs() * 2.0 ** int(self.shifts[-1])
        return int(max(worst, float(w.sum(0).max())))

    def constrain(self) -> None:
        """Put parameters back where their link type wants them (excitatory weights are not negative). Call after each optimizer step."""
        with torch.no_grad():
            for number, topology in enumerate(self.topologies):
                for weights, types in self._links(number, topology):
                    weights.copy_(torch.where(types == Link.EXCITATORY, weights.clamp(min=0), weights))

    def _links(self, number: int, topology: Topology) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Recurrent weights of a layer beside their types, which spread over the motifs: intra, then lateral."""
        lateral = torch.from_numpy(np.tile(topology.lateral, self.config.layers[number].neurons // topology.size))
        return [(self.intra[number], torch.from_numpy(topology.intra)), (self.lateral[number], lateral)]

    def _masks(self, neurons: int, topology: Topology) -> tuple[torch.Tensor, torch.Tensor]:
        intra = torch.from_numpy((topology.intra != Link.NONE).astype(np.float32)).expand(neurons // topology.size, -1, -1)
        lateral = torch.from_numpy(np.tile(topology.lateral != Link.NONE, neurons // topology.size).astype(np.float32))
        motif = torch.arange(neurons) // topology.size
        for d, delta in enumerate(topology.deltas):  # links that leave the array are absent
            lateral[d, (motif + delta < 0) | (motif + delta >= neurons // topology.size)] = 0
        return intra, lateral

    def _constants(self, number: int) -> LayerConstants:
        layer, topology, c = self.config.layers[number], self.topologies[number], self.config
        n = layer.neurons
        decays = np.array([decay_factor(tau, c.decay_bits) for tau in layer.tau_membrane], np.int64)
        zeros = np.zeros(n, np.int64)
        return LayerConstants(
            current_decay=np.full(n, decay_factor(layer.tau_current, c.decay_bits), np.int64),
            membrane_decay=decays[layer.dealt(len(decays))],
            refractory=np.full(n, c.refractory, np.int64),
            drive_shift=zeros, current_shift=zeros, bias=zeros, initial=zeros,
            subtract=np.full(n, c.reset == "subtract"), firing=np.ones(n, bool), deltas=np.array(topology.deltas, np.int64),
            links=topology.intra != Link.NONE,
            membrane_bits=c.membrane_bits, current_bits=c.current_bits, decay_bits=c.decay_bits,
            surrogate=c.derivative, through_reset=c.through_reset,
            lag=min(number, 1), delays=layer.delays, name=f"layer {number}",
        )  # fmt: skip

    def _readout_constants(self) -> LayerConstants:
        c, n = self.config, self.n_classes
        zeros = np.zeros(n, np.int64)
        return LayerConstants(
            current_decay=zeros, membrane_decay=np.full(n, decay_factor(c.tau_readout, c.decay_bits), np.int64), refractory=zeros,
            drive_shift=zeros, current_shift=zeros, bias=zeros, initial=zeros, subtract=np.zeros(n, bool), firing=np.zeros(n, bool),
            deltas=np.zeros(0, np.int64), links=np.zeros((0, 0), bool), membrane_bits=c.membrane_bits, current_bits=c.current_bits, decay_bits=c.decay_bits,
            lag=1, name="the readout",
        )  # fmt: skip
