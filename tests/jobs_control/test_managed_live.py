"""Managed jobs on real clusters: launched, cared for by the controller, and gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from managed_host import Host, host

from skyrig.jobs.state import ManagedStatus

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
