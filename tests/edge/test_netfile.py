# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import struct
from dataclasses import fields, replace

import numpy as np
import pytest
from ormia.edge import netfile
from ormia.edge.errors import DataError, NetworkError, NetworkFileError
from ormia.edge.netfile import HEADER, MAGIC, network_digest, read_network, write_network
from ormia.edge.network import ARRAYS, Formats, MotifHint, Network, Readout
from safetensors import deserialize
from safetensors.numpy import save


def refusal(path) -> str:
    with pytest.raises(NetworkFileError) as caught:
        read_network(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text


def forge(path, source, change) -> None:
    """Rewrite ``source`` with ``change(header, tensors)`` applied and a right checksum: what a hostile author would do."""
    data = source.read_bytes()
    types = {"U8": np.uint8, "U16": np.uint16, "I16": np.int16, "I32": np.int32}
    tensors = {name: np.frombuffer(t["data"], types[t["dtype"]]).reshape(t["shape"]).copy() for name, t in deserialize(data)}
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][MAGIC])
    del header["checksum"]
    change(header, tensors)
    if set(ARRAYS) <= set(tensors):
        header["checksum"] = netfile._digest(header, tensors)
    path.write_bytes(save(tensors, {MAGIC: netfile._canonical(header)}))


@pytest.fixture
def small(random_network, tmp_path):
    path = tmp_path / "small.ormia"
    write_network(path, random_network(3))
    return path


@pytest.mark.parametrize("seed", range(40))
def test_what_is_written_is_read_back_in_every_field(random_network, tmp_path, seed):
    net = random_network(seed)
    digest = write_network(tmp_path / "net.ormia", net)
    back = read_network(tmp_path / "net.ormia")
    for f in fields(Network):
        assert np.array_equal(getattr(back, f.name), getattr(net, f.name)), f.name
        assert type(getattr(back, f.name)) is type(getattr(net, f.name)), f.name
    assert back == net
    assert network_digest(back) == digest == network_digest(net)


def test_every_field_of_a_network_is_in_one_of_the_two_tables():
    assert {f.name for f in fields(Network)} == set(ARRAYS) | set(HEADER)


def hand_made(**other) -> Network:
    values = {
        "formats": Formats(payload_bits=2), "n_inputs": 3, "axon_source": [0, 3, 4], "axon_delay": [0, 0, 2], "axon_shift": [0, 1, 0],
        "axon_compartment": [0, 1, 0], "axon_boolean": [False, True, False], "synapse_start": [0, 2, 4, 6], "synapse_target": [0, 1, 0, 1, 1, 2],
        "synapse_weight": [3, -2, 2, 2, 4, 5], "neuron_kind": [0, 0, 0, 1], "threshold": [50, 60, 70, 80], "reset_by": [5, 6, 7, 8],
        "bias": [0, 3, 0, 0], "initial_membrane": [9, 0, 0, 0], "kind_membrane_decay": [4000, 3000], "kind_current_decay": [[4000, 1], [2, 3]],
        "kind_firing": [True, True], "kind_reset": [0, 1], "kind_refractory": [0, 3], "kind_drive_shift": [0, 3], "kind_current_shift": [0, 4],
        "readout_neuron": [0, 1], "readout_class": [0, 1], "readout": Readout.SUM, "labels": ("a", "b"), "metadata": {"a": 1},
    } | other  # fmt: skip
    return Network(**values)


CHANGES = {
    "formats": Formats(payload_bits=3), "n_inputs": None, "axon_source": [1, 3, 4], "axon_delay": [1, 0, 2], "axon_shift": [1, 1, 0],
    "axon_compartment": [1, 1, 0], "axon_boolean": [False, False, False], "synapse_start": [0, 1, 4, 6], "synapse_target": [0, 2, 0, 1, 1, 2],
    "synapse_weight": [2, -2, 2, 2, 4, 5], "neuron_kind": [1, 0, 0, 1], "threshold": [51, 60, 70, 80], "reset_by": [4, 6, 7, 8],
    "bias": [1, 3, 0, 0], "initial_membrane": [8, 0, 0, 0], "kind_membrane_decay": [4001, 3000], "kind_current_decay": [[4001, 1], [2, 3]],
    "kind_firing": None, "kind_reset": [1, 1], "kind_refractory": [1, 3], "kind_drive_shift": [1, 3], "kind_current_shift": [1, 4],
    "readout_neuron": [2, 1], "readout_class": [1, 0], "readout": Readout.LAST, "labels": ("a", "c"), "name": "other", "metadata": {"a": 2},
}  # fmt: skip


