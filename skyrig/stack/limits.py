"""What may be spent, held against what runs and what was spent, before anything is made or started.

Three limits for all stacks of a backend lie in the user's own file, SKYRIG_HOME/limits.yaml: `max_hourly` and
`budget_month` over all of them, and `stack_hourly` for each; two are a stack's own: the keys `maxHourly` and `budget`.
Where none is set nothing is looked up.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import yaml
from attrs import fields_dict, frozen

from skyrig import places
from skyrig.catalog import costs
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput
from skyrig.ledger import intervals as parts
from skyrig.ledger import rates
from skyrig.ledger.intervals import Interval
from skyrig.stack import spent

_NEAR = 0.8
"""Part of a budget from which on it is told what was spent."""


@frozen
class Limits:
    """The user's own, in USD; None where there is none."""

    max_hourly: float | None = None
    stack_hourly: float | None = None
    budget_month: float | None = None


@frozen
class Spent:
    """What there is: intervals of every stack by name, at the moment `now`."""

    intervals: Mapping[str, Sequence[Interval]]
    now: float

    def hourly(self, but: str) -> tuple[float, list[str]]:
        """USD an hour of all that runs but one stack, and the names of those whose price is not known."""
        on = {name: parts.running(found) for name, found in self.intervals.items() if name != but}
        there = {name: each.hourly for name, each in on.items() if each is not None}
        return sum(each or 0.0 for each in there.values()), [name for name, each in there.items() if each is None]

    def month(self) -> float:
        """USD of all stacks in this calendar month."""
        begin = parts.midnight(datetime.fromtimestamp(self.now).date().replace(day=1))
        flat = [each for found in self.intervals.values() for each in found]
        return parts.total(parts.within(flat, begin, self.now), self.now).usd

    def stack(self, name: str) -> float:
        """USD of one stack since it was first there."""
        return parts.total(self.intervals.get(name, ()), self.now).usd


def check(stack: str, shape: Shape, listed: Callable[[], Sequence[str]]) -> list[str]:
    """BadInput where making the stack `shape` would break a limit, or one cannot be checked; what should be known of
    budgets that are nearly spent. `listed` gives the names of all stacks. What is there and stays as it is adds
    nothing, and passes."""
    limits, own = read(places.limits()), shape.policy
    if not shape.is_rented or shape.power != "up" or (limits == Limits() and own.max_hourly is own.budget is None):
        return []
    there = set(listed())
    over_all = limits.max_hourly is not None or limits.budget_month is not None
    names = {stack, *there, *spent.remembered()} if over_all else {stack}
    found = {name: spent.of(name, name in there) for name in sorted(names)}
    return judge(stack, shape, rates.up(shape), limits, Spent(found, time.time()))


def judge(stack: str, shape: Shape, hourly: float | None, limits: Limits, there: Spent) -> list[str]:
    """`check` as a pure function: `hourly` is what the shape costs (USD, None: not known)."""
    on = parts.running(there.intervals.get(stack, ()))
    before = on.hourly if on is not None else 0.0
    if on is not None and (on.power, on.what) == (shape.power, str(shape)):
        return _near(stack, shape, limits, there)
    if hourly is not None and before is not None and hourly <= before:
        return _near(stack, shape, limits, there)
    if hourly is None:
        raise BadInput(
            f"stack {stack}: {shape}: the price is not known, so that a limit cannot be checked",
            hint="choose a type whose price is known, or lift the limit",
        )
    adds, own = hourly - (before or 0.0), shape.policy
    for limit, name in ((own.max_hourly, "--max-hourly none"), (limits.stack_hourly, f"{places.limits()}")):
        if limit is not None and hourly > limit:
            what = f"stack {stack}: {shape} costs {costs.said(hourly)}, more than the {costs.said(limit)} it may"
            raise BadInput(what, hint=f"nothing was made; {name} lifts that limit")
    _check_all(stack, hourly, adds, limits, there)
    budgets = ((own.budget, there.stack(stack), "of its own"), (limits.budget_month, there.month(), "of this month"))
    for budget, used, which in budgets:
        if budget is not None and used + hourly > budget:
            what = f"stack {stack}: of the budget {which}, ${budget:.2f}, ${used:.2f} is spent; {costs.said(hourly)}"
            hint = "nothing was made; `cost` shows what was spent"
            raise BadInput(f"{what} would break it within an hour", hint=hint)
    return _near(stack, shape, limits, there)


def read(file: Path) -> Limits:
    """The limits in the user's file; none where there is no file. BadInput where it makes no sense."""
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Limits()
    except yaml.YAMLError as error:
        raise BadInput(f"{file}: no YAML: {str(error).splitlines()[0]}") from error
    if document is not None and not isinstance(document, dict):
        raise BadInput(f"{file}: a mapping is wanted")
    known = list(fields_dict(Limits))
    for key, value in (document or {}).items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            raise BadInput(f"{file}: {key!r} is no limit", hint=f"one of: {', '.join(near or known)}")
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
            raise BadInput(f"{file}: {key}: {value!r} is no amount of USD")
    return Limits(**{key: float(value) for key, value in (document or {}).items() if value is not None})


def _check_all(stack: str, hourly: float, adds: float, limits: Limits, there: Spent) -> None:
    """BadInput where all stacks together would cost too much an hour."""
    if limits.max_hourly is None:
        return
    others, unknown = there.hourly(but=stack)
    if unknown:
        hint = f"the limit max_hourly is in {places.limits()}"
        raise BadInput(f"the price of {', '.join(unknown)} is not known, so that a limit cannot be checked", hint=hint)
    if others + hourly > limits.max_hourly:
        runs = costs.said(others + hourly - adds)
        what = f"stack {stack} would add {costs.said(adds)} to the {runs} that runs now"
        raise BadInput(
            f"{what}: more than the {costs.said(limits.max_hourly)} of {places.limits()}",
            hint="nothing was made; `cost` shows what runs",
        )


def _near(stack: str, shape: Shape, limits: Limits, there: Spent) -> list[str]:
    """Budgets that are nearly spent, in words."""
    budgets = (
        (shape.policy.budget, there.stack(stack), f"the budget of {stack}"),
        (limits.budget_month, there.month(), "the budget of this month"),
    )
    return [
        f"${used:.2f} of {which}, ${budget:.2f}, is spent"
        for budget, used, which in budgets
        if budget is not None and used >= _NEAR * budget
    ]
