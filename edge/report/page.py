# SPDX-License-Identifier: Apache-2.0
"""The report page: what the files of a run say, arranged for a template. Computes no result but the clip that it shows.

One file without scripts or anything from elsewhere; ``templates/report.html.j2`` says how it looks.
"""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.exceptions import UndefinedError
from markupsafe import Markup, escape

from ..coverage import BRANCHES
from ..cycles import CycleModel
from ..describe import timestep_ms
from ..energy import Activity, estimate
from ..errors import DataError, Error
from ..network import Network, Reset
from .accuracy import draw_confusion, draw_stream, draw_training
from .clip import choose_clip, draw_clip, shown_label
from .graph import draw_layers, draw_motif, groups_of, links_between
from .run import Run

__all__ = ["build_page"]

RESOURCES = (
    ("logic_cells", "logic cells (LC)"),
    ("block_rams", "block RAMs (EBR)"),
    ("large_rams", "large RAMs (SPRAM)"),
    ("multipliers", "multipliers (DSP)"),
)
COMPARED_ONCE = 1 + 4  # a clip: its label and the counters of C1


def build_page(run: Run) -> str:
    """HTML of the report of a run.

    Raises
    ------
    DataError
        If a file holds something else than its command writes.
    """
    try:
        return _render(run)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, UndefinedError) as error:
        raise DataError(
            f"the files of {run.folder} must be as their commands wrote them, but {type(error).__name__}: {error}; run the commands again"
        ) from error


def _render(run: Run) -> str:
    environment = Environment(loader=PackageLoader(__package__, "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(number=_number, percent=_percent, label=shown_label, digits=_digits, bytes=_bytes, code=_code)
    verification = None if run.verify is None else _verification(run)
    cycles = _cycles(run)
    page = {
        "run": run,
        "net": run.network,
        "step_ms": timestep_ms(run.network),
        "words": [shown_label(label) for label in run.network.labels if not label.startswith("_")],
        "others": [shown_label(label) for label in run.network.labels if label.startswith("_")],
        "verification": verification,
        "accuracy": None if run.eval is None else _accuracy(run),
        "stream": None if run.stream is None else _stream(run.stream),
        "training": Markup(draw_training(run.training)) if run.training else None,
        "clip": _clip(run),
        "structure": _structure(run.network),
        "resources": [] if run.fpga is None else [(name, run.fpga[key]["used"], run.fpga[key]["available"]) for key, name in RESOURCES],
        "cycles": cycles,
        "energy": None if run.eval is None else _energy(run, cycles),
        "made": next((found["provenance"] for found in (run.eval, run.verify) if found is not None and "provenance" in found), None),
    }
    return environment.get_template("report.html.j2").render(page)


def _number(value: float) -> str:
    """A count with narrow spaces between thousands."""
    return f"{round(value):,}".replace(",", "\u202f")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _digits(value: float, digits: int = 3) -> str:
    """A figure of so many digits, without exponent."""
    if value == 0:
        return "0"
    shown = float(f"{value:.{digits}g}")
    return _number(shown) if abs(shown) >= 10 ** (digits - 1) else f"{shown:.{digits}g}"


def _bytes(size: float) -> str:
    return f"{_number(size)} B" if size < 10_000 else f"{size / 1024:.1f} KiB"


def _code(text: str) -> Markup:
    """Text in which what stands between backquotes is code."""
    parts = str(escape(text)).split("`")
    return Markup("".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts)))


def _accuracy(run: Run) -> dict[str, Any]:
    assert run.eval is not None
    found, baseline = run.eval, None
    if run.baseline is not None:
        test = _share(run.baseline.get("test"))
        same = run.baseline.get("corpus") in (None, found["corpus"].get("digest")) or _digest_of(run.baseline.get("corpus")) == found["corpus"].get("digest")
        if test is not None and same:
            baseline = {"model": str(run.baseline.get("model", "baseline")), "test": test, "parameters": run.baseline.get("parameters")}
    return {
        "recall": [(label, found["recall"].get(label)) for label in found["labels"]],
        "confusion": Markup(draw_confusion(found)),
        "baseline": baseline,
        "baseline_other": run.baseline is not None and baseline is None,
    }


def _stream(found: dict[str, Any]) -> dict[str, Any]:
    point = found["operating_point"]
    return {
        "curve": Markup(draw_stream(found)),
        "hours": found["hours"],
        "keywords": point["keywords"],
        "rejects": point["false_reject_rate"],
        "accepts": point["false_accepts_per_hour"],
        "delay": point["latency_s"]["after_onset"],
    }


def _share(value: Any) -> float | None:
    """A share as a number, or under ``share`` or ``mean`` of a dict."""
    if isinstance(value, dict):
        value = value.get("share", value.get("mean"))
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _digest_of(value: Any) -> Any:
    return value.get("digest") if isinstance(value, dict) else value


