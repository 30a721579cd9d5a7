"""Money: what was spent, and what is being spent."""

from __future__ import annotations

import json
from pathlib import Path

from skyrig.cli import flags
from skyrig.cli.verb import Values, flag, notify, repeated, verb
from skyrig.errors import BadInput

BY = ("stack", "day", "cloud")


@verb(
    "cost",
    [
        *repeated([flags.CLUSTER], "cluster"),
        flag("days", "so many days back, today among them (30)"),
        flag("by", "one table alone: stack, day or cloud"),
        flag("all a", "the local cloud too, which costs nothing", kind=bool),
        flag("refresh r", "ask the clouds whether what should be up is", kind=bool),
        flag("plot", "draw the days into this file: FILE.png"),
        *flags.JSON,
    ],
)
def cost(values: Values) -> None:
    """Show what clusters have cost, by stack and by day, and what runs now."""
    from skyrig import spending
    from skyrig.cli import bills
    from skyrig.plots import png

    as_json, days, by = flags.wants_json(values), values.whole("days"), values.text("by")
    if days == 0:
        raise BadInput("--days 0: at least 1 is wanted")
    if by is not None and by not in BY:
        raise BadInput(f"--by {by}: not known", hint="one of: " + ", ".join(BY))
    picture = values.text("plot")
    if picture is not None:
        png.require(Path(picture))
    found = spending.cost(
        values.many("cluster") or None, days or 30, notify, free=values.switch("all"), refresh=values.switch("refresh")
    )
    if picture is not None:
        bills.plot(found, Path(picture))
        notify(f"{picture} is written")
    if as_json:
        print(json.dumps(found.to_json(), indent=2))
    else:
        bills.show(found, by)
