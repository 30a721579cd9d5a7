"""Replicas on real nodes: up, back after a kill, away with the service."""

from __future__ import annotations

import os
import signal
import socket
import urllib.request

from asking import Asking
from keeper_cluster import until
from served import Served, free, replica, spec

from skyrig.serve.spec import Scaling


def fetch(port: int) -> list[str]:
    """Words of the endpoint's answer: version, replica, pid."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        return str(answer.read().decode()).split()


def test_replicas_come_up_and_are_served(service: Served) -> None:
    port = free()
    service.apply(spec(2, port), replica())
    ready = service.until_ready(2)
    assert [each.nodes for each in ready] == [("n0",), ("n1",)]
    told = service.snapshot()
    assert (told.status, told.serving, told.port, told.wanted.nodes) == ("READY", 1, port, 2)
    seen = {fetch(port)[1] for _ in range(8)}
    assert seen == {str(each.id) for each in ready}
    killed = int(fetch(port)[2])
    os.kill(killed, signal.SIGKILL)

    def back() -> bool:
        now = {each.id for each in service.ready()}
        return len(now) == 2 and now != {each.id for each in ready}

    until(back, "two that are ready, one of them new")
    assert len(service.running()) == 2


def test_replicas_follow_the_load_up_and_down_again(service: Served) -> None:
    scaling = Scaling(1, 3, target_in_flight=2, window_s=2, upscale_delay_s=0.5, downscale_delay_s=1.5)
    port = free()
    service.apply(spec(1, port, scaling=scaling), replica(pause_s=0.2))
    service.until_ready(1)
    with Asking(port, 6) as asking:
        service.until_ready(3)
        asking.go_on(20)
        assert service.snapshot().wanted.replicas == 3
    until(lambda: service.snapshot().wanted.nodes == 1, "one node is enough")
    assert [each.nodes for each in service.ready()] == [("n0",)] and len(service.running()) == 1
    assert set(service.snapshot().wanted.going) == {"n1", "n2", "n3"}
    assert asking.failures == []


def test_a_service_whose_endpoint_is_taken_is_not_ready_and_says_why(service: Served) -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        service.apply(spec(1, port), replica())
        service.until_ready(1)
        told = until(lambda: (now := service.snapshot()).reason and now, "a reason")
        assert told.status == "REPLICA_INIT"
        assert str(port) in told.reason
    until(lambda: service.snapshot().status == "READY", "the endpoint")
    assert fetch(port)[0] == "one"
    assert service.snapshot().reason == ""
