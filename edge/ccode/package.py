# SPDX-License-Identifier: Apache-2.0
"""The folder that ``ormia emit c`` writes: the generated files, an example around them and a README with the footprint."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import DataError
from ..files import write_whole
from ..network import SEMANTICS_VERSION, Network
from .codes import MEANINGS
from .emit import Sources
from .template import load_template, render

__all__ = ["footprint", "package_files", "write_package"]


def footprint(net: Network, sources: Sources) -> dict[str, object]:
    """Sizes and identity of generated C, as plain JSON."""
    return {
        "name": net.name,
        "digest": sources.digest,
        "semantics": SEMANTICS_VERSION,
        "n_inputs": net.n_inputs,
        "n_neurons": net.n_neurons,
        "n_axons": net.n_axons,
        "n_synapses": net.n_synapses,
        "n_classes": net.n_classes,
        "state_bytes": sources.state_bytes,
        "flash_bytes": sources.flash_bytes,
        "shares": {name: {"state_bytes": state, "flash_bytes": flash} for name, (state, flash) in sources.shares.items()},
        "table_bytes": dict(sources.table_bytes),
    }


SHARE_NAMES = {"network": "network", "front_end": "front end", "detector": "detector"}


def package_files(net: Network, sources: Sources) -> dict[str, str]:
    """File name to text of the whole folder."""
    values: dict[str, object] = {
        **footprint(net, sources),
        "prefix": sources.prefix,
        "MACRO": sources.macro,
        "table_rows": "\n".join(f"| `{name}` | {size} |" for name, size in sources.table_bytes.items()),
        "share_rows": "\n".join(f"| {SHARE_NAMES[name]} | {state} | {flash} |" for name, (state, flash) in sources.shares.items()),
        "hears": sources.hears,
        "detects": sources.detects,
        "deaf": not sources.hears and net.metadata.get("front_end") is not None,
        "sample_rate": net.metadata["front_end"]["sample_rate"] if sources.hears else 0,
        "code_rows": "\n".join(f"| `{code.c_name}` ({int(code)}) | {meaning} |" for code, meaning in MEANINGS.items()),
    }
    return {
        **sources.files,
        "example_main.c": render(load_template("example_audio.c" if sources.hears else "example_main.c"), values),
        "README.md": render(load_template("README.md"), values),
    }


def write_package(net: Network, sources: Sources, output: Path) -> list[Path]:
    """Write the folder, each file whole; nothing else in it is touched.

    Raises
    ------
    DataError
        If ``output`` cannot be a folder or be written.
    """
    files = package_files(net, sources)
    try:
        output.mkdir(parents=True, exist_ok=True)
        if not os.access(output, os.W_OK | os.X_OK):
            raise PermissionError(13, "permission denied")
    except OSError as error:
        raise DataError(f"{output} must be a folder that can be written, but: {(error.strerror or str(error)).lower()}") from error
    for name, text in files.items():
        write_whole(output / name, text)
    return [output / name for name in files]
