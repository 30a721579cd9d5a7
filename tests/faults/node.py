"""A local node as faults see it: its namespaces, and the processes in them by what they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Process(NamedTuple):
    """One process: its pid here and (`inner`) in its own pid namespace, its parent here, and what names it for good."""

    pid: int
    inner: int
    parent: int
    started: str
    argv: tuple[str, ...]

    @property
    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        fields = _stat(self.pid)
        return bool(fields) and fields[19] == self.started and fields[0] not in ("Z", "X")

    @property
    def state(self) -> str:
        """The kernel's letter for what it does: "T" is stopped; "" when it is gone."""
        fields = _stat(self.pid)
        return fields[0] if fields and fields[19] == self.started else ""

    @property
    def rss_kib(self) -> int:
        """Its resident memory in KiB; 0 when it is gone."""
        for line in _text(self.pid, "status").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0

    def variable(self, name: str) -> str:
        """A variable of the environment it was started with; "" if it has none."""
        found = [entry for entry in _text(self.pid, "environ").split("\0") if entry.startswith(f"{name}=")]
        return found[0].partition("=")[2] if found else ""


class FaultyNode:
    """The node whose folder is `folder`, through any number of incarnations: nothing of one is remembered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.id = folder.name

    def __repr__(self) -> str:
        return f"FaultyNode({self.id})"

    @property
    def state(self) -> dict[str, Any]:
        """What the local cloud keeps of it."""
        told: dict[str, Any] = json.loads((self.folder / "node.json").read_text())
        return told

    @property
    def address(self) -> str:
        """Its address in the cluster's network."""
        return str(self.state["address"])

    @property
    def home(self) -> Path:
        """Its user's home: the same path in the node and here."""
        return self.folder / "home"

    @property
    def server(self) -> Process | None:
        """Process 1 of the node, its SSH server; None while the node is dead."""
        try:
            state = self.state
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        found = about(int(state["pid"]))
        return found if found is not None and found.started == state["pid_started"] else None

    def processes(self) -> list[Process]:
        """All that runs in the node, itself included."""
        server = self.server
        space = _space(server.pid) if server is not None else ""
        found = [about(pid) for pid in pids() if space and _space(pid) == space]
        return [process for process in found if process is not None and process.alive]

    def keeper(self) -> Process | None:
        """The keeper, which has the job table open; on the head alone."""
        return next((process for process in self._keepers() if _opened(process.pid, "jobs.db")), None)

    def watch(self) -> Process | None:
        """The process that starts the keeper again when it dies; on the head alone."""
        keeper, named = self.keeper(), self._keepers()
        others = [process for process in named if keeper is None or process.pid != keeper.pid]
        return next((each for each in others if each.parent not in {process.pid for process in named}), None)

    def daemons(self) -> list[Process]:
        """The supervisors of ranks that run here, one daemon a rank."""
        inner = {process.inner: process for process in self.processes()}
        return [inner[pid] for pid in self._daemon_pids() if pid in inner]

    def wardens(self) -> list[Process]:
        """The wardens of those."""
        daemons = {process.pid for process in self.daemons()}
        return [each for each in self.processes() if each.parent in daemons and not each.variable("SKYRIG_RANK_DIR")]

    def ranks(self, uid: str = "") -> list[Process]:
        """Processes of jobs: entry scripts and all that they started; those of the job with this `uid` alone."""
        folder = f"{self.home}/.skyrig/jobs/{uid}/" if uid else f"{self.home}/.skyrig/jobs/"
        return [each for each in self.processes() if each.variable("SKYRIG_RANK_DIR").startswith(folder)]

    def seen_from_inside(self, path: Path) -> Path:
        """How a file of the node, by its path there, is reached from here, also where the node mounted over it.
        ProcessLookupError where the node is dead."""
        server = self.server
        if server is None:
            raise ProcessLookupError(f"{self.id} is dead")
        return Path(f"/proc/{server.pid}/root") / path.relative_to("/")

    def run(self, *command: str, spaces: str = "mn", check: bool = True) -> str:
        """Run one of the host's programs in namespaces of the node (`m`ount, `n`et, `p`id); its output. Errors are
        CalledProcessError; where `check` is false they are passed over."""
        server = self.server
        if server is None:
            if check:
                raise ProcessLookupError(f"{self.id} is dead")
            return ""
        kinds = [f"-{kind}" for kind in spaces]
        own = [] if os.geteuid() == 0 else ["-U", "--preserve-credentials"]
        words = ["nsenter", "-t", str(server.pid), *own, *kinds, "--", *command]
        return subprocess.run(words, capture_output=True, text=True, check=check, timeout=20).stdout

    def _daemon_pids(self) -> list[int]:
        if self.server is None:
            return []
        found = []
        for lock in self.seen_from_inside(self.home / ".skyrig" / "jobs").glob("*/*/daemon.lock"):
            try:
                found.append(int(lock.read_text() or 0))
            except (OSError, ValueError):
                continue  # being made, or gone meanwhile
        return found

    def _keepers(self) -> list[Process]:
        return [process for process in self.processes() if _names_keeper(process)]


def nodes_of(home: Path, stack: str) -> dict[str, FaultyNode]:
    """The nodes of a stack by id, with SKYRIG_HOME at `home`. Skips the test where they have no namespaces of their
    own, or this machine lacks the programs that the faults use."""
    need("nsenter", "ip")
    found = {path.parent.name: FaultyNode(path.parent) for path in sorted((home / "local" / stack).glob("*/node.json"))}
    if any(node.state["level"] != "namespaces" for node in found.values()):
        pytest.skip("nodes have no namespaces of their own on this machine")
    return found


def need(*programs: str) -> None:
    """Skip the test where one of these programs is missing."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"the program {program} is not installed here")


def pids() -> list[int]:
    """Every process of this machine."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 (Path is slower, and called often)


def about(pid: int) -> Process | None:
    """The process that has this pid here now; None if there is none."""
    fields, argv = _stat(pid), _text(pid, "cmdline").split("\0")[:-1]
    if not fields:
        return None
    inner = [line.split()[-1] for line in _text(pid, "status").splitlines() if line.startswith("NSpid:")]
    return Process(pid, int(inner[0]) if inner else pid, int(fields[1]), fields[19], tuple(argv))


def descendants(pid: int) -> list[Process]:
    """All processes that descend from `pid`, which is not among them."""
    table = [process for process in map(about, pids()) if process is not None]
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        children = [process for process in table if process.parent == parent]
        found += children
        todo += [child.pid for child in children]
    return found


def _names_keeper(process: Process) -> bool:
    return "skyrig.launch.keeper" in process.argv


def _opened(pid: int, name: str) -> bool:
    """Whether a process has a file of this name open."""
    try:
        return any(os.readlink(entry).endswith(f"/{name}") for entry in Path(f"/proc/{pid}/fd").iterdir())  # noqa: PTH115
    except OSError:
        return False


def _space(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")  # noqa: PTH115 (the text, not a path)
    except OSError:
        return ""


def _text(pid: int, what: str) -> str:
    try:
        return Path(f"/proc/{pid}/{what}").read_text(errors="surrogateescape")
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; empty when there is no such process."""
    return _text(pid, "stat").rpartition(")")[2].split()
