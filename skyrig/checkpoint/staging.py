"""The copy to host memory, which is all that training waits for."""

from __future__ import annotations

from typing import Any

import torch
from torch.distributed.checkpoint.staging import BlockingAsyncStager


class Staging:
    """Copies of tensors on the CPU, in memory that is kept from one save to the next: pinned where there is a GPU."""

    def __init__(self) -> None:
        self._stager: Any = None
        self._known: object = None

    def copy(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The tensors as they are now. What an earlier call returned must not be in use any more."""
        shapes = {key: (tuple(each.shape), each.dtype, str(each.device)) for key, each in tensors.items()}
        if self._known == shapes:
            return dict(self._stager.stage(tensors))
        self._stager = None  # its memory first
        pinned = torch.cuda.is_available() and any(tensor.is_cuda for tensor in tensors.values())
        self._stager = BlockingAsyncStager(cache_staged_state_dict=pinned)
        copied = self._stager.stage(tensors)
        for key, tensor in tensors.items():
            if _memory(copied[key]) == _memory(tensor) != 0:  # an older torch may take what is on the CPU for a copy
                copied[key] = tensor.clone()
        if not pinned:  # torch keeps pinned memory alone by itself
            self._stager.state_dict_cache = copied
            self._stager.cache_staged_state_dict = True
        self._known = shapes
        return dict(copied)


def _memory(tensor: Any) -> int:
    """Where this rank's part of a tensor begins; 0 if it has none."""
    local = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return int(local.data_ptr()) if isinstance(local, torch.Tensor) else 0
