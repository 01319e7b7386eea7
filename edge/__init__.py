# SPDX-License-Identifier: Apache-2.0
"""What runs on a device, and what says exactly what that means. Imports none of our other folders and never torch, amaranth or cocotb."""
