"""For people who work on Skyrig, in a clone: test, bench and lint."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from skyrig import places
from skyrig.cli.verb import Values, flag, notify, verb
from skyrig.errors import BadInput


@verb("test", [flag("soak", "the tests of full length too", kind=bool)], takes_rest=True)
def test(values: Values) -> int:
    """Run the tests, side by side; arguments after `--` are pytest's."""
    workers = min(4, (os.cpu_count() or 1) + 2)  # tests wait a good deal of their time
    side_by_side = ["-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"]
    if importlib.util.find_spec("xdist") is None:
        side_by_side = []
    soak = ["--soak"] if values.switch("soak") else []
    return _run("pytest", *side_by_side, *soak, *values.rest)


@verb("bench", takes_rest=True)
def bench(values: Values) -> int:
    """Measure Skyrig beside its peers; arguments after `--` go to the bench (`-- --help` lists them)."""
    return _run("python", "-m", "bench.launch", *values.rest)


@verb("lint")
def lint(values: Values) -> int:
    """Check style, types and the one-way imports; all checks run, also after a failure."""
    checks = (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",), ("lint-imports",))
    return max([_run(*check) for check in checks])


def _run(program: str, *arguments: str) -> int:
    """One program of this environment, in the clone; its exit code."""
    root = places.shipped()
    file = Path(sys.prefix) / "bin" / program
    if not file.exists():
        raise BadInput(f"{program} is not installed", hint="./rig test and ./rig lint bring what they need")
    notify(f"$ {' '.join([program, *arguments])}")
    return subprocess.run([str(file), *arguments], cwd=root).returncode
