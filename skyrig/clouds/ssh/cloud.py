"""The user's own machines as a cloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from skyrig.clouds.cloud import Finding, Leftover, SeenMachine, Tagged, Wanted
from skyrig.clouds.ssh import inventory
from skyrig.errors import SkyrigError


@frozen
class Ssh:
    """The machines of the inventory. `owner` is what a stack calls their account: there is one only."""

    owner: str = ""

    def missing(self) -> str:
        """What is missing here for using them; "" where nothing is."""
        if not inventory.files():
            return f"no machines are listed: {inventory.own_file()} does not exist (docs/clouds/ssh.md)"
        try:
            return "" if inventory.read().pools else f"{inventory.files()[0]} lists no pool of machines"
        except SkyrigError as error:
            return error.message.splitlines()[0]

    def check(self, region: str, wanted: Wanted | None) -> Sequence[Finding]:
        """Every machine: whether it answers, is fit, and is free."""
        from skyrig.clouds.ssh import check

        return check.findings(region, wanted)

    def account(self, region: str) -> str:
        """The name of the inventory."""
        return inventory.read().name

    def zones(self, region: str, instance_type: str) -> Sequence[str]:
        """A pool has no zones."""
        return ("",)

    def machines(self, stack: str, region: str) -> Sequence[SeenMachine]:
        """The machines that are lent to a stack and answer."""
        from skyrig.clouds.ssh import leases

        return leases.machines(stack, region)

    def leftovers(self, stack: str, region: str) -> Sequence[Leftover]:
        """The machines that a stack of this SKYRIG_HOME still has, and its lines on gates."""
        from skyrig.clouds.ssh import leases

        return leases.leftovers(stack, region)

    def tagged(self, region: str | None) -> Tagged:
        """All leases on the machines of the inventory, whoever took them."""
        from skyrig.clouds.ssh import leases

        return leases.tagged(region)

    def remove(self, stack: str, region: str, left: Sequence[Leftover]) -> None:
        """Have machines given back, whoever took them."""
        from skyrig.clouds.ssh import leases

        leases.remove(stack, left)

    def find(self, kind: str, inputs: Mapping[str, Any], region: str) -> str | None:
        """The lease of the machine that was to be taken."""
        from skyrig.clouds.ssh import lending

        return lending.find(inputs)
