"""How old a price is. A price is as of a day, a month or a year; of the latter the first day counts, so that no price
passes for fresher than it may be."""

from __future__ import annotations

import re
from datetime import date

OLD_DAYS = 30
"""A price that is older is told with its age."""

_HINT = "`catalog.refresh` gets today's"


def days(as_of: str, today: date | None = None) -> int | None:
    """Days from the day that `as_of` begins with (2026-07-20, 2026-07, 2026) to today; None where it names none."""
    found = re.match(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?", as_of)
    if found is None:
        return None
    began = date(*(int(part or 1) for part in found.groups()))
    return max(0, ((today or date.today()) - began).days)


def said(as_of: str, today: date | None = None) -> str:
    """The age in words: today, 3 days old, 4 months old; `of 2025` where no day is known."""
    age = days(as_of, today)
    if age is None:
        return "of no known day"
    if not re.match(r"\d{4}-\d{2}-\d{2}", as_of):
        return f"of {as_of.partition(' ')[0]}"
    if age < 1:
        return "today"
    number, unit = (age, "day") if age < 60 else (age // 30, "month") if age < 730 else (age // 365, "year")
    return f"{number} {unit}{'' if number == 1 else 's'} old"


def remark(as_of: str, today: date | None = None) -> str:
    """What is to be known of a price as of then, beside it: "" where it is fresh."""
    age = days(as_of, today)
    if age is not None and age <= OLD_DAYS:
        return ""
    words = said(as_of, today)
    when = f"{as_of}, " if words.endswith("old") else ""
    return f"price {'of ' if when else ''}{when}{words}; {_HINT}"
