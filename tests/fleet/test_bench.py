"""The benches run: each at its smallest size, results written where it is told to."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fleet_servers import SSHD

ROOT = Path(__file__).parents[2]


def measured(folder: Path, names: str, *words: str) -> list[dict[str, Any]]:
    """Tables of the benches `names`, run together with one round each."""
    command = [sys.executable, "-m", "bench.launch", *names.split(), "--rounds", "1", "--results", str(folder), *words]
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "SKYRIG_"))}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = [json.loads((folder / f"{name}.json").read_text())["outcome"] for name in names.split()]
    return [table for outcome in outcomes for table in outcome.values()]


@pytest.mark.skipif(SSHD is None, reason="no sshd on this machine (Debian: openssh-server)")
def test_the_fan_out_and_its_peers(tmp_path: Path) -> None:
    cold, warm = measured(tmp_path, "fanout", "--servers", "3")
    assert {"plain asyncssh", "skyrig fleet"} <= set(cold["of"])
    assert set(warm["of"]) == {"plain asyncssh", "skyrig fleet"}


@pytest.mark.skipif(SSHD is None, reason="no sshd on this machine (Debian: openssh-server)")
def test_the_spread(tmp_path: Path) -> None:
    (table,) = measured(tmp_path, "spread", "--nodes", "17", "--megabytes", "1")
    assert table["notes"] == ["the head sends each content 17 times (flat), 5 times (tree)"]


def test_the_choice_between_offers(tmp_path: Path) -> None:
    choices, imports = measured(tmp_path, "optimizer")
    assert "the catalog" in imports["of"] and any("SkyPilot" in note for note in choices["notes"])
    assert choices["of"]["the shipped table, the best 4"]["median_s"] < 0.05


@pytest.mark.soak
@pytest.mark.e2e
def test_those_that_need_a_cluster(tmp_path: Path) -> None:
    """The first line, and the sync: its bytes leave the client once."""
    lines, first, again = measured(tmp_path, "first-line sync", "--nodes", "2", "--files", "300")
    assert {"python API", "command line"} <= set(lines["of"])
    assert again["of"]
    sent = re.search(r"the client sent (\d\.\d\d) times", " ".join(first["notes"]))
    assert sent is not None
    assert 1.0 <= float(sent[1]) < 1.3
