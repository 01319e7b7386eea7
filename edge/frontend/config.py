# SPDX-License-Identifier: Apache-2.0
"""The front end as integers: what a ``.ormia`` file stores, validated; every value of docs/frontend.md that is not fixed there.

Knows how to check itself and how to become JSON; how the tables come about is ``presets.py``, what they do the kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import NetworkFileError
from .bounds import INPUT_BOUND, MAGNITUDE_LIMIT, decays, half_band_bound, section_bounds

__all__ = ["FRONT_END_VERSION", "BankSpectrum", "EventCoding", "FftSpectrum"]

FRONT_END_VERSION = 1


def require(holds: bool, sentence: str) -> None:
    """Refuse a front end with a sentence that says what must hold."""
    if not holds:
        raise NetworkFileError(f"front end: {sentence}")


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def check_range(name: str, value: Any, low: int, high: int) -> None:
    """Refuse anything that is no integer of ``low..high``."""
    require(_is_integer(value), f"{name} must be an integer in {low}..{high}, not {str(value)[:40]!r}")
    require(low <= value <= high, f"{name} must be in {low}..{high}, not {value if abs(value) < 2**63 else 'a huge number'}")


def check_table(name: str, values: Any, length: int, low: int, high: int) -> None:
    """Refuse anything that is no tuple of ``length`` integers of ``low..high``."""
    require(isinstance(values, tuple) and len(values) == length, f"{name} must be a list of {length} integers")
    for value in values:
        check_range(f"each of {name}", value, low, high)


def read_fields(cls: type, given: Any, what: str) -> Any:
    """Construct a dataclass of integers and integer lists from a mapping, refusing unknown and missing names."""
    require(isinstance(given, Mapping), f"{what} must be an object")
    wanted = {f.name for f in fields(cls)}
    unknown, missing = sorted(map(str, set(given) - wanted)), sorted(wanted - set(given))
    require(not unknown, f"{what} must not have {', '.join(unknown)[:80]}")
    require(not missing, f"{what} must have {', '.join(missing)}")
    return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})


class _Tables:
    """Turns the integer tuples of a dataclass into the int64 arrays that kernels take."""

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        found = {f.name: np.array(getattr(self, f.name), np.int64) for f in fields(self) if isinstance(getattr(self, f.name), tuple)}  # type: ignore[arg-type]
        for array in found.values():
            array.flags.writeable = False
        return found

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}  # type: ignore[call-overload]


@dataclass(frozen=True, kw_only=True)
class FftSpectrum(_Tables):
    """Power spectrum of overlapping frames in triangular bands (A1..A8).

    Parameters
    ----------
    n_channels : int, 1..128
        Bands.
    pre_emphasis : int, 0..32
        The filter is ``32 * x[n] - pre_emphasis * x[n - 1]``.
    window : tuple of int [512], 0..32767
        Q15; ``window[n] + window[n + 256]`` <= 32768, on which the overflow proof stands.
    twiddle_re, twiddle_im : tuple of int [256], -16384..16384
        Q14 of exp(-2 pi i k / 512).
    bin_band : tuple of int [256], -1..n_channels
        Lower one of the two bands that share bin k, counted from a discarded band 0; -1 where the bin is in none.
    bin_weight : tuple of int [256], 0..255
        Q8 share of the upper band.
    """

    n_channels: int
    pre_emphasis: int
    window: tuple[int, ...]
    twiddle_re: tuple[int, ...]
    twiddle_im: tuple[int, ...]
    bin_band: tuple[int, ...]
    bin_weight: tuple[int, ...]

    kind = "fft"

    def __post_init__(self) -> None:
        check_range("n_channels", self.n_channels, 1, 128)
        check_range("pre_emphasis", self.pre_emphasis, 0, 32)
        check_table("window", self.window, 512, 0, 32767)
        require(all(a + b <= 32768 for a, b in zip(self.window[:256], self.window[256:], strict=True)), "window[n] + window[n + 256] must be at most 32768")
        check_table("twiddle_re", self.twiddle_re, 256, -16384, 16384)
        check_table("twiddle_im", self.twiddle_im, 256, -16384, 16384)
        magnitudes = [a * a + b * b for a, b in zip(self.twiddle_re, self.twiddle_im, strict=True)]
        require(max(magnitudes) <= 16385**2, "each twiddle must have a magnitude of at most 1")
        check_table("bin_band", self.bin_band, 256, -1, self.n_channels)
        check_table("bin_weight", self.bin_weight, 256, 0, 255)

    @property
    def log_octaves(self) -> int:
        """Octaves of power in one octave of the quantity whose logarithm is taken."""
        return 1


@dataclass(frozen=True, kw_only=True)
class BankSpectrum(_Tables):
    """Leaky mean magnitude of band-pass filters on an octave-wise decimated signal (B1..B6).

    Parameters
    ----------
    n_channels : int, 1..128
        Filters, in the order of ``gain``.
    sections : int, 1..2
        Equal second-order sections in cascade.
    half_band : tuple of int [1..16], -32768..32767
        Q15 taps at distance 1, 3, 5, ... from the center tap, which is 1/2.
    node_rate : tuple of int [n_nodes], a power of two in 1..64
        Decimation of each node.
    node_parent : tuple of int [n_nodes], -1..n_nodes - 2
        Node it is decimated from, an earlier one; -1 for the input itself.
    node_mirror : tuple of int [n_nodes], 0..1
        1 takes the upper half band, whose spectrum is then reversed.
    first : tuple of int [n_nodes + 1], ascending
        Node i filters for channels ``first[i] .. first[i + 1] - 1``.
    energy_shift : tuple of int [n_nodes], 0..15
        Time constant of the mean, ``2**energy_shift`` samples of the node.
    gain, a1, a2 : tuple of int [n_channels], 0..16384, -32768..32767, 0..16383
        Q14 coefficients: ``y = gain * (x - x2) - a1 * y1 - a2 * y2``.
    channel : tuple of int [n_channels]
        Output channel of each filter, a permutation.
    """

    n_channels: int
    sections: int
    half_band: tuple[int, ...]
    node_rate: tuple[int, ...]
    node_parent: tuple[int, ...]
    node_mirror: tuple[int, ...]
    first: tuple[int, ...]
    energy_shift: tuple[int, ...]
    gain: tuple[int, ...]
    a1: tuple[int, ...]
    a2: tuple[int, ...]
    channel: tuple[int, ...]

    kind = "bank"

    def __post_init__(self) -> None:
        check_range("n_channels", self.n_channels, 1, 128)
        check_range("sections", self.sections, 1, 2)
        require(isinstance(self.half_band, tuple) and 1 <= len(self.half_band) <= 16, "half_band must be a list of 1..16 integers")
        check_table("half_band", self.half_band, len(self.half_band), -32768, 32767)
        require(sum(map(abs, self.half_band)) <= 32768, "half_band must have magnitudes that sum to at most 32768")
        require(isinstance(self.node_rate, tuple) and 1 <= len(self.node_rate) <= 16, "node_rate must be a list of 1..16 integers")
        nodes = len(self.node_rate)
        check_table("node_rate", self.node_rate, nodes, 1, 64)
        check_table("node_parent", self.node_parent, nodes, -1, nodes - 2)
        check_table("node_mirror", self.node_mirror, nodes, 0, 1)
        for i, (rate, parent) in enumerate(zip(self.node_rate, self.node_parent, strict=True)):
            require(parent < i, f"node_parent of node {i} must be an earlier node, not {parent}")
            wanted = 1 if parent < 0 else 2 * self.node_rate[parent]
            require(rate == wanted, f"node_rate of node {i} must be {wanted}, not {rate}")
        check_table("energy_shift", self.energy_shift, nodes, 0, 15)
        check_table("first", self.first, nodes + 1, 0, self.n_channels)
        ends = (self.first[0] == 0, self.first[-1] == self.n_channels, list(self.first) == sorted(self.first))
        require(all(ends), f"first must ascend from 0 to {self.n_channels}")
        check_table("gain", self.gain, self.n_channels, 0, 16384)
        check_table("a1", self.a1, self.n_channels, -32767, 32767)
        check_table("a2", self.a2, self.n_channels, 0, 16383)
        check_table("channel", self.channel, self.n_channels, 0, self.n_channels - 1)
        require(len(set(self.channel)) == self.n_channels, "channel must name each channel once")
        self._prove_widths()

    def _prove_widths(self) -> None:
        """B6."""
        nodes: list[float] = []
        for parent in self.node_parent:
            nodes.append(INPUT_BOUND if parent < 0 else half_band_bound(nodes[parent], self.half_band))
        inputs = np.repeat(np.array(nodes), np.diff(self.first))
        lost = np.flatnonzero(~decays(self.gain, self.a1, self.a2))
        require(len(lost) == 0, f"filter {lost[0] if len(lost) else 0} must decay to nothing within 4096 samples")
        bounds = section_bounds(inputs, self.gain, self.a1, self.a2, self.sections)
        worst = int(np.argmax(bounds))
        require(bounds[worst] <= MAGNITUDE_LIMIT, f"filter {worst} must stay within {MAGNITUDE_LIMIT} for any audio, not {bounds[worst]:.0f}")

    @property
    def log_octaves(self) -> int:
        """Octaves of power in one octave of the quantity whose logarithm is taken."""
        return 2


@dataclass(frozen=True, kw_only=True)
class EventCoding(_Tables):
    """Levels to events (L1, L2, E1..E6).

    Parameters
    ----------
    log_bits : int, 0..6
        Fraction bits of a level, which is in octaves of power (3 dB).
    log_table : tuple of int [32], ascending
        Fraction of the logarithm by the five bits after the leading one.
    level_floor : int, -2048..8191
        Smallest level; what lies below is silence.
    rise, fall : int, 0..15
        The noise floor moves by ``2**-rise`` of its distance upward a timestep, ``2**-fall`` downward.
    margin : int, 0..2047
        Levels less than this above the noise floor count as equal to it.
    delta_step : int, 1..2047
        Change of level that one unit of a delta payload stands for.
    delta_max : int, 1..255
        Largest delta payload.
    level_step : int, 1..2047
        Level above floor and margin that one unit of a level payload stands for.
    level_max : int, 0..255
        Largest level payload; 0 leaves the level channels out.
    level_period : int, 1..255
        Level events come every so many timesteps.
    """

    log_bits: int
    log_table: tuple[int, ...]
    level_floor: int
    rise: int
    fall: int
    margin: int
    delta_step: int
    delta_max: int
    level_step: int
    level_max: int
    level_period: int

    def __post_init__(self) -> None:
        check_range("log_bits", self.log_bits, 0, 6)
        check_table("log_table", self.log_table, 32, 0, 2 << self.log_bits)
        require(list(self.log_table) == sorted(self.log_table), "log_table must ascend")
        check_range("level_floor", self.level_floor, -2048, 8191)
        for name in ("rise", "fall"):
            check_range(name, getattr(self, name), 0, 15)
        check_range("margin", self.margin, 0, 2047)
        for name in ("delta_step", "level_step"):
            check_range(name, getattr(self, name), 1, 2047)
        check_range("delta_max", self.delta_max, 1, 255)
        check_range("level_max", self.level_max, 0, 255)
        check_range("level_period", self.level_period, 1, 255)

    @property
    def payload_bits(self) -> int:
        """Width of the unsigned payloads (F4 of docs/semantics.md)."""
        return max(self.delta_max, self.level_max).bit_length()
