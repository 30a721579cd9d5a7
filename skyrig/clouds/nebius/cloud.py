"""Nebius AI Cloud as a cloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from skyrig.clouds.cloud import Finding, Leftover, SeenMachine, Tagged, Wanted
from skyrig.clouds.nebius import check, finding, leftovers, machines, session, tagged
from skyrig.clouds.nebius.door import opened


@frozen
class Nebius:
    """Nebius, by the credentials that its provider would use. They may reach several projects, each in one region:
    `owner` is the one that a stack belongs to, "" the one that is named beside the credentials."""

    owner: str = ""

    def missing(self) -> str:
        """What is missing here for using it; "" where nothing is."""
        return session.missing()

    def check(self, region: str, wanted: Wanted | None) -> Sequence[Finding]:
        """All that would stop a cluster, found without making anything."""
        return check.findings(self._project, region, wanted)

    def account(self, region: str) -> str:
        """The project that is named beside the credentials; "" where none is."""
        return session.project()

    def zones(self, region: str, instance_type: str) -> Sequence[str]:
        """The region without a zone, where the project is in it."""
        with opened(self._project) as door:
            return ("",) if door.region() in (region, "") else ()

    def machines(self, stack: str, region: str) -> Sequence[SeenMachine]:
        """The machines of a stack that are there."""
        with opened(self._project) as door:
            return machines.of_stack(door, stack)

    def leftovers(self, stack: str, region: str) -> Sequence[Leftover]:
        """All that is there of a stack, but for buckets."""
        with opened(self._project) as door:
            return leftovers.of_stack(door, stack, region)

    def tagged(self, region: str | None) -> Tagged:
        """All that Skyrig has made in the project."""
        with opened(self._project) as door:
            return tagged.everything(door, region)

    def remove(self, stack: str, region: str, left: Sequence[Leftover]) -> None:
        """Remove what is left, as far as that goes."""
        with opened(self._project) as door:
            leftovers.remove(door, left)

    def find(self, kind: str, inputs: Mapping[str, Any], region: str) -> str | None:
        """The engine's id of the thing that was to be made from `inputs`."""
        with opened(self._project) as door:
            return finding.find(door, kind, inputs)

    @property
    def _project(self) -> str:
        return self.owner or session.project()
