# SPDX-License-Identifier: Apache-2.0
"""The same clips through several backends, compared integer by integer with the reference. Prints nothing; the command does.

Knows backends only by their interface. A backend that cannot run is reported with its reason, never skipped silently.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .backend import AudioMachine, Clip, backend_names, get_backend
from .clips import front_end_of, read_clips
from .coverage import BRANCHES, Coverage
from .errors import CheckFailed, Error, MissingTool, TargetError, UsageError
from .events import events_from_payloads, payloads_from_events
from .network import Network
from .reference import Reference
from .trace import Counters, Difference, Trace, first_difference

__all__ = ["ClipSet", "Outcome", "corpus_clips", "count_differences", "explain", "random_clips", "run_backends"]

COUNTED = ("spikes", "synaptic_operations", "axon_activations", "neuron_updates")  # C1
RANDOM_TIMESTEPS = 50
DENSITIES = (0.02, 0.2, 0.6, 1.0)  # of events in random clips: from nearly silent to every channel in every timestep


@dataclass(frozen=True)
class ClipSet:
    """Clips and where they come from.

    Attributes
    ----------
    clips : list of Clip
        Events of each timestep.
    names : tuple of str
        For messages.
    source : dict
        JSON-able: what the clips are.
    options : str
        Options of ``ormia verify`` that give the same clips again.
    audio : list of int16 [n_samples], optional
        What the front end heard to make the events, whole timesteps.
    """

    clips: list[Clip]
    names: tuple[str, ...]
    source: dict[str, Any]
    options: str
    audio: list[np.ndarray] | None = None

    def only(self, clip: int, until: int | None) -> ClipSet:
        """One clip, cut after timestep ``until``."""
        if not 0 <= clip < len(self.clips):
            raise UsageError(f"--clip must be in 0..{len(self.clips) - 1}, not {clip}")
        events, audio = self.clips[clip], None if self.audio is None else [self.audio[clip]]
        if until is not None:
            audio = None if audio is None else [audio[0][: (until + 1) * (len(audio[0]) // max(1, len(events)))]]
            events = events[: until + 1]
        return ClipSet([events], (self.names[clip],), self.source | {"clip": clip, "until": until}, self.options, audio)


@dataclass
class Outcome:
    """What one backend did.

    Attributes
    ----------
    backend : str
        Its name.
    reason : str or None
        Why it did not run.
    load_seconds, seconds : float
        To build it and to run the clips.
    traces : list of Trace
        One a clip.
    coverage : Coverage
        Branches reached.
    differences : int
        Payloads, membranes, spikes, scores, labels, counters and branch counts that are not those of the reference.
    first : (clip, Difference) or None
        The first of them that has a place.
    payloads : list of int16 [n_timesteps, n_inputs], or None
        Events that its own front end made of the audio, one array a clip; None where it was given the events.
    """

    backend: str
    reason: str | None = None
    load_seconds: float = 0.0
    seconds: float = 0.0
    traces: list[Trace] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Coverage)
    differences: int = 0
    first: tuple[int, Difference] | None = None
    payloads: list[np.ndarray] | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able row."""
        if self.reason is not None:
            return {"backend": self.backend, "available": False, "reason": self.reason}
        totals = Counters()
        for trace in self.traces:
            for name in COUNTED:
                setattr(totals, name, getattr(totals, name) + getattr(trace.counters, name))
        cycles = [trace.counters.cycles for trace in self.traces]
        return {
            "backend": self.backend,
            "available": True,
            "input": "events" if self.payloads is None else "audio",
            "clips": len(self.traces),
            "timesteps": sum(len(trace.raster) for trace in self.traces),
            "membranes": sum(trace.membranes.size for trace in self.traces),
            "counters": {name: getattr(totals, name) for name in COUNTED},
            "cycles": None if None in cycles else sum(c for c in cycles if c is not None),
            "differences": self.differences,
            "branches": self.coverage.as_dict(),
            "load_seconds": round(self.load_seconds, 3),
            "seconds": round(self.seconds, 3),
        }


