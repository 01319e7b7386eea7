# SPDX-License-Identifier: Apache-2.0
"""``Runtime``: batches of clips and any number of streams of a network, with the kernels of this folder. Knows nothing of audio."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from ..coverage import BRANCHES, Coverage
from ..errors import DataError, LengthError, PayloadError, SizeError, UsageError
from ..network import Network, Readout
from ..trace import Counters, Trace
from .kernels import CLIPS, GATHER, STREAMS, SWEEP, run
from .observe import observe
from .plan import State, make_plan, new_state

__all__ = ["Runtime", "Stream", "Streams", "check_payloads", "check_values", "counters_of", "shares"]


class Runtime:
    """A network, ready to run.

    Parameters
    ----------
    network : Network
        Any network.
    threads : int, >= 1
        Threads that share the clips of a batch, or streams. The kernels release the interpreter lock.
    count : bool
        Whether to keep counters; they cost a few per cent.

    Attributes
    ----------
    counters : Counters
        C1 over all clips of the last ``run``; zeros unless they are kept.
    """

    def __init__(self, network: Network, *, threads: int = 1, count: bool = True) -> None:
        if threads < 1:
            raise UsageError(f"threads must be at least 1, not {threads}")
        self.network = network
        self.threads = threads
        self.counters = Counters()
        self.plan = make_plan(network, count=count)
        self._idle = [new_state(self.plan, 1)]  # states that no thread uses now

    def run(self, payloads: np.ndarray) -> np.ndarray:
        """Scores of each clip of a batch, flush included.

        Parameters
        ----------
        payloads : integer [n_clips, n_timesteps, n_inputs], in the declared payload format
            0 is no event. int16 in C order is not copied.

        Returns
        -------
        int64 [n_clips, n_classes]
            Class scores (S8).

        Raises
        ------
        DataError
            If the payloads break A7 or a clip is longer than max_timesteps.
        """
        clips = check_payloads(self.network, payloads, n_dimensions=3, whole_clips=True)
        scores = np.empty((len(clips), self.network.n_classes), np.int64)
        parts = shares(len(clips), self.threads)
        if len(parts) == 1:
            total = self._run_part(clips, scores, parts[0])
        else:
            with ThreadPoolExecutor(len(parts)) as pool:
                total = np.sum(list(pool.map(lambda part: self._run_part(clips, scores, part), parts)), axis=0)
        self.counters = counters_of(total)
        return scores

    def predict(self, payloads: np.ndarray) -> np.ndarray:
        """Label of each clip, int64 [n_clips]: largest score, lowest class on a tie (S8.1). Parameters as ``run``."""
        return self.run(payloads).argmax(axis=1)

    def stream(self) -> Stream:
        """A new stream from the initial state (S9.1)."""
        return Stream(self)

    def open_streams(self, n_streams: int) -> Streams:
        """``n_streams`` new streams that advance together."""
        return Streams(self, n_streams)

    def trace(self, payloads: np.ndarray, coverage: Coverage | None = None) -> Trace:
        """Trace of one clip, integer [n_timesteps, n_inputs], flush included; adds the branches reached to ``coverage``."""
        net, plan = self.network, self.plan
        clip = check_payloads(net, payloads, n_dimensions=2, whole_clips=True)
        check_values(net, clip)
        n, steps = net.n_neurons, len(clip) + net.formats.flush
        states = new_state(plan, 1)
        membranes, raster, reached = np.zeros((steps, n), np.int32), np.zeros((steps, n), np.bool_), np.zeros(len(BRANCHES), np.int64)
        emitted, no_scores = np.zeros((1, steps, len(net.readout_neuron)), np.int32), np.zeros((0, net.n_classes), np.int64)
        for t in range(steps):
            now = slice(t, t + 1)
            run(plan, states, GATHER, clip[None, now], emitted[:, now], no_scores)
            if coverage is not None:
                observe(plan, states, reached)
            run(plan, states, SWEEP, clip[None, now], emitted[:, now], no_scores)
            membranes[t], raster[t] = states.membrane[0, :n], states.spiked[0, :n]
        if coverage is not None:
            for name, count in zip(BRANCHES, reached.tolist(), strict=True):
                setattr(coverage, name, getattr(coverage, name) + count)
        scores = np.zeros(net.n_classes, np.int64)
        np.add.at(scores, net.readout_class, emitted[0, -1 if net.readout == Readout.LAST else 0 :].sum(axis=0, dtype=np.int64))
        return Trace(membranes, raster, scores, int(scores.argmax()), counters_of(states.counters[0]))

    def _run_part(self, clips: np.ndarray, scores: np.ndarray, part: slice) -> np.ndarray:
        try:
            states = self._idle.pop()  # lists of Python are safe between threads
        except IndexError:
            states = new_state(self.plan, 1)
        states.counters[:] = 0
        emitted = np.empty((1, clips.shape[1] + self.network.formats.flush, len(self.network.readout_neuron)), np.int32)
        fits = run(self.plan, states, CLIPS, clips[part], emitted, scores[part])
        counts = states.counters[0].copy()
        self._idle.append(states)
        if not fits:
            check_values(self.network, clips)
        return counts


class Streams:
    """Streams of one network that run on and on (S9.1): no flush, no score, no reset. Each is as if it were alone.

    Parameters
    ----------
    runtime : Runtime
    n_streams : int, >= 0
    """

    def __init__(self, runtime: Runtime, n_streams: int) -> None:
        if n_streams < 0:
            raise UsageError(f"the number of streams must be at least 0, not {n_streams}")
        self.n_streams = n_streams
        self._runtime = runtime
        self._states = new_state(runtime.plan, n_streams)
        self._start = new_state(runtime.plan, 1)
        self._scores = np.zeros((0, runtime.network.n_classes), np.int64)

    @property
    def counters(self) -> Counters:
        """C1 over all streams since their start."""
        return counters_of(self._states.counters.sum(axis=0))

    @property
    def state_bytes(self) -> int:
        """Memory of a stream."""
        return sum(array.nbytes for array in self._start)

    def restart(self, stream: int) -> None:
        """Put one stream back to its initial state; its counters start again."""
        for array, start in zip(self._states, self._start, strict=True):
            array[stream] = start[0]

    def push(self, payloads: np.ndarray) -> np.ndarray:
        """Advance all streams by the same number of timesteps.

        Parameters
        ----------
        payloads : integer [n_streams, n_timesteps, n_inputs]
            Input of the next timesteps, any number of them.

        Returns
        -------
        int32 [n_streams, n_timesteps, n_readouts]
            Emitted values (S8).

        Raises
        ------
        DataError
            If a payload breaks A7; then no stream has advanced.
        """
        runtime = self._runtime
        given = check_payloads(runtime.network, payloads, n_dimensions=3)
        if len(given) != self.n_streams:
            raise SizeError(f"payloads must be of all {self.n_streams} streams, not of {len(given)}")
        emitted = np.empty((self.n_streams, given.shape[1], len(runtime.network.readout_neuron)), np.int32)
        parts = shares(self.n_streams, runtime.threads)
        if len(parts) > 1:
            check_values(runtime.network, given)  # no part may run before another refuses
            with ThreadPoolExecutor(len(parts)) as pool:
                list(pool.map(lambda part: self._push_part(given, emitted, part), parts))
        elif not self._push_part(given, emitted, parts[0]):
            check_values(runtime.network, given)
        return emitted

    def _push_part(self, given: np.ndarray, emitted: np.ndarray, part: slice) -> bool:
        own = self._states if part == slice(0, self.n_streams) else State(*(array[part] for array in self._states))
        return run(self._runtime.plan, own, STREAMS, given[part], emitted[part], self._scores)


class Stream:
    """One stream of a network (S9.1)."""

    def __init__(self, runtime: Runtime) -> None:
        self._streams = Streams(runtime, 1)

    @property
    def counters(self) -> Counters:
        """C1 since the start of the stream."""
        return self._streams.counters

    def push(self, payloads: np.ndarray) -> np.ndarray:
        """Advance by integer [n_timesteps, n_inputs] payloads; int32 [n_timesteps, n_readouts] emitted values. Otherwise as ``Streams.push``."""
        given = np.asarray(payloads)
        if given.ndim != 2:
            check_payloads(self._streams._runtime.network, given, n_dimensions=2)
        return self._streams.push(given[None])[0]


def shares(n: int, threads: int) -> list[slice]:
    """``n`` items in at most ``threads`` slices of about one size, at least one slice."""
    parts = max(1, min(threads, n))
    ends = [n * i // parts for i in range(parts + 1)]
    return [slice(begin, end) for begin, end in pairwise(ends)]


def check_payloads(net: Network, payloads: np.ndarray, *, n_dimensions: int, whole_clips: bool = False) -> np.ndarray:
    """Dense payloads as int16 in C order; ``DataError`` for another shape or type. The kernels look at the values of those that are int16."""
    given = np.asarray(payloads)
    wanted = ", ".join(["n_clips", "n_timesteps", "n_inputs"][-n_dimensions:])
    if given.ndim != n_dimensions or given.shape[-1] != net.n_inputs:
        raise SizeError(f"payloads must have shape [{wanted}] with n_inputs = {net.n_inputs}, not {list(given.shape)}")
    if given.dtype.kind not in "iu":
        raise DataError(f"payloads must be integers, not {given.dtype}")
    if whole_clips and given.shape[-2] > net.formats.max_timesteps:
        raise LengthError(f"a clip must have at most max_timesteps = {net.formats.max_timesteps} timesteps, not {given.shape[-2]}")
    if given.dtype != np.int16:
        check_values(net, given)
    if given.dtype == np.int16 and given.flags.carray:
        return given
    return np.require(given, np.int16, ["C", "W"])  # writable: Numba would compile all again for read-only arrays


def check_values(net: Network, given: np.ndarray) -> None:
    """``DataError`` with the place of the first payload [..., n_timesteps, n_inputs] that breaks A7."""
    allowed = net.formats.payload
    if given.size == 0 or (allowed.lo <= int(given.min()) and int(given.max()) <= allowed.hi):
        return
    where = np.argwhere((given < allowed.lo) | (given > allowed.hi))[0].tolist()
    clip = f"clip {where[0]}, " if given.ndim == 3 and len(given) > 1 else ""
    raise PayloadError(f"a payload must be in {allowed}, not {int(given[tuple(where)])} ({clip}timestep {where[-2]}, channel {where[-1]})")


def counters_of(counts: np.ndarray) -> Counters:
    """Counters from int64 [4]."""
    spikes, operations, activations, updates = counts.tolist()
    return Counters(spikes=spikes, synaptic_operations=operations, axon_activations=activations, neuron_updates=updates)
