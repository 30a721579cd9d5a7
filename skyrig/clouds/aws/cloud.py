"""AWS as a cloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from attrs import frozen

from skyrig.clouds.aws import check, finding, leftovers, machines, session, tagged
from skyrig.clouds.cloud import Finding, Leftover, NotUsable, SeenMachine, Tagged, Wanted


@frozen
class Aws:
    """AWS, by the credentials that boto3 finds. They belong to one account: where `owner` is another one, nothing that
    they see says anything about its stacks."""

    owner: str = ""

    def missing(self) -> str:
        """What is missing here for using it; "" where nothing is."""
        return session.missing()

    def check(self, region: str, wanted: Wanted | None) -> Sequence[Finding]:
        """All that would stop a cluster, found without making anything."""
        return check.findings(region, wanted)

    def account(self, region: str) -> str:
        """The account that the credentials belong to."""
        with session.asking("who the credentials belong to"):
            return str(session.client("sts", region).get_caller_identity()["Account"])

    def zones(self, region: str, instance_type: str) -> Sequence[str]:
        """Zones of a region that have a type, sorted."""
        with session.asking(f"zones of {region} that have {instance_type}"):
            answer = session.client("ec2", region).describe_instance_type_offerings(
                LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [instance_type]}]
            )
        return sorted(each["Location"] for each in answer["InstanceTypeOfferings"])

    def machines(self, stack: str, region: str) -> Sequence[SeenMachine]:
        """The instances under a stack's tag that are there. NotUsable with the credentials of another account."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            here = pool.submit(self.account, region) if self.owner else None
            seen = machines.of_stack(stack, region)
        if here is not None and here.result() != self.owner:
            raise NotUsable(f"aws: {stack} belongs to account {self.owner}, the credentials here to {here.result()}")
        return seen

    def leftovers(self, stack: str, region: str) -> Sequence[Leftover]:
        """All that is there under a stack's tag."""
        return leftovers.of_stack(stack, region)

    def tagged(self, region: str | None) -> Tagged:
        """All that Skyrig has made in the account."""
        return tagged.everything(region)

    def remove(self, stack: str, region: str, left: Sequence[Leftover]) -> None:
        """Remove what is left, as far as that goes."""
        leftovers.remove(stack, region, left)

    def find(self, kind: str, inputs: Mapping[str, Any], region: str) -> str | None:
        """The engine's id of the thing that was to be made from `inputs`."""
        return finding.find(kind, inputs, region)
