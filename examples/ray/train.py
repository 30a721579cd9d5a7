"""Ray Train: a network learns a curve, data parallel, one worker a GPU (or as many as WORKERS says on CPUs)."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import ray
import ray.train
import torch
from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer, prepare_model
from ray.util.queue import Queue
from torch import nn
from torch.nn import functional as F

BATCH = 64


def alive(wanted: int, patience_s: float = 120) -> None:
    """Return when the Ray cluster has as many nodes as are `wanted`."""
    deadline = time.monotonic() + patience_s
    while (count := sum(node["Alive"] for node in ray.nodes())) < wanted:
        if time.monotonic() > deadline:
            raise SystemExit(f"{count} of {wanted} nodes have joined")
        time.sleep(0.1)


def worker(given: dict[str, Any]) -> None:
    """What each worker does: its share of the rows, with gradients that are averaged over all."""
    context = ray.train.get_context()
    rank, size = context.get_world_rank(), context.get_world_size()
    given["said"].put(f"worker {rank} of {size} is on node {context.get_node_rank()}")
    device = ray.train.torch.get_device()
    own = torch.Generator().manual_seed(rank)
    x = 4 * torch.rand(given["rows"] // size, 1, generator=own) - 2
    y = torch.sin(3 * x)
    torch.manual_seed(0)
    model = prepare_model(nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for epoch in range(1, given["epochs"] + 1):
        total = torch.zeros((), device=device)
        order = torch.randperm(len(x), generator=own).split(BATCH)
        for rows in order:
            loss = F.mse_loss(model(x[rows].to(device)), y[rows].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        mean = total.item() / len(order)
        ray.train.report({"epoch": epoch, "loss": mean})
        if rank == 0:
            given["said"].put(f"epoch {epoch} loss {mean:.4f}")
    assert mean < 0.1, "nothing was learnt"


def show(said: Queue) -> None:
    """Print what workers say, wherever they are, until there is an empty line. (What Ray would bring from them has its
    own messages in between.)"""
    while line := said.get():
        print(line, flush=True)


def main() -> None:
    """Train; it fails where a worker does."""
    ray.init(log_to_driver=False)
    alive(int(os.environ.get("SKYPILOT_NUM_NODES", "1")))
    gpus = int(ray.cluster_resources().get("GPU", 0))
    workers, said = int(os.environ.get("WORKERS", "1")), Queue(actor_options={"num_cpus": 0})
    if 0 < gpus < workers:
        raise SystemExit(f"{workers} workers want a GPU each, and the nodes have {gpus}")
    shown = threading.Thread(target=show, args=[said])
    shown.start()
    try:
        TorchTrainer(
            worker,
            train_loop_config={"rows": int(os.environ["ROWS"]), "epochs": int(os.environ["EPOCHS"]), "said": said},
            scaling_config=ScalingConfig(
                num_workers=workers,
                use_gpu=gpus > 0,
                placement_strategy="SPREAD",
            ),
        ).fit()
    finally:
        said.put("")
        shown.join()
    print(f"learnt by {workers} workers", flush=True)
    ray.shutdown()


if __name__ == "__main__":
    main()
