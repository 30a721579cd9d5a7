"""What a rank's supervisor sees of its node's mounts."""

from __future__ import annotations

import threading
import time
from collections import deque

from skyrig.launch.mounting.flush import Flush, failures
from skyrig.launch.mounting.mount import Mount, attached

TYPE_CHECKING = False
if TYPE_CHECKING:  # as in typing, whose import is saved
    from collections.abc import Callable, Iterable

WATCH_S = 0.5
"""Seconds between two looks at whether mounts are alive."""


class Watch(threading.Thread):
    """For a rank's supervisor: sees that the node's mounts stay while the rank runs, and waits for their files at its
    end. `gone` says which one died; after `settle`, `done` says that the wait is over and `problem` how it failed.
    `wake` is called whenever there is news; `news` takes lines for the job's log. `own` are the places where the rank's
    job had some attached: one that has died since, for instance during its setup, fails the rank."""

    def __init__(self, wake: Callable[[], None], home: str = "~", own: Iterable[str] = ()) -> None:
        super().__init__(daemon=True)
        self.gone = self.problem = ""
        self.done = False
        self._wake = wake
        self._home = home
        self._own = set(own)
        self._news: deque[str] = deque()
        self._asked = threading.Event()
        self._mounts: list[Mount] = []

    def settle(self) -> None:
        """Begin to wait for what is dirty now."""
        self._asked.set()

    def news(self) -> list[str]:
        """Lines that were not taken yet."""
        taken = []
        while self._news:  # by one at a time: the other thread may add some meanwhile
            taken.append(self._news.popleft())
        return taken

    def look(self) -> str:
        """Which mount died, looked at now for a rank that failed; a full disk is told of too, which programs only see
        as an error in writing."""
        if not self.gone:
            self._look()
        self._news.extend(f"{each.name}: the disk of its cache is full" for each in self._mounts if each.is_full)
        return self.gone

    def run(self) -> None:
        """Watch until one dies, or until asked to settle; then do that."""
        try:
            self._mounts = self._found()
            while not self._asked.wait(WATCH_S):
                if not self.gone and self._look():
                    self._wake()
            self._settle()
        except Exception as error:  # noqa: BLE001  (a defect here must end as a reason, not as a job that waits for ever)
            self.problem = f"what happens to the files of mounts cannot be told: {error!r}"
        self.done = True
        self._wake()

    def _found(self) -> list[Mount]:
        """The mounts to watch. One of other jobs that was dead before is told of: what writes there fails, or finds a
        folder."""
        found, missing = [], set(self._own)
        for mount in attached(self._home):
            trouble = mount.trouble()
            missing.discard(mount.plan["target"])
            if trouble and mount.plan["target"] in self._own:
                self.gone = f"{mount.name} is gone: {trouble}"
                self._wake()
            elif trouble:
                self._news.append(f"{mount.name} is not there: {trouble}; `launch` attaches it again")
                self._wake()
            else:
                found.append(mount)
                mount.dirty()  # so that at the end only what has changed is read
        if missing:
            self.gone = f"mount {min(missing)} is gone: it was detached"
            self._wake()
        return found

    def _look(self) -> bool:
        for mount in self._mounts:
            trouble = mount.trouble()
            if trouble:
                self.gone = f"{mount.name} is gone: {trouble}"
                return True
        return False

    def _settle(self) -> None:
        waiting = [each for each in map(Flush, self._mounts) if each.left]
        pause = 0.02
        while not all(each.over for each in waiting):
            for each in waiting:
                if not each.over:
                    self._news.extend(each.step())
            if self._news:
                self._wake()
            time.sleep(pause)  # the condition is the loop's
            pause = min(0.25, pause * 1.5)
        self.problem = failures(waiting) or self.gone
