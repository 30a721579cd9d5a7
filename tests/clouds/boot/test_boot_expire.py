"""The last line of defence of a node whose time to live is over: when it ends itself, and when it does not."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from boot_cases import HERE, programs, written

LATE, SOON, LATER = -901, -600, 3600
"""Ends of a time to live, in seconds from now."""

AWAKE = 5000


@pytest.mark.parametrize(
    ("baked", "newer", "awake", "ended"),
    [
        (LATE, None, AWAKE, "end"),
        (SOON, None, AWAKE, ""),  # the keeper still has time
        (LATE, "none\n", AWAKE, ""),
        (LATE, LATER, AWAKE, ""),
        (LATER, LATE, AWAKE, "end"),
        (LATE, "", AWAKE, "end"),
        (LATE, "soon\n", AWAKE, "end"),
        (LATE, None, 300, ""),  # somebody has just started it
    ],
)
def test_it_ends_a_quarter_of_an_hour_late(
    tmp_path: Path, baked: int, newer: int | str | None, awake: int, ended: str
) -> None:
    now = int(time.time())
    said = _run(tmp_path, now + baked, f"{now + newer}\n" if isinstance(newer, int) else newer, awake)
    assert said == ended


def test_a_node_that_cannot_end_stops(tmp_path: Path) -> None:
    assert _run(tmp_path, int(time.time()) + LATE, None, AWAKE, fails=True) == "end stop"


def test_it_looks_once_a_minute_and_only_where_there_is_an_end() -> None:
    bounded, free = (written(HERE / "cases" / f"{name}.json") for name in ("aws-ttl", "aws-cpu"))
    assert "OnUnitInactiveSec=60s" in bounded["/etc/systemd/system/skyrig-expire.timer"]
    assert not [path for path in free if "expire" in path]


def _run(folder: Path, baked: int, newer: str | None, awake: int, *, fails: bool = False) -> str:
    """Run the program beside programs `end` and `stop` that write down that they ran; what they wrote."""
    text = programs(HERE / "cases" / "aws-ttl.json")["expire"]
    assert "ends_at=1800000000" in text
    for name, body in (
        ("expire", text.replace("ends_at=1800000000", f"ends_at={baked}")),
        ("end", f"#!/bin/sh\nprintf 'end ' >>{folder}/did\nexit {int(fails)}\n"),
        ("stop", f"#!/bin/sh\nprintf 'stop ' >>{folder}/did\n"),
    ):
        (folder / name).write_text(body)
        (folder / name).chmod(0o755)
    (folder / "uptime").write_text(f"{awake}.52 12345.67\n")
    if newer is not None:
        (folder / "ttl").write_text(newer)
    env = {**os.environ, "SKYRIG_TTL": str(folder / "ttl"), "SKYRIG_UPTIME": str(folder / "uptime")}
    done = subprocess.run([str(folder / "expire")], env=env, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    return (folder / "did").read_text().strip() if (folder / "did").exists() else ""
