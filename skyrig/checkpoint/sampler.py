"""A sampler that knows how far the run has come in its epoch, whatever the world size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import distributed as dist
from torch.utils.data import Sampler

from skyrig.errors import BadInput


class ResumableSampler(Sampler):  # type: ignore[misc]
    """Indices of `length` samples, each rank its share: what DistributedSampler gives, but it goes on in the middle.

    The program says with `advance` what it has trained on; what a loader's workers fetched ahead does not count. Save
    it as part of the run's `state`. An epoch that was begun by 4 ranks goes on with 2 from the same sample. The last
    samples of an epoch that do not go round all ranks are left out.
    """

    def __init__(self, length: int, *, seed: int = 0, shuffle: bool = True) -> None:
        many = dist.is_available() and dist.is_initialized()
        self._rank = dist.get_rank() if many else 0
        self._ranks = dist.get_world_size() if many else 1
        self._length = length
        self._seed = seed
        self._shuffle = shuffle
        self._epoch = 0
        self._done = 0

    @property
    def epoch(self) -> int:
        """The epoch that `iter` goes through."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch; the one that was restored goes on where it was."""
        if epoch != self._epoch:
            self._epoch, self._done = epoch, 0

    def advance(self, samples: int) -> None:
        """The run has trained on `samples` more on each rank."""
        self._done += samples * self._ranks

    def __len__(self) -> int:
        """Samples that are left for this rank in this epoch."""
        return max(0, self._length - self._done) // self._ranks

    def __iter__(self) -> Iterator[int]:
        """This rank's share of what is left of the epoch."""
        if self._shuffle:
            order = torch.randperm(self._length, generator=torch.Generator().manual_seed(self._seed + self._epoch))
            indices = order.tolist()
        else:
            indices = list(range(self._length))
        return iter(indices[self._done + self._rank :: self._ranks][: len(self)])

    def state_dict(self) -> dict[str, Any]:
        """Where the run stands, the same on all ranks."""
        return {"epoch": self._epoch, "done": self._done, "length": self._length, "seed": self._seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there. BadInput if the data or the seed are others."""
        if (state["length"], state["seed"]) != (self._length, self._seed):
            raise BadInput(
                f"the checkpoint was saved amid {state['length']} samples in the order of seed {state['seed']}, these "
                f"are {self._length} of seed {self._seed}"
            )
        self._epoch, self._done = state["epoch"], state["done"]
