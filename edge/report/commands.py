# SPDX-License-Identifier: Apache-2.0
"""``ormia report``. Imports at module level nothing that is slow to load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["report"]


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run, as `ormia demo` makes it: net.ormia and what the commands wrote beside it.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write.  [default: RUN/report.html]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> dict[str, Any]:
    """Write one self-contained page of what a run made and measured."""
    from ..console import write_json, write_line
    from ..errors import MissingTool
    from ..files import write_whole
    from .run import read_run

    content = read_run(run)
    try:
        from .page import build_page
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("ormia"):
            raise
        raise MissingTool(f"a report needs the Python module {error.name!r}, which is not installed: pip install 'ormia[report]'") from error
    target = run / "report.html" if output is None else output
    write_whole(target, build_page(content))
    result = {"report": str(target), "network": content.digest, "left_out": content.left_out}
    if as_json:
        write_json(result)
        return result
    for sentence in content.left_out.values():
        write_line(f"left out: {sentence}")
    write_line(str(target))
    return result
