# SPDX-License-Identifier: Apache-2.0
"""The process that runs espeak-ng: one task from standard input, one sequence of engine calls, results into files.

It is started fresh for every task (see ``espeak.py``) because the engine's output depends on all calls since it was initialized; so
the same task gives the same bytes. It imports only the standard library and the engine, and is never imported by the package.

Task, JSON: ``{"task": "speak", "out": PATH, "utterances": [[text, voice, speed, pitch, range], ...]}`` writes all samples as raw
int16 to PATH and prints the lengths; ``{"task": "phonemes", "voices": [...], "texts": [...]}`` prints a list per voice of lists of phonemes.
"""

import ctypes
import json
import sys

SYNCHRONOUS, DONT_EXIT, UTF8, IPA = 2, 0x8000, 1, 2
SPEED, PITCH, RANGE = 1, 3, 4
STRESS = "\u02c8\u02cc"  # primary and secondary stress marks
RATE = 22_050
SEED = 1


def initialize() -> ctypes.CDLL:
    """Load and start the engine, or leave with a sentence."""
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = espeakng_loader.get_data_path()
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), DONT_EXIT)
    library.espeak_Info.restype = ctypes.c_char_p
    used = ctypes.c_char_p()
    version = library.espeak_Info(ctypes.byref(used))
    if rate != RATE or used.value is None or used.value.decode() != data:
        sys.exit(f"espeak-ng must start at {RATE} Hz with its data in {data}, it started at {rate} Hz with {used.value!r}")
    library.espeak_ng_SetRandSeed(SEED)  # else breath and whisper are seeded with the time of day
    library.version = version.decode()
    return library


def set_voice(library: ctypes.CDLL, voice: str) -> None:
    """Choose accent and variant, as ``en-us+f3``."""
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        sys.exit(f"espeak-ng must have the voice {voice}")


def speak(library: ctypes.CDLL, utterances: list, out: str) -> list[int]:
    """Speak all utterances in order; returns the number of samples of each."""
    chunks: list[bytes] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    def receive(samples: int | None, n: int, _events: object) -> int:
        if samples and n > 0:
            chunks.append(ctypes.string_at(samples, 2 * n))
        return 0

    library.espeak_SetSynthCallback(receive)
    lengths = []
    with open(out, "wb") as file:
        for text, voice, speed, pitch, pitch_range in utterances:
            set_voice(library, voice)
            for parameter, value in ((SPEED, speed), (PITCH, pitch), (RANGE, pitch_range)):
                library.espeak_SetParameter(parameter, value, 0)
            encoded = text.encode() + b"\0"
            status = library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded)), 0, 1, 0, UTF8, None, None)
            if status != 0 or library.espeak_Synchronize() != 0:
                sys.exit(f"espeak-ng must be able to say {text!r} as {voice}")
            lengths.append(sum(map(len, chunks)) // 2)
            file.writelines(chunks)
            chunks.clear()
    return lengths


def phonemes(library: ctypes.CDLL, texts: list[str], voices: list[str]) -> list[list[list[str]]]:
    """Pronunciation of every text in every voice, without stress marks."""
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    result = []
    for voice in voices:
        set_voice(library, voice)
        row = []
        for text in texts:
            buffer = ctypes.create_string_buffer(text.encode())
            position = ctypes.c_void_p(ctypes.addressof(buffer))
            spoken = []
            while position.value:  # the engine moves it past one clause a call, to null at the end
                clause = library.espeak_TextToPhonemes(ctypes.byref(position), UTF8, ord("_") << 8 | IPA) or b""
                spoken += clause.decode().replace(" ", "_").split("_")
            row.append([name for name in (part.strip(STRESS) for part in spoken) if name])
        result.append(row)
    return result


def main() -> None:
    """Do the task on standard input."""
    task = json.load(sys.stdin)
    library = initialize()
    if task["task"] == "speak":
        answer = {"version": library.version, "lengths": speak(library, task["utterances"], task["out"])}
    else:
        answer = {"version": library.version, "phonemes": phonemes(library, task["texts"], task["voices"])}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
