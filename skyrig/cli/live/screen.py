"""The reader at standard error: lines always, and on a terminal a region below them that shows what goes on.

The region is drawn for what takes a moment only, and taken away before anything else is written: a line, a question,
what a job prints. Without a terminal, beside a pipe, and where the reader wants none of it (TERM=dumb, NO_COLOR,
TTY_INTERACTIVE=0, TTY_COMPATIBLE=0), it is `print`.
"""

from __future__ import annotations

import io
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, BinaryIO, TextIO

from skyrig.cli.live.board import Board
from skyrig.cli.live.tables import draw
from skyrig.progress import Step, Teller

if TYPE_CHECKING:
    from rich.live import Live

_TICK_S = 0.1
"""How often the region is drawn, in seconds."""

_PATIENCE_S = 0.3
"""How long something must go on before it is worth a region, in seconds."""

_SHOW_CURSOR = b"\x1b[?25h"


class Screen(Teller):
    """Lines and steps for the reader at standard error. `close` ends what is drawn; the next step begins anew."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._board = Board()
        self._region: Live | None = None
        self._away = 0
        self._drew = False  # and nobody knows yet that the cursor is back
        self._ticking: threading.Event | None = None
        self._handled: dict[int, object] = {}

    @property
    def live(self) -> bool:
        """Whether standard error is a terminal on which things may move. Not beside a pipe: who reads that (`tee`,
        `less`) may write on the very terminal, and at any moment."""
        return sys.stderr is not None and sys.stderr.isatty() and not _is_pipe(sys.stdout) and not _is_refused()

    def __call__(self, line: str) -> None:
        """One line for the reader, beside the output proper."""
        with self.away():
            sys.stdout.flush()
            print(line, file=sys.stderr, flush=True)

    def show(self, step: Step) -> None:
        """Take a step. Nothing is drawn here but by the way: a thread does that, ten times a second."""
        with self._lock:
            self._board = self._board.after(step, time.monotonic())
            if not self._board.rows:
                self._stop_ticking()
                self._hide()
            elif self._ticking is None:
                self._catch_signals()
                self._ticking = threading.Event()
                threading.Thread(target=self._tick, args=(self._ticking,), daemon=True).start()

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table for the reader, beside the output proper."""
        if sys.stderr is None or not sys.stderr.isatty():
            super().table(heads, rows)
            return
        with self.away():
            sys.stdout.flush()
            draw(heads, rows, sys.stderr)

    @contextmanager
    def away(self) -> Iterator[None]:
        """The block has the terminal for itself."""
        self.hold()
        try:
            yield
        finally:
            self.release()

    def hold(self) -> None:
        """Take the region away until `release`."""
        with self._lock:
            self._away += 1
            self._hide()

    def release(self) -> None:
        """Let the region come back, at its next turn."""
        with self._lock:
            self._away -= 1

    def output(self) -> BinaryIO:
        """Standard output for the bytes of jobs, which the region makes room for where both are on a terminal."""
        return _Beside(self) if self.live and sys.stdout.isatty() else sys.stdout.buffer

    def close(self) -> None:
        """Forget all steps, and leave the terminal as it was."""
        try:
            with self._lock:
                self._stop_ticking()
                self._board = Board()
                self._hide()
        finally:
            self._show_cursor()
            for number, before in self._handled.items():
                signal.signal(number, before)  # type: ignore[arg-type]
            self._handled.clear()

    def _tick(self, stop: threading.Event) -> None:
        while not stop.wait(_TICK_S):
            with self._lock:
                if not (stop.is_set() or self._away or self._board.age(time.monotonic()) < _PATIENCE_S):
                    with suppress(OSError):  # the terminal went away: who prints a line there is told so
                        self._draw()

    def _stop_ticking(self) -> None:
        if self._ticking is not None:
            self._ticking.set()
            self._ticking = None

    def _draw(self) -> None:
        if not _in_foreground():
            self._hide()
        elif self._region is not None:
            self._region.refresh()
        else:
            from rich.console import Console
            from rich.live import Live

            from skyrig.cli.live.drawing import drawn

            console = Console(file=sys.stderr, force_terminal=True, force_interactive=True, highlight=False)
            self._drew = True
            self._region = Live(
                console=console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
                get_renderable=lambda: drawn(self._board, time.monotonic(), console),
            )
            self._region.start(refresh=True)

    def _hide(self) -> None:
        region, self._region = self._region, None
        if region is not None:
            with suppress(OSError):
                region.stop()
                self._drew = False

    def _show_cursor(self) -> None:
        """Once more, past all buffers: what hid it may have been broken off half-way."""
        if self._drew:
            self._drew = False
            with suppress(OSError, ValueError):
                os.write(sys.stderr.fileno(), _SHOW_CURSOR)

    def _catch_signals(self) -> None:
        """Have TERM and Ctrl-Z find a clean terminal, where nobody else handles them."""
        if threading.current_thread() is threading.main_thread() and not self._handled:
            for number, handler in ((signal.SIGTERM, self._ended), (signal.SIGTSTP, self._stopped)):
                if signal.getsignal(number) is signal.SIG_DFL:
                    self._handled[number] = signal.signal(number, handler)

    def _ended(self, number: int, frame: FrameType | None) -> None:
        """End of the signal as if it had not been caught."""
        self._clear_somehow()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _stopped(self, number: int, frame: FrameType | None) -> None:
        """Stop of the signal as if it had not been caught; goes on here with `fg` or `bg`."""
        self._clear_somehow()
        os.kill(os.getpid(), signal.SIGSTOP)

    def _clear_somehow(self) -> None:
        """Take the region away out of a signal handler, which may have broken into a write to the very terminal."""
        if self._lock.acquire(timeout=1.0):
            try:
                with suppress(RuntimeError):
                    self._hide()
            finally:
                self._lock.release()
        self._show_cursor()


class _Beside(io.BufferedWriter):
    """Standard output on a terminal that has a region too: that one is away from the first byte of a line to its line
    feed, and never between bytes that wait for a flush."""

    def __init__(self, screen: Screen) -> None:
        super().__init__(io.FileIO(sys.stdout.fileno(), "wb", closefd=False))
        self._screen = screen
        self._holds = False
        self._whole = True

    def write(self, data: object) -> int:
        """Take bytes; they may go out now or with the next flush."""
        if data and not self._holds:
            self._holds = True
            self._screen.hold()
        if data:
            self._whole = bytes(data[-1:]) == b"\n"  # type: ignore[index]
        return super().write(data)  # type: ignore[arg-type]

    def flush(self) -> None:
        """Write out what waits."""
        super().flush()
        if self._holds and self._whole:
            self._holds = False
            self._screen.release()


def _is_pipe(stream: TextIO) -> bool:
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):  # no file at all, or one that is closed
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _is_refused() -> bool:
    """Whether the reader's environment says that nothing shall move."""
    return bool(
        os.environ.get("TERM", "").lower() in ("dumb", "unknown")
        or os.environ.get("NO_COLOR")
        or "0" in (os.environ.get("TTY_INTERACTIVE"), os.environ.get("TTY_COMPATIBLE"))
    )


def _in_foreground() -> bool:
    """Whether this process may draw: one that was sent into the background shares the terminal with a shell."""
    try:
        return os.tcgetpgrp(sys.stderr.fileno()) == os.getpgrp()
    except OSError:  # not our controlling terminal: nobody takes it from us
        return True
