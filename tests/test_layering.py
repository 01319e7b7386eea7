# SPDX-License-Identifier: Apache-2.0
"""The import rule: edge imports nothing of ours, train and hdl import edge, sim imports edge and hdl, heavy packages stay in their folder."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {"edge": set(), "train": {"edge"}, "hdl": {"edge"}, "sim": {"edge", "hdl"}}
# third-party package -> the only folders that may import it, anywhere in a file
HEAVY = {
    "numba": ["edge", "train"],  # the runtime's kernels; those of training
    "torch": ["train"],
    "tensorboard": ["train"],
    "espeakng_loader": ["train"],
    "gymnasium": ["train/ec"],
    "h5py": ["train/events"],
    "amaranth": ["hdl", "sim"],  # sim reads the ports of the components it drives
    "amaranth_boards": ["hdl"],
    "cocotb": ["sim"],
    "cocotb_tools": ["sim"],
    "matplotlib": ["edge/report", "train/hrmas", "train/timescales"],  # the report; plots of searches
    "optuna": ["train/timescales"],
    "jinja2": ["edge/report"],
}
# what neither `ormia --help` nor the modules of its commands load
SLOW = ["torch", "numba", "amaranth", "cocotb", "matplotlib", "scipy", "jinja2", "tensorboard", "gymnasium", "h5py", "optuna"]


def imports(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Line and absolute name of every module that ``source`` imports, at any depth, by statement or by ``import_module``.

    ``package`` is the dotted package that holds the module, against which relative imports are resolved.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__"):
                target = node.args[0].value
                yield node.lineno, importlib.util.resolve_name(target, package) if target.startswith(".") else target


def violations(root: Path) -> list[str]:
    """Every import in the folders of ``root``, a tree of the package, that breaks the rule."""
    found = []
    for folder, allowed in MAY_IMPORT.items():
        for path in sorted((root / folder).rglob("*.py")):
            inside = path.relative_to(root)
            for line, name in imports(path.read_text(), ".".join(("ormia", *inside.parent.parts))):
                parts = name.split(".")
                ours = parts[1] if parts[0] == "ormia" and len(parts) > 1 else parts[0]
                if (parts[0] == "ormia" or ours in MAY_IMPORT) and ours != folder and ours not in allowed:
                    found.append(f"{inside}:{line} imports {name}")
                homes = HEAVY.get(parts[0], [])
                if homes and not any(inside.is_relative_to(home) for home in homes):
                    found.append(f"{inside}:{line} imports {name}, which belongs to {', '.join(homes)}")
    return found


def test_every_import_points_where_the_rule_allows():
    assert len(list((ROOT / "edge").rglob("*.py"))) > 10
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("edge/a.py", "from ..train.model import Model"),
        ("edge/a.py", "from .. import hdl"),
        ("edge/a.py", "def f():\n    import ormia.train"),
        ("edge/a.py", "import train"),
        ("edge/a.py", "from ormia import sim"),
        ("edge/a.py", "import importlib\nimportlib.import_module('ormia.train.commands')"),
        ("edge/ccode/a.py", "from ...hdl import words"),
        ("edge/ccode/a.py", "from importlib import import_module\nimport_module('...hdl.words', __package__)"),
        ("train/a.py", "from ..hdl.core import Core"),
        ("train/corpora/a.py", "from ...sim import runner"),
        ("hdl/a.py", "if True:\n    from ..sim.driver import Driver"),
        ("hdl/a.py", "from ..train import model"),
        ("sim/a.py", "from ..train import model"),
        ("sim/a.py", "import numba"),
        ("edge/a.py", "import torch"),
        ("edge/a.py", "def f():\n    from torch.nn import Module"),
        ("hdl/a.py", "import numba"),
        ("train/a.py", "import amaranth.hdl"),
        ("hdl/a.py", "import cocotb"),
        ("edge/a.py", "import matplotlib.pyplot as plt"),
    ],
)
def test_a_planted_violation_is_found(place, source, tmp_path):
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text(source)
    assert len(violations(tmp_path)) == 1


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("edge/ccode/a.py", "from ..network import Network\nfrom . import layout\nimport numba"),
        ("train/a.py", "from ..edge.network import Network\nimport torch, numpy"),
        ("hdl/a.py", "from ..edge import network\nimport amaranth"),
        ("sim/a.py", "from ..edge import network\nfrom ..hdl.core import Core\nimport cocotb"),
        ("edge/report/a.py", "def f():\n    import matplotlib"),
    ],
)
def test_an_allowed_import_is_no_violation(place, source, tmp_path):
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text(source)
    assert violations(tmp_path) == []


COMMANDS = sorted({e.module for group in ("ormia.commands", "ormia.emitters", "ormia.searches") for e in entry_points(group=group)} | {"ormia.edge.cli"})


@pytest.mark.parametrize("module", COMMANDS)
def test_the_module_of_a_command_loads_nothing_slow(module):
    if not ROOT.joinpath(*module.split(".")[1:]).with_suffix(".py").exists():
        pytest.skip(f"{module} is not written yet")
    script = f"import sys, {module}; sys.stdout.write(' '.join(m for m in {SLOW!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_slow_module_would_be_noticed():
    script = f"import sys, numba; sys.stdout.write(' '.join(m for m in {SLOW!r} if m in sys.modules))"
    assert "numba" in subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True).stdout.split()
