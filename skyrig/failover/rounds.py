"""Trying until there is capacity: rounds over all offers, with longer and longer pauses between them."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from typing import TypeVar

from attrs import frozen
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential, wait_random

from skyrig.errors import BadInput
from skyrig.failover.attempts import NoneLeft
from skyrig.progress import Kind, Step, activity

Made = TypeVar("Made")

RETRY = "SKYRIG_RETRY_S"
"""Variable with the first pause between two rounds in seconds; later ones double, up to MOST_TIMES as long."""

MOST_TIMES = 20


@frozen
class Pauses:
    """How long is waited between rounds, in seconds: `first`, then twice as long each time, up to `most`; `jitter` at
    most is added, so that clients which failed together do not ask again together."""

    first: float = 30.0
    most: float = 600.0

    @property
    def jitter(self) -> float:
        """The most that is added to a pause, in seconds."""
        return self.first / 3


def pauses() -> Pauses:
    """As SKYRIG_RETRY_S has it, else from 30 s to 10 minutes."""
    given = os.environ.get(RETRY, "")
    if not given:
        return Pauses()
    try:
        first = float(given)
    except ValueError:
        first = -1.0
    if not 0 < first < float("inf"):
        raise BadInput(f"{RETRY} {given!r}: a number of seconds is wanted", hint="for instance 30")
    return Pauses(first, first * MOST_TIMES)


def until_up(work: Callable[[float, int], Made], notify: Callable[[str], None], waits: Pauses, stack: str) -> Made:
    """Do `work`, which is given the time when its round began and the round's number from 1, until a round has not
    been refused everywhere. What waiting does not help against ends it."""

    def told(state: RetryCallState) -> None:
        pause = state.next_action.sleep if state.next_action is not None else 0.0
        at = time.strftime("%H:%M:%S", time.localtime(time.time() + pause))
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, NoneLeft):
            notify(error.message)
        notify(f"{stack}: round {state.attempt_number + 1} begins in {pause:.0f} s, at {at}; Ctrl-C ends this")

    def pause(seconds: float) -> None:
        with activity(notify, Step(Kind.WAIT, f"stack {stack}", "no capacity: waiting for the next round")):
            time.sleep(seconds)

    rounds = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, NoneLeft) and error.may_pass),
        wait=wait_exponential(multiplier=waits.first, max=waits.most) + wait_random(0, waits.jitter),
        before_sleep=told,
        sleep=pause,
        reraise=True,
    )
    numbers = itertools.count(1)
    return rounds(lambda: work(time.time(), next(numbers)))
