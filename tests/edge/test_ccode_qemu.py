# SPDX-License-Identifier: Apache-2.0
"""Generated C by GCC on boards that QEMU emulates: the integers of Python, and no library, where Debian's tools are installed."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from ormia.edge.ccode import qemu
from ormia.edge.ccode.emit import emit
from ormia.edge.ccode.qemu import BOARDS, QemuMachine, code_bytes, missing_boards
from ormia.edge.clips import front_end_of
from ormia.edge.events import events_from_payloads
from ormia.edge.reference import Reference
from ormia.edge.trace import first_difference
from sounds import speechlike

needs_boards = pytest.mark.skipif(missing_boards() is not None, reason=str(missing_boards()))
each_board = pytest.mark.parametrize("board", list(BOARDS.values()), ids=lambda board: board.name)


def test_what_is_missing_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "qemu-system-arm" else tool)
    assert qemu.missing_boards() == (
        "compiling by GCC and running in QEMU needs qemu-system-arm: apt install gcc-arm-none-eabi gcc-riscv64-unknown-elf qemu-system-arm qemu-system-misc"
    )


@needs_boards
@each_board
@pytest.mark.parametrize("level", ["-O2", "-Os"])
def test_random_networks_of_every_construct_give_the_integers_of_the_reference(board, level, random_network, random_payloads, tmp_path):
    for seed in (3, 8) if level == "-O2" else (11,):
        net = random_network(seed)
        reference = Reference(net)
        clips = [events_from_payloads(clip) for clip in random_payloads(net, 2, 14, seed)]
        expected = [reference.run(clip) for clip in clips]
        machine = QemuMachine(net, emit(net, clips=()), board, tmp_path, level)
        for want, got in zip(expected, machine.run_many(clips), strict=True):
            assert first_difference(want, got) is None, seed
            assert want.counters == got.counters
        assert machine.coverage == reference.coverage


@needs_boards
@each_board
def test_audio_gives_the_payloads_and_the_trace_of_python_on_a_board(board, hearing, tmp_path):
    net = hearing()
    pcm = speechlike()[: 320 * 40]
    payloads, trace = QemuMachine(net, emit(net, clips=()), board, tmp_path).run_audio(pcm, (57, 1000))
    assert payloads.any()
    assert np.array_equal(payloads, front_end_of(net).payloads(pcm))
    assert first_difference(Reference(net).run(events_from_payloads(payloads)), trace) is None


@needs_boards
@each_board
def test_constants_are_those_that_were_laid_out_and_code_is_small(board, hearing, tmp_path):
    sources = emit(hearing(), clips=())
    found = code_bytes(sources, board, "-Os", tmp_path)
    assert sources.flash_bytes <= found["constants"] < sources.flash_bytes + 64
    assert 1000 < found["code"] < 8192
