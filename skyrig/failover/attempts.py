"""Attempts to bring a cluster up, as values: where, at what price, and what came of it; as a table and as an error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen

from skyrig.catalog import costs
from skyrig.catalog.refusals import Refusal
from skyrig.errors import NoCapacity
from skyrig.failover.order import Turn
from skyrig.failover.place import Place

TRYING, REFUSED, REMOVED, FAILED, UP = "trying", "refused", "removed", "failed", "up"
"""Outcomes: it goes on, or was cut off; the cloud refused, and what was made is still there; that was removed; an error
that is no refusal, and what was made is kept to be looked at; it is up."""

HEADS = ("#", "CLOUD/ZONE", "MACHINE", "PRICE", "OUTCOME", "TOOK")


@frozen
class Attempt:
    """One attempt. `hourly` is USD an hour of the whole cluster, None where it is not known; `refusal` what the cloud
    said, None unless it refused; `began` in seconds since the epoch, `took` in seconds, with the removal."""

    place: Place
    nodes: int
    hourly: float | None
    began: float
    outcome: str = TRYING
    refusal: Refusal | None = None
    took: float = 0.0

    @property
    def said(self) -> str:
        """The outcome in words."""
        return str(self.refusal) if self.refusal is not None else self.outcome


class NoneLeft(NoCapacity):
    """Every place that was tried refused, and nothing of that is left (exit code 3). `may_pass` says whether waiting
    may help: some place had no capacity, or no quota now."""

    def __init__(self, message: str, *, hint: str | None = None, may_pass: bool = True) -> None:
        super().__init__(message, hint=hint)
        self.may_pass = may_pass


def rows(attempts: Iterable[Attempt]) -> list[list[str]]:
    """The table of attempts, under HEADS."""
    return [
        [str(number), each.place.where, f"{each.nodes}x {each.place.what}", costs.said(each.hourly), each.said,
         f"{each.took:.0f} s"]
        for number, each in enumerate(attempts, 1)
    ]  # fmt: skip


def none_left(attempts: Sequence[Attempt], passed: Sequence[Turn]) -> NoneLeft:
    """The one error of a round in which every place refused, with every reason."""
    said = told([*((each.place, each.said) for each in attempts), *((each.place, each.passed) for each in passed)])
    tried = f"{len(attempts)} attempt{'s' if len(attempts) != 1 else ''}"
    hint = "-r tries again until there is capacity; another --infra, --gpus or --use-spot widens the choice"
    passes = any(each.refusal is not None and each.refusal.kind != "permission" for each in attempts)
    return NoneLeft(f"no cloud has the machines now, after {tried}: {said}", hint=hint, may_pass=passes)


def told(reasons: Iterable[tuple[Place, str]]) -> str:
    """Places and why each was refused, those of one type and reason together."""
    groups: dict[tuple[str, str], list[str]] = {}
    for place, reason in reasons:
        where = groups.setdefault((place.what, reason), [])
        if place.where not in where:
            where.append(place.where)
    return "; ".join(f"{what} in {', '.join(where)}: {reason}" for (what, reason), where in groups.items())
