# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import subprocess

import pytest
from ormia.edge import backend, cli, doctor
from ormia.edge.doctor import PROGRAMS, examine


def test_doctor_names_every_extra_program_and_backend(ormia):
    code, out, err = ormia("doctor", "--json")
    assert (code, err) == (0, "")
    content = json.loads(out)
    named = {(finding["group"], finding["name"]) for finding in content["findings"]}
    assert {("extra", name) for name in ("train", "report", "hdl", "sim")} <= named
    assert {("program", program.names[0]) for program in PROGRAMS} <= named
    assert {("backend", name) for name in backend.backend_names()} <= named
    assert content["provenance"]["versions"]["python"]
    assert "ready" in ormia("doctor")[1]


def test_what_is_missing_says_what_for_and_how_to_get_it(ormia, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name, path=None: None)
    monkeypatch.setattr(cli, "missing_extra", lambda extra: ["torch"] if extra == "train" else [])
    code, out, _ = ormia("doctor")
    assert code == 0
    assert "  program g++: for backends cxxrtl and verilog; apt install g++" in out
    assert "  extra train: for ormia data, train and export; backend torch (lacks torch); pip install 'ormia[train]'" in out


def test_a_tool_that_hangs_or_breaks_is_named_and_not_waited_for(monkeypatch):
    def broken(command, **options):
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(doctor.subprocess, "run", broken)
    monkeypatch.setattr(doctor.shutil, "which", lambda name, path=None: f"/bin/{name}")
    found = {f.name: f.found for f in doctor._programs()}
    assert found["perl"] == "perl does not answer (TimeoutExpired)"


def test_a_backend_whose_module_is_missing_is_a_finding(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name="amaranth")

    monkeypatch.setattr(backend, "get_backend", absent)
    findings = [f for f in examine() if f.group == "backend"]
    assert findings
    assert all(f.found is None and f.remedy == "the Python module amaranth is missing" for f in findings)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.names[0])
def test_every_program_has_a_purpose_and_a_remedy(program):
    assert program.purpose
    assert program.remedy
