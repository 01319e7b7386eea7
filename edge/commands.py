# SPDX-License-Identifier: Apache-2.0
"""The commands that read a network file: ``ormia inspect``, ``run`` and ``eval``. Only arguments and words; the work is elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["evaluate", "inspect", "run"]

NetworkPath = Annotated[Path, typer.Argument(metavar="NET", help="Network file (.ormia).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def inspect(
    network: NetworkPath,
    target: Annotated[str | None, typer.Option(help="Device to hold the network against, such as icebreaker or cortex-m4; exit 1 if it does not fit.")] = None,
    as_json: AsJson = False,
) -> dict[str, Any]:
    """Show what a network file holds, what it takes, and whether it fits a target."""
    from .console import write_json
    from .describe import describe
    from .design_rules import check_target
    from .netfile import read_network
    from .target import get_target

    chosen = None if target is None else get_target(target)
    net = read_network(network)
    content = describe(net, chosen)
    if as_json:
        write_json(content)
    else:
        from .tables import show_description

        show_description(content)
    if chosen is not None:
        check_target(net, chosen)
    return content


def run(
    network: NetworkPath,
    audio: Annotated[list[str], typer.Argument(metavar="AUDIO...", help="WAV or FLAC files of any rate, or - for raw 16-bit samples from stdin.")],
    stream: Annotated[bool, typer.Option("--stream", help="Listen continuously and print keywords as they are detected.")] = False,
    as_json: AsJson = False,
) -> list[dict[str, Any]]:
    """Recognize recordings: label and scores of each clip, or detections of a stream."""
    import sys

    from .console import write_json, write_line
    from .listen import hear_clip
    from .netfile import read_network

    net = read_network(network)
    sources = [sys.stdin.buffer if name == "-" else name for name in audio]
    if stream:
        return _run_stream(net, audio, sources, as_json)
    results = []
    for name, source in zip(audio, sources, strict=True):
        heard = hear_clip(net, source)
        scores = dict(zip(net.labels, heard.scores, strict=True))
        results.append({"audio": name, "label": net.labels[heard.label], "scores": scores, "seconds": heard.seconds})
        if not as_json:
            ranked = sorted(scores.items(), key=lambda item: -item[1])
            write_line(f"{name}: {net.labels[heard.label]}  ({', '.join(f'{label} {score}' for label, score in ranked)})")
    if as_json:
        write_json(results)
    return results


def _run_stream(net: Any, names: list[str], sources: list[Any], as_json: bool) -> list[dict[str, Any]]:
    import json

    from .console import log, write_line
    from .listen import Listener

    results = []
    for name, source in zip(names, sources, strict=True):
        listener = Listener(net)
        for seconds, found in listener.listen(listener.blocks(source)):
            result = {"audio": name, "seconds": round(seconds, 3), "label": net.labels[found.label], "score": found.score, "margin": found.margin}
            results.append(result)
            # one object a line, at once, so that another program can act on it
            write_line(
                json.dumps(result, ensure_ascii=False) if as_json else f"{seconds:9.2f} s  {result['label']}  (score {found.score}, margin {found.margin})"
            )
        log.info("%s: %.1f s heard", name, listener.seconds)
    return results


def evaluate(
    network: NetworkPath,
    data: Annotated[Path | None, typer.Option(help="Corpus folder that `ormia data` wrote.")] = None,
    split: Annotated[str, typer.Option(help="train, valid or test.")] = "test",
    output: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads.")] = 1,
    stream: Annotated[bool, typer.Option("--stream", help="Evaluate the detector on long recordings: --audio, or mixes of the clips of --data.")] = False,
    audio: Annotated[list[Path] | None, typer.Option(help="Recording for --stream, WAV or FLAC, with FILE.csv beside it: onset_s,offset_s,label.")] = None,
    hours: Annotated[float, typer.Option(help="Length of the mix.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the mix.")] = 0,
    tune: Annotated[float | None, typer.Option(help="False accepts an hour: also evaluate the margin that keeps to it on a mix of split valid.")] = None,
    as_json: AsJson = False,
) -> dict[str, Any]:
    """Measure a network: accuracy and work on the clips of a corpus, or false accepts, rejects and delay of its detector on long recordings."""
    import json

    from .console import write_json
    from .errors import UsageError
    from .files import write_whole
    from .netfile import read_network

    if data is None and not (stream and audio):
        raise UsageError("eval needs --data CORPUS, or --stream with --audio FILE")
    if not stream and (audio or tune is not None):
        raise UsageError("--audio and --tune evaluate streams: add --stream")
    net = read_network(network)
    result = _evaluate_streams(net, data, split, audio or [], hours, seed, tune) if stream else _evaluate_clips(net, data, split, threads)
    if output is not None:
        write_whole(output, json.dumps(result, indent=1) + "\n")
    if as_json:
        write_json(result)
    elif stream:
        from .tables import show_streams

        show_streams(result)
    else:
        from .tables import show_evaluation

        show_evaluation(result)
    return result


def _evaluate_clips(net: Any, data: Any, split: str, threads: int) -> dict[str, Any]:
    from rich.progress import Progress

    from .clips import read_clips
    from .console import stderr
    from .evaluation import evaluate_clips

    clips = read_clips(data, split)
    with Progress(console=stderr, transient=True, disable=stderr.quiet) as bar:
        task = bar.add_task("clips", total=len(clips.pcm))
        return evaluate_clips(net, clips, threads=threads, progress=lambda done, total: bar.update(task, completed=done, total=total)).as_dict()


def _evaluate_streams(net: Any, data: Any, split: str, audio: list[Path], hours: float, seed: int, tune: float | None) -> dict[str, Any]:
    from rich.progress import Progress

    from .clips import read_clips
    from .console import stderr
    from .errors import UsageError
    from .recordings import Mix, Recording
    from .stream_evaluation import evaluate_streams, hear, margin_for

    if tune is not None and (data is None or split == "valid" or tune < 0):
        raise UsageError("--tune takes false accepts an hour, at least 0, and needs --data, whose split valid it tunes on and another --split that it measures")
    recordings: list[Mix | Recording] = [Recording(path, path.with_suffix(".csv")) for path in audio]
    if not recordings:
        recordings.append(Mix(read_clips(data, split), hours, seed))
    tuning = [] if tune is None else [Mix(read_clips(data, "valid"), hours, seed)]
    with Progress(console=stderr, transient=True, disable=stderr.quiet) as bar:
        task = bar.add_task("seconds heard", total=None)
        heard = [hear(net, each, lambda done: bar.update(task, completed=done)) for each in recordings]
        tuned_on = [hear(net, each, lambda done: bar.update(task, completed=done)) for each in tuning]
    margin = None if tune is None else margin_for(net, tuned_on, tune)
    result = evaluate_streams(net, heard, [each.source() for each in recordings], margin=margin)
    if tune is not None:
        result["tuned_point"] |= {"tuned_on": tuning[0].source(), "allowed_false_accepts_per_hour": tune}
    return result
