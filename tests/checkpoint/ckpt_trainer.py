"""Hugging Face's Trainer on a model of one layer."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments


class Model(torch.nn.Module):
    """Two numbers in, one out."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, x: Any, labels: Any) -> dict[str, Any]:
        """The loss that Trainer wants."""
        found = self.layer(x)
        return {"loss": (found - labels).pow(2).mean(), "logits": found}


def trainer(where: Path, *callbacks: Any) -> Any:
    """One that takes 12 steps and saves every third, the same each time."""
    torch.manual_seed(1)
    data = [{"x": torch.randn(2), "labels": torch.ones(1)} for _ in range(64)]
    args = TrainingArguments(
        output_dir=str(where), max_steps=12, save_steps=3, per_device_train_batch_size=4, use_cpu=True, report_to=[]
    )
    return Trainer(Model(), args, train_dataset=data, callbacks=list(callbacks))


class Tells(TrainerCallback):  # type: ignore[misc]
    """Sends this process SIGTERM before its fifth step."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Trainer calls this."""
        if state.global_step == 4:
            os.kill(os.getpid(), signal.SIGTERM)


class Announces(TrainerCallback):  # type: ignore[misc]
    """Writes a notice of a preemption into `file` before the fifth step."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Trainer calls this."""
        if state.global_step == 4:
            self._file.write_text('{"id": "a", "node": "n1", "kind": "preemption", "deadline": null}')
