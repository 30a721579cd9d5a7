"""Nodes that outlive their head keep their setup."""

from __future__ import annotations

import json
import stat
from typing import Any

from keeper_cluster import KeeperCluster, until

SETUP: dict[str, Any] = {
    "files": {"setup.sh": 'bash "$SKYRIG_RANK_DIR/user.sh"', "user.sh": "echo ran >> ~/ran; exit ${CODE:-0}"},
    "entry": "setup.sh",
}


def run(cluster: KeeperCluster, **more: Any) -> dict[str, Any]:
    """A job with this setup; its record when it has ended."""
    request = {**cluster.request("true"), "setup": SETUP, **more}
    return cluster.ended(cluster.ask(op="submit", request=request)["record"]["id"])


def runs(cluster: KeeperCluster) -> list[int]:
    """How often setup ran on each node."""
    files = [node.home / "ran" for node in cluster.nodes]
    return [len(file.read_text().split()) if file.exists() else 0 for file in files]


def replace_head(cluster: KeeperCluster) -> None:
    """Another head, which knows nothing, is in the place of the first node, where setup has not run."""
    cluster.stop_keeper()
    for path in (*cluster.keeper_home.glob("jobs.db*"), cluster.keeper_home / "hmac", cluster.nodes[0].home / "ran"):
        path.unlink()
    (cluster.keeper_home / "setup.json").unlink()
    cluster.ensure()
    cluster.describe()


def test_only_the_new_head_is_set_up(own_cluster: KeeperCluster) -> None:
    cluster, given = own_cluster, {"env": {"SIZE": "7"}, "secrets": {"TOKEN": "correct horse"}}
    marks = [node.home / ".skyrig" / "setup.json" for node in cluster.nodes]
    assert run(cluster, **given)["status"] == "SUCCEEDED"
    until(lambda: all(mark.exists() for mark in marks), "both nodes remember")
    assert [stat.S_IMODE(mark.stat().st_mode) for mark in marks] == [0o600, 0o600]
    assert not any(b"horse" in mark.read_bytes() for mark in marks)
    assert json.loads(marks[1].read_text())["life"] == "i1"

    replace_head(cluster)
    assert run(cluster, **given, given={"SKYPILOT_TASK_ID": "another"})["status"] == "SUCCEEDED"
    assert runs(cluster) == [1, 1], "the survivor keeps what it has"

    until(marks[0].exists, "the new head remembers")
    replace_head(cluster)
    last = run(cluster, **{**given, "secrets": {"TOKEN": "battery staple"}})
    assert runs(cluster) == [1, 2], "a secret is another one"
    assert b"setup runs again on n1: TOKEN changed" in cluster.log(last["id"]).read_bytes()

    until(marks[1].exists, "it is remembered again")
    assert run(cluster, env=given["env"], secrets={"CODE": "3"})["status"] == "FAILED_SETUP"
    assert not any(mark.exists() for mark in marks), "what has failed since is not set up"
