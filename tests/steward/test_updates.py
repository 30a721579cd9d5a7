"""Updates of a real service while it is asked without a pause: nobody notices."""

from __future__ import annotations

import pytest
from asking import Asking
from attrs import evolve
from keeper_cluster import until
from served import Served, free, replica, spec

from skyrig.serve.spec import Update
from skyrig.serve.state import Snapshot


def until_done(service: Served, state: str, seconds: float = 60.0) -> Snapshot:
    """Wait for an update's end."""
    until(lambda: service.snapshot().update == state, f"update {state}\n{service.log()}", seconds)
    return service.snapshot()


@pytest.mark.parametrize("how", list(Update))
def test_an_update_loses_no_request(service: Served, how: Update) -> None:
    replicas = 2
    what = spec(replicas, free(), update=how)
    service.describe_first(replicas + (1 if how is Update.ROLLING else replicas))
    service.apply(what, replica("one"))
    service.until_ready(replicas)
    with Asking(what.entrance.port) as asking:
        asking.go_on(20)
        assert service.apply(what, replica("two"))["version"] == 2
        told = until_done(service, "DONE")
        count = len(asking.answers)
        asking.go_on(20)
    assert asking.failures == [] and asking.words == {"one", "two"}
    assert {words[0] for words in asking.answers[count:]} == {"two"}
    assert (told.version, told.serving) == (2, 2)
    until(lambda: len(service.running()) == replicas, "no replica too many")
    until(lambda: len(service.snapshot().wanted.going) == service.count - replicas, "nodes that may go")


def test_a_bad_version_is_rolled_back_and_nobody_notices(service: Served) -> None:
    what = spec(2, free())
    service.describe_first(3)
    service.apply(what, replica("one"))
    service.until_ready(2)
    with Asking(what.entrance.port) as asking:
        assert service.apply(what, "echo it is broken; exit 7")["version"] == 2
        told = until_done(service, "ROLLED_BACK")
        until(lambda: len(service.ready(1)) == 2 and len(service.running()) == 2, "the first version alone")
    assert asking.failures == [] and asking.words == {"one"}
    assert "3 replicas of version 2 ended: rank 0" in told.update_reason and told.version == 1
    failed = [each for each in service.snapshot().replicas if each.status == "FAILED"]
    assert failed and failed[-1].last_lines == ("it is broken",)
    assert evolve(told.wanted, why="").nodes == 2


@pytest.mark.soak
def test_killed_at_any_moment_the_steward_ends_what_it_began(service: Served) -> None:
    what = spec(2, free())
    service.describe_first(3)
    service.apply(what, replica("one"))
    service.until_ready(2)
    with Asking(what.entrance.port, 2) as asking:
        service.apply(what, replica("two"))
        for answers in (1, 40, 120):
            asking.go_on(answers)
            service.kill()
        until_done(service, "DONE")
    ready = service.until_ready(2, 2)
    jobs = service.running()
    assert asking.failures == []
    assert sorted(each.job for each in ready) == [row["id"] for row in jobs]
    keys = [row["key"] for row in service.cluster.jobs().values()]
    assert len(keys) == len(set(keys))
