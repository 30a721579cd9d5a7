"""Machine images on AWS: what an AMI is made of, whether one is there, and what its snapshots cost."""

from __future__ import annotations

from typing import Any

from skyrig.catalog import facts
from skyrig.clouds.aws import session
from skyrig.cluster.description import ClusterDescription
from skyrig.cluster.imagery import MadeImage, Source
from skyrig.errors import BadInput


def source(builder: ClusterDescription, account: str) -> Source:
    """What an AMI of a cluster's head is made of: the instance, its architecture, and whether its boot disk is
    encrypted. BadInput where it is not there, or not stopped: its disk may be half written then."""
    machine = builder.nodes[0].incarnation
    ec2 = session.client("ec2", builder.region)
    with session.asking(f"looking at {machine}"):
        wanted = [{"Name": "instance-id", "Values": [machine]}]
        found = ec2.describe_instances(Filters=wanted)["Reservations"]
        there = [each for group in found for each in group["Instances"]]
        if not there or there[0]["State"]["Name"] != "stopped":
            state = there[0]["State"]["Name"] if there else "not there"
            raise BadInput(f"{machine} is {state}: an image is made of a stopped machine", hint="stop it first")
        volume = _boot_disk(ec2, there[0])
    told = {"arch": str(there[0].get("Architecture", "")), "encrypted": "true" if volume.get("Encrypted") else "false"}
    return Source(machine, int(volume.get("Size", 0)), tuple(sorted((key, said) for key, said in told.items() if said)))


def is_there(made: MadeImage, region: str) -> bool:
    """Whether the region has the AMI, and it can be booted."""
    image = made.id_in(region)
    if image is None:
        return False
    with session.asking(f"looking for {image}"):
        wanted = [{"Name": "image-id", "Values": [image]}]
        found = session.client("ec2", region).describe_images(Filters=wanted)["Images"]
    return any(each["State"] == "available" for each in found)


def monthly(made: MadeImage) -> float | None:
    """USD a month of its snapshots at most, in all regions: as if its disk were full. None where its size is not
    known."""
    each = facts.of("aws", "imaging")["gb_month"]
    return float(each) * made.size_gb * len(made.ids) if made.size_gb else None


def _boot_disk(ec2: Any, machine: dict[str, Any]) -> dict[str, Any]:
    root = [each["Ebs"]["VolumeId"] for each in machine.get("BlockDeviceMappings", ())
            if each.get("DeviceName") == machine.get("RootDeviceName")]  # fmt: skip
    found: list[dict[str, Any]] = ec2.describe_volumes(VolumeIds=root)["Volumes"] if root else []
    return found[0] if found else {}
