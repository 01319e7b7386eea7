# SPDX-License-Identifier: Apache-2.0
"""What a device offers. One object holds every limit; design rules, packing, builds and reports read it."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from .errors import UsageError

__all__ = ["TARGETS", "Target", "get_target"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """Limits of a device; None where a quantity does not limit it.

    Attributes
    ----------
    name, device : str
        What ``--target`` takes, and what it is.
    block_rams : int or None
        Initialized memories of 4096 bits.
    logic_cells, multipliers, large_rams : int or None
        What a build is measured against; they do not depend on the network alone, so no rule reads them.
    flash_bytes, ram_bytes : int or None
        All of the memory; rules leave ``reserved_*`` to code, front end, stack and application.
    """

    name: str
    device: str
    block_rams: int | None = None
    logic_cells: int | None = None
    multipliers: int | None = None
    large_rams: int | None = None
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    reserved_flash_bytes: int = 32 << 10
    reserved_ram_bytes: int = 8 << 10


TARGETS = {
    target.name: target
    for target in (
        # Lattice FPGA-DS-02008 (iCE40 UltraPlus), table 2.1: 30 EBR, 4 SPRAM, 5280 LUT4, 8 DSP
        Target(name="icebreaker", device="iCEBreaker, iCE40UP5K", block_rams=30, logic_cells=5280, multipliers=8, large_rams=4),
        # typical members: nRF51822 or STM32F0, STM32F401 or nRF52832, STM32F746
        Target(name="cortex-m0", device="Cortex-M0, 256 KiB flash, 16 KiB RAM", flash_bytes=256 << 10, ram_bytes=16 << 10),
        Target(name="cortex-m4", device="Cortex-M4, 256 KiB flash, 64 KiB RAM", flash_bytes=256 << 10, ram_bytes=64 << 10),
        Target(name="cortex-m7", device="Cortex-M7, 1 MiB flash, 320 KiB RAM", flash_bytes=1 << 20, ram_bytes=320 << 10),
    )
}


def get_target(name: str) -> Target:
    """The target called ``name``."""
    if name in TARGETS:
        return TARGETS[name]
    near = get_close_matches(name, TARGETS, n=1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    raise UsageError(f"a target must be one of {', '.join(TARGETS)}, not {name!r}{meant}")
