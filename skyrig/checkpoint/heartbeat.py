"""A sign of life: the file that SKYRIG_HEARTBEAT_FILE names is touched, and whoever runs the job knows that the run has
not stood still, however little it writes. Outside of such a job there is none."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

FILE = "SKYRIG_HEARTBEAT_FILE"
"""Variable that names the file."""

EVERY_S = 1.0
"""It is touched no more often than that."""


class Heartbeat:
    """Touches the file."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        named = environment.get(FILE)
        self._file = Path(named) if named else None
        self._next_at = 0.0

    def beat(self) -> None:
        """The run goes on. Costs next to nothing; a disk that takes nothing is no reason to stop it."""
        if self._file is not None and time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + EVERY_S
            with suppress(OSError):
                self._file.touch()
