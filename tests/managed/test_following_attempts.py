"""The output of a managed job, followed over its attempts: real keeper, real nodes, and a job as the test has it."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

sys.path.insert(0, str(Path(__file__).parents[1] / "keeper"))
from keeper_cluster import KeeperCluster, until

from skyrig import places
from skyrig.cluster.description import ClusterDescription, SshAccess
from skyrig.jobs import following
from skyrig.jobs.following import Source, Wanted
from skyrig.jobs.seen import Seen
from skyrig.jobs.state import ManagedJob, ManagedStatus, Recovery, TaskState
from skyrig.launch.job import Cause
from skyrig.stack import described

COUNTED = "for i in 1 2 3 4 5 6 7 8; do echo {name} $i; sleep 0.1; done; {then}"


class Job:
    """A managed job of one task on the cluster `c`, as a test has it become."""

    def __init__(self, cluster: KeeperCluster) -> None:
        self.cluster = cluster
        self.task = TaskState(0, "t", "id", "c", 1, status=ManagedStatus.STARTING)
        self.desc: ClusterDescription | None = self.described()
        self.told: list[str] = []
        self.out = io.BytesIO()
        self.wanted = Wanted()

    def described(self) -> ClusterDescription:
        """The cluster with the key that lets in."""
        key = (self.cluster.folder / "client").read_text()
        return evolve(self.cluster.description(), ssh=SshAccess("", key))

    def becomes(self, **fields: object) -> None:
        """Change what is known of it."""
        self.task = evolve(self.task, **fields)

    def attempt(self, script: str, recovery: Recovery | None = None) -> int:
        """Submit another attempt."""
        number = self.cluster.submit(script)
        more = (recovery,) if recovery is not None else ()
        recoveries = (*self.task.recoveries, *more)
        self.becomes(jobs=(*self.task.jobs, number), recoveries=recoveries, status=ManagedStatus.RUNNING)
        return number

    def look(self) -> Seen:
        """What is known of it."""
        return Seen(ManagedJob(5, "t", (self.task,), time.time()), self.task.status)

    def follow(self) -> threading.Thread:
        """Begin to follow it."""

        def work() -> None:
            asyncio.run(following.follow(Source(self.look), self.wanted, self.out, self.told.append))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    def lines(self) -> list[str]:
        """What was shown."""
        return self.out.getvalue().decode().splitlines()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeeperCluster]:
    """A keeper and its one node."""
    made = KeeperCluster(tmp_path_factory.mktemp("c"), 1)
    yield made
    made.close()


@pytest.fixture
def job(cluster: KeeperCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Job:
    """A job on it."""
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path))
    made = Job(cluster)
    monkeypatch.setattr(described, "known", lambda stack: made.desc)
    monkeypatch.setattr(described, "describe", lambda stack: None)
    monkeypatch.setattr(places, "records", lambda stack: cluster.records)
    return made


def numbered(name: str) -> list[str]:
    """The lines of a whole attempt."""
    return [f"{name} {number}" for number in range(1, 9)]


def test_nothing_comes_twice_and_nothing_is_missing(job: Job, cluster: KeeperCluster) -> None:
    shown = job.follow()
    first = job.attempt(COUNTED.format(name="one", then="exit 3"))
    until(lambda: "one 3" in job.lines(), "the first attempt is followed")
    cluster.kill()  # the keeper comes back, and so does the follower
    cluster.ended(first)
    job.becomes(status=ManagedStatus.RECOVERING, reason="n1 is lost")
    lost = Recovery(time.time(), Cause.PREEMPTION, "n1 is lost", ("n1",), took_s=14.2)
    cluster.ended(job.attempt(COUNTED.format(name="two", then="true"), lost))
    job.becomes(status=ManagedStatus.SUCCEEDED, exit_code=0, reason="")
    shown.join(20)
    between = "(skyrig) attempt 2: n1 is lost (preemption), back after 14 s"
    assert not shown.is_alive() and job.lines() == [*numbered("one"), between, *numbered("two")]
    assert job.told[-1] == "managed job 5: SUCCEEDED"
    assert "managed job 5: RECOVERING: n1 is lost (preemption)" in job.told

    job.out, job.desc = io.BytesIO(), None  # the cluster is gone: what was kept says the same
    assert asyncio.run(following.follow(Source(job.look), Wanted(follow=False), job.out, print)).exit_code == 0
    assert job.lines() == [*numbered("one"), between, *numbered("two")]
    job.out = io.BytesIO()
    asyncio.run(following.follow(Source(job.look), Wanted(follow=False, tail=2), job.out, print))
    assert job.lines() == ["two 7", "two 8"]


def test_a_head_that_is_gone_leaves_what_was_kept(job: Job, cluster: KeeperCluster) -> None:
    number = job.attempt(COUNTED.format(name="kept", then="sleep 600"))
    until(lambda: b"kept 8" in cluster.log(number).read_bytes(), "all of it is in the log")
    job.desc = None
    shown = job.follow()
    kept = cluster.records / str(number) / "job.log"
    until(lambda: kept.exists() and b"kept 8" in kept.read_bytes(), "all of it is kept")
    assert job.lines() == [] and shown.is_alive()
    job.becomes(status=ManagedStatus.FAILED, reason="no place is left", exit_code=4)
    shown.join(20)
    assert not shown.is_alive() and job.lines() == numbered("kept")
    cluster.ask(op="cancel", ids=[number])


def test_an_old_head_that_hangs_is_left_for_the_next_attempt(job: Job, cluster: KeeperCluster) -> None:
    """Cut off, it neither ends the attempt nor says so."""
    job.attempt(COUNTED.format(name="old", then="sleep 600"))
    shown = job.follow()
    until(lambda: "old 8" in job.lines(), "the old attempt is followed")
    cluster.ended(job.attempt(COUNTED.format(name="new", then="true"), Recovery(time.time(), Cause.NODE, "n0 is lost")))
    job.becomes(status=ManagedStatus.SUCCEEDED)
    shown.join(30)
    assert job.lines() == [*numbered("old"), "(skyrig) attempt 2: n0 is lost (node)", *numbered("new")]
    cluster.ask(op="cancel", ids=None)
