"""Trains a small network of convolutions with Lightning's DDP, under torchrun."""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

CLASSES = 10


class Net(lightning.LightningModule):
    """Pictures of 3 x 32 x 32 to one of ten classes."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        layers: list[nn.Module] = []
        for inside, outside in ((3, 32), (32, 64), (64, 128)):
            layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.BatchNorm2d(outside), nn.ReLU(), nn.MaxPool2d(2)]
        self.net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, CLASSES))

    def on_train_start(self) -> None:
        """Say once what it is."""
        trainer = self.trainer
        if trainer.is_global_zero:
            steps = trainer.estimated_stepping_batches
            print(f"{trainer.world_size} processes on {trainer.num_nodes} nodes, {steps} steps", flush=True)

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        """The loss of one batch."""
        pictures, kinds = batch
        return F.cross_entropy(self.net(pictures), kinds)

    def validation_step(self, batch: tuple[Tensor, Tensor], number: int) -> None:
        """Loss and accuracy, of all processes together."""
        pictures, kinds = batch
        scores = self.net(pictures)
        right = (scores.argmax(1) == kinds).float().mean()
        self.log_dict({"loss": F.cross_entropy(scores, kinds), "accuracy": right}, sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Say it once."""
        found = self.trainer.callback_metrics
        if self.trainer.is_global_zero and not self.trainer.sanity_checking:
            said = f"loss {found['loss']:.4f}, accuracy {100 * found['accuracy']:.1f}% (chance is {100 / CLASSES:g}%)"
            print(f"validation after epoch {self.current_epoch + 1}: {said}", flush=True)

    def configure_optimizers(self) -> dict[str, object]:
        """AdamW, its rate by one cycle."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.rate)
        steps = int(self.trainer.estimated_stepping_batches)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.rate, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


def patterns(count: int, seed: int) -> TensorDataset:
    """`count` pictures in ten classes, each class with a pattern of its own."""
    shared, own = torch.Generator().manual_seed(0), torch.Generator().manual_seed(seed)
    kinds = torch.arange(count) % CLASSES
    coarse = torch.randn(CLASSES, 3, 8, 8, generator=shared)
    clean = F.interpolate(coarse, size=32, mode="bilinear")
    return TensorDataset(clean[kinds] + torch.randn(count, 3, 32, 32, generator=own), kinds)


class Pictures(lightning.LightningDataModule):
    """What is trained on, and what is held out; CIFAR-10 is got once a node."""

    def __init__(self, source: str, batch: int) -> None:
        super().__init__()
        self.source, self.batch = source, batch

    def prepare_data(self) -> None:
        """Lightning has the first process of each node do this, while its others wait."""
        if self.source == "cifar10":
            cifar10(download=True)

    def setup(self, stage: str) -> None:
        """Each process does this."""
        self.parts = cifar10() if self.source == "cifar10" else (patterns(1920, 1), patterns(512, 2))

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Lightning gives each process its share, in an order that each epoch has anew."""
        return self._loader(self.parts[0], shuffle=True)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Lightning gives each process its share."""
        return self._loader(self.parts[1], shuffle=False)

    def _loader(self, part: Any, *, shuffle: bool) -> DataLoader[tuple[Tensor, Tensor]]:
        workers = 4 if self.source == "cifar10" else 0
        return DataLoader(part, self.batch, shuffle=shuffle, num_workers=workers, persistent_workers=workers > 0)


def cifar10(*, download: bool = False) -> tuple[Any, Any]:
    """The pictures to train on, changed a little each time, and those held out."""
    from torchvision import datasets, transforms

    steps = [transforms.ToTensor(), transforms.Normalize([0.49, 0.48, 0.45], [0.25, 0.24, 0.26])]
    changed = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), *steps]
    folder = Path.home() / "cifar10"
    return (
        datasets.CIFAR10(folder, train=True, download=download, transform=transforms.Compose(changed)),
        datasets.CIFAR10(folder, train=False, download=download, transform=transforms.Compose(steps)),
    )


def main() -> None:
    """Train and validate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=["patterns", "cifar10"], default="patterns")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-3)
    given = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)  # advice on workers, for data that is in memory
    lightning.seed_everything(1, verbose=False)
    size, here = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    trainer = lightning.Trainer(
        accelerator="auto",
        devices=here,
        num_nodes=size // here,
        strategy="ddp" if size > 1 else "auto",
        max_epochs=given.epochs,
        precision="bf16-mixed" if torch.cuda.is_available() else "32-true",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(Net(given.rate), Pictures(given.data, given.batch))


if __name__ == "__main__":
    main()
