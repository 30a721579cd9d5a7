"""How long training stands still for a save: torch's own ways beside `CheckpointManager`, to a folder on local disk."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from time import monotonic
from typing import TYPE_CHECKING

from bench.figures import Figures, Say

if TYPE_CHECKING:
    import torch

    from skyrig.checkpoint import CheckpointManager

OURS = "skyrig, training stands still"
_TENSORS = 16
_MEGABYTE = 1_000_000


def measure(megabytes: int, rounds: int, say: Say) -> list[Figures]:
    """Saves and loads of a state of so many megabytes, each contestant once a round. Nothing without torch."""
    if importlib.util.find_spec("torch") is None:
        say("torch is not installed: left out")
        return []
    import torch

    from skyrig.checkpoint import CheckpointManager

    each = megabytes * _MEGABYTE // _TENSORS // 4
    state = {f"w{number}": torch.rand(each) for number in range(_TENSORS)}
    saves = Figures(f"a save of {megabytes} MB", OURS)
    loads = Figures(f"a load of {megabytes} MB", "torch.load")
    with tempfile.TemporaryDirectory(prefix="bench-checkpoint") as scratch:
        folder = Path(scratch)
        manager = CheckpointManager(folder / "ours", {"weights": state}, keep=1)
        manager.save(0, wait=True)  # makes room in memory, once
        for number in range(1, rounds + 1):
            _save(state, folder, saves)
            _save_ours(manager, number, state, saves)
            _load(state, folder, loads)
            _written_back()
        manager.close()
    return [saves, loads]


def _save(state: Mapping[str, torch.Tensor], folder: Path, figures: Figures) -> None:
    """What torch has: to a file, to a file that is really on the disk, and distributed.checkpoint, both its ways."""
    import torch
    from torch.distributed import checkpoint as dcp

    with figures.timed("a copy in memory"):
        copied = {key: tensor.clone() for key, tensor in state.items()}
    del copied
    with figures.timed("torch.save"):
        torch.save(state, folder / "state.pt")
    _written_back()
    with figures.timed("torch.save and fsync"):
        torch.save(state, folder / "state.pt")
        _on_disk(folder / "state.pt")
    with figures.timed("torch.distributed.checkpoint.save"):
        dcp.save(dict(state), checkpoint_id=folder / "dcp")
    shutil.rmtree(folder / "dcp")
    _written_back()
    with figures.timed("its async_save, training stands still"):
        running = dcp.async_save(dict(state), checkpoint_id=folder / "dcp")
    running.result()
    shutil.rmtree(folder / "dcp")
    _written_back()


def _save_ours(manager: CheckpointManager, number: int, state: Mapping[str, torch.Tensor], figures: Figures) -> None:
    """One save; how long a training step takes beside it goes into the notes."""
    alone = median(_step(state) for _ in range(20))
    with figures.timed(OURS):
        manager.save(number)
    beside = [_step(state)]
    while manager.safe != number:
        beside.append(_step(state))
    manager.wait()
    figures.add("skyrig, until it is safe", manager.took_s)
    note = f"round {number}: a step beside the save takes {median(beside) / alone:.2f} times its time alone"
    figures.notes.append(note)


def _step(state: Mapping[str, torch.Tensor]) -> float:
    """Seconds of a step of a training that multiplies matrices on one core."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    matrix = next(iter(state.values()))[: 512 * 512].reshape(512, 512)
    started = monotonic()
    for _ in range(4):
        matrix @ matrix
    taken = monotonic() - started
    torch.set_num_threads(threads)
    return taken


def _load(state: dict[str, torch.Tensor], folder: Path, figures: Figures) -> None:
    """Both read all bytes; ours hashes them first, and reads them again where that is a disk of this machine."""
    import torch

    from skyrig.checkpoint import CheckpointManager

    with figures.timed("torch.load"):
        for key, tensor in torch.load(folder / "state.pt", weights_only=True).items():
            state[key].copy_(tensor)
    with figures.timed("skyrig, checked"):
        CheckpointManager(folder / "ours", {"weights": state}, readonly=True).restore()


def _on_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _written_back() -> None:
    """Nobody pays for what somebody before it wrote."""
    os.sync()
