# SPDX-License-Identifier: Apache-2.0
"""int8 inference of the baselines in integers, and the same networks with imitated rounding for fine-tuning.

Weights are symmetric, one scale per output channel (the head one for all, so that int32 scores compare); activations have one affine grid a tensor,
calibrated on training clips; biases are int32. Features enter as int8. Knows nothing of corpora or optimizers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from .integers import Grid, Multiplier, Table, fake_quantize, integer_matmul, interpolate, weight_grid
from .networks import CHANNELS, DSCNN, GRU, HIDDEN

__all__ = ["Cost", "QuantizedDSCNN", "QuantizedGRU", "quantized"]

CHANNEL_BYTES = 4 + 4 + 1  # int32 bias, mantissa and shift of a multiplier
Mark = Callable[[int, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one inference takes, features aside.

    Attributes
    ----------
    parameters : int
        Numbers learned, normalisation folded.
    weight_bytes : int
        Constants: weights, biases, multipliers and tables.
    activation_bytes : int
        The largest pair of adjacent tensors (DS-CNN: input and output of a layer; GRU: all that lives within a frame, the frame included).
    multiply_accumulates : int
        Of matrix products and convolutions, in a clip.
    """

    parameters: int
    weight_bytes: int
    activation_bytes: int
    multiply_accumulates: int


