"""Killing engine runs at chosen moments, and what must be true after the next `invoke up`."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from attrs import field, frozen
from cloned import Clone, Site, until

from skyrig.fleet.local import processes

VARIANTS = ("engine", "group", "client")
ACTIONS = ("first", "grow", "shrink", "down")
STACK = "cut"


@frozen
class Cut:
    """One kill: of what (`variant`), during what (`action`), and when: `at` is a share of the time that an engine run
    took before; below 0 it is the moment after the first node was started, before the state says so."""

    variant: str
    action: str
    at: float


@frozen
class Cutter:
    """A stack of `site` whose runs are killed. `took` holds how long each whole engine run took, in seconds."""

    site: Site
    clone: Clone
    took: list[float] = field(factory=lambda: [2.0])

    def cut(self, cut: Cut) -> str:
        """Start the action, kill at the moment, and wait for the client's end; what the client said."""
        before = self.site.nodes(STACK)
        running = self._begin(cut)
        engine = until(lambda: self.engine() or (-1 if running.poll() is not None else 0), "the engine runs")
        if engine > 0:
            self._await(cut.at, engine, before)
            self._kill(cut.variant, engine, running)
        said, _ = running.communicate(timeout=300)
        return said

    def engine(self) -> int:
        """Process of the engine that changes the stack now; 0 where there is none."""
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if (entry / "comm").read_text() != "pulumi\n" or b"/bin/sh" in words[0] or STACK.encode() not in words:
                    continue
                mine = f"SKYRIG_HOME={self.site.home}".encode() in (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if mine and {b"up", b"destroy"} & set(words) and not processes.gone(int(entry.name)):
                return int(entry.name)
        return 0

    def recover(self) -> str:
        """`invoke up`, with a look at how long its engine took; what it said."""
        running = self.clone.start("invoke", "up", "-c", STACK)
        engine = until(lambda: self.engine() or (-1 if running.poll() is not None else 0), "the engine runs")
        started = time.monotonic()
        until(lambda: processes.gone(engine) if engine > 0 else True, "the engine ends")
        self.took.append(time.monotonic() - started)
        said, _ = running.communicate(timeout=300)
        assert running.returncode == 0, said
        return said

    def check(self, wanted: int) -> None:
        """Exactly the wanted nodes run, by processes, folders and state; nothing else is left, and nothing blocks."""
        ids = {f"n{number}" for number in range(wanted)}
        nodes = self.site.nodes(STACK)
        assert set(nodes) == ids and all(nodes.values()), nodes
        assert self.site.servers(STACK) == wanted
        latest = self.site.state(STACK)
        known = [one["outputs"]["node"] for one in latest["resources"] if one["type"].endswith(":LocalNode")]
        assert {one["node_id"]: one["pid"] for one in known} == nodes
        assert not latest.get("pending_operations")
        until(lambda: not self.site.plugins(), f"no plugin of an engine is left: {self.site.plugins()}", 90)
        assert not list((self.site.home / "state" / ".pulumi" / "locks").rglob("*.json"))

    def _begin(self, cut: Cut) -> subprocess.Popen[str]:
        count = {"first": 2, "grow": 4, "shrink": 2, "down": 0}[cut.action]
        if not count:
            return self.clone.start("invoke", "down", "-c", STACK, "-y")
        if cut.variant != "group":
            return self.clone.start("invoke", "up", "-c", STACK, "--nodes", str(count))
        lines = "".join(f"    - n{number}\n" for number in range(count))
        config = self.clone.config(STACK)
        salt = [line for line in config.read_text().splitlines() if "salt" in line] if config.exists() else []
        config.write_text("\n".join([*salt, "config:", "  skyrig:nodes:", lines]))
        return self.clone.start("pulumi", "up", "--stack", STACK, "--yes", "--skip-preview", "--non-interactive")

    def _await(self, at: float, engine: int, before: dict[str, int]) -> None:
        if at >= 0:
            deadline = time.monotonic() + at * self.took[-1]
            while time.monotonic() < deadline and not processes.gone(engine):
                time.sleep(0.002)
            return
        changed: Callable[[], bool] = lambda: {k for k, v in self.site.nodes(STACK).items() if v} > set(before)  # noqa: E731
        until(lambda: changed() or processes.gone(engine), "a node is started")

    def _kill(self, variant: str, engine: int, running: subprocess.Popen[str]) -> None:
        if variant == "client":
            os.kill(running.pid, signal.SIGKILL)
        elif variant == "engine":
            processes.kill(engine)
        else:
            for pid in [engine, *_children(engine)]:
                processes.kill(pid)


def cuts(seed: int, count: int) -> list[Cut]:
    """Random cuts that fit one after the other: from nothing, to 2, to 4, and back."""
    rng = random.Random(seed)
    made: list[Cut] = []
    nodes = 0
    for number in range(count):
        action = "first" if not nodes else rng.choice(("shrink", "down") if nodes == 4 else ("grow", "grow", "down"))
        variants = VARIANTS if action not in ("down", "first") else ("engine", "client")
        at = -1.0 if action in ("first", "grow") and rng.random() < 0.3 else (number % 5 + rng.random()) / 5
        made.append(Cut(rng.choice(variants), action, at))
        nodes = {"first": 2, "grow": 4, "shrink": 2, "down": nodes}[action]
    return made


def _children(pid: int) -> list[int]:
    """Processes that `pid` has started, and those that these have."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found
