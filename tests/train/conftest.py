# SPDX-License-Identifier: Apache-2.0
"""Threads of torch wait for one another on networks as small as those of tests."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    torch = sys.modules.get("torch")  # loaded by the tests that need it, when they were collected
    before = torch.get_num_threads() if torch else 0
    if torch:
        torch.set_num_threads(1)
    yield
    if torch:
        torch.set_num_threads(before)
