"""Fifty preflights of a cluster that nobody touched: all pass, however busy the machine is."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from user import User, end_nodes

from bench import record

TIMES, NODES, LIMIT_S = 50, 8, 20.0


def run_once(person: User) -> dict[str, Any]:
    """One preflight by a command, with what it took and found."""
    begun = time.monotonic()
    done = person.run("preflight", "-c", person.stack, "--json", check=None)
    assert done.code in (0, 4, 5), done.told()
    report = json.loads(done.out)
    return {
        "code": done.code,
        "command_s": round(time.monotonic() - begun, 2),
        "took_s": report["took_s"],
        "again": sum(pair["alone"] for pair in report["pairs"]),
        "said": [node["reasons"] for node in report["nodes"] if node["reasons"]],
        "load": os.getloadavg()[0],
    }


@pytest.mark.soak
def test_fifty_of_fifty_pass_on_an_untouched_cluster_of_eight(tmp_path: Path) -> None:
    person = User(tmp_path, f"fifty{os.getpid()}")
    try:
        person.run("up", "-c", person.stack, "--nodes", str(NODES), "--gpus", "H100:2", "--infra", "local", timeout=300)
        runs = [run_once(person) for _ in range(TIMES)]
    finally:
        end_nodes(person.home)
    outcome = {
        "passed": sum(run["code"] == 0 for run in runs),
        "median_s": median(run["took_s"] for run in runs),
        "most_s": max(run["took_s"] for run in runs),
        "command_median_s": median(run["command_s"] for run in runs),
        "command_most_s": max(run["command_s"] for run in runs),
        "measured_again": sum(run["again"] for run in runs),
        "load_most": round(max(run["load"] for run in runs), 1),
    }
    record.write("preflight", outcome, counts={"nodes": NODES, "preflights": TIMES})
    assert [run["said"] for run in runs] == [[]] * TIMES
    assert outcome["passed"] == TIMES
    assert outcome["most_s"] < LIMIT_S