@pytest.mark.parametrize("name", [f.name for f in fields(Network)])
def test_a_change_in_any_field_changes_file_and_digest(tmp_path, name):
    net = hand_made()
    if name == "n_inputs":
        other = hand_made(n_inputs=2, axon_source=[0, 2, 3])
    elif name == "motifs":
        other = hand_made(motifs=(MotifHint(base=3, size=1, count=1),))
    elif name == "kind_firing":
        other = hand_made(kind_firing=[True, False], threshold=[50, 60, 70, 0], reset_by=[5, 6, 7, 0])
    elif name == "synapse_start":
        other = hand_made(axon_boolean=[False] * 3, synapse_start=[0, 1, 3, 6], synapse_target=[0, 1, 2, 0, 1, 2])
        net = hand_made(axon_boolean=[False] * 3, synapse_target=[0, 1, 0, 2, 1, 2], synapse_weight=[3, -2, 2, 2, 4, 5])
    else:
        other = hand_made(**{name: CHANGES[name]})
    write_network(tmp_path / "a.ormia", net)
    write_network(tmp_path / "b.ormia", other)
    assert network_digest(net) != network_digest(other)
    assert read_network(tmp_path / "b.ormia") == other != net


def test_the_same_network_gives_the_same_bytes(random_network, tmp_path):
    for name in ("a", "b"):
        write_network(tmp_path / name, random_network(5))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_a_network_of_zero_size_corners_survives(tmp_path):
    net = hand_made(n_inputs=0, axon_source=[], axon_delay=[], axon_shift=[], axon_compartment=[], axon_boolean=[], synapse_start=[0],
                    synapse_target=[], synapse_weight=[])  # fmt: skip
    write_network(tmp_path / "net.ormia", net)
    assert read_network(tmp_path / "net.ormia") == net


@pytest.fixture
def tiny(random_network, tmp_path):
    path = tmp_path / "tiny.ormia"
    write_network(path, replace(random_network(3, n_inputs=2, n_neurons=3), metadata={"a": 1}))
    return path


@pytest.mark.parametrize("mask", [1, 0x20, 0x80])
def test_no_damaged_byte_is_read(tiny, mask):
    whole = tiny.read_bytes()
    for i in range(len(whole)):  # a checksum over everything leaves no byte free
        with pytest.raises(NetworkError):
            netfile._from_bytes(whole[:i] + bytes([whole[i] ^ mask]) + whole[i + 1 :])


def test_no_truncated_file_is_read(tiny, tmp_path):
    whole, target = tiny.read_bytes(), tmp_path / "cut.ormia"
    for length in range(len(whole)):
        with pytest.raises(NetworkFileError, match="must"):
            netfile._from_bytes(whole[:length])
    for damaged in (whole[:-1], whole[:100], whole + b"\0"):
        target.write_bytes(damaged)
        refusal(target)


def test_missing_empty_directory_and_foreign_files_get_a_sentence(tmp_path):
    assert "no such file" in refusal(tmp_path / "missing.ormia")
    assert "directory" in refusal(tmp_path)
    empty = tmp_path / "empty.ormia"
    empty.touch()
    assert "truncated" in refusal(empty)
    text = tmp_path / "text.ormia"
    text.write_text("hello " * 100)
    assert "no readable header" in refusal(text)
    other = tmp_path / "other.safetensors"
    other.write_bytes(save({"a": np.zeros(3, np.float32)}))
    assert "another kind" in refusal(other)
    os.mkfifo(tmp_path / "fifo")
    assert "device" in refusal(tmp_path / "fifo")
    with pytest.raises(NetworkFileError):
        read_network("nul\0l")


def test_a_file_that_is_too_large_is_refused_unread(tmp_path):
    path = tmp_path / "large.ormia"
    with open(path, "wb") as file:
        file.truncate(netfile.MAX_FILE_BYTES + 1)
    assert "64 MiB" in refusal(path)


def test_a_newer_semantics_version_names_itself(small, tmp_path):
    forge(tmp_path / "new.ormia", small, lambda header, _: header.update(semantics=2))
    assert "not 2" in refusal(tmp_path / "new.ormia")


def drop(name):
    return lambda _, tensors: tensors.pop(name)


