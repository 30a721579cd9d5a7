"""What whoever watches a job is told, and what its record says of why it failed."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest
from keeper_cluster import KeeperCluster, until
from watcher import Watching, signal_node


@pytest.fixture
def broken(own_cluster: KeeperCluster) -> Iterator[KeeperCluster]:
    """A cluster whose node n1 is started again after the test."""
    yield own_cluster
    if own_cluster.nodes[1].process.poll() is not None:
        own_cluster.nodes[1].start()


def test_a_job_is_watched_from_before_it_is_there(cluster: KeeperCluster) -> None:
    watching = Watching(cluster, "a key")
    assert watching.status is None
    job = cluster.submit("echo one; sleep 0.5; exit 3", 2, key="a key")
    until(lambda: watching.status == "FAILED", "its end")
    assert [each["record"]["status"] for _, each in watching.told if each["record"]].count("RUNNING") >= 1
    record = watching.sight["record"]
    assert (record["id"], record["cause"], record["lost"], record["exit_code"]) == (job, "script", [], 3)
    told = len(watching.told)
    until(lambda: len(watching.told) > told, "a word though nothing changes", 8)
    watching.close()


def test_silence_is_told_long_before_the_lease_is_over_and_taken_back(broken: KeeperCluster) -> None:
    job = broken.submit("while :; do echo beat; sleep 0.2; done", 2, key="k")
    watching = Watching(broken, "k")
    until(lambda: b"1|beat" in broken.log(job).read_bytes(), "rank 1 runs")
    broken.nodes[1].process.kill()
    broken.nodes[1].process.wait()
    began = time.monotonic()
    until(lambda: watching.sight["silent"].get("n1"), "n1 is silent")
    assert watching.told[-1][0] - began < 2.5
    assert watching.status == "RUNNING"
    broken.nodes[1].start()
    until(lambda: not watching.sight["silent"], "n1 speaks again")
    assert watching.status == "RUNNING"
    watching.close()


def test_another_machine_behind_a_node_ends_the_job_at_once(broken: KeeperCluster) -> None:
    job = broken.submit("while :; do echo beat; sleep 0.2; done", 2)
    broken.runs(job)
    until(lambda: b"1|beat" in broken.log(job).read_bytes(), "rank 1 runs")
    signal_node(broken, 1, signal.SIGKILL)
    document = broken.description().to_json()
    document["nodes"][1]["incarnation"] = "another"
    began = time.monotonic()
    broken.ask(op="describe", cluster=document)
    record = broken.ended(job)
    took = time.monotonic() - began
    assert (record["status"], record["cause"], record["lost"], record["exit_code"]) == ("FAILED", "node", ["n1"], 4)
    assert took < 2.5, took
