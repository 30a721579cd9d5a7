"""Bus bandwidth of a collective operation, as nccl-tests defines it. Ends with 1 where a sum was wrong or too slow."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

import torch
from torch import distributed as dist

MIB = 1 << 20
ROUNDS = 5


def measured(operation: str, size: int, device: torch.device) -> tuple[float, bool]:
    """Seconds that one operation takes on `size` bytes (all_gather: in all), and whether its outcome was right. The
    slowest process counts."""
    rank, world = dist.get_rank(), dist.get_world_size()
    total = torch.empty(max(size // 4 // world, 1) * world, device=device)
    own = torch.zeros(len(total) // world, device=device)

    def once() -> None:
        if operation == "all_reduce":
            dist.all_reduce(total)
        else:
            dist.all_gather_into_tensor(total, own)

    total.zero_()
    once()  # connections are made by the first one
    seconds = torch.tensor([timed(once, device) for _ in range(ROUNDS)], device=device).min()
    dist.all_reduce(seconds, dist.ReduceOp.MAX)
    total.fill_(rank + 1)
    own.fill_(rank + 1)
    once()
    if operation == "all_reduce":
        right = bool((total == world * (world + 1) / 2).all())
    else:
        right = bool((total.view(world, -1) == torch.arange(1, world + 1, device=device)[:, None]).all())
    wrong = torch.tensor([float(not right)], device=device)
    dist.all_reduce(wrong)
    return seconds.item(), not wrong.item()


def timed(once: Callable[[], None], device: torch.device) -> float:
    """Seconds of one call, from the moment when all processes are there."""
    dist.barrier()
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    once()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main() -> int:
    """Measure sizes up to the largest one; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operation", choices=["all_reduce", "all_gather"], default="all_reduce")
    parser.add_argument("--most-mib", type=int, default=16)
    parser.add_argument("--expect", type=float, default=0, help="GB/s")
    given = parser.parse_args()
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if gpu else "gloo")
    world, first = dist.get_world_size(), dist.get_rank() == 0
    if first:
        print(f"{world} processes by {dist.get_backend()}", flush=True)
    sizes = sorted({1, *(size for size in (16, 128, 512, 2048) if size < given.most_mib), given.most_mib})
    factor = (2 if given.operation == "all_reduce" else 1) * (world - 1) / world
    busbw, all_right = 0.0, True
    for size in sizes:
        seconds, right = measured(given.operation, size * MIB, device)
        busbw, all_right = factor * size * MIB / seconds / 1e9, all_right and right
        if first:
            print(f"{given.operation} {size:6} MiB {1e3 * seconds:8.1f} ms  busbw {busbw:7.2f} GB/s", flush=True)
    if first:
        print("every sum was right" if all_right else "A SUM WAS WRONG", flush=True)
        if busbw < given.expect:
            print(f"busbw {busbw:.2f} GB/s is below the {given.expect:g} that are expected", flush=True)
    dist.destroy_process_group()
    return int(not all_right or busbw < given.expect)


if __name__ == "__main__":
    sys.exit(main())
