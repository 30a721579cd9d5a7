"""The API server's no."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Refused(Exception):
    """The API server said no: `code` is the HTTP status, the text its message, `reason` its word for it."""

    def __init__(self, code: int, status: Mapping[str, Any]) -> None:
        super().__init__(str(status.get("message", code)))
        self.code = code
        self.reason = str(status.get("reason", ""))
