# SPDX-License-Identifier: Apache-2.0
"""Simulators as fixtures; without one, a test that needs it is skipped and says why."""

from __future__ import annotations

import pytest
from ormia.edge.errors import MissingTool
from ormia.sim.runner import Simulator, find_simulator


@pytest.fixture(scope="session")
def simulator() -> Simulator:
    try:
        return find_simulator()
    except MissingTool as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def icarus() -> Simulator:
    try:
        return find_simulator("icarus")
    except MissingTool as error:
        pytest.skip(str(error))
