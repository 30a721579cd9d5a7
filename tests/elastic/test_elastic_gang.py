"""Jobs that go on while a node of theirs is replaced: with real nodes and a real keeper, and ranks that are shells."""

from __future__ import annotations

import time

from elastic_cluster import ElasticCluster
from keeper_cluster import Following, until

STANDING = """
echo "begun on $SKYPILOT_NODE_RANK of $SKYPILOT_NUM_NODES"
until [ -e ~/done ]; do sleep 0.1; done
echo "ended on $SKYPILOT_NODE_RANK"
"""


def finish(cluster: ElasticCluster, *numbers: int) -> None:
    """Let the ranks on these nodes end well."""
    for number in numbers:
        (cluster.nodes[number].home / "done").touch()


def lost(cluster: ElasticCluster, job: int) -> list[str]:
    """The nodes that a running job goes on without."""
    record = cluster.jobs()[job]
    assert record["status"] == "RUNNING", record
    return list(record["lost"])


def test_a_node_is_lost_and_comes_back(cluster: ElasticCluster) -> None:
    """The job runs all the time; setup runs on the new machine alone, and the log goes on under the same rank."""
    setup = {"files": {"setup.sh": "echo setting up"}, "entry": "setup.sh"}
    request = {**cluster.request(STANDING, 3, min_nodes=2), "setup": setup}
    job = int(cluster.ask(op="submit", request=request)["record"]["id"])
    following = Following(cluster, job)
    until(lambda: following.kept.count(b"begun on") == 3, "all ranks run")
    assert following.kept.count(b"|setting up") == 3
    began = time.monotonic()
    cluster.kill_node(1)
    until(lambda: lost(cluster, job) == ["n1"], "the loss is known")
    assert time.monotonic() - began < 16
    assert b"lost node n1" in following.kept
    assert b"the job goes on with 2 of 3 nodes" in following.kept
    began = time.monotonic()
    cluster.replace(1)
    until(lambda: lost(cluster, job) == [], "it is back")
    until(lambda: following.kept.count(b"1|begun on 1 of 3") == 2, "its rank runs again")
    assert time.monotonic() - began < 10
    assert following.kept.count(b"|setting up") == 4
    finish(cluster, 0, 1, 2)
    record = cluster.ended(job)
    assert (record["status"], record["exit_codes"], record["lost"]) == ("SUCCEEDED", [0, 0, 0], [])
    following.join(20)
    assert following.outputs()[1] == b"begun on 1 of 3\nbegun on 1 of 3\nended on 1\n"
