"""Whether a cluster is idle, and for how long: a pure function of what is asked for and what was seen.

Nothing here looks at a clock or at a node. Times are seconds on the keeper's clock, which does not jump.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen

from skyrig.cluster.autostop import WAITS, said_minutes
from skyrig.errors import BadInput

LOOK_S = 30.0
"""How often nodes that cannot say when their last terminal closed are asked whether one is open."""

LEAST_LOOK_S = 1.0
"""Shortest time between two looks at an open terminal: an autostop of a few minutes is that much late at most."""

START_GRACE_S = 300.0
"""How long a machine that was started anew stays up at least if nobody uses it: who starts it wants it."""


@frozen
class Setting:
    """What is asked for. `idle_s` in seconds; `wait_for` is one of WAITS."""

    idle_s: float
    down: bool = False
    wait_for: str = WAITS[0]

    @property
    def reason(self) -> str:
        """What is said of a cluster that has acted on it."""
        how = "taken down by autostop" if self.down else "autostopped"
        if self.wait_for == "none":
            return f"{how} {said_minutes(self.idle_s)} after that was set"
        return f"{how} after {said_minutes(self.idle_s, 'idle ')}" if self.idle_s else f"{how} right after its last job"


@frozen
class Terminals:
    """Interactive SSH terminals on all nodes: whether one is `open`, and how long ago the last one closed (None: none
    did, or nobody knows)."""

    open: bool = False
    closed_s: float | None = None


@frozen
class Seen:
    """What there is: `jobs` that have not ended (or whose records are on their way), for how many seconds yet a client
    holds the cluster (0: none does), and terminals (None: nobody has looked). `exact` tells whether a look at terminals
    also says when the last one closed."""

    jobs: bool = False
    hold_s: float = 0.0
    terminals: Terminals | None = None
    exact: bool = False


@frozen
class Verdict:
    """`since` when the cluster is idle (its last activity), whether it is `busy`, and with something whose end is told
    at once (`used`: jobs, holds), whether to `act` now, whether to `look` at terminals first, and in how many seconds
    to judge again (None: when something changes)."""

    since: float
    busy: bool = False
    used: bool = False
    act: bool = False
    look: bool = False
    again_s: float | None = None


def setting(data: Any) -> Setting:
    """A setting from plain data; BadInput where it makes no sense."""
    try:
        made = Setting(float(data["idle_s"]), bool(data.get("down", False)), str(data.get("wait_for", WAITS[0])))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise BadInput(f"autostop: {data!r} is no setting") from error
    if not 0 <= made.idle_s < float("inf") or made.wait_for not in WAITS:
        raise BadInput(f"autostop: {data!r} is no setting", hint="wait_for is one of: " + ", ".join(WAITS))
    return made


def judge(asked: Setting, seen: Seen, since: float, now: float, *, used: bool = False) -> Verdict:
    """What to do at `now` about a cluster whose last known activity was at `since`; if it was `used` by the last
    verdict, it was so until now.

    With `none` nothing counts as activity. Else jobs and holds do, and with `jobs_and_ssh` open terminals; where these
    have not been looked at and that would decide, `look` asks for it and nothing else is to be done."""
    if asked.wait_for == "none":
        return _due(asked, since, now)
    if seen.jobs:
        return Verdict(now, busy=True, used=True)
    if seen.hold_s > 0:
        return Verdict(max(since, now), busy=True, used=True, again_s=seen.hold_s)
    since = max(since, now) if used else since
    if asked.wait_for == "jobs":
        return _due(asked, since, now)
    return _with_terminals(asked, seen, since, now)


def _with_terminals(asked: Setting, seen: Seen, since: float, now: float) -> Verdict:
    if seen.terminals is None:
        verdict = _due(asked, since, now)
        return evolve(verdict, look=True, act=False) if verdict.act or not seen.exact else verdict
    pace = min(LOOK_S, asked.idle_s / 4)
    if seen.terminals.open:
        return Verdict(now, busy=True, again_s=max(LEAST_LOOK_S, asked.idle_s if seen.exact else pace))
    if seen.terminals.closed_s is not None:
        since = max(since, now - seen.terminals.closed_s)
    verdict = _due(asked, since, now)
    if seen.exact or verdict.again_s is None:
        return verdict
    return evolve(verdict, again_s=min(verdict.again_s, max(LEAST_LOOK_S, pace)))


def _due(asked: Setting, since: float, now: float) -> Verdict:
    left = since + asked.idle_s - now
    return Verdict(since, again_s=left) if left > 0 else Verdict(since, act=True)


def after_start(asked: Setting, now: float) -> float:
    """The moment of last activity for a machine that was started anew at `now`. It may lie ahead: a job ends that, a
    client that only looked in does not."""
    return now + max(0.0, START_GRACE_S - asked.idle_s)
