"""Seconds from a launch to the first process of its job, on a cluster that is new each time: with the task's setup, and
from an image in which the setup is. `python -m bench.image` makes wheels for it, so that it needs no network.

The setup is of the usual kind: a virtual environment, and pip installing packages into it out of a folder of wheels. By
default these are 7200 modules, about as many as torch, transformers and what they need have together, with the texts of
Python's own library, as dear to compile as any.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import itertools
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import record
from bench.figures import Figures

PACKAGES, MODULES = 24, 300
FIRST = "the first process"

_TASK = """\
name: imaged
resources: {{infra: local}}
file_mounts: {{~/wheels: {wheels}}}
setup: |
  set -e
  python -m venv ~/venv
  ~/venv/bin/python -m pip install --quiet --no-index --find-links ~/wheels $(cd ~/wheels && ls | sed 's/-.*//')
run: |
  echo {first}
  ~/venv/bin/python -c 'import made0; print(made0.__file__)'
"""

Run = Callable[..., float]
"""Runs a verb with these words; seconds until the first process said something, or to the end where it never does."""


def task(folder: Path, packages: int = PACKAGES, modules: int = MODULES) -> Path:
    """A task file in `folder`, with its wheels."""
    wheels = folder / "wheels"
    wheels.mkdir()
    for number in range(packages):
        _wheel(wheels, f"made{number}", modules)
    file = folder / "imaged.yaml"
    file.write_text(_TASK.format(wheels=wheels, first=FIRST))
    return file


def measure(run: Run, file: Path, rounds: int, clusters: str = "image-bench") -> Figures:
    """The times with and without an image, in the same rounds; nothing is left."""
    figures = Figures("launch on a new cluster to its first process", "with its setup")
    started = time.monotonic()
    run("image.build", clusters, str(file), "--infra", "local", "-y")
    figures.notes.append(f"building the image took {time.monotonic() - started:.1f} s, once")
    for number in range(rounds):
        for name, more in (("with its setup", ()), ("from its image", ("--image-id", f"skyrig:{clusters}"))):
            cluster = f"{clusters}-{number}"
            figures.add(name, run("launch", str(file), "-c", cluster, *more, "-y"))
            run("down", "-c", cluster, "-y")
    run("image.delete", clusters, "-y")
    return figures


def runner(env: Mapping[str, str], folder: Path) -> Run:
    """Runs verbs as a user does, in `folder` with `env`."""

    def run(*words: str) -> float:
        command = [str(Path(sys.prefix) / "bin" / "invoke"), *words]
        started, first, said = time.monotonic(), 0.0, []
        with subprocess.Popen(
            command, cwd=folder, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as going:
            assert going.stdout is not None
            for line in going.stdout:
                said.append(line)
                if FIRST in line and not first:
                    first = time.monotonic() - started
        if going.returncode:
            raise RuntimeError(f"{words[0]} ended with {going.returncode}\n{''.join(said)}")
        return first or time.monotonic() - started

    return run


def _wheel(folder: Path, name: str, modules: int) -> None:
    """A wheel that any installer takes, of modules that have something to compile."""
    texts = itertools.cycle(sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")))
    bodies = {f"{name}/m{number}.py": next(texts).read_text() for number in range(modules)}
    files = {f"{name}/__init__.py": "", **bodies}
    info = f"{name}-1.0.dist-info"
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    rows = []
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            rows.append(f"{path},sha256={digest},{len(text.encode())}")
        wheel.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,", ""]))


def main() -> None:
    """Measure in a SKYRIG_HOME of its own, and write the result down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--modules", type=int, default=MODULES)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="skyrig-image-"))
    try:
        env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")},
            "SKYRIG_HOME": str(folder / "home"),
            "SKYRIG_SSH_CONFIG": "",
            "PULUMI_HOME": str(folder / "pulumi"),
        }
        file = task(folder, modules=given.modules)
        figures = measure(runner(env, Path.cwd()), file, given.rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures.show()
    counts = {"packages": PACKAGES, "modules": PACKAGES * given.modules, "rounds": given.rounds}
    record.write("image", figures.outcome(), counts=counts)


if __name__ == "__main__":
    main()
