"""A controller's lease on its cluster: real keeper, real jobs, nodes that write down that they switched themselves
off."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from autostop_cluster import AutostopCluster
from keeper_cluster import until
from watcher import Watching

from skyrig.cluster.description import Power
from skyrig.errors import BadInput
from skyrig.launch.keeper import fence
from skyrig.launch.keeper.notices import Notices
from skyrig.launch.keeper.table import JobTable

SAVES = 'until [ -s "$SKYRIG_NOTICE_FILE" ]; do sleep 0.05; done; cat "$SKYRIG_NOTICE_FILE"; echo'
REASON = "no controller was heard of for 3 s"


def test_jobs_save_and_the_cluster_ends_when_no_controller_is_heard_of(cluster: AutostopCluster) -> None:
    job = cluster.submit(SAVES, 2, key="k")
    cluster.runs(job)
    controller = Watching(cluster, "k")
    began = time.time()
    while time.time() < began + 4:
        controller.lease(3.0, "3 s")
        time.sleep(0.5)
    assert controller.status == "RUNNING", "its controller has renewed it"
    began = time.time() - 0.5
    controller.close()
    cluster.kill()  # a keeper after it means the same moment
    assert 3 <= cluster.left() - began < 12, "no job is left that the cluster would wait for"
    assert (cluster.acted(0), cluster.acted(1)) == ("end", "end")
    assert (cluster.note()["reason"], cluster.note()["down"]) == (REASON, True)
    log = cluster.log(job).read_bytes()
    assert log.count(b'"kind":"lease"') == 2 and log.count(b'"source":"controller\'s lease of 3 s"') == 2
    assert b"the end of n0, which no controller watches over, in 30 s (controller's lease of 3 s)" in log
    record = json.loads((cluster.records / str(job) / "record.json").read_text())
    assert record["status"] == "SUCCEEDED"


def test_a_controller_that_is_heard_of_in_time_takes_it_back(cluster: AutostopCluster) -> None:
    job = cluster.submit(f"{SAVES}; sleep 1000", 2, key="k")
    cluster.runs(job)
    controller = Watching(cluster, "k")
    controller.lease(0.5, "3 s")
    until(lambda: cluster.log(job).read_bytes().count(b'"kind":"lease"') == 2, "both ranks hear of it")
    assert controller.sight["leaving"] == {}, "no cloud takes a node"
    controller.lease(1000.0)
    one = cluster.submit("echo one more", 2)
    assert cluster.ended(one)["status"] == "SUCCEEDED", "its nodes are as good as any again"
    controller.lease(None)
    controller.lease(-1.0, "3 s")
    until(lambda: cluster.log(job).read_bytes().count(b"no controller watches over") == 2, "it is told anew")
    controller.lease(None)
    assert (cluster.jobs()[job]["status"], cluster.acted()) == ("RUNNING", "")
    controller.close()


def test_jobs_that_do_not_end_have_a_time_of_grace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "SAVE_S", 0.3)
    with closing(JobTable(tmp_path / "jobs.db")) as table:
        house: Any = SimpleNamespace(
            table=table,
            flows={},
            busy=False,
            cluster=SimpleNamespace(nodes=()),
            lookout=SimpleNamespace(notices=Notices(table)),
        )
        lease = fence.Fence(house, "one life")
        assert lease.look() is None and not lease.is_over, "there is none"
        lease.renew({"left_s": 0.0, "said": "3 s"})
        assert not lease.is_over, "jobs are told first"
        lease.look()
        assert lease.is_over, "there is no job to wait for"
        house.busy = True
        assert not lease.is_over
        until(lambda: lease.is_over, "the time of grace is over")

        after = fence.Fence(house, "one life")
        assert after.setting == lease.setting and not after.is_over, "a keeper after it tells jobs again"
        lease.seal()
        assert fence.Fence(house, "one life").is_over, "once it goes there is no way back"
        restarted = fence.Fence(house, "another life").setting
        assert restarted is not None and restarted.ends_at > time.time() + 200, "who starts the machine wants it"
        with pytest.raises(BadInput):
            lease.renew({"left_s": "soon", "said": "3 s"})


def test_a_cluster_that_cannot_end_itself_refuses_it(cluster: AutostopCluster) -> None:
    cluster.power = Power(refused="a slice of several hosts has no such right")
    cluster.describe()
    controller = Watching(cluster, "k")
    controller.lease(0.0)
    until(lambda: controller.refused, "it is refused")
    assert "a slice of several hosts" in controller.refused[0]
    assert controller.status is None, "it is watched all the same"
