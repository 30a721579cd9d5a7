"""The whole of Skyrig as a user meets it: commands in processes of their own, on a SKYRIG_HOME of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from forked import forker

from skyrig import places, standing
from skyrig.fleet.local import node
from skyrig.storage.local import server

ROOT = Path(__file__).parents[1]
BIN = Path(sys.prefix) / "bin"


class User:
    """Somebody with a clone, an activated environment and a data folder; `stack` is the cluster they work with."""

    def __init__(self, folder: Path, stack: str) -> None:
        self.home = folder / "home"
        self.clone = _clone(folder / "clone")
        self.stack = stack
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "SKYRIG_"))},
            "SKYRIG_HOME": str(self.home),
            "SKYRIG_CACHE": str(places.cache()),
            "SKYRIG_CATALOG": str(folder / "catalog"),
            "SKYRIG_SSH_CONFIG": "",
            "PULUMI_HOME": str(folder / "pulumi"),
            "PULUMI_STACK": stack,
            "PATH": f"{BIN}:{os.environ['PATH']}",
        }

    def command(self, *words: str) -> list[str]:
        """Arguments of one invoke call."""
        return [str(BIN / "invoke"), *words]

    def run(self, *words: str, check: int | None = 0, timeout: float = 120, **more: Any) -> Result:
        """Run one verb to its end; `check` is the exit code that is expected (None: any)."""
        started = time.monotonic()
        done = subprocess.run(
            self.command(*words),
            cwd=self.clone,
            env=self.env,
            capture_output=True,
            timeout=timeout,
            check=False,
            **more,
        )
        result = Result(done.returncode, done.stdout, done.stderr, time.monotonic() - started)
        assert check is None or result.code == check, result.told()
        return result

    def start(self, *words: str, stdout: int | IO[bytes] = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start one verb and leave it running; both its outputs go to `stdout`."""
        return subprocess.Popen(
            self.command(*words), cwd=self.clone, env=self.env, stdout=stdout, stderr=subprocess.STDOUT
        )

    def json(self, *words: str) -> Any:
        """The JSON that a verb prints. It runs in a fork of a process that is kept: tests look often."""
        done = forker().run("invoke", [*words, "--json"], self.clone, self.env)
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    def jobs(self) -> list[dict[str, Any]]:
        """Rows of `queue --json`."""
        rows: list[dict[str, Any]] = self.json("queue", "-c", self.stack)["jobs"]
        return rows

    def nodes(self) -> dict[str, dict[str, Any]]:
        """This stack's rows of `local.ls --json` by node name."""
        rows = self.json("local.ls")["nodes"]
        return {row["name"]: row for row in rows if row["cluster"] == self.stack}

    def processes(self, text: str) -> list[int]:
        """Pids of the processes whose command line holds `text`."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    if text.encode() in (entry / "cmdline").read_bytes():
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found


class Result:
    """What a command left: exit code, output, and how long it took."""

    def __init__(self, code: int, out: bytes, err: bytes, seconds: float) -> None:
        self.code = code
        self.out = out
        self.err = err
        self.seconds = seconds

    @property
    def lines(self) -> list[str]:
        """Lines of standard output."""
        return self.out.decode(errors="replace").splitlines()

    def told(self) -> str:
        """Everything, for a failed assertion."""
        out, err = self.out.decode(errors="replace"), self.err.decode(errors="replace")
        return f"exit {self.code}\n--- out\n{out}\n--- err\n{err}"


def _clone(folder: Path) -> Path:
    """The project as a folder of this user's own, so that stack config lands there: links, but for what is written."""
    (folder / "stacks").mkdir(parents=True)
    for entry in ROOT.iterdir():
        if entry.name not in ("stacks", "Pulumi.yaml") and not entry.name.startswith("."):
            (folder / entry.name).symlink_to(entry)
    shutil.copy(ROOT / "Pulumi.yaml", folder)
    shutil.copy(ROOT / "stacks" / "__main__.py", folder / "stacks")
    return folder


@contextmanager
def cluster_of(folder: Path, nodes: int, changed: Mapping[str, str | None] = {}) -> Iterator[User]:
    """A user with a cluster of CPU nodes that is up, in a stack of its own; taken away at the end of the block. Their
    environment is `changed`: None takes a variable out of it."""
    person = User(folder, f"t{os.getpid()}-{time.monotonic_ns() % 100000}")
    person.env = {name: value for name, value in (person.env | dict(changed)).items() if value is not None}
    try:
        person.run("up", "-c", person.stack, "--nodes", str(nodes))
        yield person
    finally:
        end_nodes(person.home)


def end_nodes(home: Path) -> None:
    """Take away what is left of local clusters and bucket servers in this SKYRIG_HOME, whatever became of them, and
    without the engine: it takes four seconds for each. A controller would make services' nodes anew: it goes first."""
    for name in ("controller.watch", "controller.lock"):
        if pid := standing.holder(home / "control" / name):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    for folder in (home / "local").glob("[!.]*"):
        node.stop_all(folder)
    for folder in (home / "storage").glob("[!.]*"):
        server.stop(folder)


def until(condition: Callable[[], Any], what: str, seconds: float = 90) -> Any:
    """Wait for a condition; what it returned."""
    deadline = time.monotonic() + seconds
    while not (met := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return met
