"""Managed jobs on real clusters, whose controller's folder is lost while they run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from managed_host import Host, host

from skyrig import standing
from skyrig.control import folder, sealing, table
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


def test_jobs_go_on_and_are_mended_when_the_controllers_folder_was_lost(managed: Host) -> None:
    full = managed.launch(UNTIL_SECOND, nodes=2)
    bare = managed.launch("exec sleep 1000", name="bare")
    for job_id in (full, bare):
        managed.running(job_id)
    before, poor = managed.job(full), managed.job(bare)
    lose(managed)
    kept.drop([poor.current.stack])
    lines: list[str] = []
    assert rebuilding.settle(lines.append) == [full, bare]
    assert "managed jobs 1, 2" in lines[0]
    assert sealing.seal(b"", "")
    after = managed.job(full)
    assert (after.id, after.current.task_id, after.current.attempt) == (before.id, before.current.task_id, 1)
    managed.kill(before.current.stack, "n1")
    managed.kill(poor.current.stack, "n0")
    job = managed.past(full)
    (recovery,) = job.current.recoveries
    assert (job.status, job.current.attempt, recovery.nodes) == (ManagedStatus.SUCCEEDED, 2, ("n1",))
    assert len(managed.attempts(full)) == 2
    ended = managed.past(bare)
    assert ended.status is ManagedStatus.FAILED_CONTROLLER
    assert "cannot be read" in ended.current.reason
    assert table.number(JOB) == 3
