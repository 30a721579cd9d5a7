"""Trains a ResNet under torchrun, and says how many pictures it tells right. Goes on from the checkpoint in --out."""

from __future__ import annotations

import argparse
import math
import os
import time
from pathlib import Path

import torch
from data import endless, pictures, share
from model import DEPTHS, resnet
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=DEPTHS, default="resnet18")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--data", default="stripes")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--lr", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--save-every", type=int, default=30)
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    return parser.parse_args()


def save(file: Path, step: int, net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Keep a checkpoint; whoever reads finds the old one or this one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    torch.save({"step": step, "net": net.state_dict(), "optimizer": optimizer.state_dict()}, fresh)
    fresh.replace(file)


def load(file: Path, net: nn.Module, optimizer: torch.optim.Optimizer, rank: int) -> int:
    """The step that the run goes on from. Rank 0 reads; what the others need of the network they get by DDP."""
    found = [torch.load(file, map_location="cpu", weights_only=True) if rank == 0 and file.exists() else None]
    dist.broadcast_object_list(found, src=0)
    if found[0] is None:
        return 0
    net.load_state_dict(found[0]["net"])
    optimizer.load_state_dict(found[0]["optimizer"])
    if rank == 0:
        print(f"goes on from step {found[0]['step']}", flush=True)
    return int(found[0]["step"])


def rate(step: int, given: argparse.Namespace) -> float:
    """Learning rate of a step: a rise over the first twentieth, then half a cosine down to nothing."""
    rise = max(given.steps // 20, 1)
    done = min(max(step - rise, 0) / max(given.steps - rise, 1), 1)
    return float(given.lr * min(step / rise, 0.5 * (1 + math.cos(math.pi * done))))


@torch.inference_mode()
def accuracy(
    net: nn.Module, given: argparse.Namespace, device: torch.device, rank: int, size: int
) -> tuple[float, int]:
    """Which part of the held-out pictures is told right, and how many there are."""
    net.eval()
    counts = torch.zeros(2, device=device)
    for images, kinds in share(pictures(given.data, "val", given.size, given.classes), rank, size, 64, workers=0):
        right: Tensor = net(images.to(device)).argmax(1) == kinds.to(device)
        counts += torch.tensor([right.sum(), len(kinds)], device=device)
    dist.all_reduce(counts)
    return float(counts[0] / counts[1]), int(counts[1])


def main() -> None:
    """Train."""
    given = arguments()
    gpu = torch.cuda.is_available()
    dist.init_process_group("nccl" if gpu else "gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)  # or all processes of a node send objects by way of its first GPU
    torch.manual_seed(1)
    net = resnet(given.model, given.classes, given.width, given.size).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=given.lr, weight_decay=0.05)
    start = load(given.out / "checkpoint.pt", net, optimizer, rank)
    ddp = DistributedDataParallel(net, device_ids=[device.index] if gpu else None)
    loader = share(pictures(given.data, "train", given.size, given.classes), rank, size, given.batch, workers=8 * gpu)
    if rank == 0:
        weights = sum(each.numel() for each in net.parameters())
        print(f"{given.model} of {weights:,} weights on {size} processes", flush=True)
    began, batches = time.monotonic(), endless(loader, start)
    for step in range(start + 1, given.steps + 1):
        images, kinds = next(batches)
        with torch.autocast(device.type, torch.bfloat16, enabled=gpu):
            loss = F.cross_entropy(ddp(images.to(device)), kinds.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = rate(step, given)
        optimizer.step()
        if rank == 0 and step % max(min(given.steps // 3, 100), 1) == 0:
            speed = (step - start) * given.batch * size / (time.monotonic() - began)
            print(f"step {step}/{given.steps} loss {loss.item():.4f}, {speed:.0f} images/s", flush=True)
        if rank == 0 and (step % given.save_every == 0 or step == given.steps):
            save(given.out / "checkpoint.pt", step, net, optimizer)
    right, count = accuracy(net, given, device, rank, size)
    if rank == 0:
        chance = 100 / given.classes
        print(f"accuracy {100 * right:.1f}% of {count} pictures that it was not shown (chance is {chance:g}%)")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
