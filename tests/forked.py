"""The doors for hundreds of short command lines: each runs in a fork of one process that has imported what they import,
which takes most of their time.

As a program it is that process: it reads a command line from each line of its input and prints the exit code of each.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MODULES = {"invoke": "invoke", "skyrig": "skyrig.cli"}
IMPORTED = (
    "invoke.program",
    "skyrig.cli.collection",
    "skyrig.cli.program",
    "skyrig.launch.client",
    "skyrig.serving",
    "skyrig.task.reading",
    "skyrig.verbs",
)


class Forker:
    """That process, seen from the tests. What it runs has its own folder, environment and outputs."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp())
        self._turn = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(
        self, door: str, words: Sequence[str], folder: Path, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """One command line through a door, without a terminal."""
        out, err = self._folder / "out", self._folder / "err"
        asked = {"module": MODULES[door], "words": words, "folder": str(folder), "env": dict(env)}
        assert self._process.stdin and self._process.stdout
        with self._turn:
            self._process.stdin.write(json.dumps({**asked, "out": str(out), "err": str(err)}) + "\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            said = [file.read_text(errors="surrogateescape") for file in (out, err)]
        return subprocess.CompletedProcess([door, *words], code, *said)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(20)
        shutil.rmtree(self._folder)


@functools.cache
def forker() -> Forker:
    """One for all tests of this process."""
    made = Forker()
    atexit.register(made.close)
    return made


def serve() -> None:
    """Run what is asked for, one after the other."""
    for name in IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(asked: Mapping[str, Any]) -> None:
    """`python -m MODULE WORDS` in that folder and environment; does not return."""
    for number, path in ((0, os.devnull), (1, asked["out"]), (2, asked["err"])):
        os.dup2(os.open(path, os.O_RDONLY if not number else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.path[0] = asked["folder"]
    sys.argv[1:] = asked["words"]
    code: object = 0
    try:
        runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001  (as the interpreter does, whatever it is)
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    serve()
