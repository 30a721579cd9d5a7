"""Files on their way to a job's nodes: right for every job, and what the log says of them where that takes long."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from pathlib import Path
from typing import Any

import pytest
from keeper_cluster import Following, KeeperCluster

from skyrig.cluster.description import ClusterDescription, Node, SshAccess
from skyrig.errors import NodeLost, SkyrigError
from skyrig.fleet.content import Entry, Manifest
from skyrig.fleet.progress import Progress, Report
from skyrig.fleet.receiver import Changes
from skyrig.launch.keeper import nodes as nodes_module
from skyrig.launch.keeper.nodes import Nodes
from skyrig.launch.keeper.table import JobTable


def test_what_a_job_did_to_its_files_does_not_reach_the_next_one(cluster: KeeperCluster) -> None:
    """Both nodes have the same workdir from job to job, and a look at it must not miss what was done there."""
    manifest = cluster.sync({"a": b"one\n", "run": b"#!/bin/sh\n"})
    again = cluster.sync({"a": b"one\n", "run": b"#!/bin/sh\n"})
    assert again == manifest
    for done in ("true", "echo two >a", "rm a", "chmod 600 run", "true"):
        job = cluster.submit(f"cd ~/sky_workdir; cat a; stat -c %a run; {done}", 2, manifest=manifest)
        following = Following(cluster, job)
        following.join(60)
        assert following.record["status"] == "SUCCEEDED"
        assert following.outputs() == {0: b"one\n644\n", 1: b"one\n644\n"}, f"before {done!r}"
    other = cluster.sync({"b": b"other\n"})
    following = Following(cluster, cluster.submit("cd ~/sky_workdir; ls", 2, manifest=other))
    following.join(60)
    assert following.outputs() == {0: b"b\n", 1: b"b\n"}


def described(count: int) -> ClusterDescription:
    """A cluster of nodes that nobody speaks to."""
    nodes = tuple(
        Node(
            id=f"n{rank}",
            rank=rank,
            host="127.0.0.1",
            port=1,
            address=f"a{rank}",
            user="u",
            host_key="k",
            incarnation=f"i{rank}",
        )
        for rank in range(count)
    )
    return ClusterDescription("c", "ssh", nodes, SshAccess(""), "file:///nowhere")


def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: dict[str, Any]) -> list[str]:
    """What is said while a spread reports each second for twelve seconds, and then ends with `ends`."""
    now = [100.0]
    monkeypatch.setattr(nodes_module.time, "monotonic", lambda: now[0])

    async def spread(*_: Any, report: Report, **__: Any) -> dict[str, Any]:
        for second in range(1, 13):
            now[0] += 1
            report(Progress(second, 12, second * 10**6, 12 * 10**6))
        return ends

    monkeypatch.setattr(nodes_module, "spread", spread)
    table = JobTable(tmp_path / "jobs.db")
    keepers = Nodes(tmp_path, table, logging.getLogger())
    keepers.describe(described(3).to_json(), undrain=False)
    empty = Manifest([Entry("empty", "file", 0o644, 0, hashlib.sha256(b"").hexdigest())])
    keepers.store.put_manifest(empty)
    said: list[str] = []
    try:
        asyncio.run(keepers.spread(empty.digest, keepers.cluster.nodes[1:], said.append))
    finally:
        table.close()
    return said


def test_a_long_spread_says_now_and_then_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detour = "sent by the head, not through n1: it has no ssh client"
    said = told(tmp_path, monkeypatch, {"n1": Changes(1, 0, 0, ()), "n2": Changes(1, 0, 0, (), detour)})
    assert said == [
        "files to 2 nodes: 5 of 12 files, 5.0 of 12.0 MB",
        "files to 2 nodes: 10 of 12 files, 10.0 of 12.0 MB",
        f"files of n2: {detour}",
    ]


@pytest.mark.parametrize("error", [NodeLost("lost node n2", node_id="n2"), SkyrigError("its disk is full")], ids=str)
def test_a_node_that_did_not_get_them_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: SkyrigError
) -> None:
    with pytest.raises(type(error), match="n2"):
        told(tmp_path, monkeypatch, {"n1": Changes(1, 0, 0, ()), "n2": error})
