# SPDX-License-Identifier: Apache-2.0
"""The ``*.ormia`` file: a network in the safetensors container, with a checksum over everything in it.

The container holds one integer tensor an array of ``edge/network.py`` and, under the one metadata key ``ormia``, a canonical JSON
text with everything else. The same network gives the same bytes. Nothing here knows what the numbers mean: what is read becomes a
``Network``, which proves itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from .errors import NetworkError, NetworkFileError
from .files import write_whole
from .network import ARRAYS, SEMANTICS_VERSION, Formats, MotifHint, Network, Readout

__all__ = ["MAX_FILE_BYTES", "MAX_INPUTS", "network_digest", "read_network", "write_network"]

MAGIC = "ormia"
MAX_FILE_BYTES = 64 << 20
MAX_INPUTS = 1 << 20  # a hostile file must not make a backend allocate state for 2**60 channels


def write_network(path: str | os.PathLike[str], net: Network) -> str:
    """Write a network, whole or not at all.

    Parameters
    ----------
    path : path
        File to write or replace.
    net : Network
        Any network whose metadata is JSON.

    Returns
    -------
    str
        ``network_digest(net)``.

    Raises
    ------
    NetworkError
        If the network holds what a file cannot (metadata that is not JSON, a label that is not printable).
    DataError
        If the file cannot be written.
    """
    write_whole(path, _to_bytes(net))
    return network_digest(net)


def read_network(path: str | os.PathLike[str]) -> Network:
    """Read and prove a network.

    Raises
    ------
    NetworkFileError
        For anything but an intact file of a known version, with one sentence.
    """
    shown = Path(path)
    try:
        if not stat.S_ISREG(os.stat(shown).st_mode):
            raise NetworkFileError(f"{shown} must be a file, not a directory or a device: name the .ormia file itself")
        with open(shown, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise NetworkFileError(f"{shown} must be a readable .ormia file, but: {reason.lower()}") from error
    try:
        return _from_bytes(data)
    except NetworkFileError as error:
        raise NetworkFileError(f"{shown} {error}") from error
    except NetworkError as error:
        first, *more = str(error).split("\n")
        others = f" (and {len(more)} more violations)" if more else ""
        raise NetworkFileError(f"{shown} must hold a network of docs/semantics.md: {first}{others}") from error


def network_digest(net: Network) -> str:
    """SHA-256, in hexadecimal, over every array and every header entry: equal for equal networks, metadata included."""
    return _digest(_header(net), {name: _stored(getattr(net, name)) for name in ARRAYS})


def _digest(header: dict[str, Any], tensors: dict[str, np.ndarray]) -> str:
    """Checksum over the canonical header and, in the order of ``ARRAYS``, each tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(_canonical(header).encode())
    for name in ARRAYS:
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype.str} {tensor.shape}\n".encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()


def _canonical(content: object) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _stored_type(name: str) -> np.dtype[Any]:
    """Little-endian type of an array in the file; bool is stored as a number so that a byte 2 is seen and refused."""
    dtype = np.dtype(ARRAYS[name][0])
    return np.dtype(np.uint8) if dtype == np.bool_ else dtype.newbyteorder("<")


def _stored(values: np.ndarray) -> np.ndarray:
    name_type = np.dtype(np.uint8) if values.dtype == np.bool_ else values.dtype.newbyteorder("<")
    return np.ascontiguousarray(values.astype(name_type))


def _header(net: Network) -> dict[str, Any]:
    header: dict[str, Any] = {"semantics": SEMANTICS_VERSION}
    for name, (encode, decode) in HEADER.items():
        header[name] = encode(getattr(net, name))
        try:
            same = decode(json.loads(_canonical(header[name]))) == getattr(net, name)
        except (TypeError, ValueError, RecursionError):
            same = False
        if not same:
            raise NetworkError(f"{name} of a network that is written must be plain JSON ({HEADER_RULES[name]}), not {getattr(net, name)!r:.200}")
    return header


def _to_bytes(net: Network) -> bytes:
    tensors = {name: _stored(getattr(net, name)) for name in ARRAYS}
    header = _header(net)
    header["checksum"] = _digest(header, tensors)
    data = save(tensors, {MAGIC: _canonical(header)})
    if len(data) > MAX_FILE_BYTES:
        raise NetworkError(f"a network file must have at most {MAX_FILE_BYTES >> 20} MiB, not {len(data) / (1 << 20):.1f} MiB")
    return bytes(data)


def _from_bytes(data: bytes) -> Network:
    """The network in ``data``; a ``NetworkFileError`` here starts with "must" and has no file name yet."""
    if len(data) > MAX_FILE_BYTES:
        raise NetworkFileError(f"must have at most {MAX_FILE_BYTES >> 20} MiB: it is no network file")
    header = _read_header(data)
    version = header.get("semantics")
    if type(version) is int and version > SEMANTICS_VERSION:
        raise NetworkFileError(f"must be of semantics version {SEMANTICS_VERSION}, not {version}: read it with a newer release of ormia")
    if type(version) is not int or version != SEMANTICS_VERSION:
        raise NetworkFileError(f"must state semantics version {SEMANTICS_VERSION}, not {version!r:.40}: export it again")
    tensors: dict[str, Any] = _read_tensors(data)
    checksum = header.pop("checksum", None)
    if checksum != _digest(header, tensors):
        raise NetworkFileError("must match its own checksum: it is damaged, copy or export it again")
    if set(header) != {"semantics", *HEADER}:
        odd = sorted(set(header) ^ {"semantics", *HEADER})[0]
        raise NetworkFileError(f"must have the header entries of semantics version {SEMANTICS_VERSION}, but differs in {odd!r:.60}: export it again")
    content: dict[str, Any] = {}
    for name, (_, decode) in HEADER.items():
        try:
            content[name] = decode(header[name])
        except (TypeError, ValueError) as error:
            raise NetworkFileError(f"must have {HEADER_RULES[name]} as its {name}: export it again") from error
    return Network(**tensors, **content)


