# SPDX-License-Identifier: Apache-2.0
"""Options and hypothesis profiles of the whole suite."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# the same examples in every run; a failure prints the example and a @reproduce_failure line
settings.register_profile(
    "default", derandomize=True, deadline=None, max_examples=100, print_blob=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("deep", settings.get_profile("default"), derandomize=False, max_examples=2000)
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ormia")
    group.addoption("--network", help="run the backend tests on this network of the fixed set only: a number, lively or limits (printed by a failure)")
    group.addoption("--networks", type=int, help="run the backend tests on this many networks instead of the backend's budget")
    group.addoption("--require-backends", action="store_true", help="fail where a registered backend cannot run, instead of skipping it")
