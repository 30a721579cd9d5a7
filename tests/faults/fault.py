"""What every fault is: something done to a running system, and always undone."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

LIMIT_S = 120.0
"""Longest life of a fault in seconds, unless it says otherwise."""


class Fault(ABC):
    """Done on entering its block, undone on leaving it, or `limit_s` seconds later, whichever comes first."""

    limit_s: float = LIMIT_S

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._done = False
        self._bound: threading.Timer | None = None

    @abstractmethod
    def _do(self) -> None:
        """Begin the fault."""

    @abstractmethod
    def _undo(self) -> None:
        """End it. What the fault acted on may be gone by then, which is no error."""

    def do(self) -> None:
        """Begin, once. Where beginning fails half-way, what was begun is undone."""
        with self._turn:
            if self._done:
                return
            self._done = True
            try:
                self._do()
            except BaseException:
                self._end()
                raise
            self._bound = threading.Timer(self.limit_s, self.undo)
            self._bound.daemon = True
            self._bound.start()

    def undo(self) -> None:
        """End, if it has begun and was not ended before."""
        with self._turn:
            if self._done:
                self._end()

    def _end(self) -> None:
        self._done = False
        if self._bound is not None:
            self._bound.cancel()
        self._undo()

    def __enter__(self) -> Self:
        self.do()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.undo()
