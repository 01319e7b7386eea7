# SPDX-License-Identifier: Apache-2.0
"""Training: corpora, the differentiable model, export. The only folder that may import torch."""
