# SPDX-License-Identifier: Apache-2.0
"""Options and hypothesis profiles of the whole suite."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# the same examples in every run; a failure prints the example and a @reproduce_failure line
settings.register_profile(
    "default", derandomize=True, deadline=None, max_examples=80, print_blob=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("deep", settings.get_profile("default"), derandomize=False, max_examples=2000)
settings.load_profile("default")


@pytest.fixture(autouse=True)
def _as_loud_as_before():
    """A command that a test runs in this process with -q or -v changes nothing for the tests after it."""
    from ormia.edge.console import log, stderr

    quiet, level, handlers, propagate = stderr.quiet, log.level, list(log.handlers), log.propagate
    yield
    stderr.quiet, log.handlers[:], log.propagate = quiet, handlers, propagate
    log.setLevel(level)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ormia")
    group.addoption("--network", help="run the backend tests on this network of the fixed set only: a number, lively or limits (printed by a failure)")
    group.addoption("--networks", type=int, help="run the backend tests on this many networks instead of the backend's budget")
    group.addoption("--require-backends", action="store_true", help="fail where a registered backend cannot run, instead of skipping it")


def pytest_configure(config: pytest.Config) -> None:
    """Forget compiled kernels that are older than the source of any: Numba looks only at the file of a kernel, not at those it calls into."""
    import ormia

    folders = [Path(ormia.__file__ or ".").parent / part for part in ("edge", "train")]
    kernels = [path for folder in folders for path in folder.rglob("*.py") if "numba" in path.read_text(encoding="utf-8")]
    compiled = [path for folder in folders for pattern in ("*.nbi", "*.nbc") for path in folder.rglob(f"__pycache__/{pattern}")]
    newest = max(path.stat().st_mtime for path in kernels)
    for path in compiled if any(path.stat().st_mtime < newest for path in compiled) else ():
        path.unlink(missing_ok=True)
