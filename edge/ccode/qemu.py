# SPDX-License-Identifier: Apache-2.0
"""The generated C compiled by GCC and run on boards that QEMU emulates: the second compiler and the second emulator beside ``emulated.py``.

The same driver, record and clips; each call is one start of a board, which finds the call in its memory and writes the result to a file.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import CheckFailed
from ..network import Network
from .backend import Record, RecordingMachine
from .build import RECORDING, TIMEOUT_S, build, driver_files, process_folder
from .emit import Sources
from .template import load_template, render

__all__ = ["BOARDS", "Board", "QemuMachine", "code_bytes", "missing_boards"]

FLAGS = ("-std=c99", "-ffreestanding", "-nostdlib", "-nostartfiles", "-Wall", "-Wextra", "-Wconversion", "-Werror")
LINK, PROGRAM, FILLED = "qemu.ld", "program.elf", "filled.bin"
FUNCTIONS = ("driver_state_bytes", "driver_run", "driver_hear")  # by their number in qemu_main.c
N_ARGUMENTS = 7
ALIGNMENT = 16


@dataclass(frozen=True)
class Board:
    """A processor, its compiler and the board of QEMU that runs it.

    Attributes
    ----------
    name, device : str
        What tests call it, and what it is.
    compiler, options : str, tuple of str
        GCC and what it is told of the processor.
    emulator : tuple of str
        QEMU and its board.
    code, data, stack, buffers : int
        Addresses: code and constants, variables, end of the stack, where a call waits.
    """

    name: str
    device: str
    compiler: str
    options: tuple[str, ...]
    emulator: tuple[str, ...]
    code: int
    data: int
    stack: int
    buffers: int


ARM_GCC, RISCV_GCC = "arm-none-eabi-gcc", "riscv64-unknown-elf-gcc"
BOARDS = {
    board.name: board
    for board in (
        Board(
            "cortex-m0plus", "ARMv6-M code, on a Cortex-M3", ARM_GCC, ("-mthumb", "-mcpu=cortex-m0plus"),
            ("qemu-system-arm", "-M", "mps2-an385"), 0, 0x20000000, 0x20400000, 0x21000000,
        ),
        Board(
            "cortex-m4", "Cortex-M4 with the DSP extension", ARM_GCC, ("-mthumb", "-mcpu=cortex-m4", "-mfloat-abi=soft"),
            ("qemu-system-arm", "-M", "mps2-an386"), 0, 0x20000000, 0x20400000, 0x21000000,
        ),
        Board(
            "rv32imc", "RISC-V RV32IMC", RISCV_GCC, ("-march=rv32imc", "-mabi=ilp32"),
            ("qemu-system-riscv32", "-M", "virt", "-bios", "none", "-m", "64"), 0x80000000, 0x80400000, 0x80800000, 0x81000000,
        ),
    )
}  # fmt: skip


def missing_boards() -> str | None:
    """None where GCC and QEMU are there for every board, else what to install."""
    tools = sorted({tool for board in BOARDS.values() for tool in (board.compiler, board.emulator[0]) if shutil.which(tool) is None})
    packages = "gcc-arm-none-eabi gcc-riscv64-unknown-elf qemu-system-arm qemu-system-misc"
    return f"compiling by GCC and running in QEMU needs {', '.join(tools)}: apt install {packages}" if tools else None


def _release(compiler: str) -> str:
    return subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False).stdout


def code_bytes(sources: Sources, board: Board, level: str, folder: Path | None = None) -> dict[str, int]:
    """Bytes of code and of constants of a network by GCC at an optimization level, without driver and start. Raises ``TargetError``."""
    from elftools.elf.elffile import ELFFile

    flags = (*board.options, *FLAGS, level, "-c")
    home = folder if folder is not None else process_folder()
    compiled = build((board.compiler,), _release(board.compiler), sources.files, (f"{sources.prefix}.c",), flags, "network.o", home)
    found = {"code": 0, "constants": 0}
    with compiled.open("rb") as opened:
        for section in ELFFile(opened).iter_sections():
            if section["sh_flags"] & 2:
                found["code" if section["sh_flags"] & 4 else "constants"] += section["sh_size"]
    return found


class QemuMachine(RecordingMachine):
    """A network on a board.

    Parameters
    ----------
    network, sources
        As of ``RecordingMachine``.
    board : Board
        Which.
    folder : path, optional
        Where builds are kept; with the process unless given.
    level : str
        Optimization level of GCC.
    """

    def __init__(self, network: Network, sources: Sources, board: Board, folder: Path | None = None, level: str = "-O2") -> None:
        super().__init__(network, sources)
        self.board = board
        values = {"hears": sources.hears, "call": board.buffers, "stack": board.stack}
        files = driver_files(sources)
        files["driver.c"] += render(load_template("qemu_main.c"), values)
        files[LINK] = load_template(LINK)
        places = (f"-Wl,--defsym=CODE={board.code}", f"-Wl,--defsym=DATA={board.data}", f"-Wl,-T,{LINK}", "-Wl,--build-id=none")
        flags = (*board.options, *FLAGS, level, *RECORDING, *places)
        units = (f"{sources.prefix}.c", "driver.c")
        home = folder if folder is not None else process_folder()
        self._program = build((board.compiler,), _release(board.compiler), files, units, flags, PROGRAM, home)
        self._state_bytes = self._start("driver_state_bytes", [], b"", 0, 0)[0]

    def invoke(self, function: str, arguments: Sequence[int | np.ndarray], record: Record) -> int:
        """By one start of the board: call, state, arrays to read and arrays to fill lie in its memory."""
        content = bytearray(-(-self._state_bytes // ALIGNMENT) * ALIGNMENT)
        first = self.board.buffers + self._head_bytes()

        def place(array: np.ndarray) -> int:
            content.extend(bytes(-len(content) % ALIGNMENT))
            address = first + len(content)
            content.extend(array.tobytes())
            return address

        given = [first, *(place(a) if isinstance(a, np.ndarray) else a for a in arguments)]
        filled = [place(array) for array in record.arrays]
        begin, end = filled[0], first + len(content)
        given.append(place(np.array(filled, np.uint32)))
        code, back = self._start(function, given, bytes(content), begin, end - begin)
        for address, array in zip(filled, record.arrays, strict=True):
            array[...] = np.frombuffer(back[address - begin : address - begin + array.nbytes], array.dtype).reshape(array.shape)
        return code

    @staticmethod
    def _head_bytes() -> int:
        return -(-4 * (1 + N_ARGUMENTS + 2) // ALIGNMENT) * ALIGNMENT

    def _start(self, function: str, arguments: Sequence[int], content: bytes, begin: int, n_bytes: int) -> tuple[int, bytes]:
        """What the function returns, and ``n_bytes`` of memory from ``begin`` on after it."""
        call = np.zeros(self._head_bytes() // 4, np.uint32)
        call[0], call[1 : 1 + len(arguments)], call[1 + N_ARGUMENTS : 3 + N_ARGUMENTS] = FUNCTIONS.index(function), arguments, (begin, n_bytes)
        with tempfile.TemporaryDirectory() as scratch:
            waiting = Path(scratch) / "call.bin"
            waiting.write_bytes(call.tobytes() + content)
            command = [
                *self.board.emulator, "-display", "none", "-serial", "none", "-monitor", "none", "-semihosting-config", "enable=on,target=native",
                "-kernel", str(self._program), "-device", f"loader,file={waiting},addr={self.board.buffers},force-raw=on",
            ]  # fmt: skip
            try:
                ran = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
            except subprocess.TimeoutExpired:
                raise CheckFailed(f"{function} must end on {self.board.name} in QEMU, but ran for {TIMEOUT_S} s") from None
            path = Path(scratch) / FILLED
            back = path.read_bytes() if path.exists() else b""
        if ran.returncode != 0 or len(back) != 4 + n_bytes:
            said = (ran.stderr.strip().splitlines() or ["it said nothing"])[0]
            raise CheckFailed(f"{function} must run on {self.board.name} in QEMU and hand back {n_bytes} bytes, but: {said}")
        return int.from_bytes(back[:4], "little"), back[4:]
