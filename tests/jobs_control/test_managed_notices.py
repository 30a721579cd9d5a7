"""Notices, and jobs that go on with fewer nodes, on real clusters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from managed_host import Host, host

from skyrig.jobs.spec import Policy
from skyrig.jobs.state import ManagedStatus
from skyrig.launch.job import Cause

pytestmark = [pytest.mark.e2e, pytest.mark.soak]

SECOND_ENDS = '[ "$SKYRIG_ATTEMPT" = 1 ] && exec sleep 1000; true'


@pytest.fixture(scope="module")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Somebody with managed jobs."""
    with host(tmp_path_factory.mktemp("managed")) as person:
        yield person


def test_a_node_that_is_said_to_go_has_its_successor_before(managed: Host) -> None:
    job_id = managed.launch(SECOND_ENDS, name="told", nodes=2)
    stack = managed.running(job_id).current.stack
    head = managed.pid(stack, "n0")
    managed.person.run("local.preempt", "n1", "-c", stack, "--notice", "40")
    managed.until(lambda: managed.pid(stack, "n2"), "another node is there", job_id, 40)
    assert managed.pid(stack, "n1"), "while the one that goes is"
    managed.until(lambda: managed.job(job_id).current.attempt == 2, "it is brought back", job_id)
    assert managed.pid(stack, "n0") == head
    job = managed.past(job_id)
    (recovery,) = job.current.recoveries
    assert (job.status, recovery.cause, recovery.nodes) == (ManagedStatus.SUCCEEDED, Cause.PREEMPTION, ("n1",))
    assert managed.attempts(job_id)[-1].nodes == ("n0", "n2")


def test_a_job_goes_on_with_fewer_nodes_and_gets_its_node_back(managed: Host) -> None:
    job_id = managed.launch(
        "until [ -e ~/enough ]; do sleep 0.2; done", name="fewer", nodes=3, policy=Policy.REPLACE_NODE, min_nodes=2
    )
    stack = managed.running(job_id).current.stack
    lost = managed.kill(stack, "n2")
    managed.until(lambda: managed.job(job_id).current.recoveries, "its loss is known", job_id)
    assert managed.status(job_id) is ManagedStatus.RUNNING
    managed.until(lambda: managed.pid(stack, "n2") not in (0, lost), "n2 is back", job_id)
    managed.until(lambda: managed.job(job_id).current.recoveries[-1].took_s, "it has all its nodes again", job_id)
    job = managed.job(job_id)
    assert (job.status, job.current.attempt, len(job.current.recoveries)) == (ManagedStatus.RUNNING, 1, 1)
    for node in ("n0", "n1", "n2"):
        (managed.person.home / "local" / stack / node / "home" / "enough").touch()
    assert managed.past(job_id).status is ManagedStatus.SUCCEEDED
