"""Fifty preflights of a cluster that nobody touched: all pass, however busy the machine is."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from user import User, end_nodes

TIMES, NODES, LIMIT_S = 50, 8, 20.0


@pytest.mark.soak
def test_fifty_of_fifty_pass_on_an_untouched_cluster_of_eight(tmp_path: Path) -> None:
    person = User(tmp_path, f"fifty{os.getpid()}")
    runs = []
    try:
        person.run("up", "-c", person.stack, "--nodes", str(NODES), "--gpus", "H100:2", "--infra", "local", timeout=300)
        for _ in range(TIMES):
            begun = time.monotonic()
            done = person.run("preflight", "-c", person.stack, "--json", check=None)
            took_s = time.monotonic() - begun
            report = json.loads(done.out) if done.code in (0, 4, 5) else {}
            again = sum(pair["alone"] for pair in report.get("pairs", ()))
            runs.append({
                "code": done.code,
                "command_s": round(took_s, 2),
                "took_s": report.get("took_s"),
                "measured_again": again,
                "bus_bytes_s": round(report.get("measured", {}).get("rate", 0)),
                "said": [node["reasons"] for node in report.get("nodes", ()) if node["reasons"]],
                "load": os.getloadavg()[0],
            })  # fmt: skip
    finally:
        end_nodes(person.home)
        (tmp_path / "preflight.json").write_text(json.dumps({"nodes": NODES, "cpus": os.cpu_count(), "runs": runs}))
    assert [run["code"] for run in runs] == [0] * TIMES, runs
    assert max(run["took_s"] for run in runs) < LIMIT_S
