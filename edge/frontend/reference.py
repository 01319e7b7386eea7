# SPDX-License-Identifier: Apache-2.0
"""docs/frontend.md as a program: plain Python integers, every stored value held to its stated width.

Slow on purpose; what it computes is right by definition. Twins: ``fft.py``, ``bank.py``, ``log2.py``, ``events.py`` (Numba).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .config import BankSpectrum, EventCoding, FftSpectrum
from .frontend import FrontEnd

__all__ = ["ReferenceFrontEnd", "butterfly", "level_of"]


def signed(x: int, bits: int) -> int:
    """``x``, which must fit ``bits`` of two's complement."""
    if not -(1 << (bits - 1)) <= x < 1 << (bits - 1):
        raise OverflowError(f"{x} does not fit {bits} bits")
    return x


def unsigned(x: int, bits: int) -> int:
    """``x``, which must fit ``bits`` without a sign."""
    if not 0 <= x < 1 << bits:
        raise OverflowError(f"{x} does not fit {bits} unsigned bits")
    return x


def level_of(x: int, octaves: int, log_bits: int, log_table: Sequence[int], floor: int) -> int:
    """Level of a non-negative integer (L1, L2).

    Examples
    --------
    >>> [level_of(x, 0, 4, [i // 2 for i in range(32)], -16) for x in (0, 1, 2, 3, 4)]
    [-16, 0, 16, 24, 32]
    """
    if x == 0:
        return floor
    exponent = x.bit_length() - 1
    mantissa = (x << 5 >> exponent) & 31
    return signed(max(floor, ((exponent + octaves) << log_bits) + log_table[mantissa]), 16)


