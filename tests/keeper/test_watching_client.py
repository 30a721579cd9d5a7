"""The client's side of watching, over SSH to a real head."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from attrs import evolve
from keeper_cluster import KeeperCluster

from skyrig.cluster.description import ClusterDescription, SshAccess
from skyrig.errors import NodeLost
from skyrig.launch.job import Cause, JobStatus
from skyrig.launch.protocol import KeeperGone
from skyrig.launch.sight import Sight
from skyrig.launch.watching import watching


@pytest.fixture
def described(own_cluster: KeeperCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ClusterDescription:
    """The cluster as a client knows it, which has a key for it."""
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "client-home"))
    access = SshAccess("", (own_cluster.folder / "client").read_text())
    return evolve(own_cluster.description(), ssh=access)


async def _until(sights: AsyncIterator[Sight], status: JobStatus) -> Sight:
    async for sight in sights:
        if sight.record is not None and sight.record.status is status:
            return sight
    raise AssertionError("the sights end")


def test_sights_come_until_keeper_or_head_are_gone(own_cluster: KeeperCluster, described: ClusterDescription) -> None:
    notes: list[str] = []

    async def work() -> None:
        async with watching(described, "k", patience_s=20, notify=notes.append) as watch:
            sights = watch.sights()
            assert (await sights.__anext__()).record is None
            own_cluster.submit("until [ -e ~/go ]; do sleep 0.1; done; exit 4", 2, key="k")
            running = await _until(sights, JobStatus.RUNNING)
            assert running.record is not None and running.record.nodes == ("n0", "n1")
            await watch.lease(60.0, "1 min")
            for node in own_cluster.nodes:
                (node.home / "go").touch()
            ended = await _until(sights, JobStatus.FAILED)
            assert ended.record is not None and ended.record.cause is Cause.SCRIPT
            own_cluster.kill()
            with pytest.raises(KeeperGone):
                await _until(sights, JobStatus.PENDING)
        async with watching(described, "k", patience_s=20) as watch:
            sights = watch.sights()
            assert (await sights.__anext__()).record == ended.record
            own_cluster.nodes[0].stop()
            with pytest.raises(NodeLost) as lost:
                await _until(sights, JobStatus.PENDING)
            assert lost.value.node_id == "n0"
        own_cluster.nodes[0].start()

    asyncio.run(work())
    assert len(notes) == 1 and "cannot stop themselves" in notes[0], "it cannot end itself, and says so"
