# SPDX-License-Identifier: Apache-2.0
"""Ormia: keyword spotting with sparse recurrent spiking networks, the same bits in Python, C and hardware."""
