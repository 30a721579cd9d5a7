"""What jobs write, told as lines to whoever follows a request."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any


class Told(io.BytesIO):
    """A stream whose whole lines are told; what is left at its end too."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        super().__init__()
        self._notify = notify
        self._rest = b""

    def write(self, data: Any) -> int:
        """Take some bytes."""
        taken = bytes(data)
        *lines, self._rest = (self._rest + taken).split(b"\n")
        for line in lines:
            self._notify(line.decode(errors="replace"))
        return len(taken)

    def close(self) -> None:
        """Tell what no end of line has followed."""
        if self._rest:
            self._notify(self._rest.decode(errors="replace"))
            self._rest = b""
        super().close()
