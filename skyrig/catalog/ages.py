"""How old a price is, and when that is worth a word. A price is as of a day, a month or a year; of the latter the first
day counts, so that no price passes for fresher than it may be."""

from __future__ import annotations

import re
from datetime import date

from skyrig.catalog import prices

OLD_DAYS = 30
"""A price that is older is told with its age."""


def days(as_of: str, today: date | None = None) -> int | None:
    """Days from the day that `as_of` begins with (2026-07-20, 2026-07, 2026) to today; None where it names none."""
    found = re.match(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?", as_of)
    if found is None:
        return None
    began = date(*(int(part or 1) for part in found.groups()))
    return max(0, ((today or date.today()) - began).days)


def said(as_of: str, today: date | None = None) -> str:
    """The age in words: of today, 4 months old; `of 2025` where no day is known."""
    return prices.age(as_of, today or date.today())


def remark(as_of: str, today: date | None = None) -> str:
    """What is to be known of a price as of then, beside it: "" where it is fresh."""
    age = days(as_of, today)
    if age is not None and age <= OLD_DAYS:
        return ""
    words = said(as_of, today)
    when = f"price of {as_of}, {words}" if words.endswith("old") else f"price {words}"
    return f"{when}; `catalog.refresh` gets today's"
