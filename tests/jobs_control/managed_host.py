"""Managed jobs on the real local cloud for tests of the controller."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from user import User, end_nodes, until

from skyrig import places, standing
from skyrig.control import client, folder, table
from skyrig.control.jobs import wards as jobs
from skyrig.control.ward import JOB, Wish
from skyrig.fleet.local.layout import NodeFolder
from skyrig.jobs.given import task_id
from skyrig.jobs.spec import ManagedSpec, RecoverySpec
from skyrig.jobs.state import ManagedJob, ManagedStatus, TaskState
from skyrig.launch import records
from skyrig.launch.job import JobRecord
from skyrig.stack import described, lock
from skyrig.task import reading

Done = ManagedStatus.SUCCEEDED


class Host:
    """Somebody with managed jobs: their home, and what `jobs.launch` would do for them."""

    def __init__(self, person: User) -> None:
        self.person = person

    def launch(
        self, run: str, *, name: str = "m", nodes: int = 1, setup: str = "", more: tuple[str, ...] = (), **how: Any
    ) -> int:
        """Enter a job, of one task or with `more` texts of a pipeline, and have the controller run; its number."""
        job_id, at = table.number(JOB), time.time()
        retry = how.pop("retry", True)
        extra = how.pop("extra", "")
        runs = (run, *more)
        tasks = [reading.loads(_text(f"{name}{index}", text, nodes, setup, extra), "t.yaml").only()
                 for index, text in enumerate(runs)]  # fmt: skip
        states = tuple(
            TaskState(
                index, f"{name}{index}", task_id(job_id, (name,), index, at, {}), f"{name}{index}-{job_id}", nodes
            )
            for index in range(len(runs))
        )
        job = ManagedJob(job_id, name, states, at, "somebody")
        with client.holding(str(job_id), JOB):
            jobs.enter(job, tasks, ManagedSpec((RecoverySpec(**how),) * len(runs), retry=retry))
        self.ensure()
        return job_id

    def ensure(self) -> None:
        """Have the controller run."""
        subprocess.run([sys.executable, "-I", "-m", "skyrig.control", "ensure"], env=self.person.env, check=True)

    def job(self, job_id: int) -> ManagedJob:
        """What is known of a job."""
        ward = table.ward(str(job_id), JOB)
        assert ward is not None
        return jobs.job(ward)

    def status(self, job_id: int) -> ManagedStatus:
        """Its status."""
        return self.job(job_id).status

    def stack(self, job_id: int) -> str:
        """The cluster of the task at work."""
        return self.job(job_id).current.stack

    def is_past(self, job_id: int) -> bool:
        """Whether it has ended, and nothing is left of it but its row, its log, and records of its jobs."""
        ward = table.ward(str(job_id), JOB)
        if ward is None or ward.wish is not Wish.PAST:
            return False
        left = {each.name for each in folder.of_ward(JOB, str(job_id)).iterdir()} - {"controller.log"}
        assert not left, left
        for task in jobs.job(ward).tasks:
            assert described.describe(task.stack) is None
            assert not self.person.processes(f"{self.person.home / 'local' / task.stack}/")
        return True

    def attempts(self, job_id: int) -> list[JobRecord]:
        """Records of all jobs that its clusters ever had."""
        return [each for task in self.job(job_id).tasks for each in records.read(places.records(task.stack))]

    def output(self, job_id: int, number: int) -> str:
        """What one attempt of the task at work has written."""
        return (places.records(self.stack(job_id)) / str(number) / "job.log").read_text()

    def pid(self, stack: str, node: str) -> int:
        """Pid of a node that lives; 0 where it does not."""
        rows = [row for row in self.person.json("local.ls")["nodes"] if (row["cluster"], row["name"]) == (stack, node)]
        return int(rows[0]["pid"]) if rows and rows[0]["status"] == "UP" else 0

    def power(self, stack: str, node: str) -> str:
        """Power of a node."""
        return NodeFolder(places.local_nodes(stack) / node).power()

    def kill(self, stack: str, node: str) -> int:
        """kill -9 of a node; its pid."""
        pid = self.pid(stack, node)
        assert pid
        os.kill(pid, signal.SIGKILL)
        return pid

    def controller(self) -> int:
        """Pid of the controller; 0 where there is none."""
        return client.state().pid or 0

    def at_work(self) -> int:
        """How many children of the controller there are."""
        return len(_children(self.person))

    def log(self, job_id: int) -> str:
        """What the controller did for a job."""
        file = folder.log(JOB, str(job_id))
        return (file.read_text() if file.exists() else "no log\n") + folder.standing().log.read_text()

    def until(self, condition: Callable[[], Any], what: str, job_id: int, seconds: float = 180) -> Any:
        """Wait for a condition; what it returned."""
        deadline = time.monotonic() + seconds
        while not (met := condition()):
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}\n{table.wards(past=True)}\n" + (
                self.log(job_id)
            )
            time.sleep(0.1)
        return met

    def past(self, job_id: int, seconds: float = 180) -> ManagedJob:
        """The job, once it is past."""
        self.until(lambda: self.is_past(job_id), "it is past", job_id, seconds)
        return self.job(job_id)

    def running(self, job_id: int, attempt: int = 1, seconds: float = 180) -> ManagedJob:
        """The job, once that attempt is RUNNING."""

        def runs() -> bool:
            now = self.job(job_id).current
            return now.status is ManagedStatus.RUNNING and now.attempt >= attempt

        self.until(runs, f"attempt {attempt} is RUNNING", job_id, seconds)
        return self.job(job_id)


def _text(name: str, run: str, nodes: int, setup: str, extra: str) -> str:
    def block(key: str, text: str) -> str:
        return f"{key}: |\n" + "".join(f"  {line}\n" for line in text.splitlines()) if text else ""

    return f"name: {name}\nnum_nodes: {nodes}\n{extra}{block('setup', setup)}{block('run', run)}"


@contextlib.contextmanager
def host(directory: Path) -> Iterator[Host]:
    """Somebody with a home of their own, in whose environment the tests of the block are."""
    person = User(directory, f"j{os.getpid()}-{time.monotonic_ns() % 100000}")
    with pytest.MonkeyPatch.context() as patch:
        for variable in list(os.environ):
            if variable.startswith(("PULUMI_", "SKYRIG_")):
                patch.delenv(variable)
        for variable, value in person.env.items():
            patch.setenv(variable, value)
        patch.chdir(person.clone)
        try:
            yield Host(person)
        finally:
            if folder.root().exists():
                standing.dismiss(folder.standing())
            _end_children(person)
            end_nodes(person.home)


def _children(person: User) -> list[int]:
    """Pids of what the controller of this home has at work."""
    mark, found = f"SKYRIG_HOME={person.home}".encode(), []
    for pid in person.processes("skyrig.control.work"):
        with contextlib.suppress(OSError):
            if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
    return found


def _end_children(person: User) -> None:
    """End what the controller has left at work, and wait for the engines of that."""
    for pid in _children(person):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    for stack in (person.home / "stacks").glob("*"):
        until(lambda name=stack.name: not lock.is_held(name), "its engine has ended", 60)  # type: ignore[misc]
