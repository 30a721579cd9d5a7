"""What is done for managed jobs, each piece in a process of its own (skyrig.control.work)."""

from __future__ import annotations

from collections.abc import Callable

from skyrig.control.ward import Ward

WORK: dict[str, Callable[[Ward, Callable[[str], None]], None]] = {}
"""What is done for each act but a look."""
