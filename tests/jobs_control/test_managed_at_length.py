"""Managed jobs at length: the controller killed at every change of its table, many jobs at once of which half are
preempted, and a node that is cut off."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.cut import Cut
from faults.node import FaultyNode
from managed_host import Host, host

from skyrig import standing
from skyrig.control import folder, table
from skyrig.control.ward import JOB
from skyrig.jobs.state import ManagedStatus
from skyrig.launch.job import JobStatus
from skyrig.stack import described

pytestmark = [pytest.mark.e2e, pytest.mark.soak]

MANY = 20
MOST_MIB, MOST_IDLE = 200, 0.05
"""Memory of the controller with MANY jobs in MiB, and the share of a core that it takes while nothing changes."""

CUT_S = 60.0


@pytest.fixture
def managed(tmp_path: Path) -> Iterator[Host]:
    """Somebody with managed jobs."""
    with host(tmp_path) as person:
        yield person


def test_the_controller_is_killed_at_every_change_and_nothing_is_done_twice(managed: Host) -> None:
    """A job of two tasks on two nodes, one of which is lost; the controller is killed whenever its table changes."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    job_id = managed.launch('[ "$SKYRIG_ATTEMPT" = 1 ] && exec sleep 1000; true', nodes=2, more=("exit 0",), name="k")
    before, kills, lost = "", [], False
    deadline = time.monotonic() + 500
    while not (ward := table.ward(str(job_id), JOB)) or ward.wish != "PAST":
        assert time.monotonic() < deadline, f"it does not end\n{ward}\n{managed.log(job_id)}"
        now = str((ward.status, sorted((ward.data if ward else {}).items()))) if ward else ""
        pid = managed.controller()
        if now != before and pid:
            time.sleep(dice.uniform(0, 0.3))
            before = now
            kills.append(ward.status if ward else "")
            os.kill(pid, signal.SIGKILL)
        task = managed.job(job_id).current
        if task.status is ManagedStatus.RUNNING and task.attempt == 1 and task.index == 0 and not lost:
            lost = bool(managed.kill(task.stack, "n1"))
        time.sleep(0.05)
    job = managed.job(job_id)
    print("killed at", kills)
    assert managed.is_past(job_id)
    assert [task.status for task in job.tasks] == [ManagedStatus.SUCCEEDED] * 2
    assert {ManagedStatus.STARTING, ManagedStatus.RUNNING, ManagedStatus.RECOVERING} <= set(kills)
    keys = [each.key for each in managed.attempts(job_id)]
    assert keys == [f"managed-{job_id}-0-1", f"managed-{job_id}-0-2", f"managed-{job_id}-1-1"]
    assert job.tasks[0].recoveries[0].nodes == ("n1",)


def test_many_jobs_at_once_half_of_them_preempted(managed: Host) -> None:
    run = '[ "$SKYRIG_ATTEMPT" = 1 ] && [ -n "$WAITS" ] && exec sleep 1000; until [ -e ~/go ]; do sleep 1; done'
    ids = [
        managed.launch(run, name="many", extra=f"envs: {{WAITS: '{'yes' if index % 2 else ''}'}}\n")
        for index in range(MANY)
    ]
    managed.until(lambda: all(managed.status(each) is ManagedStatus.RUNNING for each in ids), "all run", ids[0], 600)
    runs: list[int] = []
    over = threading.Event()

    def count() -> None:
        while not over.wait(0.3):
            runs.append(managed.at_work())

    counting = threading.Thread(target=count)
    counting.start()
    for each in ids[1::2]:
        managed.person.run("local.preempt", "n0", "-c", managed.stack(each))
    managed.until(
        lambda: all(managed.job(each).current.attempt == 1 + index % 2 for index, each in enumerate(ids)),
        "half are brought back", ids[1], 120,
    )  # fmt: skip
    managed.until(lambda: all(managed.status(each) is ManagedStatus.RUNNING for each in ids), "all run", ids[1], 600)
    over.set()
    counting.join()
    pid = managed.controller()
    before, since = _cpu_s(pid), time.monotonic()
    time.sleep(30)
    idle, memory = (_cpu_s(pid) - before) / (time.monotonic() - since), _mib(pid)
    print(f"{MANY} jobs: {memory:.0f} MiB, {idle * 100:.1f} % of a core")
    for each in ids:
        (managed.person.home / "local" / managed.stack(each) / "n0" / "home" / "go").touch()
    for each in ids:
        assert managed.past(each, 600).status is ManagedStatus.SUCCEEDED
    assert memory < MOST_MIB
    assert idle < MOST_IDLE
    assert max(runs) <= 4, "two at work on clusters, two that look"


def test_a_node_that_is_cut_off_never_works_beside_its_successor(managed: Host) -> None:
    job_id = managed.launch('[ "$SKYRIG_ATTEMPT" = 2 ] && exec sleep 5; exec sleep 1000', nodes=2, name="cut")
    stack = managed.running(job_id).current.stack
    cluster = described.describe(stack)
    assert cluster is not None
    if cluster.isolation != "namespaces":
        pytest.skip("not on this machine: nodes with networks of their own")
    folder = managed.person.home / "local" / stack
    nodes = [FaultyNode(folder / each) for each in ("n0", "n1")]
    head, other = (managed.pid(stack, each) for each in ("n0", "n1"))
    both: list[str] = []
    over = threading.Event()

    def watched() -> None:
        while not over.wait(0.2):
            now = managed.job(job_id).current
            if now.attempt == 2 and now.jobs[1:] and Path(f"/proc/{other}").exists():
                both.append(f"{now.status}: the node that was cut off is there")

    watching = threading.Thread(target=watched)
    watching.start()
    with Cut(nodes[1], nodes, outside=True):
        until = time.monotonic() + CUT_S
        managed.running(job_id, 2)
        assert managed.pid(stack, "n0") == head
        assert managed.pid(stack, "n1") not in (0, other)
        time.sleep(max(0.0, until - time.monotonic()))
    over.set()
    watching.join()
    assert not both
    assert managed.past(job_id).status is ManagedStatus.SUCCEEDED
    first, second = managed.attempts(job_id)
    assert (first.status, second.status) == (JobStatus.FAILED, JobStatus.SUCCEEDED)
    assert first.ended_at <= second.started_at


def test_a_cluster_without_a_controller_ends_itself_and_the_job_comes_back_with_it(managed: Host) -> None:
    job_id = managed.launch('[ "$SKYRIG_ATTEMPT" = 1 ] && exec sleep 1000; true', name="leased", lease_s=8.0)
    stack = managed.running(job_id).current.stack
    time.sleep(10)
    assert managed.power(stack, "n0") == "up", "the lease is renewed"
    standing.dismiss(folder.standing())
    managed.until(lambda: managed.power(stack, "n0") == "ended", "it has ended itself", job_id, 120)
    managed.ensure()
    job = managed.past(job_id)
    (recovery,) = job.current.recoveries
    assert (job.status, job.current.attempt) == (ManagedStatus.SUCCEEDED, 2)
    assert "no controller was heard of for 8 s" in recovery.reason


def _cpu_s(pid: int) -> float:
    """How long a process has computed, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _mib(pid: int) -> float:
    """A process's memory that is its own, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024
