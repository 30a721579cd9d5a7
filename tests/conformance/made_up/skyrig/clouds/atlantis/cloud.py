"""Atlantis, by the contract of `skyrig.clouds.cloud`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skyrig import places
from skyrig.clouds.cloud import Finding, Leftover, SeenMachine, Tagged, Wanted
from skyrig.fleet.local.layout import NodeFolder


class Atlantis:
    """The one account that there is."""

    def __init__(self, owner: str = "") -> None:
        self._owner = owner

    def missing(self) -> str:
        """Nothing."""
        return ""

    def check(self, region: str, wanted: Wanted | None) -> Sequence[Finding]:
        """Nothing can be wrong."""
        return [Finding("the gates are open", True)]

    def account(self, region: str) -> str:
        """Its name."""
        return "poseidon"

    def zones(self, region: str, instance_type: str) -> Sequence[str]:
        """There are none: a region is one place."""
        return [""]

    def machines(self, stack: str, region: str) -> Sequence[SeenMachine]:
        """Those that run."""
        there = sorted((places.home() / "atlantis" / stack).glob("n*"))
        said = [(path.name, NodeFolder(path).read_state()) for path in there if NodeFolder(path).power() == "up"]
        return [SeenMachine(node, each["incarnation"], "up") for node, each in said if each is not None]

    def leftovers(self, stack: str, region: str) -> Sequence[Leftover]:
        """Machines."""
        return [Leftover("machine", each.machine) for each in self.machines(stack, region)]

    def tagged(self, region: str | None) -> Tagged:
        """Nothing is tagged."""
        return Tagged()

    def remove(self, stack: str, region: str, left: Sequence[Leftover]) -> None:
        """The engine removes all that there is."""

    def find(self, kind: str, inputs: Mapping[str, Any], region: str) -> str | None:
        """A machine is found again when it is made."""
        return None
