# SPDX-License-Identifier: Apache-2.0
"""``ormia emit c``: a network as C99 source. Imports at module level nothing that is slow to load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["emit_c"]


def emit_c(
    network: Annotated[Path, typer.Argument(metavar="NET", help="Network file (.ormia).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write; made where it does not exist.")],
    package: Annotated[str, typer.Option(help="For plain C, cmake, arduino, platformio or zephyr.")] = "plain",
    check: Annotated[bool, typer.Option("--check", help="First compile it here, warnings being errors, and run its self test under sanitizers.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> dict[str, Any]:
    """Write a network as C99, front end and detector included: no heap, no float, no library, state in the caller's struct."""
    from ..console import write_json, write_line
    from ..netfile import read_network
    from .build import check_selftest
    from .emit import emit
    from .package import boolean_sentence, footprint, package_files, write_package

    net = read_network(network)
    sources = emit(net)
    package_files(net, sources, package)  # refuses before anything is compiled
    if check:
        check_selftest(sources)
    written = write_package(net, sources, output, package)
    result = {**footprint(net, sources), "package": package, "checked": check, "files": [str(path) for path in written]}
    if as_json:
        write_json(result)
        return result
    for path in written:
        write_line(str(path))
    write_line(
        f"state {sources.state_bytes} bytes of RAM, tables {sources.flash_bytes} bytes of flash" + (", self test passed under sanitizers" if check else "")
    )
    if sources.boolean is not None:
        write_line(boolean_sentence(sources))
    return result
