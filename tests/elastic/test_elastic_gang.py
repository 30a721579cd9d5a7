"""Jobs that go on while a node of theirs is replaced: with real nodes and a real keeper, and ranks that are shells."""

from __future__ import annotations

import os
import secrets
import signal
import time
from pathlib import Path

import pytest
from elastic_cluster import ElasticCluster
from keeper_cluster import Following, until

STANDING = """
echo "begun on $SKYPILOT_NODE_RANK of $SKYPILOT_NUM_NODES"
GROUP_WORLD_SIZE=3 sleep 1000 &
of_three=$!
GROUP_WORLD_SIZE=2 sleep 1000 &
of_two=$!
until [ -e ~/done ]; do
  kill -0 $of_three 2>/dev/null || [ -n "$said" ] || { said=1; wait $of_three; echo "ended by $?"; }
  sleep 0.1
done
kill -0 $of_two && kill $of_two $of_three 2>/dev/null
echo "ended on $SKYPILOT_NODE_RANK"
"""
"""A rank with two processes, one of which takes part in a round of three nodes, the other in one of two."""


def submit_with_setup(cluster: ElasticCluster) -> int:
    """A job of STANDING on three nodes, two at least; its setup is of its own, and ends at once where ~/ready is."""
    for node in cluster.nodes:
        (node.home / "ready").touch()
    text = f"# {secrets.token_hex(4)}\nuntil [ -e ~/ready ]; do sleep 0.1; done; echo set up"
    setup = {"files": {"setup.sh": text}, "entry": "setup.sh"}
    request = {**cluster.request(STANDING, 3, min_nodes=2), "setup": setup}
    return int(cluster.ask(op="submit", request=request)["record"]["id"])


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
    job = submit_with_setup(cluster)
    following = Following(cluster, job)
    until(lambda: following.kept.count(b"begun on") == 3, "all ranks run")
    assert following.kept.count(b"|set up") == 3
    began = time.monotonic()
    cluster.kill_node(1)
    until(lambda: lost(cluster, job) == ["n1"], "the loss is known")
    assert time.monotonic() - began < 16
    assert b"lost node n1" in following.kept
    assert b"the job goes on with 2 of 3 nodes" in following.kept
    until(lambda: all(b"%d|ended by 137" % rank in following.kept for rank in (0, 2)), "nobody waits for it")
    began = time.monotonic()
    cluster.replace(1, tell=False)
    (cluster.nodes[1].home / "ready").touch()
    cluster.describe()
    until(lambda: lost(cluster, job) == [], "it is back")
    until(lambda: following.kept.count(b"1|begun on 1 of 3") == 2, "its rank runs again")
    assert time.monotonic() - began < 10
    assert following.kept.count(b"|set up") == 4
    finish(cluster, 0, 1, 2)
    record = cluster.ended(job)
    assert (record["status"], record["exit_codes"], record["lost"]) == ("SUCCEEDED", [0, 0, 0], [])
    following.join(20)
    assert following.outputs()[1] == b"begun on 1 of 3\n" * 2 + b"ended on 1\n"


def gone(cluster: ElasticCluster, left: int) -> None:
    """Kill the nodes after the first `left`, and describe the cluster without them."""
    for number in range(left, len(cluster.nodes)):
        cluster.kill_node(number)
    cluster.describe(left)


def test_a_keeper_that_dies_goes_on_wherever_the_job_was(cluster: ElasticCluster) -> None:
    """kill -9 while a node is missed, while its new machine is set up, and when its rank has joined."""
    job = submit_with_setup(cluster)
    following = Following(cluster, job)
    until(lambda: following.kept.count(b"begun on") == 3, "all ranks run")
    began = time.monotonic()
    gone(cluster, 2)
    until(lambda: lost(cluster, job) == ["n2"], "a node that is described no more is lost at once")
    assert time.monotonic() - began < 5
    cluster.kill()
    assert lost(cluster, job) == ["n2"]
    cluster.replace(2)
    setup = cluster.nodes[2].home / ".skyrig" / "jobs"
    until(lambda: list(setup.glob("*/setup-2-*/started")), "its setup runs")
    cluster.kill()
    (cluster.nodes[2].home / "ready").touch()
    until(lambda: lost(cluster, job) == [], "it is back")
    cluster.kill()
    until(lambda: following.kept.count(b"2|begun on 2 of 3") == 2, "its rank runs again")
    finish(cluster, 0, 1, 2)
    record = cluster.ended(job)
    assert (record["status"], record["exit_codes"]) == ("SUCCEEDED", [0, 0, 0]), record
    following.join(20)
    assert following.outputs()[2] == b"begun on 2 of 3\n" * 2 + b"ended on 2\n"
    assert following.kept.count(b"|set up") == 4


