# SPDX-License-Identifier: Apache-2.0
"""Results as tables on stdout. Takes the dicts that also become JSON, so that both say the same."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["show_description", "show_evaluation", "show_findings", "show_streams", "show_verification"]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold", header_style="dim")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _console() -> Console:
    return Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 160)


def show_description(content: dict[str, Any]) -> None:
    """What ``describe`` found."""
    console = _console()
    sizes, formats, proofs, takes = (content[name] for name in ("sizes", "formats", "proofs", "footprint"))
    step = content["timestep_ms"]
    console.print(f"[bold]{content['name']}[/bold]  semantics {content['semantics']}, digest {content['digest'][:16]}")
    console.print(f"labels: {escape(', '.join(content['labels']))}  (readout {content['readout']})")
    console.print(
        f"{sizes['inputs']} inputs, {sizes['neurons']} neurons ({sizes['firing_neurons']} fire), {sizes['axons']} axons, {sizes['synapses']} synapses, "
        f"{sizes['compartments']} compartment(s), delays to {sizes['max_delay']}, timestep {'unknown' if step is None else f'{step:g} ms'}"
    )
    console.print(
        f"bits: membrane {formats['membrane_bits']}, current {formats['current_bits']}, weight {formats['weight_bits']}, decay {formats['decay_bits']}, "
        f"payload {formats['payload_bits']} {'signed' if formats['payload_signed'] else 'unsigned'}; flush {formats['flush']}, "
        f"clips of at most {formats['max_timesteps']} timesteps"
    )
    front_end = content["front_end"]
    if front_end is None:
        console.print("no front end: takes events, not audio")
    else:
        console.print(
            f"front end {front_end['kind']}, {front_end['n_channels']} channels, every {front_end['hop_samples']} of {front_end['sample_rate']} samples/s"
        )
    console.print()
    console.print(_kinds(content["kinds"]))
    for motif in content["motifs"]:
        console.print(
            f"motifs: neurons {motif['neurons'][0]}..{motif['neurons'][1]} are {motif['count']} of {motif['size']}, {motif['intra_links']} links within "
            f"({motif['intra_density']:.0%}), {motif['lateral_links']} to motifs at {', '.join(f'{d:+d}' for d in motif['lateral_distances']) or 'none'}"
        )
    console.print()
    console.print("proofs")
    for name, what in (("gather", "gathered sums reach"), ("score", "scores reach at most")):
        proof = proofs[name]
        reach = f"{proof['reach'][0]}..{proof['reach'][1]}" if name == "gather" else str(proof["reach"])
        console.print(f"  {what} {reach}: {proof['bits']} of {proof['declared_bits']} bits")
    console.print()
    console.print(_footprint(takes))
    console.print(f"C: {takes['c_flash_bytes']} bytes of tables in flash, {takes['c_ram_bytes']} bytes of state in RAM, without code")
    console.print()
    for sentence in content["advice"]:
        console.print(f"[yellow]advice:[/yellow] {escape(sentence)}")
    if not content["advice"]:
        console.print("no advice")
    if content["target"] is not None and not content["target"]["violations"]:
        console.print(f"fits {content['target']['name']} ({content['target']['device']})")


def _kinds(kinds: list[dict[str, Any]]) -> Table:
    table = _table("kinds", "kind", "neurons", "thresholds", "reset", "refractory", "membrane", "currents", "drive shift", "current shift")
    for kind in kinds:
        threshold = kind["threshold"]
        shown = "-" if not kind["firing"] or threshold is None else str(threshold[0]) if threshold[0] == threshold[1] else f"{threshold[0]}..{threshold[1]}"
        reset = kind["reset"] if kind["firing"] else "never fires"
        currents = ", ".join(map(_constant, kind["currents"]))
        cells = [
            kind["kind"],
            kind["neurons"],
            shown,
            reset,
            kind["refractory"],
            _constant(kind["membrane"]),
            currents,
            kind["drive_shift"],
            kind["current_shift"],
        ]
        table.add_row(*map(str, cells))
    return table


def _constant(constant: dict[str, Any]) -> str:
    if constant["timesteps"] is None:
        return "integrator"
    if constant["timesteps"] == 0:
        return "no memory"
    return f"{constant['timesteps']:.1f} steps" if constant["ms"] is None else f"{constant['ms']:.0f} ms"


def _footprint(takes: dict[str, Any]) -> Table:
    table = _table("memories of the core (a small one may become logic)", "memory", "plain: rows x bits", "block RAMs", "shared: rows x bits", "block RAMs")
    plain = {m["name"]: m for m in takes["core_plain"]["memories"]}
    shared = {m["name"]: m for m in takes["core_shared"]["memories"]}
    for name in dict.fromkeys([*plain, *shared]):
        cells = [name]
        for memories in (plain, shared):
            memory = memories.get(name)
            cells += ["", ""] if memory is None else [f"{memory['rows']} x {memory['bits']}" if memory["bits"] else "in logic", str(memory["block_rams"])]
        table.add_row(*cells)
    totals = [takes["core_plain"], takes["core_shared"]]
    table.add_row("surely", *(cell for total in totals for cell in (f"{total['bits']} bits", str(total["block_rams"]))))
    return table


def show_evaluation(result: dict[str, Any]) -> None:
    """What ``evaluate_clips`` measured."""
    console = _console()
    labels = result["labels"]
    console.print(f"accuracy {result['accuracy']:.2%}: {result['correct']} of {result['clips']} clips of split {result['corpus']['split']}")
    table = _table("confusion: rows are spoken, columns heard", "", *labels, "recall")
    for label, row in zip(labels, result["confusion"], strict=True):
        recall = result["recall"][label]
        table.add_row(escape(label), *(str(n) if n else "." for n in row), "-" if recall is None else f"{recall:.1%}")
    console.print(table)
    rates = ", ".join(f"{rate:.0f} {name.replace('_', ' ')}" for name, rate in result["per_second_of_audio"].items())
    console.print(f"per second of audio: {rates}")


def show_streams(result: dict[str, Any]) -> None:
    """What ``evaluate_streams`` measured."""
    console = _console()
    for name, title in (("operating_point", "detector of the file"), ("tuned_point", "margin tuned on split valid")):
        if name in result:
            _show_point(console, result[name], title)
    table = _table("curve", "margin", "false accepts/h", "95 %", "false rejects", "95 %", "")
    for point in result["curve"]:
        accepts, rejects = point["false_accepts_per_hour"], point["false_reject_rate"]
        cells = [f"{accepts['value']:.2f}", f"{accepts['low']:.2f}..{accepts['high']:.2f}"]
        cells += ["-" if rejects["value"] is None else f"{rejects['value']:.1%}", f"{rejects['low']:.1%}..{rejects['high']:.1%}"]
        table.add_row(str(point["margin"]), *cells, "<- the file's" if point["shipped"] else "")
    console.print(table)
    console.print(f"{result['hours']:.2f} hours, {result['keywords']} keywords; a word may be detected until {result['tolerance_s']:g} s after its end")


def _show_point(console: Console, point: dict[str, Any], title: str) -> None:
    accepts, rejects = point["false_accepts_per_hour"], point["false_reject_rate"]
    missed = "-" if rejects["value"] is None else f"{rejects['value']:.1%}"
    console.print(
        f"{title}, margin {point['margin']}: {accepts['value']:.2f} false accepts/h ({accepts['low']:.2f}..{accepts['high']:.2f}), "
        f"{missed} false rejects ({rejects['low']:.1%}..{rejects['high']:.1%})"
    )
    for name, what in (("after_onset", "onset"), ("after_offset", "end")):
        delay = point["latency_s"][name]
        if delay["median"] is not None:
            console.print(f"  detected {delay['median']:.2f} s after its {what} (median), {delay['p95']:.2f} s (95 %)")


def show_verification(result: dict[str, Any]) -> None:
    """What ``ormia verify`` compared."""
    console = _console()
    table = _table(
        "every membrane, spike and score against the reference", "backend", "clips", "timesteps", "membranes", "spikes", "differences", "branches", "time"
    )
    for row in result["backends"]:
        if not row["available"]:
            continue
        reached = sum(count > 0 for count in row["branches"].values())
        shown = "0" if not row["differences"] else f"[bold red]{row['differences']}[/bold red]"
        name = row["backend"] + (" (from audio)" if row["input"] == "audio" else "")
        cells = [name, row["clips"], row["timesteps"], row["membranes"], row["counters"]["spikes"]]
        table.add_row(
            *map(str, cells),
            shown if row["backend"] != "reference" else "",
            f"{reached} of {len(row['branches'])}",
            f"{row['load_seconds'] + row['seconds']:.1f} s",
        )
    console.print(table)
    for row in result["backends"]:
        if not row["available"]:
            console.print(f"{row['backend']} did not run: {escape(row['reason'])}")


def show_findings(findings: list[dict[str, Any]]) -> None:
    """What ``ormia doctor`` found."""
    console = _console()
    table = _table("installed", "", "what", "found")
    for column in table.columns:
        column.justify = "left"
    for finding in findings:
        if finding["found"] is not None:
            table.add_row(*(escape(finding[name]) for name in ("group", "name", "found")))
    console.print(table)
    missing = [finding for finding in findings if finding["found"] is None]
    console.print("[bold]nothing is missing[/bold]" if not missing else "[bold]missing[/bold]")
    for finding in missing:
        console.print(f"  {finding['group']} {finding['name']}: for {escape(finding['purpose'])}; {escape(finding['remedy'])}")
