"""What the controller cares for, as a value: a row of its table."""

from __future__ import annotations

from enum import Enum
from typing import Any

from attrs import field, frozen

SERVICE = "service"
"""The kind of wards that are services."""

JOB = "job"
"""The kind of wards that are managed jobs; the name of such a one is its number."""

LOOK, END = "look", "end"
"""Acts that each kind of ward has: to look at its cluster, and to end it with all that is kept of it."""


class Wish(str, Enum):
    """What the user wants of a ward: that it is there (UP), that it goes (GONE). One that is PAST has ended, nothing is
    left of it to be cared for, and its row is there to be read."""

    __str__ = str.__str__

    UP = "UP"
    GONE = "GONE"
    PAST = "PAST"


@frozen
class Ward:
    """One ward: `kind` and `name` name it, `stack` is its cluster, which with `alone` was made for it and goes with it.

    `version` is the newest package of its task, `applied` the newest that its cluster was told of (0: none yet), and
    `failed` the newest that was given up (0: none). `status` and `reason` are what the controller last found, for
    people; `data` is plain JSON of what goes on: `doing` (what the engine is asked for, and why), `pause` (how often
    that failed, and when it is tried again), `last_lines` (of a replica that failed), `head` (the incarnation that was
    told). Moments in seconds since the epoch.
    """

    name: str
    stack: str
    kind: str = SERVICE
    alone: bool = True
    wish: Wish = Wish.UP
    version: int = 0
    applied: int = 0
    failed: int = 0
    status: str = ""
    reason: str = ""
    data: dict[str, Any] = field(factory=dict)
    created_at: float = 0.0
    changed_at: float = 0.0

    @property
    def gave_up(self) -> bool:
        """Whether its newest version failed for good: nothing is tried any more until there is another."""
        return self.failed >= self.version > 0
