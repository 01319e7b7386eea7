# SPDX-License-Identifier: Apache-2.0
"""Every backend gives the integers of the naive oracle: states, spikes, scores, counters and branch counts.

A fixed set of seeded networks runs on all backends, few on the slow ones. A failure names the network and the command that runs it alone.
A drawn network that fails is printed whole, with the line that draws it again; ``--hypothesis-profile=deep`` draws many more.
"""

from __future__ import annotations

import numpy as np
import pytest
from build import axon, network, silent
from cases import ENOUGH, example, limits, lively, make_case, run_case, usable
from hypothesis import given
from networks import networks_with_clips
from ormia.edge.backend import Backend, backend_names, get_backend
from ormia.edge.coverage import BRANCHES, Coverage
from ormia.edge.errors import DataError

# random networks a backend gets besides the named ones: by what loading a network costs it
BUDGET = {"reference": 200, "numba": 400, "torch": 60, "c": 40, "cortex-m": 2, "riscv": 4, "cxxrtl": 3, "cxxrtl-plain": 2, "amaranth": 2, "verilog": 2}
IN_PROCESS = ("reference", "numba", "torch")  # cheap enough for hypothesis
NAMED = {"lively": lively, "limits": limits}
MOST_REFUSED = 0.2  # of the networks, by a backend whose hardware has limits


@pytest.fixture(params=backend_names())
def backend(request: pytest.FixtureRequest) -> Backend:
    return usable(request, request.param)


def test_a_backend_gives_the_integers_of_the_oracle_and_reaches_every_branch(backend, request):
    alone = request.config.getoption("--network")
    budget = request.config.getoption("--networks") or BUDGET[backend.name]
    names = ["lively", "limits", *range(budget)] if alone is None else [alone]
    cases = [NAMED[name]() if name in NAMED else example(int(name)) for name in names]
    outcomes = []
    for case in cases:
        try:
            outcomes.append(run_case(backend, case))
        except Exception as error:
            error.add_note(f"replay: pytest tests/test_backends.py -k 'every_branch and {backend.name}' --network {case.name}")
            raise
    refused = sum(outcome is None for outcome in outcomes)
    assert refused <= MOST_REFUSED * len(cases), f"{backend.name} refused {refused} of {len(cases)} networks"
    reached = sum((outcome for outcome in outcomes if outcome is not None), Coverage()).as_dict()
    assert alone is not None or {name: count for name, count in reached.items() if count < ENOUGH} == {}


@pytest.mark.parametrize("name", IN_PROCESS)
@given(drawn=networks_with_clips())
def test_a_backend_gives_the_integers_of_the_oracle_on_drawn_networks(name, drawn):
    net, clips = drawn
    found = get_backend(name)
    if found.available() is None:
        run_case(found, make_case("drawn network", net, clips))
    else:
        pytest.skip(found.available())


def test_a_backend_refuses_what_is_no_input(backend):
    net = network([silent()], [axon(0, {0: 1})], payload_bits=4, max_timesteps=8, name="tiny")
    machine = backend.load(net)
    wrong = {
        "channel": [[(1, 1)]],
        "payload must be in": [[], [(0, 16)]],
        "at most one event": [[(0, 1), (0, 1)]],
        "at most max_timesteps = 8": [[]] * 9,
    }
    for message, clip in wrong.items():
        with pytest.raises(DataError, match=message):
            machine.run_many([[[(0, 2)]], clip])
    assert machine.run_many([]) == []
    assert [trace.membranes.tolist() for trace in machine.run_many([[[(0, 3)], []], []])] == [[[3], [3]], []]


def test_every_registered_backend_has_a_budget():
    assert sorted(BUDGET) == sorted(backend_names())


def test_the_fixed_set_draws_every_construct():
    nets = [example(seed).network for seed in range(BUDGET["reference"])]

    def share(holds) -> float:
        return sum(bool(holds(net)) for net in nets) / len(nets)

    constructs = {
        "no input": lambda n: n.n_inputs == 0,
        "no axon": lambda n: n.n_axons == 0,
        "no synapse": lambda n: n.n_synapses == 0,
        "an axon without synapses": lambda n: (np.diff(n.synapse_start) == 0).any(),
        "one neuron": lambda n: n.n_neurons == 1,
        "several axons of a source": lambda n: len(set(n.axon_source.tolist())) < n.n_axons,
        "self link": lambda n: any(n.axon_source[a] - n.n_inputs in n.synapses(a)[0] for a in range(n.n_axons)),
        "long delay": lambda n: n.max_delay > 100,
        "shift 7": lambda n: (n.axon_shift == 7).any(),
        "boolean hint": lambda n: n.axon_boolean.any(),
        "motif hint": lambda n: n.motifs,
        "signed payload": lambda n: n.formats.payload_signed,
        "payload of one bit": lambda n: n.formats.payload_bits == 1,
        "flush": lambda n: n.formats.flush,
        "long refractory period": lambda n: (n.kind_refractory[n.neuron_kind] > 5).any(),
        "non-firing kind": lambda n: not n.kind_firing[n.neuron_kind].all(),
        "threshold 1": lambda n: (n.threshold == 1).any(),
        "largest threshold": lambda n: (n.threshold == n.formats.membrane.hi).any(),
        "reset by 0": lambda n: ((n.reset_by == 0) & (n.threshold > 0) & (n.kind_reset[n.neuron_kind] == 1)).any(),
        "no memory": lambda n: (n.kind_membrane_decay[n.neuron_kind] == 0).any(),
        "integrator": lambda n: (n.kind_membrane_decay[n.neuron_kind] == 1 << n.formats.decay_bits).any(),
        "clip of no timestep": lambda n: n.formats.flush == 0,
        **{f"{k} compartments": lambda n, k=k: n.n_compartments == k for k in (1, 2, 3, 4)},
        **{f"readout {mode}": lambda n, mode=mode: n.readout == mode for mode in range(3)},
        **{
            f"{name} {bits}": lambda n, name=name, bits=bits: getattr(n.formats, name) == bits for name in ("membrane_bits", "current_bits") for bits in (8, 24)
        },
    }
    assert {name: share(holds) for name, holds in constructs.items() if share(holds) < 0.03} == {}
    lengths = [len(clip) for seed in range(100) for clip in example(seed).clips]
    assert lengths.count(0) > 10


def test_the_lively_network_alone_reaches_every_branch():
    assert {name: int(count) for name, count in zip(BRANCHES, lively().branches, strict=True) if count < ENOUGH} == {}
