# SPDX-License-Identifier: Apache-2.0
"""A compiled program on an emulated core: its functions called one by one, its memory read and written, its instructions counted.

Instructions, not cycles: the emulator has no pipeline. Counted by blocks of code, whose instructions are counted from their bytes, so that
those that a condition turns off are counted as the core fetches them; a hook for single instructions would miss them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from pathlib import Path
from typing import Any

from ..errors import CheckFailed
from .cores import Core

__all__ = ["Emulated"]

PAGE = 1 << 12
STACK, STACK_BYTES = 0x28000000, 1 << 18
BUFFERS = 0x30000000
RETURN = 0x0FFF0000  # where calls return to: no code is there
PAINT = 0xA5


class Emulated:
    """An ELF file in the memory of a core.

    Parameters
    ----------
    core : Core
        Which.
    program : path
        From ``cross_compile``.
    count : bool
        Whether to count instructions, which costs time.

    Attributes
    ----------
    sections : dict of str to int
        Bytes of every section that takes memory.
    blocks : Counter of (address, size)
        How often each block of code ran; cleared by the caller.
    """

    def __init__(self, core: Core, program: Path, *, count: bool = False) -> None:
        import unicorn
        from elftools.elf.elffile import ELFFile
        from unicorn import arm_const, riscv_const

        self.core, self._unicorn = core, unicorn
        if core.model is None:
            self._machine = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
            r: Any = riscv_const
            self._link, self._stack, self._result = r.UC_RISCV_REG_RA, r.UC_RISCV_REG_SP, r.UC_RISCV_REG_A0
            self._arguments = tuple(getattr(r, f"UC_RISCV_REG_A{i}") for i in range(8))
        else:
            self._machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
            r = arm_const
            self._machine.ctl_set_cpu_model(getattr(r, core.model))
            self._link, self._stack, self._result = r.UC_ARM_REG_LR, r.UC_ARM_REG_SP, r.UC_ARM_REG_R0
            self._arguments = tuple(getattr(r, f"UC_ARM_REG_R{i}") for i in range(4))
        self._mapped: set[int] = set()
        self._ensure(STACK, STACK_BYTES)
        self._ensure(RETURN, PAGE)
        with program.open("rb") as opened:
            file = ELFFile(opened)
            table: Any = file.get_section_by_name(".symtab")
            symbols = [symbol for symbol in table.iter_symbols() if symbol.name]
            self.places = {symbol.name: symbol["st_value"] for symbol in symbols}
            self._functions = sorted((symbol["st_value"] & ~1, symbol.name) for symbol in symbols if symbol["st_info"]["type"] == "STT_FUNC")
            self.sections = {section.name: section["sh_size"] for section in file.iter_sections() if section["sh_flags"] & 2 and section["sh_size"]}
            for segment in file.iter_segments():
                if segment["p_type"] == "PT_LOAD":
                    self._ensure(segment["p_vaddr"], segment["p_memsz"])
                    self._machine.mem_write(segment["p_vaddr"], segment.data())
        self._sizes: dict[tuple[int, int], int] = {}
        self.blocks: Counter[tuple[int, int]] = Counter()
        if count:
            self._machine.hook_add(unicorn.UC_HOOK_BLOCK, self._block)

    def _block(self, machine: object, address: int, size: int, data: object) -> None:
        self.blocks[address, size] += 1

    def _ensure(self, address: int, size: int) -> None:
        """Map what is not mapped of a range, page by page in as few pieces as there are."""
        pages = range(address // PAGE, -(-(address + max(size, 1)) // PAGE))
        new = [page for page in pages if page not in self._mapped]
        start = 0
        for i in range(1, len(new) + 1):
            if i == len(new) or new[i] != new[i - 1] + 1:
                self._machine.mem_map(new[start] * PAGE, (i - start) * PAGE)
                start = i
        self._mapped.update(new)

    def write(self, address: int, content: bytes) -> None:
        """Write memory above ``BUFFERS`` or of the program."""
        self._ensure(address, len(content))
        self._machine.mem_write(address, content)

    def read(self, address: int, size: int) -> bytes:
        """Read memory."""
        return bytes(self._machine.mem_read(address, size)) if size else b""

    def call(self, function: str, *arguments: int) -> int:
        """The unsigned number that a C function returns.

        Parameters
        ----------
        function : str
            Its name.
        *arguments : int
            Numbers and addresses of 32 bits.

        Raises
        ------
        CheckFailed
            If it touches memory that is not there or executes what is no instruction.
        """
        stack = STACK + STACK_BYTES - 64
        own, rest = arguments[: len(self._arguments)], arguments[len(self._arguments) :]
        stack -= -(-4 * len(rest) // 16) * 16
        for i, value in enumerate(rest):
            self._machine.mem_write(stack + 4 * i, (value & 0xFFFFFFFF).to_bytes(4, "little"))
        thumb = int(self.core.model is not None)
        for register, value in zip((*self._arguments[: len(own)], self._stack, self._link), (*own, stack, RETURN | thumb), strict=True):
            self._machine.reg_write(register, value & 0xFFFFFFFF)
        try:
            self._machine.emu_start(self.places[function] | thumb, RETURN)  # with a timeout the emulator would poll its clock all the time
        except self._unicorn.UcError as error:
            raise CheckFailed(f"{function} must run on {self.core.name}, but the emulator stopped: {error}") from error
        return int(self._machine.reg_read(self._result))

    def instructions(self) -> Counter[str]:
        """Instructions by function since ``blocks`` was cleared."""
        found: Counter[str] = Counter()
        for block, times in self.blocks.items():
            place = bisect_right(self._functions, (block[0], "\U0010ffff")) - 1
            found[self._functions[place][1]] += times * self._size(block)
        return found

    def _size(self, block: tuple[int, int]) -> int:
        """Instructions in a block of code: of 4 bytes where the encoding says so, else of 2."""
        if block not in self._sizes:
            code, at, n = self.read(*block), 0, 0
            while at < block[1]:
                long = code[at] & 3 == 3 if self.core.model is None else code[at + 1] >> 3 in (0b11101, 0b11110, 0b11111)
                at, n = at + (4 if long else 2), n + 1
            self._sizes[block] = n
        return self._sizes[block]

    def paint_stack(self) -> None:
        """Fill the stack with one byte, so that ``stack_bytes`` tells how deep calls have gone since."""
        self._machine.mem_write(STACK, bytes([PAINT]) * STACK_BYTES)

    def stack_bytes(self) -> int:
        """The deepest that the stack of a call with register arguments alone has been since ``paint_stack``."""
        untouched = self.read(STACK, STACK_BYTES - 64)
        return len(untouched) - (len(untouched) - len(untouched.lstrip(bytes([PAINT]))))
