# SPDX-License-Identifier: Apache-2.0
"""From audio to keywords in the generated C: the same payloads, traces and detections as in Python, and planted mistakes that are caught."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import Seeded, random_network
from ormia.edge.backend import AudioMachine, ReferenceBackend
from ormia.edge.ccode.backend import CBackend, CMachine
from ormia.edge.ccode.build import SANITIZERS, build_executable, check_selftest
from ormia.edge.ccode.emit import emit
from ormia.edge.ccode.golden_audio import golden_samples
from ormia.edge.ccode.package import package_files
from ormia.edge.detector import Detector, DetectorConfig
from ormia.edge.errors import CheckFailed, DataError, NetworkFileError, TargetError, UsageError
from ormia.edge.events import events_from_payloads
from ormia.edge.frontend import FrontEnd, bank_front_end, fft_front_end
from ormia.edge.network import Formats, Network, Readout, Reset
from ormia.edge.runtime import Runtime
from ormia.edge.trace import first_difference
from sounds import SIGNALS, real_clips, speechlike

needs_compiler = pytest.mark.skipif(CBackend().available() is not None, reason=str(CBackend().available()))

LIVELY = fft_front_end(n_channels=16, margin=3, delta_step=2, delta_max=15)  # events come from every wrinkle of a level


def any_order(front_end: FrontEnd) -> FrontEnd:
    """Bands in no order and bins in any band, twiddles that do not turn by quarters, shares at both ends."""
    spectrum, rng = front_end.spectrum, np.random.default_rng(8)
    band, weight = rng.integers(-1, spectrum.n_channels + 1, 256), rng.choice([0, 1, 128, 255], 256)
    re = tuple(v * 99 // 100 + (v < 0) for v in spectrum.twiddle_re)
    return replace(front_end, spectrum=replace(spectrum, twiddle_re=re, bin_band=tuple(int(v) for v in band), bin_weight=tuple(int(v) for v in weight)))


FRONT_ENDS = {
    "preset": fft_front_end(),
    "lively": LIVELY,
    "on and off alone, no pre-emphasis": fft_front_end(n_channels=20, pre_emphasis=0, margin=0, delta_step=1, level_max=0, log_bits=6, fall=0, rise=15),
    "shortest hop, seldom a level": fft_front_end(n_channels=16, level_period=3, level_floor=-2048, margin=1, delta_step=3, hop_samples=64),
    "longest hop, 128 channels": fft_front_end(n_channels=128, delta_step=3, delta_max=255, level_max=255, level_step=1, hop_samples=512),
    "one channel": fft_front_end(n_channels=1, margin=1, delta_step=1, log_bits=0, level_floor=-5, pre_emphasis=32),
    "highest floor": fft_front_end(n_channels=16, level_floor=8191),
    "any order of bands": any_order(LIVELY),
    "no band": replace(LIVELY, spectrum=replace(LIVELY.spectrum, bin_band=(-1,) * 256)),
    "all bins in one band": replace(LIVELY, spectrum=replace(LIVELY.spectrum, bin_band=(2,) * 256, bin_weight=(255,) * 256)),
}
CHUNKS = ((1 << 16,), (1,), (320,), (319, 0, 2), (1, 700, 33, 5000))
DETECTORS = {
    "default": None,
    "eager": DetectorConfig(smoothing=3900, warm_up=0, refractory=0, margin=0, consecutive=1),
    "patient": DetectorConfig(smoothing=3900, warm_up=5, refractory=7, margin=300, consecutive=3, background=(2,)),
    "no memory": DetectorConfig(smoothing=0, warm_up=3, refractory=1, margin=5, consecutive=2, background=(0, 1)),
    "never": DetectorConfig(threshold=1 << 47),
    "never, by margin": DetectorConfig(threshold=-(1 << 47), margin=1 << 47, warm_up=0),
    "by score": DetectorConfig(smoothing=4000, threshold=20000, warm_up=0, refractory=3),
}


def listener(front_end: FrontEnd = LIVELY, detector: DetectorConfig | None = None, seed: int = 4, readout: Readout = Readout.SUM) -> Network:
    """A network behind a front end in which every payload matters: neurons fire, rest, look back and score for three classes."""
    rng = np.random.default_rng(seed)
    n_inputs, hidden, n_neurons = front_end.n_inputs, 24, 30
    rows = [(source, 0) for source in range(n_inputs + hidden)] + [(source, 1 + source % 3) for source in range(0, n_inputs + hidden, 5)]
    lists = [np.sort(rng.permutation(n_neurons)[:9]) for _ in rows]
    size = sum(map(len, lists))
    kind = np.array([0, 1] * (hidden // 2) + [1 if readout == Readout.SPIKES else 2] * 6)
    given = {} if detector is None else {"detector": detector.as_dict()}
    return Network(
        formats=Formats(payload_bits=front_end.payload_bits, max_timesteps=400, flush=2, accumulator_bits=24), n_inputs=n_inputs,
        axon_source=[row[0] for row in rows], axon_delay=[row[1] for row in rows], synapse_start=np.cumsum([0, *map(len, lists)]),
        synapse_target=np.concatenate(lists), synapse_weight=rng.integers(1, 8, size) * rng.choice([-1, 1], size), neuron_kind=kind,
        threshold=np.where(kind < 2, 600, 0), kind_membrane_decay=[3700, 4000, 3900], kind_current_decay=[[3000], [1000], [0]], kind_firing=[1, 1, 0],
        kind_reset=[Reset.SUBTRACT, Reset.ZERO, Reset.ZERO], kind_refractory=[0, 2, 0], kind_drive_shift=[3, 5, 2], kind_current_shift=[1, 0, 0],
        readout_neuron=np.arange(hidden, n_neurons), readout_class=[0, 1, 2, 0, 1, 2], readout=readout, labels=("yes", "no", "_silence_"), name="listener",
        metadata={"front_end": front_end.to_dict(), **given},
    )  # fmt: skip


def front_end_in(net: Network) -> FrontEnd:
    return FrontEnd.from_dict(net.metadata["front_end"])


@pytest.fixture(scope="session")
def machines(tmp_path_factory):
    """Compile each network once."""
    folder, known = tmp_path_factory.mktemp("builds"), {}

    def load(net: Network) -> CMachine:
        key = emit(net, clips=()).digest
        if key not in known:
            known[key] = CBackend(folder).load(net)
        return known[key]

    return load


def assert_heard(machine, net, pcm, chunks=(1 << 16,)):
    """Payloads, trace, counters and branches of a clip in C are those of the front end and the reference."""
    expected = front_end_in(net).payloads(pcm)
    before = machine.coverage
    payloads, trace = machine.run_audio(pcm, chunks)
    assert np.array_equal(payloads, expected)
    reference = ReferenceBackend().load(net)
    want = reference.run_many([events_from_payloads(expected)])[0]
    assert first_difference(want, trace) is None
    assert want.counters == trace.counters
    assert {name: count - before.as_dict()[name] for name, count in machine.coverage.as_dict().items()} == reference.coverage.as_dict()
    return payloads


@needs_compiler
@pytest.mark.parametrize("name", FRONT_ENDS)
def test_c_hears_what_python_hears(name, machines):
    net = listener(FRONT_ENDS[name])
    machine, front_end, events = machines(net), front_end_in(net), 0
    for i, signal in enumerate(SIGNALS.values()):
        payloads, _ = machine.run_audio(signal, CHUNKS[i % len(CHUNKS)])
        assert np.array_equal(payloads, front_end.payloads(signal))
        events += np.count_nonzero(payloads)
    events += np.count_nonzero(assert_heard(machine, net, speechlike(1.0), (700, 1, 33)))
    assert events > 10 or name in ("highest floor", "no band")


@needs_compiler
@pytest.mark.parametrize("name", ["preset", "lively"])
def test_c_hears_recordings_as_python_does(name, machines):
    net = listener(FRONT_ENDS[name])
    for i, pcm in enumerate(real_clips(5)):
        assert_heard(machines(net), net, pcm[: 400 * 320], CHUNKS[i % len(CHUNKS)])


@needs_compiler
@pytest.mark.parametrize("seed", range(6))
def test_random_networks_run_from_audio(seed, tmp_path):
    chance = Seeded(np.random.default_rng(900 + seed))
    net = random_network(chance, max_neurons=12)
    while net.n_inputs < 2 or net.n_inputs % 2 or net.formats.max_timesteps < 20:
        net = random_network(chance, max_neurons=12)
    front_end = fft_front_end(n_channels=net.n_inputs // 2, level_max=0, margin=1, delta_step=1, delta_max=min(255, net.formats.payload.hi))
    detector = DetectorConfig(smoothing=2000, background=(0,))
    net = replace(net, metadata={"front_end": front_end.to_dict(), "detector": detector.as_dict()})
    machine, pcm = CBackend(tmp_path).load(net), speechlike(1.0)[: 320 * net.formats.max_timesteps]
    assert assert_heard(machine, net, pcm, (511,)).any()
    clip = events_from_payloads(front_end.payloads(pcm))  # the way of events is still there
    assert first_difference(machine.run_many([clip])[0], machine.run_audio(pcm)[1]) is None


@needs_compiler
@settings(max_examples=30, deadline=None)
@given(chunks=st.lists(st.one_of(st.integers(0, 3), st.integers(0, 1500), st.sampled_from([319, 320, 321, 513])), min_size=1, max_size=8).filter(any))
def test_how_audio_is_cut_into_chunks_changes_nothing(machines, chunks):
    net = listener()
    pcm = speechlike(0.6)
    payloads, trace = machines(net).run_audio(pcm, chunks)
    assert np.array_equal(payloads, front_end_in(net).payloads(pcm))
    assert first_difference(machines(net).run_audio(pcm)[1], trace) is None


@needs_compiler
@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("readout", [Readout.SUM, Readout.SPIKES])
def test_c_detects_what_python_detects(name, readout, machines):
    net = listener(detector=DETECTORS[name], readout=readout)
    pcm = np.concatenate([speechlike(), speechlike()[::-1]])
    expected = Detector(net).push(Runtime(net).stream().push(front_end_in(net).payloads(pcm)))
    assert machines(net).detect_audio(pcm, (480,)) == expected
    if readout == Readout.SUM:
        assert bool(expected) == (not name.startswith("never") and name != "default")


@needs_compiler
def test_a_detector_of_one_class_leads_by_its_score(machines):
    net = listener(detector=DetectorConfig(threshold=-5000, margin=200, warm_up=0, refractory=0, consecutive=1))
    net = replace(net, readout_class=np.zeros(6, int), labels=("yes",))
    expected = Detector(net).push(Runtime(net).stream().push(front_end_in(net).payloads(speechlike())))
    assert len(expected) > 3
    assert machines(net).detect_audio(speechlike()) == expected


@needs_compiler
def test_a_stream_may_be_longer_than_a_clip_and_empty_audio_is_an_empty_clip(machines):
    net = listener()
    machine, pcm = machines(net), np.tile(speechlike(), 2)
    assert len(pcm) > 400 * 320
    with pytest.raises(DataError, match="at most max_timesteps = 400 timesteps"):
        machine.run_audio(pcm)
    machine.detect_audio(pcm)
    for n in (0, 1, 319):
        payloads, trace = machine.run_audio(pcm[:n])
        assert (payloads.shape, trace.membranes.shape) == ((0, net.n_inputs), (2, net.n_neurons))
        assert first_difference(ReferenceBackend().load(net).run_many([[]])[0], trace) is None


@needs_compiler
def test_audio_that_is_none_is_refused(machines):
    machine = machines(listener())
    assert isinstance(machine, AudioMachine)
    for pcm in (np.zeros(320), np.zeros((2, 320), np.int16)):
        with pytest.raises(DataError, match=r"audio must be int16 \[n_samples\]"):
            machine.run_audio(pcm)
    with pytest.raises(UsageError, match="one is not 0"):
        machine.run_audio(np.zeros(320, np.int16), (0, 0))


@needs_compiler
def test_a_band_pass_bank_is_not_generated_and_its_network_runs_from_events(tmp_path):
    net = listener(bank_front_end(n_channels=16))
    sources = emit(net, clips=())
    assert not sources.hears
    assert "push_samples" not in "".join(sources.files.values())
    assert "band-pass bank, which is not generated" in package_files(net, sources)["README.md"]
    machine = CMachine(net, sources, tmp_path)
    with pytest.raises(UsageError, match="must carry an fft front end"):
        machine.run_audio(np.zeros(320, np.int16))
    clip = events_from_payloads(front_end_in(net).payloads(speechlike(0.5)))
    assert first_difference(ReferenceBackend().load(net).run_many([clip])[0], machine.run_many([clip])[0]) is None


def test_a_detector_without_audio_is_generated_where_the_metadata_has_one():
    net = replace(listener(), metadata={"detector": DetectorConfig().as_dict()})
    sources = emit(net)
    assert (sources.hears, sources.detects) == (False, True)
    assert "ormia_listener_detect" in sources.files["ormia_listener.h"]
    assert not emit(replace(listener(), metadata={}), clips=()).detects


@pytest.mark.parametrize(
    ("smoothing", "words"), [(4096, "with a smoothing of 4096 they grow for ever"), (4095, "with a smoothing of 4095 they reach 268435456")]
)
def test_a_detector_whose_scores_leave_32_bits_is_refused(smoothing, words):
    net = listener(detector=DetectorConfig(smoothing=smoothing))
    if smoothing == 4095:
        emit(net, clips=())
        net = replace(net, formats=replace(net.formats, membrane_bits=24, score_bits=32, max_timesteps=50, flush=0))
        words = "with a smoothing of 4095 they reach 68719476736"
    with pytest.raises(TargetError, match=words):
        emit(net, clips=())


def test_metadata_that_is_no_front_end_or_no_detector_is_refused():
    for metadata, error in (({"front_end": {"version": 1}}, NetworkFileError), ({"front_end": fft_front_end().to_dict()}, DataError)):
        with pytest.raises(error, match="front end"):
            emit(replace(listener(), metadata=metadata), clips=())
    with pytest.raises(NetworkFileError, match="detector"):
        emit(replace(listener(), metadata=listener().metadata | {"detector": {}}), clips=())


PLANTS = {
    "one bit of the window": (r"(frame_window\[512\] = \{\s+(?:\d+, ){9})(\d+)", lambda m: m[1] + str(int(m[2]) ^ 4)),
    "one bit of a twiddle": (r"(twiddle\[512\] = \{\s+(?:-?\d+, ){8})(-?\d+)", lambda m: m[1] + str(int(m[2]) ^ 16)),
    "one place of the bit reversal": (r"(bit_reversed\[256\] = \{\s+0, )128, 64", r"\g<1>64, 128"),
    "a band": (r"(band_end\[17\] = \{\s+)(\d+)", lambda m: m[1] + str(int(m[2]) + 1)),
    "one bit of a bin's share": (r"(bin_weight\[\d+\] = \{\s+(?:\d+, ){5})(\d+)", lambda m: m[1] + str(int(m[2]) ^ 64)),
    "one bit of the logarithm": (r"(log_table\[32\] = \{\s+(?:\d+, ){6})(\d+)", lambda m: m[1] + str(int(m[2]) ^ 1)),
    "the emphasis": (r"\(int32_t\)samples\[n\] \* 31;", "(int32_t)samples[n] * 30;"),
    "a sample too early": (r"samples\[n \+ 1u\] \* 32 - \(int32_t\)samples\[n\]", "samples[n] * 32 - (int32_t)samples[n + 1u]"),
    "no rounding of the window": (r" \+ 32768, 16u", ", 16u"),
    "no rounding of a butterfly": (r"a->re \* 16384 \+ 16384", "a->re * 16384"),
    "a stage less": (r"span < 256u; span \*= 4u", "span < 64u; span *= 4u"),
    "a quarter turn the other way": (r"w_im, -w_re\)", "-w_im, w_re)"),
    "the power of the mirror": (r"points\[k\]\.power = ", "points[k].power = 0u * "),
    "sums of 32 bits that lose a carry": (r"    high \+= low >> 16u;\n", ""),
    "six bits of a logarithm": (r"place - 5u", "place - 6u"),
    "the scaling is not undone": (r"2 \* \(\(int32_t\)bits - 15\)", "((int32_t)bits - 15)"),
    "a floor that rises too fast": (r"ormia_shift_down\(distance, 8u\)", "ormia_shift_down(distance, 7u)"),
    "a floor that falls too slowly": (r"ormia_shift_down\(distance, 5u\)", "ormia_shift_down(distance, 6u)"),
    "on for off": (r"change > 0 \? count : 0u", "change >= 0 ? 0u : count"),
    "a step too far": (r"\(int32_t\)count\) \* 2;", "(int32_t)count) * 3;"),
    "samples that are not kept": (r"i < 193u", "i < 192u"),
    "a score that does not decay": (r"ormia_decay_wide\(state->smoothed\[i\], 2000u, 12u\)", "state->smoothed[i]"),
    "the lead over the wrong class": (r"i != best && state->smoothed\[i\] > other", "state->smoothed[i] > other"),
    "a threshold of one more": (r"(state->smoothed\[best\] >= )(\d+)", lambda m: m[1] + str(int(m[2]) + 1)),
    "a margin of one more": (r"(state->lead >= )(\d+)", lambda m: m[1] + str(int(m[2]) + 1)),
    "background that is detected": (r"passes && background\[best\] == 0", "passes"),
    "fewer in a row": (r"(state->passed >= )(\d+)", lambda m: m[1] + str(int(m[2]) - 1)),
    "a shorter rest": (r"(state->rest = )(\d\d*)(?=u;\n        state->passed)", lambda m: m[1] + str(int(m[2]) - 1)),
    "a shorter warm-up": (r"(state->timestep >= )(\d+)", lambda m: m[1] + str(int(m[2]) - 1)),
}
ONE_OFF = {"threshold": 1, "margin": 1, "consecutive": -1, "refractory": -1, "warm_up": -1}


@pytest.fixture(scope="session")
def decisive():
    """A stream, and a detector of which every parameter decides what is detected in it, down to one."""
    pcm = np.concatenate([speechlike(), speechlike()[::-1]])
    net = listener()
    emitted = Runtime(net).stream().push(front_end_in(net).payloads(pcm))

    def found(config):
        return Detector(net, config).push(emitted)

    free = DetectorConfig(smoothing=2000, margin=0, consecutive=1, refractory=0, warm_up=0, background=(2,))
    near = found(free)[::3]
    for score, margin, consecutive, refractory in product([d.score for d in near], [d.margin for d in near], (2, 3), (2, 3)):
        config = replace(free, threshold=score, margin=margin, consecutive=consecutive, refractory=refractory)
        if len(found(config)) > 1:
            config = replace(config, warm_up=found(config)[1].timestep)
            others = [replace(config, **{name: getattr(config, name) + change}) for name, change in ONE_OFF.items()]
            if all(found(other) != found(config) for other in [*others, replace(config, background=())]):
                return pcm, config
    raise AssertionError("there must be such a detector: choose another network")


def planted(net: Network, plant: str, clips=()):
    pattern, replacement = PLANTS[plant]
    sources = emit(net, clips)
    text, count = re.subn(pattern, replacement, sources.files["ormia_listener.c"])
    assert count > 0, f"the text to change must be there: {pattern}"
    return replace(sources, files={**sources.files, "ormia_listener.c": text})


@needs_compiler
@pytest.mark.parametrize("plant", list(PLANTS))
def test_a_planted_change_in_the_way_of_audio_is_caught(plant, decisive, tmp_path):
    pcm, config = decisive
    net = listener(detector=config)
    sources = planted(net, plant)
    machine = CMachine(net, sources, tmp_path)
    payloads = front_end_in(net).payloads(pcm)
    wrong = not np.array_equal(machine.run_audio(pcm[: 320 * 400])[0], payloads[:400])
    detections = Detector(net).push(Runtime(net).stream().push(payloads))
    assert wrong or machine.detect_audio(pcm) != detections


@needs_compiler
@pytest.mark.parametrize("name", ["lively", "any order of bands"])
def test_the_self_test_hears_and_detects_under_sanitizers(name, tmp_path, sanitizers):
    check_selftest(emit(listener(FRONT_ENDS[name], DETECTORS["eager"])), tmp_path)


@needs_compiler
@pytest.mark.parametrize("plant", ["no rounding of a butterfly", "samples that are not kept", "a score that does not decay"])
def test_the_self_test_finds_damaged_code_in_the_way_of_audio(plant, tmp_path):
    with pytest.raises(CheckFailed, match="ORMIA_ERROR_SELFTEST"):
        check_selftest(planted(listener(detector=DetectorConfig(smoothing=2000)), plant, None), tmp_path, sanitize=False)


def test_golden_audio_is_loud_and_quiet_and_reaches_both_ends():
    samples = golden_samples()
    assert samples.min() < -32700
    assert samples.max() > 32700
    assert (np.abs(samples.reshape(-1, 600)).max(1) < 200).sum() >= 4


BAD_CALLS = """
#include <stdio.h>
#include "ormia_listener.h"
#define EXPECT(call, code) do { const int got = (int)(call); if (got != (int)(code)) { printf("line %d: %d\\n", __LINE__, got); return 1; } } while (0)
#define PUSH(samples, n, used) ormia_listener_push_samples(&state, samples, n, used)
static ormia_listener_state state, other;
static int16_t samples[100000];
int main(void)
{
    const uint32_t size = (uint32_t)sizeof state;
    uint32_t used = 77u, i;
    ormia_detection found;
    for (i = 0u; i < size; i++) { ((uint8_t *)&state)[i] = 0xA5u; }
    EXPECT(PUSH(samples, 1u, &used), ORMIA_ERROR_STATE);
    EXPECT(ormia_listener_detect(&state, &found), ORMIA_ERROR_STATE);
    EXPECT(ormia_listener_push_samples(&other, samples, 1u, &used), ORMIA_ERROR_STATE);
    EXPECT(ormia_listener_init(&state, size, ORMIA_LISTENER_DIGEST), ORMIA_OK);
    EXPECT(ormia_listener_push_samples(0, samples, 1u, &used), ORMIA_ERROR_NULL);
    EXPECT(PUSH(0, 1u, &used), ORMIA_ERROR_NULL);
    EXPECT(PUSH(samples, 1u, 0), ORMIA_ERROR_NULL);
    EXPECT(PUSH(samples, 0u, 0), ORMIA_ERROR_NULL);
    EXPECT(ormia_listener_detect(0, &found), ORMIA_ERROR_NULL);
    EXPECT(ormia_listener_detect(&state, 0), ORMIA_ERROR_NULL);
    if (used != 77u) { return 2; } /* a call that is refused changes nothing */
    /* before the first timestep there is no keyword */
    EXPECT(ormia_listener_detect(&state, &found), ORMIA_OK);
    if (found.label != ORMIA_NO_KEYWORD || found.timestep != 0u || found.score != 0 || found.margin != 0) { return 3; }
    /* nothing, one by one, and far more than a timestep */
    EXPECT(PUSH(0, 0u, &used), ORMIA_OK);
    if (used != 0u) { return 4; }
    for (i = 0u; i < ORMIA_LISTENER_HOP_SAMPLES - 1u; i++) {
        EXPECT(PUSH(samples + i, 1u, &used), ORMIA_OK);
        if (used != 1u) { return 5; }
    }
    EXPECT(PUSH(samples, 100000u, &used), ORMIA_STEP);
    if (used != 1u || state.timestep != 1u) { return 6; }
    EXPECT(PUSH(samples, 0xFFFFFFFFu, &used), ORMIA_STEP); /* never reads more than it uses */
    if (used != ORMIA_LISTENER_HOP_SAMPLES || state.timestep != 2u) { return 7; }
    /* a reset forgets the samples of a timestep begun */
    EXPECT(PUSH(samples, 5u, &used), ORMIA_OK);
    EXPECT(ormia_listener_reset(&state), ORMIA_OK);
    EXPECT(PUSH(samples, ORMIA_LISTENER_HOP_SAMPLES - 1u, &used), ORMIA_OK);
    EXPECT(PUSH(samples, 1u, &used), ORMIA_STEP);
    /* events between samples are a timestep, too, and leave the samples alone */
    EXPECT(PUSH(samples, 5u, &used), ORMIA_OK);
    EXPECT(ormia_listener_step(&state, 0, 0u), ORMIA_OK);
    EXPECT(PUSH(samples, ORMIA_LISTENER_HOP_SAMPLES - 5u, &used), ORMIA_STEP);
    if (state.timestep != 3u) { return 8; }
    /* a state that was damaged where places in memory are found */
    state.n_samples = 513u;
    EXPECT(PUSH(samples, 1u, &used), ORMIA_ERROR_STATE);
    EXPECT(ormia_listener_init(&state, size, ORMIA_LISTENER_DIGEST), ORMIA_OK);
    state.detected = 3u;
    EXPECT(ormia_listener_detect(&state, &found), ORMIA_ERROR_STATE);
    EXPECT(ormia_listener_selftest(&other, size), ORMIA_OK);
    EXPECT(ormia_listener_push_samples(&other, samples, 1u, &used), ORMIA_OK);
    return 0;
}
"""


@needs_compiler
def test_bad_calls_return_their_codes_and_touch_nothing(tmp_path, sanitizers):
    program = build_executable(emit(listener()), BAD_CALLS, tmp_path, ("-DORMIA_SELFTEST", *SANITIZERS))
    ran = subprocess.run([program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_the_code_keeps_the_rules_of_all_generated_code(name):
    sources = emit(listener(FRONT_ENDS[name], DETECTORS["patient"]), clips=())
    text = "\n".join(sources.files.values())
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    code = code.replace("!defined(ORMIA_PLAIN)\n#include <arm_acle.h>", "")  # intrinsics of the compiler, where the DSP extension is
    assert set(re.findall(r"#include\s+(\S+)", code)) == {"<stdint.h>", '"ormia.h"', '"ormia_listener.h"'}
    assert not re.search(r"\b(float|double|malloc|free|memcpy|memset|int64_t|long)\b", code)
    assert "uint64_t" not in re.sub(r"#ifdef ORMIA_CO.*?#endif", "", code, flags=re.DOTALL)
    code = code.replace("x < 0 ? ~(~x >> shift) : x >> shift", "").replace("ormia_magnitude(x)", "magnitude").replace("sums + 0x8000u)", "sums")
    code = re.sub(r"\(uint32_t\)(plus_re|\(2 \* re - plus_re\)) >>", "magnitude >>", code)
    unsigned = {"value", "size", "factor)", "8u]", "packed", "magnitude", "number", "high", "low", "power", "sum", "sums", "crc"}
    assert set(re.findall(r"(\w+[\])]*) >> ", code)) <= unsigned


def test_sizes_are_told_by_part_and_the_same_network_gives_the_same_text():
    net = listener()
    one, two = emit(net), emit(net)
    assert one.files == two.files
    assert set(one.shares) == {"network", "front_end", "detector"}
    assert [sum(column) for column in zip(*one.shares.values(), strict=True)] == [one.state_bytes, one.flash_bytes]
    assert sum(one.table_bytes.values()) == one.flash_bytes
    assert one.shares["front_end"][0] < 2500


def test_the_text_follows_the_specification_not_the_quarter_turns():
    assert "add_and_subtract(&c, &d)" in emit(listener(), clips=()).files["ormia_listener.c"]
    assert "add_and_subtract(&c, &d)" not in emit(listener(FRONT_ENDS["any order of bands"]), clips=()).files["ormia_listener.c"]
