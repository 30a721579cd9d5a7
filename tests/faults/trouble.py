"""Carries out a plan of faults on a live cluster, and remembers what each of them struck."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence

from attrs import define
from user import User

from faults.cut import Cut
from faults.fault import Fault
from faults.fill import Full, NoDiskOfItsOwn
from faults.kill import Frozen, Killed, send
from faults.load import Load
from faults.node import FaultyNode, Process, descendants
from faults.plan import FaultPlan, Planned
from faults.slow import Slow

LOG_DISK = 64 * 1024 * 1024
"""Size of the disk that job folders lie on, bytes."""


@define
class Struck:
    """What a fault did: wall-clock times of its begin and end (0 while it lasts), and the job's folder name if it
    struck one job alone. `missed` says that there was nothing to strike."""

    planned: Planned
    begin: float
    end: float = 0.0
    uid: str = ""
    missed: bool = False
    note: str = ""


class Trouble:
    """Runs the faults of `plan`, each in a thread at its time. `prepare` is called for a node that was made anew."""

    def __init__(
        self,
        person: User,
        nodes: Sequence[FaultyNode],
        plan: FaultPlan,
        load: Load,
        prepare: Callable[[FaultyNode], None],
    ) -> None:
        self.struck: list[Struck] = []
        self.problems: list[str] = []
        self._person = person
        self._nodes = {node.id: node for node in nodes}
        self._head = nodes[0]
        self._plan = plan
        self._load = load
        self._prepare = prepare
        self._repairing = threading.Lock()
        self._known = {node.id: self._incarnation(node) for node in nodes}

    def run(self) -> None:
        """All of them; returns when the last one is over."""
        begin = time.monotonic()
        threads = []
        for planned in self._plan.faults:
            time.sleep(max(0.0, begin + planned.at - time.monotonic()))
            threads.append(threading.Thread(target=self._one, args=(planned,), daemon=True))
            threads[-1].start()
        time.sleep(max(0.0, begin + self._plan.length_s - time.monotonic()))
        for thread in threads:
            thread.join(90)

    def repair(self) -> None:
        """`up`, as a user runs it who saw that a node is gone."""
        with self._repairing:
            done = self._person.run("up", "-c", self._person.stack, "-y", check=None)
            if done.code != 0:
                self.problems.append(f"`up` ended with {done.code}: {done.err.decode(errors='replace')[-600:]}")
            for node in self._nodes.values():
                if node.server is not None and self._incarnation(node) != self._known[node.id]:
                    self._prepare(node)
                    self._known[node.id] = self._incarnation(node)

    def _one(self, planned: Planned) -> None:
        struck = Struck(planned, time.time())
        self.struck.append(struck)
        try:
            getattr(self, f"_{planned.kind}")(planned, struck, self._nodes[planned.node])
        except (OSError, subprocess.SubprocessError) as error:
            struck.note = f"{type(error).__name__}: {error}"  # the node died under it: another fault's doing
        finally:
            struck.end = time.time()

    # -- the kinds

    def _node(self, planned: Planned, struck: Struck, node: FaultyNode) -> None:
        """The node dies; after `seconds` somebody runs `up`."""
        self._kill(struck, node.server)
        time.sleep(planned.seconds)
        self.repair()

    def _engine(self, planned: Planned, struck: Struck, node: FaultyNode) -> None:
        """The node dies, and `up` that repairs it is killed after `seconds`, with its engine; then it is run again."""
        self._kill(struck, node.server)
        with self._repairing:
            up = self._person.start("up", "-c", self._person.stack, "-y")
            time.sleep(planned.seconds)
            for process in [*descendants(up.pid)][:: 1 if planned.pick % 2 else -1]:
                if any("pulumi" in word for word in process.argv[:2]):
                    send(process, signal.SIGKILL)
            if planned.pick % 3 == 0:
                up.kill()
            up.communicate(timeout=90)
        self.repair()

    def _keeper(self, planned: Planned, struck: Struck, node: FaultyNode) -> None:
        struck.note = "" if self._head.watch() is not None else "without a watch"
        self._kill(struck, self._head.keeper())

    def _watch(self, planned: Planned, struck: Struck, node: FaultyNode) -> None:
        self._kill(struck, self._head.watch())

    def _daemon(self, planned: Planned, struck: Struck, node: FaultyNode) -> None:
        self._kill_one_of(planned, struck, lambda each: each.daemons())

    def _warden(self, planned: Planned, struck: Struck, node: FaultyNode) -> None:
        self._kill_one_of(planned, struck, lambda each: each.wardens())

    def _rank(self, planned: Planned, struck: Struck, node: FaultyNode) -> None:
        self._kill_one_of(planned, struck, lambda each: each.ranks())

    def _cut(self, planned: Planned, struck: Struck, node: FaultyNode) -> None:
        direction = planned.detail
        assert direction in ("both", "out", "in")
        self._hold(planned, Cut(node, self._nodes.values(), direction))  # type: ignore[arg-type]

    def _slow(self, planned: Planned, struck: Struck, node: FaultyNode) -> None:
        self._hold(planned, Slow(node, 400_000 * (1 + planned.pick % 40)))

    def _freeze(self, planned: Planned, struck: Struck, node: FaultyNode) -> None:
        keeper = self._head.keeper()
        if keeper is None:
            struck.missed = True
            return
        self._hold(planned, Frozen(keeper))

    def _client(self, planned: Planned, struck: Struck, node: FaultyNode) -> None:
        living = self._load.living()
        struck.missed = not living
        if living:
            chosen = living[planned.pick % len(living)]
            chosen.killed = True
            chosen.client.kill()

    def _full(self, planned: Planned, struck: Struck, node: FaultyNode) -> None:
        try:
            self._hold(planned, Full(node, node.home / ".skyrig" / "jobs"))
        except NoDiskOfItsOwn:
            struck.missed = True

    # -- inner works

    def _hold(self, planned: Planned, fault: Fault) -> None:
        with fault:
            time.sleep(planned.seconds)

    def _kill(self, struck: Struck, process: Process | None) -> None:
        struck.missed = process is None
        if process is not None:
            Killed(process).do()

    def _kill_one_of(self, planned: Planned, struck: Struck, listed: Callable[[FaultyNode], list[Process]]) -> None:
        """Kill one process of those that `listed` finds on all nodes, and note whose job it belonged to."""
        found = [(node, process) for node in self._nodes.values() for process in listed(node)]
        struck.missed = not found
        if found:
            node, process = found[planned.pick % len(found)]
            struck.uid = _uid(process)
            struck.note = f"{node.id} pid {process.pid}"
            Killed(process).do()

    def _incarnation(self, node: FaultyNode) -> str:
        server = node.server
        return server.started if server is not None else ""


def _uid(process: Process) -> str:
    """Name of the job's folder on the nodes, by what a supervisor or rank has for its working directory or variable."""
    import os

    folder = process.variable("SKYRIG_RANK_DIR")
    if not folder:
        try:
            folder = os.readlink(f"/proc/{process.pid}/cwd")  # noqa: PTH115 (the text, in its own mount namespace)
        except OSError:
            return ""
    return folder.rpartition("/.skyrig/jobs/")[2].partition("/")[0]
