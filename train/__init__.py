# SPDX-License-Identifier: Apache-2.0
"""Training: corpora, the differentiable model, export. The only folder that may import torch."""

import os

# Torch and Numba have a pool of OpenMP threads each, whose idle threads spin for milliseconds at the cost of the other's working ones. 10,000 turns are some
# ten microseconds: beside other programs a training step on two threads took 0.28 s instead of 1.0 s, on a quiet machine as long as before.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
