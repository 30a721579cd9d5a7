"""Hugging Face's real Trainer: killed, damaged and told to stop."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from skyrig.checkpoint.trainer import RecordedCheckpoints, newest_whole  # noqa: E402


class _Model(torch.nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, x: Any, labels: Any) -> dict[str, Any]:
        found = self.layer(x)
        return {"loss": (found - labels).pow(2).mean(), "logits": found}


def _trainer(where: Path, *callbacks: Any) -> Any:
    torch.manual_seed(1)
    data = [{"x": torch.randn(2), "labels": torch.ones(1)} for _ in range(64)]
    args = transformers.TrainingArguments(
        output_dir=str(where), max_steps=12, save_steps=3, per_device_train_batch_size=4, use_cpu=True, report_to=[]
    )
    return transformers.Trainer(_Model(), args, train_dataset=data, callbacks=list(callbacks))


def test_only_whole_checkpoints_are_resumed(tmp_path: Path) -> None:
    assert newest_whole(str(tmp_path / "none")) is None
    whole = _trainer(tmp_path, RecordedCheckpoints())
    whole.train()
    assert newest_whole(str(tmp_path)) == str(tmp_path / "checkpoint-12")
    (tmp_path / "checkpoint-12" / "optimizer.pt").unlink()
    state = tmp_path / "checkpoint-9" / "optimizer.pt"
    state.write_bytes(state.read_bytes()[:-1])
    next((tmp_path / "checkpoint-6").glob("*_metadata.json")).unlink()
    assert newest_whole(str(tmp_path)) == str(tmp_path / "checkpoint-3")
    resumed = _trainer(tmp_path, RecordedCheckpoints())
    resumed.train(resume_from_checkpoint=newest_whole(str(tmp_path)))
    assert torch.equal(resumed.model.layer.weight, whole.model.layer.weight)
    assert newest_whole(str(tmp_path)) == str(tmp_path / "checkpoint-12")


class _Tells(transformers.TrainerCallback):  # type: ignore[misc]
    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 4:
            os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_saves_once_more(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        callback = RecordedCheckpoints()
        callback.on_sigterm()
        _trainer(tmp_path, _Tells(), callback).train()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert newest_whole(str(tmp_path)) == str(tmp_path / "checkpoint-5")
