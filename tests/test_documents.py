# SPDX-License-Identifier: Apache-2.0
"""What the documents say can be typed can be typed, and what they link to is there."""

from __future__ import annotations

import json
import re
import shlex
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import typer
from ormia.edge.cli import FAMILIES
from typer.main import get_command

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.md")])
TYPED = re.compile(r"(?:^    |\| |`)(ormia [a-z][^`#\n]*)", re.MULTILINE)


def commands(document: Path) -> list[str]:
    """Everything in a document that begins with ``ormia`` and a word: in a code block, behind a pipe or between backquotes."""
    return [found.strip() for found in TYPED.findall(document.read_text(encoding="utf-8"))]


def options_of(words: list[str]) -> set[str]:
    """Options that the command of these words takes. Raises ``KeyError`` where there is none."""
    group, name = (FAMILIES[words[1]][0], words[2]) if words[1] in FAMILIES and len(words) > 2 else ("ormia.commands", words[1])
    entry = {entry.name: entry for entry in entry_points(group=group)}[name]
    app = typer.Typer(add_completion=False)
    app.command()(entry.load())
    return {option for parameter in get_command(app).params for option in (*parameter.opts, *parameter.secondary_opts)}


def faults(document: Path) -> list[str]:
    found = []
    for line in commands(document):
        words = shlex.split(line.split(" | ")[0])
        if len(words) == 2 and words[1] in FAMILIES:
            continue
        try:
            options = options_of(words)
        except KeyError:
            found.append(f"{line}: no such command")
            continue
        found += [f"{line}: no option {word}" for word in words if word.startswith("--") and word.split("=")[0] not in options]
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_in_a_document_exists_with_its_options(document):
    assert faults(document) == []


def test_the_readme_shows_every_command():
    shown = {line.split()[1] for line in commands(ROOT / "README.md")}
    assert {*FAMILIES, *(entry.name for entry in entry_points(group="ormia.commands"))} - shown == {"export"}


def test_a_wrong_command_would_be_noticed(tmp_path):
    (tmp_path / "a.md").write_text("`ormia sing`\n\n    ormia eval a --loud  # x\n    cat | ormia run a - --stream\n")
    assert faults(tmp_path / "a.md") == ["ormia sing: no such command", "ormia eval a --loud: no option --loud"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(document):
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if link and not (document.parent / link).exists()] == []


def test_figures_of_the_readme_are_those_of_the_files():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    demo, mcu, recordings, stream, words, folds = (
        json.loads((ROOT / "bench" / "results" / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("demo", "mcu", "accuracy_gsc12", "stream_gsc12", "own_words", "accuracy_folds")
    )

    def share(row: dict[str, float]) -> str:
        return f"{100 * row['mean']:.1f} ± {100 * row['spread']:.1f} %"

    def heard(point: dict[str, Any]) -> str:
        missed, false = point["false_reject_rate"], point["false_accepts_per_hour"]
        return (
            f"misses {100 * missed['value']:.0f} % ({100 * missed['low']:.0f} to {100 * missed['high']:.0f}) of {point['keywords']} keywords "
            f"at {false['value']:.0f} ({false['low']:.0f} to {false['high']:.0f}) false accepts an hour"
        )

    def work(row: dict[str, Any]) -> str:
        return f"{row['per_second']['synaptic_operations'] / 1e3:,.0f} k"

    names = ("gsc12", "gsc12_10ms", "dscnn int8")
    coarse, fine, theirs = (folds["arms"][name] for name in names)
    apart = {one["arm"]: one for one in folds["comparisons"]}
    m4, built = mcu["cores"]["cortex-m4"], demo["demo"]["fpga"]
    figures = [
        f"test {100 * demo['demo']['accuracy']['test']['share']:.1f} %",
        f"3 seeds {share(demo['seeds']['test'])}",
        f"{demo['demo']['verify']['differences']} differences",
        f"{built['logic_cells']['used']:,} LC, {built['block_rams']['used']} EBR, {built['multipliers']['used']} DSP, {built['fmax_mhz']:.1f} MHz",
        f"{m4['instructions_per_second']['mean'] / 1e6:.2f} M instructions",
        f"{m4['flash_bytes']['all'] / 1024:.1f} KiB flash, {m4['ram_bytes']['all'] / 1024:.1f} KiB RAM",
        *(f"test {share(recordings['arms'][name]['test'])} ({recordings['arms'][name]['test']['seeds']} seeds)" for name in names),
        *(f"{work(row)} synaptic operations and {row['per_second']['spikes']:,.0f} spikes" for row in (recordings["arms"][name] for name in names[:2])),
        heard(demo["demo"]["stream"]),
        heard(stream["operating_point"]),
        share(words["test"]),
        ", ".join(f"{name} {100 * row['test']['mean']:.1f} %" for name, row in (("`gsc12`", coarse), ("`gsc12_10ms`", fine), ("int8 DS-CNN", theirs))),
        *(f"{-100 * one['mean']:.1f} points behind it ({-100 * one['high']:.1f} to {-100 * one['low']:.1f})" for one in map(apart.get, names[:2])),
        f"{work(coarse)} and {work(fine)} synaptic operations a second beside {theirs['cost']['multiply_accumulates'] / 1e6:.1f} M",
    ]
    assert len(demo["seeds"]["seeds"]) == 3
    assert [figure for figure in figures if figure not in readme] == []


def test_what_a_step_costs_stands_as_the_bench_found_it():
    text, arms = ((ROOT / path).read_text(encoding="utf-8") for path in ("docs/accuracy.md", "bench/results/activation.json"))
    found = {name: [100 * sum(run[key] for run in runs) / len(runs) for key in ("valid", "train_augmented")] for name, runs in json.loads(arms)["arms"].items()}
    for title, name in (("ReLU", "relu"), ("step, 0 or 1", "step"), ("TC-ResNet, ReLU", "tc_resnet")):
        assert "| {} | {:.1f} ({:.1f}) |".format(title, *found[name]) in text
    assert f"{found['relu'][0] - found['step'][0]:.1f} points go where" in text