def _read_header(data: bytes) -> dict[str, Any]:
    damaged = NetworkFileError("must be an intact .ormia file, but has no readable header: it is truncated, damaged or something else")
    if len(data) < 8:
        raise damaged
    (length,) = struct.unpack_from("<Q", data)
    if length > len(data) - 8:
        raise damaged
    try:
        outer = _parse(data[8 : 8 + length].decode())
        inner = outer["__metadata__"][MAGIC]
    except (ValueError, RecursionError) as error:
        raise damaged from error
    except (KeyError, TypeError) as error:
        raise NetworkFileError("must be an .ormia file, but is another kind of safetensors file: name the file that `ormia export` wrote") from error
    try:
        header = _parse(inner)
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged from error
    if not isinstance(header, dict) or _canonical(header) != inner:
        raise damaged
    return header


def _parse(text: str) -> Any:
    """JSON without duplicate keys and without the numbers that JSON does not have."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) != len(pairs):
            raise ValueError("duplicate key")
        return dict(pairs)

    return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)


TYPE_NAMES = {"|u1": "U8", "<u2": "U16", "<i2": "I16", "<i4": "I32"}


def _read_tensors(data: bytes) -> dict[str, np.ndarray]:
    try:
        found = dict(deserialize(data))
    except SafetensorError as error:
        raise NetworkFileError(f"must be an intact .ormia file, but its tensors cannot be read ({error}): copy or export it again") from error
    if set(found) != set(ARRAYS):
        odd = sorted(set(found) ^ set(ARRAYS))[0]
        raise NetworkFileError(f"must have the arrays of semantics version {SEMANTICS_VERSION}, but differs in {odd!r:.60}: export it again")
    tensors = {}
    for name, (_, length) in ARRAYS.items():
        dtype, tensor = _stored_type(name), found[name]
        if tensor["dtype"] != TYPE_NAMES[dtype.str]:
            raise NetworkFileError(f"must store {name} as {TYPE_NAMES[dtype.str]}, not {tensor['dtype']}: export it again")
        if len(tensor["shape"]) != length.count(",") + 1:
            raise NetworkFileError(f"must store {name} with shape [{length}], not {tensor['shape']}: export it again")
        try:
            tensors[name] = np.frombuffer(tensor["data"], dtype).reshape(tensor["shape"])
        except ValueError as error:  # a length beyond what an index can hold
            raise NetworkFileError(f"must store {name} with shape [{length}], not {tensor['shape']}: export it again") from error
    return tensors


# decoders of header entries: exact JSON types, so that neither true nor 1.0 passes for 1; ValueError or TypeError otherwise


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise ValueError
    return value


def _text(value: Any) -> str:
    if type(value) is not str or not value.isprintable():
        raise ValueError
    return value


def _inputs(value: Any) -> int:
    if not 0 <= _integer(value) <= MAX_INPUTS:
        raise ValueError
    return int(value)


def _formats(value: Any) -> Formats:
    if set(value) != {f.name for f in fields(Formats)} or any(type(v) is not type(getattr(Formats, name)) for name, v in value.items()):
        raise ValueError
    return Formats(**value)


def _labels(value: Any) -> tuple[str, ...]:
    if type(value) is not list:
        raise ValueError
    return tuple(_text(label) for label in value)


def _links(value: Any) -> tuple[tuple[int, int], ...]:
    return tuple((_integer(a), _integer(b)) for a, b in value)


def _motifs(value: Any) -> tuple[MotifHint, ...]:
    hints = []
    for hint in value:
        if set(hint) != {f.name for f in fields(MotifHint)}:
            raise ValueError
        sizes = {name: _integer(hint[name]) for name in ("base", "size", "count")}
        hints.append(MotifHint(**sizes, intra=_links(hint["intra"]), lateral=_links(hint["lateral"])))
    return tuple(hints)


def _metadata(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise ValueError
    return value


def _as_dict(value: Any) -> dict[str, Any]:
    return {f.name: getattr(value, f.name) for f in fields(value)}


# field of Network -> (to JSON, from JSON); with ARRAYS these are all its fields
HEADER: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "formats": (_as_dict, _formats),
    "n_inputs": (int, _inputs),
    "readout": (int, lambda value: Readout(_integer(value))),
    "labels": (list, _labels),
    "motifs": (lambda hints: [_as_dict(hint) for hint in hints], _motifs),
    "name": (str, _text),
    "metadata": (lambda value: value, _metadata),
}
HEADER_RULES = {
    "formats": "the widths F1..F7 as integers",
    "n_inputs": f"an integer in 0..{MAX_INPUTS}",
    "readout": "0, 1 or 2",
    "labels": "a list of printable texts",
    "motifs": "a list of motif hints (H1)",
    "name": "a printable text",
    "metadata": "an object",
}
