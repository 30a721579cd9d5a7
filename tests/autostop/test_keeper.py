"""The keeper's autostop: real keeper, real jobs, nodes that write down that they switched themselves off."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any

from autostop_cluster import AutostopCluster
from keeper_cluster import Following, until

from skyrig.cluster.description import Power


def kept(cluster: AutostopCluster, job: int) -> dict[str, Any]:
    """A job's record in the records folder."""
    data: dict[str, Any] = json.loads((cluster.records / str(job) / "record.json").read_text())
    return data


def test_an_idle_cluster_leaves_head_last_with_all_written_down(cluster: AutostopCluster) -> None:
    job = cluster.submit("echo hello", 2)
    cluster.ended(job)
    began = time.time()
    note = cluster.autostop(2, down=True)
    assert (note["idle_s"], note["down"], note["wait_for"], note["busy"]) == (2, True, "jobs_and_ssh", False)
    went = cluster.left()
    assert 2 <= went - began < 5
    assert (cluster.acted(0), cluster.acted(1)) == ("end", "end")
    assert (cluster.nodes[1].home / "power").stat().st_mtime <= went, "the head goes last"
    said = cluster.note()
    assert said["reason"] == "taken down by autostop after 0.0333 idle minutes" and said["acted_at"] > began
    assert (cluster.records / str(job) / "job.log").read_bytes().count(b"|hello\n") == 2

    # nothing new is taken, what was is still told; also by a keeper that follows one that was killed meanwhile
    for _ in range(2):
        for asked in ({"op": "submit", "request": cluster.request("true")}, {"op": "hello", "digest": "", "hold": 1}):
            refused = cluster.ask(**asked, expected=1)
            assert "switching itself off (taken down by autostop" in refused["error"] and "again" in refused["hint"]
        assert "switching itself off" in cluster.ask(op="autostop", setting=None, expected=1)["error"]
        assert cluster.jobs()[job]["status"] == "SUCCEEDED"
        cluster.kill()
        (cluster.nodes[0].home / "power").unlink()
        cluster.left()


def test_0_minutes_is_right_after_the_last_job_whose_follower_reads_to_the_end(cluster: AutostopCluster) -> None:
    first = cluster.submit("while [ ! -e ~/go ]; do sleep 0.02; done; seq 200000; exit 7")
    following = Following(cluster, first)
    cluster.runs(first)
    cluster.autostop(0)
    second = cluster.submit("true", 2)
    cluster.ended(second)
    assert (cluster.acted(), cluster.note()["busy"]) == ("", True), "the first job still runs"
    (cluster.nodes[0].home / "go").touch()
    cluster.left()
    assert following.ended and following.record["exit_code"] == 7
    assert kept(cluster, first)["exit_code"] == 7 and kept(cluster, first)["status"] == "FAILED"
    assert cluster.note()["reason"] == "autostopped right after its last job"


def test_a_hold_keeps_it_until_the_client_lets_go(cluster: AutostopCluster) -> None:
    with cluster.held(), cluster.held():
        cluster.autostop(0)
        cluster.ended(cluster.submit("true", 2))
        assert cluster.acted() == ""
        let_go = time.time()
    assert 0 <= cluster.left() - let_go < 4


def test_set_anew_changed_and_cancelled_and_set_with_a_terminal_that_does_not_count(cluster: AutostopCluster) -> None:
    with cluster.held():
        cluster.autostop(0)
        changed = cluster.autostop(600, wait_for="jobs")
        assert (changed["idle_s"], changed["wait_for"]) == (600, "jobs")
        assert cluster.autostop(0, down=True)["down"] is True
        cluster.autostop(None)
    with cluster.held():
        pass  # it would have left when the first one let go: this one would have been refused
    until(lambda: cluster.note()["idle_s"] is None, "the note says that there is none")
    assert not (cluster.keeper_home / "at-boot").exists()
    cluster.terminals(1)
    cluster.autostop(0, wait_for="jobs")
    cluster.left(5)
    assert cluster.acted(1) == "stop"


def test_a_killed_keeper_is_followed_by_one_that_counts_on(cluster: AutostopCluster) -> None:
    cluster.autostop(3)
    began = cluster.note()["active_at"]
    cluster.kill(watch=True)
    went = cluster.left()
    assert 3 <= went - began < 6 and abs(cluster.note()["active_at"] - began) < 0.1


def test_a_machine_that_was_started_anew_counts_anew(cluster: AutostopCluster) -> None:
    """As if the head had been started since: nothing else differs than what tells its life."""
    cluster.autostop(100)
    cluster.end_keeper()
    with sqlite3.connect(cluster.keeper_home / "jobs.db") as db:
        (text,) = db.execute("select value from facts where name = 'autostop'").fetchone()
        changed = {**json.loads(text), "life": "another", "leaving": "autostopped"}
        db.execute("update facts set value = ? where name = 'autostop'", (json.dumps(changed),))
    db.close()
    started = time.time()
    cluster.ensure()
    note = until(lambda: (said := cluster.note())["active_at"] > started and said, "it counts anew")
    assert (note["idle_s"], note["acted_at"], note["reason"]) == (100, 0, "")
    assert abs(note["active_at"] + note["idle_s"] - started - 300) < 5
    cluster.submit("true")


def test_none_leaves_whatever_runs(cluster: AutostopCluster) -> None:
    job = cluster.submit("sleep 1000", 2)
    cluster.runs(job)
    began = time.time()
    cluster.autostop(1, wait_for="none")
    with cluster.held():
        assert 1 <= cluster.left() - began < 10
    record = kept(cluster, job)
    assert record["status"] == "CANCELLED"
    assert record["reason"] == cluster.note()["reason"] == "autostopped 0.0167 minutes after that was set"


def test_a_terminal_keeps_it_until_it_closes(cluster: AutostopCluster) -> None:
    cluster.terminals(1)
    cluster.autostop(1)
    until(lambda: cluster.note()["busy"], "somebody is there")
    assert cluster.acted() == ""
    cluster.terminals(0)
    closed = time.time()
    assert 0.5 <= cluster.left() - closed < 6


def test_what_cannot_be_done_is_refused(cluster: AutostopCluster) -> None:
    for setting in ({"idle_s": -1}, {"idle_s": 1, "wait_for": "job"}, "x"):
        assert cluster.ask(op="autostop", setting=setting, expected=1)["code"] == 2
    cluster.power = Power(stop_itself="true", refused="a shutdown from inside goes on being billed")
    cluster.describe()
    refused = cluster.ask(op="autostop", setting={"idle_s": 1, "down": True}, expected=1)
    assert refused["code"] == 2 and "cannot end themselves: a shutdown from inside" in refused["error"]


def test_a_job_at_the_last_moment_is_taken_and_run_or_refused(cluster: AutostopCluster) -> None:
    """Jobs come ever again around the moment at which the cluster decides."""
    taken: list[int] = []
    cluster.autostop(0.1, wait_for="jobs")
    pause = 0.05
    while True:
        answer = cluster.ask(op="submit", request=cluster.request("echo there"), expected=1)
        if "error" in answer:
            break
        taken.append(answer["record"]["id"])
        until(lambda: cluster.jobs()[taken[-1]]["status"] == "SUCCEEDED", "it runs")
        time.sleep(pause)  # not for something to happen: the moment at which the next one comes
        pause += 0.005
        assert pause < 0.3, "it never leaves"
    assert "switching itself off" in answer["error"]
    cluster.left()
    assert [kept(cluster, job)["status"] for job in taken] == ["SUCCEEDED"] * len(taken)
    assert sorted(int(path.name) for path in cluster.records.glob("[0-9]*")) == taken
