# SPDX-License-Identifier: Apache-2.0
"""The Numba runtime: batches and streams of a network at thousands of times real time, the same integers as ``edge/reference.py``.

Event-driven over axons: a timestep adds the rows of the sources that are active, then sweeps the neurons.
"""

from .backend import NumbaBackend
from .machine import Runtime, Stream, Streams, check_payloads, shares

__all__ = ["NumbaBackend", "Runtime", "Stream", "Streams", "check_payloads", "shares"]
