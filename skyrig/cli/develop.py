"""For people who work on Skyrig: test and lint."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from skyrig.cli.verb import Values, notify, verb
from skyrig.errors import BadInput


@verb("test", takes_rest=True)
def test(values: Values) -> int:
    """Run the tests, side by side; arguments after `--` are pytest's."""
    side_by_side = ["-n", str(min(4, os.cpu_count() or 1))] if importlib.util.find_spec("xdist") else []
    return _run("pytest", [*side_by_side, *values.rest])


@verb("lint")
def lint(values: Values) -> int:
    """Check style, types and the one-way imports; all checks run, also after a failure."""
    checks = [
        ("ruff", ["check", "."]),
        ("ruff", ["format", "--check", "."]),
        ("mypy", []),
        ("importlinter.cli", []),
    ]
    return max([_run(program, arguments) for program, arguments in checks])


def _run(module: str, arguments: list[str]) -> int:
    root = _clone()
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        raise BadInput(f"{module} is not installed", hint="./rig test and ./rig lint bring what they need")
    notify(f"$ python -m {module} {' '.join(arguments)}".rstrip())
    return subprocess.run([sys.executable, "-m", module, *arguments], cwd=root).returncode


def _clone() -> Path:
    root = Path(__file__).parents[2]
    if not (root / "tests").is_dir():
        raise BadInput("this Skyrig is installed, not cloned: its tests are not here", hint="clone it, then ./rig test")
    return root
