"""Caring for one managed job."""

from __future__ import annotations

from skyrig.control.crew import Crew
from skyrig.control.ward import Ward


class JobCare:
    """The care for one managed job. `run` ends when the ward is past, or gone."""

    def __init__(self, ward: Ward, crew: Crew) -> None:
        self._ward = ward
        self._crew = crew

    def poke(self) -> None:
        """Look now: something has changed."""

    def hurry(self) -> None:
        """The ward is to go: what else is being done for it ends, as Ctrl-C ends a command."""

    async def run(self) -> None:
        """Care for the ward until it is past."""
        raise NotImplementedError
