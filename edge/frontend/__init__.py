# SPDX-License-Identifier: Apache-2.0
"""Audio to events, in integers, streaming; specified in docs/frontend.md."""

from .config import FRONT_END_VERSION, BankSpectrum, EventCoding, FftSpectrum
from .frontend import FrontEnd, FrontEndStream
from .presets import bank_front_end, fft_front_end

__all__ = ["FRONT_END_VERSION", "BankSpectrum", "EventCoding", "FftSpectrum", "FrontEnd", "FrontEndStream", "bank_front_end", "fft_front_end"]