def corpus_clips(net: Network, directory: Path, split: str, n_clips: int, seed: int) -> ClipSet:
    """A seeded choice of clips of a corpus, through the front end of the network."""
    clips = read_clips(directory, split)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(clips.pcm))[:n_clips])
    front_end = front_end_of(net)
    payloads = front_end.payloads(clips.pcm[chosen])
    source: dict[str, Any] = {"corpus": clips.digest, "split": split, "clips": [clips.ids[i] for i in chosen], "seed": seed}
    options = f"--data {shlex.quote(str(directory))} --split {split} --clips {n_clips} --seed {seed}"
    audio = list(clips.pcm[chosen, : payloads.shape[1] * front_end.hop_samples])
    return ClipSet([events_from_payloads(p) for p in payloads], tuple(source["clips"]), source, options, audio)


def random_clips(net: Network, n_clips: int, seed: int) -> ClipSet:
    """Seeded random events over the whole payload format, from sparse to dense."""
    rng = np.random.default_rng(seed)
    payload, steps = net.formats.payload, min(RANDOM_TIMESTEPS, net.formats.max_timesteps)
    clips: list[Clip] = []
    for clip in range(n_clips):
        shape = (steps, net.n_inputs)
        events = rng.random(shape) < DENSITIES[clip % len(DENSITIES)]
        clips.append(events_from_payloads(np.where(events, rng.integers(payload.lo, payload.hi + 1, shape), 0)))
    return ClipSet(clips, tuple(f"random {i}" for i in range(n_clips)), {"random_events": n_clips, "seed": seed}, f"--clips {n_clips} --seed {seed}")


def run_backends(net: Network, clips: ClipSet, names: Sequence[str] | None = None, started: Callable[[str], None] = lambda name: None) -> list[Outcome]:
    """Run the clips on the reference and on other backends, and compare. A backend that has the front end, too, starts from audio where there is any.

    Parameters
    ----------
    net : Network
        What to verify.
    clips : ClipSet
        What to run.
    names : sequence of str, optional
        Backends beside the reference; all registered ones unless given, and then those that cannot run are an error.
    started : function of a name
        Called before each backend.

    Returns
    -------
    list of Outcome
        The reference first.

    Raises
    ------
    UsageError, MissingTool
        For a backend that was named and does not exist or cannot run.
    """
    wanted = list(dict.fromkeys(["reference", *(backend_names() if names is None else names)]))
    outcomes: list[Outcome] = []
    for name in wanted:
        started(name)
        outcome = _run(net, clips, name)
        if outcome.reason is not None and names is not None:
            raise MissingTool(f"backend {name!r} was asked for and cannot run: {outcome.reason}")
        if outcome.reason is None and outcomes:
            _compare(outcomes[0], outcome, clips.clips)
        outcomes.append(outcome)
    return outcomes


def _run(net: Network, clips: ClipSet, name: str) -> Outcome:
    try:
        backend = get_backend(name)
        reason = backend.available()
        if reason is not None:
            return Outcome(name, reason)
        begin = time.perf_counter()
        machine = backend.load(net)
        loaded = time.perf_counter()
        payloads, traces = None, []
        if clips.audio is not None and isinstance(machine, AudioMachine) and machine.hears:
            heard = [machine.run_audio(pcm) for pcm in clips.audio]
            payloads, traces = [p for p, _ in heard], [trace for _, trace in heard]
        else:
            traces = machine.run_many(clips.clips)
        done = time.perf_counter()
    except (MissingTool, TargetError) as error:
        return Outcome(name, " ".join(str(error).split()))
    except ModuleNotFoundError as error:
        return Outcome(name, f"the Python module {error.name} is missing: pip install 'ormia[all]'")
    except Error:
        raise
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        raise Error(f"backend {name!r} must run, but broke with {type(error).__name__}: {first} (leave it out with --backends, or add -v)") from error
    if len(traces) != len(clips.clips):
        raise CheckFailed(f"backend {name!r} must return a trace for each of {len(clips.clips)} clips, not {len(traces)}")
    return Outcome(name, None, loaded - begin, done - loaded, traces, machine.coverage, payloads=payloads)


