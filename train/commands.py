# SPDX-License-Identifier: Apache-2.0
"""The commands of training: ``ormia data``, ``train``, ``export`` and ``baseline``.

Only what the command line needs; heavy imports are inside the functions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["baseline", "data", "export", "train"]


def data(
    about: Annotated[
        list[str] | None, typer.Argument(metavar="info [NAME]", help="Instead: what corpora of others can be read, or where to get one and how it must lie.")
    ] = None,
    keywords: Annotated[
        str, typer.Option(help="Words or phrases to find, separated by commas.  [default: the ten command words, or the words of --data]")
    ] = "",
    data: Annotated[Path | None, typer.Option(help="Folder of recordings, WORD/SPEAKER_TAKE.wav or Speech Commands; without it speech is synthesized.")] = None,
    output: Annotated[Path, typer.Option(help="Folder in which corpora are kept.")] = Path("runs/corpora"),
    manifest: Annotated[Path | None, typer.Option(help="CSV with columns path,word[,speaker][,split].  [default: manifest.csv in or beside --data]")] = None,
    noise: Annotated[
        list[Path] | None, typer.Option(help="Folder of noise recordings, with --data; may be given again.  [default: its _background_noise_, else generated]")
    ] = None,
    clip_seconds: Annotated[float | None, typer.Option(help="Length of a clip.  [default: 1, more for long phrases]")] = None,
    speaker_pattern: Annotated[str | None, typer.Option(help="Regular expression whose group is the speaker in a file's name.")] = None,
    unknown_ratio: Annotated[float, typer.Option(help="Unknown clips to keep for each clip of an average keyword.")] = 2.0,
    clips: Annotated[tuple[int, int, int], typer.Option(help="Synthesized clips per class: train, valid, test.")] = (600, 50, 60),
    every_word: Annotated[bool, typer.Option("--every-word", help="All words of --data are keywords.")] = False,
    silence: Annotated[bool, typer.Option(help="A class of clips without speech, cut from noise where --data holds none.")] = True,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out files that cannot be used.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of everything drawn.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> dict[str, object]:
    """Make a corpus, from recordings or synthesized speech, and show what is in it."""
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table
    from rich.text import Text  # names of folders are no markup

    from ..edge.console import stderr, write_json, write_line
    from ..edge.errors import UsageError
    from .corpora import SPLITS, RecordingSettings, SynthesisSettings, open_corpus, parse_keywords, words_in

    if about:
        return _tell_about(about, as_json)
    needs_data = {"--manifest": manifest, "--noise": noise, "--speaker-pattern": speaker_pattern, "--every-word": every_word, "--no-silence": not silence}
    if data is None and (given := [name for name, value in needs_data.items() if value]):
        raise UsageError(f"{given[0]} must come with --data: speech without recordings is synthesized")
    if keywords and every_word:
        raise UsageError("--every-word and --keywords must not be given together: leave one out")
    synthesis = SynthesisSettings(*clips, seconds=clip_seconds, seed=seed)
    recordings = RecordingSettings(
        manifest=manifest,
        noise=tuple(noise or ()),
        clip_seconds=1.0 if clip_seconds is None else clip_seconds,
        speaker_pattern=speaker_pattern,
        unknown_ratio=unknown_ratio,
        silence=silence,
        skip_bad=skip_bad,
        seed=seed,
    )
    chosen = parse_keywords(keywords) if keywords else words_in(data, recordings) if data is not None and every_word else None
    with Progress(console=stderr, transient=True) as bar:
        task = bar.add_task("preparing", total=None)
        corpus, folder = open_corpus(
            output,
            chosen,
            data,
            synthesis=synthesis,
            recordings=recordings,
            progress=lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
        )
    seconds = {split: round(sum(map(len, corpus.noise[split])) / corpus.sample_rate, 1) for split in SPLITS}
    result = {
        "folder": str(folder),
        "digest": corpus.digest,
        "source": corpus.provenance["source"],
        "sample_rate": corpus.sample_rate,
        "n_samples": corpus.n_samples,
        "classes": list(corpus.classes),
        "clips": corpus.counts(),
        "speakers": corpus.speaker_counts(),
        "noise_seconds": seconds,
    }
    if as_json:
        write_json(result)
        return result
    table = Table(title=Text(f"{result['source']}, clips of {corpus.n_samples / corpus.sample_rate:g} s"))
    table.add_column("class")
    for split in SPLITS:
        table.add_column(split, justify="right")
    for name, row in corpus.counts().items():
        table.add_row(Text(name), *(str(row[split]) for split in SPLITS))
    table.add_section()
    table.add_row("all", *(str(len(corpus.indices(split))) for split in SPLITS))
    table.add_row("voices" if data is None else "speakers", *(str(corpus.speaker_counts()[split]) for split in SPLITS))
    table.add_row("noise, s", *(f"{seconds[split]:g}" for split in SPLITS))
    Console().print(table)
    write_line(f"digest {corpus.digest}\nin {folder}")
    return result


def _tell_about(about: list[str], as_json: bool) -> dict[str, object]:
    """``ormia data info``: the corpora of others, or all of one."""
    from dataclasses import asdict

    from ..edge.console import write_json, write_line
    from ..edge.errors import UsageError
    from .events import CATALOG, corpus_entry

    if about[0] != "info" or len(about) > 2:
        raise UsageError(f"data takes options, or info and the name of a corpus, not {' '.join(about)!r}: see `ormia data info`")
    result: dict[str, object]
    if len(about) == 1:
        result = {name: asdict(entry) for name, entry in CATALOG.items()}
        lines = [f"{name:<12} {entry.title}" for name, entry in CATALOG.items()]
    else:
        entry = corpus_entry(about[1])
        result = asdict(entry)
        layout = (f"           {row}" for row in entry.layout)
        lines = [entry.title, f"from     {entry.where}", f"licence  {entry.licence}", "layout   DIR holds", *layout, f"use      {entry.use}"]
    if as_json:
        write_json(result)
    else:
        write_line("\n".join(lines))
    return result


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe that ships with the package, or a .toml file.")] = "demo",
    data: Annotated[Path, typer.Option(help="Corpus folder, as `ormia data` made it, or the files of an event corpus.")] = Path("runs/demo/corpus"),
    output: Annotated[Path, typer.Option(help="Folder of the run; a run that was interrupted goes on.")] = Path("runs/train"),
    settings: Annotated[list[str] | None, typer.Option("--set", help="Change a key of the recipe: --set epochs=10 --set model.weight_bits=3.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs, with seeds counted up from the recipe's; mean and spread are printed.")] = 1,
    name: Annotated[str, typer.Option(help="Name of the network; becomes part of C and Verilog names.")] = "keywords",
    threads: Annotated[int, typer.Option(min=1, help="Threads of the training step; more than 1 helps large networks on idle cores.")] = 1,
    teacher: Annotated[Path | None, typer.Option(help="A file of `ormia teacher`, whose opinion of every clip is learnt beside its label.")] = None,
    valid_only: Annotated[bool, typer.Option("--valid-only", help="Leave test unread, as is due while settings are chosen; else a log is kept.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> dict[str, object]:
    """Train a network in exact mode, export it and score the file."""
    import dataclasses
    import statistics

    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from ..edge.console import stderr, write_json, write_line
    from .config import load_recipe, with_settings
    from .program import load_corpus, train_network
    from .teacher import Teacher

    config = with_settings(load_recipe(recipe), settings or [])
    corpus = load_corpus(config, data)
    splits = ("valid",) if valid_only else ("valid", "test")
    judge = None if teacher is None else Teacher.load(teacher)
    runs = []
    with Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"), TimeRemainingColumn(), console=stderr) as bar:
        for seed in range(config.seed, config.seed + seeds):
            task = bar.add_task(f"seed {seed}", total=config.epochs, state="")
            one = dataclasses.replace(config, seed=seed)
            folder = output if seeds == 1 else output / f"seed{seed}"
            runs.append(
                train_network(
                    one, corpus, folder, name=name, threads=threads, splits=splits, teacher=judge,
                    report=lambda p, task=task: bar.update(  # type: ignore[misc]
                        task, completed=p.epoch + 1, state=f"loss {p.loss:.3f}, train {p.train_accuracy:.3f}, valid {p.valid_accuracy:.3f}, rate {p.rate:.3f}"
                    ),
                )
            )  # fmt: skip
    result: dict[str, object] = {"runs": runs}
    for split in splits:
        shares = [run["accuracy"][split]["share"] for run in runs]
        result[split] = {"mean": statistics.fmean(shares), "spread": statistics.stdev(shares) if len(shares) > 1 else None, "seeds": len(shares)}
    if as_json:
        write_json(result)
        return result
    for split in splits:
        row = result[split]
        assert isinstance(row, dict)
        spread = f" +- {100 * row['spread']:.2f}" if row["spread"] is not None else ""
        write_line(f"{split}: {100 * row['mean']:.2f}{spread} % of {runs[0]['accuracy'][split]['clips']} clips, deployed integers, last epoch")
    write_line(f"in {output if seeds == 1 else output / 'seed*'}/net.ormia")
    return result


def teacher(
    data: Annotated[Path, typer.Option(help="Corpus folder.")],
    output: Annotated[Path, typer.Option(help="File to write, for `ormia train --teacher`.")],
    recipe: Annotated[str, typer.Option(help="Recipe whose augmentation of audio to use.")] = "gsc12",
    members: Annotated[int, typer.Option(min=1, help="Networks to train; their opinions are averaged.")] = 1,
    epochs: Annotated[int, typer.Option(min=1)] = 100,
    width: Annotated[int, typer.Option(min=2, help="Channels of the first convolution; an even number.")] = 24,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> dict[str, object]:
    """Train a TC-ResNet, too large for a device, to teach small networks."""
    import numpy as np
    import torch
    from rich.progress import Progress

    from ..edge.console import stderr, write_json, write_line
    from .config import load_recipe
    from .corpora import Corpus
    from .dataset import CorpusSource
    from .program import make_front_end
    from .teacher import TeacherConfig, fit_teacher

    config = load_recipe(recipe)
    torch.set_num_threads(threads)
    source = CorpusSource(Corpus.load(data), make_front_end(config.front_end), config.augment)
    with Progress(console=stderr) as bar:
        task = bar.add_task("TC-ResNet", total=members * epochs)
        trained = fit_teacher(source, TeacherConfig(seed=seed, epochs=epochs, width=width), members=members, report=lambda *_: bar.advance(task))
    trained.save(output)
    clips, labels = source.fixed_audio("valid")
    share = float((trained.logits(clips).argmax(1) == np.asarray(labels)).mean())
    result: dict[str, object] = {"file": str(output), "digest": trained.digest(), "members": members, "valid": share}
    if as_json:
        write_json(result)
    else:
        write_line(f"{output}: {members} network{'s'[: members > 1]}, valid {100 * share:.2f} % of {len(labels)} clips, float, last epoch")
    return result


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a training run.")],
    data: Annotated[Path, typer.Option(help="Corpus folder the run was trained on.")],
    name: Annotated[str, typer.Option(help="Name of the network.")] = "keywords",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> dict[str, object]:
    """Export the last checkpoint of a training run to RUN/net.ormia and score the file."""
    from ..edge.console import write_json, write_line
    from .program import export_checkpoint

    metrics = export_checkpoint(run, data, name)
    if as_json:
        write_json(metrics)
    else:
        write_line(f"{run / 'net.ormia'}: test {100 * metrics['accuracy']['test']['share']:.2f} %")
    return metrics


def baseline(
    data: Annotated[Path, typer.Option(help="Corpus folder.")],
    output: Annotated[Path, typer.Option(help="JSON file to write; reads of test are logged beside it, in test_reads.jsonl.")],
    network: Annotated[str, typer.Option(help="dscnn, dscnn-mfcc or gru.")] = "dscnn",
    recipe: Annotated[str, typer.Option(help="Recipe whose epochs, batch and augmentation to use.")] = "gsc12",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> dict[str, object]:
    """Train a network that does not spike on the same clips, float and int8, for comparison."""
    import json

    from rich.progress import Progress

    from ..edge.console import stderr, write_json, write_line
    from ..edge.files import write_whole
    from ..edge.provenance import provenance
    from .baselines import BASELINES, baseline_config, fit_baseline, score_baseline
    from .config import load_recipe
    from .corpora import Corpus
    from .dataset import CorpusSource
    from .ledger import TestLedger
    from .program import make_front_end

    plan = baseline_config(network, config := load_recipe(recipe), seed=seed)
    corpus = Corpus.load(data)
    source = CorpusSource(corpus, make_front_end(config.front_end), config.augment)
    title = BASELINES[network].title
    with Progress(console=stderr) as bar:
        task = bar.add_task(title, total=config.epochs)
        trained = fit_baseline(source, plan, report=lambda *_: bar.advance(task))
    ledger = TestLedger(output.parent / "test_reads.jsonl")
    ledger.record(
        who="ormia baseline", table=output.name, run=f"{network}-{seed}", corpus=corpus.digest, network=trained.digest(), clips=len(corpus.indices("test"))
    )
    forms = {form: {**score_baseline(trained, source, form, ("valid", "test")), **cost} for form, cost in trained.costs(corpus.n_samples).items()}
    result: dict[str, object] = {
        "model": f"{title}, float", "network": network, "seed": seed, "epochs": config.epochs, "corpus": corpus.digest, **forms["float"],
        "int8": {**forms["int8"], "fine_tuned": trained.tuned}, "made": provenance(),
    }  # fmt: skip
    write_whole(output, json.dumps(result, indent=1) + "\n")
    if as_json:
        write_json(result)
        return result
    for form, row in forms.items():
        write_line(
            f"{title}, {form}: valid {100 * row['valid']:.2f} %, test {100 * row['test']:.2f} %, last epoch; {row['parameters']} parameters, "
            f"{row['weight_bytes']} bytes of weights, {row['activation_bytes']} of activations, {row['multiply_accumulates']} multiply-accumulates a clip"
        )
    return result
