"""The keeper dies in mid-job: the job goes on, its log has every line once, and its exit code is right."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from user import User, until

from faults.fill import Full, SmallDisk
from faults.kill import Frozen, Killed
from faults.node import FaultyNode, Process

pytestmark = pytest.mark.e2e

COUNTING = """\
num_nodes: 2
run: |
  for ((i = 0; ; i++)); do echo "line $i"; sleep 0.01; [ ! -e {stop} ] || break; done
  echo "count $((i + 1))"
  [ "$SKYPILOT_NODE_RANK" = 0 ] || {{ sleep 1; exit 7; }}
  sleep 300
"""
"""Two ranks count until the file `stop` is there; then the second one fails."""
COUNT = re.compile(r"^\(rank (\d), n\d\) count (\d+)$", re.MULTILINE)
LINE = re.compile(r"^\(rank (\d), n\d\) line (\d+)$", re.MULTILINE)


@pytest.fixture
def stop(user: User) -> Path:
    """A file that nodes and host share."""
    return user.home / "stacks" / user.stack / "records" / f"stop-{time.monotonic_ns()}"


def assert_whole(told: str) -> None:
    """Every line of both ranks is there once, in order."""
    counts = dict(COUNT.findall(told))
    seen: dict[str, list[int]] = {"0": [], "1": []}
    for rank, number in LINE.findall(told):
        seen[rank].append(int(number))
    for rank, numbers in seen.items():
        wrong = [(number, due) for due, number in enumerate(numbers) if number != due][:3]
        assert not wrong, f"rank {rank}: {wrong[0][0]} where {wrong[0][1]} was due"
        assert len(numbers) == int(counts[rank]), f"rank {rank}: {len(numbers)} of {counts[rank]} lines"


def replaced(head: FaultyNode, dead: Process) -> None:
    """Wait for another keeper than the dead one."""
    until(lambda: head.keeper() not in (None, dead), "another keeper", 90)


def test_a_job_and_its_follower_outlive_three_keepers_and_a_watch(
    user: User, nodes: list[FaultyNode], tmp_path: Path, stop: Path
) -> None:
    head, task, out = nodes[0], tmp_path / "count.yaml", tmp_path / "out"
    task.write_text(COUNTING.format(stop=stop))
    with out.open("wb") as file:
        client = user.start("exec", str(task), "-c", user.stack, stdout=file)
    until(lambda: b"line 20" in out.read_bytes(), "the job is under way")
    for number in range(3):
        keeper, watch = until(head.keeper, "a keeper"), head.watch()
        if number == 2:
            assert watch is not None
            Killed(watch).do()  # now nobody brings a new keeper but the client that follows
        Killed(keeper).do()
        replaced(head, keeper)
    stop.touch()
    assert client.wait(60) == 7, out.read_text()[-3000:]
    told = out.read_text()
    assert "rank 1 (n1) exited with code 7" in told
    assert_whole(told)
    assert_whole(user.run("logs", "-c", user.stack, check=7).out.decode())
    until(lambda: not any(node.ranks() or node.daemons() for node in nodes), "nothing of the job is left")


def test_a_keeper_that_stands_still_for_a_while_costs_nothing(
    user: User, nodes: list[FaultyNode], tmp_path: Path, stop: Path
) -> None:
    task = tmp_path / "count.yaml"
    task.write_text(COUNTING.format(stop=stop))
    client = user.start("exec", str(task), "-c", user.stack)
    until(lambda: all(node.ranks() for node in nodes[:2]), "the job runs")
    keeper = until(nodes[0].keeper, "the keeper")
    assert os.getpriority(os.PRIO_PROCESS, keeper.pid) == (-10 if os.geteuid() == 0 else 0), "it comes before its jobs"
    with Frozen(keeper):
        time.sleep(5)  # how long it stands still is what is tested; a lease is 10 s
    stop.touch()
    told = client.communicate(timeout=60)[0].decode()
    assert client.returncode == 7, told[-3000:]
    assert_whole(told)


def test_why_a_job_fails_outlives_a_keeper_that_dies_while_it_ends_the_other_ranks(
    user: User, nodes: list[FaultyNode], tmp_path: Path
) -> None:
    head, other, task = nodes[0], nodes[1], tmp_path / "deaf.yaml"
    task.write_text("num_nodes: 2\nrun: |\n  trap 'echo told to end' TERM\n  while :; do sleep 0.1; done\n")
    folder = other.home / ".skyrig" / "jobs"
    with SmallDisk(other, folder, 1 << 20), Full(other, folder) as full:
        client = user.start("exec", str(task), "-c", user.stack)
        logs = head.home / ".skyrig" / "jobs"
        until(lambda: any(b"told to end" in log.read_bytes() for log in logs.glob("*/rank-0/log")), "the end begins")
        Killed(until(head.keeper, "the keeper")).do()
        full.undo()
        told = client.communicate(timeout=60)[0].decode()
    assert client.returncode == 5, told
    assert "rank 1 (n1) could not be started" in told, "not the rank that was told to end"
