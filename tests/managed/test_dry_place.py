"""A job whose place has no machines left moves as a whole, and goes on where there are some."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from spot_run import SpotRun, leftovers
from user import User, end_nodes, until

pytestmark = [pytest.mark.e2e, pytest.mark.soak]  # repair and failover are tested apart at landing

TASK = """\
name: moving
num_nodes: 2
resources: {infra: local, use_spot: true, job_recovery: STRATEGY}
file_mounts:
  ~/state: {name: BUCKET, mode: MOUNT}
run: |
  last=$(cat ~/state/last 2>/dev/null || echo 0)
  for n in $(seq $((last + 1)) 25); do
    echo "step $n in $(echo "$SKYPILOT_CLUSTER_INFO" | grep -o '"region": "[a-z]*"')"
    [ "$SKYPILOT_NODE_RANK" = 0 ] && echo $n > ~/state/last
    sleep 1
  done
"""


@pytest.fixture
def person(tmp_path: Path) -> Iterator[User]:
    """Somebody with a home of their own."""
    found = User(tmp_path / "user", "unused")
    try:
        yield found
    finally:
        end_nodes(found.home)


@pytest.mark.parametrize("strategy", ["FAILOVER", "EAGER_NEXT_REGION"])
def test_the_whole_gang_moves(person: User, tmp_path: Path, strategy: str) -> None:
    text = TASK.replace("STRATEGY", strategy).replace("BUCKET", f"moving-{strategy[:4].lower()}")
    (tmp_path / "moving.yaml").write_text(text)
    person.run("local.capacity", "there", "4")
    person.run("jobs.launch", str(tmp_path / "moving.yaml"), "-d", "-y")
    run = SpotRun(person, 1)
    until(lambda: "step 3 in" in run.log(), "it runs", 120)
    assert '"region": "here"' in run.log()
    person.run("local.capacity", "here", "none")
    run.kill("n1")
    row = run.ended(240)
    log = run.log()
    assert row["status"] == "SUCCEEDED", f"{row}\n{log}"
    assert '"region": "there"' in log
    assert [each["moved"] for each in row["recovered"]] == [True]
    assert {int(line.split("step ")[1].split()[0]) for line in log.splitlines() if "step " in line} == set(range(1, 26))
    until(lambda: not leftovers(person), "nothing is left", 90)
