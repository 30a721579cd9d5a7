"""A cluster's life from the command line: real engine, real nodes, real jobs."""

import json
import os
from typing import Any

import pytest

from skyrig.fleet.local import processes

pytestmark = pytest.mark.e2e

SCRIPT = """
import json, os, sys
print("ARGS", json.dumps([os.fsencode(a).hex() for a in sys.argv[1:]]), flush=True)
print("ENV", os.fsencode(os.environ.get("K", "")).hex(), flush=True)
if "fail" in sys.argv and os.environ["SKYRIG_NODE_RANK"] == "1":
    sys.exit(7)
"""
VALUE = "a 'b' \"$c\"\n\udcff"
ARGUMENTS = ["two words", "$HOME", "q'uo\"te", "new\nline", "ünï", "--", "-x", "", "\udcff", "`id`", "*"]


def status(clone: Any) -> dict[str, Any]:
    """The one cluster of the clone."""
    (found,) = json.loads(clone.run("invoke", "status", "--json").stdout)["clusters"]
    return dict(found)


def pids(clone: Any) -> dict[str, int]:
    """Processes of the clone's local nodes by name."""
    return {node["name"]: node["pid"] for node in json.loads(clone.run("invoke", "local.ls", "--json").stdout)["nodes"]}


@pytest.mark.soak
def test_a_cluster_from_up_to_after_its_end(clone: Any) -> None:
    folder = clone.path / "my project"
    folder.mkdir()
    (folder / "s.py").write_text(SCRIPT)
    train = ("train", "--script", "my project/s.py", "--strategy", "plain")

    up = clone.run("invoke", "up", "-c", "life", "--nodes", "1")
    assert up.returncode == 0, up.stderr
    assert "1 node (CPU) on the local cloud, $0.00/h" in up.stderr

    # more nodes than there are: it grows; bytes arrive as they were given
    ran = clone.run("invoke", *train, "-c", "life", "--nodes", "2", "-e", f"K={VALUE}", "--", *ARGUMENTS)
    assert ran.returncode == 0, ran.stderr
    assert "grows from 1 to 2 nodes" in ran.stderr
    hexed = json.dumps([os.fsencode(argument).hex() for argument in ARGUMENTS])
    for rank in (0, 1):
        assert f"(rank {rank}, n{rank}) ARGS {hexed}\n" in ran.stdout
        assert f"(rank {rank}, n{rank}) ENV {os.fsencode(VALUE).hex()}\n" in ran.stdout

    failed = clone.run("invoke", *train, "-c", "life", "--", "fail")
    assert failed.returncode == 7
    assert "rank 1" in failed.stderr

    # words that would have destroyed it
    for words in (["serve", "down", "-y"], ["status", "down"], ["status", "down", "-y"]):
        assert clone.run("invoke", *words).returncode == 2
    assert status(clone)["status"] == "UP"
    assert [node["rank"] for node in status(clone)["nodes"]] == [0, 1]

    # a node is taken away, `up` brings that one back alone
    before = pids(clone)
    assert clone.run("skyrig", "local", "preempt", "n1").returncode == 0
    assert status(clone)["status"] == "DEGRADED"
    repaired = clone.run("invoke", "up", "-c", "life")
    assert repaired.returncode == 0, repaired.stderr
    after = pids(clone)
    assert after["n0"] == before["n0"]
    assert after["n1"] != before["n1"]
    assert status(clone)["status"] == "UP"

    again = clone.run("invoke", *train, "-c", "life")
    assert again.returncode == 0, again.stderr
    assert "does not answer" not in again.stderr

    jobs = json.loads(clone.run("skyrig", "queue", "life", "--json").stdout)["jobs"]
    assert [(job["id"], job["status"], job["num_nodes"]) for job in jobs] == [
        (1, "SUCCEEDED", 2),
        (2, "FAILED", 2),
        (3, "SUCCEEDED", 2),
    ]

    down = clone.run("skyrig", "down", "life", "-y")
    assert down.returncode == 0, down.stderr
    assert status(clone)["status"] == "DOWN"
    assert not list((clone.home / "local").glob("*/*"))
    assert all(processes.gone(pid) for pid in after.values())

    # records answer after the end
    assert json.loads(clone.run("invoke", "queue", "-c", "life", "--json").stdout)["jobs"] == jobs
    logs = clone.run("skyrig", "logs", "life", "1")
    assert logs.returncode == 0
    assert f"(rank 1, n1) ARGS {hexed}\n" in logs.stdout
    assert clone.run("invoke", "logs", "-c", "life", "-j", "2").returncode == 7


def test_a_task_that_needs_a_cloud_is_rehearsed_here_when_asked(clone: Any) -> None:
    (clone.path / "task.yaml").write_text(
        "name: rehearsal\nresources: {accelerators: H100:8, use_spot: true}\nservice: {readiness_probe: /}\n"
        "setup: echo setup of $NAME\nenvs: {NAME: }\n"
        'run: echo "$NAME has $SKYPILOT_NUM_GPUS_PER_NODE, secret ${#S}"\n'
    )
    flags = ("-e", "NAME=it", "--secret", "S=hidden-value")
    refused = clone.run("invoke", "launch", "task.yaml", *flags)
    assert refused.returncode == 3
    assert "--infra local" in refused.stderr
    assert clone.made() == ["task.yaml"]

    shown = clone.run("invoke", "render", "--task", "task.yaml", *flags)
    assert shown.returncode == 0, shown.stderr
    assert "echo setup of $NAME" in shown.stdout
    assert "hidden-value" not in shown.stdout
    assert clone.made() == ["task.yaml"]

    ran = clone.run("skyrig", "launch", "-c", "h", "task.yaml", *flags, "--infra", "local")
    assert ran.returncode == 0, ran.stderr
    assert "say nothing" not in ran.stderr, "spot is heeded there"
    assert "the section `service` says nothing here: the task runs as a job, once" in ran.stderr
    assert ran.stdout.splitlines()[-1] == "it has 8, secret 12"
    again = clone.run("skyrig", "exec", "h", "task.yaml", *flags)
    assert again.stdout.splitlines() == ["it has 8, secret 12"]
    everywhere = [file for file in clone.home.rglob("*") if file.is_file() and b"hidden-value" in file.read_bytes()]
    assert everywhere == []
