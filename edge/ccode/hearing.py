# SPDX-License-Identifier: Apache-2.0
"""The front end in the generated C: tables, state and the numbers of its template (docs/frontend.md, A1..A8, L1, L2, E1..E6).

Knows the FFT front end. One constant says what is the same for every index, and what a front end does not use is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..clips import front_end_of
from ..frontend import EventCoding, FftSpectrum, FrontEnd
from ..network import Network
from .state import Field
from .tables import Column, Table, column, literal, narrowest, table

__all__ = ["Hearing", "plan_hearing"]

FRAME = 513  # samples that one timestep sees (A1)
POINTS = 256  # of the complex transform
PEAK_BITS = 21  # of the largest pre-emphasized sample (A2)
LONGEST_LEVEL = 47  # whole octaves of a sum of 48 bits


@dataclass(frozen=True)
class Hearing:
    """What a front end takes and says.

    Attributes
    ----------
    front_end : FrontEnd
        Of kind fft.
    tables, fields : tuple
        Constant tables; fields of the state struct.
    values : mapping
        What ``templates/frontend.c`` substitutes.
    """

    front_end: FrontEnd
    tables: tuple[Table, ...]
    fields: tuple[Field, ...]
    values: Mapping[str, object]


def plan_hearing(net: Network) -> Hearing | None:
    """The front end of ``net`` in C; None where it has none or one that is not generated (a band-pass bank).

    Raises
    ------
    DataError, NetworkFileError
        If the metadata has a front end that is none, or does not fit the inputs of the network.
    """
    if net.metadata.get("front_end") is None:
        return None
    front_end = front_end_of(net)
    if not isinstance(front_end.spectrum, FftSpectrum):
        return None
    spectrum, coding = front_end.spectrum, front_end.coding
    numbers, weight, band_end = _bins(spectrum)
    twiddle = [part for pair in zip(spectrum.twiddle_re, spectrum.twiddle_im, strict=True) for part in pair]
    tables = [
        Table("frame_window", "int16_t", tuple(map(int, spectrum.window)), "window, Q15"),
        table("twiddle", twiddle, "exp(-2 pi i k / 512), real and imaginary part by turns, Q14"),
        table("bit_reversed", [int(f"{i:08b}"[::-1], 2) for i in range(POINTS)], "bit reversal of 0..255"),
        table("band_end", band_end, "bins of bands 0..b, in the order of their bands"),
        *(c.table for c in (numbers, weight) if c.table is not None),
        table("log_table", coding.log_table, "fraction of the logarithm by the five bits after the leading one"),
    ]
    return Hearing(front_end, tuple(tables), tuple(_fields(front_end)), _values(front_end, numbers, weight))


def _bins(spectrum: FftSpectrum) -> tuple[Column, Column, list[int]]:
    """Number and weight of every bin that counts, sorted by band, and where each band ends."""
    bins = sorted((k for k in range(1, POINTS) if spectrum.bin_band[k] >= 0), key=lambda k: spectrum.bin_band[k])
    ends = [sum(spectrum.bin_band[k] <= band for k in bins) for band in range(spectrum.n_channels + 1)]
    number = column("bin_number", bins or [0], "i", "bins in the order of their bands", ramp=True)
    weight = column("bin_weight", [spectrum.bin_weight[k] for k in bins] or [0], "i", "share of each bin in the upper one of its two bands, Q8")
    return number, weight, ends


def _turns_by_quarters(spectrum: FftSpectrum) -> bool:
    """Whether the twiddle of index 0 is 1 and that of index k + 128 is that of k times -i, for every k."""
    re, im, half = spectrum.twiddle_re, spectrum.twiddle_im, POINTS // 2
    return (re[0], im[0]) == (16384, 0) and re[half:] == im[:half] and im[half:] == tuple(-r for r in re[:half])


def _highest_level(coding: EventCoding) -> int:
    """No level is above it (L1, L2, A8)."""
    octaves = LONGEST_LEVEL - 2 * (15 - PEAK_BITS)
    return max(coding.level_floor, (octaves << coding.log_bits) + coding.log_table[-1])


def _fields(front_end: FrontEnd) -> list[Field]:
    coding, n = front_end.coding, front_end.n_channels
    above = max(0, _highest_level(coding) - coding.level_floor)
    fields = [
        Field("spectrum", "ormia_point", (POINTS,), "work area of the transform"),
        Field("noise_floor", "int32_t", (n,), "adapted floor of every channel, with 8 more fraction bits than a level"),
        Field("samples", "int16_t", (FRAME,), "the last samples, oldest first"),
        Field("n_samples", "uint16_t", (), "how many of them there are"),
        Field("sent", narrowest(0, above), (n,), "the level that the events so far amount to"),
        Field("payload", narrowest(0, max(coding.delta_max, coding.level_max)), (front_end.n_inputs,), "events of the last timestep by channel, 0 is none"),
        Field("heard", "uint8_t", (), "1 after the first timestep"),
    ]
    if _is_periodic(coding):
        fields.append(Field("phase", "uint8_t", (), "timesteps since level events were due"))
    return fields


def _is_periodic(coding: EventCoding) -> bool:
    return coding.level_max > 0 and coding.level_period > 1


def _quotient(divisor: int, largest: int) -> str:
    """Factor and shift of ``ormia_quotient`` that divide every number up to ``largest``, in 32 bits."""
    numbers = np.arange(largest + 1, dtype=np.uint64)
    for shift in range(32):
        factor = -(-(1 << shift) // divisor)
        if largest * factor < 1 << 32 and np.array_equal(numbers * np.uint64(factor) >> np.uint64(shift), numbers // np.uint64(divisor)):
            return f"{factor}u, {shift}u"
    raise AssertionError(f"levels up to {largest} must be divisible by {divisor} in 32 bits")


def _values(front_end: FrontEnd, numbers: Column, weight: Column) -> dict[str, object]:
    spectrum, coding = front_end.spectrum, front_end.coding
    assert isinstance(spectrum, FftSpectrum)
    types = {field.name: field.ctype for field in _fields(front_end)}
    above = max(0, _highest_level(coding) - coding.level_floor)
    return {
        "front_end_version": front_end.version,
        "sample_rate": front_end.sample_rate,
        "hop": front_end.hop_samples,
        "n_channels": front_end.n_channels,
        "frame": FRAME,
        "kept": FRAME - front_end.hop_samples,
        "pre_emphasis": spectrum.pre_emphasis,
        "points": POINTS,
        "peak_bits": PEAK_BITS,
        "gain_bits": PEAK_BITS - 15,  # A3 keeps 15
        "quarter_turns": _turns_by_quarters(spectrum),
        "bin_number": numbers.expression,
        "bin_weight": weight.expression,
        "level_floor": literal(coding.level_floor),
        "log_one": 1 << coding.log_bits,
        "sent_type": types["sent"],
        "payload_type": types["payload"],
        "delta_quotient": _quotient(coding.delta_step, above),
        "level_quotient": _quotient(coding.level_step, above),
        "level_events": coding.level_max > 0,
        "periodic": _is_periodic(coding),
        **{name: getattr(coding, name) for name in ("rise", "fall", "margin", "delta_step", "delta_max", "level_step", "level_max", "level_period")},
    }
