"""The keeper's time to live: real keeper, real jobs, nodes that write down that they switched themselves off."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any

from attrs import evolve
from autostop_cluster import AutostopCluster
from keeper_cluster import until

from skyrig.cluster.description import ClusterDescription, Power


def ttl(cluster: AutostopCluster, seconds: float | None, said: str = "8h", **more: Any) -> dict[str, Any]:
    """Set it, or with None lift it; the keeper's answer."""
    setting = None if seconds is None else {"left_s": seconds, "said": said}
    return cluster.ask(op="ttl", setting=setting, **more)


def test_it_ends_whatever_runs_after_jobs_were_told(cluster: AutostopCluster) -> None:
    text = 'until [ -s "$SKYRIG_NOTICE_FILE" ]; do sleep 0.05; done; cat "$SKYRIG_NOTICE_FILE"; echo; sleep 1000'
    job = cluster.submit(text, 2)
    cluster.runs(job)
    cluster.autostop(1000)
    began = time.time()
    note = ttl(cluster, 4)["note"]
    assert began + 4 <= note["ends_at"] < began + 6 and note["ends_down"] and note["idle_s"] == 1000
    until(lambda: cluster.log(job).read_bytes().count(b'"kind":"ttl"') == 2, "both ranks hear of it")
    assert b"the time to live of n0 is over in " in cluster.log(job).read_bytes()
    cluster.kill()  # a keeper after it means the same moment
    assert 4 <= cluster.left() - began < 10
    assert (cluster.acted(0), cluster.acted(1)) == ("end", "end")
    said = cluster.note()
    assert (said["reason"], said["down"]) == ("its time to live of 8h is over", True)
    record = json.loads((cluster.records / str(job) / "record.json").read_text())
    assert (record["status"], record["reason"]) == ("CANCELLED", "its time to live of 8h is over")
    assert cluster.log(job).read_bytes().count(b"the time to live of n0 is over in ") == 1


def test_a_newer_word_counts_and_none_lifts_it(cluster: AutostopCluster) -> None:
    cluster.submit("sleep 1000")
    ttl(cluster, 1)
    ttl(cluster, 1000, "1d")
    assert ttl(cluster, None)["note"]["ends_at"] == 0
    ttl(cluster, 2, "2s")
    began = time.time()
    assert 2 <= cluster.left() - began < 7
    assert cluster.note()["reason"] == "its time to live of 2s is over"
    assert "switching itself off (its time to live" in ttl(cluster, 100, expected=1)["error"]


def test_nodes_that_cannot_end_stop_and_those_that_can_do_neither_are_refused(cluster: AutostopCluster) -> None:
    cluster.power = Power(refused="a slice of several hosts has no such right")
    cluster.describe()
    refused = ttl(cluster, 5, expected=1)
    assert refused["code"] == 2 and "a slice of several hosts" in refused["error"]
    assert ttl(cluster, None, expected=1).get("error") is None
    cluster.power = Power(stop_itself="echo stop >> ~/power")
    cluster.describe()
    assert ttl(cluster, 0.5)["note"]["ends_down"] is False
    cluster.left()
    assert (cluster.acted(1), cluster.note()["down"]) == ("stop", False)


def test_a_head_that_was_started_anew_keeps_its_end_or_gets_some_time(cluster: AutostopCluster) -> None:
    """As if the head had been started since: nothing else differs than what tells its life."""
    ends_at = ttl(cluster, 5000)["note"]["ends_at"]
    assert _after_start(cluster, ends_at) == ends_at
    assert abs(_after_start(cluster, time.time() - 50) - time.time() - 300) < 10


def test_each_machine_of_a_cloud_writes_its_end_down(cluster: AutostopCluster) -> None:
    described = cluster.description

    def on_a_cloud(count: int | None = None) -> ClusterDescription:
        return evolve(described(count), isolation="machine")

    cluster.description = on_a_cloud  # type: ignore[method-assign]
    cluster.describe()
    ends_at = ttl(cluster, 5000)["note"]["ends_at"]
    files = [node.home / ".skyrig" / "ttl" for node in cluster.nodes]
    until(lambda: [f.exists() and f.read_text() for f in files] == [f"{ends_at:.0f}\n"] * 2, "all know their end")
    ttl(cluster, None)
    until(lambda: [file.read_text() for file in files] == ["none\n"] * 2, "all know that there is none")


def _after_start(cluster: AutostopCluster, ends_at: float) -> float:
    """When a cluster ends whose head was started anew, if it was to end at `ends_at`."""
    cluster.end_keeper()
    with sqlite3.connect(cluster.keeper_home / "jobs.db") as db:
        fact = {"setting": {"said": "8h", "ends_at": ends_at}, "life": "another"}
        db.execute("update facts set value = ? where name = 'ttl'", (json.dumps(fact),))
    db.close()
    cluster.ensure()

    def kept() -> Any:
        with sqlite3.connect(cluster.keeper_home / "jobs.db") as db:
            (text,) = db.execute("select value from facts where name = 'ttl'").fetchone()
        db.close()
        return (said := json.loads(text))["life"] != "another" and said["setting"]["ends_at"]

    return float(until(kept, "it is taken over"))
