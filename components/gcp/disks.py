"""Types of boot disks by machine type and tier. Pure functions; the table is data/gcp/disks.json."""

from skyrig.catalog import facts


def disk_type(instance_type: str, tier: str) -> str:
    """Type of the boot disk; "" where machines of this type have none of that tier."""
    families = facts.of("gcp", "disks")["families"]
    best = max((family for family in families if instance_type.startswith(family)), key=len)
    return str(families[best][tier])
