"""Word that the run must end: a signal, or whoever calls `request`."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType

GRACE = "SKYRIG_GRACE_S"
"""Variable with the seconds between TERM and KILL, in jobs that Skyrig runs."""

_GRACE_S = 30.0
"""The same where nobody says it: Slurm's, and Kubernetes'."""


class Notice:
    """Whether this process was told to stop, and how long it has. A handler only notes it: a save amid a step would be
    of a state that never was."""

    def __init__(self) -> None:
        self.until: float | None = None

    @property
    def given(self) -> bool:
        """Whether word came."""
        return self.until is not None

    @property
    def left_s(self) -> float:
        """Seconds that are left; infinite without word."""
        return float("inf") if self.until is None else self.until - time.monotonic()

    def request(self, grace_s: float) -> None:
        """Stop within so many seconds; the earliest end of several holds."""
        until = time.monotonic() + grace_s
        self.until = until if self.until is None else min(self.until, until)

    def on_sigterm(self, grace_s: float | None) -> None:
        """Take SIGTERM as such word; None is what whoever sends it says that it gives. Main thread only. A handler that
        was there before is called too."""
        grace_s = float(os.environ.get(GRACE, _GRACE_S)) if grace_s is None else grace_s
        before = signal.getsignal(signal.SIGTERM)

        def told(number: int, frame: FrameType | None) -> None:
            self.request(grace_s)
            if callable(before):
                before(number, frame)

        signal.signal(signal.SIGTERM, told)
