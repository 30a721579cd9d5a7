"""Logs where users of SkyPilot look for them, and what becomes of them when old jobs are pruned."""

from __future__ import annotations

import os
import re
import runpy
from pathlib import Path

import pytest
from keeper_cluster import KeeperCluster, until

from skyrig.launch import job
from skyrig.launch.job import Scripts

PRINT = "echo rank $SKYPILOT_NODE_RANK; exit 0"


def links(home: Path) -> dict[str, str]:
    """What lies below ~/sky_logs of a node, and what it says."""
    logs = home / "sky_logs"
    return {path.relative_to(logs).as_posix(): path.read_text() for path in logs.rglob("*") if path.is_file()}


def test_head_and_nodes_have_links_to_their_logs(cluster: KeeperCluster) -> None:
    request = cluster.request(PRINT, 2, setup=Scripts({"setup.sh": "echo set up"}, "setup.sh"))
    request["name"] = "my job/../x"
    job = cluster.ask(op="submit", request=request)["record"]["id"]
    assert cluster.ended(job)["status"] == "SUCCEEDED"
    folder = f"{job}-my-job-..-x"
    head, worker = (links(node.home) for node in cluster.nodes)
    assert worker == {f"{folder}/tasks/1-worker1.log": "rank 1\n", f"{folder}/tasks/setup.log": "set up\n"}
    whole = head.pop(f"{folder}/run.log")
    assert head == {f"{folder}/tasks/0-head.log": "rank 0\n", f"{folder}/tasks/setup.log": "set up\n"}
    assert {"0|rank 0", "1|rank 1"} <= set(whole.splitlines())
    assert all(path.is_symlink() for node in cluster.nodes for path in node.home.glob("sky_logs/*/*/*.log"))


def test_the_task_id_is_the_same_whatever_happens_to_the_keeper(own_cluster: KeeperCluster) -> None:
    cluster = own_cluster
    setup = Scripts({"setup.sh": 'echo "$SKYPILOT_TASK_ID" >~/id-setup'}, "setup.sh")
    job = cluster.submit('echo "$SKYPILOT_TASK_ID"; until [ -e ~/go ]; do sleep 0.05; done; exit 0', 2, setup=setup)
    tasks = [node.home / "sky_logs" / f"{job}-job" / "tasks" for node in cluster.nodes]
    ranks = [tasks[0] / "0-head.log", tasks[1] / "1-worker1.log"]
    until(lambda: all(path.exists() and path.read_text() for path in ranks), "both ranks run")
    cluster.kill()
    for node in cluster.nodes:
        (node.home / "go").touch()
    assert cluster.ended(job)["status"] == "SUCCEEDED"
    told = [path.read_text() for path in (*ranks, *(node.home / "id-setup" for node in cluster.nodes))]
    assert len(set(told)) == 1
    assert re.fullmatch(rf"sky-\d{{4}}(-\d\d){{5}}-\d{{6}}_{cluster.name}_{job}\n", told[0])


def test_what_is_pruned_leaves_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, logs = tmp_path / ".skyrig" / "jobs", tmp_path / "sky_logs"
    for number in (1, 2):
        rank, tasks = jobs / f"{number}-a" / "rank-0", logs / f"{number}-job" / "tasks"
        for folder in (rank, tasks):
            folder.mkdir(parents=True)
        (rank / "log").write_text(f"job {number}")
        (tasks / "run.log").symlink_to(rank / "log")
        os.utime(jobs / f"{number}-a", (number, number))
    (logs / "1-job" / "mine.txt").write_text("the user's")
    (logs / "2-job" / "elsewhere.log").symlink_to("/nowhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    program = Path(job.__file__).with_name("prune.py")
    runpy.run_path(str(program), {"given": {"keep": 1, "bytes": 1 << 40, "spare": []}})
    assert sorted(path.relative_to(logs).as_posix() for path in logs.rglob("*")) == [
        "1-job", "1-job/mine.txt", "2-job", "2-job/elsewhere.log", "2-job/tasks", "2-job/tasks/run.log",
    ]  # fmt: skip
