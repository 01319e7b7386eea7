# SPDX-License-Identifier: Apache-2.0
"""Who looked at test clips: a text file of JSON lines that only grows. A table reads ``test`` once for each of its runs."""

from __future__ import annotations

import datetime
import getpass
import json
from pathlib import Path
from typing import Any

from ..edge.errors import DataError, UsageError

__all__ = ["TestLedger"]


class TestLedger:
    """Log of reads of test splits.

    Parameters
    ----------
    path : Path
        The log; made with the first entry.
    """

    __test__ = False  # no test case, whatever pytest thinks of its name

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> list[dict[str, Any]]:
        """All reads, oldest first. Raises ``DataError`` for a damaged log."""
        if not self.path.exists():
            return []
        try:
            found = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
            if not all(isinstance(entry, dict) and {"table", "run", "network"} <= set(entry) for entry in found):
                raise ValueError("an entry lacks table, run or network")
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path} must be a log of reads of test, one JSON object a line: restore it from history ({error})") from None
        return found

    def check_unread(self, table: str, run: str) -> None:
        """Raise ``UsageError`` where ``run`` of ``table`` has read ``test`` before."""
        for entry in self.entries():
            if (entry["table"], entry["run"]) == (table, run):
                raise UsageError(
                    f"a table must read test once for each run; {run} of {table} read it at {entry['time']} (network {entry['network'][:12]}): "
                    f"restore that run's folder, give the table another name, or say why with --reread REASON ({self.path})"
                )

    def record(self, *, who: str, table: str, run: str, corpus: str, network: str, clips: int, reason: str | None = None) -> None:
        """Append a read.

        Parameters
        ----------
        who : str
            The program.
        table, run : str
            What the figure is for.
        corpus, network : str
            Digests.
        clips : int
            Of ``test``.
        reason : str, optional
            Why the same run reads again.
        """
        self.entries()  # a damaged log must not grow
        entry = {"time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "user": _user(), "program": who, "table": table, "run": run,
                 "corpus": corpus, "network": network, "clips": clips, **({"reason": reason} if reason else {})}  # fmt: skip
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a name for its user
        return "unknown"