def butterfly(a: tuple[int, int], b: tuple[int, int], w: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """(a + w * b) / 2 and (a - w * b) / 2, each rounded once (A5).

    Parameters
    ----------
    a, b : (re, im), magnitude at most 23200
        Points.
    w : (re, im), Q14, magnitude at most 16385
        Twiddle.
    """
    p_re = signed(signed(b[0] * w[0], 32) - signed(b[1] * w[1], 32), 32)
    p_im = signed(signed(b[0] * w[1], 32) + signed(b[1] * w[0], 32), 32)
    a_re, a_im = signed((a[0] << 14) + 16384, 32), signed((a[1] << 14) + 16384, 32)
    plus = (signed(a_re + p_re, 32) >> 15, signed(a_im + p_im, 32) >> 15)
    minus = (signed(a_re - p_re, 32) >> 15, signed(a_im - p_im, 32) >> 15)
    return _point(plus), _point(minus)


def _point(z: tuple[int, int]) -> tuple[int, int]:
    return signed(z[0], 16), signed(z[1], 16)


class _Fft:
    """Frames to levels (A1..A8)."""

    def __init__(self, spectrum: FftSpectrum, coding: EventCoding) -> None:
        self.spectrum, self.coding = spectrum, coding
        self.history = [0] * 513  # A1

    def step(self, samples: Sequence[int]) -> list[int]:
        s, coding = self.spectrum, self.coding
        self.history = (self.history + list(samples))[-513:]
        emphasized = [signed(32 * x - s.pre_emphasis * before, 32) for before, x in zip(self.history, self.history[1:], strict=False)]  # A2
        peak = max(map(abs, emphasized))
        if peak == 0:
            return [coding.level_floor] * s.n_channels
        shift = 15 - peak.bit_length()  # A3
        scaled = [signed(y << shift if shift >= 0 else y >> -shift, 16) for y in emphasized]
        frame = [signed((signed(y * w, 32) + 32768) >> 16, 16) for y, w in zip(scaled, s.window, strict=True)]  # A4
        z = self._transform([(frame[2 * n], frame[2 * n + 1]) for n in range(256)])
        bands = [0] * (s.n_channels + 2)
        for k in range(1, 256):  # A7
            if s.bin_band[k] >= 0:
                power = self._power(z, k)
                bands[s.bin_band[k]] += power * (256 - s.bin_weight[k])
                bands[s.bin_band[k] + 1] += power * s.bin_weight[k]
        return [level_of(unsigned(b, 48), -2 * shift, coding.log_bits, coding.log_table, coding.level_floor) for b in bands[1:-1]]  # A8

    def _transform(self, z: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """A5."""
        z = [z[int(f"{i:08b}"[::-1], 2)] for i in range(256)]
        for i in range(0, 256, 2):
            (a_re, a_im), (b_re, b_im) = z[i], z[i + 1]
            z[i], z[i + 1] = _point((a_re + b_re, a_im + b_im)), _point((a_re - b_re, a_im - b_im))
        for stage in range(2, 9):
            half = 1 << (stage - 1)
            for start in range(0, 256, 2 * half):
                for j in range(half):
                    k = j * (256 // half)
                    w = self.spectrum.twiddle_re[k], self.spectrum.twiddle_im[k]
                    z[start + j], z[start + j + half] = butterfly(z[start + j], z[start + j + half], w)
        return z

    def _power(self, z: list[tuple[int, int]], k: int) -> int:
        """A6: |X[k]|**2 of the real transform from the half-size complex one."""
        low = min(k, 256 - k)
        (a_re, a_im), (b_re, b_im) = z[low], z[256 - low]
        even = a_re + b_re, a_im - b_im
        odd = a_re - b_re, a_im + b_im
        w_re, w_im = self.spectrum.twiddle_re[low], self.spectrum.twiddle_im[low]
        p_re = -signed(signed(w_re * odd[1], 32) + signed(w_im * odd[0], 32), 32)
        p_im = signed(signed(w_re * odd[0], 32) - signed(w_im * odd[1], 32), 32)
        sign = -1 if k == low else 1
        x_re = signed((even[0] << 14) + sign * p_re + 16384, 32) >> 15
        x_im = signed((even[1] << 14) + sign * p_im + 16384, 32) >> 15
        return unsigned(unsigned(x_re * x_re, 32) + unsigned(x_im * x_im, 32), 32)


class _Bank:
    """Samples to levels (B1..B6)."""

    def __init__(self, spectrum: BankSpectrum, coding: EventCoding) -> None:
        self.spectrum, self.coding = spectrum, coding
        self.past = [[0] * (4 * len(spectrum.half_band)) for _ in spectrum.node_rate]
        self.state = [[[0, 0, 0, 0] for _ in range(spectrum.sections)] for _ in range(spectrum.n_channels)]
        self.energy = [0] * spectrum.n_channels

    def step(self, samples: Sequence[int]) -> list[int]:
        s, coding = self.spectrum, self.coding
        signals: list[list[int]] = []
        for node, parent in enumerate(s.node_parent):
            signals.append([x << 4 for x in samples] if parent < 0 else self._split(node, signals[parent]))  # B1
            for f in range(s.first[node], s.first[node + 1]):
                for x in signals[node]:
                    for section in range(s.sections):
                        x = self._section(f, section, x)
                    distance = signed(signed(abs(x) << 6, 32) - self.energy[f], 32)  # B4
                    self.energy[f] = signed(self.energy[f] + (distance >> s.energy_shift[node]), 32)
        levels = [0] * s.n_channels
        for f, energy in enumerate(self.energy):  # B5
            levels[s.channel[f]] = level_of(energy, 0, coding.log_bits + 1, coding.log_table, coding.level_floor)
        return levels

    def _split(self, node: int, parent: Sequence[int]) -> list[int]:
        """B2."""
        taps, past = self.spectrum.half_band, self.past[node]
        middle, out = 2 * len(taps), []
        for i in range(0, len(parent), 2):
            past[:] = [*past[2:], parent[i], parent[i + 1]]
            side = sum(h * (past[middle + 2 * k + 1] + past[middle - 2 * k - 1]) for k, h in enumerate(taps))
            center = past[middle] << 14
            exact = center - side if self.spectrum.node_mirror[node] else center + side
            out.append(signed((signed(exact, 64) + 16384) >> 15, 32))
        return out

    def _section(self, f: int, section: int, x: int) -> int:
        """B3."""
        s, (x1, x2, y1, y2) = self.spectrum, self.state[f][section]
        exact = signed(s.gain[f] * signed(x - x2, 32) - s.a1[f] * y1 - s.a2[f] * y2 + 8192, 64)
        y = signed(exact >> 14, 32)
        self.state[f][section] = [x, x1, y, y1]
        return y


class ReferenceFrontEnd:
    """A stream of a front end, from clip start.

    Parameters
    ----------
    front_end : FrontEnd
        Any front end.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        self.front_end = front_end
        spectrum, coding = front_end.spectrum, front_end.coding
        self._spectrum = _Fft(spectrum, coding) if isinstance(spectrum, FftSpectrum) else _Bank(spectrum, coding)
        self._rest: list[int] = []
        self._timestep = 0
        self._floor = [0] * front_end.n_channels
        self._sent = [0] * front_end.n_channels

    def push(self, samples: Iterable[int]) -> list[list[int]]:
        """Payloads, [k][n_inputs], of the k timesteps that these int16 samples complete."""
        self._rest += [signed(int(x), 16) for x in samples]
        hop, payloads = self.front_end.hop_samples, []
        while len(self._rest) >= hop:
            levels = self._spectrum.step(self._rest[:hop])
            self._rest = self._rest[hop:]
            payloads.append(self.encode(levels))
        return payloads

    def encode(self, levels: Sequence[int]) -> list[int]:
        """Payloads of one timestep (E1..E6)."""
        coding = self.front_end.coding
        on, off, height = [], [], []
        for c, level in enumerate(levels):
            if self._timestep == 0:  # E1
                self._floor[c] = level << 8
            else:  # E2
                distance = (level << 8) - self._floor[c]
                self._floor[c] = signed(self._floor[c] + (distance >> (coding.rise if distance >= 0 else coding.fall)), 32)
            above = max(0, level - (self._floor[c] >> 8) - coding.margin)  # E3
            if self._timestep == 0:
                self._sent[c] = above
            change = above - self._sent[c]  # E4
            count = min(coding.delta_max, abs(change) // coding.delta_step)
            on.append(count if change > 0 else 0)
            off.append(count if change < 0 else 0)
            self._sent[c] = signed(self._sent[c] + (on[c] - off[c]) * coding.delta_step, 32)
            due = self._timestep % coding.level_period == 0  # E5
            height.append(min(coding.level_max, above // coding.level_step) if due else 0)
        self._timestep += 1
        return on + off + (height if coding.level_max else [])