def _clip(run: Run) -> dict[str, Any] | None:
    if run.clips is None:
        return None
    try:
        shown = choose_clip(run.network, run.clips)
    except Error as error:  # such as a network without a front end
        run.left_out["corpus"] = str(error)
        return None
    labels = run.network.labels
    return {
        "name": shown.name,
        "truth": labels[shown.truth],
        "heard": labels[shown.heard],
        "events": int((shown.payloads != 0).sum()),
        "spikes": shown.trace.counters.spikes,
        "operations": shown.trace.counters.synaptic_operations,
        "wide": Markup(draw_clip(run.network, shown, wide=True)),
        "narrow": Markup(draw_clip(run.network, shown, wide=False)),
    }


def _structure(net: Network) -> dict[str, Any]:
    groups = groups_of(net)
    alike: dict[Any, list[int]] = {}
    for number, hint in enumerate(net.motifs, 1):
        alike.setdefault((hint.size, hint.intra, hint.lateral), []).append(number)
    drawn = [(members, net.motifs[members[0] - 1]) for members in alike.values()]
    return {
        "layers": Markup(draw_layers(net)),
        "motifs": [{"layers": members, "hint": hint, "drawing": Markup(draw_motif(hint, members[0]))} for members, hint in drawn],
        "groups": [group.name for group in groups],
        "links": links_between(net, groups).tolist(),
    }


def _possible(net: Network) -> dict[str, bool]:
    """Which branches of the semantics some input can make this network take; saturation is taken to be possible always."""
    formats, firing = net.formats, net.kind_firing
    taken = {
        "refractory_hold": bool((net.kind_refractory * firing).any()),
        "threshold_equal": bool(firing.any()),
        "reset_zero": bool((firing & (net.kind_reset == Reset.ZERO)).any()),
        "reset_subtract": bool((firing & (net.kind_reset == Reset.SUBTRACT)).any()),
        "delayed_axon": net.max_delay > 0,
        "payload_above_1": formats.payload.hi > 1,
        "payload_negative": formats.payload.lo < 0,
    }
    return {name: taken.get(name, True) for name in BRANCHES}


def _verification(run: Run) -> dict[str, Any]:
    """Rows of the bit-exact table; values compared are those that ``ormia verify`` compares."""
    assert run.verify is not None
    possible, rows = _possible(run.network), []
    for row in run.verify["backends"]:
        if not row["available"]:
            rows.append(row)
            continue
        reached = {name: count for name, count in row["branches"].items() if possible.get(name, True)}
        values = 2 * row["membranes"] + row["clips"] * (run.network.n_classes + COMPARED_ONCE) + len(row["branches"])
        rows.append(
            row
            | {
                "compared_values": values,
                "reached": sum(count > 0 for count in reached.values()),
                "possible": len(reached),
                "least": min(reached.values(), default=0),
            }
        )
    compared = [row for row in rows if row["available"] and row["backend"] != "reference"]
    reference: dict[str, int] = next((row["branches"] for row in rows if row["available"] and row["backend"] == "reference"), {})
    return {
        "rows": rows,
        "branches": [(name.replace("_", " "), count, possible.get(name, True)) for name, count in reference.items()],
        "compared": len(compared),
        "agreeing": sum(row["differences"] == 0 for row in compared),
        "unavailable": sum(not row["available"] for row in rows),
        "compared_values": sum(row["compared_values"] for row in compared),
        "differences": run.verify["differences"],
        "source": run.verify["clips"],
    }


def _cycles(run: Run) -> dict[str, Any] | None:
    """Clocks of the core in a timestep: mean of a verification, worst case of the core that was built (else of packing plain), clock rates that keep up."""
    step = timestep_ms(run.network)
    counted = [row for row in (run.verify or {"backends": []})["backends"] if row["available"] and row["cycles"] and row["timesteps"]]
    if step is None or not counted:
        return None
    mean = counted[0]["cycles"] / counted[0]["timesteps"]
    worst = _worst_cycles(run)
    return {
        "backends": ", ".join(row["backend"] for row in counted), "alike": len({row["cycles"] for row in counted}) == 1,
        "packing": "plain" if run.fpga is None else run.fpga["packing"],
        "mean": mean, "mean_mhz": mean / step / 1000, "worst": worst, "worst_mhz": worst / step / 1000,
    }  # fmt: skip


def _worst_cycles(run: Run) -> int:
    return CycleModel.of(run.network).worst_step() if run.fpga is None else int(run.fpga["worst_cycles_per_timestep"])


def _energy(run: Run, cycles: dict[str, Any] | None) -> dict[str, Any] | None:
    assert run.eval is not None
    placed = run.fpga or {}
    cells, mean = placed.get("logic_cells", {}).get("used"), None if cycles is None else cycles["mean"]
    try:
        return estimate(run.network, Activity.of(run.eval), logic_cells=cells, board_mhz=placed.get("clock_mhz"), cycles=mean, worst_cycles=_worst_cycles(run))
    except Error as error:
        run.left_out["energy"] = str(error)
        return None
