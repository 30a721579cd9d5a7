"""Learns a linear rule by gradients that Ray computes on all nodes: one actor a node, each with a share of the data.

Run on rank 0 with RAY_ADDRESS set (`--strategy ray` does that), or alone, where Ray then starts on this machine.
"""

from __future__ import annotations

import argparse
import os
import socket
import time

import numpy as np
import ray

FEATURES = 16


@ray.remote(num_cpus=0.5)
class Worker:
    """Holds one share of the data; the rule behind it is the same for all."""

    def __init__(self, number: int, rows: int) -> None:
        made = np.random.default_rng(number)
        self.x = made.normal(size=(rows, FEATURES))
        self.y = self.x @ np.arange(FEATURES) + made.normal(scale=0.1, size=rows)

    def gradient(self, weights: np.ndarray) -> tuple[np.ndarray, float]:
        """Gradient and mean squared error of this share."""
        error = self.x @ weights - self.y
        return 2 * self.x.T @ error / len(error), float(np.mean(error**2))

    def where(self) -> str:
        """The node, and the rank of the job that lends it."""
        return f"rank {os.environ.get('SKYRIG_NODE_RANK', '-')} on {socket.gethostname()}"


def alive(wanted: int, patience_s: float = 60) -> list[str]:
    """Ids of the cluster's nodes, once it has as many as are `wanted`."""
    deadline = time.monotonic() + patience_s
    while len(found := [node["NodeID"] for node in ray.nodes() if node["Alive"]]) < wanted:
        assert time.monotonic() < deadline, f"{len(found)} of {wanted} nodes have joined"
        time.sleep(0.1)
    return found


def main() -> None:
    """Train, and fail where nothing was learnt."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rows", type=int, default=4096, help="of each worker's data")
    given = parser.parse_args()
    ray.init(log_to_driver=False)
    nodes = alive(int(os.environ.get("SKYPILOT_NUM_NODES", "1")))
    place = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    workers = [
        Worker.options(scheduling_strategy=place(node, soft=False)).remote(number, given.rows)
        for number, node in enumerate(nodes)
    ]
    for text in ray.get([worker.where.remote() for worker in workers]):
        print("a worker is at", text, flush=True)
    weights, loss = np.zeros(FEATURES), 0.0
    for step in range(1, given.steps + 1):
        shares = ray.get([worker.gradient.remote(weights) for worker in workers])
        weights -= 0.1 * np.mean([gradient for gradient, _ in shares], axis=0)
        loss = float(np.mean([error for _, error in shares]))
        if step % 20 == 0:
            print(f"step {step}/{given.steps} loss {loss:.4f}", flush=True)
    assert loss < 1, "nothing was learnt"
    ray.shutdown()


if __name__ == "__main__":
    main()
