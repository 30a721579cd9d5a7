"""The example as a managed spot job on the local cloud, and the faults that it is put through."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from user import ROOT, User

EXAMPLE = ROOT / "examples" / "mingpt"
STEP = re.compile(r"step (\d+)/\d+ loss (\S+) tokens/s \d+$", re.M)
VAL = re.compile(r"val loss (\S+), unigram entropy")
RESUMED = re.compile(r"resuming after step (\d+)")


@frozen
class Told:
    """What a run has printed: loss by step as it was printed last, the steps after which it went on, its last loss."""

    losses: dict[int, float]
    resumed: tuple[int, ...]
    val: float | None

    @classmethod
    def of(cls, log: str) -> Told:
        """From the run's output over all its attempts."""
        found = VAL.findall(log)
        losses = {int(step): float(loss) for step, loss in STEP.findall(log)}
        return cls(losses, tuple(map(int, RESUMED.findall(log))), float(found[-1]) if found else None)


@define
class SpotRun:
    """One managed job of a user; `lives` are the machines that each of its nodes has been, by pid."""

    person: User
    id: int
    lives: dict[str, list[int]] = field(factory=dict)
    killed: list[str] = field(factory=list)

    def row(self) -> dict[str, Any]:
        """The job in `jobs.queue`."""
        (found,) = [row for row in self.person.json("jobs.queue")["jobs"] if row["id"] == self.id]
        return dict(found)

    def nodes(self) -> dict[str, int]:
        """Pids of the nodes that are up now, by name; noted in `lives`."""
        cluster = self.row()["cluster"]
        rows = self.person.json("local.ls")["nodes"]
        up = {row["name"]: int(row["pid"]) for row in rows if row["cluster"] == cluster and row["status"] == "UP"}
        for name, pid in up.items():
            known = self.lives.setdefault(name, [])
            if pid not in known:
                known.append(pid)
        return up

    def kill(self, name: str) -> None:
        """Take a node away without a word, as clouds do that are short of machines."""
        os.kill(self.nodes()[name], signal.SIGKILL)
        self.killed.append(name)

    def log(self) -> str:
        """All of its output, from its first attempt on."""
        done = self.person.run("jobs.logs", "-j", str(self.id), "--no-follow", check=None)
        return done.out.decode(errors="replace")

    def preempt(self, times: int, mean_s: float, seed: int, deadline_s: float) -> None:
        """Kill a random node at random moments, `times` in all, wherever the job is by then; ends sooner where the job
        does."""
        rolls, deadline = random.Random(seed), time.monotonic() + deadline_s
        while len(self.killed) < times:
            due = time.monotonic() + rolls.expovariate(1 / mean_s)
            while time.monotonic() < due:
                time.sleep(0.1)
            up: dict[str, int] = {}
            while not up:
                assert time.monotonic() < deadline, f"{len(self.killed)} preemptions only: {self.row()}"
                if self.row()["status"] not in ("PENDING", "STARTING", "SETTING_UP", "RUNNING", "RECOVERING"):
                    return
                up = self.nodes()
            self.kill(rolls.choice(sorted(up)))

    def ended(self, seconds: float) -> dict[str, Any]:
        """Its row once it has ended."""
        deadline = time.monotonic() + seconds
        while not (row := self.row())["ended_at"]:
            assert time.monotonic() < deadline, f"not ended within {seconds:.0f} s: {row}\n{self.log()[-3000:]}"
            self.nodes()
            time.sleep(0.5)
        return row


def launched(person: User, folder: Path, *, steps: int, save_every: int, words: str = "") -> SpotRun:
    """The example's own task file, at a size for tests, as a job of its own that goes on by itself."""
    text = (EXAMPLE / "spot.yaml").read_text().replace("workdir: .", f"workdir: {EXAMPLE}")
    file = folder / "spot.yaml"
    file.write_text(text.replace('--save-every "$SAVE_EVERY"', f'--save-every "$SAVE_EVERY" {words}'))
    bucket = f"ckpt-{person.stack}"
    given = ("-e", f"STEPS={steps}", "-e", f"SAVE_EVERY={save_every}", "-e", f"BUCKET={bucket}")
    before = {row["id"] for row in person.json("jobs.queue")["jobs"]}
    person.run("jobs.launch", str(file), "-d", "-y", *given)
    (number,) = {row["id"] for row in person.json("jobs.queue")["jobs"]} - before
    return SpotRun(person, number)


def leftovers(person: User) -> list[str]:
    """What is left of managed jobs that have ended: nodes, and processes of them."""
    nodes = [f"{row['cluster']}/{row['name']}" for row in person.json("local.ls")["nodes"]]
    processes = [str(pid) for pid in person.processes(str(person.home / "local"))]
    return nodes + processes
