# SPDX-License-Identifier: Apache-2.0
import json
import re
import subprocess
from dataclasses import replace

import pytest
from build import axon, network, neuron
from ormia.edge.ccode.backend import CBackend
from ormia.edge.ccode.build import FLAGS, find_compiler
from ormia.edge.ccode.commands import emit_c
from ormia.edge.detector import DetectorConfig
from ormia.edge.errors import DataError, NetworkFileError
from ormia.edge.listen import Listener
from ormia.edge.netfile import network_digest, write_network
from ormia.edge.reference import Reference
from sounds import speechlike

needs_compiler = pytest.mark.skipif(CBackend().available() is not None, reason=str(CBackend().available()))


@pytest.fixture
def net():
    neurons = [neuron(3), neuron(4), neuron(0, firing=False)]
    return network(
        neurons, [axon(0, {0: 2, 2: 1}), axon(1, {1: 3, 2: -1})], n_inputs=2, readout_neuron=[2, 1], readout_class=[0, 1], labels=("yes", 'a "no"'), name="demo"
    )


@pytest.fixture
def path(net, tmp_path):
    write_network(tmp_path / "net.ormia", net)
    return tmp_path / "net.ormia"


def test_the_folder_holds_the_sources_an_example_and_a_readme(path, tmp_path, capsys):
    emit_c(path, tmp_path / "deep" / "out")
    names = {"ormia.h", "ormia_demo.h", "ormia_demo.c", "example_main.c", "README.md"}
    assert {p.name for p in (tmp_path / "deep" / "out").iterdir()} == names
    assert set(re.findall(r"[\w.]+$", capsys.readouterr().out, re.MULTILINE)) >= names


def test_json_states_the_footprint_that_the_header_asserts(path, net, tmp_path, capsys):
    emit_c(path, tmp_path / "out", as_json=True)
    said = json.loads(capsys.readouterr().out)
    header = (tmp_path / "out" / "ormia_demo.h").read_text()
    assert f"ORMIA_DEMO_STATE_BYTES ({said['state_bytes']}u " in header
    assert f"ORMIA_DEMO_FLASH_BYTES {said['flash_bytes']}u" in header
    assert sum(said["table_bytes"].values()) == said["flash_bytes"]
    assert said["digest"] == network_digest(net)
    assert (said["n_neurons"], said["n_synapses"], said["checked"]) == (3, 4, False)
    assert f"| {said['state_bytes']} |" in (tmp_path / "out" / "README.md").read_text()


def test_other_files_in_the_folder_stay(path, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "main.c").write_text("mine")
    emit_c(path, tmp_path / "out")
    emit_c(path, tmp_path / "out")
    assert (tmp_path / "out" / "main.c").read_text() == "mine"
    assert not [p for p in (tmp_path / "out").iterdir() if p.name.startswith(".")]


def test_an_output_that_is_a_file_is_refused(path, tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(DataError, match="must be a folder that can be written"):
        emit_c(path, tmp_path / "out")


def test_a_damaged_network_writes_nothing(path, tmp_path):
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(NetworkFileError):
        emit_c(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@needs_compiler
def test_check_runs_the_self_test_first(path, tmp_path, capsys):
    emit_c(path, tmp_path / "out", check=True, as_json=True)
    assert json.loads(capsys.readouterr().out)["checked"] is True


@needs_compiler
def test_the_command_of_the_readme_and_the_example_work(path, net, tmp_path):
    emit_c(path, tmp_path / "out")
    readme = (tmp_path / "out" / "README.md").read_text()
    command = next(line.strip() for line in readme.splitlines() if "-DORMIA_SELFTEST -o example" in line)
    ran = subprocess.run(["sh", "-c", command], cwd=tmp_path / "out", capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    ran = subprocess.run(["./example"], cwd=tmp_path / "out", input="0 1 1 1\n\n0 1\n", capture_output=True, text=True, check=False)
    trace = Reference(net).run([[(0, 1), (1, 1)], [], [(0, 1)]])
    assert ran.stdout.splitlines() == [
        f"{score} {label}{' <-' if i == trace.label else ''}" for i, (score, label) in enumerate(zip(trace.scores, net.labels, strict=True))
    ]
    for bad in ("2 1\n", "1 1 0 1\n", "x\n", "0 99\n", "0 1 0 1 0 1 0 1\n"):
        ran = subprocess.run(["./example"], cwd=tmp_path / "out", input=bad, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr.startswith("input refused: code ")) == (1, True), bad


@needs_compiler
def test_the_example_of_a_network_that_hears_prints_what_a_listener_prints(hearing, tmp_path):
    eager = DetectorConfig(margin=0, warm_up=0, refractory=3, background=(2,))
    net = hearing()
    net = replace(net, metadata=net.metadata | {"detector": eager.as_dict()})
    write_network(tmp_path / "net.ormia", net)
    emit_c(tmp_path / "net.ormia", tmp_path / "out")
    readme = (tmp_path / "out" / "README.md").read_text()
    command = next(line.strip() for line in readme.splitlines() if "-DORMIA_SELFTEST -o example" in line)
    ran = subprocess.run(["sh", "-c", command], cwd=tmp_path / "out", capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
    assert "| front end |" in readme
    assert "ormia_hearing_push_samples" in readme
    pcm = speechlike()
    detected = [f"{seconds:9.2f} s  {net.labels[found.label]}  (score {found.score}, margin {found.margin})" for seconds, found in Listener(net).push(pcm)]
    assert len(detected) > 3
    raw = pcm.astype("<i2").tobytes()
    ran = subprocess.run(["./example"], cwd=tmp_path / "out", input=raw, capture_output=True, check=False)
    assert (ran.returncode, ran.stdout.decode().splitlines()) == (0, detected)
    ran = subprocess.run(["./example"], cwd=tmp_path / "out", input=raw[:1001], capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) == (1, b"input refused: it ends within a sample of two bytes\n")


def test_json_tells_what_the_front_end_takes(hearing, tmp_path, capsys):
    write_network(tmp_path / "net.ormia", hearing())
    emit_c(tmp_path / "net.ormia", tmp_path / "out", as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert set(said["shares"]) == {"network", "front_end", "detector"}
    assert sum(share["state_bytes"] for share in said["shares"].values()) == said["state_bytes"]


@needs_compiler
@pytest.mark.parametrize("hears", [False, True])
def test_the_example_compiles_with_warnings_as_errors(hears, path, hearing, tmp_path):
    if hears:
        write_network(path, replace(hearing(), name="demo"))
    emit_c(path, tmp_path / "out")
    command = [find_compiler(), *FLAGS, "-o", "example", "example_main.c", "ormia_demo.c"]
    ran = subprocess.run(command, cwd=tmp_path / "out", capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
