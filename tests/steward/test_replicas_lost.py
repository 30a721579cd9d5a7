"""What a service does when something is lost: a probe, a node, the first version altogether."""

from __future__ import annotations

import json

import pytest
from asking import Asking
from attrs import evolve
from keeper_cluster import until
from served import Served, free, replica, spec

from skyrig.serve.spec import Probe


def test_an_unwell_replica_gets_nothing_until_it_is_well(service: Served) -> None:
    what = spec(2, free())
    service.apply(what, replica())
    service.until_ready(2)
    unwell = service.cluster.nodes[1].home / "unwell"
    unwell.touch()
    until(lambda: [each.nodes for each in service.ready()] == [("n0",)], "one is not ready")
    sick = [each for each in service.snapshot().replicas if each.status == "NOT_READY"]
    assert sick and sick[0].reason == "no good answer from /health: status 500"
    with Asking(what.entrance.port) as asking:
        asking.go_on(20)
        assert {words[1] for words in asking.answers} == {str(service.ready()[0].id)}
        unwell.unlink()
        service.until_ready(2)
    assert asking.failures == [] and len(service.running()) == 2


def test_a_version_that_is_never_ready_fails_with_its_last_words(service: Served) -> None:
    what = evolve(spec(1), alone=True)
    service.apply(what, "echo first; echo last words; exit 3")
    told = until(lambda: (told := service.snapshot()).status == "FAILED" and told, f"failed\n{service.log()}")
    assert told.reason == "3 replicas of version 1 ended: rank 0 (n0) exited with code 3"
    assert told.wanted.nothing and told.replicas[-1].last_lines == ("first", "last words")
    until(lambda: (service.home / "steward" / "autostop-set").exists(), "the keeper is told to end the cluster")
    until(lambda: not service.running(), "nothing runs")
    service.apply(what, replica())
    service.until_ready(1)
    assert not service.snapshot().wanted.nothing


@pytest.mark.soak
def test_a_replica_that_says_nothing_fails_by_its_initial_delay(service: Served) -> None:
    probe = Probe("/health", initial_delay_s=0.5, timeout_s=1, interval_s=0.5)
    service.apply(evolve(spec(1), probe=probe), "echo waiting; sleep 1000")
    told = until(lambda: (told := service.snapshot()).status == "FAILED" and told, f"failed\n{service.log()}")
    last = told.replicas[-1]
    assert last.status == "FAILED_INITIAL_DELAY" and last.last_lines == ("waiting",)
    assert last.reason.startswith("no good answer from /health: ")
    until(lambda: not service.running(), "nothing runs")


@pytest.mark.soak  # a lease and a silence have to pass
def test_a_lost_node_is_told_and_used_again_once_it_is_back(service: Served) -> None:
    what = spec(2, free())
    what = evolve(what, probe=evolve(what.probe, patience_s=60))
    service.describe_first(2)
    service.apply(what, replica())
    service.until_ready(2)
    with Asking(what.entrance.port, 2) as asking:
        service.cluster.nodes[1].stop()
        until(lambda: service.snapshot().wanted.lost == ("n1",), f"a lost node\n{service.log()}", 60)
        told = service.snapshot()
        assert "PREEMPTED" in {each.status for each in told.replicas} and told.wanted.nodes == 2
        service.kill()
        until(lambda: service.snapshot().wanted.lost == ("n1",), "the next steward knows of it")
        service.cluster.nodes[1].start()
        service.until_ready(2)
    assert {each.nodes for each in service.ready()} == {("n0",), ("n1",)}
    assert asking.words == {"one"} and len(asking.failures) <= 2
    assert not service.snapshot().wanted.lost


def test_more_than_there_is_room_for_asks_for_nodes(service: Served) -> None:
    service.describe_first(2)
    service.apply(spec(3), replica())
    service.until_ready(2)
    told = service.snapshot()
    waiting = [each for each in told.replicas if each.status == "PROVISIONING"]
    assert len(waiting) == 1 and (told.wanted.nodes, told.wanted.replicas) == (3, 3)
    service.describe(3)
    service.until_ready(3)
    service.ask(op="replace", id=waiting[0].id)
    until(lambda: len(ids := {each.id for each in service.ready()}) == 3 and waiting[0].id not in ids, "another one")
    text = service.ask(op="metrics")["text"]
    assert 'skyrig_serve_replicas{service="svc",status="READY"} 3\n' in text


def test_what_cannot_be_is_refused(service: Served) -> None:
    service.apply(spec(1), replica())
    other = evolve(spec(1), name="other")
    assert service.apply(other, replica(), expected="an error")["error"] == "svc is served here"
    assert service.ask(op="replace", id=99, expected="an error")["code"] == 2
    assert service.apply(spec(1), replica(), secrets={"TOKEN": "much too secret"})["version"] == 2
    kept = (service.home / "steward" / "state.json").read_text()
    assert "much too secret" not in kept and json.loads(kept)["memory"]["target"] == 2
