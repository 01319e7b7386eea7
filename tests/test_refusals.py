# SPDX-License-Identifier: Apache-2.0
"""Every sentence with which a network or an input is refused: what must hold, not the value found, where.

A refusal without a test here fails ``test_every_refusal_in_the_code_is_met_by_a_test``.
"""

from __future__ import annotations

import ast
import inspect
import re
from types import ModuleType

import numpy as np
import pytest
from build import INPUT, NEURON, axon, network, neuron, silent
from ormia.edge import network as network_module
from ormia.edge import trace, validation
from ormia.edge.errors import DataError, NetworkError
from ormia.edge.network import MotifHint, Readout
from ormia.edge.reference import Reference

TWO = [neuron(5), silent()]
LINE = [axon(INPUT, {0: 1, 1: 2}), axon(NEURON, {1: 3})]
ARRAY = MotifHint(base=0, size=1, count=2)


def hint(**changes):
    return {"motifs": (MotifHint(**({"base": 0, "size": 1, "count": 2, "lateral": ((1, 0),)} | changes)),)}


# changes to a network of TWO and LINE -> the sentence, whole
REFUSALS = [
    # F1..F7, A2, N2
    *(
        ({name: value}, f"{name} must be in {lo}..{hi}, not {value}")
        for name, (lo, hi) in {
            "membrane_bits": (8, 24),
            "current_bits": (8, 24),
            "weight_bits": (2, 8),
            "decay_bits": (8, 15),
            "payload_bits": (1, 8),
            "accumulator_bits": (8, 24),
            "score_bits": (8, 32),
            "max_timesteps": (1, 2**20),
            "flush": (0, 255),
        }.items()
        for value in (lo - 1, hi + 1)
    ),
    ({"flush": True}, "flush must be in 0..255, not True"),
    ({"membrane_bits": 16.0}, "membrane_bits must be in 8..24, not 16.0"),
    ({"payload_signed": 1}, "payload_signed must be true or false, not 1"),
    ({"payload_signed": True, "payload_bits": 1}, "payload_bits must be at least 2 where payload_signed is set, not 1"),
    ({"n_inputs": -1}, "n_inputs must be in 0..2147483645, not -1"),
    ({"n_inputs": 2**31 - 2}, "n_inputs must be in 0..2147483645, not 2147483646"),
    ({"n_inputs": 1.0}, "n_inputs must be in 0..2147483645, not 1.0"),
    ({"readout": 3}, "readout must be one of 0 (SUM), 1 (LAST), 2 (SPIKES), not 3"),
    ({"name": "2nd"}, "name must be a letter and up to 47 letters, digits or underscores, not '2nd'"),
    ({"name": "a\n"}, "name must be a letter and up to 47 letters, digits or underscores, not 'a\\n'"),
    ({"name": 3}, "name must be a letter and up to 47 letters, digits or underscores, not 3"),
    ({"labels": ("a", "a")}, "labels must be distinct"),
    # types and shapes
    ({"bias": [1.5, 0.0]}, "bias must be integers, not float64"),
    ({"bias": [float("nan"), 0.0]}, "bias must be integers, not float64"),
    ({"bias": [2**70, 0]}, "bias must be integers, not object"),
    ({"bias": np.array([2**64 - 1, 0], np.uint64)}, "bias must be in -2147483648..2147483647, not 0..18446744073709551615"),
    ({"axon_delay": [256, 0]}, "axon_delay must be in 0..255, not 0..256"),
    ({"kind_firing": [2, 0]}, "kind_firing must be in 0..1, not 0..2"),
    ({"neuron_kind": 0}, "neuron_kind must be an array, not 0"),
    ({"axon_source": 0, "axon_delay": None}, "axon_source must be an array, not 0"),
    (
        {"kind_current_decay": np.zeros((2, 5), int)},
        "kind_current_decay must be [n_kinds, n_compartments] with 1..4 compartments, not (2, 5)",
    ),
    ({"kind_current_decay": [0, 0]}, "kind_current_decay must be [n_kinds, n_compartments] with 1..4 compartments, not (2,)"),
    ({"bias": [0]}, "bias must have shape (2,) (neurons), not (1,)"),
    ({"synapse_start": [0, 2]}, "synapse_start must have shape (3,) (axons + 1), not (2,)"),
    ({"synapse_weight": [[1, 2, 3]]}, "synapse_weight must have shape (3,) (synapses), not (1, 3)"),
    ({"readout_neuron": [], "readout_class": []}, "a network must have at least one readout neuron"),
    # indices
    ({"axon_source": [0, 3]}, "axon_source must be in 0..2, not (axon 1: 3)"),
    ({"axon_source": [-1, 1]}, "axon_source must be in 0..2, not (axon 0: -1)"),
    ({"axon_compartment": [0, 1]}, "axon_compartment must be in 0..0, not (axon 1: 1)"),
    ({"synapse_target": [0, 1, 2]}, "synapse_target must be in 0..1, not (synapse 2: 2)"),
    ({"neuron_kind": [0, 2]}, "neuron_kind must be in 0..1, not (neuron 1: 2)"),
    ({"readout_neuron": [2]}, "readout_neuron must be in 0..1, not (readout 0: 2)"),
    ({"readout_class": [1]}, "readout_class must be in 0..0, not (readout 0: 1)\nevery class must have a readout neuron; class 0 has none"),
    ({"synapse_start": [0, 4, 3]}, "synapse_start must rise from 0 to n_synapses = 3"),
    ({"synapse_start": [1, 2, 3]}, "synapse_start must rise from 0 to n_synapses = 3"),
    ({"synapse_start": [0, 2, 2]}, "synapse_start must rise from 0 to n_synapses = 3"),
    ({"readout_neuron": [0, 0], "readout_class": [0, 0]}, "readout neurons must be distinct"),
    ({"labels": ("a", "b")}, "every class must have a readout neuron; class 1 has none"),
    ({"labels": ()}, "readout_class must be in 0..-1, not (readout 0: 0)"),
    # A3, A4, F2, N2..N5, S8
    ({"axon_shift": [0, 8]}, "axon_shift must be in 0..7, not (axon 1: 8)"),
    ({"weight_bits": 2}, "weight (weight_bits = 2) must be in -2..1, not (synapse 1: 2, synapse 2: 3)"),
    ({"synapse_weight": [1, 0, 3]}, "a stored weight must not be 0 (synapse 1): leave the synapse out"),
    ({"synapse_target": [1, 0, 1]}, "the targets of an axon must be strictly ascending"),
    ({"synapse_target": [1, 1, 1]}, "the targets of an axon must be strictly ascending"),
    ({"kind_membrane_decay": [4096, 4097]}, "kind_membrane_decay must be in 0..4096, not (kind 1: 4097)"),
    ({"kind_current_decay": [[4097], [0]]}, "kind_current_decay must be in 0..4096, not (entry 0: 4097)"),
    ({"kind_drive_shift": [8, 0]}, "kind_drive_shift must be in 0..7, not (kind 0: 8)"),
    ({"kind_current_shift": [16, 0]}, "kind_current_shift must be in 0..15, not (kind 0: 16)"),
    ({"kind_reset": [0, 2]}, "kind_reset must be in 0..1, not (kind 1: 2)"),
    ({"bias": [2**15, 0]}, "bias (membrane_bits = 16) must be in -32768..32767, not (neuron 0: 32768)"),
    ({"initial_membrane": [0, -(2**15) - 1]}, "initial_membrane (membrane_bits = 16) must be in -32768..32767, not (neuron 1: -32769)"),
    ({"threshold": [2**15, 0]}, "threshold (membrane_bits = 16) must be in 1..32767, not (neuron 0: 32768)"),
    ({"threshold": [0, 0]}, "threshold (membrane_bits = 16) must be in 1..32767, not (neuron 0: 0)"),
    ({"reset_by": [-1, 0]}, "reset_by (membrane_bits = 16) must be in 0..32767, not (neuron 0: -1)"),
    ({"threshold": [5, 1]}, "threshold of a non-firing neuron must be in 0..0, not (neuron 1: 1)"),
    ({"reset_by": [5, 1]}, "reset_by of a non-firing neuron must be in 0..0, not (neuron 1: 1)"),
    ({"axon_source": [0, 2]}, "a non-firing neuron must source no axon; axon 1 has neuron 1"),
    (
        {"readout": Readout.SPIKES, "readout_neuron": [1]},
        "in readout mode SPIKES every readout neuron must be of a firing kind",
    ),
    # H1, H2
    (hint(base=1), "motif hint 0 must lie within neurons 0..1, not 1..2"),
    (hint(size=0), "motif hint 0 must lie within neurons 0..1, not 0..-1"),
    (hint(base=-1), "motif hint 0 must lie within neurons 0..1, not -1..0"),
    (hint(size=1.0), "motif hint 0 must hold integers and pairs of integers"),
    (hint(lateral=((1,),)), "motif hint 0 must hold integers and pairs of integers"),
    (hint(intra=((0, 1),)), "links of motif hint 0 must lie within 0..0 and have delta_m != 0"),
    (hint(lateral=((0, 0),)), "links of motif hint 0 must lie within 0..0 and have delta_m != 0"),
    (hint(lateral=()), "motif hint 0 must cover every link within its array; axon 1 also reaches neuron 1"),
    ({"axon_boolean": [True, False]}, "all weights of a boolean axon must be equal; axon 0 has [1, 2]"),
    # P1, P2
    (
        {"payload_bits": 8, "synapse_weight": [-1, 2, 3], "accumulator_bits": 9},
        "every gathered sum must fit accumulator_bits = 9 (-256..255); neuron 1, compartment 0 can reach 0..513 (1 such sums; 11 bits would do)",
    ),
    (
        {"payload_bits": 1, "synapse_weight": [-128, 2, 3], "axon_shift": [1, 0], "accumulator_bits": 8},
        "every gathered sum must fit accumulator_bits = 8 (-128..127); neuron 0, compartment 0 can reach -256..0 (1 such sums; 9 bits would do)",
    ),
    ({"score_bits": 22}, "every class score must fit score_bits = 22; 2097152 can be reached in max_timesteps = 64"),
]


