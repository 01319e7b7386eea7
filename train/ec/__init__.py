# SPDX-License-Identifier: Apache-2.0
"""Evolving Connectivity (arXiv 2305.17650): boolean connections of a recurrent spiking network found without gradients.

``docs/ec.md`` says what is searched and how; ``ormia search ec`` runs it.
"""
