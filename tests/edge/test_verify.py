# SPDX-License-Identifier: Apache-2.0
"""``ormia verify`` and what stands behind it, with backends that lie in one integer."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import numpy as np
import pytest
from ormia.edge import verification
from ormia.edge.backend import ReferenceBackend
from ormia.edge.ccode.backend import CBackend
from ormia.edge.coverage import Coverage
from ormia.edge.errors import MissingTool, TargetError
from ormia.edge.events import events_from_payloads
from ormia.edge.frontend import FrontEnd
from ormia.edge.netfile import network_digest, write_network
from ormia.edge.runtime import NumbaBackend
from ormia.edge.trace import Trace
from ormia.edge.verification import count_differences, explain, random_clips, run_backends


class Lying:
    """The reference with one number changed: ``lie(clip number, trace)`` returns the trace to hand back."""

    name = "lying"
    reason: str | None = None

    def __init__(self, lie=lambda clip, trace: trace, *, miscounts: bool = False, fails: Exception | None = None) -> None:
        self.lie, self.miscounts, self.fails = lie, miscounts, fails

    def available(self):
        return self.reason

    def load(self, network):
        if self.fails is not None:
            raise self.fails
        machine, lie = ReferenceBackend().load(network), self.lie

        class Machine:
            coverage = machine.coverage

            def run_many(inner, clips):
                traces = [lie(i, trace) for i, trace in enumerate(machine.run_many(clips))]
                if self.miscounts:
                    inner.coverage = machine.coverage + Coverage(reset_zero=1)
                return traces

        return Machine()


@pytest.fixture
def backends(monkeypatch):
    """Register the reference, numba and one more backend."""

    def register(extra, name: str = "lying") -> None:
        known = {"reference": ReferenceBackend(), "numba": NumbaBackend(), name: extra}
        monkeypatch.setattr(verification, "backend_names", lambda: list(known))
        real = verification.get_backend
        monkeypatch.setattr(verification, "get_backend", lambda asked: known[asked] if asked in known else real(asked))

    return register


@pytest.fixture
def net_file(tmp_path, hearing):
    write_network(tmp_path / "a net.ormia", hearing())
    return tmp_path / "a net.ormia"


def wrong_membrane(clip: int, trace: Trace) -> Trace:
    if clip != 1:
        return trace
    membranes = trace.membranes.copy()
    membranes[17, 4] ^= 1
    membranes[30:, 2] += 1
    return replace(trace, membranes=membranes)


def wrong_spike(clip: int, trace: Trace) -> Trace:
    raster = trace.raster.copy()
    raster[9, 3] = ~raster[9, 3]
    return replace(trace, raster=raster) if clip == 0 else trace


def wrong_score(clip: int, trace: Trace) -> Trace:
    return replace(trace, scores=trace.scores + np.array([0, 1, 0]))


def wrong_counter(clip: int, trace: Trace) -> Trace:
    return replace(trace, counters=replace(trace.counters, synaptic_operations=trace.counters.synaptic_operations + 1))


def test_equal_backends_give_a_table_a_file_and_exit_0(ormia, backends, net_file, hearing, tmp_path):
    backends(Lying(), "honest")
    code, out, err = ormia("-q", "verify", net_file, "--clips", "6", "--output", tmp_path / "verify.json")
    assert (code, err) == (0, "")
    for name in ("reference", "numba", "honest"):
        assert name in out
    stored = json.loads((tmp_path / "verify.json").read_text())
    assert stored["differences"] == 0
    assert stored["first_difference"] is None
    assert stored["network"]["digest"] == network_digest(hearing())
    assert {"versions", "machine", "time", "commit"} <= set(stored["provenance"])
    rows = {row["backend"]: row for row in stored["backends"]}
    assert rows["numba"]["timesteps"] == 6 * 52
    assert rows["numba"]["membranes"] == 6 * 52 * 27
    assert rows["numba"]["branches"] == rows["reference"]["branches"]
    assert rows["numba"]["counters"]["spikes"] > 100
    assert json.loads(ormia("-q", "verify", net_file, "--clips", "6", "--json")[1])["backends"][1]["differences"] == 0


LIES = [
    (wrong_membrane, 1 + 22, ["clip 1 (random 1), timestep 17, neuron 4: membrane", "before: membrane", "drive [", "S2 and S3", "--clip 1 --until 17"]),
    (wrong_spike, 1, ["clip 0 (random 0), timestep 9, neuron 3: spike expected", "decided by S5", "--clip 0 --until 9"]),
    (wrong_score, 4, ["clip 0 (random 0), class 1: score expected", "decided by S8", "--clip 0 --until 51"]),
    (wrong_counter, 4, ["must count what the reference counts"]),
]


@pytest.mark.parametrize(("lie", "count", "words"), LIES)
def test_one_wrong_integer_anywhere_is_exit_4_with_place_cause_and_replay(ormia, backends, net_file, tmp_path, lie, count, words):
    backends(Lying(lie))
    code, out, err = ormia("-q", "verify", net_file, "--clips", "4", "--seed", "7", "--output", tmp_path / "verify.json")
    assert code == 4
    assert "numba" in out  # the others are still shown
    for word in words:
        assert word in err
    stored = json.loads((tmp_path / "verify.json").read_text())
    assert stored["differences"] >= count
    assert stored["backends"][2]["differences"] == stored["differences"]
    assert stored["backends"][1]["differences"] == 0


def test_the_replay_command_runs_that_clip_up_to_that_timestep(ormia, backends, net_file):
    backends(Lying(wrong_spike))
    err = ormia("-q", "verify", net_file, "--clips", "4", "--seed", "7")[2]
    command = shlex.split(err.split("replay: ormia ")[1])
    code, out, again = ormia("-q", *command, "--json")
    assert code == 4
    assert again.split("replay")[0] == err.split("replay")[0]
    result = json.loads(out)
    assert [row["backend"] for row in result["backends"]] == ["reference", "lying"]
    assert result["backends"][0]["timesteps"] == 10 + 2  # flush runs on


def test_a_wrong_branch_count_alone_is_a_difference(ormia, backends, net_file):
    backends(Lying(miscounts=True))
    code, _, err = ormia("-q", "verify", net_file, "--clips", "2")
    assert code == 4
    assert "branches" in err


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (type("Lacking", (Lying,), {"reason": "no compiler: apt install gcc"})(), "no compiler: apt install gcc"),
        (Lying(fails=TargetError("network must fit:\n  too large")), "network must fit: too large"),
        (Lying(fails=MissingTool("verilator is missing")), "verilator is missing"),
        (Lying(fails=ModuleNotFoundError("x", name="amaranth")), "the Python module amaranth is missing"),
    ],
)
def test_a_backend_that_cannot_run_is_listed_with_its_reason_and_refused_when_asked_for(ormia, backends, net_file, extra, words):
    backends(extra)
    code, out, err = ormia("-q", "verify", net_file, "--clips", "2")
    assert (code, err) == (0, "")
    assert f"lying did not run: {words}" in out
    code, out, err = ormia("-q", "verify", net_file, "--clips", "2", "--backends", "lying")
    assert (code, out) == (3, "")
    assert words in err


def test_a_backend_that_breaks_is_named_and_its_traceback_shown_on_request(ormia, backends, net_file):
    backends(Lying(fails=RuntimeError("no such bus\nand more")))
    code, out, err = ormia("-q", "verify", net_file, "--clips", "2")
    assert (code, out) == (1, "")
    assert err == "ormia: backend 'lying' must run, but broke with RuntimeError: no such bus (leave it out with --backends, or add -v)\n"
    assert "Traceback" in ormia("-v", "verify", net_file, "--clips", "2")[2]


def test_clips_of_a_corpus_are_a_seeded_choice_through_the_front_end(ormia, net_file, saved_corpus):
    options = ("--data", saved_corpus, "--clips", "7", "--backends", "numba", "--json")
    first, again, other = (json.loads(ormia("-q", "verify", net_file, *options, "--seed", seed)[1]) for seed in (1, 1, 2))
    assert first["clips"] == again["clips"] != other["clips"]
    assert len(first["clips"]["clips"]) == 7
    assert first["backends"][1]["differences"] == 0
    assert first["backends"][0]["counters"]["spikes"] > 0


class Hearing(Lying):
    """The reference behind the Python front end, from audio; ``lie(clip number, payloads)`` returns the payloads to hand back."""

    def load(self, network):
        machine, lie = ReferenceBackend().load(network), self.lie
        front_end = FrontEnd.from_dict(network.metadata["front_end"])

        class Machine:
            coverage, hears, heard = machine.coverage, True, 0

            def run_audio(inner, pcm):
                payloads = front_end.payloads(pcm)
                inner.heard += 1
                return lie(inner.heard - 1, payloads), machine.run_many([events_from_payloads(payloads)])[0]

        return Machine()


def wrong_payload(clip: int, payloads: np.ndarray) -> np.ndarray:
    payloads = payloads.copy()
    payloads[20, 5] += clip == 1
    payloads[21] += clip == 1
    return payloads


def test_a_backend_with_a_front_end_starts_from_audio_and_its_events_are_compared(ormia, backends, net_file, saved_corpus):
    options = ("--data", saved_corpus, "--clips", "3", "--json")
    backends(Hearing())
    rows = {row["backend"]: row for row in json.loads(ormia("-q", "verify", net_file, *options)[1])["backends"]}
    assert {name: (row["input"], row["differences"]) for name, row in rows.items()} == {
        "reference": ("events", 0), "numba": ("events", 0), "lying": ("audio", 0)
    }  # fmt: skip
    assert "lying (from audio)" in ormia("-q", "verify", net_file, *options[:-1])[1]
    assert json.loads(ormia("-q", "verify", net_file, *options, "--clip", "2", "--until", "30")[1])["backends"][2]["timesteps"] == 31 + 2


def test_a_wrong_event_is_exit_4_with_place_and_replay(ormia, backends, net_file, saved_corpus):
    backends(Hearing(wrong_payload))
    code, _, err = ormia("-q", "verify", net_file, "--data", saved_corpus, "--clips", "3")
    assert code == 4
    for words in ("clip 1 (clip", "timestep 20, channel 5: payload expected", "docs/frontend.md (input channel 5 of 24)", "--clip 1 --until 20"):
        assert words in err


def test_the_c_of_a_corpus_starts_from_audio(ormia, net_file, saved_corpus):
    reason = CBackend().available()
    if reason is not None:
        pytest.skip(reason)
    found = json.loads(ormia("-q", "verify", net_file, "--data", saved_corpus, "--clips", "5", "--backends", "c", "--json")[1])
    assert [(row["input"], row["differences"]) for row in found["backends"]] == [("events", 0), ("audio", 0)]
    assert found["backends"][1]["counters"]["spikes"] > 0


BAD = [
    (("--backends", "nmuba"), 2, "one of reference"),
    (("--clip", "3", "--clips", "3"), 2, "0..2"),
    (("--until", "3"), 2, "--clip"),
    (("--clips", "0"), 2, "--clips"),
    (("--data", "nowhere"), 1, "ormia data"),
]


@pytest.mark.parametrize(("options", "code", "words"), BAD)
def test_bad_options_give_one_line(ormia, net_file, options, code, words):
    got, out, err = ormia("-q", "verify", net_file, *options)
    assert (got, out) == (code, "")
    assert words in err
    assert err.count("\n") == 1


def test_random_clips_obey_the_format_and_cover_sparse_and_dense(random_network):
    for seed in range(20):
        net = random_network(seed)
        clips = random_clips(net, 5, seed)
        outcomes = run_backends(net, clips, ["numba"])
        assert [outcome.differences for outcome in outcomes] == [0, 0]
        assert clips.clips == random_clips(net, 5, seed).clips


def test_an_explanation_names_the_active_axons_and_the_exact_drive(hearing):
    net = hearing()
    clips = random_clips(net, 3, 1)
    expected = ReferenceBackend().load(net).run_many(clips.clips)[1]
    lied = wrong_membrane(1, expected)
    difference = verification.first_difference(expected, lied)
    lines = explain(net, clips.clips[1], difference)
    assert f"membrane {expected.membranes[16, 4]}," in lines[0]
    assert f"membrane {expected.membranes[17, 4]}," in lines[2]
    drive = sum(p * int(net.synapses(c)[1][4]) for c, p in clips.clips[1][17])
    drive += sum(int(net.synapses(24 + n)[1][net.synapses(24 + n)[0] == 4].sum()) for n in np.flatnonzero(expected.raster[16]))
    assert f"drive [{drive}] from input" in lines[1]


def test_traces_of_other_shapes_are_refused(hearing):
    net = hearing()
    short, long = (ReferenceBackend().load(net).run_many([[[]] * n])[0] for n in (3, 4))
    with pytest.raises(verification.CheckFailed, match="shape"):
        count_differences(long, short)
