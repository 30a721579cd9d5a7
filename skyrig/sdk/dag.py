"""Several tasks as one: `sky.Dag`."""

from __future__ import annotations

from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING

from skyrig.errors import BadInput, NotYet

if TYPE_CHECKING:
    from typing_extensions import Self

    from skyrig.sdk.task import Task

_OPEN: ContextVar[tuple[Dag, ...]] = ContextVar("_OPEN", default=())


class Dag:
    """Tasks, and which run after which. In its `with` block every new task joins it; `a >> b` runs b after a."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self.tasks: list[Task] = []
        self._edges: list[tuple[Task, Task]] = []

    def add(self, task: Task) -> None:
        """Have `task` in it; once is enough."""
        if task not in self.tasks:
            self.tasks.append(task)

    def remove(self, task: Task) -> None:
        """Have `task` in it no more. BadInput where it is not."""
        if task not in self.tasks:
            raise BadInput(f"{task!r} is not in this Dag")
        self.tasks.remove(task)
        self._edges = [edge for edge in self._edges if task not in edge]

    def add_edge(self, before: Task, after: Task) -> None:
        """Run `after` when `before` has ended. BadInput where one is not in it, or where it would never begin."""
        for task in (before, after):
            if task not in self.tasks:
                raise BadInput(f"{task!r} is not in this Dag")
        if before is after or before in self._following(after):
            raise BadInput(f"{after!r} cannot run after {before!r}: that one runs after it")
        self._edges.append((before, after))

    def is_chain(self) -> bool:
        """Whether its tasks run one after another."""
        befores, afters = [edge[0] for edge in self._edges], [edge[1] for edge in self._edges]
        once = all(befores.count(task) <= 1 and afters.count(task) <= 1 for task in self.tasks)
        return once and len(self._edges) == max(len(self.tasks) - 1, 0)

    def in_order(self) -> list[Task]:
        """Its tasks as they run one after another. BadInput for an empty one; NotYet for one whose tasks do not."""
        if not self.tasks:
            raise BadInput("the Dag holds no task")
        if not self.is_chain():
            raise NotYet(
                f"Dag({self.name!r}): its tasks run side by side: not yet in this version of Skyrig",
                hint="put them in order: a >> b",
            )
        return sorted(self.tasks, key=lambda task: len(self._following(task)), reverse=True)

    def _following(self, task: Task) -> list[Task]:
        """All tasks that run after `task`."""
        found: list[Task] = []
        waiting = [task]
        while waiting:
            here = waiting.pop()
            for before, after in self._edges:
                if before is here and after not in found:
                    found.append(after)
                    waiting.append(after)
        return found

    def __len__(self) -> int:
        return len(self.tasks)

    def __enter__(self) -> Self:
        _OPEN.set((*_OPEN.get(), self))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _OPEN.set(_OPEN.get()[:-1])

    def __repr__(self) -> str:
        return f"Dag({self.name!r}, {self.tasks!r})"


def current() -> Dag | None:
    """The Dag whose `with` block this is."""
    return _OPEN.get()[-1] if _OPEN.get() else None
