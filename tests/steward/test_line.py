"""The client's line to a steward, over a real SSH connection; and what is there of it after a boot."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest
from attrs import evolve
from keeper_cluster import environment, until
from served import Served, free, replica, spec

from skyrig.errors import BadInput
from skyrig.serve.client.link import steward
from skyrig.serve.spec import Secrets
from skyrig.serve.state import ReplicaStatus


def test_all_that_is_asked_over_it(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path))
    key = (served.cluster.folder / "client").read_text()
    desc = served.cluster.description()
    desc = evolve(desc, ssh=evolve(desc.ssh, private_key=key))
    what = spec(1, free())

    async def use() -> None:
        async with steward(desc, patience_s=20, prepare=True) as link:
            assert await link.snapshot() is None
            request = served.request(replica())
            assert await link.apply(what, request, Secrets()) == 1
            assert await link.apply(what, request, Secrets()) == 1
            async for told in link.watch(capacity=True):
                if told is not None and [each.status for each in told.replicas] == [ReplicaStatus.READY]:
                    break
            first = told.replicas[0] if told is not None else None
            assert first is not None and first.job == (await link.keeper.ask({"op": "queue"}))["records"][-1]["id"]
            await link.describe()
            with pytest.raises(BadInput, match="no replica 7"):
                await link.replace(7)
            assert 'skyrig_serve_status{service="svc",status="READY"} 1' in await link.metrics()
            await link.stop()
            assert await link.snapshot() is None

    asyncio.run(use())
    assert not served.running()


def test_what_is_gone_with_the_heads_memory_is_applied_again(service: Served) -> None:
    what = spec(1)
    service.apply(what, replica(), secrets={"TOKEN": "t"})
    service.until_ready(1)
    for path in (service.home / "steward").glob("version-*.json"):
        path.unlink()  # on tmpfs, where there is one
    service.kill()
    assert service.ask(op="snapshot")["snapshot"]["forgot"], "what it says first is not that it knows nothing"
    service.cluster.ask(op="cancel", ids=[service.ready()[0].job])
    until(lambda: "memory" in service.snapshot().reason, "and why no other replica comes")
    assert service.apply(what, replica(), secrets={"TOKEN": "t"})["version"] == 1
    service.until_ready(1)
    assert not service.snapshot().forgot


def test_after_a_boot_keeper_and_steward_are_there_again(service: Served) -> None:
    service.apply(spec(1), replica())
    first = service.until_ready(1)[0]
    at_boot = service.home / "at-boot"
    for of in ("watch", "lock"):
        service.end(of)
    service.cluster.stop_keeper()
    done = subprocess.run(["/bin/sh", str(at_boot)], env=environment(service.cluster.nodes[0].home), timeout=60)
    assert done.returncode == 0 and service.cluster.pid()
    again = service.until_ready(1)[0]
    assert (again.id, again.job) == (first.id, first.job)
    service.stop()
    until(lambda: not service.running(), "nothing runs")
