"""Managed jobs that are cancelled, or whose controller is killed, at any moment: nothing twice, nothing left."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from managed_host import Host, host

from skyrig.control.jobs import wards as jobs
from skyrig.jobs.state import ManagedStatus
from skyrig.launch.job import JobStatus

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Somebody with managed jobs."""
    with host(tmp_path_factory.mktemp("managed")) as person:
        yield person


def test_a_job_that_is_cancelled_in_any_state_leaves_nothing(managed: Host) -> None:
    starting, runs, recovers = (managed.launch("exec sleep 1000", name=name) for name in ("early", "runs", "back"))
    managed.until(lambda: managed.status(starting) is ManagedStatus.STARTING, "it begins", starting)
    jobs.cancel(starting)
    managed.running(runs)
    jobs.cancel(runs)
    managed.running(recovers)
    managed.kill(managed.stack(recovers), "n0")
    managed.until(lambda: managed.status(recovers) is ManagedStatus.RECOVERING, "it is brought back", recovers)
    jobs.cancel(recovers)
    for job_id in (starting, runs, recovers):
        assert managed.past(job_id).status is ManagedStatus.CANCELLED


def test_a_controller_that_is_killed_begins_nothing_twice(managed: Host) -> None:
    job_id = managed.launch("[ $SKYRIG_ATTEMPT = 1 ] && exec sleep 1000; true", name="twice")
    for status in (ManagedStatus.STARTING, ManagedStatus.RUNNING):
        managed.until(lambda wanted=status: managed.status(job_id) is wanted, f"it is {status}", job_id)  # type: ignore[misc]
        _killed(managed, job_id)
    managed.running(job_id)
    managed.kill(managed.stack(job_id), "n0")
    managed.until(lambda: managed.status(job_id) is ManagedStatus.RECOVERING, "it is brought back", job_id)
    _killed(managed, job_id)
    job = managed.past(job_id)
    assert (job.status, job.current.attempt, len(job.current.recoveries)) == (ManagedStatus.SUCCEEDED, 2, 1)
    found = managed.attempts(job_id)
    assert [each.key for each in found] == [f"managed-{job_id}-0-{attempt}" for attempt in (1, 2)]
    assert found[-1].status is JobStatus.SUCCEEDED


def _killed(managed: Host, job_id: int) -> None:
    """kill -9 of the controller, until its watch has brought another one."""
    before = managed.controller()
    os.kill(before, signal.SIGKILL)
    managed.until(lambda: managed.controller() not in (0, before), "another controller is there", job_id)


def test_a_pipeline_runs_its_tasks_one_after_another_each_on_a_cluster_of_its_own(managed: Host) -> None:
    job_id = managed.launch("exit 0", name="p", more=("exit 0",))
    job = managed.past(job_id)
    assert [task.status for task in job.tasks] == [ManagedStatus.SUCCEEDED] * 2
    assert [task.jobs for task in job.tasks] == [(1,), (1,)]
    first, second = job.tasks
    assert first.stack != second.stack
    assert first.ended_at < second.started_at
