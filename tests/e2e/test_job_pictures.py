"""A picture of a job that runs on two nodes: what it printed, and what it did to each node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import User, until

pytestmark = pytest.mark.e2e

TASK = """
name: drawn
num_nodes: 2
run: |
  for step in 10 20 30; do echo "step $step/30 loss 2.$step tokens/s $((1000 + SKYPILOT_NODE_RANK))"; done
  [ "$SKYPILOT_NODE_RANK" = 0 ] || exec sleep 611.5
  exec python3 -c 'import time; taken = b"x" * (400 << 20); time.sleep(611.5)'
"""
"""Rank 0 takes 400 MiB."""

METERED = """
name: metered
run: |
  mkdir -p out/run-1
  for step in 1 2; do echo "{'step': $step, 'loss': 2.$step}"; done > out/run-1/metrics.jsonl
"""


def test_a_jobs_curves_and_each_nodes_use_are_drawn_while_it_runs_and_after(user: User, tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text(TASK)
    user.run("exec", str(tmp_path / "task.yaml"), "-c", user.stack, "-d")
    job = max(each["id"] for each in user.jobs())

    (folder,) = user.home.rglob(f"records/{job}")
    kept = folder / "job.samples"

    def sampled() -> bool:
        told = kept.read_text() if kept.exists() else ""
        return min(told.count('"n":"n0"'), told.count('"n":"n1"')) > 1

    until(sampled, "both nodes have two samples, where what outlives the cluster lies", 60)
    while_it_runs: Any = user.json("logs", "-c", user.stack, "-j", str(job))
    user.run("cancel", "-c", user.stack, "-j", str(job))

    curves = {each["name"]: each["segments"] for each in while_it_runs["curves"]}
    assert curves["loss"] == [{"x": [10, 20, 30], "y": [2.1, 2.2, 2.3]}]
    assert curves["tokens/s"] == [{"x": [10, 20, 30], "y": [1000, 1000, 1000]}], "of rank 0 alone"
    n0, n1 = ({**each} for each in while_it_runs["nodes"])
    assert max(n0["memory"]) - max(n1["memory"]) > 250 << 20, "each node's own processes count"
    assert all(value >= 0 for each in (n0, n1) for value in each["received"] if value is not None)

    assert all(set(json.loads(line)) <= {"generation", "t", "n", *n0} for line in kept.read_text().splitlines())
    shown = user.run("logs", "-c", user.stack, "-j", str(job), "--plot").out.decode()
    for words in (f"drawn on {user.stack}, job {job}", "throughput (tokens/s)", "memory (GiB)", "━ n1"):
        assert words in shown, shown


def test_a_file_of_metrics_in_the_workdir_is_drawn_where_the_log_has_none(user: User, tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text(METERED)
    user.run("exec", str(tmp_path / "task.yaml"), "-c", user.stack)
    found: Any = user.json("logs", "-c", user.stack)
    (loss,) = found["curves"]
    assert loss["segments"] == [{"x": [1, 2], "y": [2.1, 2.2]}]