@pytest.mark.parametrize(("changes", "sentence"), REFUSALS, ids=[re.sub(r"\W+", " ", sentence) for _, sentence in REFUSALS])
def test_what_is_no_network_is_refused_with_a_sentence(changes, sentence):
    assert network(TWO, LINE)
    with pytest.raises(NetworkError) as caught:
        network(TWO, LINE, **changes)
    assert str(caught.value) == sentence


def test_a_network_of_257_kinds_is_refused():
    with pytest.raises(NetworkError, match=r"^a network must have 1\.\.256 kinds, not 257$"):
        network([silent()] * 257, neuron_kind=[0] * 257)


def test_sums_that_no_accumulator_holds_are_told_so():
    axons = [axon(INPUT, {0: -128}, shift=7)] * 5
    with pytest.raises(NetworkError, match="no width would do: lower shifts, weights, payload_bits or fan-in"):
        network([silent()], axons, payload_bits=8)


def test_all_violations_of_one_group_are_named_at_once():
    with pytest.raises(NetworkError) as caught:
        network(TWO, LINE, kind_drive_shift=[8, 9], kind_current_shift=[16, 0], synapse_weight=[0, 200, 3])
    assert len(str(caught.value).splitlines()) == 4


def test_many_members_are_named_by_five_and_a_count():
    with pytest.raises(NetworkError, match="neuron 4: 40000 and 3 more"):
        network([silent()] * 8, bias=[40000] * 8)


