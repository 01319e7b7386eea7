# SPDX-License-Identifier: Apache-2.0
"""What ``ormia emit c --package`` writes for each build system: built where its tool is, else its C against a small stub of the platform."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from build import axon, network, neuron
from ormia.edge.ccode.backend import CBackend
from ormia.edge.ccode.build import FLAGS, find_compiler
from ormia.edge.ccode.commands import emit_c
from ormia.edge.ccode.package import PACKAGES
from ormia.edge.detector import DetectorConfig
from ormia.edge.errors import TargetError, UsageError
from ormia.edge.listen import Listener
from ormia.edge.netfile import write_network
from sounds import speechlike

pytestmark = pytest.mark.skipif(CBackend().available() is not None, reason=str(CBackend().available()))


@pytest.fixture
def written(hearing, tmp_path):
    """A function that writes the package of a kind, of a network that detects something, and the words that it detects in ``speechlike``."""
    net = replace(hearing(), metadata={**hearing().metadata, "detector": DetectorConfig(margin=0, consecutive=1, warm_up=0, refractory=9).as_dict()})
    words = [net.labels[found.label] for _, found in Listener(net).push(speechlike())]
    assert len(words) > 3
    write_network(tmp_path / "net.ormia", net)

    def write(kind):
        emit_c(tmp_path / "net.ormia", tmp_path / kind, package=kind)
        return tmp_path / kind, words

    return write


def run(command, folder, given=None):
    ran = subprocess.run(command, cwd=folder, input=given, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode() + ran.stdout.decode()
    return ran.stdout.decode()


def raw():
    return speechlike().astype("<i2").tobytes()


@pytest.mark.parametrize("kind", PACKAGES)
def test_every_readme_names_its_files_and_a_command_that_verifies(kind, written):
    if kind == "cmake" and shutil.which("cmake") is None:
        pytest.skip("no cmake")
    folder, words = written(kind)
    readme = (folder / "README.md").read_text()
    named = {name for row in re.findall(r"^\| (`.*?) \|", readme, re.MULTILINE) for name in re.findall(r"`([\w./]+\.\w+)`", row)}
    assert len(named) > 3
    assert {name for name in named if not (folder / name).is_file()} == set()
    command = next(line.strip() for line in readme.splitlines() if line.startswith("    ") and "SELFTEST" in line)
    run(["sh", "-c", command], folder)
    if kind == "cmake":
        assert [line.split()[2] for line in run([folder / "build" / "ormia_hearing_example"], folder, raw()).splitlines()] == words


def test_the_platformio_manifest_is_whole_and_its_example_prints_keywords(written):
    folder, words = written("platformio")
    manifest = json.loads((folder / "library.json").read_text())
    assert (folder / manifest["build"]["includeDir"] / manifest["headers"]).is_file()
    assert (folder / manifest["build"]["srcDir"]).is_dir()
    assert re.fullmatch(r"\d+\.\d+\.\d+", manifest["version"])
    example = configparser.ConfigParser()
    example.read(folder / "examples" / "listen" / "platformio.ini")
    assert example["env:native"]["lib_deps"] == "symlink://../.."
    run([find_compiler(), *FLAGS, "-Iinclude", "-o", "listen", "examples/listen/main.c", "src/ormia_hearing.c"], folder)
    assert [line.split()[2] for line in run([folder / "listen"], folder, raw()).splitlines()] == words


ARDUINO = {
    "PDM.h": """
#include <stdint.h>
#include <stdio.h>
struct Microphone {
    void (*callback)();
    void onReceive(void (*given)()) { callback = given; }
    int begin(int channels, long rate) { return channels == 1 && rate == 16000; }
    int read(void *into, int n_bytes) { return (int)fread(into, 1, n_bytes < 512 ? n_bytes : 512, stdin); }
};
static Microphone PDM;
struct Port {
    void begin(long) {}
    void print(const char *text) { fputs(text, stdout); }
    void println(const char *text) { puts(text); }
    void println(int number) { printf("%d\\n", number); }
};
static Port Serial;
""",
    "main.cc": """
