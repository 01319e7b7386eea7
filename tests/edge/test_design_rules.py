# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ormia.edge.cost import Memory, core_memories, footprint
from ormia.edge.design_rules import ADVICE, LIMITS, advice, check_target, highest_membrane, violations
from ormia.edge.errors import TargetError, UsageError
from ormia.edge.events import events_from_payloads
from ormia.edge.network import Formats, MotifHint, Network, Readout
from ormia.edge.reference import Reference
from ormia.edge.target import TARGETS, Target, get_target


def healthy(**other) -> Network:
    """Two inputs, a chain of two firing neurons and a readout; breaks no rule."""
    values = {
        "formats": Formats(payload_bits=3), "n_inputs": 2, "axon_source": [0, 1, 2, 3], "synapse_start": [0, 1, 2, 3, 4],
        "synapse_target": [0, 0, 1, 2], "synapse_weight": [7, 5, 7, 3], "neuron_kind": [0, 0, 1], "threshold": [2000, 1000, 0],
        "kind_membrane_decay": [3600, 4000], "kind_current_decay": [[3000], [0]], "kind_firing": [True, False], "kind_reset": [1, 0],
        "kind_refractory": [0, 0], "kind_drive_shift": [6, 0], "kind_current_shift": [0, 0], "readout_neuron": [2], "readout_class": [0],
        "readout": Readout.SUM, "labels": ("yes",),
    } | other  # fmt: skip
    return Network(**values)


def test_a_healthy_network_breaks_no_rule():
    assert advice(healthy()) == []
    for target in TARGETS.values():
        check_target(healthy(), target)


BROKEN = {
    "leak_is_resolved": (dict(kind_membrane_decay=[4090, 4000]), "kind 0: threshold * (1 - membrane_decay / 4096) should be at least 64"),
    "threshold_leaves_headroom": (dict(threshold=[4097, 1000, 0]), "kind 0: thresholds should be at most 4096 (an eighth of membrane_bits = 16), not 4097"),
    "kinds_are_used": (dict(neuron_kind=[0, 0, 2], kind_membrane_decay=[3600, 0, 4000], kind_current_decay=[[3000], [0], [0]], kind_firing=[1, 1, 0],
                            kind_reset=[1, 0, 0], kind_refractory=[0] * 3, kind_drive_shift=[6, 0, 0], kind_current_shift=[0] * 3), "kind 1 has none"),
    "firing_neurons_can_fire": (dict(synapse_weight=[7, 5, -1, 3]), "neuron 1 has not the input for it (neuron 1 reaches 0 of 1000)"),
    "spikes_are_heard": (dict(axon_source=[0, 1, 2], synapse_start=[0, 1, 2, 3], synapse_target=[0, 0, 1], synapse_weight=[7, 5, 7]), "neuron 1 has neither"),
    "inputs_are_used": (dict(axon_source=[0, 0, 2, 3]), "channel 1 has none"),
}  # fmt: skip


@pytest.mark.parametrize("rule", ADVICE, ids=lambda rule: rule.__name__)
def test_each_rule_of_the_trade_finds_its_fault_and_only_that(rule):
    change, words = BROKEN[rule.__name__]
    found = advice(healthy(**change))
    assert len(found) == 1
    assert words in found[0]
    assert "\n" not in found[0]


@pytest.mark.parametrize(
    ("decay", "threshold", "warned"),
    [(4096, 10, False), (4095, 20000, True), (4032, 4096, False), (4033, 4096, True), (0, 64, False), (0, 63, True)],
)
def test_the_leak_rule_draws_its_line_at_64_and_exempts_integrators(decay, threshold, warned):
    net = healthy(kind_membrane_decay=[decay, 4000], threshold=[threshold, threshold, 0])
    assert any("membrane_decay" in sentence for sentence in advice(net)) == warned


def test_all_faults_come_at_once():
    both = healthy(**(BROKEN["inputs_are_used"][0] | BROKEN["threshold_leaves_headroom"][0]))
    assert len(advice(both)) == 2


def test_no_membrane_ever_exceeds_the_bound_of_the_silence_rule(random_network, random_payloads):
    reached = 0
    for seed in range(150):
        net = random_network(seed)
        payloads = random_payloads(net, 1, 40, seed, density=0.9)[0]
        reference = Reference(net)
        bound = highest_membrane(net)
        for events in events_from_payloads(payloads):
            fired = reference.step(events)
            before_reset = np.array(reference.membrane)
            before_reset[fired] = 0  # S6 only lowers them: whether they fired is checked below
            assert (before_reset <= bound + 0.5).all(), seed
            assert (net.threshold[fired] <= bound[fired] + 0.5).all(), seed
            reached += int((before_reset > 0.9 * bound).sum())
    assert reached > 100  # the bound is near


