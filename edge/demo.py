# SPDX-License-Identifier: Apache-2.0
"""``ormia demo``: the whole chain, from speech to bit-exact hardware, by the commands a user would type.

Knows which command reads and writes what, and nothing of what they do: each runs in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from .stages import Outcome, Stage

__all__ = ["demo"]

EDGE = ("edge/*.py", "edge/frontend", "edge/ccode")
TRAIN, HDL, SIM, REPORT = ("train",), ("hdl",), ("sim",), ("edge/report",)
QUICK_CORPUS = ("--clips", "60", "20", "20")
QUICK_EPOCHS, QUICK_CLIPS = 6, 3


def demo(
    keywords: Annotated[
        str, typer.Option(help="Words or phrases to find, separated by commas.  [default: the ten command words, or the words of --data]")
    ] = "",
    data: Annotated[Path | None, typer.Option(help="Folder of recordings, WORD/SPEAKER_TAKE.wav or Speech Commands; without it speech is synthesized.")] = None,
    noise: Annotated[list[Path] | None, typer.Option(help="Folder of noise recordings, with --data; may be given again.")] = None,
    output: Annotated[Path, typer.Option(help="Folder of the run; a run that was interrupted goes on.")] = Path("runs/demo"),
    recipe: Annotated[str, typer.Option(help="Training recipe.")] = "demo",
    settings: Annotated[list[str] | None, typer.Option("--set", help="Change a key of the recipe.")] = None,
    clips: Annotated[int, typer.Option(min=1, help="Test clips to verify on every backend.")] = 50,
    baseline: Annotated[bool, typer.Option("--baseline", help="Also train a small DS-CNN on the same clips, for comparison.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Little speech, few epochs and clips: to see that everything runs, not how well it hears.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> dict[str, Any]:
    """Train a keyword network and take it to C, Verilog and a bitstream, verified bit for bit; report in runs/demo/report.html."""
    import json
    import time

    from .console import stderr, write_json
    from .files import make_folder, write_whole
    from .process import stop_on_signals
    from .provenance import provenance
    from .stages import run_stages

    words = [*(["--keywords", keywords] if keywords else []), *(["--data", str(data)] if data else [])]
    words += [part for folder in noise or [] for part in ("--noise", str(folder))]
    changes = list(settings or [])
    if quick:
        words += [] if data else QUICK_CORPUS
        changes = [f"epochs={QUICK_EPOCHS}", *changes]
        clips = min(clips, QUICK_CLIPS)
    make_folder(output)
    begun = time.monotonic()
    try:
        with _alone(output), stop_on_signals():
            outcomes = run_stages(_stages(output, words, recipe, changes, clips, baseline), output)
    except KeyboardInterrupt:
        stderr.print("stopped; the same command goes on from here", highlight=False)
        raise
    result: dict[str, Any] = {
        "quick": quick,
        "stages": {name: vars(outcome) for name, outcome in outcomes.items()},
        "seconds": round(time.monotonic() - begun, 1),
        "provenance": provenance(),
    }
    write_whole(output / "demo.json", json.dumps(result, indent=1) + "\n")
    if as_json:
        write_json(result)
    else:
        _show(output, outcomes, result["seconds"])
    _raise_worst(outcomes)
    return result


def _stages(output: Path, words: list[str], recipe: str, settings: list[str], clips: int, baseline: bool) -> list[Stage]:
    from .stages import Stage

    corpus, net, train = output / "corpus", output / "net.ormia", output / "train"
    file, folder, index = str(net), str(corpus), corpus / "corpus.json"
    recipes = (Path(recipe),) if recipe.endswith(".toml") else ()
    changes = [part for setting in settings for part in ("--set", setting)]

    def path(name: str) -> str:
        return str(output / name)

    def keep(name: str) -> Callable[[str], None]:
        from .files import write_whole

        return lambda text: write_whole(output / name, text)

    listed = [
        Stage(
            name="corpus",
            command=("data", *words, "--output", path("corpora"), "--json"),
            outputs=(corpus,),
            cached=False,  # the command keeps corpora itself, and looks at every recording
            vital=True,
            after=lambda text: _take_corpus(text, corpus),
        ),
        Stage(
            name="train",
            command=("train", recipe, "--data", folder, "--output", str(train), *changes, "--json"),
            inputs=(index, *recipes),
            outputs=(net, train / "metrics.json", train / "log.csv"),
            code=EDGE + TRAIN,
            resumes=train,
            resume_code=(*TRAIN, "edge/frontend"),
            vital=True,
            after=lambda text: _copy(train / "net.ormia", net),
        ),
        Stage(
            name="bitstream",
            command=("build", file, "--output", path("fpga"), "--json"),
            inputs=(net,),
            outputs=(output / "fpga", output / "fpga.json"),
            code=EDGE + HDL,
            background=True,
            after=keep("fpga.json"),
        ),
        Stage(
            name="inspect",
            command=("inspect", file, "--target", "icebreaker", "--json"),
            inputs=(net,),
            outputs=(output / "inspect.json",),
            code=EDGE,
            after=keep("inspect.json"),
        ),
        Stage(
            name="evaluate",
            command=("eval", file, "--data", folder, "--output", path("eval.json")),
            inputs=(net, index),
            outputs=(output / "eval.json",),
            code=EDGE,
        ),
        Stage(
            name="stream",
            command=("eval", file, "--stream", "--data", folder, "--output", path("stream.json")),
            inputs=(net, index),
            outputs=(output / "stream.json",),
            code=EDGE,
        ),
        Stage(
            name="c",
            command=("emit", "c", file, "--output", path("c"), "--check", "--json"),
            inputs=(net,),
            outputs=(output / "c", output / "c.json"),
            code=EDGE,
            after=keep("c.json"),
        ),
        Stage(
            name="verilog",
            command=("emit", "verilog", file, "--output", path("verilog")),
            inputs=(net,),
            outputs=(output / "verilog",),
            code=EDGE + HDL,
        ),
        Stage(
            name="verify",
            command=("verify", file, "--data", folder, "--clips", str(clips), "--output", path("verify.json")),
            inputs=(net, index),
            outputs=(output / "verify.json",),
            code=EDGE + TRAIN + HDL + SIM,
        ),
    ]
    if baseline:
        listed.append(
            Stage(
                name="baseline",
                command=("baseline", "--data", folder, "--output", path("baseline.json")),
                inputs=(index,),
                outputs=(output / "baseline.json",),
                code=TRAIN,
            )
        )
    figures = tuple(output / f"{name}.json" for name in ("inspect", "eval", "stream", "c", "fpga", "verify", "baseline"))
    report = Stage(
        name="report",
        command=("report", str(output)),
        inputs=(net, index, train / "log.csv", *figures),
        outputs=(output / "report.html",),
        code=EDGE + REPORT,
        waits=True,
    )
    return [*listed, report]


def _copy(source: Path, target: Path) -> None:
    from .files import write_whole

    write_whole(target, source.read_bytes())


def _take_corpus(text: str, corpus: Path) -> None:
    """Put the corpus that was made or found under its name in the run: the same files once more, not copied where the file system can."""
    import json
    import os
    import shutil
    import tempfile

    made = Path(json.loads(text)["folder"])
    if corpus.is_symlink():
        corpus.unlink()
    index = corpus / "corpus.json"
    if index.is_file() and index.read_bytes() == (made / "corpus.json").read_bytes():
        return
    with tempfile.TemporaryDirectory(prefix=".corpus.", dir=corpus.parent) as beside:
        fresh = Path(beside) / "new"
        fresh.mkdir()
        for file in made.iterdir():
            try:
                os.link(file, fresh / file.name)
            except OSError:
                shutil.copy2(file, fresh / file.name)
        if corpus.exists():
            os.replace(corpus, Path(beside) / "old")
        os.replace(fresh, corpus)


def _alone(output: Path) -> Any:
    """Context in which no other demo works in the folder."""
    import fcntl
    from contextlib import contextmanager

    from .errors import DataError

    @contextmanager
    def held() -> Any:
        with open(output / ".lock", "w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise DataError(f"only one demo at a time may work in {output}: wait for the other, or choose another --output") from None
            yield

    return held()


def _show(output: Path, outcomes: dict[str, Outcome], seconds: float) -> None:
    from .console import write_line

    for name, outcome in outcomes.items():
        write_line(f"{name:<10} {outcome.state:<8} {outcome.seconds:>7.1f} s{'  ' + outcome.sentence.splitlines()[0] if outcome.sentence else ''}")
    report = outcomes.get("report")
    if report is not None and report.state in ("done", "kept"):
        write_line(f"report: {output / 'report.html'}")
    write_line(f"all of it: {seconds:.1f} s")


def _raise_worst(outcomes: dict[str, Outcome]) -> None:
    """Raise what the worst stage ended with: a check that failed, then any failure, then a missing tool."""
    from .errors import CheckFailed, Error, MissingTool, UsageError

    family = (CheckFailed, UsageError, Error, MissingTool)
    failed = [(name, outcome) for name, outcome in outcomes.items() if outcome.state in ("failed", "missing")]
    if not failed:
        return
    place = {kind.exit_code: number for number, kind in enumerate(family)}
    name, worst = min(failed, key=lambda item: place.get(item[1].exit_code, place[1]))
    kind = next((kind for kind in family if kind.exit_code == worst.exit_code), Error)
    others = [other for other, _ in failed if other != name]
    rest = f"\n(also {', '.join(others)}: see above)" if others else ""
    raise kind(f"stage {name}: {worst.sentence}{rest}")
