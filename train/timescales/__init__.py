# SPDX-License-Identifier: Apache-2.0
"""Timescales: a hierarchy of time constants over layers, trained ones, temporal kernels and delays, and a search for all of them.

Source: Moro, Aceituno, Kriener, Payvand, "The Role of Temporal Hierarchy in Spiking Neural Networks", arXiv 2407.18838.
"""
