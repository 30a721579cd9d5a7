"""Word that a machine of the run is about to be taken away: a notice of a cloud, in the file that SKYRIG_NOTICE_FILE
names. Whoever runs the job writes it; outside of such a job there is none."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

FILE = "SKYRIG_NOTICE_FILE"
"""Variable that names the file. It appears whole, and a later notice takes its place."""

LOOK_EVERY_S = 0.5
"""How often the file is looked at, at most."""

_WHAT = {
    "preemption": "preemption of {}",
    "maintenance": "maintenance that ends {}",
    "ttl": "the time to live of {} is over",
    "lease": "the end of {}, which no controller watches over,",
    "risk": "preemption of {} is likely",
}


@dataclass(frozen=True)
class Preemption:
    """One notice: `id` is the same on all ranks, `kind` one of preemption, maintenance and risk (a preemption is
    likely), `deadline` unix time on this machine, None where nobody knows."""

    id: str
    node: str
    kind: str
    deadline: float | None

    @property
    def left_s(self) -> float:
        """Seconds that are left; infinite where nobody knows."""
        return float("inf") if self.deadline is None else self.deadline - time.time()

    def __str__(self) -> str:
        """In words."""
        left = "" if self.deadline is None else f" in {max(0.0, self.left_s):.0f} s"
        return _WHAT.get(self.kind, _WHAT["preemption"]).format(self.node) + left


class Lookout:
    """Looks at the file, and knows which notices were dealt with."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        named = environment.get(FILE)
        self._file = Path(named) if named else None
        self._stamp: tuple[int, int] | None = None
        self._look_at = 0.0
        self._done: set[str] = set()
        self._found: Preemption | None = None

    @property
    def new(self) -> Preemption | None:
        """The newest notice, unless it was dealt with. Costs next to nothing."""
        if self._file is not None and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_EVERY_S
            self._look(self._file)
        return self._found if self._found is not None and self._found.id not in self._done else None

    def done(self, ids: Iterable[str]) -> None:
        """These were dealt with, whether they were seen here or on another rank."""
        self._done.update(ids)

    def _look(self, file: Path) -> None:
        try:
            about = file.stat()
            stamp = (about.st_ino, about.st_mtime_ns)
            if stamp != self._stamp:
                said = json.loads(file.read_bytes())
                self._stamp, self._found = stamp, Preemption(said["id"], said["node"], said["kind"], said["deadline"])
        except (OSError, ValueError, KeyError, TypeError):
            return  # none yet; or another Skyrig's, which says it otherwise
