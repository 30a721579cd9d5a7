"""Pictures of jobs shown: in the terminal, in a file, or as the numbers that they are drawn from."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from skyrig.cli import flags
from skyrig.cli.verb import Values, flag
from skyrig.errors import BadInput

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from skyrig.picturing import Subject
    from skyrig.plots.values import Picture

FLAGS = (
    flag(
        "plot", "draw loss, throughput, learning rate and the use of nodes: here, or into FILE.png", perhaps=r".+\..+"
    ),
    flag("metrics", "draw this file of metrics (or the one in this folder) and not the job's output"),
    *flags.JSON,
)

_WIDEST = 110
_REDRAWN_S = 1.0


def wanted(values: Values) -> bool:
    """Whether a picture is asked for, and not the output."""
    if values.given.get("metrics") is not None and not (_is_drawn(values) or flags.wants_json(values)):
        raise BadInput("--metrics goes with --plot or --json")
    return _is_drawn(values) or flags.wants_json(values)


def require(values: Values) -> None:
    """BadInput for a picture that cannot be drawn: before anything is fetched."""
    from skyrig.plots import png

    if _is_drawn(values) and not values.alone("plot"):
        png.require(Path(values.text("plot") or ""))
    if values.switch("follow") and not values.alone("plot"):
        raise BadInput("--follow draws in the terminal: it goes with --plot alone")
    for other in ("rank", "tail", "status", "sync-down", "controller"):
        if values.given.get(other.replace("-", "_")):
            raise BadInput(f"--{other} says nothing beside a picture")


def metrics_file(values: Values) -> Path | None:
    """The file of metrics that was named."""
    file = values.text("metrics")
    return Path(file) if file is not None else None


def show(values: Values, subject: Subject) -> None:
    """Show a picture as it is asked for."""
    from skyrig import picturing
    from skyrig.plots import png

    if flags.wants_json(values):
        print(json.dumps(picturing.series(subject)))
    elif not values.alone("plot"):
        file = Path(values.text("plot") or "")
        png.draw(picturing.picture(subject), file)
        print(file)
    elif values.switch("follow") and sys.stdout.isatty():
        _follow(subject)
    else:
        _print(picturing.picture(subject))


def _is_drawn(values: Values) -> bool:
    return values.alone("plot") or values.given.get("plot") is not None


def _print(picture: Picture) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_text(picture, console), no_wrap=True, overflow="crop")


def _follow(subject: Subject) -> None:
    """Draw again and again until the job has ended; Ctrl-C ends the drawing alone."""
    from rich.console import Console
    from rich.live import Live

    from skyrig import picturing

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        try:
            for picture in picturing.pictures(subject, _REDRAWN_S):
                live.update(_text(picture, console), refresh=True)
        except KeyboardInterrupt:
            return


def _text(picture: Picture, console: Console) -> Text:
    from rich.text import Text

    from skyrig.plots import terminal

    rows = terminal.rows(picture, min(console.width, _WIDEST))
    shown = rows if console.encoding.lower().startswith("utf") else map(terminal.plain, rows)
    return Text("\n").join(Text.assemble(*row) for row in shown)
