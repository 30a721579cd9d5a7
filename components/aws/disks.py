"""The boot disk of a node by its tier: figures of the catalog (data/aws/disks.json). Pure functions."""

from typing import Any

from skyrig.catalog import facts


def boot(tier: str, size_gib: int) -> dict[str, Any]:
    """Properties of an encrypted EBS volume of a tier, gone with its node: type, size in GiB, and IOPS and MiB/s
    where they are not what the type begins with."""
    said = facts.of("aws", "disks")["tiers"][tier]
    return {
        "volume_type": said["type"],
        "volume_size": size_gib,
        **({"iops": said["iops"]} if "iops" in said else {}),
        **({"throughput": said["throughput_mib"]} if "throughput_mib" in said else {}),
        "encrypted": True,
        "delete_on_termination": True,
    }


def wrong(tier: str, size_gib: int) -> str:
    """Why a disk of that size cannot be of that tier; "" where it can."""
    said = facts.of("aws", "disks")["tiers"][tier]
    least, most = said["size_gib"]
    return "" if least <= size_gib <= most else f"{size_gib} GiB: {said['type']} holds {least} to {most}"
