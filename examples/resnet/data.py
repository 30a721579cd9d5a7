"""Pictures with the number of their class: stripes that are drawn, or a folder of images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

Batch = tuple[Tensor, Tensor]


class Stripes(Dataset[tuple[Tensor, int]]):
    """`count` noisy pictures of 3 x size x size; the class is the direction of the stripes. The same number gives the
    same picture."""

    def __init__(self, count: int, size: int, classes: int, seed: int) -> None:
        self.count, self.size, self.classes, self.seed = count, size, classes, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        random = torch.Generator().manual_seed(self.seed + number)
        phase, colours = torch.rand(1, generator=random), torch.rand(3, 1, 1, generator=random)
        kind = number % self.classes
        turn, at = math.pi * kind / self.classes, torch.arange(self.size) / self.size
        waves = 4 * (math.cos(turn) * at[:, None] + math.sin(turn) * at[None, :]) + phase
        noise = 0.3 * torch.randn(3, self.size, self.size, generator=random)
        return (0.5 + colours) * torch.sin(2 * math.pi * waves) + noise, kind


def pictures(source: str, part: str, size: int, classes: int) -> Dataset[tuple[Tensor, int]]:
    """`part` train or val of the source: `stripes`, or a folder of images."""
    if source == "stripes":
        count, seed = {"train": (100_000, 0), "val": (512, 10**6)}[part]
        return Stripes(count, size, classes, seed)
    from torchvision import datasets, transforms

    cuts = {
        "train": [transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip()],
        "val": [transforms.Resize(size * 8 // 7), transforms.CenterCrop(size)],
    }
    steps = [*cuts[part], transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.25] * 3)]
    return datasets.ImageFolder(Path(source) / part, transforms.Compose(steps))


def share(of: Dataset[tuple[Tensor, int]], rank: int, size: int, batch: int, *, workers: int) -> DataLoader[Batch]:
    """This process's share, in batches and in an order that each epoch has anew."""
    sampler = DistributedSampler(of, num_replicas=size, rank=rank, drop_last=True)
    return DataLoader(of, batch_size=batch, sampler=sampler, num_workers=workers, pin_memory=torch.cuda.is_available())


def endless(loader: DataLoader[Batch], start: int) -> Iterator[Batch]:
    """Batches without end, from step `start` on."""
    epoch, skip = divmod(start, len(loader))
    while True:
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        for number, batch in enumerate(loader):
            if number >= skip:
                yield batch
        epoch, skip = epoch + 1, 0
