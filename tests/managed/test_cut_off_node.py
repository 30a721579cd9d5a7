"""A node that is cut off, and lives: its rank ends before another one begins, and no checkpoint of it comes later."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from spot_run import SpotRun, leftovers
from user import User, end_nodes, until

from bench import record

pytestmark = [pytest.mark.e2e, pytest.mark.soak]  # tests/faults and tests/jobs_control have its parts at landing

CUT_S, STEPS = 60, 400

SCRIPT = """
import os, sys, threading, time, torch, torch.distributed as dist
from skyrig.checkpoint import CheckpointManager

rank, place = os.environ["SKYPILOT_NODE_RANK"], os.environ["PLACE"]
os.makedirs(f"{place}/alive", exist_ok=True)

def beat():
    with open(f"{place}/alive/{rank}-{os.environ['SKYRIG_INTERNAL_JOB_ID']}-{os.getpid()}", "a", buffering=1) as file:
        while True:
            file.write(f"{time.monotonic()}\\n")
            time.sleep(0.05)

threading.Thread(target=beat, daemon=True).start()
os.environ |= {"RANK": rank, "WORLD_SIZE": os.environ["SKYPILOT_NUM_NODES"]}
dist.init_process_group("gloo")
weight = torch.zeros(8)
with CheckpointManager(f"{place}/saves", {"weights": {"w": weight}}, every=5, keep=1000) as checkpoints:
    found = checkpoints.restore()
    first = found.step if found else 0
    print("begins after step", first, flush=True)
    for step in range(first + 1, int(os.environ["STEPS"]) + 1):
        whole = torch.ones(1)
        dist.all_reduce(whole)
        weight += whole
        checkpoints.after_step(step)
        time.sleep(0.1)
print("ends with", weight[0].item(), flush=True)
"""

TASK = """\
name: fenced
num_nodes: 2
workdir: {work}
resources: {{infra: local, use_spot: true}}
envs: {{PLACE: {place}, STEPS: "{steps}", OMP_NUM_THREADS: "1"}}
run: exec python3 -u fenced.py
"""


@pytest.fixture
def person(tmp_path: Path) -> Iterator[User]:
    """Somebody with a home of their own."""
    found = User(tmp_path / "user", "unused")
    try:
        yield found
    finally:
        end_nodes(found.home)


def published(place: Path) -> set[tuple[int, str]]:
    """Checkpoints that are whole, as (number of the life that made them, path)."""
    found = set()
    for path in (place / "saves").rglob("manifest.json"):
        life = re.search(r"(\d{6,})-[0-9a-f]{8}", str(path.relative_to(place)))
        assert life, path
        found.add((int(life[1]), str(path)))
    return found


def lives(place: Path, rank: int) -> list[tuple[float, float]]:
    """When each process of a rank was at work, from and to."""
    beats = [list(map(float, file.read_text().split())) for file in (place / "alive").glob(f"{rank}-*")]
    return sorted((each[0], each[-1]) for each in beats if each)


def test_one_incarnation_at_a_time(person: User, tmp_path: Path) -> None:
    place = person.home / "stacks" / "fenced-1" / "records" / "place"  # a folder that all nodes see, cut off or not
    work = tmp_path / "work"
    work.mkdir()
    (work / "fenced.py").write_text(SCRIPT)
    (tmp_path / "fenced.yaml").write_text(TASK.format(work=work, place=place, steps=STEPS))
    person.run("jobs.launch", str(tmp_path / "fenced.yaml"), "-d", "-y")
    run = SpotRun(person, 1)
    assert run.row()["cluster"] == "fenced-1"
    until(lambda: len(published(place)) >= 2, "it trains", 120)
    first = run.nodes()
    person.run("local.partition", "fenced-1/n1", "--for", f"{CUT_S}s")
    began, seen, newest, rows = time.monotonic(), published(place), 1, []
    while (row := run.row())["status"] not in ("SUCCEEDED", "FAILED", "FAILED_CONTROLLER"):
        assert time.monotonic() < began + 300, f"{row}\n{run.log()}"
        for number, path in sorted(published(place) - seen):
            assert number >= newest, f"{path} came after one of a newer life"
            newest = number
            seen.add((number, path))
        rows.append(row["status"])
        run.nodes()
        time.sleep(0.2)
    took = time.monotonic() - began
    assert row["status"] == "SUCCEEDED", f"{row}\n{run.log()}"
    for rank in (0, 1):
        spans = lives(place, rank)
        assert len(spans) == 2, spans
        assert all(before[1] < after[0] for before, after in itertools.pairwise(spans)), spans
    assert newest > 1
    assert f"ends with {2.0 * STEPS}" in run.log()
    assert "RECOVERING" in rows
    assert row["recovered"][0]["cause"] == "node"
    assert run.lives["n0"] == [first["n0"]]
    assert len(run.lives["n1"]) == 2
    until(lambda: not leftovers(person), "nothing is left", 90)
    outcome = {"took_s": round(took, 1), "back_after_s": row["recovered"][0]["took_s"], "lives": newest}
    record.write("managed-partition", outcome, counts={"cut_s": CUT_S, "steps": STEPS})