def _compare(expected: Outcome, got: Outcome, clips: Sequence[Clip]) -> None:
    for clip, (want, have) in enumerate(zip(expected.traces, got.traces, strict=True)):
        found = [first_difference(want, have)]
        got.differences += count_differences(want, have)
        if got.payloads is not None:
            events = payloads_from_events(clips[clip], got.payloads[clip].shape[1])
            wrong = np.argwhere(events != got.payloads[clip])
            got.differences += len(wrong)
            for t, channel in wrong[:1].tolist():
                found.insert(0, Difference("payload", t, channel, int(events[t, channel]), int(got.payloads[clip][t, channel])))
        places = [difference for difference in found if difference is not None]
        if got.first is None and places:
            got.first = (clip, min(places, key=lambda difference: difference.timestep))  # the payload, if both are of one timestep
    got.differences += sum(expected.coverage.as_dict()[name] != got.coverage.as_dict()[name] for name in BRANCHES)


def count_differences(expected: Trace, got: Trace) -> int:
    """Membranes, spikes, scores, label and counters (C1) in which two traces of a clip differ; shapes must be equal."""
    if expected.membranes.shape != got.membranes.shape or expected.raster.shape != got.raster.shape or expected.scores.shape != got.scores.shape:
        raise CheckFailed(f"a trace must have the shape of the reference's, {expected.membranes.shape}, not {got.membranes.shape}")
    arrays = sum(int(np.count_nonzero(getattr(expected, name) != getattr(got, name))) for name in ("membranes", "raster", "scores"))
    counters = sum(getattr(expected.counters, name) != getattr(got.counters, name) for name in COUNTED)
    return arrays + int(expected.label != got.label) + counters


def explain(net: Network, clip: Clip, difference: Difference) -> list[str]:
    """What the specification does at the place of a difference: state before, active axons, and the sentences that decide."""
    if difference.quantity == "payload":
        return [f"what the front end makes of the audio up to here; decided by docs/frontend.md (input channel {difference.neuron} of {net.n_inputs})"]
    if difference.quantity in ("score", "label"):
        return [f"decided by {'S8' if difference.quantity == 'score' else 'S8.1'} of docs/semantics.md (readout {net.readout.name})"]
    reference, n = Reference(net), difference.neuron
    events = [*clip, *([[]] * net.formats.flush)]
    for at_t in events[: difference.timestep]:
        reference.step(at_t)
    before, current, rest = reference.membrane[n], list(reference.current[n]), reference.refractory[n]
    fired = n in reference.step(events[difference.timestep])
    drive, active = [0] * net.n_compartments, []
    for axon in range(net.n_axons):
        targets, weights = net.synapses(axon)
        source, delay = int(net.axon_source[axon]), int(net.axon_delay[axon])
        payload = reference.history[-1 - delay].get(source, 0) if delay < len(reference.history) else 0
        if payload and n in targets:
            weight = int(weights[targets == n][0])
            drive[int(net.axon_compartment[axon])] += payload * weight << int(net.axon_shift[axon])
            active.append(f"{'input ' + str(source) if source < net.n_inputs else 'neuron ' + str(source - net.n_inputs)} x {weight}")
    shown = ", ".join(active[:8]) + (f" and {len(active) - 8} more" if len(active) > 8 else "")
    sentences = "S2 and S4" if rest else "S5" if difference.quantity == "spike" else "S2, S3 and S6" if fired else "S2 and S3"
    kind = f"kind {int(net.neuron_kind[n])}, threshold {int(net.threshold[n])}, bias {int(net.bias[n])}"
    after = f"current {reference.current[n]}, membrane {reference.membrane[n]}, {'fires' if fired else 'does not fire'}"
    return [
        f"before: membrane {before}, current {current}, refractory {rest}; {kind}",
        f"inputs of this timestep: drive {drive} from {shown or 'no active axon'}",
        f"reference: {after}; decided by {sentences} of docs/semantics.md",
    ]
