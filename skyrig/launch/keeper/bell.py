"""Tells whoever waits that something about jobs or their nodes has changed."""

from __future__ import annotations

import asyncio


class Bell:
    """Rung at each change; many may wait for it."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Something has changed."""
        self._rung.set()
        self._rung = asyncio.Event()

    def next(self) -> asyncio.Event:
        """An event that is set by the first change after this call."""
        return self._rung