@pytest.mark.soak
def test_a_node_that_was_cut_off_comes_back_by_itself(cluster: ElasticCluster) -> None:
    """Its server hears and says nothing for a while: by the time that the job goes on without it nothing of its rank
    lives, and when it answers again its rank joins on the same machine, without a setup."""
    job = submit_with_setup(cluster)
    following = Following(cluster, job)
    until(lambda: following.kept.count(b"begun on") == 3, "all ranks run")
    cluster.nodes[2].process.send_signal(signal.SIGSTOP)
    try:
        until(lambda: lost(cluster, job) == ["n2"], "it is lost")
        mark = os.fsencode(f"SKYRIG_RANK_DIR={cluster.nodes[2].home}")
        assert not [pid for pid in cluster.processes() if mark in _environ(pid)]
    finally:
        cluster.nodes[2].process.send_signal(signal.SIGCONT)
    until(lambda: lost(cluster, job) == [], "it is back")
    until(lambda: following.kept.count(b"2|begun on 2 of 3") == 2, "its rank runs again")
    assert following.kept.count(b"|set up") == 3
    finish(cluster, 0, 1, 2)
    assert cluster.ended(job)["status"] == "SUCCEEDED"


def test_too_few_nodes_end_the_job(cluster: ElasticCluster) -> None:
    """And it says which were lost."""
    job = cluster.submit(STANDING, 3, min_nodes=2)
    cluster.runs(job)
    gone(cluster, 1)
    record = cluster.ended(job)
    assert (record["status"], record["cause"], record["exit_code"]) == ("FAILED", "node", 4), record
    assert record["lost"] == ["n1", "n2"]


FAILING = """
echo "begun on $SKYPILOT_NODE_RANK"
fail() { echo "$1" >$SKYRIG_RANK_DIR/proc/0.$2; }
mkdir -p $SKYRIG_RANK_DIR/proc
until [ -e ~/done ]; do
  if [ -e ~/bereft ]; then rm ~/bereft; echo "Connection reset by peer"; fail 1 $RANDOM; sleep 3; echo failed; fi
  if [ -e ~/own ]; then rm ~/own; for line in $(seq 20); do echo "error $line"; done; fail 3 $RANDOM; fi
  sleep 0.1
done
"""
"""As a launcher that starts processes again when they fail, for which it takes some seconds, and leaves records."""


def begin_failing(cluster: ElasticCluster) -> tuple[int, Following]:
    """A job of FAILING on three nodes, of which one has failed for the want of a peer, which is no end of it."""
    job = cluster.submit(FAILING, 3, min_nodes=2)
    following = Following(cluster, job)
    until(lambda: following.kept.count(b"begun on") == 3, "all ranks run")
    (cluster.nodes[1].home / "bereft").touch()
    until(lambda: b"1|failed" in following.kept, "it failed")
    return job, following


def fails_by_itself(cluster: ElasticCluster, job: int) -> None:
    """A process of rank 1 fails by its own doing, which ends the job; no lost node is blamed."""
    (cluster.nodes[1].home / "own").touch()
    record = cluster.ended(job)
    assert (record["status"], record["cause"]) == ("FAILED", "script"), record
    assert (record["exit_code"], record["culprit"], record["lost"]) == (3, 1, []), record


def test_only_failures_of_its_own_end_the_job(cluster: ElasticCluster) -> None:
    """A process that failed for the want of a peer is started again by its launcher; one that failed by itself is not
    let try for ever."""
    job, _ = begin_failing(cluster)
    fails_by_itself(cluster, job)


@pytest.mark.soak
def test_failures_are_put_down_to_a_lost_node_for_a_while_only(cluster: ElasticCluster) -> None:
    """And to none that was lost long before."""
    job, following = begin_failing(cluster)
    gone(cluster, 2)
    until(lambda: lost(cluster, job) == ["n2"], "a node is lost")
    (cluster.nodes[1].home / "own").touch()
    until(lambda: b"1|error 20" in following.kept, "a process failed")
    since = time.monotonic()
    while time.monotonic() - since < 16:
        assert lost(cluster, job) == ["n2"]
        time.sleep(0.5)
    fails_by_itself(cluster, job)


def test_a_job_without_a_node_is_cancelled_like_any_other(cluster: ElasticCluster) -> None:
    """Also while a machine is made ready for it."""
    job = submit_with_setup(cluster)
    cluster.runs(job)
    gone(cluster, 2)
    until(lambda: lost(cluster, job) == ["n2"], "it is lost")
    cluster.replace(2)
    until(lambda: list((cluster.nodes[2].home / ".skyrig" / "jobs").glob("*/setup-2-*/started")), "its setup runs")
    began = time.monotonic()
    cluster.ask(op="cancel", ids=[job])
    assert time.monotonic() - began < 10
    assert cluster.ended(job)["status"] == "CANCELLED"
    mark = os.fsencode(f"SKYRIG_RANK_DIR={cluster.folder}")
    assert not [pid for pid in cluster.processes() if mark in _environ(pid)]


def _environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