class _Quantized(nn.Module):
    """Weights, biases and activation grids of a network; subclasses say how they are used."""

    def __init__(self, layers: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(weight) for weight, _ in layers)
        self.biases = nn.ParameterList(nn.Parameter(bias) for _, bias in layers)
        self.grids: list[Grid] = []

    def run(self, features: torch.Tensor, mark: Mark, weights: list[torch.Tensor]) -> torch.Tensor:
        """Logits in floating point; every stored activation passes through ``mark`` with its number."""
        raise NotImplementedError

    @torch.no_grad()
    def calibrate(self, features: torch.Tensor) -> None:
        """Set the activation grids to the ranges seen on training clips."""
        seen: dict[int, tuple[float, float]] = {}

        def mark(number: int, x: torch.Tensor) -> torch.Tensor:
            lo, hi = seen.get(number, (0.0, 0.0))
            seen[number] = (min(lo, float(x.min())), max(hi, float(x.max())))
            return x

        self.run(features, mark, list(self.weights))
        self.grids = [Grid.over(*seen[number]) for number in sorted(seen)]

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits with imitated rounding, differentiable."""

        def mark(number: int, x: torch.Tensor) -> torch.Tensor:
            grid = self.grids[number]
            return fake_quantize(x, torch.tensor(grid.scale), -128 - grid.zero, 127 - grid.zero)

        return self.run(features, mark, [fake_quantize(w, self._scale(i), -127, 127) for i, w in enumerate(self.weights)])

    @torch.no_grad()
    def integer_weight(self, number: int) -> torch.Tensor:
        """Stored weights of a layer, int64 in -127..127."""
        return torch.round(self.weights[number] / self._scale(number)).clamp(-127, 127).to(torch.int64)

    def integer_logits(self, features: torch.Tensor) -> torch.Tensor:
        """Scores int64 [n, n_classes], computed in integers alone once the features are rounded."""
        raise NotImplementedError

    def _scale(self, number: int) -> torch.Tensor:
        return weight_grid(self.weights[number], per_channel=number + 1 < len(self.weights))

    def _sum(self, x: torch.Tensor, number: int, input_scale: float) -> tuple[torch.Tensor, torch.Tensor]:
        """``x @ weight.T + bias`` in int32 and the real value of a unit of each channel."""
        unit, bias = self._unit_bias(number, input_scale)
        return integer_matmul(x, self.integer_weight(number).flatten(1)) + bias, unit

    @torch.no_grad()
    def _unit_bias(self, number: int, input_scale: float) -> tuple[torch.Tensor, torch.Tensor]:
        unit = self._scale(number).flatten().double() * input_scale
        return unit, torch.round(self.biases[number] / unit).clamp(-(2**31), 2**31 - 1).to(torch.int64)


class QuantizedDSCNN(_Quantized):
    """int8 DS-CNN. Tensors: the features, the output of each convolution after ReLU, the mean."""

    def __init__(self, network: DSCNN) -> None:
        super().__init__(network.folded())

    def run(self, features: torch.Tensor, mark: Mark, weights: list[torch.Tensor]) -> torch.Tensor:
        """See ``_Quantized.run``."""
        x, last = mark(0, features[:, None]), len(weights) - 1
        for number, weight in enumerate(weights[:-1]):
            padding, stride, groups = (1 if number % 2 else 0), (1 if number else 2), (CHANNELS if number % 2 else 1)
            x = x if number else nn.functional.pad(x, (1, 1, 4, 5))
            x = mark(number + 1, nn.functional.conv2d(x, weight, self.biases[number], stride=stride, padding=padding, groups=groups).relu())
        return nn.functional.linear(mark(last + 1, x.mean((2, 3))), weights[-1], self.biases[last])

    @torch.no_grad()
    def integer_logits(self, features: torch.Tensor) -> torch.Tensor:
        """See ``_Quantized.integer_logits``. Integers are kept with their zero subtracted, so padding is 0."""
        last = len(self.weights) - 1
        x = (self.grids[0].integers(features) - self.grids[0].zero)[..., None]  # [n, rows, columns, channels]
        for number in range(last):
            scale = self.grids[number].scale
            if number == 0:
                patches = nn.functional.pad(x[..., 0], (1, 1, 4, 5)).unfold(1, 10, 2).unfold(2, 4, 2).flatten(3)
                total, unit = self._sum(patches, number, scale)
            elif number % 2:
                unit, bias = self._unit_bias(number, scale)
                total = _depthwise(x, self.integer_weight(number)[:, 0]) + bias
            else:
                total, unit = self._sum(x, number, scale)
            out = self.grids[number + 1]
            x = Multiplier.of(unit / out.scale).apply(total).clamp(0, 127 - out.zero)  # ReLU is the lower end
        out, places = self.grids[last + 1], x.shape[1] * x.shape[2]
        mean = Multiplier.of(torch.tensor(self.grids[last].scale / out.scale / places)).apply(x.sum((1, 2))).clamp(0, 127 - out.zero)
        return self._sum(mean, last, out.scale)[0]

    def cost(self, n_frames: int, n_features: int, *, bits: int = 8) -> Cost:
        """Sizes for ``bits`` 8 or 32 (float, normalisation folded)."""
        places = -(-n_frames // 2) * -(-n_features // 2)
        sizes = [w.numel() for w in self.weights]
        channels = sum(len(b) for b in self.biases)
        tensors = [n_frames * n_features] + [places * CHANNELS] * (len(sizes) - 1) + [CHANNELS]
        pair = max(a + b for a, b in itertools.pairwise(tensors))
        return Cost(
            parameters=sum(sizes) + channels, activation_bytes=pair * bits // 8, multiply_accumulates=places * sum(sizes[:-1]) + sizes[-1],
            weight_bytes=sum(sizes) + CHANNEL_BYTES * channels if bits == 8 else 4 * (sum(sizes) + channels),
        )  # fmt: skip


class QuantizedGRU(_Quantized):
    """int8 GRU: int8 operands of every matrix product, int16 sums of the gates (12 fraction bits), state (15) and tables, as int8 recurrent kernels have it."""

    def __init__(self, network: GRU) -> None:
        r = network.recurrent
        pairs = [(r.weight_ih_l0, r.bias_ih_l0), (r.weight_hh_l0, r.bias_hh_l0), (network.head.weight, network.head.bias)]
        super().__init__([(weight.detach().clone(), bias.detach().clone()) for weight, bias in pairs])
        self.sigmoid, self.tanh = Table(torch.sigmoid), Table(torch.tanh)

    def run(self, features: torch.Tensor, mark: Mark, weights: list[torch.Tensor]) -> torch.Tensor:
        """See ``_Quantized.run``; the features have a calibrated grid, the state the fixed one of 7 fraction bits."""
        inputs, recurrent, head = weights
        arriving = nn.functional.linear(mark(0, features), inputs, self.biases[0])
        state = total = features.new_zeros(len(features), HIDDEN)
        step = torch.tensor(2.0**-7)
        for now in arriving.unbind(1):
            xr, xz, xn = now.chunk(3, 1)
            hr, hz, hn = nn.functional.linear(fake_quantize(state, step, -128, 127), recurrent, self.biases[1]).chunk(3, 1)
            update = torch.sigmoid(xz + hz)
            state = (1 - update) * torch.tanh(xn + torch.sigmoid(xr + hr) * hn) + update * state
            total = total + state
        return nn.functional.linear(fake_quantize(total / arriving.shape[1], step, -128, 127), head, self.biases[2])

    @torch.no_grad()
    def integer_logits(self, features: torch.Tensor) -> torch.Tensor:
        """See ``_Quantized.integer_logits``."""
        grid = self.grids[0]
        arriving, unit = self._sum(grid.integers(features) - grid.zero, 0, grid.scale)
        arriving = _int16(Multiplier.of(unit * 2**12).apply(arriving))
        state = total = torch.zeros(len(features), HIDDEN, dtype=torch.int64)
        for now in arriving.unbind(1):
            heard, unit = self._sum(((state + 128) >> 8).clamp(-128, 127), 1, 2.0**-7)
            xr, xz, xn = now.chunk(3, 1)
            hr, hz, hn = _int16(Multiplier.of(unit * 2**12).apply(heard)).chunk(3, 1)
            reset, update = interpolate(self.sigmoid, _int16(xr + hr)), interpolate(self.sigmoid, _int16(xz + hz))
            new = interpolate(self.tanh, _int16(xn + (reset * hn + (1 << 14) >> 15)))
            state = _int16(update * state + ((1 << 15) - update) * new + (1 << 14) >> 15)
            total = total + state
        mean = Multiplier.of(torch.tensor(2.0**-8 / arriving.shape[1])).apply(total).clamp(-128, 127)
        return self._sum(mean, 2, 2.0**-7)[0]

    def cost(self, n_frames: int, n_features: int, *, bits: int = 8) -> Cost:
        """Sizes for ``bits`` 8 or 32 (float): within a frame live the frame, both sums of the gates, the state, its int8 copy and the sum of states."""
        sizes, channels = [w.numel() for w in self.weights], sum(len(b) for b in self.biases)
        small = n_features + HIDDEN + 2 * (6 * HIDDEN + HIDDEN) + 4 * HIDDEN
        return Cost(
            parameters=sum(sizes) + channels, activation_bytes=small if bits == 8 else 4 * (n_features + 8 * HIDDEN),
            multiply_accumulates=n_frames * sum(sizes[:2]) + sizes[2],
            weight_bytes=sum(sizes) + CHANNEL_BYTES * channels + 2 * Table.bytes if bits == 8 else 4 * (sum(sizes) + channels),
        )  # fmt: skip


def quantized(network: nn.Module) -> QuantizedDSCNN | QuantizedGRU:
    """The int8 form of a float baseline, not yet calibrated."""
    if isinstance(network, DSCNN):
        return QuantizedDSCNN(network)
    assert isinstance(network, GRU)
    return QuantizedGRU(network)


def _depthwise(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """3 x 3 convolution of each channel, int64 [n, rows, columns, channels] with weights [channels, 3, 3], zero outside."""
    rows, columns = x.shape[1:3]
    padded = nn.functional.pad(x.to(torch.int32), (0, 0, 1, 1, 1, 1))
    small = weight.to(torch.int32)  # 9 products of 9 by 8 bits
    total = torch.zeros_like(x, dtype=torch.int32)
    for i in range(3):
        for j in range(3):
            total += padded[:, i : i + rows, j : j + columns] * small[:, i, j]
    return total.to(torch.int64)


def _int16(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(-(2**15), 2**15 - 1)
