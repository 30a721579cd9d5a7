"""A node that was told it goes gets no new job, until its time is long past and it is still there."""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import Any

import pytest
from keeper_cluster import KeeperCluster, until

from skyrig.launch.keeper.notices import FACT, Notice
from skyrig.launch.keeper.table import JobTable


@pytest.mark.parametrize(
    ("kind", "ago_s", "left_s", "kept_away"),
    [
        ("preemption", 1.0, 30.0, True),
        ("preemption", 50.0, 30.0, True),
        ("preemption", 61.0, 30.0, False),
        ("maintenance", 3500.0, None, True),
        ("maintenance", 3700.0, None, False),
        ("risk", 1.0, None, False),
    ],
)
def test_how_long_jobs_are_kept_away(kind: str, ago_s: float, left_s: float | None, kept_away: bool) -> None:
    notice = Notice("id", "n1", "i1", "i1", kind, "test", time.time() - ago_s, left_s)
    assert notice.keeps_jobs_away is kept_away


def test_new_jobs_go_elsewhere_until_the_notice_is_past(own_cluster: KeeperCluster) -> None:
    local: dict[str, Any] = {**own_cluster.description().to_json(), "cloud": "local"}
    own_cluster.ask(op="describe", cluster=local)
    assert own_cluster.ask(op="prepare", digest="local")["failed"] == {}
    both = own_cluster.submit("sleep 1000", 2)
    own_cluster.runs(both)
    notice = {"id": "one", "at": time.time() + 100}
    (own_cluster.nodes[1].home / ".skyrig" / "preemption.json").write_text(json.dumps(notice))
    until(lambda: b"preemption of n1" in own_cluster.log(both).read_bytes(), "the notice is heard")

    assert own_cluster.jobs()[both]["status"] == "RUNNING", "what runs goes on"
    wide = own_cluster.submit("echo wide", 2)
    setup = {"files": {"run.sh": "touch ~/was-set-up"}, "entry": "run.sh"}
    alone = own_cluster.ask(op="submit", request={**own_cluster.request("true"), "setup": setup})["record"]["id"]
    assert own_cluster.ended(alone)["nodes"] == ["n0"]
    assert [(node.home / "was-set-up").exists() for node in own_cluster.nodes] == [True, False]
    row = own_cluster.jobs()[wide]
    reason = "the job wants 2 nodes, the cluster has 1, without n1, about to be taken away"
    assert (row["status"], row["reason"]) == ("PENDING", reason)

    own_cluster.stop_keeper()
    with closing(JobTable(own_cluster.keeper_home / "jobs.db")) as table:
        known = table.fact(FACT)
        passed = time.time() - known["n1"]["left_s"] - 30.0 + 8.0
        table.set_fact(FACT, {"n1": {**known["n1"], "at": passed}})  # some seconds more, and it is still there
        table.write()
    own_cluster.ensure()
    assert own_cluster.jobs()[wide]["reason"] == reason
    assert own_cluster.ended(wide)["nodes"] == ["n0", "n1"]