#include "Listen.ino"
int main()
{
    setup();
    while (!feof(stdin)) {
        PDM.callback();
        loop();
    }
}
""",
}


def test_the_arduino_library_is_whole_and_its_sketch_prints_keywords(written, tmp_path):
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    folder, words = written("arduino")
    properties = dict(line.split("=", 1) for line in (folder / "library.properties").read_text().splitlines())
    assert set(properties) == {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures", "includes"}
    assert (folder / "src" / properties["includes"]).is_file()
    for name, text in ARDUINO.items():
        (tmp_path / name).write_text(text)
    run([find_compiler(), *FLAGS, "-c", "-o", tmp_path / "network.o", "src/ormia_hearing.c"], folder)
    flags = ("-Wall", "-Wextra", "-Werror", f"-I{tmp_path}", f"-I{folder / 'src'}", f"-I{folder / 'examples' / 'Listen'}")
    run([compiler, *flags, "-o", "sketch", "main.cc", "network.o"], tmp_path)
    assert run([tmp_path / "sketch"], tmp_path, raw()).splitlines() == words


ZEPHYR = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
struct device { int ready; };
struct k_mem_slab { int used; };
struct pcm_stream_cfg { uint32_t pcm_rate; uint8_t pcm_width; uint16_t block_size; struct k_mem_slab *mem_slab; };
struct dmic_cfg {
    struct { uint32_t min_pdm_clk_freq, max_pdm_clk_freq; uint8_t min_pdm_clk_dc, max_pdm_clk_dc; } io;
    struct pcm_stream_cfg *streams;
    struct { uint32_t req_chan_map_lo; uint8_t req_num_chan, req_num_streams; } channel;
};
enum { DMIC_TRIGGER_START = 1, PDM_CHAN_LEFT = 0 };
#define K_MEM_SLAB_DEFINE_STATIC(name, size, count, alignment) static struct k_mem_slab name; static char memory[size]
#define DT_NODELABEL(name) name
static const struct device dmic_dev = {1};
#define DEVICE_DT_GET(node) (&node)
#define printk printf
static inline int device_is_ready(const struct device *d) { return d->ready; }
static inline uint32_t dmic_build_channel_map(uint8_t channel, uint8_t pdm, int side) { return channel + pdm + (uint32_t)side; }
static inline int dmic_configure(const struct device *d, struct dmic_cfg *c) { return d->ready && c->streams[0].pcm_rate == 16000u ? 0 : -1; }
static inline int dmic_trigger(const struct device *d, int what) { return d->ready && what == DMIC_TRIGGER_START ? 0 : -1; }
#define dmic_read(d, stream, block, n_bytes, timeout) \\
    ((*(block) = memory), (*(n_bytes) = (uint32_t)fread(memory, 1, sizeof memory, stdin)) != 0u ? 0 : (exit(0), -1))
static inline void k_mem_slab_free(struct k_mem_slab *slab, void *block) { slab->used = block == 0; }
"""


def test_the_zephyr_module_is_whole_and_its_sample_prints_keywords(written, tmp_path):
    folder, words = written("zephyr")
    defined = set(re.findall(r"^config (\w+)", (folder / "Kconfig").read_text(), re.MULTILINE))
    used = set(re.findall(r"CONFIG_(ORMIA\w+)", (folder / "CMakeLists.txt").read_text() + (folder / "samples" / "listen" / "prj.conf").read_text()))
    assert used == defined == {"ORMIA_HEARING", "ORMIA_HEARING_SELFTEST"}
    module = (folder / "zephyr" / "module.yml").read_text().split()
    assert module == ["name:", "ormia_hearing", "build:", "cmake:", ".", "kconfig:", "Kconfig"]
    (tmp_path / "zephyr" / "stub" / "zephyr" / "audio").mkdir(parents=True)
    (tmp_path / "zephyr" / "stub" / "zephyr" / "audio" / "dmic.h").write_text(ZEPHYR)
    (tmp_path / "zephyr" / "stub" / "zephyr" / "kernel.h").write_text("")
    flags = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Istub", "-Iinclude")
    run([find_compiler(), *flags, "-o", "sample", "samples/listen/src/main.c", "src/ormia_hearing.c"], folder)
    assert run([folder / "sample"], folder, raw()).splitlines() == words


@pytest.mark.parametrize("kind", ["arduino", "platformio", "zephyr"])
def test_a_network_without_ears_has_no_package_whose_example_listens(kind, tmp_path):
    write_network(tmp_path / "net.ormia", network([neuron(3)], [axon(0, {0: 1})]))
    with pytest.raises(TargetError, match=f"a package for {kind} must be of a network that takes audio"):
        emit_c(tmp_path / "net.ormia", tmp_path / "out", package=kind)
    assert not (tmp_path / "out").exists()


def test_a_kind_that_is_none_is_refused_with_those_there_are(tmp_path):
    write_network(tmp_path / "net.ormia", network([neuron(3)], [axon(0, {0: 1})]))
    with pytest.raises(UsageError, match=r"--package must be one of plain, cmake, arduino, platformio, zephyr, not 'mbed'"):
        emit_c(tmp_path / "net.ormia", tmp_path / "out", package="mbed")


def test_a_network_of_events_builds_with_cmake_too(tmp_path):
    if shutil.which("cmake") is None:
        pytest.skip("no cmake")
    write_network(tmp_path / "net.ormia", network([neuron(3)], [axon(0, {0: 1})]))
    emit_c(tmp_path / "net.ormia", tmp_path / "out", package="cmake")
    run(["sh", "-c", "cmake -S . -B build && cmake --build build"], tmp_path / "out")
    assert run([tmp_path / "out" / "build" / "ormia_network_example"], tmp_path, b"0 1\n") == "1 only <-\n"
