"""Nodes and heads that go away: fenced before they are called lost, and what is told of their jobs afterwards."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from keeper_cluster import Following, KeeperCluster, until

from skyrig.launch import nodeside, records

BEATING = """
trap 'echo told' TERM
(setsid bash -c 'trap "" TERM; while :; do sleep 0.2; done' &)
while :; do echo beat; sleep 0.1; done
"""


@pytest.fixture
def partitioned(own_cluster: KeeperCluster) -> Iterator[KeeperCluster]:
    """A cluster whose node n1 is let go again after the test."""
    yield own_cluster
    own_cluster.nodes[1].process.send_signal(signal.SIGCONT)


def ranks_alive(cluster: KeeperCluster, node: int) -> list[int]:
    """Processes of a job on a node, supervisors not among them."""
    mark = os.fsencode(f"SKYRIG_RANK_DIR={cluster.nodes[node].home}")
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_what_is_called_lost_is_dead(partitioned: KeeperCluster) -> None:
    """A node cut off: its server hears and says nothing. When the keeper's verdict comes, which ends rank 0, nothing of
    rank 1 lives; nothing comes back when the node does."""
    job = partitioned.submit(BEATING, 2)
    following = Following(partitioned, job)
    until(lambda: b"1|beat" in following.kept and b"0|beat" in following.kept, "both ranks run")
    until(lambda: len(ranks_alive(partitioned, 1)) >= 3, "all of rank 1 is there")
    began = time.monotonic()
    partitioned.nodes[1].process.send_signal(signal.SIGSTOP)
    until(lambda: b"0|told" in following.kept, "the verdict", 60)
    assert ranks_alive(partitioned, 1) == []
    took = time.monotonic() - began
    assert 9 < took < 25, took
    record = partitioned.ended(job)
    assert (record["exit_code"], record["culprit"]) == (4, 1)
    assert "lost node n1" in record["reason"]
    partitioned.nodes[1].process.send_signal(signal.SIGCONT)
    assert partitioned.ended(partitioned.submit("echo again", 2))["status"] == "SUCCEEDED"
    assert ranks_alive(partitioned, 1) == []


def test_a_silent_node_holds_back_no_other_job_after_an_upgrade(partitioned: KeeperCluster) -> None:
    """As after an upgrade: the table says that the nodes were prepared with another supervisor."""
    job = partitioned.submit("for i in $(seq 60); do echo $i; sleep 0.1; done")
    following = Following(partitioned, job)
    until(lambda: b"|3\n" in following.kept, "the job runs")
    partitioned.nodes[1].process.send_signal(signal.SIGSTOP)
    os.kill(partitioned.pid("watch"), signal.SIGKILL)
    os.kill(partitioned.pid(), signal.SIGKILL)
    until(lambda: not partitioned.pid(), "no keeper")
    with contextlib.closing(sqlite3.connect(partitioned.keeper_home / "jobs.db")) as table:
        table.execute("update facts set value = '[\"dNone\", \"bin/supervisor-old.py\"]' where name = 'digest'")
        table.commit()
    for node in partitioned.nodes:
        (node.home / ".skyrig" / nodeside.supervisor_file()).unlink()
    partitioned.ensure()
    record = partitioned.ended(job)
    assert record["status"] == "SUCCEEDED", record
    following.join(20)
    assert following.outputs() == {0: b"".join(b"%d\n" % i for i in range(1, 61))}
    partitioned.nodes[1].process.send_signal(signal.SIGCONT)
    until(lambda: partitioned.ask(op="hello", digest="dNone")["known"], "n1 prepared too, once it answers")


def test_a_head_that_is_gone_leaves_records_that_say_so(own_cluster: KeeperCluster) -> None:
    """kill -9 of everything on it: no keeper can write the end, and no client was following."""
    cluster = own_cluster
    done = cluster.submit("echo done")
    cluster.ended(done)
    running = cluster.submit("echo begun; sleep 1000")
    waiting = cluster.ask(op="submit", request={**cluster.request("echo never", 2), "cpus": 4.0})["record"]["id"]
    copy = cluster.records / str(running) / "job.log"
    until(lambda: copy.exists() and b"begun" in copy.read_bytes(), "the log's copy")
    before = time.time()
    for pid in (cluster.pid("watch"), cluster.pid()):
        os.kill(pid, signal.SIGKILL)
    kept = {record.id: record for record in records.queue(cluster.records)}
    assert [kept[job].status.value for job in (done, running, waiting)] == ["SUCCEEDED", "FAILED", "FAILED"]
    for job in (running, waiting):
        assert kept[job].exit_code == 4
        assert kept[job].reason == records.LOST
        assert kept[job].submitted_at <= kept[job].ended_at <= before + 2
    out = io.BytesIO()
    assert records.logs(cluster.records, running, rank=None, tail=None, out=out) == 4
    lines = out.getvalue().splitlines()
    assert lines[0] == b"begun"
    assert lines[-1].startswith(b"(skyrig) what came after ")
    assert lines[-1].endswith(b"is missing: lost node: the job's head went away before it ended")
    out = io.BytesIO()
    assert records.logs(cluster.records, done, rank=None, tail=None, out=out) == 0
    assert out.getvalue() == b"done\n"
    records.end_lost(cluster.records, running, "lost node n0 (the head): it does not answer")
    assert b"what came after" in copy.read_bytes().splitlines()[-1]

    # a head that was replaced: another table, the same stack
    for path in cluster.keeper_home.glob("jobs.db*"):
        path.unlink()
    cluster.ensure()
    cluster.describe()
    again = cluster.submit("echo again", first_id=records.next_id(cluster.records))
    assert again == waiting + 1
    uids = {path: record.uid for path, record in kept.items()}
    assert cluster.ended(again)["uid"].split("-")[1] != uids[done].split("-")[1], "another incarnation"
