"""Fluidstack as a cloud."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import ClassVar

from attrs import frozen

from skyrig.clouds.cloud import Finding, Wanted
from skyrig.clouds.fluidstack import api
from skyrig.clouds.machines_api.cloud import RentingCloud
from skyrig.errors import SkyrigError


@frozen
class Fluidstack(RentingCloud):
    """Fluidstack, by its API. A key may reach several projects: `owner` is the one that a stack belongs to, "" the one
    that is named beside the key."""

    name: ClassVar[str] = "fluidstack"

    def missing(self) -> str:
        """What is missing here for using it; "" where nothing is."""
        return "" if api.key() else api.NO_KEY

    def check(self, region: str, wanted: Wanted | None) -> Sequence[Finding]:
        """Whether the key works, and whether the project may have what is wanted."""
        if reason := self.missing():
            return [Finding("credentials", False, reason)]
        try:
            project = api.connect(self.owner)
            running = sum(each.is_there for each in project.machines())
        except SkyrigError as error:
            return [Finding("credentials", False, str(error))]
        first = Finding("credentials", True, f"the API key is valid, {running} machines in the project")
        return [first, *([_room(project, region, wanted)] if wanted is not None else [])]

    def account(self, region: str) -> str:
        """The project that is named beside the key; "" where none is."""
        return os.environ.get(api.PROJECT, "")

    def zones(self, region: str, instance_type: str) -> Sequence[str]:
        """The region alone, which has no zones, where it has the type."""
        project = api.connect(self.owner)
        return ("",) if region in project.regions() and instance_type in project.kinds(region) else ()


def _room(project: api.FluidstackProject, region: str, wanted: Wanted) -> Finding:
    try:
        kinds, room = project.kinds(region), project.room(region)
    except SkyrigError as error:
        return Finding(wanted.instance_type, False, str(error))
    if wanted.instance_type not in kinds:
        there = (f"{name} ({said['cpu']} cores, {said['memory']})" for name, said in sorted(kinds.items()))
        return Finding(wanted.instance_type, False, f"{region} has {', '.join(there) or 'no types'}")
    free = room.get(wanted.instance_type, 0)
    if free >= wanted.nodes:
        return Finding(wanted.instance_type, True, f"{region} has room for {free}")
    return Finding(wanted.instance_type, None, f"{region} has room for {free} now, {wanted.nodes} are wanted")
