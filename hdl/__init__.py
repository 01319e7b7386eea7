# SPDX-License-Identifier: Apache-2.0
"""Gateware, memory packing, boards and builds. Imports edge; the only folder besides sim that may import amaranth."""
