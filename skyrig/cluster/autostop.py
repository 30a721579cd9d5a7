"""Autostop as values: what is asked for, and what a cluster leaves word of."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import cattrs
from attrs import Attribute, field, frozen
from cattrs.errors import BaseValidationError

from skyrig.errors import BadInput

WAITS = ("jobs_and_ssh", "jobs", "none")
"""What keeps a cluster from being idle: jobs and interactive SSH terminals, jobs alone, or nothing (its time counts
from the moment that autostop was set)."""

NOTE = "autostop.json"
"""Name of the note (`AutostopNote`) in the stack's records folder."""

_MINUTES = {"": 1, "m": 1, "h": 60, "d": 24 * 60, "w": 7 * 24 * 60}
_MOST_MINUTES = 10 * 365 * 24 * 60


def _whole(_: object, __: Attribute[int], value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_MINUTES:
        raise BadInput(f"autostop: {value!r} idle minutes", hint="a whole number of at least 0 is wanted")


def _known(_: object, __: Attribute[str], value: str) -> None:
    if value not in WAITS:
        raise BadInput(f"autostop: wait_for {value!r} is not known", hint="one of: " + ", ".join(WAITS))


@frozen
class Autostop:
    """Stop the cluster (`down`: end it for good) once it was idle for so many whole minutes; 0 is right after the last
    job. `wait_for` is one of WAITS. Bad values are BadInput."""

    idle_minutes: int = field(validator=_whole)
    down: bool = False
    wait_for: str = field(default=WAITS[0], validator=_known)

    def __str__(self) -> str:
        """What will happen, in words."""
        what = "goes down" if self.down else "stops"
        if self.wait_for == "none":
            return f"{what} by itself in {said_minutes(self.idle_minutes * 60)}, whatever runs"
        if not self.idle_minutes:
            return f"{what} by itself right after its last job"
        return f"{what} by itself after {said_minutes(self.idle_minutes * 60, 'idle ')}"

    def orders(self) -> dict[str, Any]:
        """The same as the keeper is told: time in seconds."""
        return {"idle_s": self.idle_minutes * 60.0, "down": self.down, "wait_for": self.wait_for}


@frozen
class AutostopNote:
    """What the head leaves in the records folder, for clients that look without asking it, or when it is gone.

    `head` is the head's incarnation: of another machine the note says nothing. `idle_s` (seconds, None: no autostop is
    set), `down` and `wait_for` are what is asked for; `busy` tells whether something counts as activity, and if not,
    `active_at` since when nothing does (seconds since the epoch). Once the cluster has acted, `acted_at` is when and
    `reason` says why; `not_up` names what jobs wrote and what had not reached its bucket by then. `ends_at` is when the
    time to live is over (seconds since the epoch; 0: it lives without end), by stopping unless `ends_down`.
    """

    head: str
    idle_s: float | None = None
    down: bool = False
    wait_for: str = WAITS[0]
    busy: bool = False
    active_at: float = 0.0
    acted_at: float = 0.0
    reason: str = ""
    not_up: tuple[str, ...] = ()
    ends_at: float = 0.0
    ends_down: bool = True

    @property
    def told(self) -> str:
        """Why and when the cluster acted, in words."""
        return f"{self.reason} at {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(self.acted_at))}"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        data: dict[str, Any] = _CONVERTER.unstructure(self)
        return data

    def shown(self, now: float) -> dict[str, Any] | None:
        """The field `autostop` of `status --json`, at `now`; None where no autostop is set."""
        if self.idle_s is None:
            return None
        minutes = self.idle_s / 60
        idle = 0.0 if self.busy or self.acted_at else max(0.0, now - self.active_at) / 60
        return {
            "idle_minutes": int(minutes) if minutes == int(minutes) else minutes,
            "down": self.down,
            "wait_for": self.wait_for,
            "idle_for_minutes": round(idle, 2),
        }


def shown_ttl(note: AutostopNote) -> dict[str, Any] | None:
    """The field `ttl` of `status --json`; None where the cluster lives without end, or is over."""
    if not note.ends_at or note.acted_at:
        return None
    return {"ends_at": note.ends_at, "action": "down" if note.ends_down else "stop"}


def read_note(text: str | bytes) -> AutostopNote | None:
    """The note in `text`; None where it is none."""
    try:
        return _CONVERTER.structure(json.loads(text), AutostopNote)
    except (ValueError, TypeError, KeyError, BaseValidationError):
        return None


def minutes(what: str, text: str) -> int:
    """Minutes from `10`, `10m`, `2h`, `1d` or `1w`; BadInput that names `what`."""
    match = re.fullmatch(r"([0-9]{1,9})([mhdw]?)", text.strip())
    if not match:
        raise BadInput(f"{what} {text!r}: whole minutes are wanted", hint="10, 10m, 2h or 1d")
    return int(match[1]) * _MINUTES[match[2]]


def said_minutes(seconds: float, kind: str = "") -> str:
    """A number of seconds as minutes in words: `10 idle minutes` where `kind` is "idle "."""
    number = f"{seconds / 60:.3g}" if seconds % 60 else str(int(seconds // 60))
    return f"{number} {kind}minute{'' if number == '1' else 's'}"


_CONVERTER = cattrs.Converter()
