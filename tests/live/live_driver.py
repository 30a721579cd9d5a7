"""Something that is busy: `live_driver.py SCENE FOLDER` plays one scene, and goes on when a file in FOLDER says so.

Each scene is a verb, so that errors and Ctrl-C end it as they end every verb.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit

from skyrig.cli.verb import Values, agreed, notify, verb
from skyrig.progress import Kind, Step, activity, tell

FOLDER = Path(sys.argv[2])


def until(name: str) -> None:
    """Wait for the file called `name`."""
    deadline = time.monotonic() + 20
    while not (FOLDER / name).exists():
        assert time.monotonic() < deadline, name
        time.sleep(0.01)


def lines(values: Values) -> None:
    """Lines above a region, and one that is for those alone who see none."""
    with activity(notify, Step(Kind.ENGINE, "stack dev", "pulumi up")):
        until("drawn")
        notify("first line")
        tell(notify, Step(Kind.SYNC, "files to n0", done=1, total=2), plain="  1 of 2 files")
        until("again")
        notify("second line, with \x1b[31m odd \udcff bytes")
        tell(notify, Step(Kind.SYNC, "files to n0", ended=True))
    notify("last line")
    print("rich" in sys.modules)


def output(values: Values) -> None:
    """A job's bytes while a region is there: in pieces, and after the region."""
    out = notify.output()
    with activity(notify, Step(Kind.SETUP, "setup on n0")):
        until("drawn")
        out.write(b"whole\nhalf a")
        out.flush()
        time.sleep(0.5)  # a region that came back would do so within this time
        out.write(b" line\n")
        out.flush()
        until("again")
    out.write(b"run: \x1b[32mgreen\x1b[0m\r\n")
    out.flush()


def question(values: Values) -> None:
    """A question while a region is there."""
    with activity(notify, Step(Kind.WAIT, "something", "takes its time")):
        until("drawn")
        notify("yes" if agreed(False)("go on?") else "no")


def busy(values: Values) -> None:
    """Goes on until a file or a signal says otherwise."""
    with activity(notify, Step(Kind.WAIT, "something", "takes its time")):
        until("over")
    notify("it is over")


def quick(values: Values) -> None:
    """Is over before anybody would look."""
    for number in range(50):
        with activity(notify, Step(Kind.RESOURCE, f"n{number}", "being created")):
            notify(f"line {number}")
    print("rich" in sys.modules)


SCENES: dict[str, Callable[[Values], None]] = {
    scene.__name__: scene for scene in (lines, output, question, busy, quick)
}

try:
    verb(sys.argv[1])(SCENES[sys.argv[1]])(Context())  # type: ignore[arg-type]
except Exit as end:
    sys.exit(end.code)
