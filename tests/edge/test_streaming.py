# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ormia.edge.clips import front_end_of
from ormia.edge.detector import Detector, DetectorConfig
from ormia.edge.errors import DataError
from ormia.edge.listen import Listener
from ormia.edge.network import Formats, Network, Readout
from ormia.edge.runtime import Runtime
from ormia.edge.streaming import DetectorBank, Listeners


def silent_network(classes: list[int]) -> Network:
    """Readout neurons of the given classes and nothing else."""
    n = len(classes)
    return Network(
        formats=Formats(membrane_bits=24, score_bits=32, max_timesteps=1), n_inputs=0, axon_source=[], synapse_start=[0], synapse_target=[], synapse_weight=[],
        neuron_kind=[0] * n, threshold=[0] * n, kind_membrane_decay=[0], kind_current_decay=[[0]], kind_firing=[0], kind_reset=[0], kind_refractory=[0],
        kind_drive_shift=[0], kind_current_shift=[0], readout_neuron=range(n), readout_class=classes, readout=Readout.LAST,
        labels=tuple(f"class {c}" for c in range(max(classes) + 1)),
    )  # fmt: skip


@st.composite
def detectors(draw):
    n_classes = draw(st.integers(1, 4))
    net = silent_network([*range(n_classes), *draw(st.lists(st.integers(0, n_classes - 1), max_size=2))])
    config = DetectorConfig(
        smoothing=draw(st.sampled_from([0, 1, 2048, 4095, 4096])), threshold=draw(st.integers(-60, 60)), margin=draw(st.integers(0, 40)),
        consecutive=draw(st.integers(1, 3)), refractory=draw(st.integers(0, 4)), warm_up=draw(st.integers(0, 5)),
        background=tuple(draw(st.sets(st.integers(0, n_classes - 1)))),
    )  # fmt: skip
    top = draw(st.sampled_from([3, 60, (1 << 23) - 1]))
    rows = draw(st.lists(st.lists(st.integers(-top - 1, top), min_size=len(net.readout_class), max_size=len(net.readout_class)), max_size=25))
    return net, config, np.array(rows, np.int32).reshape(-1, len(net.readout_class))


@given(detectors(), st.integers(0, 25))
@settings(max_examples=150, deadline=None)
def test_a_compiled_detector_finds_what_the_written_one_finds(case, cut):
    net, config, emitted = case
    bank = DetectorBank(net, 2, config)
    assert bank.push(emitted[:cut], 1) + bank.push(emitted[cut:], 1) == Detector(net, config).push(emitted)


def test_an_integrating_detector_keeps_its_scores_for_long():
    net = silent_network([0, 1])
    config = DetectorConfig(smoothing=4096, warm_up=0, consecutive=1, refractory=0)
    emitted = np.tile(np.array([[(1 << 23) - 1, 5 - (1 << 23)]], np.int32), (2000, 1))
    assert DetectorBank(net, 1, config).push(emitted) == Detector(net, config).push(emitted)


def audible(hearing) -> Network:
    """A network whose detector fires at every chance."""
    eager = DetectorConfig(smoothing=3000, margin=0, consecutive=1, refractory=1, warm_up=2)
    net = hearing()
    return replace(net, metadata=net.metadata | {"detector": eager.as_dict()})


@pytest.mark.parametrize("threads", [1, 2])
def test_listeners_side_by_side_hear_what_each_hears_alone(hearing, threads):
    net, rng = audible(hearing), np.random.default_rng(1)
    pcm = (rng.standard_normal((3, 16000)) * np.array([[300], [9000], [40]])).astype(np.int16)
    together, alone = Listeners(net, 3, threads=threads), [Listener(net) for _ in pcm]
    found: list[list] = [[], [], []]
    for begin, end in [(0, 1), (1, 500), (500, 500), (500, 7000), (7000, 16000)]:
        for mine, new in zip(found, together.push(pcm[:, begin:end]), strict=True):
            mine += new
    assert found == [listener.push(clip) for listener, clip in zip(alone, pcm, strict=True)]
    assert all(found)
    assert together.seconds == 1.0
    written = Detector(net).push(Runtime(net).stream().push(front_end_of(net).payloads(pcm[1])))
    assert [d for _, d in found[1]] == written
    with pytest.raises(DataError, match="n_streams = 3"):
        together.push(pcm[:2])
