# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ormia.edge.detector import Detection, Detector, DetectorConfig, detector_config
from ormia.edge.errors import NetworkFileError
from ormia.edge.netfile import read_network, write_network
from ormia.edge.network import Formats, Network, Readout


def three_classes(**metadata) -> Network:
    """Four readout neurons: yes, no, silence and a second one for yes."""
    return Network(
        formats=Formats(), n_inputs=0, axon_source=[], synapse_start=[0], synapse_target=[], synapse_weight=[], neuron_kind=[0] * 4,
        threshold=[0] * 4, kind_membrane_decay=[0], kind_current_decay=[[0]], kind_firing=[0], kind_reset=[0], kind_refractory=[0],
        kind_drive_shift=[0], kind_current_shift=[0], readout_neuron=[0, 1, 2, 3], readout_class=[0, 1, 2, 0], readout=Readout.SUM,
        labels=("yes", "no", "_silence_"), metadata=metadata,
    )  # fmt: skip


PLAIN = DetectorConfig(smoothing=0, threshold=10, margin=5, consecutive=1, refractory=0, warm_up=0, background=(2,))


def detected(config: DetectorConfig, *values: tuple[int, int, int, int]) -> list[tuple[int, int]]:
    return [(d.timestep, d.label) for d in Detector(three_classes(), config).push(np.array(values))]


def test_a_class_sums_its_readout_neurons():
    assert Detector(three_classes(), PLAIN).push(np.array([[6, 3, 0, 5]])) == [Detection(0, 0, 11, 8)]


def test_threshold_and_margin_are_met_at_equality():
    assert detected(PLAIN, (10, 5, 0, 0)) == [(0, 0)]
    assert detected(PLAIN, (9, 0, 0, 0)) == []
    assert detected(PLAIN, (10, 6, 0, 0)) == []
    assert detected(PLAIN, (5, 10, 0, 0)) == [(0, 1)]


def test_background_competes_and_is_never_detected():
    assert detected(PLAIN, (10, 0, 6, 0), (0, 0, 99, 0), (20, 0, 15, 0)) == [(2, 0)]


def test_smoothing_decays_toward_zero_by_d1():
    detector = Detector(three_classes(), replace(PLAIN, smoothing=2048))
    seen = []
    for values in ([7, -7, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]):
        detector.step(values)
        seen.append(detector.scores[:2])
    assert seen == [[7, -7], [3, -3], [1, -1], [0, 0]]


def test_the_same_keyword_must_pass_in_a_row():
    config = replace(PLAIN, consecutive=2)
    yes, no, none = (20, 0, 0, 0), (0, 20, 0, 0), (0, 0, 0, 0)
    assert detected(config, yes, none, yes, no, yes) == []
    assert detected(config, yes, yes, no, no) == [(1, 0), (3, 1)]
    assert detected(config, yes, yes, yes, yes) == [(1, 0), (3, 0)]


def test_refractory_and_warm_up_silence_it_for_exactly_so_long():
    yes = (20, 0, 0, 0)
    assert detected(replace(PLAIN, refractory=2), *[yes] * 7) == [(0, 0), (3, 0), (6, 0)]
    assert detected(replace(PLAIN, warm_up=3), *[yes] * 4) == [(3, 0)]


def test_a_tie_is_no_lead_unless_the_margin_is_zero():
    assert detected(PLAIN, (20, 20, 0, 0)) == []
    assert detected(replace(PLAIN, margin=0), (20, 20, 0, 0)) == [(0, 0)]


def test_the_default_takes_labels_in_underscores_as_background():
    assert detector_config(three_classes()).background == (2,)


def test_parameters_travel_in_the_file(tmp_path):
    write_network(tmp_path / "net.ormia", three_classes(detector=PLAIN.as_dict()))
    assert detector_config(read_network(tmp_path / "net.ormia")) == PLAIN


@pytest.mark.parametrize(
    "given",
    [[], {}, PLAIN.as_dict() | {"more": 1}, PLAIN.as_dict() | {"margin": -1}, PLAIN.as_dict() | {"margin": True}, PLAIN.as_dict() | {"smoothing": 4097},
     PLAIN.as_dict() | {"consecutive": 0}, PLAIN.as_dict() | {"version": 2}, PLAIN.as_dict() | {"background": [3]}, PLAIN.as_dict() | {"background": 1}],
)  # fmt: skip
def test_parameters_that_are_none_are_refused_with_a_sentence(given):
    with pytest.raises(NetworkFileError, match=r"detector: .*must .*; export the network again"):
        detector_config(three_classes(detector=given))