INPUTS = [
    ([[]] * 65, "a clip must have at most max_timesteps = 64 timesteps, not 65"),
    ([[(0, 1.5)]], "an event must be two integers, channel and payload, not (0, 1.5) (timestep 0)"),
    ([[(1, 1)]], "an event's channel must be in 0..0, not 1 (timestep 0)"),
    ([[(0, 16)]], "a payload must be in 0..15, not 16 (timestep 0, channel 0)"),
    ([[], [(0, 1), (0, 2)]], "a channel must have at most one event a timestep; channel 0 has two at timestep 1"),
]


@pytest.mark.parametrize(("events", "sentence"), INPUTS, ids=[sentence for _, sentence in INPUTS])
def test_what_is_no_input_is_refused_with_a_sentence(events, sentence):
    with pytest.raises(DataError) as caught:
        Reference(network(TWO, LINE)).run(events)
    assert str(caught.value) == sentence


# Completeness


def refusals_of(module: ModuleType) -> list[tuple[int, str]]:
    """Line and pattern of every sentence that ``module`` yields or raises as an error of the package."""
    found = []
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        text = None
        if isinstance(node, ast.Yield):
            text = node.value
        elif isinstance(node, ast.YieldFrom) and isinstance(node.value, ast.Call):
            text = node.value.args[0]  # _outside(what must be in range, ...)
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and getattr(node.exc.func, "id", "") in ("NetworkError", "DataError"):
            text = node.exc.args[0]
        parts = text.values if isinstance(text, ast.JoinedStr) else [text]
        words = [re.escape(part.value) if isinstance(part, ast.Constant) else ".*" for part in parts]
        if any(word != ".*" for word in words):
            found.append((node.lineno, "".join(words)))
    return found


def test_every_refusal_in_the_code_is_met_by_a_test():
    met = "\n".join([*(sentence for _, sentence in [*REFUSALS, *INPUTS]), "a network must have 1..256 kinds, not 257"])
    patterns = [(module.__name__, *place) for module in (validation, network_module, trace) for place in refusals_of(module)]
    assert len(patterns) > 45
    assert [place for place in patterns if not re.search(place[2], met)] == []
