"""Nodes that are about to be removed: busy ones are told, marked ones get no job, forced ones lose theirs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from keeper_cluster import Following, KeeperCluster, until


@pytest.fixture(autouse=True)
def whole(cluster: KeeperCluster) -> Iterator[None]:
    """Each test begins and ends with a cluster of two nodes, none of them marked, and no job."""
    yield
    cluster.ask(op="cancel", ids=None)
    cluster.describe(undrain=True)


def reason(cluster: KeeperCluster, job: int) -> str:
    row = cluster.jobs()[job]
    assert row["status"] == "PENDING", row
    return str(row["reason"])


def test_a_busy_node_is_told_and_stays(cluster: KeeperCluster) -> None:
    job = cluster.submit("sleep 1000", 2)
    cluster.runs(job)
    assert cluster.ask(op="drain", nodes=["n1"], force=False)["busy"] == {"n1": [job]}
    assert cluster.ask(op="drain", nodes=["n1", "n0"], force=False)["busy"] == {"n0": [job], "n1": [job]}
    assert cluster.ended(cluster.submit("true", 2))["nodes"] == ["n0", "n1"], "nothing was marked"


def test_an_idle_node_gets_no_more_jobs_also_after_a_restart(cluster: KeeperCluster) -> None:
    assert cluster.ask(op="drain", nodes=["n0"], force=False)["busy"] == {}
    cluster.kill(watch=True)
    assert [cluster.ended(cluster.submit("true"))["nodes"] for _ in range(2)] == [["n1"], ["n1"]]
    wide = cluster.submit("echo wide", 2)
    behind = cluster.submit("echo behind")
    assert cluster.ended(behind)["nodes"] == ["n1"], "what cannot run holds back nobody"
    assert reason(cluster, wide) == "the job wants 2 nodes, the cluster has 1, without n0, about to be removed"
    cluster.describe()
    assert reason(cluster, wide), "a fresh look at the same cluster changes nothing"
    cluster.describe(undrain=True)
    assert cluster.ended(wide)["reason"] == ""


def test_by_force_the_jobs_of_a_node_end_first(cluster: KeeperCluster) -> None:
    wide = cluster.submit("trap 'sleep 0.3; touch ~/saved; exit 0' TERM; echo on; while :; do sleep 0.05; done", 2)
    alone = cluster.submit("sleep 1000")
    following = Following(cluster, wide)
    until(lambda: following.kept.count(b"|on\n") == 2, "both ranks run")
    cluster.runs(alone)
    assert cluster.ask(op="drain", nodes=["n1"], force=True)["busy"] == {"n1": [wide]}
    row = cluster.jobs()[wide]
    assert (row["status"], row["reason"], row["exit_code"]) == ("CANCELLED", "node n1 is removed", 143)
    assert (cluster.nodes[1].home / "saved").exists()
    assert cluster.jobs()[alone]["status"] == "RUNNING"


def test_a_node_that_came_anew_is_not_marked(cluster: KeeperCluster) -> None:
    cluster.ask(op="drain", nodes=["n1"], force=False)
    waiting = cluster.submit("true", 2)
    cluster.describe(1)
    assert reason(cluster, waiting) == "the job wants 2 nodes, the cluster has 1", "n1 is gone, and its mark with it"
    cluster.describe()
    assert cluster.ended(waiting)["status"] == "SUCCEEDED"


def test_a_job_in_setup_keeps_all_nodes_busy(cluster: KeeperCluster) -> None:
    setup = {"files": {"run.sh": "sleep 1000"}, "entry": "run.sh"}
    job = cluster.ask(op="submit", request={**cluster.request("true"), "setup": setup})["record"]["id"]
    until(lambda: cluster.jobs()[job]["status"] == "SETTING_UP", "setup")
    assert cluster.ask(op="drain", nodes=["n1"], force=False)["busy"] == {"n1": [job]}


def test_an_unknown_node_is_refused(cluster: KeeperCluster) -> None:
    answer = cluster.ask(op="drain", nodes=["n7"], force=False, expected=1)
    assert answer["error"] == "there is no node n7"
