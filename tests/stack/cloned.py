"""Clones of the whole project that share one SKYRIG_HOME, and the looks at what is really there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skyrig import places
from skyrig.fleet.local import processes

ROOT = Path(__file__).parents[2]
BIN = Path(sys.prefix) / "bin"
LIMIT_S = 300.0


class Site:
    """A SKYRIG_HOME in `folder`, with as many clones as a test makes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "SKYRIG_"))}
        self.env = {
            **kept,
            "SKYRIG_HOME": str(self.home),
            "SKYRIG_CACHE": str(places.cache()),
            "SKYRIG_SSH_CONFIG": "",
            "PULUMI_HOME": str(folder / "pulumi"),
            "PATH": f"{BIN}:{kept['PATH']}",
        }

    def clone(self, name: str = "one") -> Clone:
        """The clone of that name; made where it is not there."""
        root = self.folder / name
        if not root.exists():
            (root / "stacks").mkdir(parents=True)
            for file in ("Pulumi.yaml", "tasks.py", "invoke.yaml", "stacks/__main__.py"):
                shutil.copy(ROOT / file, root / file)
        return Clone(self, root)

    def nodes(self, stack: str) -> dict[str, int]:
        """Node folders of a stack on this disk by node id, with the process of each that lives, else 0."""
        found = {}
        for folder in (self.home / "local" / stack).glob("[!.]*"):
            try:
                pid = int(json.loads((folder / "node.json").read_text())["pid"])
            except (FileNotFoundError, ValueError):
                pid = 0
            found[folder.name] = 0 if pid and processes.gone(pid) else pid
        return found

    def servers(self, stack: str) -> int:
        """How many node servers of the stack run, known to anybody or not."""
        return len(self._having(b"skyrig.fleet.local.server", f"/local/{stack}/".encode()))

    def plugins(self) -> list[int]:
        """What is left running of engines, language hosts and providers that work on this site."""
        return self._having(b"pulumi", b"") + self._having(b"skyrig.fleet.local\0", b"")

    def state(self, stack: str) -> dict[str, Any]:
        """The engine's snapshot."""
        file = self.home / "state" / ".pulumi" / "stacks" / "skyrig" / f"{stack}.json"
        return json.loads(file.read_text())["checkpoint"]["latest"] or {}

    def close(self) -> None:
        """End every process of this site, and its nodes with them."""
        mine = [*processes.having("SKYRIG_HOME", str(self.home)), *self._having(str(self.home).encode(), b"")]
        for pid in mine:
            processes.kill(pid)

    def _having(self, one: bytes, other: bytes) -> list[int]:
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            pid = int(entry.name)
            try:
                words, variables = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            except OSError:
                continue
            if pid == os.getpid() or processes.gone(pid) or one not in words or other not in words:
                continue
            if str(self.home).encode() in variables + words:
                found.append(pid)
        return found


class Clone:
    """One clone: a folder with the project's files and configs of its own."""

    def __init__(self, site: Site, root: Path) -> None:
        self.site = site
        self.root = root

    def config(self, stack: str) -> Path:
        """The stack's config in this clone."""
        return self.root / "stacks" / f"Pulumi.{stack}.yaml"

    def start(self, program: str, *words: str, **more: Any) -> subprocess.Popen[str]:
        """Start `invoke` or `pulumi` in this clone, in a process group of its own; both streams into one pipe."""
        return subprocess.Popen(
            [str(BIN / program), *words],
            cwd=self.root,
            env=self.site.env | more.pop("env", {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
            **more,
        )

    def run(self, program: str, *words: str, code: int | None = 0, **more: Any) -> str:
        """Run `invoke` or `pulumi` to its end; what it said. `code` is the exit code that is expected (None: any)."""
        running = self.start(program, *words, **more)
        try:
            said, _ = running.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            raise
        assert code is None or running.returncode == code, f"{program} {words}: {running.returncode}\n{said}"
        return said

    def pulumi(self, verb: str, stack: str, *words: str, code: int | None = 0) -> str:
        """A plain pulumi command that asks nothing."""
        return self.run("pulumi", verb, "--stack", stack, "--non-interactive", *words, code=code)

    def up(self, stack: str, nodes: int | None = None, *, code: int | None = 0) -> str:
        """`invoke up`."""
        return self.run("invoke", "up", "-c", stack, *(["--nodes", str(nodes)] if nodes else []), code=code)

    def down(self, stack: str, *, code: int | None = 0) -> str:
        """`invoke down`."""
        return self.run("invoke", "down", "-c", stack, "-y", code=code)


def until(condition: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    """Wait for a condition; what it returned."""
    deadline = time.monotonic() + seconds
    while not (met := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)
    return met
