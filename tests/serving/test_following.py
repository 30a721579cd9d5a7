"""What a follower makes of a steward's snapshots: when it has seen enough, and what it tells meanwhile."""

from __future__ import annotations

import pytest
from attrs import evolve

from skyrig.serve.client import curl
from skyrig.serve.client.following import Outcome, news, outcome
from skyrig.serve.client.seen import Controller, Seen
from skyrig.serve.state import Load, Replica, ReplicaStatus, ServiceStatus, Snapshot, UpdateState, Wanted

ONE = Replica(1, 1, ReplicaStatus.STARTING, ("n0",), "10.0.0.1:8000", job=3, created_at=100.0)
COMING = Snapshot("m", ServiceStatus.REPLICA_INIT, replicas=(ONE,), wanted=Wanted(1, 1))
UP = Snapshot("m", ServiceStatus.READY, 1, 1, replicas=(evolve(ONE, status=ReplicaStatus.READY, ready_at=120.0),))


@pytest.mark.parametrize(
    ("now", "version", "wanted"),
    [
        (COMING, 1, Outcome.COMING),
        (UP, 1, Outcome.READY),
        (evolve(UP, version=2, update=UpdateState.UNDER_WAY), 2, Outcome.COMING),
        (evolve(UP, version=2, serving=2, update=UpdateState.UNDER_WAY), 2, Outcome.COMING),
        (evolve(UP, version=2, serving=2, update=UpdateState.DONE), 2, Outcome.READY),
        (evolve(UP, update=UpdateState.ROLLED_BACK), 2, Outcome.ROLLED_BACK),
        (evolve(UP, version=3, serving=3, update=UpdateState.ROLLED_BACK), 3, Outcome.READY),
        (evolve(UP, status=ServiceStatus.FAILED), 1, Outcome.FAILED),
        (Snapshot("m", ServiceStatus.NO_REPLICA), 1, Outcome.READY),
        (Snapshot("m", ServiceStatus.NO_REPLICA, wanted=Wanted(1, 1)), 1, Outcome.COMING),
    ],
)
def test_when_it_has_seen_enough(now: Snapshot, version: int, wanted: Outcome) -> None:
    assert outcome(now, version) is wanted


def test_only_news_is_told() -> None:
    assert news(None, COMING) == ["replica 1 (version 1) STARTING on n0"]
    assert news(COMING, COMING) == []
    assert news(COMING, UP) == ["replica 1 (version 1) READY on n0"]
    ended = evolve(ONE, status=ReplicaStatus.FAILED, reason="ended with 3", ended_at=130.0)
    after = evolve(COMING, replicas=(ended, evolve(ONE, id=2, status=ReplicaStatus.PENDING, nodes=())))
    assert news(COMING, after) == ["replica 1 (version 1) FAILED: ended with 3", "replica 2 (version 1) PENDING"]
    assert news(None, after) == ["replica 2 (version 1) PENDING"]
    update = evolve(UP, version=2, update=UpdateState.UNDER_WAY, reason="waits for a node")
    assert news(UP, update) == ["waits for a node", "version 2 is coming, version 1 serves meanwhile"]
    assert news(update, update) == []


def test_what_is_seen_of_a_service() -> None:
    load = Load(2.5, 1, 0.25, 2.0, 40.0, 100, 1)
    seen = Seen("m", "c", ServiceStatus.READY, evolve(UP, load=load, wanted=Wanted(1, 1)), "127.0.0.1:5")
    told = seen.to_json(160.0)
    assert {name: told[name] for name in ("name", "status", "endpoint")} == {
        "name": "m", "status": "READY", "endpoint": "127.0.0.1:5",
    }  # fmt: skip
    (replica,) = told["replicas"]
    assert (replica["id"], replica["status"], replica["endpoint"], replica["age"]) == (1, "READY", "10.0.0.1:8000", 60)
    assert (told["uptime"], told["qps"], told["p99_s"], told["tokens_per_s"]) == (40.0, 2.5, 2.0, 40.0)
    assert (told["ready"], told["wanted"], told["controller"]) == (1, 1, {"alive": True, "since": None})
    back = evolve(UP, update=UpdateState.ROLLED_BACK, update_reason="3 replicas of version 2 ended")
    remark = "the last update was rolled back: 3 replicas of version 2 ended"
    assert Seen("m", "c", ServiceStatus.READY, back).remarks() == [remark]
    gone = Seen("m", "c", ServiceStatus.CONTROLLER_INIT, reason="no answer", controller=Controller(False, 5.0))
    assert (gone.to_json(9.0)["replicas"], gone.to_json(9.0)["reason"]) == ([], "no answer")
    assert gone.to_json(9.0)["controller"] == {"alive": False, "since": 5.0}


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        ({}, "curl http://10.0.0.1:30001/"),
        ({"path": "/v1/models", "keys": ("K",)}, 'curl -H "Authorization: Bearer $K" http://10.0.0.1:30001/v1/models'),
        ({"scheme": "https"}, "curl -k https://10.0.0.1:30001/"),
        ({"scheme": "https", "domain": "a.example.com"}, "curl https://a.example.com:30001/"),
        ({"path": "/a b?c=$(d)"}, "curl 'http://10.0.0.1:30001/a b?c=$(d)'"),
    ],
)
def test_the_line_to_try_it_with(seen: dict[str, object], wanted: str) -> None:
    service = Seen("m", "c", ServiceStatus.READY, endpoint="10.0.0.1:30001", **seen)  # type: ignore[arg-type]
    assert curl.line(service) == wanted
