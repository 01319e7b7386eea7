# SPDX-License-Identifier: Apache-2.0
"""The fused kernels as torch operators ``ormia::layer`` and ``ormia::layer_backward``: what autograd, ``torch.compile`` and ``opcheck`` see.

Here too is the check that single precision is exact: every sum that the kernel keeps in float32 is proven below 2**24 or refused.
"""

from __future__ import annotations

import numpy as np
import torch

from ..edge.errors import NetworkError
from .kernels import NEVER, layer_forward
from .kernels_backward import layer_backward
from .vectors import TILE_COLUMNS

__all__ = ["LayerResult", "layer_op"]

PARTS = 8  # partial sums of weight gradients: fixed, so that results do not depend on the number of threads
EXACT = 1 << 24  # integers up to it are exact in float32
Wiring = list[torch.Tensor]
LayerResult = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


@torch.library.custom_op("ormia::layer", mutates_args=(), device_types="cpu")
def layer_op(
    source: torch.Tensor, dense: torch.Tensor, intra: torch.Tensor, lateral: torch.Tensor, weight: torch.Tensor, neuron: torch.Tensor, fixed: torch.Tensor,
    wiring: list[torch.Tensor], lag: int, bits: list[int], surrogate: int, scale: float, through_reset: bool, emit: bool, decays: bool, name: str,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """Run a group of neurons over whole sequences; shapes and meaning as ``kernels.layer_forward`` gives them.

    Parameters
    ----------
    source, dense, intra, lateral, weight, neuron : float32
        Integers in float32. Differentiable.
    fixed : int64 [6, N]
    wiring : list of int64 tensors
        delays, deltas, axon_first, axon_delay, axon_compartment, synapse_start, target.
    lag, bits, surrogate, scale, through_reset
        See the kernels; ``bits`` is (membrane, current, decay), ``surrogate`` the code.
    emit, decays : bool
        Whether membranes after S6 are wanted; whether gradients by decays are.
    name : str
        Of the layer, for errors.

    Returns
    -------
    spikes, after : float32 [T, B, N]
        The second empty unless ``emit``.
    membrane, current, status, counts
        What the backward pass needs, and counts of saturations; not differentiable.

    Raises
    ------
    NetworkError
        If a sum of S1 could leave the integers that float32 holds exactly, or a value is no integer.
    """
    t, b, n = source.shape[0], source.shape[1], neuron.shape[1]
    _check_shapes(source, dense, intra, lateral, weight, neuron, fixed, wiring)
    result = _empty_result(source, neuron, bits, emit, decays)
    links = [x.detach().contiguous() for x in (source, dense, intra, lateral, weight)]
    whole = neuron.detach().to(torch.int64)
    if not torch.equal(whole.to(neuron.dtype), neuron) or any(not torch.equal(x, x.round()) for x in links[1:]):
        raise NetworkError(f"weights, thresholds, biases and decays of {name} must be integers: round them before the kernel (train/quantize.py)")
    x, *matrices, synapses = (tensor.numpy() for tensor in links)
    delays, deltas, *axons = (tensor.numpy() for tensor in wiring)
    state = _state_form(whole.numpy(), fixed.numpy(), bits)
    layer_forward(x, lag, delays, *matrices, deltas, *axons, synapses, state, fixed.numpy(), tuple(bits), PARTS, *(part.numpy() for part in result))
    if t and b and n:
        _check_exact(int(result[5][:, 2].max()), int(result[5][:, 2].min()), links[1:], wiring, x.shape[2], n, name)
    return result


@layer_op.register_fake
def _(source, dense, intra, lateral, weight, neuron, fixed, wiring, lag, bits, surrogate, scale, through_reset, emit, decays, name):  # type: ignore[no-untyped-def]
    return _empty_result(source, neuron, bits, emit, decays)


@torch.library.custom_op("ormia::layer_backward", mutates_args=(), device_types="cpu")
def _backward_op(
    g_spikes: torch.Tensor, g_after: torch.Tensor, source: torch.Tensor, dense: torch.Tensor, intra: torch.Tensor, lateral: torch.Tensor,
    weight: torch.Tensor, neuron: torch.Tensor, fixed: torch.Tensor, wiring: list[torch.Tensor], membrane: torch.Tensor, current: torch.Tensor,
    status: torch.Tensor, lag: int, bits: list[int], surrogate: int, scale: float, through_reset: bool, by_source: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """Gradients by source, dense, intra, lateral, weight and neuron; see ``kernels_backward.layer_backward``."""
    g_source, back = torch.empty(source.shape if by_source else (0, 0, 0)), dense.new_zeros(0, 0, 0)
    if by_source and len(dense):
        blocks = dense.detach().unflatten(0, (len(wiring[0]), source.shape[2])).transpose(1, 2)
        back = torch.nn.functional.pad(blocks, (0, -source.shape[2] % TILE_COLUMNS)).contiguous()
    sums = [torch.zeros(PARTS, *x.shape) for x in (dense, intra, lateral, weight, neuron)]
    links = [x.detach().contiguous().numpy() for x in (source, dense, intra, lateral, weight)]
    delays, deltas, *axons = (x.numpy() for x in wiring)
    layer_backward(
        g_spikes.contiguous().numpy(), g_after.contiguous().numpy(), links[0], lag, delays, *links[1:4], deltas, *axons, links[4],
        neuron.detach().to(torch.int64).numpy(), fixed.numpy(), tuple(bits), membrane.numpy(), current.numpy(), status.numpy(), (surrogate, scale),
        through_reset, by_source, back.numpy(), PARTS, g_source.numpy(), *(x.numpy() for x in sums),
    )  # fmt: skip
    g_dense, g_intra, g_lateral, g_weight, g_neuron = (x.sum(0) for x in sums)
    g_neuron[3:] /= 1 << bits[2]
    return g_source, g_dense, g_intra, g_lateral, g_weight, g_neuron


@_backward_op.register_fake
def _(g_spikes, g_after, source, dense, intra, lateral, weight, neuron, fixed, wiring, membrane, current, status, lag, bits, surrogate, scale,
      through_reset, by_source):  # type: ignore[no-untyped-def]  # fmt: skip
    g_source = torch.empty_like(source) if by_source else source.new_empty(0, 0, 0)
    return g_source, *(torch.empty_like(x) for x in (dense, intra, lateral, weight, neuron))


def _setup(ctx, inputs, output):  # type: ignore[no-untyped-def]
    source, dense, intra, lateral, weight, neuron, fixed, wiring, lag, bits, surrogate, scale, through_reset, _, _, _ = inputs
    _, _, membrane, current, status, _ = output
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(source, dense, intra, lateral, weight, neuron, fixed, membrane, current, status, *wiring)
    ctx.options = (lag, bits, surrogate, scale, through_reset)


def _gradient(ctx, g_spikes, g_after, *_):  # type: ignore[no-untyped-def]
    source, dense, intra, lateral, weight, neuron, fixed, membrane, current, status, *wiring = ctx.saved_tensors
    by_source = ctx.needs_input_grad[0]
    absent = source.new_empty(0, 0, 0)
    g_spikes, g_after = absent if g_spikes is None else g_spikes, absent if g_after is None else g_after
    found = _backward_op(g_spikes, g_after, source, dense, intra, lateral, weight, neuron, fixed, wiring, membrane, current, status, *ctx.options, by_source)
    return (found[0] if by_source else None, *found[1:], None, [None] * len(wiring), None, None, None, None, None, None, None, None)


layer_op.register_autograd(_gradient, setup_context=_setup)


def _empty_result(source: torch.Tensor, neuron: torch.Tensor, bits: list[int], emit: bool, decays: bool) -> LayerResult:
    """Tensors that the forward kernel fills. The narrow formats are for layers of one compartment, the usual case; one wide form serves all others."""
    t, b, n, compartments = source.shape[0], source.shape[1], neuron.shape[1], neuron.shape[0] - 4
    narrow = compartments == 1 and max(bits[:2]) <= 16
    state, mark = (torch.int16, torch.uint8) if narrow else (torch.int32, torch.int16)
    after = source.new_empty((t, b, n) if emit else (0, 0, 0))
    current = source.new_empty((t, b, compartments, n) if decays else (0, 0, 0, 0), dtype=state)
    status, counts = source.new_empty((t, b, n), dtype=mark), source.new_empty((b, 3), dtype=torch.int64)
    return source.new_empty(t, b, n), after, source.new_empty((t, b, n), dtype=state), current, status, counts


def _state_form(neuron: np.ndarray, fixed: np.ndarray, bits: list[int]) -> np.ndarray:
    """``neuron`` as int32 where the narrow form of ``kernels.advance`` holds every value, else as it is.

    A sum of S1 is within ``EXACT`` (``_check_exact``), a product of a 16-bit state and a decay factor of at most 15 bits within 2**31.
    """
    firing, _, refractory, _, drive_shift, current_shift = fixed
    plain = len(neuron) == 5 and max(bits[:2]) <= 16 and bits[2] <= 15 and not (refractory.any() or drive_shift.any() or current_shift.any())
    if not plain or np.abs(neuron).max(initial=0) > EXACT or neuron[3:].max(initial=0) >> bits[2]:
        return neuron
    narrow = neuron.astype(np.int32)
    narrow[0, firing == 0] = NEVER
    return narrow


def _check_shapes(
    source: torch.Tensor, dense: torch.Tensor, intra: torch.Tensor, lateral: torch.Tensor, weight: torch.Tensor, neuron: torch.Tensor, fixed: torch.Tensor,
    wiring: Wiring,
) -> None:  # fmt: skip
    """Compiled kernels check no index: shapes that do not belong together are refused here."""
    n, (delays, deltas, axon_first, axon_delay, axon_compartment, start, target) = neuron.shape[1], wiring
    rules = {
        "dense must have one row a source and delay": dense.shape[1] == n and len(dense) in (0, len(delays) * source.shape[2]),
        "intra must hold whole motifs": len(intra) == 0 or (intra.shape[1] == intra.shape[2] and len(intra) * intra.shape[1] == n),
        "lateral must have one row a distance": tuple(lateral.shape) == (len(deltas), n),
        "fixed must have six rows": tuple(fixed.shape) == (6, n),
        "axons must have one delay, compartment and list each": len(axon_delay) == len(axon_compartment) == len(start) - 1,
        "axons must be listed for every source": len(axon_delay) == 0 or len(axon_first) == source.shape[2] + n + 1,
        "synapses must have one weight each": len(weight) == len(target),
    }
    broken = [rule for rule, holds in rules.items() if not holds]
    if broken:
        raise ValueError("; ".join(broken))


def _check_exact(largest: int, least: int, links: list[torch.Tensor], wiring: Wiring, n_sources: int, n: int, name: str) -> None:
    """Refuse a layer of which float32 might not hold a sum of S1: the sum of all magnitudes bounds it, whatever its order."""
    if least < 0:
        raise NetworkError(f"payloads into {name} must be integers below 2**24 in magnitude: encode the input as docs/semantics.md A5 asks")
    dense, intra, lateral, weight = links
    reach = np.zeros(n, np.float64)
    if len(dense):
        reach += dense.abs().sum(0).numpy() * largest
    if len(intra):
        reach += intra.abs().sum(1).flatten().numpy()
    if len(lateral):
        reach += lateral.abs().max(1).values.sum().item()
    axon_first, _, axon_compartment, synapse_start, target = (x.numpy() for x in wiring[2:])
    bound = float(reach.max())
    if len(target):
        outer = synapse_start[axon_first[n_sources]]  # synapses of arrivals come first
        place = np.repeat(axon_compartment, np.diff(synapse_start)) * n + target
        sums = np.bincount(place, np.abs(weight.numpy()) * np.where(np.arange(len(target)) < outer, largest, 1), int(place.max()) + 1)
        bound += float(sums.max())
    _refuse(bound, name)


def _refuse(bound: float, name: str) -> None:
    if bound > EXACT:
        raise NetworkError(
            f"sums of S1 must stay within 2**24, which float32 holds exactly; {name} can reach {bound:.0f}: "
            "lower its shifts, weight_bits, fan-in or the payloads"
        )
