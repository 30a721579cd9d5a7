"""Managed jobs on real clusters: launched, cared for by the controller, and gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from managed_host import Host, host

from skyrig.jobs.state import ManagedStatus
from skyrig.launch.job import Cause, JobStatus

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Somebody with managed jobs."""
    with host(tmp_path_factory.mktemp("managed")) as person:
        yield person


def test_a_job_runs_on_a_cluster_of_its_own_which_is_gone_afterwards(managed: Host) -> None:
    job_id = managed.launch('echo "id=$SKYPILOT_TASK_ID job=$SKYPILOT_MANAGED_JOB_ID"')
    job = managed.past(job_id)
    assert (job.status, job.current.attempt, job.current.recoveries) == (ManagedStatus.SUCCEEDED, 1, ())
    assert job.current.exit_code == 0
    assert job.current.running_at > 0 or job.current.ran_s > 0
    assert [each.key for each in managed.attempts(job_id)] == [job.current.key(job_id)]


UNTIL_SECOND = """
echo "attempt $SKYRIG_ATTEMPT id $SKYPILOT_TASK_ID setup $(cat ~/setup-ran | wc -l)"
if [ "${SKYRIG_ATTEMPT:-1}" -ge 2 ]; then exit 0; fi
exec sleep 1000
"""


def test_only_a_lost_node_is_made_anew_and_the_job_goes_on_under_its_own_id(managed: Host) -> None:
    job_id = managed.launch(UNTIL_SECOND, nodes=2, setup="echo ran >> ~/setup-ran")
    stack = managed.running(job_id).current.stack
    head, lost = managed.pid(stack, "n0"), managed.kill(stack, "n1")
    managed.until(lambda: managed.job(job_id).current.attempt == 2, "it is brought back", job_id)
    managed.until(lambda: managed.pid(stack, "n1") not in (0, lost), "n1 is back", job_id)
    assert managed.pid(stack, "n0") == head
    job = managed.past(job_id)
    (recovery,) = job.current.recoveries
    assert job.status is ManagedStatus.SUCCEEDED
    assert (recovery.cause, recovery.nodes) == (Cause.NODE, ("n1",))
    assert 0 < recovery.took_s < 60
    first, second = managed.attempts(job_id)
    assert (first.status, second.status) == (JobStatus.FAILED, JobStatus.SUCCEEDED)
    said = [managed.output(job_id, each.id) for each in (first, second)]
    assert all(f"id {job.current.task_id} setup 1" in text for text in said)


def test_a_lost_head_comes_back_and_the_job_with_it(managed: Host) -> None:
    job_id = managed.launch(UNTIL_SECOND, nodes=2)
    stack = managed.running(job_id).current.stack
    other, lost = managed.pid(stack, "n1"), managed.kill(stack, "n0")
    managed.until(lambda: managed.pid(stack, "n0") not in (0, lost), "n0 is back", job_id)
    assert managed.pid(stack, "n1") == other
    job = managed.past(job_id)
    assert (job.status, job.current.attempt, len(job.current.recoveries)) == (ManagedStatus.SUCCEEDED, 2, 1)


def test_what_fails_by_its_own_doing_is_not_tried_again(managed: Host) -> None:
    job_id = managed.launch("exit 3")
    job = managed.past(job_id)
    assert (job.status, job.current.attempt, job.current.exit_code) == (ManagedStatus.FAILED, 1, 3)
    assert len(managed.attempts(job_id)) == 1
