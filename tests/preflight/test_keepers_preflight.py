"""Preflights by a real keeper on real nodes: what becomes of jobs, of nodes that are bad, and of what was started."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve
from keeper_cluster import KeeperCluster, until

from skyrig.preflight.asked import SMALL, Asked, Devices, Sizes

QUICK = Asked(mode="refuse", sizes=SMALL, answer_s=4.0)
ALONE = evolve(QUICK, alone=True)
LACKING = evolve(QUICK, devices=Devices("H100", 1))
ALL = ("n0", "n1", "n2")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeeperCluster]:
    """Three nodes without any accelerator."""
    made = KeeperCluster(tmp_path_factory.mktemp("fit"), 3)
    yield made
    made.close()


def notes(cluster: KeeperCluster, job: int) -> str:
    """What the log of a job holds."""
    return cluster.log(job).read_text()


def agents(cluster: KeeperCluster) -> list[int]:
    """Processes of preflights on the nodes."""
    return [pid for pid in cluster.processes() if b"m['program']" in _words(pid)]


def _words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_job_begins_on_nodes_that_are_fit_and_not_on_others(cluster: KeeperCluster) -> None:
    fit = cluster.ended(cluster.submit("echo begun", 3, preflight=QUICK))
    assert (fit["status"], fit["exit_code"]) == ("SUCCEEDED", 0)
    assert "preflight: all nodes are fit\n" in notes(cluster, fit["id"])
    warned = cluster.ended(cluster.submit("echo begun", 2, preflight=evolve(LACKING, mode="warn")))
    assert warned["status"] == "SUCCEEDED"
    assert "preflight: n1: bad: it has 0 of 1 H100 accelerators" in notes(cluster, warned["id"])
    assert cluster.ask(op="preflight")["cordoned"] == "[]"
    refused = cluster.ended(cluster.submit("echo begun", 2, on=("n1", "n2"), preflight=LACKING))
    assert (refused["status"], refused["exit_code"], refused["cause"]) == ("FAILED", 4, "node")
    assert refused["lost"] == ["n1", "n2"]
    assert "begun" not in notes(cluster, refused["id"])
    waits = cluster.submit("echo begun", 2)
    until(lambda: "without n1, n2, cordoned" in cluster.jobs()[waits]["reason"], "the job says what it waits for")
    kept = cluster.records / str(refused["id"]) / "preflight.json"
    until(kept.exists, "the report lies beside the job's record")
    cluster.kill(watch=True)
    assert "n1" in cluster.patient(op="preflight")["cordoned"]
    cluster.patient(op="uncordon", nodes=["n1", "n2"])
    assert cluster.ended(waits)["status"] == "SUCCEEDED"


def test_by_itself_it_disturbs_nobody_and_leaves_nothing(cluster: KeeperCluster) -> None:
    busy = cluster.submit("sleep 60", 1, on=("n1",))
    cluster.runs(busy)
    said = cluster.ask(op="submit", request=cluster.request("", 3, on=ALL, preflight=ALONE), expected=True)
    assert said["code"] == 2
    assert f"would disturb job {busy}, which runs on n1" in said["error"]
    assert "--node n0 --node n2" in said["hint"]
    beside = cluster.ended(cluster.submit("", 2, on=("n0", "n2"), preflight=ALONE))
    assert beside["status"] == "SUCCEEDED"
    cluster.ask(op="cancel", ids=[busy])
    both = [cluster.submit("", 1, on=(node,), preflight=ALONE) for node in ("n0", "n2")]
    assert [cluster.ended(job)["status"] for job in both] == ["SUCCEEDED"] * 2
    assert [cluster.ask(op="preflight", job=job)["report"]["job"] for job in both] == both
    long = evolve(ALONE, sizes=Sizes(ring=1 << 40, pair=1 << 40, ring_s=60.0, pair_s=60.0))
    cut = cluster.submit("", 3, on=ALL, preflight=long)
    until(lambda: len(agents(cluster)) == 3, "the preflight is at work")
    cluster.ask(op="cancel", ids=[cut])
    assert cluster.ended(cut)["status"] == "CANCELLED"
    until(lambda: not agents(cluster), "its programs end with it")


def test_of_a_keeper_that_was_killed_nothing_stays(cluster: KeeperCluster) -> None:
    killed = cluster.submit("", 3, on=ALL, preflight=ALONE)
    cluster.kill()
    assert cluster.ended(killed)["status"] == "SUCCEEDED"
    until(lambda: not agents(cluster), "those of the keeper that was killed end too")


def test_a_node_that_does_not_answer_is_named(cluster: KeeperCluster) -> None:
    cluster.nodes[2].process.send_signal(signal.SIGSTOP)
    try:
        ended = cluster.ended(cluster.submit("", 3, on=ALL, preflight=ALONE))
    finally:
        cluster.nodes[2].process.send_signal(signal.SIGCONT)
    assert (ended["status"], ended["lost"]) == ("FAILED", ["n2"])
    assert ended["reason"] == "preflight: n2: bad: it did not answer within 4 s"
    cluster.ask(op="uncordon", nodes=["n2"])
