"""Managed jobs on real clusters, whose controller's folder is lost while they run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from managed_host import Host, host

from skyrig import standing
from skyrig.control import folder, table
from skyrig.control.jobs import rebuilding
from skyrig.control.ward import JOB
from skyrig.jobs import kept
from skyrig.jobs.state import ManagedStatus

pytestmark = pytest.mark.e2e

UNTIL_SECOND = """
echo "attempt $SKYRIG_ATTEMPT id $SKYPILOT_TASK_ID"
if [ "${SKYRIG_ATTEMPT:-1}" -ge 2 ]; then exit 0; fi
exec sleep 1000
"""


@pytest.fixture
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Somebody with managed jobs."""
    with host(tmp_path_factory.mktemp("lost")) as person:
        yield person


def lose(managed: Host) -> None:
    """Everything of the controller's own goes, and the controller with it."""
    standing.dismiss(folder.standing())
    folder.root().rename(managed.person.home / "lost")


@pytest.mark.soak
def test_a_job_goes_on_and_is_mended_when_the_controllers_folder_was_lost(managed: Host) -> None:
    job_id = managed.launch(UNTIL_SECOND, nodes=2)
    managed.running(job_id)
    before = managed.job(job_id)
    lose(managed)
    lines: list[str] = []
    assert rebuilding.settle(lines.append) == [job_id]
    assert "managed job 1" in lines[0]
    after = managed.job(job_id)
    assert (after.id, after.current.task_id, after.current.attempt) == (before.id, before.current.task_id, 1)
    managed.kill(before.current.stack, "n1")
    job = managed.past(job_id)
    (recovery,) = job.current.recoveries
    assert (job.status, job.current.attempt, recovery.nodes) == (ManagedStatus.SUCCEEDED, 2, ("n1",))
    assert len(managed.attempts(job_id)) == 2
    assert table.number(JOB) == 2


@pytest.mark.soak
def test_a_job_that_only_its_stack_tells_of_is_followed_until_it_loses_a_node(managed: Host) -> None:
    job_id = managed.launch("exec sleep 1000", name="bare")
    stack = managed.running(job_id).current.stack
    lose(managed)
    kept.drop([stack])
    assert rebuilding.settle() == [job_id]
    managed.kill(stack, "n0")
    ended = managed.past(job_id)
    assert ended.status is ManagedStatus.FAILED_CONTROLLER
    assert "cannot be read" in ended.current.reason
