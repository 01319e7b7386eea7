# SPDX-License-Identifier: Apache-2.0
"""Networks with clips and what the oracle says of them, and what holds a backend to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from build import FULL, arrays, axon, network, neuron, silent
from compare import assert_equal
from naive import Result, simulate
from networks import Seeded, random_network, random_payloads
from ormia.edge.backend import Backend, get_backend
from ormia.edge.coverage import BRANCHES, Coverage
from ormia.edge.errors import TargetError
from ormia.edge.events import events_from_payloads
from ormia.edge.network import Network, Readout, Reset

SEED = 4242
ENOUGH = 1000  # times each branch is reached by each backend


@dataclass
class Case:
    """A network, its clips and what the oracle says."""

    name: str
    network: Network
    clips: list[np.ndarray]
    expected: list[Result]

    @property
    def branches(self) -> np.ndarray:
        """Branch counts int64 [n_branches] over all clips."""
        return np.array([[result.branches[name] for name in BRANCHES] for result in self.expected]).sum(axis=0)


def make_case(name: str, net: Network, clips: list[np.ndarray]) -> Case:
    return Case(name, net, clips, [simulate(net, clip) for clip in clips])


@cache
def example(seed: int) -> Case:
    """A small random network of any construct and three clips."""
    chance = Seeded(np.random.default_rng([SEED, seed]))
    net = random_network(chance)
    return make_case(str(seed), net, [random_payloads(chance, net) for _ in range(3)])


@cache
def lively() -> Case:
    """One small network that reaches every branch about once a timestep, for at least ``ENOUGH`` times in few timesteps."""
    cells = [
        silent(bias=9, current_decay=(FULL, 0)),  # 0, 1: currents at both ends of their format
        silent(current_decay=(FULL - 1, 0), membrane_decay=FULL - 90),
        silent(bias=120, current_decay=(0, 0)),  # 2, 3: membranes at either end
        silent(bias=-120, current_decay=(0, 0)),
        silent(bias=-9, membrane_decay=3000, current_decay=(0, 0)),  # 4: leaks below zero
        neuron(6, bias=6, reset=Reset.SUBTRACT, current_decay=(0, 0)),  # 5..8: fire by themselves, at the threshold
        neuron(2, bias=1, refractory=1, current_decay=(0, 0)),
        neuron(5, bias=5, refractory=3, reset=Reset.SUBTRACT, reset_by=4, current_decay=(0, 0)),
        neuron(1, bias=1, current_decay=(0, 0)),
        *[neuron(30, current_decay=(2000, 3000), membrane_decay=3500, drive_shift=1, reset=Reset.SUBTRACT, refractory=2)] * 2,  # 9, 10: of all inputs
    ]
    axons = [
        axon(0, {0: 7, 1: -6, 2: 5, 3: 5}, shift=4),
        axon(1, {0: -3, 1: 7, 2: -8, 3: 6, 4: -5}, delay=1, shift=3),
        axon(2, {4: 3, 9: 2, 10: -1}, compartment=1),
        axon(2, {9: -2, 10: 3}, delay=3),
        *(axon(3 + source, {4: -1, 9: 3 + delay, 10: 4 - delay}, delay=delay, compartment=delay % 2) for delay, source in enumerate((5, 6, 7))),
        axon(3 + 9, {9: -8, 10: 7}),
    ]
    changes = {"readout": Readout.SUM, "readout_neuron": [0, 10, 9], "readout_class": [0, 1, 1], "labels": ("a", "b")}
    formats = {"weight_bits": 4, "membrane_bits": 8, "current_bits": 8, "payload_signed": True, "accumulator_bits": 12, "max_timesteps": 200, "flush": 4}
    net = network(cells, axons, n_inputs=3, name="lively", **changes, **formats)
    rng = np.random.default_rng(SEED)
    return make_case("lively", net, [rng.integers(-8, 8, (length, 3), np.int16) for length in (200, 1, 200, 0, 200, 200)])


@cache
def limits() -> Case:
    """A network at the ends of every range: widths, delays, shifts, refractory period, kinds, compartments, flush."""
    top, full = 2**23 - 1, 2**15
    cells = [
        neuron(
            top, initial_membrane=top, refractory=255, reset=Reset.SUBTRACT, membrane_decay=full, current_decay=(full,) * 4, drive_shift=7, current_shift=15
        ),
        silent(initial_membrane=-top - 1, bias=top, membrane_decay=full - 1, current_decay=(full - 1, 1, 0, full), drive_shift=7),
        neuron(1, bias=1, membrane_decay=1, current_decay=(0,) * 4),
        neuron(top, bias=-top - 1, reset_by=0, reset=Reset.SUBTRACT, membrane_decay=full, current_decay=(full, 0, full, 1), current_shift=1, refractory=254),
    ]
    axons = [
        axon(0, {0: 127, 1: -128, 3: 127}, delay=255, shift=7, compartment=3),
        axon(0, {0: -128, 1: 127, 3: -128}, delay=254, shift=7, compartment=0),
        axon(1, {0: 127, 3: 127}, shift=7, compartment=2),
        axon(2 + 2, {0: 1, 1: -1, 3: 127}, delay=255, compartment=1),
        axon(2 + 0, {3: 127}, delay=0, shift=7, compartment=2),
    ]
    widths = {"membrane_bits": 24, "current_bits": 24, "weight_bits": 8, "decay_bits": 15, "payload_bits": 8, "payload_signed": True, "accumulator_bits": 23}
    last = {"readout": Readout.LAST, "readout_neuron": [3, 1, 0], "readout_class": [0, 2, 1], "labels": ("a", "b", "c"), "score_bits": 25}
    kinds = arrays([cells[n % 4] for n in range(256)], [])
    given = arrays(cells, axons) | {name: kinds[name] for name in kinds if name.startswith("kind_")} | {"neuron_kind": [252, 1, 130, 255]}
    net = network([], n_inputs=2, name="limits", max_timesteps=300, flush=255, **widths, **last, **given)
    rng = np.random.default_rng(SEED)
    return make_case("limits", net, [rng.integers(-128, 128, (300, 2), np.int16) * (rng.random((300, 2)) < 0.2)])


def usable(request: pytest.FixtureRequest, name: str) -> Backend:
    """The backend of that name; skips with the reason where it cannot run, or fails with ``--require-backends``."""
    try:
        found = get_backend(name)
        reason = found.available()
    except ModuleNotFoundError as missing:
        if not (missing.name or "").startswith("ormia."):
            raise
        reason = f"backend {name} is not written yet ({missing.name})"
    if reason is None:
        return found
    (pytest.fail if request.config.getoption("--require-backends") else pytest.skip)(reason)


def run_case(backend: Backend, case: Case) -> Coverage | None:
    """Demand equality on all clips; the machine's branch counts, or None where it cannot hold the network."""
    try:
        machine = backend.load(case.network)
    except TargetError:
        return None
    where = f"{backend.name}, network {case.name}"
    traces = machine.run_many([events_from_payloads(clip) for clip in case.clips])
    assert len(traces) == len(case.clips), where
    for number, (expected, got) in enumerate(zip(case.expected, traces, strict=True)):
        assert_equal(expected, got, where=f"{where}, clip {number}")
    counts = machine.coverage.as_dict()
    assert counts == dict(zip(BRANCHES, case.branches.tolist(), strict=True)), where
    return Coverage(**counts)
