"""Interactive terminals of a node's SSH server, written down for whoever wants to know whether a person is there."""

from __future__ import annotations

import json
import time
from pathlib import Path


class Terminals:
    """Counts open ones, and keeps the file `path`: `{"open": COUNT, "closed_at": SECONDS or null}`, on the machine's
    clock that does not jump. One for the server's process; each start begins anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open = 0
        self._write(None)

    def opened(self) -> None:
        """A session with a terminal began."""
        self._open += 1
        self._write(None)

    def closed(self) -> None:
        """A session with a terminal ended."""
        self._open -= 1
        self._write(time.monotonic())

    def _write(self, closed_at: float | None) -> None:
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps({"open": self._open, "closed_at": closed_at}))
            fresh.replace(self._path)
        except OSError:  # a full disk: nobody's session may suffer from it
            self._path.unlink(missing_ok=True)
