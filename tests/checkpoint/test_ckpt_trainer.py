"""Hugging Face's real Trainer: killed, damaged and told to stop.

What needs torch and transformers is imported by the tests alone: it takes seconds, and every worker collects this file.
"""

from __future__ import annotations

import signal
from importlib.util import find_spec
from pathlib import Path

import pytest

NEEDED = ("torch", "transformers", "accelerate")
pytestmark = pytest.mark.skipif(not all(map(find_spec, NEEDED)), reason="needs the sets torch, accelerate and lora")


def test_only_whole_checkpoints_are_resumed(tmp_path: Path) -> None:
    import torch
    from ckpt_trainer import trainer

    from skyrig.checkpoint.trainer import RecordedCheckpoints, newest_whole

    assert newest_whole(str(tmp_path / "none")) is None
    whole = trainer(tmp_path, RecordedCheckpoints())
    whole.train()
    assert newest_whole(str(tmp_path)) == str(tmp_path / "checkpoint-12")
    (tmp_path / "checkpoint-12" / "optimizer.pt").unlink()
    state = tmp_path / "checkpoint-9" / "optimizer.pt"
    state.write_bytes(state.read_bytes()[:-1])
    next((tmp_path / "checkpoint-6").glob("*_metadata.json")).unlink()
    assert newest_whole(str(tmp_path)) == str(tmp_path / "checkpoint-3")
    resumed = trainer(tmp_path, RecordedCheckpoints())
    resumed.train(resume_from_checkpoint=newest_whole(str(tmp_path)))
    assert torch.equal(resumed.model.layer.weight, whole.model.layer.weight)
    assert newest_whole(str(tmp_path)) == str(tmp_path / "checkpoint-12")


def test_sigterm_saves_once_more(tmp_path: Path) -> None:
    from ckpt_trainer import Tells, trainer

    from skyrig.checkpoint.trainer import RecordedCheckpoints, newest_whole

    before = signal.getsignal(signal.SIGTERM)
    try:
        callback = RecordedCheckpoints()
        callback.on_sigterm()
        trainer(tmp_path, Tells(), callback).train()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert newest_whole(str(tmp_path)) == str(tmp_path / "checkpoint-5")


def test_a_notice_has_it_save_once_more_and_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from ckpt_trainer import Announces, trainer

    from skyrig.checkpoint import preemption
    from skyrig.checkpoint.trainer import RecordedCheckpoints, newest_whole

    monkeypatch.setenv(preemption.FILE, str(tmp_path / "notice"))
    monkeypatch.setattr(preemption, "LOOK_EVERY_S", 0.0)
    trainer(tmp_path, Announces(tmp_path / "notice"), RecordedCheckpoints()).train()
    said = f"[skyrig] preemption of n1: step 5 is safe in {tmp_path / 'checkpoint-5'}"
    assert [message for message in caplog.messages if "n1" in message] == [said]
    assert newest_whole(str(tmp_path)) == str(tmp_path / "checkpoint-12")
    assert sorted(int(path.name[11:]) for path in tmp_path.glob("checkpoint-*")) == [3, 5, 6, 9, 12]
