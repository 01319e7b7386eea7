# SPDX-License-Identifier: Apache-2.0
"""The tables of the front ends, computed once in float64 and kept as integers from then on.

Knows filter design; nothing here runs when a stored front end is used.
"""

from __future__ import annotations

import cmath
import math

import numpy as np

from ..errors import UsageError
from .config import BankSpectrum, EventCoding, FftSpectrum
from .frontend import FrontEnd

__all__ = ["bank_front_end", "fft_front_end"]

SAMPLE_RATE = 16000


def log_table(log_bits: int, octaves: int) -> tuple[int, ...]:
    """Fraction of log2 by the five bits after the leading one, for the middle of each interval."""
    scale = octaves << log_bits
    return tuple(int(scale * math.log2(1 + (i + 0.5) / 32)) for i in range(32))


def fft_front_end(
    *,
    n_channels: int = 40,
    low_hz: float = 60.0,
    high_hz: float = 7600.0,
    pre_emphasis: int = 31,
    log_bits: int = 4,
    level_floor: int = 128,
    rise: int = 8,
    fall: int = 5,
    margin: int = 32,
    delta_step: int = 16,
    delta_max: int = 7,
    level_step: int = 64,
    level_max: int = 7,
    level_period: int = 2,
    hop_samples: int = 320,
) -> FrontEnd:
    """The FFT candidate: 512 points every hop, Hann window, triangular mel bands.

    Parameters
    ----------
    n_channels : int
        Bands.
    low_hz, high_hz : float
        Lower edge of the first and upper edge of the last band.
    pre_emphasis, log_bits, level_floor, rise, fall, margin, delta_step, delta_max, level_step, level_max, level_period : int
        See ``FftSpectrum`` and ``EventCoding``.
    hop_samples : int, 64..512
        Of a timestep; ``rise``, ``fall`` and ``level_period`` count timesteps.
    """
    if not 0 <= low_hz < high_hz <= SAMPLE_RATE / 2:
        raise UsageError(f"band edges must satisfy 0 <= low < high <= {SAMPLE_RATE // 2} Hz, not {low_hz} and {high_hz}")
    k = np.arange(256)
    angle = -2 * np.pi * k / 512
    hann = np.floor(32767 * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)))
    edges = np.linspace(_mel(low_hz), _mel(high_hz), n_channels + 2)
    position = (_mel(k * SAMPLE_RATE / 512) - edges[0]) / (edges[1] - edges[0])  # 0 at the lower edge, c + 1 at the center of band c
    inside = (position >= 0) & (position < n_channels + 1)
    band = np.where(inside, np.floor(position), -1)
    spectrum = FftSpectrum(
        n_channels=n_channels,
        pre_emphasis=pre_emphasis,
        window=_integers(hann),
        twiddle_re=_integers(np.rint(16384 * np.cos(angle))),
        twiddle_im=_integers(np.rint(16384 * np.sin(angle))),
        bin_band=_integers(band),
        bin_weight=_integers(np.where(inside, np.minimum(np.rint(256 * (position - band)), 255), 0)),
    )
    coding = EventCoding(
        log_bits=log_bits,
        log_table=log_table(log_bits, 1),
        level_floor=level_floor,
        rise=rise,
        fall=fall,
        margin=margin,
        delta_step=delta_step,
        delta_max=delta_max,
        level_step=level_step,
        level_max=level_max,
        level_period=level_period,
    )
    return FrontEnd(spectrum=spectrum, coding=coding, hop_samples=hop_samples)


# 23 taps: equiripple (Parks-McClellan), pass band to 0.4 of the input's Nyquist frequency, stop band 39 dB down from 0.6 on;
# Q15, at distance 1, 3, .. 11 from the center tap; they sum to 8192, so that a constant passes unchanged
HALF_BAND = (10413, -3161, 1592, -862, 446, -236)
NODES = ((1, -1, 0), (2, 0, 0), (2, 0, 1), (4, 1, 0), (8, 3, 0), (16, 4, 0), (32, 5, 0))  # decimation, parent, upper half


