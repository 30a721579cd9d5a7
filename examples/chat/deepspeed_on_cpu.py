"""DeepSpeed under Trainer without GPUs, for a trial alone: what DeepSpeed and Accelerate do otherwise there."""

import os
from typing import Any

import deepspeed
from torch import distributed as dist


def before_arguments() -> None:
    """DeepSpeed compiles an operation for reductions inside one machine at first use; gloo does without."""
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def after_arguments(state: Any) -> None:
    """Accelerate joins the ranks, and then takes this one for alone: tell its `state` of them."""
    state.backend = "gloo"
    state.num_processes, state.process_index = dist.get_world_size(), dist.get_rank()
    state.local_process_index = int(os.environ["LOCAL_RANK"])
