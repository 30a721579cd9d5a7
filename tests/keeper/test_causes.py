"""Why a job failed, as its record says it: its own doing, or that of a node."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from keeper_cluster import KeeperCluster, until
from watcher import signal_node

from skyrig.cluster.description import Node
from skyrig.launch.job import Cause, JobStatus
from skyrig.launch.keeper import ends
from skyrig.launch.keeper.gang import GangEnd
from skyrig.launch.keeper.rank import RankEnd

GLOO = f"""
export RANK="$SKYPILOT_NODE_RANK" WORLD_SIZE=2
exec {sys.executable} -c '
import torch, torch.distributed as dist
dist.init_process_group("gloo")
print("met", flush=True)
while True:
    dist.all_reduce(torch.ones(1))
'
"""
BEATS = "while :; do echo beat; sleep 0.2; done"


@pytest.fixture
def broken(own_cluster: KeeperCluster) -> Iterator[KeeperCluster]:
    """A cluster whose node n1 is started again after the test."""
    yield own_cluster
    if own_cluster.nodes[1].process.poll() is not None:
        own_cluster.nodes[1].start()


def test_a_rank_that_dies_of_its_peers_loss_is_no_culprit(broken: KeeperCluster) -> None:
    """Real gloo: the survivor's connection is reset a moment after the node's end, long before that is settled."""
    pytest.importorskip("torch")
    job = broken.submit(GLOO, 2)
    until(lambda: broken.log(job).read_bytes().count(b"|met") == 2, "they train")
    signal_node(broken, 1, signal.SIGKILL)
    until(lambda: b"onnection" in broken.log(job).read_bytes(), "the survivor dies of it")
    assert broken.jobs()[job]["status"] == "RUNNING"
    record = broken.ended(job)
    assert (record["status"], record["cause"], record["lost"]) == ("FAILED", "node", ["n1"])
    assert (record["culprit"], record["exit_code"], record["exit_codes"]) == (1, 4, [1, -1])


def test_a_node_that_shuts_down_after_a_notice_was_preempted(broken: KeeperCluster) -> None:
    """TERM comes to ranks and supervisors alike, in whichever order."""
    document: dict[str, Any] = {**broken.description().to_json(), "cloud": "local"}
    broken.ask(op="describe", cluster=document)
    job = broken.submit(BEATS, 2)
    until(lambda: b"1|beat" in broken.log(job).read_bytes(), "rank 1 runs")
    notice = {"id": "one", "at": time.time() + 30}
    (broken.nodes[1].home / ".skyrig" / "preemption.json").write_text(json.dumps(notice))
    until(lambda: b"preemption of n1" in broken.log(job).read_bytes(), "the notice is heard")
    signal_node(broken, 1, signal.SIGTERM)
    document["nodes"][1]["incarnation"] = "another"
    broken.ask(op="describe", cluster=document)  # which saves waiting for the lease
    record = broken.ended(job)
    assert (record["status"], record["cause"], record["lost"]) == ("FAILED", "preemption", ["n1"])
    assert (record["culprit"], record["exit_code"]) == (1, 4)


def test_a_watchdogs_word_is_a_hang(cluster: KeeperCluster) -> None:
    text = "[Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=3) ran for 600029 milliseconds"
    record = cluster.ended(cluster.submit(f"echo '{text}'; kill -ABRT $$"))
    assert (record["cause"], record["exit_code"]) == ("hang", 134)


def test_setup_is_the_users_script_too_and_files_may_be(cluster: KeeperCluster) -> None:
    setup = {"files": {"run.sh": "exit 9"}, "entry": "run.sh"}
    job = cluster.ask(op="submit", request={**cluster.request("true"), "setup": setup})["record"]["id"]
    record = cluster.ended(job)
    assert (record["status"], record["cause"], record["exit_code"]) == ("FAILED_SETUP", "script", 9)
    assert ends.of_files("n0: /usr/x cannot be written: permission denied", 5).cause is Cause.SCRIPT
    assert ends.of_files("n0: ~/x cannot be written: no space left on device", 5).cause is Cause.SURROUNDINGS


class Nothing:
    """No notice is known."""

    def losses(self, lost: object) -> None:
        """None."""


@pytest.mark.parametrize(
    ("others", "cause", "lost"),
    [
        (RankEnd(1, "exit", 5.0), Cause.SCRIPT, ()),
        (RankEnd(-1, "refused", 5.0), Cause.SURROUNDINGS, ()),
        (RankEnd(5, "mount", 5.0), Cause.SURROUNDINGS, ()),
        (RankEnd(143, "ended", 5.0), Cause.NODE, ("n1",)),
        (RankEnd(-1, "lease", 5.0, heard=1.0), Cause.NODE, ("n1",)),
    ],
)
def test_what_is_made_of_the_end_of_a_rank(others: RankEnd, cause: Cause, lost: tuple[str, ...]) -> None:
    assert _end(RankEnd(143, "ended", 6.0), others, culprit=1)[:2] == (cause, lost)


def test_a_node_that_was_silent_before_explains_a_failure_and_one_that_was_not_does_not() -> None:
    script = RankEnd(1, "exit", 5.0)
    assert _end(script, RankEnd(-1, "lost", 15.0, heard=4.0), culprit=0) == (Cause.NODE, ("n1",), 1)
    assert _end(script, RankEnd(-1, "lost", 16.0, heard=6.0), culprit=0) == (Cause.SCRIPT, ("n1",), 0)


def _end(*found: RankEnd, culprit: int) -> tuple[Cause, tuple[str, ...], int]:
    nodes = [Node(f"n{k}", k, "h", 22, "a", "u", "k", f"i{k}") for k in range(len(found))]
    end = ends.of_gang(GangEnd(found, culprit), nodes, Nothing(), JobStatus.FAILED, "")
    return end.cause, end.lost, end.culprit
