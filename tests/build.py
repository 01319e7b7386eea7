# SPDX-License-Identifier: Apache-2.0
"""Small networks written by hand, for tests that state a sentence of docs/semantics.md in numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import assert_equal
from naive import simulate
from ormia.edge.errors import NetworkError
from ormia.edge.events import events_from_payloads
from ormia.edge.network import Formats, Network, Readout, Reset
from ormia.edge.reference import Reference
from ormia.edge.trace import Trace

INPUT = 0  # the source index of the only channel of most networks here
NEURON = 1  # that of neuron 0 beside it
FULL = 1 << 12  # the decay factor of an integrator at the default decay_bits
FORMATS: dict[str, Any] = {"weight_bits": 8, "payload_bits": 4, "accumulator_bits": 24, "max_timesteps": 64}


def neuron(threshold: int = 10, **values: Any) -> dict[str, Any]:
    """A neuron and the kind it alone has: an integrator with memoryless current, reset to zero, unless told."""
    given = {
        "threshold": threshold,
        "reset_by": None,
        "bias": 0,
        "initial_membrane": 0,
        "membrane_decay": FULL,
        "current_decay": (0,),
        "firing": True,
        "reset": Reset.ZERO,
        "refractory": 0,
        "drive_shift": 0,
        "current_shift": 0,
    }
    unknown = set(values) - set(given)
    assert not unknown, unknown
    return given | values


def silent(**values: Any) -> dict[str, Any]:
    """A neuron of a non-firing kind."""
    return neuron(0, firing=False, **values)


def axon(source: int, synapses: dict[int, int], delay: int = 0, shift: int = 0, compartment: int = 0, boolean: bool = False) -> dict[str, Any]:
    """An axon; ``synapses`` maps a target to its weight."""
    return {"source": source, "synapses": synapses, "delay": delay, "shift": shift, "compartment": compartment, "boolean": boolean}


def arrays(neurons: list[dict[str, Any]], axons: list[dict[str, Any]]) -> dict[str, Any]:
    """The array arguments of a ``Network`` with one kind a neuron."""
    reset_by = [n["threshold"] if n["reset_by"] is None else n["reset_by"] for n in neurons]
    return {
        **{f"axon_{name}": np.array([a[name] for a in axons], int) for name in ("source", "delay", "shift", "compartment", "boolean")},
        "synapse_start": np.cumsum([0, *(len(a["synapses"]) for a in axons)]),
        "synapse_target": np.array([target for a in axons for target in a["synapses"]], int),
        "synapse_weight": np.array([weight for a in axons for weight in a["synapses"].values()], int),
        "neuron_kind": np.arange(len(neurons)),
        "reset_by": np.array(reset_by, int),
        **{name: np.array([n[name] for n in neurons], int) for name in ("threshold", "bias", "initial_membrane")},
        **{
            f"kind_{name}": np.array([n[name] for n in neurons], int)
            for name in ("membrane_decay", "current_decay", "firing", "reset", "refractory", "drive_shift", "current_shift")
        },
    }


def network(neurons: list[dict[str, Any]], axons: list[dict[str, Any]] | None = None, *, n_inputs: int = 1, **changes: Any) -> Network:
    """A network of ``neurons`` and ``axons``; neuron 0 is read out as the only class. ``changes`` replace any argument.

    A change that names a field of ``Formats`` goes there.
    """
    formats = FORMATS | {name: changes.pop(name) for name in list(changes) if name in Formats.__dataclass_fields__}
    given = {
        "formats": Formats(**formats),
        "n_inputs": n_inputs,
        **arrays(neurons, axons or []),
        "readout_neuron": [0],
        "readout_class": [0],
        "readout": Readout.SUM,
        "labels": ("only",),
    }
    return Network(**(given | changes))


def payloads(*timesteps: Any) -> np.ndarray:
    """Payloads [T, n_inputs]; a bare number is the payload of a single channel."""
    return np.array([np.atleast_1d(at_t) for at_t in timesteps], np.int16) if timesteps else np.zeros((0, 1), np.int16)


def same_clip(net: Network, clip: np.ndarray) -> Trace:
    """Run ``clip`` on the naive oracle and on the reference, demand equal integers, return the reference's trace."""
    machine = Reference(net)
    got = machine.run(events_from_payloads(clip))
    assert_equal(simulate(net, clip), got, machine.coverage)
    return got


def membranes(net: Network, clip: np.ndarray, of: int = 0) -> list[int]:
    """Membranes of one neuron, the same on oracle and reference."""
    return same_clip(net, clip).membranes[:, of].tolist()


def spikes(net: Network, clip: np.ndarray, of: int = 0) -> list[int]:
    """Spikes of one neuron as 0 and 1, the same on oracle and reference."""
    return same_clip(net, clip).raster[:, of].astype(int).tolist()


def refused(pattern: str, *args: Any, **changes: Any) -> None:
    """Demand that ``network`` of the same arguments raises a matching sentence."""
    with pytest.raises(NetworkError, match=pattern):
        network(*args, **changes)
