"""Buckets as a user meets them: made for a task, mounted in every mode, kept when its cluster goes, copied, deleted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from user import Result, User, end_nodes

pytestmark = pytest.mark.e2e

WRITES = """\
name: writer
num_nodes: 2
file_mounts:
  ~/out: {name: kept-results, mode: MOUNT_CACHED}
  ~/now: {name: kept-results, mode: MOUNT}
  ~/set: {name: data-set, source: ./words, mode: COPY}
run: |
  cat ~/set/a ~/set/deep/b
  echo "of rank $SKYPILOT_NODE_RANK" >~/out/rank-$SKYPILOT_NODE_RANK
  python -c 'open("/tmp/large", "wb").write(b"x" * 20_000_000)'
  cp /tmp/large ~/now/large-$SKYPILOT_NODE_RANK
"""

READS = """\
name: reader
file_mounts:
  ~/results: {name: kept-results, mode: COPY, source: ./more}
  ~/extra: {name: of-the-team, mode: MOUNT}
config: {skyrig: {data_stack: team-data}}
run: |
  cat ~/results/rank-0 ~/results/rank-1 ~/results/late; stat -c %s ~/results/large-0 ~/results/large-1
  env | grep -c '^AWS_SECRET_ACCESS_KEY='
"""


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> User:
    """Somebody with a clone, and nothing up yet."""
    return User(tmp_path_factory.mktemp("user"), "first")


def launch(person: User, text: str, cluster: str) -> Result:
    (person.clone / "task.yaml").write_text(text)
    return person.run("launch", "task.yaml", "-c", cluster, "--infra", "local", "-y")


@pytest.mark.soak
def test_from_task_to_bucket_and_back(person: User, tmp_path: Path) -> None:
    try:
        words = person.clone / "words"
        (words / "deep").mkdir(parents=True)
        (words / "a").write_text("one\n")
        (words / "deep" / "b").write_text("two\n")
        done = launch(person, WRITES, "first")
        said = [line for line in done.lines if line.startswith("(rank 1") and "[skyrig]" not in line]
        assert said == ["(rank 1, n1) one", "(rank 1, n1) two"]

        buckets = {row["name"]: row for row in person.json("storage.ls")["buckets"]}
        assert {name: (row["stack"], row["store"]) for name, row in buckets.items()} == {
            "kept-results": ("first-data", "local"),
            "data-set": ("first-data", "local"),
        }
        assert [row["name"] for row in person.json("status")["clusters"]] == ["first"]
        person.run("storage.cp", "kept-results:rank-1", str(tmp_path / "back"))
        assert (tmp_path / "back").read_text() == "of rank 1\n"

        down = person.run("down", "-c", "first", "-y")
        assert b"kept-results" in down.out + down.err

        (person.clone / "more").mkdir()
        (person.clone / "more" / "late").write_text("came later\n")
        again = launch(person, READS, "second")
        assert again.lines[-6:] == ["of rank 0", "of rank 1", "came later", "20000000", "20000000", "1"]
        assert {row["name"]: row["stack"] for row in person.json("storage.ls")["buckets"]} == {
            "data-set": "first-data",
            "kept-results": "first-data",
            "of-the-team": "team-data",
        }
        person.run("down", "-c", "second", "-y")

        refused = person.run("storage.delete", "kept-results", check=2)
        assert b"kept-results stays" in refused.err
        person.run("storage.delete", "kept-results", "-y")
        person.run("storage.delete", "--all", "-y")
        assert json.loads(person.run("storage.ls", "--json").out) == {"buckets": []}
    finally:
        end_nodes(person.home)
