"""Trains a small GPT on the sources of Python's standard library.

Runs under torchrun, Accelerate, DeepSpeed's launcher (with --deepspeed) or alone, unchanged: it reads RANK,
WORLD_SIZE and the like. It stops and goes on: a checkpoint in --out is picked up where it ended.
"""

import argparse
import os
import sys
from pathlib import Path


def arguments() -> argparse.Namespace:
    """The command line; every default fits two CPU cores for about a minute."""
    run = os.environ.get("SKYRIG_TASK_ID") or "local"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400, help="steps in total, those before a resume included")
    parser.add_argument("--batch", type=int, default=4, help="windows a step and process")
    parser.add_argument("--lr", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--text", type=int, default=3_000_000, help="characters of text at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--out", type=Path, default=Path.home() / "runs" / f"mingpt-{run}", help="folder of checkpoints"
    )
    parser.add_argument("--save-every", type=int, default=100, metavar="STEPS")
    parser.add_argument("--log-every", type=int, default=20, metavar="STEPS")
    parser.add_argument("--fresh", action="store_true", help="start anew though there is a checkpoint")
    parser.add_argument("--deepspeed", type=Path, metavar="CONFIG", help="train with DeepSpeed and this configuration")
    parser.add_argument("--local_rank", type=int, help=argparse.SUPPRESS)  # DeepSpeed's launcher passes it
    given = parser.parse_args()
    if min(given.steps, given.batch, given.save_every, given.log_every) < 1:
        parser.error("--steps, --batch, --save-every and --log-every are at least 1")
    return given


def main() -> None:
    """Say who this is before torch is imported: that takes seconds."""
    given = arguments()
    rank, size = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    print(f"rank {rank} of world size {size} starting, pid {os.getpid()}", flush=True)
    import loop

    sys.exit(loop.run(given))


if __name__ == "__main__":
    main()
