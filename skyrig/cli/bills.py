"""What was spent, shown: tables and bars on a terminal, plain columns in a pipe, a picture in a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

from skyrig.catalog import costs
from skyrig.cli.tables import table
from skyrig.ledger.intervals import HOUR_S, Sum
from skyrig.ledger.report import Report

_BAR = 50
"""Columns of the longest bar."""


def show(found: Report, by: str | None) -> None:
    """All of it, or with `by` (stack, day or cloud) that table and the total."""
    if by is None:
        _running(found)
    if by in (None, "stack"):
        _stacks(found)
    if by == "cloud":
        rows = [[cloud, _hours(spent), str(spent)] for cloud, spent in found.clouds.items()]
        table(["CLOUD", "HOURS", "COST"], rows, "nothing was spent")
    if by in (None, "day"):
        _days({str(day): spent for day, spent in found.days.items()})
    since = time.strftime("%Y-%m-%d", time.localtime(found.since))
    print(f"since {since}: {found.total}; this month: {found.month}")
    if found.total.at_least or found.hourly.at_least:
        print("at least: the price of some is not known")
    if found.total.at_most:
        print("at most: of some it is not known what was there, or for how long")


def plot(found: Report, file: Path) -> None:
    """Draw the days as bars into a file, the kind of picture by its name."""
    from matplotlib.figure import Figure

    from skyrig.plots import png

    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    days = [day.strftime("%m-%d") for day in found.days]
    axes.bar(days, [spent.usd for spent in found.days.values()])
    axes.set_ylabel("USD a day")
    axes.set_title(f"{found.total} since {time.strftime('%Y-%m-%d', time.localtime(found.since))}")
    axes.tick_params(axis="x", rotation=90)
    with png.written(file) as place:
        figure.savefig(place)


def _running(found: Report) -> None:
    rows = [
        [
            each.name,
            each.power,
            costs.said(each.hourly),
            time.strftime("%m-%d %H:%M", time.localtime(each.since)),
            str(each.so_far),
            f"${each.at_midnight:.2f}",
            f"${each.a_month:.2f}",
        ]
        for each in found.running
    ]
    table(["RUNNING", "POWER", "COST", "SINCE", "SO FAR", "MIDNIGHT", "A MONTH"], rows, "nothing runs")
    if len(rows) > 1:
        print(f"all together: {found.hourly}/h")
    print()


def _stacks(found: Report) -> None:
    rows = [[each.name, each.power, _hours(each.spent), str(each.spent), each.what] for each in found.stacks]
    table(["STACK", "NOW", "HOURS", "COST", "WHAT IT IS, OR WAS LAST"], rows, "nothing was spent")
    print()


def _days(found: Mapping[str, Sum]) -> None:
    """One bar a day; in a pipe the numbers alone."""
    if not found:
        return
    most = max(spent.usd for spent in found.values())
    if not sys.stdout.isatty():
        table(["DAY", "COST"], [[day, str(spent)] for day, spent in found.items()], "")
    else:
        from rich.bar import Bar
        from rich.console import Console
        from rich.table import Table

        drawn = Table.grid("", "", "", padding=(0, 1))
        for day, spent in found.items():
            drawn.add_row(day, str(spent), Bar(most or 1.0, 0, spent.usd, width=_BAR))
        Console().print(drawn)
    print()


def _hours(spent: Sum) -> str:
    return f"{spent.seconds / HOUR_S:.1f}"
