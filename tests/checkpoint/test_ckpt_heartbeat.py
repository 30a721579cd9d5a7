"""Runs give a sign of life at each step."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from skyrig.checkpoint import CheckpointManager, heartbeat  # noqa: E402


@pytest.mark.parametrize(("every_s", "again"), [(1000.0, False), (0.0, True)])
def test_each_step_is_a_sign_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every_s: float, again: bool
) -> None:
    file = tmp_path / "heartbeat"
    monkeypatch.setenv(heartbeat.FILE, str(file))
    monkeypatch.setattr(heartbeat, "EVERY_S", every_s)
    with CheckpointManager(tmp_path / "saves", {"weights": {"w": torch.zeros(10)}}) as manager:
        assert not file.exists()
        manager.after_step(1)
        first = file.stat().st_mtime_ns
        manager.after_step(2)
        assert (file.stat().st_mtime_ns > first) is again


def test_where_nobody_asks_for_one_or_the_disk_takes_none_the_run_goes_on(tmp_path: Path) -> None:
    heartbeat.Heartbeat({}).beat()
    heartbeat.Heartbeat({heartbeat.FILE: str(tmp_path / "nowhere" / "heartbeat")}).beat()
    assert not (tmp_path / "nowhere").exists()
