"""Run on a node in the Python of its jobs (with torch, which is imported here alone; Python 3.8): an all-reduce by
torch.distributed over all accelerators of some nodes, or one process a node on CPUs.

SKYRIG_PREFLIGHT in the environment is its JSON input: `node` and `nodes`, its number and how many there are, `procs` a
node, `address` and `port` of the first node, `size` in bytes, `gpu`, and `limit_s`. Each process prints one JSON line,
the first of all with the median of some tries.
"""

from __future__ import annotations

import json
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TRIES = 5


def work(given: dict[str, Any], local: int) -> dict[str, Any]:
    """One process's part; what it has measured."""
    import datetime

    import torch
    from torch import distributed

    if given["gpu"] and not torch.cuda.is_available():
        return {"problem": "its torch sees no accelerator"}
    world = given["nodes"] * given["procs"]
    device = torch.device("cuda", local) if given["gpu"] else torch.device("cpu")
    if given["gpu"]:
        torch.cuda.set_device(device)
    host = f"[{given['address']}]" if ":" in given["address"] else given["address"]
    distributed.init_process_group(
        "nccl" if given["gpu"] else "gloo",
        init_method=f"tcp://{host}:{given['port']}",
        rank=given["node"] * given["procs"] + local,
        world_size=world,
        timeout=datetime.timedelta(seconds=given["limit_s"]),
    )
    values = torch.ones(max(1, given["size"] // 4), device=device)
    took = sorted(_once(torch, distributed, values, given["gpu"]) for _ in range(_TRIES + 2))
    distributed.destroy_process_group()
    seconds = took[len(took) // 2]
    return {"seconds": seconds, "rate": 2 * (world - 1) / world * values.numel() * 4 / seconds}


def _once(torch: Any, distributed: Any, values: Any, gpu: bool) -> float:
    distributed.barrier()
    if gpu:
        torch.cuda.synchronize()
    began = time.monotonic()
    distributed.all_reduce(values)
    if gpu:
        torch.cuda.synchronize()
    return time.monotonic() - began


def process(given: dict[str, Any], local: int) -> int:
    """One process; its exit code."""
    try:
        found = work(given, local)
    except ImportError:
        found = {"problem": "its Python has no torch", "absent": True}
    except Exception as error:  # noqa: BLE001 (whatever torch raises is what there is to tell)
        found = {"problem": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"}
    sys.stdout.write("\n" + json.dumps({"rank": given["node"] * given["procs"] + local, **found}) + "\n")
    sys.stdout.flush()
    return 1 if "problem" in found else 0


def main() -> int:
    """All processes of this node, each forked before torch is there."""
    given = json.loads(os.environ["SKYRIG_PREFLIGHT"])
    children = []
    for local in range(given["procs"]):
        child = os.fork()
        if child == 0:
            code = process(given, local)
            os._exit(code)
        children.append(child)
    return max(os.waitpid(child, 0)[1] for child in children) and 1


if __name__ == "__main__":
    sys.exit(main())
