# SPDX-License-Identifier: Apache-2.0
"""train/events for TI46: SPHERE files of both byte orders, Lyon's cochlea, BSA, and one sentence for whatever is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ormia.edge.errors import DataError, UsageError
from ormia.train.events import EventCorpus, load_event_corpus
from ormia.train.events.lyon import bsa, bsa_kernel, center_frequencies, lyon_ear
from ormia.train.events.sphere import read_sphere

RATE = 12_500
TONE = np.round(3000 * np.sin(2 * np.pi * 1000 / RATE * np.arange(2500))).astype(np.int16)


def sphere(samples: np.ndarray, order: str = "01", rate: int = RATE, **fields: str) -> bytes:
    """A file as the LDC writes it; ``fields`` replaces header lines."""
    lines = {
        "channel_count": "-i 1", "sample_count": f"-i {len(samples)}", "sample_rate": f"-i {rate}", "sample_n_bytes": "-i 2",
        "sample_byte_format": f"-s2 {order}", "sample_sig_bits": "-i 12", "sample_coding": "-s3 pcm",
    } | fields  # fmt: skip
    text = "NIST_1A\n   1024\n" + "".join(f"{key} {value}\n" for key, value in lines.items()) + "end_head\n"
    return text.encode().ljust(1024) + samples.astype("<i2" if order == "01" else ">i2").tobytes()


# SPHERE


@settings(max_examples=20)
@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=20), st.sampled_from(["01", "10"]))
def test_samples_of_both_byte_orders_are_read_exactly(tmp_path_factory: pytest.TempPathFactory, samples: list[int], order: str):
    path = tmp_path_factory.getbasetemp() / "a.wav"
    path.write_bytes(sphere(np.array(samples), order))
    found, rate = read_sphere(path)
    assert (found * 32768).tolist() == samples
    assert rate == RATE


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (sphere(TONE, sample_coding="-s26 pcm,embedded-shorten-v2.00"), "must hold plain pcm, not pcm,embedded-shorten-v2.00: convert"),
        (sphere(TONE, sample_coding="-s4 ulaw"), "must hold plain pcm, not ulaw"),
        (sphere(TONE, channel_count="-i 2"), "must have one channel of 2 bytes, not 2 of 2"),
        (sphere(TONE)[:-2], "must hold the samples it declares, and some: .* declares 2500 and holds 2499"),
        (sphere(TONE[:0]), "declares 0 and holds 0"),
        (sphere(TONE)[:900].replace(b"end_head", b"end_here"), "must have a header that ends in end_head"),
        (sphere(TONE)[:40], "must have a header that ends in end_head"),
        (sphere(TONE, sample_rate="-i x"), "must be whole"),
        (b"RIFF" + sphere(TONE)[4:], "must begin with NIST_1A"),
        (bytes(range(128, 256)), "must begin with NIST_1A"),
        (b"", "must begin with NIST_1A"),
    ],
)
def test_a_file_that_is_compressed_cut_or_no_sphere_is_refused(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_sphere(tmp_path / "a.wav")
    assert "\n" not in str(caught.value)


# the ear


def test_the_ear_has_78_channels_at_the_rate_of_ti46_and_86_at_16_khz():
    # the counts of the Auditory Toolbox, as published corpora and ports of it have them
    assert [len(center_frequencies(rate)) for rate in (12_500, 16_000)] == [78, 86]
    assert (np.diff(center_frequencies(RATE)) < 0).all()


def naive_ear(samples: np.ndarray, decimation: int) -> np.ndarray:
    """The toolbox's loops, a sample at a time, from the text of its functions' definitions."""
    q, step, low = 8.0, 0.25, 1000.0
    top = RATE / 2
    top = top - np.sqrt(top**2 + low**2) / q * step * 1.5 + np.sqrt(top**2 + low**2) / q * step

    def pair(f: float, quality: float) -> list[float]:
        rho, theta = np.exp(-np.pi * f / RATE / quality), 2 * np.pi * f / RATE * np.sqrt(1 - 1 / (4 * quality**2))
        return [1.0, -2 * rho * np.cos(theta), rho**2]

    def scaled(b: list[float], a: list[float], gain: float, f: float) -> tuple[list[float], list[float]]:
        z = np.exp(-2j * np.pi * f / RATE)
        have = abs((b[0] + b[1] * z + b[2] * z**2) / (a[0] + a[1] * z + a[2] * z**2))
        return [x * gain / have for x in b], a

    centers = center_frequencies(RATE)
    width = np.sqrt(centers**2 + low**2) / q
    sections = [scaled([0, 1, -np.exp(-2 * np.pi * 300 / RATE)], [1, 0, 0], 1, RATE / 4), scaled([1, 0, -1], pair(top, centers[0] / width[0]), 1, RATE / 4)]
    for i, f in enumerate(centers):
        zero = f + width[i] * step * 1.5
        gain = centers[max(i, 1) - 1] / centers[max(i, 1)]
        sections.append(scaled(pair(zero, 5 * zero / width[i]), pair(f, f / width[i]), gain, 0))
    n = len(sections)
    first, second, gains = np.zeros(n), np.zeros(n), np.zeros((4, n))
    eps = [1 - np.exp(-1 / tau / RATE) for tau in (0.64, 0.16, 0.04, 0.01)]
    targets = (0.0032, 0.0016, 0.0008, 0.0004)
    keep = np.exp(-1 / (decimation / RATE * 3) / RATE)
    delayed, smooth, frames = [np.zeros(n)] * 2, [np.zeros(n)] * 2, []
    for t, x in enumerate(samples):
        out = np.zeros(n)
        for i, (b, a) in enumerate(sections):
            out[i] = b[0] * x + first[i]
            first[i] = b[1] * x - a[1] * out[i] + second[i]
            second[i] = b[2] * x - a[2] * out[i]
            x = out[i]
        out = np.maximum(out, 0)
        out[:2] = 0
        for stage in range(4):
            old = np.concatenate([gains[stage, :1], gains[stage], gains[stage, -1:]])
            out = np.abs(out * (1 - gains[stage]))
            gains[stage] = np.minimum(out * eps[stage] / targets[stage] + (1 - eps[stage]) / 3 * (old[:-2] + old[1:-1] + old[2:]), 0.9)
        out = np.concatenate([out[:1], np.maximum(out[:-1] - out[1:], 0)])
        smooth = [(1 - keep) ** 2 * delayed[1] + 2 * keep * smooth[0] - keep**2 * smooth[1], smooth[0]]
        delayed = [out, delayed[0]]
        if (t + 1) % decimation == 0:
            frames.append(smooth[0][2:])
    return np.array(frames)


def test_the_ear_is_that_of_the_toolbox_sample_by_sample():
    samples = np.random.default_rng(1).normal(0, 0.1, 305)
    found = lyon_ear(samples, RATE, 50)
    assert found.shape == (6, 78)
    assert np.allclose(found, naive_ear(samples, 50), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("hertz", [400, 1000, 3000])
def test_a_tone_is_loudest_near_its_place(hertz: int):
    rates = lyon_ear(0.1 * np.sin(2 * np.pi * hertz / RATE * np.arange(5000)), RATE, 200)
    place = center_frequencies(RATE)[rates.mean(0).argmax()]
    assert hertz / 1.25 < place < 1.25 * hertz
    assert (rates >= 0).all()


def test_silence_is_heard_as_nothing():
    assert not lyon_ear(np.zeros(1000), RATE, 200).any()


# BSA


@given(st.lists(st.integers(0, 20), max_size=6, unique=True))
def test_bsa_finds_the_spikes_that_made_a_signal(places: list[int]):
    spaced = sorted(place * 30 for place in places)
    values = np.zeros((650, 1))
    for place in spaced:
        values[place : place + 24, 0] += bsa_kernel()
    # a spike one step early would lower the error by 0.77 only
    assert np.flatnonzero(bsa(values, bsa_kernel(), 0.9)[:, 0]).tolist() == spaced


@given(st.integers(0, 1 << 30))
def test_bsa_is_what_the_literature_on_ti46_states(seed: int):
    values = np.random.default_rng(seed).gamma(1.0, 0.1, 60)
    kernel = np.exp(-((np.arange(24) - 12) ** 2) / 25)
    kernel /= kernel.sum()
    rest, expected = values.copy(), []
    for i in range(60 - 23):
        if np.abs(rest[i : i + 24] - kernel).sum() < np.abs(rest[i : i + 24]).sum() - 0.6:
            expected.append(i)
            rest[i : i + 24] -= kernel
    assert np.flatnonzero(bsa(values[:, None], bsa_kernel(), 0.6)[:, 0]).tolist() == expected


def test_a_spike_must_lower_the_error_by_more_than_the_threshold():
    kernel = np.array([0.5, 0.5])
    values = np.array([[0.5], [0.25], [0.0]])  # the error falls by 0.5, from 0.75 to 0.25
    assert bsa(values, kernel, 0.49)[:, 0].tolist() == [True, False, False]
    assert not bsa(values, kernel, 0.5).any()


# the corpus


def write_ti46(folder: Path, words: str = "ab", part: str = "TI_ALPHA") -> Path:
    for speaker in ("f1", "m8"):
        for word in words:
            for split, tail in (("train", "set0"), ("train", "set8"), ("TEST", "s1t0")):
                inside = folder / part / split / speaker
                inside.mkdir(parents=True, exist_ok=True)
                (inside / f"0{word}{speaker}{tail}.wav").write_bytes(sphere(TONE, "10" if word == "b" else "01"))
    return folder


def load(folder: Path, **options: object) -> EventCorpus:
    return load_event_corpus({"corpus": "ti46", **options}, folder)


def test_ti46_is_split_by_session(tmp_path: Path):
    corpus = load(write_ti46(tmp_path))
    assert len(corpus.classes) == 26
    assert corpus.clips.shape == (12, 700, 78)
    assert {word: corpus.counts()[word] for word in "abc"} == {word: dict.fromkeys(("train", "valid", "test"), 2 if word < "c" else 0) for word in "abc"}
    assert corpus.shared_speakers == ("f1", "m8")
    assert corpus.timestep_ms == pytest.approx(1.6)
    dense = corpus.clips[:]
    assert dense.max() == 1
    assert (dense == dense[:1]).all()  # the byte order changes nothing
    loudest = center_frequencies(RATE)[dense[0].sum(0).argmax()]
    assert 800 < loudest < 1250


def test_the_digits_and_all_words_lie_in_one_folder(tmp_path: Path):
    write_ti46(tmp_path, "03", "ti20")
    write_ti46(tmp_path, part="ti_alpha")
    for split, tail in (("train", "set0"), ("TEST", "s1t0")):
        (tmp_path / "ti20" / split / "f1" / f"ysf1{tail}.wav").write_bytes(sphere(TONE))
    assert len(load(tmp_path, part="digits").clips) == 12
    words = load(tmp_path, part="words")
    assert words.counts()["yes"] == {"train": 1, "valid": 0, "test": 1}


def test_names_and_parts_that_are_not_those_of_ti46_are_refused(tmp_path: Path):
    def refusal(**options: object) -> str:
        with pytest.raises((DataError, UsageError)) as caught:
            load(tmp_path, **options)
        return str(caught.value)

    assert "must have the folder ti_alpha/train" in refusal()
    path = write_ti46(tmp_path, "a") / "TI_ALPHA" / "train" / "f1" / "0af1set0.wav"
    assert "part must be one of alpha, digits, words, not 'beta'" in refusal(part="beta")
    assert "pattern must be a regular expression" in refusal(pattern="(")
    assert "lacks set, speaker" in refusal(pattern="(?P<word>.*)")
    path.write_bytes(sphere(TONE, rate=16_000))
    assert "must have 12500 samples a second, not 16000" in refusal()
    path.rename(path.with_name("a_f1_0.wav"))
    assert "must tell word and speaker, as 0af1set0 does, not 'a_f1_0.wav'" in refusal()
    path.with_name("a_f1_0.wav").rename(path.with_name("qqf1set0.wav"))
    assert "a word of TI46 alpha must be one of 0a, 0b" in refusal()
