"""What rig says: plain lines, one error line, and progress. All of it on stderr: stdout belongs to the verb."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from limits import MB, PROGRESS_S

INTERRUPTED = 130


class Speaker:
    """Who speaks: rig, or the installed Skyrig that gets its engine with rig's code."""

    name = "rig"


class Failure(Exception):
    """rig cannot go on: one line for the user, with what to do next; `code` is rig's exit code."""

    def __init__(self, line: str, code: int = 5) -> None:
        super().__init__(line)
        self.code = code


def say(line: str) -> None:
    """One line to the user."""
    end = "\x1b[K\n" if sys.stderr.isatty() else "\n"
    sys.stderr.write(f"{Speaker.name}: {line}{end}")
    sys.stderr.flush()


class Progress:
    """Repeats the state of long work: a live line on a terminal, else a line every PROGRESS_S seconds.

    `state` is called only when a line is due; it may be as slow as a walk over the folder that fills up.
    """

    def __init__(self, state: Callable[[], str]) -> None:
        self._state = state
        self._live = sys.stderr.isatty()
        self._every = 1.0 if self._live else PROGRESS_S
        self._due = time.monotonic() + self._every

    def tick(self) -> None:
        """Say the state if it is time to."""
        if time.monotonic() < self._due:
            return
        line = self._state()
        if self._live:
            width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            sys.stderr.write(f"{Speaker.name}: {line}"[: width - 1] + "\x1b[K\r")
            sys.stderr.flush()
        else:
            say(line)
        self._due = time.monotonic() + self._every


def size(folder: Path) -> str:
    """How much lies under `folder` now, as text; files that vanish meanwhile do not count."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(where, name)).st_size  # noqa: PTH118 (20 000 files)
            except FileNotFoundError:
                continue
    return f"{total / MB / 1000:.1f} GB" if total > 1000 * MB else f"{total / MB:.0f} MB"


def about(megabytes: int) -> str:
    """A size in the words of a plan."""
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes} MB"


def ended(work: Callable[[], None], tell: Callable[[str], None]) -> int:
    """Do `work`; the exit code of that. `tell` gets one line about what went wrong. A signal that asks for the end goes
    the way of Ctrl-C, which ends the children."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        work()
    except Failure as failure:
        tell(str(failure))
        return failure.code
    except OSError as error:
        tell(str(error))
        return Failure("").code
    except KeyboardInterrupt:
        print(f"{Speaker.name}: stopped; run it again to go on", file=sys.stderr)
        return INTERRUPTED
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
