"""Ray Train: a network learns a curve, data parallel, one worker a GPU (or as many as WORKERS says on CPUs)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, prepare_model
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
    print(f"worker {rank} of {size} is on node {context.get_node_rank()}", flush=True)
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
            print(f"epoch {epoch} loss {mean:.4f}", flush=True)


def main() -> None:
    """Train, and fail where nothing was learnt."""
    ray.init()
    alive(int(os.environ.get("SKYPILOT_NUM_NODES", "1")))
    workers = int(os.environ.get("WORKERS", "1"))
    gpus = ray.cluster_resources().get("GPU", 0) >= workers
    trainer = TorchTrainer(
        worker,
        train_loop_config={"rows": int(os.environ["ROWS"]), "epochs": int(os.environ["EPOCHS"])},
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus, placement_strategy="SPREAD"),
        run_config=RunConfig(name="curve", storage_path=str(Path.home() / "ray_results")),
    )
    result = trainer.fit()
    assert result.metrics is not None and result.metrics["loss"] < 0.1, "nothing was learnt"
    print(f"learnt: loss {result.metrics['loss']:.4f} on {workers} workers", flush=True)
    ray.shutdown()


if __name__ == "__main__":
    main()