def bank_front_end(
    *,
    n_channels: int = 32,
    sections: int = 2,
    low_hz: float = 80.0,
    high_hz: float = 7200.0,
    log_bits: int = 4,
    level_floor: int = 160,
    rise: int = 8,
    fall: int = 5,
    margin: int = 32,
    delta_step: int = 16,
    delta_max: int = 7,
    level_step: int = 32,
    level_max: int = 7,
    level_period: int = 2,
    hop_samples: int = 320,
) -> FrontEnd:
    """The band-pass bank candidate: equal second-order sections at ERB spacing on an octave-wise decimated signal.

    Parameters
    ----------
    n_channels, sections : int
        Filters and sections in each.
    low_hz, high_hz : float
        Center of the first and of the last filter.
    log_bits, level_floor, rise, fall, margin, delta_step, delta_max, level_step, level_max, level_period : int
        See ``EventCoding``.
    hop_samples : int, 64..512, a multiple of 64
        Of a timestep; ``rise``, ``fall`` and ``level_period`` count timesteps.
    """
    if not 0 < low_hz < high_hz < SAMPLE_RATE / 2:
        raise UsageError(f"filter centers must satisfy 0 < low < high < {SAMPLE_RATE // 2} Hz, not {low_hz} and {high_hz}")
    scale = np.linspace(_erb(low_hz), _erb(high_hz), n_channels)
    step = (scale[-1] - scale[0]) / max(n_channels - 1, 1)
    filters = []
    for channel, at in enumerate(scale):
        center = _erb_inverse(at)
        width = (_erb_inverse(at + step / 2) - _erb_inverse(at - step / 2)) / (0.6436 if sections == 2 else 1.0)
        node = _node_of(center)
        rate = SAMPLE_RATE / NODES[node][0]
        seen = rate - center if NODES[node][2] else center
        filters.append((node, channel, *_section(seen, width, rate)))
    filters.sort()
    nodes = np.array([f[0] for f in filters])
    spectrum = BankSpectrum(
        n_channels=n_channels,
        sections=sections,
        half_band=HALF_BAND,
        node_rate=tuple(n[0] for n in NODES),
        node_parent=tuple(n[1] for n in NODES),
        node_mirror=tuple(n[2] for n in NODES),
        first=_integers(np.searchsorted(nodes, np.arange(len(NODES) + 1))),
        energy_shift=tuple(9 - n[0].bit_length() for n in NODES),  # 16 ms at every node,
        gain=tuple(f[2] for f in filters),
        a1=tuple(f[3] for f in filters),
        a2=tuple(f[4] for f in filters),
        channel=tuple(f[1] for f in filters),
    )
    coding = EventCoding(
        log_bits=log_bits,
        log_table=log_table(log_bits, 2),
        level_floor=level_floor,
        rise=rise,
        fall=fall,
        margin=margin,
        delta_step=delta_step,
        delta_max=delta_max,
        level_step=level_step,
        level_max=level_max,
        level_period=level_period,
    )
    return FrontEnd(spectrum=spectrum, coding=coding, hop_samples=hop_samples)


def _node_of(center: float) -> int:
    """The slowest node that still holds a filter at this frequency."""
    if center >= 4000:
        return 2
    best = 1
    for node in range(3, len(NODES)):
        if center <= 0.425 * SAMPLE_RATE / NODES[node][0]:
            best = node
    return best


def _section(center: float, width: float, rate: float) -> tuple[int, int, int]:
    """Q14 gain, a1, a2 of a section with zeros at 0 and half the rate, poles at ``center``, and gain 1 there."""
    omega = 2 * math.pi * min(center / rate, 0.475)  # nearer to half the rate the zero there would take all gain
    radius = math.exp(-math.pi * width / rate)
    turn = cmath.exp(-1j * omega)
    gain = abs(1 - 2 * radius * math.cos(omega) * turn + radius**2 * turn**2) / abs(1 - turn**2)
    return round(16384 * gain), round(-16384 * 2 * radius * math.cos(omega)), round(16384 * radius**2)


def _mel(hz: float | np.ndarray) -> np.ndarray:
    return 1127 * np.log1p(np.asarray(hz) / 700)


def _erb(hz: float) -> float:
    return 21.4 * math.log10(1 + 0.00437 * hz)


def _erb_inverse(scale: float) -> float:
    return (10 ** (scale / 21.4) - 1) / 0.00437


def _integers(values: np.ndarray) -> tuple[int, ...]:
    return tuple(int(v) for v in values)
