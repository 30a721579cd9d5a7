"""The processes that save together. Without torch.distributed there is one: this one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import distributed as dist

from skyrig.errors import SkyrigError

T = TypeVar("T")


def portable(error: Exception) -> Exception:
    """An error that every rank can be sent: an SDK's own may not be such."""
    return error if isinstance(error, (SkyrigError, OSError)) else SkyrigError(f"{type(error).__name__}: {error}")


class Ranks:
    """All ranks, and two process groups between their CPUs that training does not use: one for what the program waits
    for, `background` for a save behind it. All ranks must make one, and call its methods, in the same order."""

    def __init__(self) -> None:
        self.many = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if self.many else 0
        self.size = dist.get_world_size() if self.many else 1
        self.group: Any = dist.new_group(backend="gloo") if self.many else None
        self.background: Any = dist.new_group(backend="gloo") if self.many else None
        self._vote: tuple[Any, Any] | None = None

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which looks at the store for all."""
        return self.rank == 0

    def from_first(self, make: Callable[[], T]) -> T:
        """What `make` returns on rank 0, on all ranks; what it raises there, too."""
        if not self.many:
            return make()
        answer: list[Any] = [None, None]
        if self.first:
            try:
                answer[0] = make()
            except Exception as error:  # noqa: BLE001  (the others must hear of it, whatever it is; raised below)
                answer[1] = portable(error)
        dist.broadcast_object_list(answer, src=0, group=self.group)
        if answer[1] is not None:
            raise answer[1]
        made: T = answer[0]
        return made

    def gather(self, value: T) -> list[T]:
        """The values of all ranks, on all ranks."""
        if not self.many:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value, group=self.group)
        return found

    def any_before(self, *mine: bool) -> tuple[bool, ...]:
        """Of each of these, whether any rank said so at the call before this one. Nobody waits: the answers came in
        meanwhile, and all ranks get the same ones. Alone, the answers are of this call."""
        if not self.many:
            return mine
        before = self._vote
        vote = torch.tensor([int(each) for each in mine])
        self._vote = (dist.all_reduce(vote, op=dist.ReduceOp.MAX, group=self.group, async_op=True), vote)
        if before is None:
            return tuple(False for _ in mine)
        before[0].wait()
        return tuple(bool(each) for each in before[1].tolist())

    def settle(self) -> None:
        """Wait for the vote that is under way, so that nothing is left in the groups."""
        if self._vote is not None:
            self._vote[0].wait()
            self._vote = None
