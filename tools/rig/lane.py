"""Work in a thread of its own, while the main one reports."""

import threading
from collections.abc import Callable


class Lane:
    """One thread of work; `failure` is what ended it early."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin the work."""
        self._thread.start()

    @property
    def done(self) -> bool:
        """Has the work ended, well or not?"""
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._work()
        except Exception as failure:  # noqa: BLE001 (carried to the main thread, which raises it)
            self.failure = failure
