"""What people follow on web pages, run here: their task files, words and scripts."""

from __future__ import annotations

from user import User, until

__all__ = ["User", "until"]
