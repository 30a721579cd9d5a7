"""A job in which nothing moves any more has failed, and its record says so."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from keeper_cluster import KeeperCluster, until

REASON = "no output and no heartbeat for 2 s"


def plans(cluster: KeeperCluster) -> str:
    """What the keeper has decided about its jobs, as it has written it down."""
    with contextlib.closing(sqlite3.connect(cluster.keeper_home / "jobs.db")) as table:
        return " ".join(text for (text,) in table.execute("select plan from plans"))


def test_a_job_that_stands_still_is_ended(cluster: KeeperCluster) -> None:
    job = cluster.submit("echo begun; sleep 1000", 2, hang_s=2.0)
    record = cluster.ended(job)
    assert (record["status"], record["cause"], record["reason"]) == ("FAILED", "hang", REASON)
    assert (record["exit_code"], record["exit_codes"], record["lost"]) == (5, [143, 143], [])


def test_output_or_a_sign_of_life_of_one_rank_is_enough(cluster: KeeperCluster) -> None:
    """Rank 0 touches its file for six seconds, later rank 1 writes; rank 1 and rank 0 are mute meanwhile."""
    script = """
    if [ "$SKYPILOT_NODE_RANK" = 0 ]
    then for i in 1 2 3 4 5 6; do touch "$SKYRIG_HEARTBEAT_FILE"; sleep 0.6; done; sleep 2.5
    else sleep 4; for i in 1 2 3; do echo beat; sleep 0.7; done
    fi
    """
    record = cluster.ended(cluster.submit(script, 2, hang_s=2.0))
    assert record["status"] == "SUCCEEDED", record


@pytest.mark.soak
def test_a_keeper_that_dies_meanwhile_ends_it_for_the_same_reason(own_cluster: KeeperCluster) -> None:
    """One that is killed while ranks that heed no TERM are being ended, and one before it has seen anything."""
    job = own_cluster.submit("trap '' TERM; echo begun; while :; do sleep 0.1; done", 2, hang_s=2.0)
    until(lambda: b"0|begun" in own_cluster.log(job).read_bytes(), "it runs")
    own_cluster.kill()
    until(lambda: REASON in plans(own_cluster), "the next one has decided, and waits for what heeds no TERM")
    own_cluster.kill()
    record = own_cluster.ended(job)
    assert (record["status"], record["cause"], record["reason"]) == ("FAILED", "hang", REASON)
