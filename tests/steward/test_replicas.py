"""Replicas on real nodes: up, back after a kill, away with the service."""

from __future__ import annotations

import os
import signal
import urllib.request

from keeper_cluster import until
from served import Served, free, replica, spec


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
    until(
        lambda: len(service.ready()) == 2 and {each.id for each in service.ready()} != {each.id for each in ready},
        "back",
    )
    assert len(service.running()) == 2
