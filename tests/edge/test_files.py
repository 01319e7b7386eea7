# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import os

import pytest
from ormia.edge import files
from ormia.edge.errors import DataError
from ormia.edge.files import make_folder, write_whole


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_and_bytes_replace_what_was_there(tmp_path):
    write_whole(tmp_path / "a", "grüß")
    write_whole(tmp_path / "a", b"\x00\xff")
    assert (tmp_path / "a").read_bytes() == b"\x00\xff"
    write_whole(tmp_path / "a", "grüß")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "grüß"
    assert names(tmp_path) == ["a"]


def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(DataError, match="no space left"):
        write_whole(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_an_interrupt_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_impossible_places_get_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "no" / "a", tmp_path / "file" / "a", tmp_path):
        with pytest.raises(DataError, match=r"must be writable.*existing folder"):
            write_whole(place, "x")
    with pytest.raises(DataError, match="must be a folder"):
        make_folder(tmp_path / "file" / "a")
    assert make_folder(tmp_path / "x" / "y").is_dir()
    assert names(tmp_path) == ["file", "x"]
