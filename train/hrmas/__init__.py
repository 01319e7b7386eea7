# SPDX-License-Identifier: Apache-2.0
"""HRMAS: motif size and connection types of SC-ML layers found by gradients, firing rates kept by intrinsic plasticity.

Zhang, Geng, Li, "Composing Recurrent Spiking Neural Networks using Locally-Recurrent Motifs and Risk-Mitigating Architectural Optimization",
Frontiers in Neuroscience 2024 (arXiv 2108.01793). Readings where the paper is silent: docs/hrmas.md.
"""
