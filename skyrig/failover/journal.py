"""What a stack's attempts have come to, written down before and after each step: a client that is killed between two of
them, or in the middle of one, is followed by another that knows what to remove. And whose turn it is to try."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import cattrs
from attrs import evolve, field, frozen

from skyrig import places
from skyrig.cluster import shape as shapes
from skyrig.cluster.shape import Shape
from skyrig.failover.attempts import REFUSED, REMOVED, TRYING, Attempt
from skyrig.failover.memory import replace
from skyrig.stack import backend, lock

_CONVERTER = cattrs.Converter()
_CONVERTER.register_unstructure_hook(Shape, lambda shape: shape.to_config())
_CONVERTER.register_structure_hook(Shape, lambda said, _: shapes.from_config(said))


@frozen
class Journal:
    """The attempts on a stack, oldest first; `before` is what its config asked for when they began. `by` is the process
    that writes it. `restored` says that nothing of them is left, and the config is as before."""

    before: Shape
    by: int = field(factory=os.getpid)
    attempts: tuple[Attempt, ...] = ()
    restored: bool = False

    @property
    def cut_off(self) -> Attempt | None:
        """The attempt that has not come to its end, or whose remains may still be there."""
        last = self.attempts[-1] if self.attempts else None
        done = self.restored or last is None or last.outcome not in (TRYING, REFUSED)
        return None if done else last

    @property
    def refused(self) -> tuple[Attempt, ...]:
        """Attempts that a cloud has refused."""
        return tuple(each for each in self.attempts if each.outcome in (REFUSED, REMOVED))

    def began(self, attempt: Attempt) -> Journal:
        """The journal with one more attempt."""
        return evolve(self, attempts=(*self.attempts, attempt), restored=False)

    def became(self, attempt: Attempt) -> Journal:
        """The journal with another state of its last attempt."""
        return evolve(self, attempts=(*self.attempts[:-1], attempt))


def read(stack: str) -> Journal | None:
    """The journal of a stack; None where there is none, or it makes no sense (any more)."""
    try:
        return _CONVERTER.structure(json.loads(_file(stack).read_bytes()), Journal)
    except (OSError, ValueError, KeyError, TypeError, cattrs.BaseValidationError):
        return None


def write(stack: str, journal: Journal) -> None:
    """Write a stack's journal, onto the disk before this returns."""
    replace(_file(stack), _CONVERTER.unstructure(journal))


def clear(stack: str) -> None:
    """Forget a stack's attempts."""
    _file(stack).unlink(missing_ok=True)


def is_mine(stack: str) -> bool:
    """Whether the attempts on a stack are still this process's: a `down` of somebody else ends them."""
    found = read(stack)
    return found is not None and found.by == os.getpid()


def said(stack: str) -> str:
    """What goes on with a stack that has no cluster, or was cut off there; "" where that is nothing."""
    found = read(stack)
    held = lock.is_locked(_lock(stack))
    if found is None or (not held and (found.restored or _is_empty(stack))):
        return ""
    if found.restored or not found.attempts:
        return f"no capacity: the next round of attempts is waited for (process {found.by})"
    last, number = found.attempts[-1], len(found.attempts)
    if held:
        return f"attempt {number}, {last.place}: {last.said} (process {found.by})"
    left = f"attempt {number}, {last.place}, was cut off" if found.cut_off else f"{last.place}: {last.said}"
    return f"{left}; the same command again goes on, `down -c {stack}` removes what is there"


@contextlib.contextmanager
def turn(stack: str, notify: lock.Notify) -> Iterator[bool]:
    """Only one process tries to bring a stack up; tells whether another one had to be waited for. The turn ends with
    its process."""
    places.made(places.stack(stack))
    descriptor = os.open(_lock(stack), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    waited = False

    def holder() -> str | None:
        nonlocal waited
        if lock.taken(descriptor):
            return None
        waited = True
        found = read(stack)
        return "another run" + (f" (process {found.by})" if found is not None else "")

    try:
        lock.Waiting(stack, notify, lock.WAIT_S).until_free(holder)
        yield waited
    finally:
        os.close(descriptor)


def _is_empty(stack: str) -> bool:
    """Whether it is known without the engine that a stack has nothing: somebody destroyed what was half-made."""
    return backend.folder() is not None and not backend.has_anything(stack)


def _lock(stack: str) -> Path:
    return places.stack(stack) / "attempts.lock"


def _file(stack: str) -> Path:
    return places.stack(stack) / "attempts.json"