def put(name, values):
    return lambda _, tensors: tensors.__setitem__(name, values)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda h, _: h.update(semantics=True), "semantics version"),
        (lambda h, _: h.update(semantics="1"), "semantics version"),
        (lambda h, _: h.pop("semantics"), "semantics version"),
        (lambda h, _: h.pop("labels"), "labels"),
        (lambda h, _: h.update(surprise=1), "surprise"),
        (lambda h, _: h.update(n_inputs=2**62), "n_inputs"),
        (lambda h, _: h.update(n_inputs=-1), "n_inputs"),
        (lambda h, _: h.update(n_inputs=True), "n_inputs"),
        (lambda h, _: h.update(n_inputs=2.0), "n_inputs"),
        (lambda h, _: h.update(readout=3), "readout"),
        (lambda h, _: h.update(readout=None), "readout"),
        (lambda h, _: h.update(labels="ab"), "labels"),
        (lambda h, _: h.update(labels=["\x1b[2J"] * len(h["labels"])), "labels"),
        (lambda h, _: h.update(labels=[1] * len(h["labels"])), "labels"),
        (lambda h, _: h.update(labels=[str(i) for i in range(99)]), "readout neuron"),
        (lambda h, _: h.update(name="../x"), "name"),
        (lambda h, _: h.update(name=7), "name"),
        (lambda h, _: h.update(metadata=[]), "metadata"),
        (lambda h, _: h.update(motifs=[{"base": 0}]), "motifs"),
        (lambda h, _: h.update(motifs=7), "motifs"),
        (lambda h, _: h.update(motifs=[{"base": 0, "size": 1, "count": 2**60, "intra": [], "lateral": []}]), "motif hint"),
        (lambda h, _: h.update(motifs=[{"base": 0, "size": 1, "count": 1, "intra": [[0]], "lateral": []}]), "motifs"),
        (lambda h, _: h["formats"].update(membrane_bits=99), "membrane_bits"),
        (lambda h, _: h["formats"].update(flush=False), "formats"),
        (lambda h, _: h["formats"].update(payload_signed=0), "formats"),
        (lambda h, _: h["formats"].pop("flush"), "formats"),
        (lambda h, _: h.update(formats=None), "formats"),
        (drop("bias"), "bias"),
        (put("more", np.zeros(1, np.uint8)), "more"),
        (put("bias", np.zeros(3, np.float32)), "I32"),
        (put("bias", np.zeros(3, np.bool_)), "I32"),
        (put("bias", np.zeros((3, 1), np.int32)), "shape"),
        (put("bias", np.zeros(0, np.int32)), "shape"),
        (put("kind_current_decay", np.zeros((2**40, 0), np.uint16)), "kind_current_decay"),
        (lambda _, t: t["kind_firing"].__setitem__(0, 2), "kind_firing"),
        (lambda _, t: t["threshold"].__setitem__(0, -1), "threshold"),
        (lambda _, t: t["synapse_start"].__setitem__(0, -(2**31)), "synapse_start"),
        (lambda _, t: t["neuron_kind"].__setitem__(0, 255), "neuron_kind"),
    ],
)
def test_a_hostile_file_with_a_right_checksum_gets_a_sentence(small, tmp_path, change, words):
    forge(tmp_path / "bad.ormia", small, change)
    assert words in refusal(tmp_path / "bad.ormia")


def test_a_lying_header_gets_a_sentence(small, tmp_path):
    data = small.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    outer = json.loads(data[8 : 8 + length])
    path = tmp_path / "lie.ormia"

    def write(text: bytes, claimed: int | None = None) -> str:
        path.write_bytes(struct.pack("<Q", len(text) if claimed is None else claimed) + text + data[8 + length :])
        return refusal(path)

    assert "header" in write(data[8 : 8 + length], 2**63)
    assert "header" in write(b"[" * 200_000)
    assert "header" in write(b"\xff\xfe")
    assert "another kind" in write(b"[]")
    assert "another kind" in write(b'{"__metadata__": 1}')
    assert "header" in write(json.dumps(outer | {"__metadata__": {MAGIC: 5}}).encode())
    assert "header" in write(json.dumps(outer | {"__metadata__": {MAGIC: "[]"}}).encode())
    assert "header" in write(json.dumps(outer | {"__metadata__": {MAGIC: '{"semantics":1,"semantics":1}'}}).encode())
    assert "header" in write(json.dumps(outer | {"__metadata__": {MAGIC: '{"semantics":NaN}'}}).encode())
    twice = data[8 : 8 + length].replace(b'"bias":', b'"bias":' + json.dumps(outer["bias"]).encode() + b',"bias":')
    assert "header" in write(twice)
    for shape in ([2**62, 4], [2**31], [-1], [0.5], "x"):
        assert "tensors" in write(json.dumps(outer | {"bias": outer["bias"] | {"shape": shape}}).encode())
    for offsets in ([0, 2**62], [8, 0], [-4, 4]):
        assert "tensors" in write(json.dumps(outer | {"bias": outer["bias"] | {"data_offsets": offsets}}).encode())


@pytest.mark.parametrize("metadata", [{"a": (1, 2)}, {1: 2}, {"a": float("nan")}, {"a": np.int64(3)}, {"a": b"x"}])
def test_metadata_that_json_would_change_is_not_written(random_network, tmp_path, metadata):
    with pytest.raises(NetworkError, match="metadata of a network"):
        write_network(tmp_path / "net.ormia", replace(random_network(1), metadata=metadata))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_leaves_the_old_one(random_network, small, tmp_path):
    before = small.read_bytes()
    net = random_network(3)
    with pytest.raises(NetworkError, match="labels"):
        write_network(small, replace(net, labels=("\n", *net.labels[1:])))
    assert small.read_bytes() == before
    with pytest.raises(DataError, match="existing folder"):
        write_network(tmp_path / "no" / "net.ormia", random_network(3))
    with pytest.raises(DataError, match="must be writable"):
        write_network(tmp_path, random_network(3))
    assert [p.name for p in tmp_path.iterdir()] == ["small.ormia"]