TINY = Target(name="tiny", device="test device", block_rams=6, flash_bytes=33 << 10, ram_bytes=9 << 10)


def wide(n_neurons: int = 1200, n_synapses: int = 4000) -> Network:
    rng = np.random.default_rng(1)
    per = n_synapses // 8
    targets = np.concatenate([np.sort(rng.permutation(n_neurons)[:per]) for _ in range(8)])
    return Network(
        formats=Formats(), n_inputs=8, axon_source=np.arange(8), synapse_start=np.arange(9) * per, synapse_target=targets,
        synapse_weight=rng.choice([-3, 5, 7], len(targets)), neuron_kind=np.zeros(n_neurons, int), threshold=np.full(n_neurons, 500),
        kind_membrane_decay=[3500], kind_current_decay=[[3000]], kind_firing=[1], kind_reset=[0], kind_refractory=[0], kind_drive_shift=[4],
        kind_current_shift=[0], readout_neuron=[0], readout_class=[0], readout=Readout.SUM, labels=("a",),
    )  # fmt: skip


def test_a_network_that_does_not_fit_says_by_how_much_and_what_would_fit():
    found = violations(wide(), TINY)
    assert len(found) == len(LIMITS)  # each rule has a fault that it alone finds
    sizes = footprint(wide())
    assert f"not {sizes.block_rams} in {sizes.packing} packing, {sizes.block_rams - 6} too many" in found[0]
    assert "at most 1024 bytes of flash (33792 less 32768" in found[1]
    assert f"not {sizes.flash_bytes}, {sizes.flash_bytes - 1024} too many" in found[1]
    assert f"not {sizes.ram_bytes}" in found[2]
    with pytest.raises(TargetError, match=r"network 'network' must fit tiny \(test device\)") as caught:
        check_target(wide(), TINY)
    assert str(caught.value).count("\n") == len(LIMITS)


@pytest.mark.parametrize("limit", ["block_rams", "flash_bytes", "ram_bytes"])
def test_each_limit_is_exact(limit):
    sizes = footprint(wide())
    need = {"block_rams": sizes.block_rams, "flash_bytes": sizes.flash_bytes, "ram_bytes": sizes.ram_bytes}[limit]
    bare = Target(name="bare", device="test device", reserved_flash_bytes=0, reserved_ram_bytes=0)
    assert violations(wide(), replace(bare, **{limit: need})) == []
    assert len(violations(wide(), replace(bare, **{limit: need - 1}))) == 1


def test_an_unknown_target_is_a_usage_error_with_a_near_name():
    with pytest.raises(UsageError, match="did you mean icebreaker"):
        get_target("icebraker")
    with pytest.raises(UsageError, match="one of icebreaker, cortex-m0"):
        get_target("xyz")


def test_plain_synapses_take_a_word_each_and_motifs_share_their_lists():
    links = tuple((i, j) for i in range(8) for j in range(8) if (i + j) % 3 == 0)
    hint = MotifHint(base=0, size=8, count=16, intra=links)
    lists = [hint.targets(n) for n in range(128)]
    net = Network(
        formats=Formats(), n_inputs=0, axon_source=np.arange(128), synapse_start=np.cumsum([0, *map(len, lists)]), synapse_target=np.concatenate(lists),
        synapse_weight=np.tile([1, -8, 7], sum(map(len, lists)))[: sum(map(len, lists))], neuron_kind=np.zeros(128, int), threshold=np.full(128, 500),
        kind_membrane_decay=[3500], kind_current_decay=[[0]], kind_firing=[1], kind_reset=[0], kind_refractory=[0], kind_drive_shift=[4],
        kind_current_shift=[0], readout_neuron=[0], readout_class=[0], readout=Readout.SUM, labels=("a",), motifs=(hint,),
    )  # fmt: skip
    plain = {memory.name: memory for memory in core_memories(net)}
    shared = {memory.name: memory for memory in core_memories(net, shared=True)}
    assert plain["targets"] == Memory("targets", net.n_synapses, 7)
    assert plain["weights"] == Memory("weights", net.n_synapses, 4)
    assert shared["targets"].rows <= 8 * 3
    assert shared["weights"].size >= net.n_synapses * 4
    assert sum(m.size for m in core_memories(net, shared=True)) < sum(m.size for m in core_memories(net))
    assert plain["currents"].block_rams == 0  # no current outlives its timestep
