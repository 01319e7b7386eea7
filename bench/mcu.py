# SPDX-License-Identifier: Apache-2.0
"""Instructions of the generated C on Cortex-M0, M4 and RISC-V: of a neuron update, and of a synaptic operation with its share of the axon's.

    pip install ziglang==0.17.0 unicorn==2.1.4 pyelftools==0.33
    python bench/mcu.py runs/demo/net.ormia [--output bench/results/mcu.json]

Compiled by clang (Zig) at -O2 and run in the emulator Unicorn, which counts instructions, not cycles. A timestep without events gives
the neuron updates; what timesteps with the first 8, 16, 32 and 64 channels active take more, over their synapses, gives the synaptic operation.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ormia.edge.ccode.emit import emit
from ormia.edge.errors import CheckFailed, Error, MissingTool
from ormia.edge.files import write_whole
from ormia.edge.netfile import network_digest, read_network
from ormia.edge.network import Network
from ormia.edge.provenance import provenance

CORES = {
    "cortex-m0": (("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m0"), "UC_CPU_ARM_CORTEX_M0"),
    "cortex-m4": (("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m4"), "UC_CPU_ARM_CORTEX_M4"),
    "rv32imc": (("-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m+c", "-mabi=ilp32"), None),
}
ACTIVE = (8, 16, 32, 64)
FLAGS = ("-std=c99", "-O2", "-ffreestanding", "-nostdlib", "-fno-sanitize=all", "-Wl,-T,bench.ld", "-Wl,-e,bench_step")
RAM, RAM_BYTES, RETURN = 0x200000, 0x10000, 0x8000
LINKER = """
SECTIONS {
    . = 0x10000; .text : { *(.text*) *(.rodata*) }
    . = 0x200000; .data : { *(.data*) } .bss : { *(.bss*) *(COMMON) }
    /DISCARD/ : { *(.ARM.ex*) }
}
"""
HARNESS = """
#include "{prefix}.h"
static {prefix}_state state;
static ormia_event events[{n}];
void *memset(void *to, int value, __SIZE_TYPE__ n) {{ unsigned char *p = to; while (n--) {{ *p++ = (unsigned char)value; }} return to; }}
void *memcpy(void *to, const void *from, __SIZE_TYPE__ n) {{ unsigned char *p = to; const unsigned char *q = from; while (n--) {{ *p++ = *q++; }} return to; }}
int bench_init(void) {{
    for (int i = 0; i < {n}; i++) {{ events[i].channel = (__typeof__(events[i].channel))i; events[i].payload = 1; }}
    return {prefix}_init(&state, sizeof state, {macro}_DIGEST);
}}
int bench_step(int n) {{ state.n_fired = 0; return {prefix}_step(&state, events, (uint32_t)n); }}
"""


def need(name: str, package: str) -> Any:
    """A module that this bench alone needs."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise MissingTool(f"counting instructions needs {package}, which is not installed: pip install ziglang unicorn pyelftools") from None


def compile_for(net: Network, options: tuple[str, ...], folder: Path) -> Path:
    """The generated C with a harness around it as an ELF file."""
    need("ziglang", "ziglang")
    sources = emit(net)
    for name, text in sources.files.items():
        (folder / name).write_text(text)
    (folder / "harness.c").write_text(HARNESS.format(prefix=sources.prefix, macro=sources.macro, n=max(ACTIVE)))
    (folder / "bench.ld").write_text(LINKER)
    names = [f"{sources.prefix}.c", "harness.c"]
    subprocess.run([sys.executable, "-m", "ziglang", "cc", *options, *FLAGS, *names, "-o", "bench.elf"], cwd=folder, check=True)
    return folder / "bench.elf"


class Core:
    """A program in the emulator."""

    def __init__(self, program: Path, model: str | None) -> None:
        unicorn, elf = need("unicorn", "unicorn"), need("elftools.elf.elffile", "pyelftools")
        self.registers = need(f"unicorn.{'arm' if model else 'riscv'}_const", "unicorn")
        self.arm, self.count = model is not None, 0
        self.machine = unicorn.Uc(
            *((unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS) if model else (unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32))
        )
        if model:
            self.machine.ctl_set_cpu_model(getattr(self.registers, model))
        self.machine.mem_map(0, RAM)
        self.machine.mem_map(RAM, RAM_BYTES)
        with program.open("rb") as opened:
            file = elf.ELFFile(opened)
            self.places = {symbol.name: symbol["st_value"] for symbol in file.get_section_by_name(".symtab").iter_symbols()}
            for segment in file.iter_segments():
                if segment["p_type"] == "PT_LOAD":
                    self.machine.mem_write(segment["p_vaddr"], segment.data())
        self.machine.hook_add(unicorn.UC_HOOK_CODE, self._one)

    def _one(self, *_: object) -> None:
        self.count += 1

    def call(self, name: str, argument: int = 0) -> int:
        """Instructions of a call that must return 0."""
        r, self.count = self.registers, 0
        stack, link, value = (r.UC_ARM_REG_SP, r.UC_ARM_REG_LR, r.UC_ARM_REG_R0) if self.arm else (r.UC_RISCV_REG_SP, r.UC_RISCV_REG_RA, r.UC_RISCV_REG_A0)
        for register, content in ((stack, RAM + RAM_BYTES - 16), (link, RETURN | self.arm), (value, argument)):
            self.machine.reg_write(register, content)
        self.machine.emu_start(self.places[name] | self.arm, RETURN)
        if self.machine.reg_read(value) != 0:
            raise CheckFailed(f"{name} must return 0, not {self.machine.reg_read(value)}")
        return self.count


def measure(net: Network, core: str) -> dict[str, float]:
    """Instructions on one core."""
    options, model = CORES[core]
    with tempfile.TemporaryDirectory() as folder:
        machine = Core(compile_for(net, options, Path(folder)), model)
    machine.call("bench_init")
    idle = machine.call("bench_step", 0)
    lengths = np.bincount(net.axon_source, np.diff(net.synapse_start), net.n_sources)
    rows = [((machine.call("bench_init"), machine.call("bench_step", n))[1] - idle, lengths[:n].sum()) for n in ACTIVE]
    more, synapses = (sum(column) for column in zip(*rows, strict=True))
    return {"neuron_update": idle / net.n_neurons, "synaptic_operation": float(more / synapses)}


def main() -> None:
    """Measure every core and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--output", type=Path, default=Path("bench/results/mcu.json"))
    given = parser.parse_args()
    net = read_network(given.network)
    cores = {core: {name: round(value, 2) for name, value in measure(net, core).items()} for core in CORES}
    tools = {name: version(name) for name in ("ziglang", "unicorn")}
    result = {"network": network_digest(net), "neurons": net.n_neurons, "synapses": net.n_synapses, "instructions": cores, "flags": FLAGS, "tools": tools}
    write_whole(given.output, json.dumps(result | {"provenance": provenance()}, indent=1) + "\n")
    print(json.dumps(cores, indent=1))


if __name__ == "__main__":
    try:
        main()
    except Error as error:
        sys.exit(str(error))
