"""Managed jobs as a user meets them: commands, the controller, real engine, real nodes."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clone import DOORS, Clone, new_clone
from user import until

pytestmark = pytest.mark.e2e

GROUP = "name: g\nexecution: parallel\n---\nname: a\nrun: x\n---\nname: b\nrun: x\n"
PIPELINE = """\
name: pipe
---
name: prep
run: echo "prep $SKYPILOT_TASK_ID"
---
name: fit
num_nodes: 2
run: |
  echo "$(echo "$SKYPILOT_TASK_IDS" | wc -l) tasks, job $SKYPILOT_MANAGED_JOB_ID, attempt $SKYRIG_ATTEMPT"
  exit $((7 * (1 - SKYPILOT_NODE_RANK)))
"""
COUNTING = (
    "name: long\nnum_nodes: 2\nrun: |\n  for i in $(seq 40); do echo line $i of $SKYRIG_ATTEMPT; sleep 0.3; done\n"
)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone with the files of these tests."""
    with new_clone(tmp_path_factory.mktemp("managed")) as made:
        for name, text in {"group": GROUP, "pipe": PIPELINE, "long": COUNTING, "idle": "name: i\nsetup: x\n"}.items():
            (made.path / f"{name}.yaml").write_text(text)
        yield made


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Everything, for a failed assertion."""
    return f"exit {done.returncode}\n--- out\n{done.stdout}\n--- err\n{done.stderr}"


def queue(clone: Clone, *words: str) -> list[dict[str, Any]]:
    """Jobs of `jobs.queue --json`."""
    done = clone.run("skyrig", "jobs", "queue", *words, "--json")
    assert done.returncode == 0, said(done)
    jobs: list[dict[str, Any]] = json.loads(done.stdout)["jobs"]
    return jobs


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("launch group.yaml", 2, "job groups (execution: parallel): not yet"),
        ("launch idle.yaml", 2, "task i has nothing to run"),
        ("launch long.yaml --job-recovery sometimes", 2, "--job-recovery: 'sometimes' is none of"),
        ("launch long.yaml --gpus H100:8", 3, "the task asks for H100:8 and no cloud is usable for that"),
        ("logs 7", 2, "there is no managed job 7"),
        ("cancel 7", 2, "there is no managed job 7"),
        ("cancel", 2, "jobs.cancel: which jobs?"),
    ],
)
def test_what_cannot_be_is_one_line_and_makes_nothing(clone: Clone, words: str, code: int, says: str) -> None:
    before = clone.made()
    done = clone.run("skyrig", "jobs", *words.split())
    assert (done.returncode, done.stdout) == (code, ""), said(done)
    assert says in done.stderr and len(done.stderr.splitlines()) == 1, said(done)
    assert clone.made() == before


@pytest.mark.soak
def test_a_pipeline_is_followed_to_its_exit_code(clone: Clone) -> None:
    done = clone.run("skyrig", "jobs", "launch", "pipe.yaml")
    assert done.returncode == 7, said(done)
    first, *others = done.stdout.splitlines()
    (job,) = queue(clone)
    assert first == f"prep {job['tasks'][0]['task_id']}"
    assert sorted(others) == [f"(rank {rank}, n{rank}) 2 tasks, job 1, attempt 1" for rank in (0, 1)]
    assert (job["status"], job["exit_code"], job["task"], job["recoveries"]) == ("FAILED", 7, 1, 0)
    assert [task["cluster"] for task in job["tasks"]] == ["prep-1", "fit-1"]
    assert "managed job 1: task 0 (prep): SUCCEEDED" in done.stderr.splitlines()
    assert "rank 0 (n0) exited with code 7" in done.stderr
    shown = clone.run("invoke", "jobs.logs", "-j", "1", "--no-follow")
    assert (shown.returncode, shown.stdout) == (7, done.stdout), said(shown)
    assert queue(clone, "-s") == []


def counted(lines: list[str]) -> list[tuple[str, int]]:
    """Who wrote which line, in each one's order."""
    found = [line.split() for line in lines if " line " in line]  # (rank K, NODE) line I of ATTEMPT
    return sorted((f"rank {words[1]} attempt {words[-1]}", int(words[4])) for words in found)


@pytest.mark.soak
def test_recoveries_are_followed_and_nothing_comes_twice(clone: Clone, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        words = [*DOORS["skyrig"], "jobs", "launch", "long.yaml"]
        following = subprocess.Popen(words, cwd=clone.path, env=clone.env, stdout=out, stderr=err)
    text = tmp_path / "out"
    for attempt, node in ((1, "n1"), (2, "n0")):
        until(lambda: f"line 8 of {attempt}" in text.read_text(), "it runs", 120)  # noqa: B023
        assert clone.run("skyrig", "local", "preempt", node).returncode == 0
    assert following.wait(timeout=240) == 0, (tmp_path / "err").read_text()
    lines = text.read_text().splitlines()
    seen = counted(lines)
    assert len(set(seen)) == len(seen)
    for who in {who for who, _ in seen}:
        numbers = [number for each, number in seen if each == who]
        assert numbers == list(range(1, len(numbers) + 1)), who
    assert any(line.startswith("(skyrig) attempt 2: n1") for line in lines)
    job = queue(clone)[-1]
    assert (job["status"], job["recoveries"]) == ("SUCCEEDED", 2)
    assert [each["nodes"] for each in job["recovered"]] == [["n1"], ["n0"]]
    again = clone.run("skyrig", "jobs", "logs", str(job["id"]), "--no-follow")
    assert counted(again.stdout.splitlines()) == seen


@pytest.mark.soak
def test_ctrl_c_detaches_and_down_cancels(clone: Clone) -> None:
    words = [*DOORS["skyrig"], "jobs", "launch", "sleep 600"]
    following = subprocess.Popen(words, cwd=clone.path, env=clone.env, stderr=subprocess.PIPE, text=True)
    assert following.stderr is not None
    said_by_it = []
    for line in following.stderr:
        said_by_it.append(line)
        if "RUNNING" in line:
            break
    following.send_signal(signal.SIGINT)
    rest = following.stderr.read()
    assert following.wait(timeout=60) == 0 and "goes on" in rest, said_by_it
    job = queue(clone)[-1]
    stack = job["cluster"]
    assert job["status"] == "RUNNING"
    (cluster,) = [each for each in json.loads(clone.run("skyrig", "status", "--json").stdout)["clusters"]
                  if each["name"] == stack]  # fmt: skip
    assert cluster["owner"] == f"managed job {job['id']}"
    for refused in (("stop", stack), ("start", stack), ("exec", stack, "echo hi"), ("launch", "-c", stack, "echo hi")):
        done = clone.run("skyrig", *refused)
        assert done.returncode == 2 and f"belongs to managed job {job['id']}" in done.stderr, said(done)
    done = clone.run("skyrig", "down", stack)
    assert done.returncode == 0, said(done)
    assert queue(clone)[-1]["status"] == "CANCELLED"
    assert json.loads(clone.run("skyrig", "local", "ls", "--json").stdout)["nodes"] == []
