# SPDX-License-Identifier: Apache-2.0
"""``FrontEnd``: audio in, event payloads out, whole clips and streams with the same bits (docs/frontend.md).

Knows the tables of ``config.py`` and runs the compiled kernels; ``reference.py`` is the specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError
from .bank import bank_levels
from .config import FRONT_END_VERSION, BankSpectrum, EventCoding, FftSpectrum, check_range, read_fields, require
from .events import encode
from .fft import fft_levels

__all__ = ["FrontEnd", "FrontEndStream"]

_BIT_REVERSED = np.array([int(f"{i:08b}"[::-1], 2) for i in range(256)], np.int64)


@dataclass(frozen=True, kw_only=True)
class FrontEnd:
    """Turns 16 kHz int16 audio into events, in integers.

    Parameters
    ----------
    spectrum : FftSpectrum or BankSpectrum
        Audio to levels.
    coding : EventCoding
        Levels to events.
    sample_rate : int
        Samples a second the tables were made for.
    hop_samples : int, 64..512, a multiple of 64 for ``bank``
        Samples a timestep.
    version : int
        Of docs/frontend.md; any change of a bit is a new version.

    Examples
    --------
    >>> from ormia.edge.frontend import fft_front_end
    >>> front_end = fft_front_end(n_channels=40)
    >>> front_end.payloads(np.zeros(16000, np.int16)).shape
    (50, 120)
    """

    spectrum: FftSpectrum | BankSpectrum
    coding: EventCoding
    sample_rate: int = 16000
    hop_samples: int = 320
    version: int = FRONT_END_VERSION

    def __post_init__(self) -> None:
        check_range("version", self.version, 0, 2**31 - 1)
        require(self.version == FRONT_END_VERSION, f"version must be {FRONT_END_VERSION}, not {self.version}; a newer file needs a newer ormia")
        check_range("sample_rate", self.sample_rate, 8000, 48000)
        check_range("hop_samples", self.hop_samples, 64, 512)
        if isinstance(self.spectrum, BankSpectrum):
            slowest = max(self.spectrum.node_rate)
            require(self.hop_samples % slowest == 0, f"hop_samples must be a multiple of {slowest}, the largest of node_rate")
        top = self.spectrum.log_octaves << self.coding.log_bits
        require(self.coding.log_table[-1] <= top, f"log_table must be in 0..{top} where kind is {self.kind}")

    @property
    def kind(self) -> str:
        """``fft`` or ``bank``."""
        return self.spectrum.kind

    @property
    def n_channels(self) -> int:
        """Spectral channels."""
        return self.spectrum.n_channels

    @property
    def n_inputs(self) -> int:
        """Input channels of the network: on, off and, where there are level events, level."""
        return self.n_channels * (3 if self.coding.level_max else 2)

    @property
    def payload_bits(self) -> int:
        """Width of the unsigned payloads."""
        return self.coding.payload_bits

    def payloads(self, pcm: np.ndarray) -> np.ndarray:
        """Event payloads of a clip, or of each clip of a batch, from clip start.

        Parameters
        ----------
        pcm : int16 [n_samples] or [n_clips, n_samples]
            Audio at ``sample_rate``; samples after the last whole hop are not used.

        Returns
        -------
        int16 [n_timesteps, n_inputs] or [n_clips, n_timesteps, n_inputs]
            0 is no event; ``n_timesteps = n_samples // hop_samples``.
        """
        return self._run(pcm, self.n_inputs, np.int16, lambda clip: FrontEndStream(self).push(clip))

    def levels(self, pcm: np.ndarray) -> np.ndarray:
        """int32 [n_timesteps, n_channels] (or a batch of it): log2 power, in ``2**-log_bits`` octaves, before adaptation."""
        return self._run(pcm, self.n_channels, np.int32, lambda clip: FrontEndStream(self).push_levels(clip))

    def stream(self) -> FrontEndStream:
        """A stream at clip start."""
        return FrontEndStream(self)

    def _run(self, pcm: np.ndarray, width: int, dtype: type, one: Any) -> np.ndarray:
        pcm = _checked(pcm, (1, 2))
        if pcm.ndim == 1:
            result: np.ndarray = one(pcm)
            return result
        batch = np.empty((pcm.shape[0], pcm.shape[1] // self.hop_samples, width), dtype)
        for i, clip in enumerate(pcm):
            batch[i] = one(clip)
        return batch

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form, tables included: no bit of a result depends on how the tables were computed."""
        return {
            "version": self.version,
            "kind": self.kind,
            "sample_rate": self.sample_rate,
            "hop_samples": self.hop_samples,
            "spectrum": self.spectrum.to_dict(),
            "coding": self.coding.to_dict(),
        }

    @classmethod
    def from_dict(cls, given: Any) -> FrontEnd:
        """Read what ``to_dict`` wrote. Raises ``NetworkFileError`` with one sentence for anything else."""
        require(isinstance(given, Mapping), "must be an object")
        for name in ("version", "kind", "sample_rate", "hop_samples", "spectrum", "coding"):
            require(name in given, f"must have {name}")
        check_range("version", given["version"], 0, 2**31 - 1)
        require(given["version"] == FRONT_END_VERSION, f"version must be {FRONT_END_VERSION}, not {given['version']}; a newer file needs a newer ormia")
        require(len(given) == 6, "must have version, kind, sample_rate, hop_samples, spectrum and coding, and nothing else")
        kinds = {"fft": FftSpectrum, "bank": BankSpectrum}
        kind = given["kind"]
        require(isinstance(kind, str) and kind in kinds, f"kind must be fft or bank, not {str(kind)[:40]!r}")
        return cls(
            spectrum=read_fields(kinds[kind], given["spectrum"], "spectrum"),
            coding=read_fields(EventCoding, given["coding"], "coding"),
            sample_rate=given["sample_rate"],
            hop_samples=given["hop_samples"],
            version=given["version"],
        )


