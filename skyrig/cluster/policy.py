"""What a stack may cost and how long it may live: the keys `maxHourly`, `budget` and `ttl` of its config, and what is
asked for instead on a command line. None of it makes or changes a machine.

A time to live is written with its end, `8h until 2026-01-31T18:00:00Z`: counted once, by whoever deploys it first, it
means the same to every clone, and to a keeper or a node that was started anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from attrs import evolve, frozen

from skyrig.cluster.keys import NAMESPACE, Key
from skyrig.errors import BadInput

NONE = "none"
"""Lifts a limit or a time to live."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LONGEST_S = 10 * 365 * 86400
_TTL = re.compile(r"([0-9smhdw]+)(?: until (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ))?")
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"

KEYS: Mapping[str, Key] = {
    "maxHourly": Key("", "most USD an hour that this stack may cost; more is refused before it is made"),
    "budget": Key("", "most USD that this stack may cost in all; then nothing more is made or started"),
    "ttl": Key("", "time to live: 30m, 8h, 2d; the cluster ends itself then, whatever runs. Written with its end"),
}


@frozen
class TimeToLive:
    """How long a cluster lives: `said` as it was asked for (8h), `ends_at` when it ends itself, in seconds since the
    epoch; 0 where nobody has counted yet."""

    said: str
    ends_at: float = 0.0

    def __str__(self) -> str:
        """As the config has it."""
        end = datetime.fromtimestamp(self.ends_at, timezone.utc).strftime(_MOMENT) if self.ends_at else ""
        return f"{self.said} until {end}" if end else self.said

    def counted(self, now: float) -> TimeToLive:
        """The same with its end, counted from `now` unless it has one."""
        return self if self.ends_at else evolve(self, ends_at=float(int(now + seconds("ttl", self.said) + 0.999)))


@frozen
class Policy:
    """Limits in USD (None: there is none) and the time to live (None: without end)."""

    max_hourly: float | None = None
    budget: float | None = None
    ttl: TimeToLive | None = None

    def counted(self, now: float) -> Policy:
        """The same with the end of its time to live."""
        return self if self.ttl is None else evolve(self, ttl=self.ttl.counted(now))


@frozen
class Wish:
    """What is asked for on a command line, as text; None leaves it as it is, "none" lifts it."""

    max_hourly: str | None = None
    budget: str | None = None
    ttl: str | None = None

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return self != Wish()

    def applied(self, policy: Policy, now: float) -> Policy:
        """`policy` with it. A time to live counts from `now`."""
        if self.max_hourly is not None:
            policy = evolve(policy, max_hourly=usd("--max-hourly", self.max_hourly))
        if self.budget is not None:
            policy = evolve(policy, budget=usd("--budget", self.budget))
        if self.ttl is not None:
            lifted = self.ttl == NONE
            policy = evolve(policy, ttl=None if lifted else TimeToLive(_duration("--ttl", self.ttl)).counted(now))
        return policy


NO_WISH = Wish()


def to_config(policy: Policy) -> dict[str, Any]:
    """Config values by key."""
    return {
        "maxHourly": "" if policy.max_hourly is None else f"{policy.max_hourly:g}",
        "budget": "" if policy.budget is None else f"{policy.budget:g}",
        "ttl": "" if policy.ttl is None else str(policy.ttl),
    }


def from_config(given: Mapping[str, Any]) -> Policy:
    """The policy in config values, of which each key of KEYS has one. Bad values are BadInput."""
    limits = {key: str(given[key]) for key in ("maxHourly", "budget")}
    found = {key: usd(f"{NAMESPACE}:{key}", text) if text else None for key, text in limits.items()}
    return Policy(found["maxHourly"], found["budget"], _ttl(str(given["ttl"])) if given["ttl"] else None)


def usd(what: str, text: str) -> float | None:
    """An amount of USD; None for `none`; BadInput that names `what`."""
    if text == NONE:
        return None
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text):
        raise BadInput(f"{what} {text!r}: an amount of USD is wanted, or {NONE}", hint="for instance 12.50")
    return float(text)


def seconds(what: str, text: str) -> int:
    """Seconds of a time to live: `20s`, `30m`, `8h`, `2d`, `1w`, `1h30m`; BadInput that names `what`."""
    parts = re.findall(r"([0-9]{1,9})([smhdw])", text)
    found = sum(int(number) * _SECONDS[unit] for number, unit in parts)
    if not parts or "".join(number + unit for number, unit in parts) != text or not 0 < found <= _LONGEST_S:
        raise BadInput(f"{what} {text!r}: a time is wanted", hint=f"30m, 8h, 2d or 1h30m; {NONE} lifts it")
    return found


def said_left(left_s: float) -> str:
    """A time that is left, in words: `3 h 10 min`, `40 s`."""
    whole = max(0, int(left_s) if left_s < 600 else round(left_s / 60) * 60)
    days, hours, minutes = whole // 86400, whole % 86400 // 3600, whole % 3600 // 60
    parts = [f"{number} {unit}" for number, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if number]
    return " ".join(parts[:2]) or f"{whole} s"


def _duration(what: str, text: str) -> str:
    seconds(what, text)
    return text


def _ttl(text: str) -> TimeToLive:
    match = _TTL.fullmatch(text)
    if not match:
        raise BadInput(f"{NAMESPACE}:ttl: {text!r} is no time to live", hint="30m, 8h or 2d")
    said = _duration(f"{NAMESPACE}:ttl", match[1])
    try:
        end = datetime.strptime(match[2], _MOMENT).replace(tzinfo=timezone.utc) if match[2] else None
    except ValueError as error:
        raise BadInput(f"{NAMESPACE}:ttl: {text!r}: {match[2]} is no moment", hint="30m, 8h or 2d") from error
    return TimeToLive(said, end.timestamp() if end is not None else 0.0)
