# SPDX-License-Identifier: Apache-2.0
"""One clip on its way through the network: audio, events, spikes and readout under one time axis. Computed here, by the integer runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..clips import Clips, front_end_of
from ..network import Network, Readout
from ..runtime import Runtime
from ..trace import Trace
from .svg import ACCENT, FAINT, INK, SECOND, cells, draw

__all__ = ["Shown", "choose_clip", "draw_clip", "shown_label"]

ENVELOPE = 500  # points of the waveform


@dataclass(frozen=True)
class Shown:
    """A clip and what the network made of it.

    Attributes
    ----------
    name : str
    truth, heard : int
        Classes of the network.
    pcm : int16 [n_samples]
    payloads : int16 [n_timesteps, n_inputs]
    trace : Trace
        Flush included.
    emitted : int64 [n_timesteps + flush, n_classes]
        Emitted values (S8), summed over the readout neurons of each class.
    """

    name: str
    truth: int
    heard: int
    pcm: np.ndarray
    payloads: np.ndarray
    trace: Trace
    emitted: np.ndarray


def shown_label(label: str) -> str:
    """A class name without the underscores of the background classes."""
    return label.strip("_") or label


def choose_clip(net: Network, clips: Clips) -> Shown:
    """The first clip of a keyword, heard right or wrong; without keywords the first clip."""
    front_end, runtime, labels = front_end_of(net), Runtime(net), clips.labels_of(net)
    index = next((i for i, label in enumerate(labels) if not net.labels[label].startswith("_")), 0)
    payloads = front_end.payloads(clips.pcm[index])
    trace = runtime.trace(payloads)
    values = trace.raster if net.readout == Readout.SPIKES else trace.membranes
    emitted = np.zeros((len(trace.raster), net.n_classes), np.int64)
    np.add.at(emitted.T, net.readout_class, values[:, net.readout_neuron].T.astype(np.int64))
    return Shown(clips.ids[index], int(labels[index]), trace.label, clips.pcm[index], payloads, trace, emitted)


def draw_clip(net: Network, shown: Shown, *, wide: bool) -> str:
    """The figure, for a wide page or for a phone."""
    truth = shown_label(net.labels[shown.truth])
    alt = (
        f"Four plots over time of the clip {shown.name}, a spoken {truth!r}: its waveform, {int((shown.payloads != 0).sum())} events of the front end, "
        f"{int(shown.trace.raster.sum())} spikes of {int(net.kind_firing[net.neuron_kind].sum())} neurons, and the readout of each class, "
        f"of which {shown_label(net.labels[shown.heard])!r} has the largest score."
    )
    return draw("clip-wide" if wide else "clip-narrow", alt, (9.4, 7.6) if wide else (3.9, 7.6), lambda figure: _paint(net, shown, figure, wide))


def _paint(net: Network, shown: Shown, figure: Figure, wide: bool) -> None:
    front_end = front_end_of(net)
    step = front_end.hop_samples / front_end.sample_rate
    steps, heard = len(shown.trace.raster), len(shown.payloads)
    wave, events, spikes, readout = figure.subplots(4, 1, sharex=True, height_ratios=(0.9, 2.2, 2.4, 1.8))
    _waveform(wave, shown.pcm, front_end.sample_rate)
    wave.set_title("audio")
    _events(events, shown.payloads, step, front_end.n_channels)
    events.set_title("events of the front end, stronger for a larger payload")
    _spikes(spikes, net, shown.trace.raster, step)
    spikes.set_title("spikes")
    _readout(readout, net, shown, step)
    values = "spikes" if net.readout == Readout.SPIKES else "membranes"
    readout.set_title(f"readout: emitted {values}, a line a class" if wide else "readout")
    readout.set_xlabel("time, s")
    readout.set_xlim(0, steps * step)
    for axes in (wave, events, spikes, readout):
        if steps > heard:
            axes.axvspan(heard * step, steps * step, color=FAINT, alpha=0.18, linewidth=0)


def _waveform(axes: Axes, pcm: np.ndarray, rate: int) -> None:
    width = max(1, len(pcm) // ENVELOPE)
    parts = pcm[: len(pcm) // width * width].reshape(-1, width).astype(float) / 32768
    top = max(float(np.abs(parts).max(initial=0.0)), 1e-4)
    axes.fill_between((np.arange(len(parts)) + 0.5) * width / rate, parts.min(axis=1) / top, parts.max(axis=1) / top, color=INK, alpha=0.75, linewidth=0)
    axes.set_ylim(-1.05, 1.05)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _events(axes: Axes, payloads: np.ndarray, step: float, n_channels: int) -> None:
    most = max(1, int(np.abs(payloads).max(initial=0)))
    for payload in np.unique(np.abs(payloads[payloads != 0])).tolist():
        t, channel = np.nonzero(np.abs(payloads) == payload)
        cells(axes, t * step, channel, step, 1, ACCENT, 0.3 + 0.7 * payload / most)
    bands = ["on", "off", "level"][: payloads.shape[1] // n_channels]
    _bands(axes, [(name, n_channels * i, n_channels * (i + 1)) for i, name in enumerate(bands)])


def _spikes(axes: Axes, net: Network, raster: np.ndarray, step: float) -> None:
    firing = np.flatnonzero(net.kind_firing[net.neuron_kind])
    place = np.full(net.n_neurons, -1)
    place[firing] = np.arange(len(firing))
    t, neuron = np.nonzero(raster)
    cells(axes, t * step + step * 0.15, place[neuron] - 0.1, step * 0.7, 1.2, INK)
    bands = [(f"layer {i + 1}", place[hint.base], place[hint.base] + hint.size * hint.count) for i, hint in enumerate(net.motifs) if place[hint.base] >= 0]
    _bands(axes, bands or [("neurons", 0, max(1, len(firing)))])


def _bands(axes: Axes, bands: Sequence[tuple[str, int, int]]) -> None:
    for _, _, end in bands[:-1]:
        axes.axhline(end, color=FAINT, linewidth=0.8)
    axes.set_yticks([(start + end) / 2 for _, start, end in bands], [name for name, _, _ in bands], rotation=90, va="center")
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(bands[0][1], bands[-1][2])


def _readout(axes: Axes, net: Network, shown: Shown, step: float) -> None:
    time = (np.arange(len(shown.emitted)) + 1) * step
    axes.axhline(0, color=FAINT, linewidth=0.5)
    for label in range(net.n_classes):
        if label not in (shown.truth, shown.heard):
            axes.plot(time, shown.emitted[:, label], color=INK, alpha=0.28, linewidth=0.8)
    if shown.heard != shown.truth:
        axes.plot(time, shown.emitted[:, shown.heard], color=SECOND, label=f"heard: {shown_label(net.labels[shown.heard])}")
    told = "spoken and heard" if shown.heard == shown.truth else "spoken"
    axes.plot(time, shown.emitted[:, shown.truth], color=ACCENT, linewidth=2.2, label=f"{told}: {shown_label(net.labels[shown.truth])}")
    axes.legend(loc="lower right", bbox_to_anchor=(1.01, 0.97), ncols=2, borderpad=0.1, columnspacing=1.2)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4))
