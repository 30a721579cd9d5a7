"""Random faults on a cluster with jobs coming and going: nothing is lost without a reason, nothing is left over."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from user import User, cluster_of

from bench import record
from faults import verdict
from faults.fill import SmallDisk
from faults.load import Load
from faults.node import FaultyNode, nodes_of
from faults.plan import FaultPlan
from faults.trouble import LOG_DISK, Trouble

pytestmark = pytest.mark.e2e

NODES = 4
GROWTH_KIB_PER_MIN = 4096
"""How fast a keeper's memory may grow once it has warmed up."""

WARM_UP_S = 120
"""Seconds of a keeper's life that do not count for that, and how many more it must have lived to count at all."""


_TABLE = """
import json, sys
from skyrig import verbs
from skyrig.launch.job import CONVERTER
print(json.dumps(CONVERTER.unstructure(verbs.queue(sys.argv[1], lambda line: print(line, file=sys.stderr)))))
"""


class Soak:
    """One run: the load, the faults, and what was seen meanwhile."""

    def __init__(self, person: User, nodes: Sequence[FaultyNode], plan: FaultPlan, folder: Path) -> None:
        self.person = person
        self.nodes = nodes
        self.plan = plan
        self.wrong: list[str] = []
        self.memory: dict[int, list[tuple[float, float]]] = {}
        self.rows: list[dict[str, Any]] = []
        self.load = Load(person, folder / "jobs", plan.seed, len(nodes), at_once=3)
        self.trouble = Trouble(person, nodes, plan, self.load, self.prepare)
        self._over = threading.Event()
        self._disks: list[SmallDisk] = []

    @property
    def records(self) -> Path:
        """Where records and logs outlive the cluster."""
        return self.person.home / "stacks" / self.person.stack / "records"

    def prepare(self, node: FaultyNode) -> None:
        """Put the folders of jobs on a disk of their own, which faults can fill; not where jobs are already, which the
        new disk would hide."""
        folder = node.home / ".skyrig" / "jobs"
        if folder.exists() and any(folder.iterdir()):
            return
        disk = SmallDisk(node, folder, LOG_DISK)
        disk.do()
        self._disks.append(disk)

    def run(self) -> None:
        """Faults and load to their end, then a last repair and the wait for the last jobs."""
        for node in self.nodes:
            self.prepare(node)
        watching = [threading.Thread(target=target, daemon=True) for target in (self._weigh, self._look)]
        for thread in watching:
            thread.start()
        self.load.start()
        try:
            self.trouble.run()
            self.trouble.repair()
            self.load.stop(patience_s=90)
        finally:
            self._over.set()
        for thread in watching:
            thread.join(60)
        deadline = time.monotonic() + 60
        while not self._all_ended() and time.monotonic() < deadline:
            time.sleep(0.5)

    def judge(self) -> list[str]:
        """Everything that is wrong, in words."""
        head, submissions, struck = self.nodes[0].id, self.load.submissions, self.trouble.struck
        alive = {name for name, row in self.person.nodes().items() if row["status"] == "UP"}
        wrong = [*self.wrong, *self.trouble.problems]
        if alive != {node.id for node in self.nodes}:
            wrong.append(f"nodes {sorted(alive)} live, {[node.id for node in self.nodes]} are wanted")
        wrong += verdict.table(self.rows) + verdict.kept(self.rows, self.records)
        wrong += verdict.jobs(self.rows, submissions, struck, head) + verdict.clients(submissions)
        wrong += verdict.logs(self.rows, submissions, self.records)
        wrong += verdict.leftovers(self.nodes, self.rows, time.time(), 0.0) + self._strangers()
        if sum(row["status"] == "SUCCEEDED" for row in self.rows) * 4 < len(submissions):
            wrong.append(f"{len(submissions)} submissions, and too few jobs of them ran to show anything")
        grown = {pid: growth for pid, growth in self.growths().items() if growth > GROWTH_KIB_PER_MIN}
        return wrong + [f"keeper {pid} grew by {growth:.0f} KiB a minute" for pid, growth in grown.items()]

    def growths(self) -> dict[int, float]:
        """KiB a minute by which each keeper that lived long enough has grown once it was warm, by pid."""
        found = {}
        for pid, life in self.memory.items():
            warm = [sample for sample in life if sample[0] > life[0][0] + WARM_UP_S]
            if len(warm) > WARM_UP_S:
                found[pid] = verdict.slope(warm) * 60
        return found

    def told(self) -> dict[str, Any]:
        """The run in figures."""
        struck = self.trouble.struck
        ends = [f"{row['status']} {row['exit_code']}" for row in self.rows]
        return {
            "jobs": len(self.rows),
            "submissions": len(self.load.submissions),
            "ends": dict(sorted(Counter(ends).items())),
            "faults_that_struck": sum(not one.missed for one in struck),
            "faults": {
                kind: sum(o.planned.kind == kind for o in struck) for kind in sorted({o.planned.kind for o in struck})
            },
            "keeper_lives": len(self.memory),
            "keeper_peak_kib": max((rss for samples in self.memory.values() for _, rss in samples), default=0),
            "keeper_growth_kib_per_min": [round(growth, 1) for growth in self.growths().values()],
            "keeper_median_kib": statistics.median([rss for s in self.memory.values() for _, rss in s] or [0]),
        }

    def _weigh(self) -> None:
        """Sample the keeper's memory once a second."""
        while not self._over.wait(1.0):
            keeper = self.nodes[0].keeper()
            if keeper is not None and (rss := keeper.rss_kib):
                self.memory.setdefault(keeper.pid, []).append((time.monotonic(), rss))

    def _look(self) -> None:
        """Look at the job table every few seconds: it must hold at any moment."""
        before: list[dict[str, Any]] = []
        while not self._over.wait(5.0):
            rows = self._table()
            self.wrong += verdict.table(rows) + verdict.changed(before, rows or before)
            self.wrong += verdict.leftovers(self.nodes, rows, time.time(), verdict.AFTERMATH_S)
            before = rows or before

    def _table(self) -> list[dict[str, Any]]:
        """All that `queue` knows of every job, which is more than it shows."""
        words = [sys.executable, "-c", _TABLE, self.person.stack]
        done = subprocess.run(
            words, cwd=self.person.clone, env=self.person.env, capture_output=True, timeout=60, check=False
        )
        if done.returncode != 0:
            self.wrong.append(f"queue ended with {done.returncode}: {done.stderr.decode(errors='replace')[-300:]}")
            return []
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    def _all_ended(self) -> bool:
        """Whether nothing is left to wait for; what never ends is for `judge` to say."""
        self.rows = self._table() or self.rows
        return bool(self.rows) and all(row["ended_at"] for row in self.rows)

    def _strangers(self) -> list[str]:
        """Processes in the nodes that are neither server nor keeper nor watch, once nothing runs."""

        def left() -> list[str]:
            found = []
            for node in self.nodes:
                own = {one.pid for one in (node.server, node.keeper(), node.watch()) if one is not None}
                found += [f"{node.id}: {p.pid} {p.argv[:4]}" for p in node.processes() if p.pid not in own]
            return found

        deadline = time.monotonic() + 20
        while (found := left()) and time.monotonic() < deadline:
            time.sleep(0.5)
        return [f"left over on {each}" for each in found]