class FrontEndStream:
    """A running front end: push samples as they come, get the payloads of every timestep they complete.

    Parameters
    ----------
    front_end : FrontEnd
        What to run, from clip start.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        self.front_end = front_end
        n = front_end.n_channels
        self._rest = np.empty(0, np.int16)
        self._clock = np.zeros(1, np.int64)
        self._floor = np.zeros(n, np.int64)
        self._sent = np.zeros(n, np.int64)
        spectrum = front_end.spectrum
        if isinstance(spectrum, FftSpectrum):
            self._history = np.zeros(513, np.int64)
        else:
            self._delay = np.zeros((len(spectrum.node_rate), 4 * len(spectrum.half_band)), np.int64)
            self._state = np.zeros((n, 2, 4), np.int64)
            self._energy = np.zeros(n, np.int64)

    @property
    def noise_floor(self) -> np.ndarray:
        """int32 [n_channels]: the adapted floor, in the units of a level."""
        return (self._floor >> 8).astype(np.int32)

    def push(self, pcm: np.ndarray) -> np.ndarray:
        """int16 [k, n_inputs]: payloads of the k timesteps that these int16 samples complete."""
        coding = self.front_end.coding
        levels = self.push_levels(pcm)
        payloads = np.empty((len(levels), self.front_end.n_inputs), np.int16)
        encode(
            levels,
            self._clock,
            self._floor,
            self._sent,
            coding.rise,
            coding.fall,
            coding.margin,
            coding.delta_step,
            coding.delta_max,
            coding.level_step,
            coding.level_max,
            coding.level_period,
            payloads,
        )
        return payloads

    def push_levels(self, pcm: np.ndarray) -> np.ndarray:
        """int32 [k, n_channels]: levels alone; the event coding stays where it is."""
        front_end, coding = self.front_end, self.front_end.coding
        pcm = _checked(pcm, (1,))
        if len(self._rest):
            pcm = np.concatenate([self._rest, pcm])
        hop = front_end.hop_samples
        n_timesteps = len(pcm) // hop
        whole, self._rest = pcm[: n_timesteps * hop], pcm[n_timesteps * hop :].copy()
        levels = np.empty((n_timesteps, front_end.n_channels), np.int32)
        if n_timesteps == 0:
            return levels
        spectrum = front_end.spectrum
        tables, log_table = spectrum.arrays, coding.arrays["log_table"]
        if isinstance(spectrum, FftSpectrum):
            fft_levels(
                whole,
                self._history,
                spectrum.pre_emphasis,
                tables["window"],
                tables["twiddle_re"],
                tables["twiddle_im"],
                _BIT_REVERSED,
                tables["bin_band"],
                tables["bin_weight"],
                coding.log_bits,
                log_table,
                coding.level_floor,
                hop,
                levels,
            )
            return levels
        bank_levels(
            whole,
            self._delay,
            self._state,
            self._energy,
            tables["half_band"],
            tables["gain"],
            tables["a1"],
            tables["a2"],
            tables["first"],
            tables["energy_shift"],
            tables["node_rate"],
            tables["node_parent"],
            tables["node_mirror"],
            spectrum.sections,
            coding.log_bits,
            log_table,
            coding.level_floor,
            hop,
            tables["channel"],
            levels,
        )
        return levels


def _checked(pcm: np.ndarray, dimensions: tuple[int, ...]) -> np.ndarray:
    pcm = np.asarray(pcm)
    if pcm.dtype != np.int16:
        raise DataError(f"audio must be int16 samples, not {pcm.dtype}")
    if pcm.ndim not in dimensions:
        raise DataError(f"audio must have {' or '.join(map(str, dimensions))} dimensions, not {pcm.ndim}; mix channels down first")
    return np.ascontiguousarray(pcm)
