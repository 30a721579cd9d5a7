"""Managed jobs on real clusters: launched all at once, broken one after another, and gone afterwards."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from attrs import define
from managed_host import Host, host

from skyrig.control import client
from skyrig.control.jobs import wards as jobs
from skyrig.jobs.state import ManagedJob, ManagedStatus
from skyrig.launch.job import Cause, JobStatus

pytestmark = pytest.mark.e2e

SECOND_ENDS = """
echo "attempt $SKYRIG_ATTEMPT id $SKYPILOT_TASK_ID setup $(cat ~/setup-ran | wc -l)"
[ "$SKYRIG_ATTEMPT" = 1 ] && exec sleep 1000
true
"""


@define
class Jobs:
    """Jobs of somebody, by what becomes of them."""

    host: Host
    plain: int
    node: int
    head: int
    cancelled: int
    fails: int
    again: int
    line: int


@pytest.fixture(scope="module")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    """Somebody with managed jobs."""
    with host(tmp_path_factory.mktemp("managed")) as person:
        yield Jobs(
            person,
            node=person.launch(SECOND_ENDS, name="node", nodes=2, setup="echo ran >> ~/setup-ran"),
            head=person.launch(SECOND_ENDS, name="head", nodes=2),
            cancelled=person.launch(SECOND_ENDS, name="cancelled"),
            plain=person.launch('echo "id=$SKYPILOT_TASK_ID job=$SKYPILOT_MANAGED_JOB_ID"'),
            fails=person.launch("exit 3", name="fails"),
            again=person.launch("exit $((SKYRIG_ATTEMPT + 6))", name="again", restarts=1, codes=(7,)),
            line=person.launch("exit 0", name="p", more=("exit 0",)),
        )


@pytest.mark.soak
def test_only_a_lost_node_is_made_anew_and_the_job_goes_on_under_its_own_id(managed: Jobs) -> None:
    person, job_id = managed.host, managed.node
    stack = person.running(job_id).current.stack
    assert 'skyrig_managed_jobs{status="RUNNING"}' in client.metrics()
    head, lost = person.pid(stack, "n0"), person.kill(stack, "n1")
    person.until(lambda: person.job(job_id).current.attempt == 2, "it is brought back", job_id)
    person.until(lambda: person.pid(stack, "n1") not in (0, lost), "n1 is back", job_id)
    assert person.pid(stack, "n0") == head
    job = person.past(job_id)
    (recovery,) = job.current.recoveries
    assert job.status is ManagedStatus.SUCCEEDED
    assert (recovery.cause, recovery.nodes, recovery.job) == (Cause.NODE, ("n1",), 2)
    assert 0 < recovery.took_s < 60
    first, second = person.attempts(job_id)
    assert (first.status, second.status) == (JobStatus.FAILED, JobStatus.SUCCEEDED)
    said = [person.output(job_id, each.id) for each in (first, second)]
    assert all(f"id {job.current.task_id} setup 1" in text for text in said)


def test_a_controller_that_is_killed_begins_nothing_twice_and_a_lost_head_comes_back(managed: Jobs) -> None:
    person, job_id = managed.host, managed.head
    stack = person.running(job_id).current.stack
    _killed(managed)
    other, lost = person.pid(stack, "n1"), person.kill(stack, "n0")
    person.until(lambda: person.status(job_id) is ManagedStatus.RECOVERING, "it is brought back", job_id)
    _killed(managed)
    person.until(lambda: person.pid(stack, "n0") not in (0, lost), "n0 is back", job_id)
    assert person.pid(stack, "n1") == other
    job = person.past(job_id)
    assert (job.status, job.current.attempt, len(job.current.recoveries)) == (ManagedStatus.SUCCEEDED, 2, 1)
    assert [each.key for each in person.attempts(job_id)] == [f"managed-{job_id}-0-{attempt}" for attempt in (1, 2)]


def _killed(managed: Jobs) -> None:
    """kill -9 of the controller, until its watch has brought another one."""
    person = managed.host
    before = person.controller()
    os.kill(before, signal.SIGKILL)
    person.until(lambda: person.controller() not in (0, before), "another controller is there", managed.head)


@pytest.mark.soak
def test_a_job_that_is_cancelled_in_any_state_leaves_nothing(managed: Jobs) -> None:
    person, runs = managed.host, managed.cancelled
    starting = person.launch("exec sleep 1000", name="early")
    recovers = person.launch("exec sleep 1000", name="back")
    person.until(lambda: person.status(starting) is ManagedStatus.STARTING, "it begins", starting)
    jobs.cancel(starting)
    person.running(runs)
    jobs.cancel(runs)
    person.running(recovers)
    person.kill(person.stack(recovers), "n0")
    person.until(lambda: person.status(recovers) is ManagedStatus.RECOVERING, "it is brought back", recovers)
    jobs.cancel(recovers)
    for job_id in (starting, runs, recovers):
        assert person.past(job_id).status is ManagedStatus.CANCELLED


def test_a_job_runs_on_a_cluster_of_its_own_which_is_gone_afterwards(managed: Jobs) -> None:
    job = managed.host.past(managed.plain)
    assert (job.status, job.current.attempt, job.current.recoveries) == (ManagedStatus.SUCCEEDED, 1, ())
    assert job.current.exit_code == 0
    assert job.current.ran_s > 0
    (record,) = managed.host.attempts(managed.plain)
    assert record.key == job.current.key(job.id)
    assert f"id={job.current.task_id} job={job.id}" in managed.host.output(job.id, record.id)


def test_what_fails_by_its_own_doing_begins_again_as_often_as_it_may(managed: Jobs) -> None:
    def ended(job_id: int) -> ManagedJob:
        return managed.host.past(job_id)

    once = ended(managed.fails)
    assert (once.status, once.current.attempt, once.current.exit_code) == (ManagedStatus.FAILED, 1, 3)
    more = ended(managed.again)  # 7, which is always begun again, then 8 once, then 9
    assert (more.status, more.current.attempt, more.current.exit_code) == (ManagedStatus.FAILED, 3, 9)
    assert [each.cause for each in more.current.recoveries] == [Cause.SCRIPT] * 2


def test_a_pipeline_runs_its_tasks_one_after_another_each_on_a_cluster_of_its_own(managed: Jobs) -> None:
    job = managed.host.past(managed.line)
    assert [task.status for task in job.tasks] == [ManagedStatus.SUCCEEDED] * 2
    assert [task.jobs for task in job.tasks] == [(1,), (1,)]
    first, second = job.tasks
    assert first.stack != second.stack
    assert first.ended_at < second.started_at
