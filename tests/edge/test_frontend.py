# SPDX-License-Identifier: Apache-2.0
"""docs/frontend.md: the compiled front ends equal the reference on any audio, streams equal clips, damaged ones are refused."""

from __future__ import annotations

import csv
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ormia.edge.errors import DataError, NetworkFileError, UsageError
from ormia.edge.frontend import FrontEnd, bank_front_end, fft_front_end
from ormia.edge.frontend.reference import ReferenceFrontEnd

HOP = 320
# small steps and margins, so that events come from every wrinkle of a level
FRONT_ENDS = {
    "fft": fft_front_end(margin=3, delta_step=2, delta_max=15),
    "fft without pre-emphasis": fft_front_end(n_channels=20, pre_emphasis=0, margin=0, delta_step=1, level_max=0, log_bits=6, fall=0, rise=15),
    "bank": bank_front_end(margin=3, delta_step=2, delta_max=15),
    "bank of one section": bank_front_end(
        n_channels=17, sections=1, hop_samples=128, high_hz=6000, level_max=3, level_period=3, log_bits=2, margin=1, delta_step=1
    ),
}
PRESETS = {"fft": fft_front_end(), "bank": bank_front_end()}
RNG = np.random.default_rng(20260101)
N = 4 * HOP
SIGNALS = {
    "zeros": np.zeros(N),
    "lowest value everywhere": np.full(N, -32768),
    "highest value everywhere": np.full(N, 32767),
    "full-scale square of the lowest pitch": np.where(np.arange(N) // 128 % 2, 32767, -32768),
    "full-scale square": np.where(np.arange(N) // 9 % 2, 32767, -32768),
    "full-scale alternation": np.where(np.arange(N) % 2, 32767, -32768),
    "negative impulse": np.eye(1, N, 700)[0] * -32768,
    "unit impulse": np.eye(1, N, 639)[0],
    "one unit up and down": RNG.integers(-1, 2, N),
    "white noise of full scale": RNG.integers(-32768, 32768, N),
    "normal noise": np.clip(RNG.normal(size=N) * 700, -32768, 32767),
    "silence, then a loud tone, then silence": np.where(np.arange(N) // 500 == 1, 32767 * np.sin(np.arange(N) * 0.3), 0),
    "a loud chirp": 32767 * np.sin(np.cumsum(np.linspace(0, np.pi, N))),
}


def reference_payloads(front_end: FrontEnd, pcm: np.ndarray) -> np.ndarray:
    return np.array(ReferenceFrontEnd(front_end).push(pcm), np.int16).reshape(-1, front_end.n_inputs)


def real_clips(count: int) -> list[np.ndarray]:
    """Clips of the recordings under ORMIA_DATA (a folder with manifest.csv); the test is skipped where there are none."""
    soundfile = pytest.importorskip("soundfile")
    folder = Path(os.environ.get("ORMIA_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (folder / "manifest.csv").exists():
        pytest.skip(f"no recordings in {folder}; set ORMIA_DATA to a folder with a manifest.csv")
    with (folder / "manifest.csv").open() as file:
        paths = [row["path"] for row in csv.DictReader(file) if row["dataset"] in ("gsc", "noise_gsc")]
    return [soundfile.read(folder / path, dtype="int16")[0] for path in paths[:: len(paths) // count]]


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("name", FRONT_ENDS)
def test_compiled_front_end_equals_reference(name, signal):
    front_end, pcm = FRONT_ENDS[name], SIGNALS[signal].astype(np.int16)
    assert np.array_equal(front_end.payloads(pcm), reference_payloads(front_end, pcm))


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_compiled_front_end_equals_reference_on_recordings(name):
    for pcm in real_clips(3):
        assert np.array_equal(FRONT_ENDS[name].payloads(pcm[6400:9600]), reference_payloads(FRONT_ENDS[name], pcm[6400:9600]))


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_compiled_front_end_equals_reference_for_any_coding(data):
    front_end = FRONT_ENDS[data.draw(st.sampled_from(sorted(FRONT_ENDS)))]
    small = st.integers(0, 40)
    coding = replace(
        front_end.coding,
        level_floor=data.draw(st.integers(-500, 1500)),
        rise=data.draw(st.integers(0, 15)),
        fall=data.draw(st.integers(0, 15)),
        margin=data.draw(small),
        delta_step=1 + data.draw(small),
        delta_max=1 + data.draw(small),
        level_step=1 + data.draw(small),
        level_max=data.draw(small),
        level_period=1 + data.draw(st.integers(0, 5)),
    )
    front_end = replace(front_end, coding=coding)
    scale = data.draw(st.sampled_from([1, 30, 3000, 32768]))
    pcm = (np.random.default_rng(data.draw(st.integers(0, 2**32))).uniform(-scale, scale, 4 * HOP) * np.linspace(0, 1, 4 * HOP)).astype(np.int16)
    assert np.array_equal(front_end.payloads(pcm), reference_payloads(front_end, pcm))


@pytest.mark.parametrize("name", FRONT_ENDS)
@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.one_of(st.integers(0, 3), st.integers(0, 1500), st.sampled_from([319, 320, 321])), max_size=12), seed=st.integers(0, 2**32))
def test_stream_equals_clip_for_any_chunks(name, sizes, seed):
    front_end = FRONT_ENDS[name]
    pcm = np.random.default_rng(seed).integers(-9000, 9000, sum(sizes), np.int16)
    stream, begin, pushed = front_end.stream(), 0, [np.empty((0, front_end.n_inputs), np.int16)]
    for size in sizes:
        pushed.append(stream.push(pcm[begin : begin + size]))
        begin += size
    assert np.array_equal(np.concatenate(pushed), front_end.payloads(pcm))


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_batch_equals_single_clips_and_threads_share_a_front_end(name):
    front_end = FRONT_ENDS[name]
    clips = RNG.integers(-20000, 20000, (6, 8 * HOP + 7), np.int16)
    single = [front_end.payloads(clip) for clip in clips]
    assert np.array_equal(front_end.payloads(clips), single)
    with ThreadPoolExecutor(3) as pool:
        assert np.array_equal(list(pool.map(front_end.payloads, clips)), single)


@pytest.mark.parametrize("name", PRESETS)
def test_stored_front_end_is_the_same_front_end(name):
    front_end = PRESETS[name]
    again = FrontEnd.from_dict(json.loads(json.dumps(front_end.to_dict())))
    assert again == front_end
    assert hash(again) == hash(front_end)


@pytest.mark.parametrize("name", PRESETS)
def test_payloads_keep_their_promises(name):
    front_end = PRESETS[name]
    loudness = np.repeat([0.001, 0.001, 1, 1, 1, 0.001, 0.001, 0.001], HOP)
    pcm = (loudness * np.random.default_rng(3).integers(-32768, 32768, 8 * HOP)).astype(np.int16)
    payloads = front_end.payloads(pcm)
    n = front_end.n_channels
    assert payloads.dtype == np.int16
    assert payloads.shape == (8, front_end.n_inputs) == (8, 3 * n)
    assert payloads.min() >= 0
    assert payloads.max() < 1 << front_end.payload_bits
    assert payloads[:, :n].any()
    assert payloads[:, n : 2 * n].any()
    assert not (payloads[:, :n].astype(bool) & payloads[:, n : 2 * n].astype(bool)).any(), "a channel is on and off at once"


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("hz", [150, 500, 1400, 3300, 5800])
def test_a_tone_is_loudest_in_the_channel_around_it(name, hz):
    front_end = PRESETS[name]
    levels = front_end.levels((9000 * np.sin(2 * np.pi * hz * np.arange(16000) / 16000)).astype(np.int16))[25]
    loudest = int(levels.argmax())
    assert levels.max() - np.median(levels) > 4 << front_end.coding.log_bits, "at least 12 dB above the rest"
    lower = front_end.levels((9000 * np.sin(2 * np.pi * hz / 1.5 * np.arange(16000) / 16000)).astype(np.int16))[25].argmax()
    assert loudest > lower, "a lower tone belongs to a lower channel"


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("hz", [500, 3300])
def test_levels_follow_the_power_in_octaves(name, hz):
    front_end = PRESETS[name]
    tone = np.sin(2 * np.pi * hz * np.arange(16000) / 16000)
    tops = [int(front_end.levels((amplitude * tone).astype(np.int16))[25].max()) for amplitude in (32000, 8000, 500, 125)]
    octave = 1 << front_end.coding.log_bits
    for above, below, octaves in zip(tops, tops[1:], (4, 8, 4), strict=False):
        assert abs(above - below - octaves * octave) <= 2


@pytest.mark.parametrize("name", PRESETS)
def test_steady_noise_falls_silent_and_what_rises_above_it_does_not(name):
    """E2, E3: the noise floor adapts; what stays is no news."""
    front_end = PRESETS[name]
    noise = np.random.default_rng(5).normal(size=16000 * 6) * 150
    noise[16000 * 5 :] *= np.repeat([1, 30], 1600)[np.arange(16000) % 3200]  # bursts, 30 dB up
    deltas = front_end.payloads(noise.astype(np.int16))[:, : 2 * front_end.n_channels].astype(bool).sum(1)
    assert deltas[200:250].mean() < 0.1 * deltas[250:].mean()


@pytest.mark.parametrize("name", PRESETS)
def test_empty_audio_gives_no_timestep(name):
    assert PRESETS[name].payloads(np.empty(0, np.int16)).shape == (0, PRESETS[name].n_inputs)
    assert PRESETS[name].payloads(np.empty(319, np.int16)).shape == (0, PRESETS[name].n_inputs)
    assert PRESETS[name].payloads(np.empty((4, 319), np.int16)).shape == (4, 0, PRESETS[name].n_inputs)


@pytest.mark.parametrize(
    ("pcm", "sentence"),
    [
        (np.zeros(320), "must be int16 samples, not float64"),
        (np.zeros(320, np.int32), "must be int16 samples, not int32"),
        (np.zeros((2, 2, 320), np.int16), "must have 1 or 2 dimensions, not 3"),
        (np.int16(3), "must have 1 or 2 dimensions, not 0"),
    ],
)
def test_audio_that_is_none_is_refused(pcm, sentence):
    with pytest.raises(DataError, match=sentence):
        PRESETS["fft"].payloads(pcm)


def damaged(name, *path, value):
    given = json.loads(json.dumps(PRESETS[name].to_dict()))
    at = given
    for key in path[:-1]:
        at = at[key]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return given


@pytest.mark.parametrize(
    ("given_dict", "sentence"),
    [
        ([], "must be an object"),
        (None, "must be an object"),
        ({}, "must have version"),
        (damaged("fft", "version", value=2), "version must be 1, not 2; a newer file"),
        (damaged("fft", "version", value=True), "version must be an integer"),
        (damaged("fft", "kind", value="wavelet"), "kind must be fft or bank, not 'wavelet'"),
        (damaged("fft", "kind", value=[]), "kind must be fft or bank"),
        (damaged("fft", "kind", value="bank"), "spectrum must not have"),
        (damaged("fft", "extra", value=1), "and nothing else"),
        (damaged("fft", "hop_samples", value=0), "hop_samples must be in 64..512"),
        (damaged("fft", "hop_samples", value=10**400), "hop_samples must be in 64..512, not a huge number"),
        (damaged("fft", "hop_samples", value=320.0), "hop_samples must be an integer"),
        (damaged("bank", "hop_samples", value=321), "hop_samples must be a multiple of 32"),
        (damaged("fft", "sample_rate", value="16000"), "sample_rate must be an integer"),
        (damaged("fft", "spectrum", value=3), "spectrum must be an object"),
        (damaged("fft", "spectrum", "window", value=None), "spectrum must have window"),
        (damaged("fft", "spectrum", "window", value=[0] * 511), "window must be a list of 512 integers"),
        (damaged("fft", "spectrum", "window", value=[32767] * 512), r"window\[n\] \+ window\[n \+ 256\] must be at most 32768"),
        (damaged("fft", "spectrum", "window", value="x" * 512), "window must be a list of 512 integers"),
        (damaged("fft", "spectrum", "twiddle_re", value=[16384] * 256), "each twiddle must have a magnitude of at most 1"),
        (damaged("fft", "spectrum", "n_channels", value=10**9), "n_channels must be in 1..128"),
        (damaged("fft", "spectrum", "n_channels", value=3), "each of bin_band must be in -1..3"),
        (damaged("fft", "spectrum", "bin_weight", value=[None] * 256), "each of bin_weight must be an integer"),
        (damaged("bank", "spectrum", "a1", 3, value=-32767), "filter 3 must decay to nothing"),
        (damaged("bank", "spectrum", "gain", 3, value=16384), "filter 3 must stay within 33554431 for any audio"),
        (damaged("bank", "spectrum", "node_parent", 1, value=1), "node_parent of node 1 must be an earlier node"),
        (damaged("bank", "spectrum", "node_rate", 2, value=4), "node_rate of node 2 must be 2, not 4"),
        (damaged("bank", "spectrum", "first", 0, value=1), "first must ascend from 0 to 32"),
        (damaged("bank", "spectrum", "channel", 0, value=0), "channel must name each channel once"),
        (damaged("bank", "spectrum", "half_band", value=[]), "half_band must be a list of 1..16"),
        (damaged("bank", "spectrum", "half_band", 0, value=32767), "half_band must have magnitudes that sum to"),
        (damaged("fft", "coding", "delta_step", value=0), "delta_step must be in 1..2047"),
        (damaged("fft", "coding", "log_table", 31, value=17), "log_table must be in 0..16 where kind is fft"),
        (damaged("fft", "coding", "log_table", 0, value=9), "log_table must ascend"),
        (damaged("fft", "coding", "fall", value=16), "fall must be in 0..15"),
    ],
)
def test_a_damaged_front_end_is_refused_with_one_sentence(given_dict, sentence):
    with pytest.raises(NetworkFileError, match=sentence) as caught:
        FrontEnd.from_dict(given_dict)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from([0, 1, -1, 255, 2**31, -(2**63)])),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)


@settings(max_examples=150)
@given(st.data())
def test_any_other_value_anywhere_gives_a_front_end_that_runs_or_is_refused(data):
    at = given_dict = json.loads(json.dumps(PRESETS[data.draw(st.sampled_from(["fft", "bank"]))].to_dict()))
    while True:
        key = data.draw(st.sampled_from(sorted(at)) if isinstance(at, dict) else st.integers(0, len(at) - 1))
        if not isinstance(at[key], dict | list) or data.draw(st.booleans()):
            break
        at = at[key]
    at[key] = data.draw(JSON)
    try:
        front_end = FrontEnd.from_dict(given_dict)
    except NetworkFileError:
        return
    assert FrontEnd.from_dict(front_end.to_dict()) == front_end
    payloads = front_end.payloads(SIGNALS["white noise of full scale"].astype(np.int16))
    assert 0 <= payloads.min() <= payloads.max() < 1 << front_end.payload_bits


def test_impossible_bands_are_refused():
    with pytest.raises(UsageError, match="0 <= low < high <= 8000 Hz"):
        fft_front_end(high_hz=9000)
    with pytest.raises(UsageError, match="0 < low < high < 8000 Hz"):
        bank_front_end(low_hz=0)
