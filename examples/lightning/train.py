"""Trains a small network of convolutions with Lightning's DDP, under torchrun."""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path

import pytorch_lightning as lightning
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

CLASSES = 10


class Net(lightning.LightningModule):
    """Pictures of 3 x 32 x 32 to one of ten classes."""

    def __init__(self, rate: float, steps: int) -> None:
        super().__init__()
        self.rate, self.steps = rate, steps
        layers: list[nn.Module] = []
        for inside, outside in ((3, 32), (32, 64), (64, 128)):
            layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.BatchNorm2d(outside), nn.ReLU(), nn.MaxPool2d(2)]
        self.net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, CLASSES))

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
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.rate, total_steps=self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


def patterns(count: int, seed: int) -> TensorDataset:
    """`count` pictures in ten classes, each class with a pattern of its own."""
    shared, own = torch.Generator().manual_seed(0), torch.Generator().manual_seed(seed)
    kinds = torch.arange(count) % CLASSES
    coarse = torch.randn(CLASSES, 3, 8, 8, generator=shared)
    clean = F.interpolate(coarse, size=32, mode="bilinear")
    return TensorDataset(clean[kinds] + torch.randn(count, 3, 32, 32, generator=own), kinds)


def data(source: str) -> tuple[Dataset[tuple[Tensor, int]], Dataset[tuple[Tensor, int]]]:
    """What is trained on, and what is held out."""
    if source == "patterns":
        return patterns(1920, 1), patterns(512, 2)  # type: ignore[return-value]
    from torchvision import datasets, transforms

    folder = (
        Path.home() / "cifar10" / os.environ["LOCAL_RANK"]
    )  # a folder each: all of a node would write the same file
    steps = [transforms.ToTensor(), transforms.Normalize([0.49, 0.48, 0.45], [0.25, 0.24, 0.26])]
    turned = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), *steps]
    return (
        datasets.CIFAR10(folder, train=True, download=True, transform=transforms.Compose(turned)),
        datasets.CIFAR10(folder, train=False, download=True, transform=transforms.Compose(steps)),
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
    training, held_out = data(given.data)
    workers = 4 if given.data == "cifar10" else 0
    steps = given.epochs * -(-len(training) // (given.batch * size))  # type: ignore[arg-type]
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
    if trainer.is_global_zero:
        print(f"{size} processes on {size // here} nodes, {steps} steps", flush=True)
    loaders = [
        DataLoader(part, given.batch, shuffle=shuffled, num_workers=workers, persistent_workers=workers > 0)
        for part, shuffled in ((training, True), (held_out, False))
    ]
    trainer.fit(Net(given.rate, steps), *loaders)


if __name__ == "__main__":
    main()