LANDING_SEED = 935637
"""What every landing goes through is the same each time; --soak draws anew. This one found clients that waited for the
old address of a node that had been replaced."""


def plan_of(config: pytest.Config, count: int, length_s: float, seed: int | None = None) -> FaultPlan:
    """The plan that the command line asks for, else that of `seed`, else a new one."""
    file, asked = config.getoption("--faults-plan"), config.getoption("--faults-seed")
    seed = seed if asked is None else asked
    if file:
        return FaultPlan.read(Path(file))
    return FaultPlan.random(
        random.SystemRandom().randrange(10**6) if seed is None else seed,
        count,
        length_s,
        [f"n{number}" for number in range(NODES)],
    )


def soaked(plan: FaultPlan, folder: Path) -> Soak:
    """Run a plan on a cluster of its own and judge it; what is wrong fails the test, with all that repeats it."""
    print(f"--faults-seed {plan.seed}\n{plan.as_json()}")
    (folder / "plan.json").write_text(plan.as_json())
    with cluster_of(folder / "user", NODES) as person:
        run = Soak(person, list(nodes_of(person.home, person.stack).values()), plan, folder)
        run.run()
        wrong = run.judge()
        print(json.dumps(run.told()))
        for row in run.rows:
            print({name: row[name] for name in ("id", "name", "nodes", "status", "exit_code", "reason")})
        for one in run.trouble.struck:
            print(one)
        assert not wrong, f"seed {plan.seed}, plan in {folder / 'plan.json'}:\n" + "\n".join(wrong)
    return run


def test_five_random_faults(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    soaked(plan_of(request.config, 5, 8.0, LANDING_SEED), tmp_path)


@pytest.mark.soak
def test_twenty_random_faults(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    soaked(plan_of(request.config, 20, 30.0, LANDING_SEED), tmp_path)


@pytest.mark.soak
def test_two_hundred_random_faults_over_twenty_minutes(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    plan = plan_of(request.config, 200, 1200.0)
    run = soaked(plan, tmp_path)
    record.write(
        "soak",
        run.told(),
        counts={"faults": len(plan.faults), "seconds": plan.length_s, "nodes": NODES},
        seed=plan.seed,
    )
