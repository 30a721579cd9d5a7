"""One task for each of several things that are asked again and again, for as long as they are wanted and the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Generic, TypeVar

K = TypeVar("K")
A = TypeVar("A")


class Asking(Generic[K, A]):
    """`ask_on` asks one thing without end: it is given its name and what to ask there. `forget` is told each name that
    is asked no more in that way."""

    def __init__(
        self, ask_on: Callable[[K, A], Coroutine[Any, Any, None]], forget: Callable[[K], object] = lambda name: None
    ) -> None:
        self._ask_on = ask_on
        self._forget = forget
        self._tasks: dict[K, tuple[A, asyncio.Task[None]]] = {}

    def mind(self, aims: Mapping[K, A]) -> None:
        """From now on ask these, and no others; one whose aim is another now begins anew."""
        for name, (aim, task) in list(self._tasks.items()):
            if aims.get(name) != aim:
                task.cancel()
                del self._tasks[name]
                self._forget(name)
        for name in aims.keys() - self._tasks.keys():
            self._tasks[name] = aims[name], asyncio.create_task(self._ask_on(name, aims[name]))
