"""Jobs that name their nodes, and requests that are made twice."""

from __future__ import annotations

from keeper_cluster import KeeperCluster

from skyrig.launch.job import Scripts


def test_a_job_runs_where_it_says_and_holds_back_nobody(cluster: KeeperCluster) -> None:
    first = cluster.submit("sleep 1000", cpus=1e9, on=("n1",))
    cluster.runs(first)
    waiting = cluster.submit("echo second", cpus=1e9, on=("n1",))
    assert cluster.ended(cluster.submit("true"))["nodes"] == ["n0"]
    assert cluster.jobs()[waiting]["status"] == "PENDING"
    cluster.ask(op="cancel", ids=[first])
    assert cluster.ended(waiting)["nodes"] == ["n1"]


def test_its_nodes_are_its_ranks_in_their_order(cluster: KeeperCluster) -> None:
    job = cluster.ended(cluster.submit('echo "rank $SKYPILOT_NODE_RANK"', 2, on=("n1", "n0")))
    assert job["nodes"] == ["n1", "n0"]


def test_a_node_that_is_not_there_is_refused(cluster: KeeperCluster) -> None:
    said = cluster.ask(op="submit", expected="an error", request=cluster.request("true", on=("n7",)))
    assert said["error"] == "the job wants to run on n7, which the cluster does not have"


def test_its_setup_is_for_its_nodes_alone(cluster: KeeperCluster) -> None:
    setup = Scripts({"run.sh": 'echo "$SKYPILOT_SETUP_NODE_RANK" >>~/was-set-up'})
    for replica in ("1", "2"):
        env = {"SKYPILOT_SERVE_REPLICA_ID": replica, "SKYRIG_SERVE_PORT": f"2000{replica}"}
        assert cluster.ended(cluster.submit("true", on=("n1",), setup=setup, env=env))["exit_code"] == 0
    assert [(node.home / "was-set-up").exists() for node in cluster.nodes] == [False, True]
    assert (cluster.nodes[1].home / "was-set-up").read_text() == "0\n", "once, whichever replica it is"


def test_a_request_that_is_made_again_is_the_same_job(cluster: KeeperCluster) -> None:
    job = cluster.submit("true", key="replica-1/1")
    assert cluster.submit("true", key="replica-1/1") == job
    assert cluster.ended(job)["exit_code"] == 0
    cluster.kill(watch=True)
    assert cluster.submit("true", key="replica-1/1") == job
    assert cluster.submit("true", key="replica-1/2") == job + 1
