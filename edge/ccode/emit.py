# SPDX-License-Identifier: Apache-2.0
"""Network -> C99: one ``ormia_<name>.c`` and ``.h`` and the common ``ormia.h``.

Generating text and compiling it are separate acts: nothing here runs a tool or writes a file. The text depends on the network and
the golden clips alone. Twin of ``edge/reference.py``; templates in ``edge/ccode/templates``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ..backend import Clip
from ..netfile import network_digest
from ..network import SEMANTICS_VERSION, Network, Readout
from .codes import API_VERSION, BRANCHES, COUNTERS, MEANINGS, Code
from .golden import crc_of_table, golden_clips, make_golden
from .golden_audio import PIECE_SAMPLES, SEGMENT_SAMPLES, make_golden_audio
from .layout import Layout, lay_out
from .sweep import compartments, sweep_values
from .template import load_template, render
from .walk import history_values, walk_values

__all__ = ["Sources", "emit"]


@dataclass(frozen=True)
class Sources:
    """Generated text and what is known about it.

    Attributes
    ----------
    name, prefix, macro : str
        The network's name; what its functions and its macros start with.
    digest : str
        ``network_digest`` of the network.
    files : mapping of str to str
        File name to text: ``ormia.h``, ``<prefix>.h``, ``<prefix>.c``.
    state_bytes, flash_bytes : int
        RAM of one clip or stream; constant tables. Code comes on top and depends on the compiler.
    table_bytes : mapping of str to int
        Size of each table.
    shares : mapping of str to (int, int)
        State and flash bytes of ``network``, ``front_end`` and ``detector``; those of parts that are there.
    boolean : mapping or None
        How boolean axons are stored (``Booleans.report``), where there are any.
    """

    name: str
    prefix: str
    macro: str
    digest: str
    files: Mapping[str, str]
    state_bytes: int
    flash_bytes: int
    table_bytes: Mapping[str, int]
    shares: Mapping[str, tuple[int, int]]
    boolean: Mapping[str, object] | None = None

    @property
    def hears(self) -> bool:
        """Whether it takes audio."""
        return "front_end" in self.shares

    @property
    def detects(self) -> bool:
        """Whether it looks for keywords in a stream."""
        return "detector" in self.shares


def emit(net: Network, clips: Sequence[Clip] | None = None) -> Sources:
    """Generate the C of a network.

    Parameters
    ----------
    net : Network
        Any network of at most 65,535 input channels.
    clips : sequence of clips, optional
        What the self test runs; seeded clips of every density unless given. No clips, no self test.

    Raises
    ------
    TargetError
        For a network, or a detector in its metadata, that the generated C cannot hold.
    DataError, NetworkFileError
        For metadata with a front end or detector that is none.
    """
    digest = network_digest(net)
    prefix, macro = f"ormia_{net.name}", f"ORMIA_{net.name.upper()}"
    layout = lay_out(net)
    if layout.detection is not None:
        layout.detection.check()
    values = _values(net, layout) | {"prefix": prefix, "MACRO": macro, "digest": digest, "digest32": digest[:8].upper()}
    values["magic"] = f"{(int(digest[8:16], 16) | 1):08X}"  # not 0, which cleared memory holds
    values["compartments"] = compartments(net, layout)
    values |= {
        name: render(load_template(f"{name}.c"), values) if there else "" for name, there in (("frontend", layout.hearing), ("detector", layout.detection))
    }
    golden = golden_clips(net, int(digest[:8], 16)) if clips is None else clips
    values |= {"has_selftest": bool(golden), "selftest": _selftest(net, layout, values, golden) if golden else ""}
    files = {
        "ormia.h": render(load_template("ormia.h"), values),
        f"{prefix}.h": render(load_template("network.h"), values),
        f"{prefix}.c": render(load_template("network.c"), values),
    }
    return Sources(
        name=net.name,
        prefix=prefix,
        macro=macro,
        digest=digest,
        files=MappingProxyType({name: _tidy(text) for name, text in files.items()}),
        state_bytes=layout.state_bytes,
        flash_bytes=layout.flash_bytes,
        table_bytes=MappingProxyType({t.name: t.n_bytes for t in layout.tables}),
        shares=MappingProxyType(layout.shares),
        boolean=layout.packing.booleans.report if layout.packing.booleans is not None else None,
    )


def _tidy(text: str) -> str:
    """Without the blank lines that empty insertions leave: at most one in a row, none at the end."""
    lines: list[str] = []
    for line in text.splitlines():
        if line.strip() or (lines and lines[-1]):
            lines.append(line.rstrip())
    return "\n".join(lines).rstrip("\n") + "\n"


def _values(net: Network, layout: Layout) -> dict[str, object]:
    """All that the templates of the network substitute or ask."""
    formats = net.formats
    return {
        "name": net.name,
        "api": API_VERSION,
        "semantics": SEMANTICS_VERSION,
        "codes": ",\n".join(f"    {code.c_name} = {int(code)} /* {MEANINGS[code]} */" for code in Code).replace(" /*", ", /*").replace("*/,", "*/"),
        "counters": _enum(COUNTERS, "ORMIA_N_COUNTERS"),
        "branches": _enum(BRANCHES, "ORMIA_N_BRANCHES"),
        "n_inputs": net.n_inputs,
        "n_neurons": net.n_neurons,
        "n_firing": layout.n_firing,
        "n_readouts": len(net.readout_neuron),
        "n_classes": net.n_classes,
        "n_axons": net.n_axons,
        "n_synapses": net.n_synapses,
        "payload_lo": formats.payload.lo,
        "payload_hi": formats.payload.hi,
        "max_timesteps": formats.max_timesteps,
        "flush": formats.flush,
        "state_bytes": layout.state_bytes,
        "flash_bytes": layout.flash_bytes,
        "labels": ", ".join(c_string(label) for label in net.labels),
        "fields": "\n".join(field.declaration() for field in layout.fields),
        "inputs": net.n_inputs > 0,
        "decay_bits": formats.decay_bits,
        "decay_one": 1 << formats.decay_bits,
        "tables": "".join(t.declaration() for t in layout.tables),
        "table_sizes": " + ".join(f"sizeof({t.name})" for t in layout.tables) or "0u",
        "spike_readout": net.readout == Readout.SPIKES,
        "accumulates": net.readout != Readout.LAST,
        **walk_values(net, layout.packing),
        **history_values(net, layout),
        **sweep_values(net, layout),
        "hears": layout.hearing is not None,
        "periodic": False,
        "detects": layout.detection is not None,
        **(layout.hearing.values if layout.hearing is not None else {}),
        **(layout.detection.values if layout.detection is not None else {}),
    }


def _enum(names: Sequence[str], count: str) -> str:
    return "\n".join([*(f"    ORMIA_{name.upper()}," for name in names), f"    {count}"])


def c_string(text: str) -> str:
    """A C string literal; what is not plain ASCII becomes octal escapes of its UTF-8 bytes, which no neighbour can extend."""
    plain = set(range(32, 127)) - set(b'"\\?')
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'


def _selftest(net: Network, layout: Layout, values: Mapping[str, object], clips: Sequence[Clip]) -> str:
    hearing = layout.hearing
    golden = make_golden(net, clips, hears=hearing is not None, detects=layout.detection is not None)
    audio = None if hearing is None else make_golden_audio(net, hearing.front_end)
    crc, loops = 0, []
    for t in layout.tables:
        crc = crc_of_table(crc, t)
        size = f"{t.n_bytes // len(t.values)}u"
        loops.append(f"    for (i = 0u; i < {len(t.values)}u; i++) {{\n        crc = ormia_crc32(crc, (uint32_t){t.name}[i], {size});\n    }}")
    return render(
        load_template("selftest.c"),
        {
            **values,
            "n_clips": len(golden.clips),
            "n_timesteps": golden.n_timesteps,
            "tables_crc": f"{crc:08X}",
            "table_loops": "\n".join(loops),
            "vectors": golden.declarations() + (audio.declarations() if audio is not None else ""),
            "n_heard": len(audio.crcs) if audio is not None else 0,
            "segment": SEGMENT_SAMPLES,
            "piece": PIECE_SAMPLES,
        },
    )
