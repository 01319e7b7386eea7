# SPDX-License-Identifier: Apache-2.0
"""Public names import, are documented, and their documented parameters are those of the signature; examples in docstrings run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("edge", "train", "hdl", "sim")
FILES = {
    ".".join(("ormia", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))
}
WITH_EXAMPLES = [name for name, path in FILES.items() if ">>> " in path.read_text()]
SAME_EVERYWHERE = {"rng", "seed", "progress"}  # need no words in every docstring
OF_A_FRAMEWORK = {"elaborate", "forward", "backward"}  # what Amaranth and torch call; the class says what it does


def load(name: str) -> ModuleType:
    """The module, or a skip where a third-party package is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("ormia"):
            raise
        pytest.skip(f"{missing.name} is not installed")


def public(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Public functions and classes that ``module`` defines, and the public methods of those classes."""
    for name, thing in vars(module).items():
        if name.startswith("_") or not (inspect.isfunction(thing) or inspect.isclass(thing)) or thing.__module__ != module.__name__:
            continue
        yield name, thing
        if inspect.isclass(thing):
            for part, member in vars(thing).items():
                member = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
                if inspect.isfunction(member) and not part.startswith("_") and part not in OF_A_FRAMEWORK and member.__module__ == module.__name__:
                    yield f"{name}.{part}", member


def documented_parameters(docstring: str) -> tuple[list[str], str] | None:
    """Names before the colon of each entry of the section Parameters, and its entry lines; None without the section."""
    found = re.search(r"^Parameters\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}$|\Z)", inspect.cleandoc(docstring), re.MULTILINE | re.DOTALL)
    if found is None:
        return None
    lines = re.findall(r"^\S.*$", found[1], re.MULTILINE)
    names = [name.strip().lstrip("*") for line in lines if " : " in line for name in line.split(" : ")[0].split(",")]
    return names, "\n".join(lines)


def parameter_faults(name: str, thing: object) -> list[str]:
    """Documented parameters that the signature lacks, and the reverse but for ``SAME_EVERYWHERE``."""
    stated = documented_parameters(thing.__doc__ or "")
    if stated is None:
        return []
    names, lines = stated
    taken = [parameter for parameter in inspect.signature(thing).parameters if parameter not in ("self", "cls")]
    faults = [f"{name} documents {given!r}, which it does not take" for given in names if given not in taken]
    return faults + [
        f"{name} does not document {parameter!r}"
        for parameter in taken
        if parameter not in SAME_EVERYWHERE and not re.search(rf"\b{re.escape(parameter)}\b", lines)
    ]


@pytest.mark.parametrize("name", FILES)
def test_public_names_import_and_are_documented(name):
    module = load(name)
    assert (module.__doc__ or "").strip(), f"{name} has no docstring"
    assert [exported for exported in getattr(module, "__all__", []) if not hasattr(module, exported)] == []
    things = dict(public(module))
    assert [thing for thing in things if not inspect.getdoc(things[thing])] == []
    assert [fault for thing in things for fault in parameter_faults(thing, things[thing])] == []


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module_are_true(name):
    results = doctest.testmod(load(name))
    assert results.attempted > 0
    assert results.failed == 0


def test_a_wrong_docstring_would_be_noticed():
    def two(first, second):
        """Do.

        Parameters
        ----------
        first, third : int
            Numbers.

        Returns
        -------
        second : int
            No parameter.
        """

    assert parameter_faults("two", two) == ["two documents 'third', which it does not take", "two does not document 'second'"]
