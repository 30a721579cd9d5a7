"""Lightning's Trainer on a model of one layer."""

from __future__ import annotations

import os
import signal
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch

warnings.filterwarnings("ignore", module="pytorch_lightning")


class Model(lightning.LightningModule):
    """Two numbers in, one out; at step `signal_at` its process is told to end."""

    def __init__(self, signal_at: int = 0, file: Path | None = None) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = torch.nn.Linear(2, 1)
        self.seen: list[int] = []
        self._signal_at = signal_at

    def training_step(self, batch: Any, index: int) -> Any:
        """The loss that Trainer wants."""
        self.seen.append(self.global_step)
        if self._signal_at and self.global_step == self._signal_at - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return (self.layer(torch.stack(batch[:2], 1)) - batch[2][:, None]).pow(2).mean()

    def configure_optimizers(self) -> Any:
        """Adam, and a rate that falls with each epoch."""
        adam = torch.optim.Adam(self.parameters(), lr=0.1)
        return [adam], [torch.optim.lr_scheduler.StepLR(adam, 1, 0.5)]


def fit(model: Model, *callbacks: Any, epochs: int = 3, **options: Any) -> Any:
    """Train `model` for some epochs of 8 batches, the same each time; the trainer."""
    torch.manual_seed(2)
    data = torch.utils.data.TensorDataset(*torch.randn(3, 32))
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        **options,
    )
    trainer.fit(model, torch.utils.data.DataLoader(data, batch_size=4))
    return trainer
