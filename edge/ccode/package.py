# SPDX-License-Identifier: Apache-2.0
"""The folder that ``ormia emit c`` writes: the generated files as the user's build system wants them, an example and a README with the footprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import TargetError, UsageError
from ..files import make_folder, write_whole
from ..network import SEMANTICS_VERSION, Network
from .codes import API_VERSION, MEANINGS
from .emit import Sources
from .template import load_template, render

__all__ = ["PACKAGES", "Package", "footprint", "package_files", "write_package"]


def footprint(net: Network, sources: Sources) -> dict[str, object]:
    """Sizes and identity of generated C, as plain JSON."""
    return {
        "name": net.name,
        "digest": sources.digest,
        "semantics": SEMANTICS_VERSION,
        "n_inputs": net.n_inputs,
        "n_neurons": net.n_neurons,
        "n_axons": net.n_axons,
        "n_synapses": net.n_synapses,
        "n_classes": net.n_classes,
        "state_bytes": sources.state_bytes,
        "flash_bytes": sources.flash_bytes,
        "shares": {name: {"state_bytes": state, "flash_bytes": flash} for name, (state, flash) in sources.shares.items()},
        "table_bytes": dict(sources.table_bytes),
        "boolean": sources.boolean,
    }


def boolean_sentence(sources: Sources) -> str:
    """How boolean axons are stored, in words; empty without any."""
    if sources.boolean is None:
        return ""
    found: Any = sources.boolean
    forms = [f"{form['axons']} as {what} ({form['synapses']} synapses, {form['bytes']} bytes)" for name, what in FORMS.items() if (form := found.get(name))]
    taken = found["bytes"]
    return (
        f"Axons whose weights are all equal: {' and '.join(forms)}; {taken['chosen']} bytes with what finds them, "
        f"against {taken['bitmap']} as bitmaps alone and {taken['list']} as lists alone."
    )


FORMS = {"bitmap": "bitmaps, one bit a connection", "list": "lists of targets without weights"}
SHARE_NAMES = {"network": "network", "front_end": "front end", "detector": "detector"}


@dataclass(frozen=True)
class Package:
    """How a build system wants its files.

    Attributes
    ----------
    headers, sources : str
        Folders of the generated files.
    files : mapping of str to str
        Path in the folder, in which $prefix is replaced, to name of a template.
    build, example, verify, use : str
        Commands that build and start the example and that run the self test, and a sentence on how to use the folder; $prefix is replaced.
    listens : bool
        Whether its example is for audio alone.
    """

    headers: str
    sources: str
    files: Mapping[str, str]
    build: str
    example: str
    verify: str
    use: str
    listens: bool = False


STRICT = "cc -std=c99 -Wall -Wextra -Wconversion -Werror -DORMIA_SELFTEST"
SELFTEST = f"{STRICT} -Iinclude -o selftest extras/selftest.c src/$prefix.c && ./selftest && echo passed"
PACKAGES = {
    "plain": Package(
        "", "", {"example_main.c": "example"},
        "cc -std=c99 -O2 -o example example_main.c $prefix.c", "./example",
        f"{STRICT} -o example example_main.c $prefix.c && ./example < /dev/null",
        "Add `$prefix.c` to your sources.",
    ),
    "cmake": Package(
        "include/", "src/", {"CMakeLists.txt": "cmake.txt", "example/main.c": "example", "extras/selftest.c": "selftest_main.c"},
        "cmake -S . -B build && cmake --build build", "build/${prefix}_example",
        "cmake -S . -B build -DORMIA_SELFTEST=ON && cmake --build build && ctest --test-dir build --output-on-failure",
        "In your project: `add_subdirectory($prefix)` and `target_link_libraries(firmware PRIVATE $prefix)`.",
    ),
    "arduino": Package(
        "src/", "src/", {"library.properties": "arduino.properties", "examples/Listen/Listen.ino": "arduino.ino", "extras/selftest.c": "selftest_main.c"},
        "", "", SELFTEST.replace("-Iinclude", "-Isrc"),
        "Put the folder among your sketchbook's libraries, or `arduino-cli lib install --zip-path` a zip of it; then open the example Listen.",
        listens=True,
    ),
    "platformio": Package(
        "include/", "src/",
        {
            "library.json": "platformio.json", "examples/listen/platformio.ini": "platformio.ini", "examples/listen/main.c": "example",
            "extras/selftest.c": "selftest_main.c",
        },
        "pio run -d examples/listen", "examples/listen/.pio/build/native/program", SELFTEST,
        "In your platformio.ini: `lib_deps = symlink://path/to/this/folder`.",
        listens=True,
    ),
    "zephyr": Package(
        "include/", "src/",
        {
            "zephyr/module.yml": "zephyr_module.yml", "CMakeLists.txt": "zephyr_cmake.txt", "Kconfig": "zephyr_kconfig.txt",
            "samples/listen/CMakeLists.txt": "zephyr_sample_cmake.txt", "samples/listen/prj.conf": "zephyr_prj.conf",
            "samples/listen/sample.yaml": "zephyr_sample.yaml", "samples/listen/src/main.c": "zephyr_sample.c", "extras/selftest.c": "selftest_main.c",
        },
        "", "", SELFTEST,
        "A module: `west build -b BOARD samples/listen`, or add the folder to ZEPHYR_EXTRA_MODULES and CONFIG_$MACRO=y to your prj.conf.",
        listens=True,
    ),
}  # fmt: skip
NOTES = {
    "example": "a small program around it",
    "selftest_main.c": "runs the self test on this machine",
    "arduino.ino": "an example: keywords from the board's microphone",
    "zephyr_sample.c": "an example: keywords from the board's microphone",
}


def package_files(net: Network, sources: Sources, kind: str = "plain") -> dict[str, str]:
    """Path in the folder to text, of the whole folder.

    Raises
    ------
    UsageError
        For a kind that is none of ``PACKAGES``.
    TargetError
        For a network that takes no audio, where the example of the kind needs it.
    """
    if kind not in PACKAGES:
        raise UsageError(f"--package must be one of {', '.join(PACKAGES)}, not {kind!r}")
    package = PACKAGES[kind]
    if package.listens and not sources.hears:
        raise TargetError(f"a package for {kind} must be of a network that takes audio, and {net.name!r} does not: use --package plain or cmake")
    names = {"prefix": sources.prefix, "MACRO": sources.macro}
    example = "example_audio.c" if sources.hears else "example_main.c"
    paths = {render(path, names): example if name == "example" else name for path, name in package.files.items()}
    values: dict[str, object] = {
        **footprint(net, sources),
        **names,
        "version": f"{API_VERSION}.{SEMANTICS_VERSION}.0",
        "table_rows": "\n".join(f"| `{name}` | {size} |" for name, size in sources.table_bytes.items()),
        "share_rows": "\n".join(f"| {SHARE_NAMES[name]} | {state} | {flash} |" for name, (state, flash) in sources.shares.items()),
        "stored": boolean_sentence(sources),
        "hears": sources.hears,
        "detects": sources.detects,
        "deaf": not sources.hears and net.metadata.get("front_end") is not None,
        "sample_rate": net.metadata["front_end"]["sample_rate"] if sources.hears else 0,
        "code_rows": "\n".join(f"| `{code.c_name}` ({int(code)}) | {meaning} |" for code, meaning in MEANINGS.items()),
        **{name: render(getattr(package, name), names) for name in ("build", "example", "verify", "use")},
    }
    rows = [
        f"| `{package.sources}{sources.prefix}.c`, `{package.headers}{sources.prefix}.h` | the network |",
        f"| `{package.headers}ormia.h` | common to all generated networks: return codes, event type, options |",
        *(f"| `{path}` | {note} |" for path, name in package.files.items() if (note := NOTES.get(name))),
    ]
    values["file_rows"] = "\n".join(render(row, names) for row in rows)
    return {
        **{f"{package.sources if name.endswith('.c') else package.headers}{name}": text for name, text in sources.files.items()},
        **{path: render(load_template(name), values) for path, name in paths.items()},
        "README.md": render(load_template("README.md"), values),
    }


def write_package(net: Network, sources: Sources, output: Path, kind: str = "plain") -> list[Path]:
    """Write the folder, each file whole; nothing else in it is touched.

    Raises
    ------
    DataError
        If ``output`` cannot be a folder or be written.
    UsageError, TargetError
        As of ``package_files``.
    """
    files = package_files(net, sources, kind)
    for folder in dict.fromkeys([output, *((output / name).parent for name in files)]):
        make_folder(folder)
    for name, text in files.items():
        write_whole(output / name, text)
    return [output / name for name in files]
