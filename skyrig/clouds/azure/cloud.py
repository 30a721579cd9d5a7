"""Azure as a cloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from skyrig.clouds.azure import arm, check, credentials, finding, leftovers, machines, tagged
from skyrig.clouds.cloud import Finding, Leftover, SeenMachine, Tagged, Wanted


@frozen
class Azure:
    """Azure, by the credentials that Pulumi's azure-native finds. They may reach several subscriptions: `owner` is the
    one that a stack belongs to, "" the one that is named beside the credentials."""

    owner: str = ""

    def missing(self) -> str:
        """What is missing here for using it; "" where nothing is."""
        return arm.missing()

    def check(self, region: str, wanted: Wanted | None) -> Sequence[Finding]:
        """All that would stop a cluster, found without making anything."""
        return check.findings(self.owner, region, wanted)

    def account(self, region: str) -> str:
        """The subscription that a variable or the az CLI names; "" where neither does. No request."""
        return credentials.subscription()

    def zones(self, region: str, instance_type: str) -> Sequence[str]:
        """The region without a zone: Azure then puts machines where there is room. No request."""
        return ("",)

    def machines(self, stack: str, region: str) -> Sequence[SeenMachine]:
        """The machines in the stack's resource group that are there."""
        return machines.of_stack(stack, self.owner)

    def leftovers(self, stack: str, region: str) -> Sequence[Leftover]:
        """All that is there of the stack, but for storage accounts."""
        return leftovers.of_stack(stack, self.owner)

    def tagged(self, region: str | None) -> Tagged:
        """All that Skyrig has made in the subscription."""
        return tagged.everything(self.owner, region)

    def remove(self, stack: str, region: str, left: Sequence[Leftover]) -> None:
        """Remove what is left, as far as that goes."""
        leftovers.remove(stack, self.owner, left)

    def find(self, kind: str, inputs: Mapping[str, Any], region: str) -> str | None:
        """The engine's id of the thing that was to be made from `inputs`."""
        return finding.find(kind, inputs, self.owner)
