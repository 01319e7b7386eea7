# SPDX-License-Identifier: Apache-2.0
"""cocotb benches, scoreboard and simulators. Imports edge and hdl."""
