"""Checkpoints: one file, replaced in one step, so that a run that is killed at any moment leaves a whole one."""

import io
import os
from pathlib import Path
from typing import Any

import torch
import world

NAME = "checkpoint.pt"
MODEL = "model.pt"


def save(state: dict[str, Any], path: Path) -> None:
    """Write `state` to `path`: beside it first, then into its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    torch.save(state, beside)
    beside.replace(path)


def load(path: Path) -> dict[str, Any] | None:
    """What rank 0 finds at `path`, given to all ranks (nodes have disks of their own); None if there is nothing."""
    found = path.read_bytes() if world.rank() == 0 and path.exists() else b""
    data = world.from_rank_0(found)
    if not data:
        return None
    state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state
