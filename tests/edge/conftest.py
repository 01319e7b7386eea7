# SPDX-License-Identifier: Apache-2.0
"""Seeded networks and clips that reach every field and every branch, as fixtures that hand out functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ormia.edge.network import Formats, MotifHint, Network, Readout, Reset


def draw_network(seed: int, *, n_inputs: int | None = None, n_neurons: int | None = None, plain: bool = False) -> Network:
    """A random network. ``plain``: one compartment, no delay, no refractory period, unsigned payloads of 1 bit."""
    rng = np.random.default_rng(seed)
    n_inputs = int(rng.integers(0, 7)) if n_inputs is None else n_inputs
    n_neurons = int(rng.integers(1, 14)) if n_neurons is None else n_neurons
    k = 1 if plain else int(rng.integers(1, 5))
    n_kinds = int(rng.integers(1, 5))
    signed = bool(rng.integers(2)) and not plain
    formats = Formats(
        membrane_bits=int(rng.integers(8, 25)) if not plain else 16,
        current_bits=int(rng.integers(8, 25)) if not plain else 16,
        weight_bits=int(rng.integers(2, 9)),
        decay_bits=int(rng.integers(8, 16)),
        payload_bits=1 if plain else int(rng.integers(2, 9)) if signed else int(rng.integers(1, 9)),
        payload_signed=signed,
        accumulator_bits=24,
        max_timesteps=64,
        flush=int(rng.choice([0, 0, 1, 5])),
    )
    firing = rng.random(n_kinds) < 0.8
    firing[0] = True
    readout = Readout(int(rng.integers(3)))
    if readout == Readout.SUM and formats.membrane_bits > 22:
        readout = Readout.LAST  # sums of such membranes do not fit 32 bits (P2)
    kind = rng.integers(0, n_kinds, n_neurons)
    fires = firing[kind]
    n_readouts = int(rng.integers(1, n_neurons + 1))
    readout_neuron = rng.permutation(n_neurons)[:n_readouts]
    if readout == Readout.SPIKES:
        firing[:] = True
        fires[:] = True
    top = formats.membrane.hi
    threshold = np.where(fires, np.minimum(rng.integers(1, 400, n_neurons), top), 0)
    source_pool = np.concatenate([np.arange(n_inputs), n_inputs + np.flatnonzero(fires)])
    n_axons = int(rng.integers(0, 2 * len(source_pool) + 1)) if len(source_pool) else 0
    targets = [np.sort(rng.permutation(n_neurons)[: rng.integers(0, min(n_neurons, 9) + 1)]) for _ in range(n_axons)]
    weights, boolean = [], rng.random(n_axons) < 0.2
    shift = rng.integers(0, 3 if formats.payload_bits < 6 else 1, n_axons)
    for a, t in enumerate(targets):
        w = rng.integers(formats.weight.lo, formats.weight.hi + 1, len(t))
        w[w == 0] = 1
        weights.append(np.full(len(t), w[0]) if boolean[a] and len(t) else w)
    n_classes = int(rng.integers(1, n_readouts + 1))
    full = 1 << formats.decay_bits
    return Network(
        formats=formats,
        n_inputs=n_inputs,
        axon_source=rng.choice(source_pool, n_axons) if n_axons else np.zeros(0, int),
        axon_delay=np.zeros(n_axons, int) if plain else np.where(rng.random(n_axons) < 0.5, 0, rng.integers(0, 9, n_axons)),
        axon_shift=shift,
        axon_compartment=rng.integers(0, k, n_axons),
        axon_boolean=boolean,
        synapse_start=np.concatenate([[0], np.cumsum([len(t) for t in targets])]).astype(int),
        synapse_target=np.concatenate([*targets, np.zeros(0, int)]).astype(int),
        synapse_weight=np.concatenate([*weights, np.zeros(0, int)]).astype(int),
        neuron_kind=kind,
        threshold=threshold,
        reset_by=np.where(fires, rng.integers(0, 400, n_neurons).clip(0, top), 0),
        bias=rng.integers(-40, 41, n_neurons),
        initial_membrane=rng.integers(-100, 101, n_neurons),
        kind_membrane_decay=rng.choice([0, full, full - 1, int(full * 0.9), int(full * 0.5)], n_kinds),
        kind_current_decay=rng.choice([0, full, int(full * 0.8), int(full * 0.3)], (n_kinds, k)),
        kind_firing=firing,
        kind_reset=rng.choice([Reset.ZERO, Reset.SUBTRACT], n_kinds),
        kind_refractory=np.zeros(n_kinds, int) if plain else rng.choice([0, 0, 1, 4], n_kinds),
        kind_drive_shift=rng.integers(0, 8, n_kinds),
        kind_current_shift=rng.integers(0, 6, n_kinds),
        readout_neuron=readout_neuron,
        readout_class=np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n_readouts - n_classes)]),
        readout=readout,
        labels=tuple(f"word {i}" for i in range(n_classes)),
        motifs=(MotifHint(base=0, size=n_neurons, count=1, intra=tuple((i, j) for i in range(n_neurons) for j in range(n_neurons))),),
        name=f"net_{seed}",
        metadata={"seed": seed, "nested": {"list": [1, 2.5, None, "ü"], "yes": True}},
    )


def draw_payloads(net: Network, n_clips: int, n_timesteps: int, seed: int, density: float = 0.4) -> np.ndarray:
    """Dense int16 [n_clips, n_timesteps, n_inputs] payloads that obey A7."""
    rng = np.random.default_rng(seed)
    shape = (n_clips, n_timesteps, net.n_inputs)
    payloads = rng.integers(net.formats.payload.lo, net.formats.payload.hi + 1, shape)
    return np.where(rng.random(shape) < density, payloads, 0).astype(np.int16)


@pytest.fixture(scope="session")
def random_network() -> Callable[..., Network]:
    return draw_network


@pytest.fixture(scope="session")
def random_payloads() -> Callable[..., np.ndarray]:
    return draw_payloads


def hearing_network(seed: int = 5, labels: tuple[str, ...] = ("yes", "no", "_silence_")) -> Network:
    """A network of random weights behind a small front end."""
    from ormia.edge.frontend import fft_front_end

    front_end = fft_front_end(n_channels=8)
    rng = np.random.default_rng(seed)
    n_hidden, n_inputs = 24, front_end.n_inputs
    n_neurons = n_hidden + len(labels)
    lists = [np.arange(n_hidden)] * n_inputs + [np.concatenate([np.sort(rng.permutation(n_hidden)[:5]), np.arange(n_hidden, n_neurons)])] * n_hidden
    weights = rng.integers(1, 8, sum(map(len, lists))) * rng.choice([-1, 1], sum(map(len, lists)))
    kind = np.array([0] * n_hidden + [1] * len(labels))
    return Network(
        formats=Formats(payload_bits=front_end.payload_bits, max_timesteps=64, flush=2), n_inputs=n_inputs, axon_source=np.arange(n_inputs + n_hidden),
        synapse_start=np.cumsum([0, *map(len, lists)]), synapse_target=np.concatenate(lists), synapse_weight=weights, neuron_kind=kind,
        threshold=np.where(kind == 0, 600, 0), kind_membrane_decay=[3700, 4000], kind_current_decay=[[3000], [0]], kind_firing=[1, 0],
        kind_reset=[Reset.SUBTRACT, Reset.ZERO], kind_refractory=[0, 0], kind_drive_shift=[5, 2], kind_current_shift=[1, 0],
        readout_neuron=np.arange(n_hidden, n_neurons), readout_class=np.arange(len(labels)), readout=Readout.SUM, labels=labels, name="hearing",
        metadata={"front_end": front_end.to_dict()},
    )  # fmt: skip


@pytest.fixture(scope="session")
def hearing() -> Callable[..., Network]:
    return hearing_network


@pytest.fixture
def saved_corpus(tmp_path):
    """Folder of a corpus of noise bursts, written by the training side."""
    from ormia.train.corpora.corpus import Corpus

    rng = np.random.default_rng(3)
    n = 40
    loudness = np.repeat(rng.integers(0, 40, (n, 10)) * 100, 1600, axis=1)
    clips = (rng.standard_normal((n, 16000)) * loudness).astype(np.int16)
    split = tuple(("train", "valid", "test", "test")[i % 4] for i in range(n))
    corpus = Corpus(
        clips=clips, labels=np.arange(n) // 4 % 3, classes=("_silence_", "no", "yes"), words=("w",) * n, speakers=tuple(split), split=split,
        clip_ids=tuple(f"clip{i}" for i in range(n)), snr_db=np.zeros(n, np.float32), noise={}, provenance={"parameters": {}, "source": "test"},
    )  # fmt: skip
    corpus.save(tmp_path / "corpus")
    return tmp_path / "corpus"


@pytest.fixture
def ormia(capsys):
    """Run a command line; returns exit code, stdout, stderr."""
    import logging

    from ormia.edge.cli import main

    log = logging.getLogger("ormia")
    before = log.handlers[:], log.propagate, log.level

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return left.value.code, out, err

    yield call
    log.handlers[:], log.propagate = before[0], before[1]
    log.setLevel(before[2])


@pytest.fixture(scope="session")
def sanitizers(tmp_path_factory):
    """Skip where the C compiler cannot link sanitizers."""
    import subprocess

    from ormia.edge.ccode.build import SANITIZERS, find_compiler

    folder = tmp_path_factory.mktemp("probe")
    (folder / "probe.c").write_text("int main(void) { return 0; }\n")
    command = [find_compiler(), *SANITIZERS, "-o", "probe", "probe.c"]
    built = subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
    if not built or subprocess.run([folder / "probe"], capture_output=True, check=False).returncode != 0:
        pytest.skip("the C compiler has no address and undefined-behavior sanitizers")
