"""Oracle Cloud as a cloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from skyrig.clouds.cloud import Finding, Leftover, SeenMachine, Tagged, Wanted
from skyrig.clouds.oci import check, finding, leftovers, machines, offering, session, tagged
from skyrig.clouds.oci.door import Door

_ANY_REGION = "us-ashburn-1"
"""Where one begins to ask where nothing names a region; which regions there are is the same everywhere."""


@frozen
class Oci:
    """Oracle Cloud, by the credentials that its provider would use. They may reach several compartments: `owner` is the
    one that a stack belongs to, "" the one that is named beside the credentials."""

    owner: str = ""

    def missing(self) -> str:
        """What is missing here for using it; "" where nothing is."""
        return session.missing()

    def check(self, region: str, wanted: Wanted | None) -> Sequence[Finding]:
        """All that would stop a cluster, found without making anything."""
        return check.findings(self.owner or session.account(), region, wanted)

    def account(self, region: str) -> str:
        """The compartment that is named beside the credentials, else the root one; "" where there are none."""
        return session.account()

    def zones(self, region: str, instance_type: str) -> Sequence[str]:
        """Availability domains of a region that have a type, sorted."""
        return offering.zones(self._door(region), instance_type)

    def machines(self, stack: str, region: str) -> Sequence[SeenMachine]:
        """The instances under a stack's tag that are there."""
        return machines.of_stack(self._door(region), stack)

    def leftovers(self, stack: str, region: str) -> Sequence[Leftover]:
        """All that is there of a stack, but for buckets."""
        return leftovers.of_stack(self._door(region), stack)

    def tagged(self, region: str | None) -> Tagged:
        """All that Skyrig has made in the compartment."""
        return tagged.everything(self._door(region or session.settings().get("region") or _ANY_REGION), region)

    def remove(self, stack: str, region: str, left: Sequence[Leftover]) -> None:
        """Remove what is left, as far as that goes."""
        leftovers.remove(self._door(region), left)

    def find(self, kind: str, inputs: Mapping[str, Any], region: str) -> str | None:
        """The engine's id of the thing that was to be made from `inputs`."""
        return finding.find(self._door(region), kind, inputs, region)

    def _door(self, region: str) -> Door:
        return Door(self.owner or session.account(), region)
