# SPDX-License-Identifier: Apache-2.0
"""Where output goes: results to stdout, log and progress to stderr. Every command uses these and no print."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from rich.console import Console
from rich.logging import RichHandler

__all__ = ["log", "set_verbosity", "stderr", "write_json", "write_line"]

log = logging.getLogger("ormia")
stderr = Console(stderr=True)
"""For log lines, tables of progress and ``rich.progress.Progress(console=stderr)``; silent under ``-q``."""


def set_verbosity(verbosity: int) -> None:
    """Send the log of the package to stderr: errors only and no progress below 0, progress at 0, debugging above."""
    stderr.quiet = verbosity < 0
    handler = RichHandler(console=stderr, show_time=False, show_path=False, show_level=verbosity > 0)
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(logging.ERROR if verbosity < 0 else logging.DEBUG if verbosity > 0 else logging.INFO)


def write_line(text: str = "") -> None:
    """One line of result, flushed, so that a pipe sees it at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def write_json(content: Any) -> None:
    """A result as JSON; numbers that JSON lacks are an error here, not in the reader."""
    write_line(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
