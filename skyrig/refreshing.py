"""Prices of today: every cloud is asked for its own, all at once, and what comes is kept in the user's cache."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import date
from typing import Any

from attrs import frozen

from skyrig.catalog import ages, refreshed, sources
from skyrig.clouds import pricing
from skyrig.errors import BadInput, SkyrigError

Notify = Callable[[str], None]

_NOT_UNDERSTOOD = (KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What reading an answer ends with that has another form than its API promises."""


@frozen
class Outcome:
    """What came of asking one cloud: the number of prices of today, of regions, how old the prices were before (""
    where there were none), why regions did not answer, and why nothing came at all ("": something did)."""

    cloud: str
    prices: int = 0
    regions: int = 0
    before: str = ""
    failed: tuple[tuple[str, str], ...] = ()
    reason: str = ""

    @property
    def lines(self) -> Iterator[str]:
        """In words: one line for the cloud, and one for each reason why regions did not answer."""
        if self.reason:
            yield f"{self.cloud}: not refreshed: {self.reason}" + (
                f"; its prices are {self.before}" * bool(self.before)
            )
            return
        where = "1 region" if self.regions == 1 else f"{self.regions} regions"
        yield f"{self.cloud}: {self.prices} prices of {where}" + f" (they were {self.before})" * bool(self.before)
        by_reason = sorted(self.failed, key=lambda each: (each[1], each[0]))
        for why, group in itertools.groupby(by_reason, key=lambda each: each[1]):
            yield f"{self.cloud}: {', '.join(region for region, _ in group)} did not answer: {why}"

    def to_json(self) -> dict[str, Any]:
        """The object of `catalog.refresh --json`."""
        said = {"cloud": self.cloud, "prices": self.prices, "regions": self.regions, "before": self.before}
        return {**said, "failed": dict(self.failed), "error": self.reason or None}


def refresh(clouds: Sequence[str], regions: Sequence[str], notify: Notify) -> list[Outcome]:
    """Ask `clouds` for today's prices in `regions`; all clouds that can be asked from here where none is named, all
    regions likewise. Each tells its lines as it is done. SkyrigError where a cloud that was named failed, or none
    came; BadInput for names of no cloud."""
    for name in clouds:
        if name not in pricing.known():
            raise BadInput(
                f"--cloud {name}: its prices cannot be asked for", hint="one of: " + ", ".join(pricing.known())
            )
    if regions and len(clouds) != 1:
        raise BadInput("--region goes with one --cloud")
    asked = list(clouds) or [name for name in pricing.known() if not pricing.of(name).missing()]
    done = []
    with ThreadPoolExecutor(max_workers=max(1, len(asked))) as pool:
        for each in as_completed([pool.submit(_one, name, regions) for name in asked]):
            done.append(each.result())
            for line in done[-1].lines:
                notify(line)
    for name in pricing.known() if not clouds else ():
        if name not in asked:
            notify(f"{name}: not asked: {pricing.of(name).missing()}")
    sources.forget()
    sources.table()  # compiled now, while it is waited for anyway
    bad = [each.cloud for each in done if each.reason]
    if not [each for each in done if not each.reason] or (clouds and bad):
        raise SkyrigError(
            f"no prices came from {', '.join(bad) or 'any cloud'}", hint="the prices that were known stay"
        )
    return sorted(done, key=lambda each: each.cloud)


def _one(cloud: str, regions: Sequence[str]) -> Outcome:
    before, today = _age(cloud), date.today().isoformat()
    try:
        found = pricing.of(cloud).fetch(regions, today)
        if not found.fresh:
            raise SkyrigError(f"{cloud}: no price that is understood is in its answer")
        refreshed.write(cloud, found, today)
    except SkyrigError as error:
        return Outcome(cloud, before=before, reason=str(error).removeprefix(f"{cloud}: "))
    except OSError as error:
        return Outcome(cloud, before=before, reason=str(error))
    except _NOT_UNDERSTOOD as error:  # an API that has changed shall not stop the others
        return Outcome(cloud, before=before, reason=f"its answer is not understood ({type(error).__name__}: {error})")
    told = {row.region for row in found.rows[: found.fresh]}
    return Outcome(cloud, found.fresh, len(told), before, tuple(sorted(found.failed.items())))


def _age(cloud: str) -> str:
    """How old the oldest price of a cloud is, in words."""
    dated = [row.as_of for row in sources.rows(cloud)]
    return ages.said(max(dated, key=lambda as_of: ages.days(as_of) or 0)) if dated else ""
