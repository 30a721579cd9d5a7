"""Jobs of a real keeper on two nodes, with buckets of a real S3 server."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mounting_store import SECRET, Store, until

from skyrig.launch.job import CONVERTER, Scripts
from skyrig.launch.mounting.mount import attached, mounted
from skyrig.launch.mounting.program import undo
from skyrig.storage import programs
from skyrig.storage.mount import BucketMount

sys.path.insert(0, str(Path(__file__).parents[1] / "keeper"))
from keeper_cluster import KeeperCluster

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0 or not Path("/dev/fuse").exists(),
    reason="needs Linux, root and /dev/fuse",
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeeperCluster]:
    """A keeper and two nodes; no mount of theirs stays."""
    made = KeeperCluster(tmp_path_factory.mktemp("c"), 2)
    yield made
    for node in made.nodes:
        for mount in attached(str(node.home)):
            undo(mount, keep=False)
    assert not [place for place in mounted() if place.startswith(str(made.folder))]
    made.close()


def wanted(store: Store, *plans: dict[str, Any]) -> dict[str, Any]:
    """What a request has of buckets."""
    mounts = tuple(CONVERTER.structure(plan, BucketMount) for plan in plans)
    return {"buckets": mounts, "bucket_secrets": store.secrets, "rclone": str(programs.rclone())}


def pids(cluster: KeeperCluster) -> list[int]:
    """The rclones of both nodes."""
    return [mount.pid for node in cluster.nodes for mount in attached(str(node.home))]


def test_two_nodes_and_setup_see_one_bucket(store: Store, cluster: KeeperCluster) -> None:
    bucket = store.bucket("both-nodes")
    setup = Scripts({"run.sh": "echo of-setup >~/ckpt/setup-$SKYPILOT_SETUP_NODE_RANK"})
    plan = store.mount("~/ckpt", "both-nodes", "MOUNT_CACHED")
    script = "ls ~/ckpt; head -c 3000000 /dev/zero >~/ckpt/rank-$SKYPILOT_NODE_RANK"
    job = cluster.submit(script, nodes=2, setup=setup, **wanted(store, plan))
    record = cluster.ended(job)
    assert record["status"] == "SUCCEEDED", record
    assert {path.name for path in bucket.iterdir()} >= {"setup-0", "setup-1", "rank-0", "rank-1"}
    assert all((bucket / f"rank-{rank}").stat().st_size == 3000000 for rank in (0, 1))
    before = pids(cluster)
    assert cluster.ended(cluster.submit("ls ~/ckpt", 2, setup=setup, **wanted(store, plan)))["status"] == "SUCCEEDED"
    assert pids(cluster) == before and len(before) == 2
    assert b"setup skipped on n0, n1" in cluster.log(job + 1).read_bytes()
    for path in cluster.keeper_home.rglob("*"):
        if path.is_file() and path.parent.name != "requests":
            assert SECRET.encode() not in path.read_bytes(), path


def test_a_killed_mount_fails_the_job_with_that_reason(store: Store, cluster: KeeperCluster) -> None:
    store.bucket("killed-in-job")
    plan = store.mount("~/killed", "killed-in-job", "MOUNT_CACHED")
    job = cluster.submit("echo up; sleep 60", nodes=2, **wanted(store, plan))
    until(lambda: cluster.log(job).read_bytes().count(b"up\n") == 2, "both ranks")
    victim = next(each for each in attached(str(cluster.nodes[1].home)) if each.plan["target"] == "~/killed")
    began = time.monotonic()
    os.kill(victim.pid, signal.SIGKILL)
    record = cluster.ended(job)
    assert time.monotonic() - began < 4
    reason = "rank 1 (n1): mount ~/killed (s3://killed-in-job) is gone: its rclone was killed by signal 9"
    assert (record["status"], record["exit_code"], record["reason"]) == ("FAILED", 5, reason)
    again = cluster.submit("touch ~/killed/f", nodes=2, **wanted(store, plan))
    assert cluster.ended(again)["status"] == "SUCCEEDED"


def test_what_cannot_be_attached_fails_before_setup(store: Store, cluster: KeeperCluster) -> None:
    setup = Scripts({"run.sh": "touch ~/setup-ran"})
    job = cluster.submit("true", setup=setup, **wanted(store, store.mount("~/none", "no-such")))
    record = cluster.ended(job)
    assert record["status"] == "FAILED_SETUP" and record["exit_code"] == 5
    assert "n0: s3://no-such cannot be attached at ~/none: there is no such bucket" in record["reason"]
    assert not (cluster.nodes[0].home / "setup-ran").exists()


def test_nodes_are_flushed_before_they_go(store: Store, cluster: KeeperCluster) -> None:
    bucket = store.bucket("flushed")
    plan = store.mount("~/flushed", "flushed", "MOUNT_CACHED")
    asked = cluster.submit("ls ~/flushed", flush_s=1.5, **wanted(store, plan))
    assert cluster.ended(asked)["status"] == "SUCCEEDED"
    with store.gone():
        job = cluster.submit("echo 123 >~/flushed/f; exit 3")
        assert cluster.ended(job)["exit_code"] == 3
        assert flushed(cluster, 1.0)[-1]["left"] == ["n0: s3://flushed/f (4 B)"]
        began = time.monotonic()
        assert flushed(cluster, None)[-1]["left"] and 1.4 < time.monotonic() - began < 6, "as long as the job said"
    said = flushed(cluster, 40.0)
    assert said[-1] == {"left": []} and (bucket / "f").read_text() == "123\n"
    assert "n0: waiting for 1 file (4 B) to reach s3://flushed" in [each.get("note") for each in said]


def flushed(cluster: KeeperCluster, deadline_s: float | None) -> list[dict[str, Any]]:
    """What the keeper says to `flush`."""
    with cluster.connect() as line, line.makefile("rwb") as stream:
        stream.write(json.dumps({"op": "flush", "deadline_s": deadline_s}).encode() + b"\n")
        stream.flush()
        said = []
        while not said or "left" not in said[-1]:
            said.append(json.loads(stream.readline()))
    return said
