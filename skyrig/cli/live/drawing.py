"""A board as rich draws it: one row an activity, so many rows and no more. Imports rich; loaded when one is drawn."""

from __future__ import annotations

import re

from rich.console import Console, RenderableType
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from skyrig.cli.live.board import Board, Row

ROWS = 8
"""Activities that are shown; the others are counted."""

_SPINNER = Spinner("dots")
_PLAIN_SPINNER = Spinner("line")
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;:?<=>]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


def drawn(board: Board, now: float, console: Console) -> RenderableType:
    """What `console` shall show of `board` at the time `now`."""
    shown = board.rows[: max(1, min(ROWS, console.height - 3))]
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, overflow="ellipsis", max_width=console.width // 2)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    grid.add_column(no_wrap=True, justify="right")
    for row in shown:
        grid.add_row(
            Text(_frame(now, console), style="cyan"),
            Text(printable(row.step.subject)),
            Text(_detail(row, now), style="dim"),
            Text(_took(now - row.since), style="dim"),
        )
    if len(board.rows) > len(shown):
        grid.add_row("", Text(f"... and {len(board.rows) - len(shown)} more", style="dim"), "", "")
    return grid


def printable(text: str) -> str:
    """What a terminal would show of `text` in the end, but in one line and without colours."""
    seen = _ESCAPES.sub("", text).rstrip("\r").rpartition("\r")[2].expandtabs(4)
    return "".join(each for each in seen if each.isprintable())


def _frame(now: float, console: Console) -> str:
    spinner = _SPINNER if console.encoding.startswith("utf") else _PLAIN_SPINNER
    return str(spinner.frames[int(now * 1000 / spinner.interval) % len(spinner.frames)])


def _detail(row: Row, now: float) -> str:
    step = row.step
    if not step.total:
        return printable(step.detail)
    words = [f"{step.done / 1e6:.1f} of {step.total / 1e6:.1f} MB"]
    rate, left = row.rate(now), row.left_s(now)
    if rate:
        words.append(f"{rate / 1e6:.1f} MB/s")
    if left is not None:
        words.append(f"{_took(left)} left")
    return ", ".join([*([printable(step.detail)] if step.detail else []), *words])


def _took(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
