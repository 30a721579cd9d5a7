"""The processes that train together. Without a launcher's variables there is one: this one."""

import ctypes
import datetime
import os

import torch
from torch import Tensor
from torch import distributed as dist

_PATIENCE = datetime.timedelta(minutes=5)


def rank() -> int:
    """Number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def size() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def device() -> torch.device:
    """This process's GPU where there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def join() -> None:
    """Meet the other processes: NCCL between GPUs, gloo between CPUs."""
    if device().type == "cuda":
        torch.cuda.set_device(device())
    if size() > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device().type == "cuda" else "gloo", timeout=_PATIENCE)


def leave() -> None:
    """Wait for the others, then part."""
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def mean(value: Tensor) -> float:
    """Mean of a number over all processes; all of them must call it."""
    value = value.detach().clone()
    if size() > 1:
        dist.all_reduce(value)
    return float(value) / size()


def from_rank_0(data: bytes) -> bytes:
    """The bytes that rank 0 has; all processes must call it."""
    if size() == 1:
        return data
    length = torch.tensor([len(data)], device=device())
    dist.broadcast(length, src=0)
    if not int(length):
        return b""
    payload = torch.empty(int(length), dtype=torch.uint8, device=device())
    if rank() == 0:
        payload.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
    dist.broadcast(payload, src=0)
    payload = payload.cpu()
    return ctypes.string_at(payload.data_ptr(), len(payload))
