"""What people follow on web pages, run here: their task files, words and scripts."""

from __future__ import annotations

from user import User, end_nodes, until

__all__ = ["User", "end_nodes", "until"]
